//! Makes the change on one side and measures what making it took: time, locks, size.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::PairedError;
use crate::load::Stop;
use crate::migration::history::Event;
use crate::pg::apply::{self, ApplyError};
use crate::pg::{Canceller, Source, connect};
use crate::replay::paired::{Applied, AppliedStep, BuiltIndex, HeldLock};

/// 20 ms: short enough to see a lock that a person could notice, long enough not to be load itself.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is to be tried.
#[derive(Debug, Clone)]
pub enum Change {
    /// The statements of a file.
    Sql {
        /// The file, as the user named it.
        name: String,
        /// Its text.
        text: String,
    },
    /// The pending migrations of a folder.
    Folder(PathBuf),
}

/// Makes the change in the database of `source`.
pub(super) async fn make(source: &Source, control: &Client, change: &Change, stop: &Stop) -> Result<Applied, PairedError> {
    let mut client = connect(source).await?;
    let pid: i32 = client.query_one("select /* pgload */ pg_catalog.pg_backend_pid()", &[]).await?.get(0);
    let indexes_before = indexes(control).await?;
    let mut applied = Applied::default();
    applied.size_bytes.before = size(control).await?;
    let canceller = Canceller::of(&client, source);
    let mut steps: Vec<(String, Instant)> = Vec::new();
    let begun = Instant::now();
    let outcome = {
        let mut on_event = |event: Event| {
            match event {
                // A migration in one transaction is told as a whole, one outside statement by statement.
                Event::Started { version, name } => steps.push((format!("V{version}__{name}"), Instant::now())),
                Event::Running { statement, .. } => steps.push((statement, Instant::now())),
                _ => {}
            }
        };
        let work = run(&mut client, change, &mut on_event);
        let mut locks = Locks::default();
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = locks.watch(control, pid) => unreachable!("the watch never ends"),
            () = stop.requested() => {
                canceller.cancel().await;
                return Err(PairedError::Interrupted);
            }
        };
        applied.lock_wait_ms = locks.waited.as_secs_f64() * 1000.0;
        applied.locks = locks
            .held
            .into_iter()
            .map(|((relation, mode), held)| HeldLock { relation, mode, held_ms: held.as_secs_f64() * 1000.0 })
            .collect();
        outcome
    };
    applied.elapsed_ms = begun.elapsed().as_secs_f64() * 1000.0;
    applied.names = outcome?;
    let ends = steps.iter().skip(1).map(|(_, at)| *at).chain(std::iter::once(begun + Duration::from_secs_f64(applied.elapsed_ms / 1000.0)));
    let ends: Vec<Instant> = ends.collect();
    applied.steps = steps
        .into_iter()
        .zip(ends)
        .map(|((statement, from), to)| AppliedStep { statement, elapsed_ms: to.saturating_duration_since(from).as_secs_f64() * 1000.0 })
        .collect();
    let new = indexes(control).await?.into_iter().filter(|(name, _)| !indexes_before.contains_key(name));
    applied.indexes = new.map(|(name, size_bytes)| BuiltIndex { name, size_bytes }).collect();
    applied.size_bytes.after = size(control).await?;
    learn_expressions(control).await?;
    Ok(applied)
}

async fn run(client: &mut Client, change: &Change, on_event: apply::OnEvent<'_>) -> Result<Vec<String>, ApplyError> {
    match change {
        Change::Sql { name, text } => {
            apply::file(client, name, text, on_event).await?;
            Ok(vec![name.clone()])
        }
        Change::Folder(folder) => {
            let outcome = apply::up(client, folder, on_event).await?;
            Ok(outcome.applied.into_iter().map(|done| format!("V{}__{}", done.version, done.name)).collect())
        }
    }
}

/// The planner knows nothing of a new index's expression until its table was analyzed; on a live server autovacuum would.
async fn learn_expressions(control: &Client) -> Result<(), PairedError> {
    for row in control.query(include_str!("../queries/unanalyzed_expressions.sql"), &[]).await? {
        control.batch_execute(&format!("analyze {}", row.get::<_, String>(0))).await?;
    }
    Ok(())
}

async fn indexes(control: &Client) -> Result<BTreeMap<String, u64>, PairedError> {
    let rows = control.query(include_str!("../queries/user_indexes.sql"), &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap_or(0))).collect())
}

async fn size(control: &Client) -> Result<u64, PairedError> {
    let row = control.query_one("select /* pgload */ pg_catalog.pg_database_size(pg_catalog.current_database())::int8", &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// What a session was seen to hold and to wait for.
#[derive(Debug, Default)]
struct Locks {
    waited: Duration,
    held: BTreeMap<(String, String), Duration>,
}

impl Locks {
    async fn watch(&mut self, control: &Client, pid: i32) {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let rows = control.query(include_str!("../queries/locks_of.sql"), &[&pid]).await.unwrap_or_default();
            let now = Instant::now();
            let passed = now - last;
            last = now;
            if rows.iter().any(|row| !row.get::<_, bool>(2)) {
                self.waited += passed;
            }
            for row in rows.iter().filter(|row| row.get::<_, bool>(2)) {
                if let Some(relation) = row.get::<_, Option<String>>(0) {
                    *self.held.entry((relation, row.get(1))).or_default() += passed;
                }
            }
        }
    }
}
