//! Whether a database may be written to by a run, and a copy of it for runs that write.

use tokio_postgres::Client;

use crate::catalog::name::quoted;
use crate::pg::{ConnectError, Source, connect};

/// Copies larger than this are made file by file where the server can (15 and later), past the write-ahead log.
const LARGE_BYTES: i64 = 256 << 20;

/// Settings whose stored form is a list of quoted names already (`GUC_LIST_QUOTE` in the server's sources).
const NAME_LISTS: &[&str] =
    &["local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces"];

/// Why a run may not write, or a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum WritableError {
    /// The server is a standby.
    #[error("write to {0}: the server is in recovery, a standby takes no writes. Use its primary's copy")]
    Standby(String),
    /// Others are at work in the database.
    #[error("write to {database}: other clients are at work there ({who}). Stop them, or use a database of your own")]
    Busy {
        /// The database.
        database: String,
        /// Who they are.
        who: String,
    },
    /// Others are connected to the database that is to be copied.
    #[error(
        "copy {database}: other clients are connected to it ({who}), and a database can only be copied while nobody is. Close them, \
         or use --writes rollback"
    )]
    Connected {
        /// The database.
        database: String,
        /// Who they are.
        who: String,
    },
    /// No connection to make the copy from.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refused.
    #[error("{doing}: {said}")]
    Server {
        /// What was being done.
        doing: String,
        /// What the server said.
        said: String,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
}

impl WritableError {
    /// Returns whether it is a rule that was kept, and not a failure.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Standby(_) | Self::Busy { .. } | Self::Connected { .. })
    }
}

fn server_error(doing: &str, source: tokio_postgres::Error) -> WritableError {
    let said = source.as_db_error().map_or_else(|| source.to_string(), |db| db.message().to_owned());
    WritableError::Server { doing: doing.to_owned(), said, source }
}

/// Checks that a run that writes, if only to roll back, disturbs nobody: no standby, no other client at work.
///
/// # Errors
/// [`WritableError`].
pub async fn check(client: &Client, database: &str) -> Result<(), WritableError> {
    let failed = |source| server_error("look for other clients", source);
    let recovery: bool =
        client.query_one("/* pgload */ select pg_catalog.pg_is_in_recovery()", &[]).await.and_then(|row| row.try_get(0)).map_err(failed)?;
    if recovery {
        return Err(WritableError::Standby(database.to_owned()));
    }
    match others(client, database, "and state <> 'idle'").await.map_err(failed)? {
        Some(who) => Err(WritableError::Busy { database: database.to_owned(), who }),
        None => Ok(()),
    }
}

/// Names the other clients of a database; `None` when there are none.
async fn others(client: &Client, database: &str, filter: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let sql = format!(
        "/* pgload */ select coalesce(nullif(application_name, ''), 'unnamed') || ' of ' || coalesce(usename, '?') || ' x ' || count(*) \
         from pg_catalog.pg_stat_activity \
         where datname = $1 and pid <> pg_catalog.pg_backend_pid() and backend_type = 'client backend' {filter} \
         group by application_name, usename order by count(*) desc limit 5"
    );
    let rows = client.query(&sql, &[&database]).await?;
    let names = rows.iter().map(|row| row.try_get::<_, String>(0)).collect::<Result<Vec<_>, _>>()?;
    Ok((!names.is_empty()).then(|| names.join(", ")))
}

/// A copy of a database; to be dropped with [`Copy::drop_it`].
#[derive(Debug)]
pub struct Copy {
    /// Where to connect to use it.
    pub source: Source,
    maintenance: Source,
    name: String,
}

impl Copy {
    /// Makes a copy on the same server.
    ///
    /// Nobody may be connected to the original meanwhile, this program included.
    ///
    /// # Errors
    /// [`WritableError`]; nothing is left behind then.
    pub async fn make(original: &Source, name: &str) -> Result<Self, WritableError> {
        let database = original.database();
        // A database other than the original, or we would be in our own way.
        let other = if database == "postgres" { "template1" } else { "postgres" };
        let maintenance = original.clone().with_database(other);
        let client = connect(&maintenance).await?;
        let failed = |source| server_error(&format!("copy {database}"), source);
        // A connection that was closed a moment ago may still be listed: the server itself waits 5 s for such.
        let row = client
            .query_one(
                "/* pgload */ select pg_catalog.pg_database_size($1::text::name), pg_catalog.current_setting('server_version_num')::int",
                &[&database],
            )
            .await
            .map_err(failed)?;
        let (size, version): (i64, i32) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let strategy = if size > LARGE_BYTES && version >= 150_000 { " strategy file_copy" } else { "" };
        let create = format!("create database {} template {}{strategy}", quoted(name), quoted(database));
        if let Err(source) = client.batch_execute(&create).await {
            // 55006: object in use.
            if source.code().is_some_and(|code| code.code() == "55006") {
                let who = others(&client, database, "").await.map_err(failed)?.unwrap_or_else(|| "gone by now: try again".to_owned());
                return Err(WritableError::Connected { database: database.to_owned(), who });
            }
            return Err(failed(source));
        }
        let copy = Self { source: original.clone().with_database(name), maintenance, name: name.to_owned() };
        if let Err(source) = copy.take_over_settings(&client, database).await {
            // What was made is taken back; the first error is the one to tell.
            let _ = copy.drop_it().await;
            return Err(failed(source));
        }
        Ok(copy)
    }

    /// Sets for the copy what `ALTER DATABASE … SET` sets for the original: a template does not carry it over.
    async fn take_over_settings(&self, client: &Client, database: &str) -> Result<(), tokio_postgres::Error> {
        let sql = "/* pgload */ select s.setconfig, pg_catalog.pg_get_userbyid(nullif(s.setrole, 0))::text \
                   from pg_catalog.pg_db_role_setting s join pg_catalog.pg_database d on d.oid = s.setdatabase where d.datname = $1";
        for row in client.query(sql, &[&database]).await? {
            let (settings, role): (Vec<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            for setting in &settings {
                let Some((setting, value)) = setting.split_once('=') else { continue };
                let value = if NAME_LISTS.contains(&setting) { value.to_owned() } else { format!("'{}'", value.replace('\'', "''")) };
                let whose = role.as_ref().map_or_else(String::new, |role| format!("role {} in ", quoted(role)));
                let name = setting.split('.').map(quoted).collect::<Vec<_>>().join(".");
                client.batch_execute(&format!("alter {whose}database {} set {name} to {value}", quoted(&self.name))).await?;
            }
        }
        Ok(())
    }

    /// Drops the copy, ending what is still connected to it.
    ///
    /// # Errors
    /// [`WritableError`], which names the copy that is left.
    pub async fn drop_it(self) -> Result<(), WritableError> {
        let client = connect(&self.maintenance).await?;
        let drop = format!("drop database if exists {} with (force)", quoted(&self.name));
        client.batch_execute(&drop).await.map_err(|source| server_error(&format!("drop the copy {}", self.name), source))
    }
}
