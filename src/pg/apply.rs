//! Applies migrations and takes them back: the only code that changes a user's database.
//!
//! refinery keeps the history (`refinery_schema_history`) and decides what may run; a session of our own decides how.
//! Each migration is handed to it alone, so that what had happened when one failed is known. A run cut off half-way is
//! simply run again: nothing applied twice, and an index whose build was interrupted is dropped and built anew.

mod error;
mod folder;
mod history;
mod obstacles;
mod session;

use std::path::Path;
use std::time::Instant;

use refinery_core::Runner;
use refinery_core::error::Kind;
use refinery_core::traits::r#async::AsyncTransaction;
use tokio_postgres::Client;

pub use error::{ApplyError, Failure, StepError};
pub use session::OnEvent;

use self::folder::{File, Folder};
use self::history::Row;
use self::session::Session;
use crate::migration::ddl;
use crate::migration::history::{BuildProgress, Done, Entry, Event, Outcome, Plan, State, Status, Step, Warning};
use crate::migration::statements::{needs_no_transaction, split};

/// The advisory lock that runs of pgload on one database share: `pgload` and a zero, in ASCII.
const ADVISORY_LOCK: i64 = 0x7067_6c6f_6164_0000;

/// Returns where every migration of the folder and of the history stands. Changes nothing.
///
/// # Errors
/// [`ApplyError::File`] for a file refinery cannot read, [`ApplyError::Server`] when the server does not answer.
pub async fn status(client: &Client, directory: &Path) -> Result<Status, ApplyError> {
    let folder = Folder::read(directory)?;
    let rows = read_history(client).await?;
    Ok(compared(&folder, &rows))
}

/// Returns what [`up`] would do, with the statements it would run. Changes nothing.
///
/// # Errors
/// As [`up`] before its first statement.
pub async fn plan(client: &Client, directory: &Path) -> Result<Plan, ApplyError> {
    let folder = Folder::read(directory)?;
    let rows = read_history(client).await?;
    let pending = pending(client, &folder, &rows).await?;
    let pending: Vec<Step> = pending.into_iter().map(step).collect();
    let concurrent = pending.iter().any(|step| !step.transactional);
    let warnings = if concurrent { obstacles::blockers(client).await.map_err(server("list open transactions"))? } else { Vec::new() };
    let applied = compared(&folder, &rows).entries.into_iter().filter(|entry| entry.state == State::Applied).collect();
    Ok(Plan { applied, pending, warnings })
}

/// Applies every pending migration in the order of versions, also those below the latest applied.
///
/// Holds an advisory lock, so give it a connection of its own: the lock goes with the connection when the future is
/// dropped. A server goes on building for a client that went away; cancel the statement before leaving.
///
/// # Errors
/// [`ApplyError`]; nothing has run unless it is [`ApplyError::Failed`], which says what had.
pub async fn up(client: &mut Client, directory: &Path, on_event: OnEvent<'_>) -> Result<Outcome, ApplyError> {
    let folder = Folder::read(directory)?;
    lock(client).await?;
    let outcome = up_locked(client, &folder, on_event).await;
    unlock(client, outcome).await
}

/// Runs the statements of one file without keeping a history: in one transaction, or one by one where a statement of it
/// cannot run in any. For databases that are thrown away.
///
/// # Errors
/// [`ApplyError::Failed`] with what the server said and how far it got.
pub async fn file(client: &mut Client, name: &str, text: &str, on_event: OnEvent<'_>) -> Result<Done, ApplyError> {
    let begun = Instant::now();
    let mut warnings = Vec::new();
    let mut session = Session { client, horizon: 0, on_event, healed: Vec::new(), warnings: &mut warnings };
    session.alone(text).await.map_err(|error| failed(Vec::new(), name.to_owned(), Vec::new(), error.into()))?;
    let elapsed_ms = begun.elapsed().as_secs_f64() * 1000.0;
    Ok(Done { version: 0, name: name.to_owned(), elapsed_ms, healed: session.healed })
}

/// Takes back one applied migration by its `.down.sql` and removes its history row; others stay as they are.
///
/// # Errors
/// [`ApplyError::NotApplied`], [`ApplyError::NoDownFile`], or [`ApplyError::Failed`] with what the server said.
pub async fn down(client: &mut Client, directory: &Path, version: i64, on_event: OnEvent<'_>) -> Result<Done, ApplyError> {
    let folder = Folder::read(directory)?;
    lock(client).await?;
    let outcome = down_locked(client, &folder, version, on_event).await;
    unlock(client, outcome).await
}

