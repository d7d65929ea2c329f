//! Runs a workload against a database: draw, open, warm up, measure, put together.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::Client;

use crate::load::{Arrival, Clock, Ended, Plan, Progress, Stop, WARM_UP_CALLS, drive};
use crate::pg::measure::{self, Counts, Explained, MeasureError, Server};
use crate::pg::sample::{self, SampleError};
use crate::pg::session::{APPLICATION_NAME, OpenError, SqlSession, SqlTarget, Writes};
use crate::pg::{ConnectError, Source, connect};
use crate::replay::outcome::{Setting, histograms, run_of};
use crate::replay::{Blocks, Program, Run, Samples, Script, ScriptError, StatementPlan, Workload};
use crate::stats::histogram::Tagged;

/// How a workload is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How calls are spaced, and over how many sessions.
    pub arrival: Arrival,
    /// Calls are started for this long.
    pub duration: Duration,
    /// Calls are made, but not measured, for this long before.
    pub warm_up: Duration,
    /// The seed of samples, statements, parameters and arrivals.
    pub seed: u64,
    /// What may be changed.
    pub writes: Writes,
    /// At most this many calls are measured.
    pub max_calls: Option<u64>,
    /// Calls under way at the end may take this long.
    pub drain: Duration,
}

impl Settings {
    /// Returns settings without writes and without a limit on calls, with 30 s to drain.
    pub fn new(arrival: Arrival, duration: Duration, warm_up: Duration, seed: u64) -> Self {
        Self { arrival, duration, warm_up, seed, writes: Writes::Readonly, max_calls: None, drain: Duration::from_secs(30) }
    }
}

/// What a run leaves behind.
#[derive(Debug)]
pub struct Replayed {
    /// The result, to be saved as `run.json`.
    pub run: Run,
    /// The rows parameters came from; the run after the change must be given the same.
    pub samples: Samples,
    /// The histograms, to be saved with [`crate::stats::histogram::write_hlog`].
    pub histograms: Vec<Tagged>,
}

/// Which part of a run reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Calls are made and not measured.
    WarmUp,
    /// Calls are measured.
    Measured,
}

/// Why a run did not start.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The worker's runtime could not be made.
    #[error("start the load worker: {0}")]
    Worker(#[from] io::Error),
    /// No connection for drawing samples and reading counts.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Samples could not be drawn.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The workload makes no calls.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A session could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server's facts could not be read.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The server went away before anything was measured.
    #[error("warm up: the server could no longer be reached, nothing was measured")]
    LostInWarmUp,
}

/// Whose fault it was that a run did not start; the command line's exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server was not reached.
    Connection,
    /// The workload does not fit the database or itself.
    Workload,
    /// Something else failed.
    Other,
}

impl ReplayError {
    /// Returns whose fault it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Connect(_) | Self::Open(OpenError::Connect(_)) | Self::LostInWarmUp => Fault::Connection,
            Self::Script(_) | Self::Open(OpenError::Statement { .. }) => Fault::Workload,
            Self::Sample(SampleError::NoTable { .. } | SampleError::NoColumn { .. } | SampleError::Empty { .. }) => Fault::Workload,
            Self::Worker(_) | Self::Sample(_) | Self::Open(_) | Self::Measure(_) => Fault::Other,
        }
    }
}

/// Runs a workload and returns what it showed; blocks until it is over.
///
/// Everything happens on one thread of its own, so it may be called from anywhere; from async code, through
/// `spawn_blocking`. `samples` are those of an earlier run; without them, rows are drawn. `progress` is called about once
/// a second from that thread. A server that goes away while measuring ends the run early (`partial`), with what was
/// measured.
///
/// # Errors
/// [`ReplayError`] when the run could not start; [`ReplayError::fault`] says whose fault it was.
pub fn run(
    source: &Source,
    workload: &Workload,
    settings: &Settings,
    samples: Option<Samples>,
    progress: &(dyn Fn(Phase, &Progress) + Sync),
    stop: &Stop,
) -> Result<Replayed, ReplayError> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name("pgload-replay".to_owned()).spawn_scoped(scope, || {
            // One thread: the driver's futures never move, and a client of one thread equals pgbench's.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(on_worker(source, workload, settings, samples, progress, stop))
        })?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

