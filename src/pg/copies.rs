//! Copies of a database on its own server, made from it as a template and always dropped.

use std::path::Path;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::catalog::name::quoted;
use crate::load::Stop;
use crate::pg::replay::Fault;
use crate::pg::{Canceller, ConnectError, Source, connect};

/// Databases every server has; one of them holds the connection from which the others are made.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// A tenth more than the copies themselves: what is written to them, and the server's log of it.
const ROOM: f64 = 1.1;

/// 256 MB: above it files are copied as they are instead of being written to the log once more.
const LARGE: i64 = 256 << 20;

/// Why no copies were made.
#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A template must have no connections.
    #[error("copy {database}: it is being used by {}. A template must have no connections: close them, or {instead}", sessions.join(", "))]
    Busy {
        /// The database.
        database: String,
        /// What to do without copies.
        instead: &'static str,
        /// Its sessions, each as `pid 12 (user, application, state)`.
        sessions: Vec<String>,
    },
    /// The disk is too full.
    #[error("copy {database} ({copies} x): that takes about {needed} bytes and {folder} has {free} free")]
    Space {
        /// The database.
        database: String,
        /// How many copies.
        copies: usize,
        /// Bytes for all copies.
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
    #[error("copy the database: interrupted; what had been made was dropped")]
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

impl CloneError {
    /// Returns whose fault it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Connect(_) => Fault::Connection,
            Self::Server { source, .. } if source.code().is_none() => Fault::Connection,
            Self::Busy { .. } => Fault::Refused,
            Self::Server { .. } | Self::Space { .. } | Self::Interrupted | Self::Left { .. } => Fault::Other,
        }
    }
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| format!("{} ({})", db.message(), db.code().code()))
}

fn server(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> CloneError {
    let doing = doing.into();
    move |source| CloneError::Server { doing, source }
}

/// Copies of one database; dropped when this is, also on the way out of an error.
#[derive(Debug)]
pub struct Copies {
    /// Where to connect to each.
    pub sources: Vec<Source>,
    /// How large the database was, in bytes.
    pub size_bytes: u64,
    /// What could not be done, as sentences.
    pub notes: Vec<String>,
    maintenance: Source,
    /// The databases made so far.
    made: Vec<String>,
}

impl Copies {
    /// Copies the database of `source` once for each of `names`; `instead` tells what to do where that is not possible.
    ///
    /// Nobody may be connected to it, this program included. Its settings (`ALTER DATABASE … SET`) are copied too. Where there
    /// are several, the first one is analyzed and the others are made from it: all then have the same statistics to the last
    /// histogram bound.
    ///
    /// # Errors
    /// [`CloneError`]; nothing is left behind then.
    pub async fn make(source: &Source, names: &[&str], instead: &'static str, stop: &Stop) -> Result<Self, CloneError> {
        let database = source.database();
        let (maintenance, client) = maintenance(source).await?;
        let row = client
            .query_one(include_str!("queries/clone_facts.sql"), &[&database])
            .await
            .map_err(server(format!("measure the database {database}")))?;
        let (size, version, folder): (i64, i32, Option<String>) = (row.get(0), row.get(1), row.get(2));
        check_space(source, names.len(), size, folder.as_deref())?;
        let sources = names.iter().map(|name| source.clone().with_database(name)).collect();
        let size_bytes = u64::try_from(size).unwrap_or(0);
        let mut copies = Self { sources, size_bytes, notes: Vec::new(), maintenance, made: Vec::new() };
        let strategy = if version >= 150_000 && size > LARGE { " strategy file_copy" } else { "" };
        let canceller = Canceller::of(&client, &copies.maintenance);
        let made = tokio::select! {
            made = copies.all(&client, database, names, strategy, instead) => made,
            () = stop.requested() => {
                canceller.cancel().await;
                Err(CloneError::Interrupted)
            }
        };
        match made {
            Ok(()) => Ok(copies),
            Err(error) => {
                drop(client);
                copies.remove().await?;
                Err(error)
            }
        }
    }

    async fn all(
        &mut self,
        client: &Client,
        database: &str,
        names: &[&str],
        strategy: &str,
        instead: &'static str,
    ) -> Result<(), CloneError> {
        let mut template = database;
        for (number, name) in names.iter().enumerate() {
            // Listed first: a copy that was cut off half-way must be dropped too.
            self.made.push((*name).to_owned());
            let sql = format!("create database {} template {}{strategy}", quoted(name), quoted(template));
            if let Err(source) = client.batch_execute(&sql).await {
                if source.code() == Some(&SqlState::OBJECT_IN_USE) {
                    return Err(CloneError::Busy { database: template.to_owned(), instead, sessions: sessions(client, template).await? });
                }
                return Err(CloneError::Server { doing: format!("copy {template}"), source });
            }
            self.take_over_settings(client, database, name).await?;
            if number == 0 && names.len() > 1 {
                self.prepare().await?;
                template = name;
            }
        }
        Ok(())
    }

    /// Sets for a copy what `ALTER DATABASE … SET` sets for the original: a template does not carry it over.
    async fn take_over_settings(&mut self, client: &Client, database: &str, name: &str) -> Result<(), CloneError> {
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
        client.execute("select /* pgload */ pg_catalog.set_config($1, $2, false)", &[&setting, &value]).await?;
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
        let client = connect(&self.sources[0]).await?;
        client.batch_execute("analyze").await.map_err(server("analyze the copy"))?;
        // Optional: a role that may not, or a server without it, warms up by running the workload.
        let _ = client.batch_execute("create extension if not exists pg_prewarm").await;
        Ok(())
    }

    /// Drops the copies.
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

impl Drop for Copies {
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
fn check_space(source: &Source, copies: usize, size: i64, folder: Option<&str>) -> Result<(), CloneError> {
    let Some(folder) = folder.filter(|folder| source.is_loopback() && Path::new(folder).exists()) else { return Ok(()) };
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = (copies as f64 * size as f64 * ROOM) as u64;
    if needed <= free {
        return Ok(());
    }
    Err(CloneError::Space { database: source.database().to_owned(), copies, needed, free, folder: folder.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::source::Environment;

    #[test]
    fn a_full_disk_is_told_before_anything_is_made() {
        let source = Source::resolve(Some("postgres://u@localhost/shop"), &Environment::default()).unwrap();
        let error = check_space(&source, 2, i64::MAX / 4, Some("/")).unwrap_err().to_string();
        assert!(error.starts_with("copy shop (2 x): that takes about") && error.contains("/ has"), "{error}");
        assert!(check_space(&source, 2, 1, Some("/")).is_ok());
        assert!(check_space(&source, 2, i64::MAX / 4, Some("/no/such/folder")).is_ok());
        assert!(check_space(&source, 2, i64::MAX / 4, None).is_ok());
    }
}