/// Returns the index builds running in this database; ask over another connection than the one that builds.
///
/// # Errors
/// [`ApplyError::Server`] when the server does not answer.
pub async fn progress(client: &Client) -> Result<Vec<BuildProgress>, ApplyError> {
    obstacles::progress(client).await.map_err(server("read the progress of index builds"))
}

async fn up_locked(client: &mut Client, folder: &Folder, on_event: OnEvent<'_>) -> Result<Outcome, ApplyError> {
    let rows = read_history(client).await?;
    let pending = pending(client, folder, &rows).await?;
    let mut outcome = Outcome { applied_before: rows.len(), ..Outcome::default() };
    for (number, file) in pending.iter().enumerate() {
        match apply(client, folder, file, on_event, &mut outcome.warnings).await {
            Ok(done) => outcome.applied.push(done),
            Err(error) => {
                let labels = |files: &[&File]| files.iter().map(|file| file.migration.to_string()).collect();
                return Err(failed(labels(&pending[..number]), file.migration.to_string(), labels(&pending[number + 1..]), error));
            }
        }
    }
    Ok(outcome)
}

async fn apply(
    client: &mut Client,
    folder: &Folder,
    file: &File,
    on_event: OnEvent<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Done, Box<dyn std::error::Error + Send + Sync>> {
    let version = file.migration.version();
    let name = file.migration.name().to_owned();
    on_event(Event::Started { version, name: name.clone() });
    let begun = Instant::now();
    // refinery checks the files up to this one against the history up to this one, and finds this one alone to apply.
    let known: Vec<_> = folder.files.range(..=version).map(|(_, file)| file.migration.clone()).collect();
    let mut session = Session { client, horizon: version, on_event, healed: Vec::new(), warnings };
    Runner::new(&known).run_async(&mut session).await?;
    let done = Done { version, name, elapsed_ms: begun.elapsed().as_secs_f64() * 1000.0, healed: std::mem::take(&mut session.healed) };
    (session.on_event)(Event::Finished(done.clone()));
    Ok(done)
}

async fn down_locked(client: &mut Client, folder: &Folder, version: i64, on_event: OnEvent<'_>) -> Result<Done, ApplyError> {
    let rows = read_history(client).await?;
    let row = rows.into_iter().find(|row| row.version == version).ok_or(ApplyError::NotApplied { version })?;
    let path = folder.downs.get(&version).ok_or_else(|| ApplyError::NoDownFile { version, folder: folder.path.clone() })?;
    let text = std::fs::read_to_string(path).map_err(|error| ApplyError::File { path: path.clone(), reason: error.to_string() })?;
    on_event(Event::Started { version, name: row.name.clone() });
    let begun = Instant::now();
    let mut warnings = Vec::new();
    let mut session = Session { client, horizon: version, on_event, healed: Vec::new(), warnings: &mut warnings };
    let forget = ddl::forget_migration(version);
    let label = format!("V{version}__{}.down", row.name);
    session
        .execute([text.as_str(), forget.as_str()].into_iter())
        .await
        .map_err(|error| failed(Vec::new(), label, Vec::new(), error.into()))?;
    let done =
        Done { version, name: row.name, elapsed_ms: begun.elapsed().as_secs_f64() * 1000.0, healed: std::mem::take(&mut session.healed) };
    (session.on_event)(Event::Finished(done.clone()));
    Ok(done)
}

/// Returns the files to apply, or why none may be: one error before anything has run beats one in the middle.
async fn pending<'a>(client: &Client, folder: &'a Folder, rows: &[Row]) -> Result<Vec<&'a File>, ApplyError> {
    for row in rows {
        let (version, name) = (row.version, row.name.clone());
        match folder.files.get(&version) {
            None => return Err(ApplyError::Missing { version, name, folder: folder.path.clone() }),
            Some(file) if changed(file, row)? => return Err(ApplyError::Changed { version, name, path: file.path.clone() }),
            Some(_) => {}
        }
    }
    let applied = |version: i64| rows.iter().any(|row| row.version == version);
    let pending: Vec<&File> = folder.files.iter().filter(|(version, _)| !applied(**version)).map(|(_, file)| file).collect();
    let too_wide = pending.iter().map(|file| file.migration.version()).find(|version| i32::try_from(*version).is_err());
    if let Some(version) = too_wide {
        let kind = history::version_type(client).await.map_err(server("look for the migration history"))?;
        if kind.as_deref() == Some("integer") {
            return Err(ApplyError::NarrowHistory { version });
        }
    }
    Ok(pending)
}

