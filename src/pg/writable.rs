//! Whether a database may be written to by a run.

use tokio_postgres::Client;

/// Why a run may not write.
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
        matches!(self, Self::Standby(_) | Self::Busy { .. })
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
        client.query_one("select /* pgload */ pg_catalog.pg_is_in_recovery()", &[]).await.and_then(|row| row.try_get(0)).map_err(failed)?;
    if recovery {
        return Err(WritableError::Standby(database.to_owned()));
    }
    match others(client, database).await.map_err(failed)? {
        Some(who) => Err(WritableError::Busy { database: database.to_owned(), who }),
        None => Ok(()),
    }
}

/// Names the clients at work in a database, this one aside; `None` when there are none.
async fn others(client: &Client, database: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let sql = "select /* pgload */ coalesce(nullif(application_name, ''), 'unnamed') || ' of ' || coalesce(usename, '?') || ' x ' || count(*) \
         from pg_catalog.pg_stat_activity \
         where datname = $1 and pid <> pg_catalog.pg_backend_pid() and backend_type = 'client backend' and state <> 'idle' \
         group by application_name, usename order by count(*) desc limit 5";
    let rows = client.query(sql, &[&database]).await?;
    let names = rows.iter().map(|row| row.try_get::<_, String>(0)).collect::<Result<Vec<_>, _>>()?;
    Ok((!names.is_empty()).then(|| names.join(", ")))
}
