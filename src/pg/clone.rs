//! Two copies of a database on its own server, made from it as a template and always dropped.
//!
//! The second copy is made from the first, after that was analyzed: both then have the same statistics to the last
//! histogram bound, and a difference between them is that of the change alone.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::catalog::name::quoted;
use crate::diff::Diff;
use crate::load::Stop;
use crate::pg::{Canceller, ConnectError, Source, connect};

/// Databases every server has; one of them holds the connection from which the others are made.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// A tenth more than the copies themselves: what is written to them, and the server's log of it.
const ROOM: f64 = 1.1;

/// 1 GB: above it files are copied as they are instead of being written to the log once more.
const LARGE: i64 = 1 << 30;

/// Why no copies were made.
#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A template must have no connections.
    #[error("clone {database}: it is being used by {}. A template must have no connections: close them, or give two databases with --against", sessions.join(", "))]
    Busy {
        /// The database.
        database: String,
        /// Its sessions, each as `pid 12 (user, application, state)`.
        sessions: Vec<String>,
    },
    /// The disk is too full.
    #[error("clone {database} twice: that takes about {needed} bytes and {folder} has {free} free")]
    Space {
        /// The database.
        database: String,
        /// Bytes for both copies.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// The server's data folder.
        folder: String,
    },
    /// The server refused.
    #[error("{doing}: {}", said(source))]
    Server {
        /// What was asked.
        doing: String,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The run was asked to end.
    #[error("clone the database: interrupted; what had been made was dropped")]
    Interrupted,
    /// A copy is left.
    #[error("drop the copies {names}: {reason}. Drop them by hand: drop database NAME with (force)")]
    Left {
        /// The databases.
        names: String,
        /// What the server said.
        reason: String,
    },
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| format!("{} ({})", db.message(), db.code().code()))
}

fn server(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> CloneError {
    let doing = doing.into();
    move |source| CloneError::Server { doing, source }
}

/// Two copies of a database; dropped when this is, also on the way out of an error.
#[derive(Debug)]
pub struct Clones {
    /// Where to connect to each.
    pub sources: Diff<Source>,
    /// How large the database was, in bytes.
    pub size_bytes: u64,
    /// What could not be done, as sentences.
    pub notes: Vec<String>,
    maintenance: Source,
    /// The databases made so far.
    made: Vec<String>,
}

impl Clones {
    /// Copies the database of `source` twice.
    ///
    /// Nobody may be connected to it, this program included. Its settings (`ALTER DATABASE … SET`) are copied too.
    ///
    /// # Errors
    /// [`CloneError`]; nothing is left behind then.
    pub async fn make(source: &Source, stop: &Stop) -> Result<Self, CloneError> {
        let database = source.database();
        let (maintenance, client) = maintenance(source).await?;
        let row = client
            .query_one(include_str!("queries/clone_facts.sql"), &[&database])
            .await
            .map_err(server(format!("measure the database {database}")))?;
        let (size, version, folder): (i64, i32, Option<String>) = (row.get(0), row.get(1), row.get(2));
        check_space(source, size, folder.as_deref())?;
        let names = names();
        let sources = names.clone().map(|name| source.clone().with_database(&name));
        let size_bytes = u64::try_from(size).unwrap_or(0);
        let mut clones = Self { sources, size_bytes, notes: Vec::new(), maintenance, made: Vec::new() };
        let strategy = if version >= 150_000 && size > LARGE { " strategy file_copy" } else { "" };
        let canceller = Canceller::of(&client, &clones.maintenance);
        let made = tokio::select! {
            made = clones.both(&client, database, &names, strategy) => made,
            () = stop.requested() => {
                canceller.cancel().await;
                Err(CloneError::Interrupted)
            }
        };
        match made {
            Ok(()) => Ok(clones),
            Err(error) => {
                drop(client);
                clones.remove().await?;
                Err(error)
            }
        }
    }

    async fn both(&mut self, client: &Client, database: &str, names: &Diff<String>, strategy: &str) -> Result<(), CloneError> {
        self.copy(client, database, database, &names.before, strategy).await?;
        self.prepare().await?;
        self.copy(client, database, &names.before, &names.after, strategy).await
    }

    /// Makes one copy, with the settings of `database`.
    async fn copy(&mut self, client: &Client, database: &str, template: &str, name: &str, strategy: &str) -> Result<(), CloneError> {
        // Listed first: a copy that was cut off half-way must be dropped too.
        self.made.push(name.to_owned());
        let sql = format!("create database {} template {}{strategy}", quoted(name), quoted(template));
        if let Err(source) = client.batch_execute(&sql).await {
            if source.code() == Some(&SqlState::OBJECT_IN_USE) {
                return Err(CloneError::Busy { database: template.to_owned(), sessions: sessions(client, template).await? });
            }
            return Err(CloneError::Server { doing: format!("clone {template}"), source });
        }
        let settings = client
            .query(include_str!("queries/database_settings.sql"), &[&database])
            .await
            .map_err(server(format!("read the settings of {database}")))?;
        for row in &settings {
            let (role, entry): (Option<String>, String) = (row.get(0), row.get(1));
            let Some((setting, value)) = entry.split_once('=') else { continue };
            if self.set(client, name, role.as_deref(), setting, value).await.is_err() {
                self.notes.push(format!("The setting {setting} of {database} could not be given to its copies."));
            }
        }
        Ok(())
    }

    /// Gives a copy one setting. The value goes through the session, where the server writes lists as it reads them.
    async fn set(&self, client: &Client, name: &str, role: Option<&str>, setting: &str, value: &str) -> Result<(), tokio_postgres::Error> {
        client.execute("select pg_catalog.set_config($1, $2, false)", &[&setting, &value]).await?;
        let setting: Vec<String> = setting.split('.').map(quoted).collect();
        let setting = setting.join(".");
        let target = match role {
            Some(role) => format!("role {} in database {}", quoted(role), quoted(name)),
            None => format!("database {}", quoted(name)),
        };
        let kept = client.batch_execute(&format!("alter {target} set {setting} from current")).await;
        client.batch_execute(&format!("reset {setting}")).await?;
        kept
    }

    /// Analyzes the first copy and brings it into memory, as far as the role may.
    async fn prepare(&mut self) -> Result<(), CloneError> {
        let client = connect(&self.sources.before).await?;
        client.batch_execute("analyze").await.map_err(server("analyze the copy"))?;
        // Optional: a role that may not, or a server without it, warms up by running the workload.
        let _ = client.batch_execute("create extension if not exists pg_prewarm").await;
        Ok(())
    }

    /// Drops both copies.
    ///
    /// # Errors
    /// [`CloneError::Left`] names what is left.
    pub async fn remove(mut self) -> Result<(), CloneError> {
        self.drop_all().await
    }

    async fn drop_all(&mut self) -> Result<(), CloneError> {
        if self.made.is_empty() {
            return Ok(());
        }
        let left = |names: &[String], reason: String| CloneError::Left { names: names.join(", "), reason };
        let client = connect(&self.maintenance).await.map_err(|error| left(&self.made, error.to_string()))?;
        while let Some(name) = self.made.last() {
            // An interrupted copy may still be under way for a moment.
            client
                .batch_execute(&format!("drop database if exists {} with (force)", quoted(name)))
                .await
                .map_err(|error| left(&self.made, said(&error)))?;
            self.made.pop();
        }
        Ok(())
    }
}

impl Drop for Clones {
    fn drop(&mut self) {
        if self.made.is_empty() {
            return;
        }
        // Reached only on the way out of an error or a panic; a runtime of its own, since the caller's may be gone.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    // There is nobody left to tell; the names say what they are.
                    let _ = runtime.block_on(self.drop_all());
                }
            });
        });
    }
}