async fn on_worker(
    source: &Source,
    workload: &Workload,
    settings: &Settings,
    samples: Option<Samples>,
    progress: &(dyn Fn(Phase, &Progress) + Sync),
    stop: &Stop,
) -> Result<Replayed, ReplayError> {
    let source = &source.clone().with_application_name(APPLICATION_NAME);
    let mut control = connect(source).await?;
    let server = measure::server(&control).await?;
    let samples = match samples {
        Some(samples) => samples,
        None => sample::draw(&mut control, workload, settings.seed).await?,
    };
    let script = Script::new(workload, &samples, settings.seed, settings.writes)?;
    let target = SqlTarget { source, program: &script, writes: settings.writes };
    let mut sessions: Vec<SqlSession<'_>> = try_join_all((0..settings.arrival.sessions()).map(|number| target.open(number))).await?;
    let clock = Clock::precise()?;

    let plan =
        Plan { max_calls: settings.max_calls, drain: settings.drain, ..Plan::new(settings.arrival, settings.seed, settings.duration) };
    if !settings.warm_up.is_zero() {
        let warm_up = Plan { first_call: WARM_UP_CALLS, max_calls: None, duration: settings.warm_up, ..plan.clone() };
        let warmed = drive(&target, &mut sessions, &warm_up, &clock, stop, &|said| progress(Phase::WarmUp, said)).await;
        if warmed.ended == Ended::Lost {
            return Err(ReplayError::LostInWarmUp);
        }
    }

    let mut caveats = left_out(workload, settings.writes);
    let mut observer = Observer::new(&control, &server, &script, &mut caveats).await;
    observer.begin(&mut caveats).await;
    let started_at = Timestamp::now();
    let recording = drive(&target, &mut sessions, &plan, &clock, stop, &|said| progress(Phase::Measured, said)).await;
    let blocks = observer.end(&mut caveats).await;
    let plans = observer.plans();
    drop(sessions);

    if clock.resolution() > Duration::from_millis(1) && matches!(settings.arrival, Arrival::Open { .. }) {
        caveats.push("This system has no precise timer: calls may have been sent up to 1.5 ms late.".to_owned());
    }
    let run = run_of(
        Setting {
            name: &workload.name,
            text: &workload.text,
            program: &script,
            arrival: settings.arrival,
            seed: settings.seed,
            started_at,
            about: about(settings, &server, &samples),
            server: facts(&server),
            blocks,
            plans,
            caveats,
        },
        &recording,
    );
    let histograms = histograms(&script, &recording);
    Ok(Replayed { run, samples, histograms })
}