fn changed(file: &File, row: &Row) -> Result<bool, ApplyError> {
    Ok(row.clone().into_migration()? != file.migration)
}

fn compared(folder: &Folder, rows: &[Row]) -> Status {
    let text = |path: &Path| path.display().to_string();
    let mut entries: Vec<Entry> = rows
        .iter()
        .map(|row| {
            let file = folder.files.get(&row.version);
            let state = match file {
                None => State::Missing,
                Some(file) => match changed(file, row) {
                    Ok(false) => State::Applied,
                    Ok(true) | Err(_) => State::Changed,
                },
            };
            Entry {
                version: row.version,
                name: row.name.clone(),
                state,
                applied_at: row.applied_at(),
                file: file.map(|file| text(&file.path)),
                down_file: folder.downs.get(&row.version).map(|path| text(path)),
            }
        })
        .collect();
    for (version, file) in &folder.files {
        if rows.iter().all(|row| row.version != *version) {
            entries.push(Entry {
                version: *version,
                name: file.migration.name().to_owned(),
                state: State::Pending,
                applied_at: None,
                file: Some(text(&file.path)),
                down_file: folder.downs.get(version).map(|path| text(path)),
            });
        }
    }
    entries.sort_by_key(|entry| entry.version);
    Status { directory: text(&folder.path), entries }
}

fn step(file: &File) -> Step {
    let statements = split(file.migration.sql().unwrap_or_default());
    Step {
        version: file.migration.version(),
        name: file.migration.name().to_owned(),
        file: file.path.display().to_string(),
        transactional: !statements.iter().any(|statement| needs_no_transaction(statement)),
        statements: statements.into_iter().map(str::to_owned).collect(),
    }
}

async fn read_history(client: &Client) -> Result<Vec<Row>, ApplyError> {
    history::rows(client).await.map_err(server("read refinery_schema_history"))
}

/// Takes the lock or fails at once. Waiting for it would hold a snapshot, for which the other run's concurrent build
/// waits in turn: a deadlock.
async fn lock(client: &Client) -> Result<(), ApplyError> {
    let taken = client
        .query_one("select /* pgload */ pg_catalog.pg_try_advisory_lock($1)", &[&ADVISORY_LOCK])
        .await
        .map_err(server("lock migrations"))?;
    if taken.get(0) {
        return Ok(());
    }
    let holder = include_str!("queries/migration_lock_holder.sql");
    let pid = client.query_opt(holder, &[&ADVISORY_LOCK]).await.map_err(server("lock migrations"))?.and_then(|row| row.get(0));
    Err(ApplyError::Busy { pid })
}

/// Releases the lock; a failure to do so matters only where everything before it went well.
async fn unlock<T>(client: &Client, outcome: Result<T, ApplyError>) -> Result<T, ApplyError> {
    let released = client.execute("select pg_catalog.pg_advisory_unlock($1)", &[&ADVISORY_LOCK]).await;
    let value = outcome?;
    released.map_err(server("unlock migrations"))?;
    Ok(value)
}

fn server(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> ApplyError {
    move |source| ApplyError::Server { doing, source }
}

/// Makes the error of a failed migration, the server's words and code taken from below refinery's.
fn failed(applied: Vec<String>, failed: String, untried: Vec<String>, source: Box<dyn std::error::Error + Send + Sync>) -> ApplyError {
    let step = source.downcast_ref::<StepError>().or_else(|| match source.downcast_ref::<refinery_core::Error>()?.kind() {
        Kind::Connection(_, below) => below.downcast_ref::<StepError>(),
        _ => None,
    });
    let reason = step.map_or_else(|| source.to_string(), |step| step.reason.clone());
    let sqlstate = step.and_then(|step| step.source.as_ref()?.code().map(|code| code.code().to_owned()));
    ApplyError::Failed(Box::new(Failure { applied, failed, untried, reason, sqlstate, source }))
}