/// Connects to the same server, but to another database.
async fn maintenance(source: &Source) -> Result<(Source, Client), CloneError> {
    let others = MAINTENANCE.iter().filter(|name| **name != source.database());
    let mut refused = None;
    for name in others {
        let other = source.clone().with_database(name).with_application_name("pgload/clone");
        match connect(&other).await {
            Ok(client) => return Ok((other, client)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.expect("at least one of two databases has another name").into())
}

async fn sessions(client: &Client, database: &str) -> Result<Vec<String>, CloneError> {
    let rows = client
        .query(include_str!("queries/clone_sessions.sql"), &[&database])
        .await
        .map_err(server(format!("list the sessions of {database}")))?;
    let told = rows.iter().map(|row| {
        let (pid, who, application, state): (i32, String, String, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
        let words: Vec<String> = [who, application, state].into_iter().filter(|word| !word.is_empty()).collect();
        format!("pid {pid} ({})", words.join(", "))
    });
    let told: Vec<String> = told.collect();
    Ok(if told.is_empty() { vec!["a session that has ended since".to_owned()] } else { told })
}

/// Refuses when the disk is known to be too full. It is known for a server on this machine whose folder the role may see.
fn check_space(source: &Source, size: i64, folder: Option<&str>) -> Result<(), CloneError> {
    let Some(folder) = folder.filter(|folder| source.is_loopback() && Path::new(folder).exists()) else { return Ok(()) };
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = (2.0 * size as f64 * ROOM) as u64;
    if needed <= free {
        return Ok(());
    }
    Err(CloneError::Space { database: source.database().to_owned(), needed, free, folder: folder.to_owned() })
}

/// Names that no two runs share.
fn names() -> Diff<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let id = crate::stats::random::bits(now, u64::from(std::process::id()), 0, 0) >> 32;
    Diff { before: format!("pgload_a_{id:08x}"), after: format!("pgload_b_{id:08x}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::source::Environment;

    #[test]
    fn a_full_disk_is_told_before_anything_is_made() {
        let source = Source::resolve(Some("postgres://u@localhost/shop"), &Environment::default()).unwrap();
        let error = check_space(&source, i64::MAX / 4, Some("/")).unwrap_err().to_string();
        assert!(error.starts_with("clone shop twice: that takes about") && error.contains("/ has"), "{error}");
        assert!(check_space(&source, 1, Some("/")).is_ok());
        assert!(check_space(&source, i64::MAX / 4, Some("/no/such/folder")).is_ok() && check_space(&source, i64::MAX / 4, None).is_ok());
    }

    #[test]
    fn the_two_names_share_their_mark() {
        let names = names();
        assert_eq!(names.before.strip_prefix("pgload_a_"), names.after.strip_prefix("pgload_b_"));
        assert_eq!(names.before.len(), "pgload_a_".len() + 8);
    }
}