fn about(settings: &Settings, server: &Server, samples: &Samples) -> BTreeMap<String, serde_json::Value> {
    let entries = [
        ("pgload", json!(env!("CARGO_PKG_VERSION"))),
        ("server", json!(server.version)),
        ("database", json!(server.database)),
        ("clients", json!(settings.arrival.sessions())),
        ("writes", json!(settings.writes.name())),
        ("samples", json!(samples.digest())),
        ("warm_up_ms", json!(settings.warm_up.as_secs_f64() * 1000.0)),
        ("max_calls", json!(settings.max_calls)),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn facts(server: &Server) -> BTreeMap<String, serde_json::Value> {
    let entries = [("version_num", json!(server.version_num)), ("shared_buffers", json!(server.shared_buffers))];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Says what a read-only run leaves out.
fn left_out(workload: &Workload, writes: Writes) -> Vec<String> {
    let alone = workload.statements.iter().map(|statement| (statement.name.as_str(), statement.weight, statement.writes));
    let together = workload.transactions.iter();
    let together = together.map(|transaction| (transaction.name.as_str(), transaction.weight, transaction.writes(&workload.statements)));
    let writing: Vec<_> = alone.chain(together).filter(|(_, weight, writes)| *writes && *weight > 0.0).collect();
    match writes {
        Writes::Readonly if !writing.is_empty() => {
            let share = 100.0 * writing.iter().map(|(_, weight, _)| weight).sum::<f64>() / workload.weight(false);
            let names = writing.iter().map(|(name, _, _)| *name).collect::<Vec<_>>().join(", ");
            vec![format!("Read-only run: {names} ({share:.0} % of the workload's calls) were left out because they write.")]
        }
        Writes::Rollback if !writing.is_empty() => {
            vec!["Writes were rolled back: what a commit costs is not measured, and dead rows were left behind.".to_owned()]
        }
        _ => Vec::new(),
    }
}

/// Watches a run from the server's side.
struct Observer<'a> {
    control: &'a Client,
    /// Where statements are counted; `None` where they are not, or no longer.
    schema: Option<&'a str>,
    /// By statement.
    explained: Vec<Option<Explained>>,
    before: Option<Counts>,
}

impl<'a> Observer<'a> {
    /// Plans every statement with the parameters of its first call.
    async fn new(control: &'a Client, server: &'a Server, program: &dyn Program, caveats: &mut Vec<String>) -> Self {
        let mut all = Vec::with_capacity(program.statements().len());
        for (index, statement) in program.statements().iter().enumerate() {
            let example = if statement.called { program.example(index) } else { None };
            let Some(args) = example else {
                all.push(None);
                continue;
            };
            match measure::explain(control, &statement.sql, &args).await {
                Ok(explained) => all.push(Some(explained)),
                Err(error) => {
                    caveats.push(format!("Statement {} could not be explained: {}.", statement.name, said(&error)));
                    all.push(None);
                }
            }
        }
        let mut observer = Self { control, schema: server.statements_schema.as_deref(), explained: all, before: None };
        if observer.schema.is_none() {
            caveats
                .push("Blocks are not counted: this database lacks pg_stat_statements (create extension pg_stat_statements).".to_owned());
        } else if observer.ids().is_empty() {
            caveats.push("Blocks are not counted: the server computes no query ids (compute_query_id).".to_owned());
            observer.schema = None;
        }
        for (index, statement) in program.statements().iter().enumerate() {
            if observer.id(index).is_some() && observer.unshared(index).is_none() {
                caveats.push(format!("Blocks of {} are not counted: another statement differs only in its constants.", statement.name));
            }
        }
        observer
    }

    fn id(&self, index: usize) -> Option<i64> {
        self.explained.get(index)?.as_ref()?.query_id
    }

    /// Returns the statement's number unless another statement has the same.
    fn unshared(&self, index: usize) -> Option<i64> {
        let id = self.id(index)?;
        let same = (0..self.explained.len()).filter(|other| self.id(*other) == Some(id)).count();
        (same == 1).then_some(id)
    }

    fn ids(&self) -> Vec<i64> {
        (0..self.explained.len()).filter_map(|index| self.id(index)).collect()
    }

    async fn count(&self, caveats: &mut Vec<String>) -> Option<Counts> {
        match measure::counts(self.control, self.schema?, &self.ids()).await {
            Ok(counts) => Some(counts),
            Err(error) => {
                caveats.push(format!("Blocks are not counted: {}.", said(&error)));
                None
            }
        }
    }

    async fn begin(&mut self, caveats: &mut Vec<String>) {
        self.before = self.count(caveats).await;
    }

    /// Returns the blocks since the beginning, by statement.
    async fn end(&self, caveats: &mut Vec<String>) -> Vec<Option<Blocks>> {
        let none = || vec![None; self.explained.len()];
        let Some(before) = &self.before else { return none() };
        let Some(after) = self.count(caveats).await else { return none() };
        (0..self.explained.len()).map(|index| measure::between(before, &after, self.unshared(index)?)).collect()
    }

    fn plans(&self) -> Vec<Option<StatementPlan>> {
        self.explained.iter().map(|explained| Some(explained.as_ref()?.plan.clone())).collect()
    }
}

/// What the server said, else the driver, without a full stop.
fn said(error: &MeasureError) -> String {
    let text = match error {
        MeasureError::Query(source) => source.as_db_error().map_or_else(|| source.to_string(), |db| db.message().to_owned()),
        MeasureError::Row(row) => row.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}
