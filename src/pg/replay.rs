//! Runs a workload against a database: draw, open, warm up, measure, put together.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

use crate::load::events::{Header, write_header};
use crate::load::{Arrival, Clock, Ended, Overflow, Plan, Progress, Stop, WARM_UP_CALLS};
use crate::pg::copies::{CloneError, Copies};
use crate::pg::measure::{self, MeasureError, Server};
use crate::pg::monitor::{self, MonitorError};
use crate::pg::observe::Observer;
use crate::pg::sample::{self, SampleError};
use crate::pg::session::{APPLICATION_NAME, OpenError, SqlTarget, Writes};
use crate::pg::workers::Workers;
use crate::pg::writable::{self, WritableError};
use crate::pg::{ConnectError, Source, connect};
use crate::profile::{Observation, Profile};
use crate::replay::captured::TimelineError;
use crate::replay::outcome::{Setting, histograms, run_of};
use crate::replay::pgbench::SuiteError;
use crate::replay::{Derived, Fidelity, Program, Run, Samples, Script, ScriptError, Workload};
use crate::stats::histogram::Tagged;

/// How a workload is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How calls are spaced, and over how many sessions.
    pub arrival: Arrival,
    /// What becomes of calls that are due while all sessions are busy (open loop).
    pub overflow: Overflow,
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
    /// Worker threads, each with its own share of the sessions.
    pub jobs: usize,
    /// Sessions that share one connection.
    pub pipeline: usize,
    /// Whether the server's views are watched over the measured part, on a connection of their own.
    pub profile: bool,
}

impl Settings {
    /// Returns settings without writes and without a limit on calls, with 30 s to drain, one worker and a connection a
    /// session.
    pub fn new(arrival: Arrival, duration: Duration, warm_up: Duration, seed: u64) -> Self {
        Self {
            arrival,
            overflow: Overflow::Queue,
            duration,
            warm_up,
            seed,
            writes: Writes::Readonly,
            max_calls: None,
            drain: Duration::from_secs(30),
            jobs: 1,
            pipeline: 1,
            profile: false,
        }
    }

    /// Returns the measured part as the engine takes it.
    fn plan(&self, events: bool) -> Plan {
        Plan {
            overflow: self.overflow,
            max_calls: self.max_calls,
            drain: self.drain,
            events,
            ..Plan::new(self.arrival.clone(), self.seed, self.duration)
        }
    }

    /// Returns the part before it.
    fn warm_up_plan(&self) -> Plan {
        let plan = self.plan(false);
        Plan { arrival: self.arrival.warm_up(), first_call: WARM_UP_CALLS, max_calls: None, duration: self.warm_up, ..plan }
    }
}

/// What watches a run while it is made.
pub struct Watch<'a> {
    /// Called about once a second.
    pub progress: &'a (dyn Fn(Phase, &Progress) + Sync),
    /// Ends the run early.
    pub stop: &'a Stop,
    /// Where every measured call is written on its own, as [`crate::load::events`] has them.
    pub events: Option<&'a mut (dyn Write + Send)>,
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
    /// A worker's thread, runtime or timer could not be made.
    #[error("start the load workers: {0}")]
    Worker(#[from] io::Error),
    /// The events could not be written.
    #[error("write the events: {0}")]
    Events(#[source] io::Error),
    /// The database may not be written to.
    #[error(transparent)]
    Writable(#[from] WritableError),
    /// The copy to write to was not made.
    #[error(transparent)]
    Copy(#[from] CloneError),
    /// Statements of transactions cannot share a connection with other sessions.
    #[error("share connections between sessions (--pipeline): the workload has transactions or rolls its writes back")]
    Pipeline,
    /// No connection for drawing samples and reading counts.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Samples could not be drawn.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The workload makes no calls.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The pgbench scripts cannot be played.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// The captured traffic cannot be played.
    #[error(transparent)]
    Captured(#[from] TimelineError),
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
    /// A rule that keeps writes away from where they do harm.
    Refused,
    /// Something else failed.
    Other,
}

impl ReplayError {
    /// Returns whose fault it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Connect(_) | Self::Open(OpenError::Connect(_)) | Self::LostInWarmUp => Fault::Connection,
            Self::Copy(error) => error.fault(),
            Self::Writable(error) if error.is_refusal() => Fault::Refused,
            Self::Captured(TimelineError::Calls(_) | TimelineError::Nothing(_)) => Fault::Workload,
            Self::Pipeline | Self::Script(_) | Self::Suite(_) | Self::Open(OpenError::Statement { .. }) => Fault::Workload,
            Self::Sample(SampleError::NoTable { .. } | SampleError::NoColumn { .. } | SampleError::Empty { .. }) => Fault::Workload,
            Self::Worker(_)
            | Self::Events(_)
            | Self::Captured(_)
            | Self::Writable(_)
            | Self::Sample(_)
            | Self::Open(_)
            | Self::Measure(_) => Fault::Other,
        }
    }
}

/// Runs a workload and returns what it showed; blocks until it is over.
///
/// Everything happens on threads of its own, so it may be called from anywhere; from async code, through
/// `spawn_blocking`. `samples` are those of an earlier run; without them, rows are drawn. `progress` is called about once
/// a second from such a thread. A server that goes away while measuring ends the run early (`partial`), with what was
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
    run_watched(source, workload, settings, samples, Watch { progress, stop, events: None })
}

/// As [`run`], with whatever else can be watched.
///
/// # Errors
/// [`ReplayError`], as [`run`].
pub fn run_watched(
    source: &Source,
    workload: &Workload,
    settings: &Settings,
    samples: Option<Samples>,
    watch: Watch<'_>,
) -> Result<Replayed, ReplayError> {
    with_database(source, settings, watch.stop, |runtime, source| on_database(runtime, source, workload, settings, samples, watch))
}

/// Calls `work` on a thread of its own with the database the run is to use: the given one, or a copy that is dropped
/// afterwards.
pub(super) fn with_database(
    source: &Source,
    settings: &Settings,
    stop: &Stop,
    work: impl FnOnce(&Runtime, &Source) -> Result<Replayed, ReplayError> + Send,
) -> Result<Replayed, ReplayError> {
    let (mut replayed, caveats) = on_its_database(source, settings.writes, stop, work)?;
    if settings.writes == Writes::Clone {
        replayed.run.about.insert("database".to_owned(), json!(source.database()));
        // The copy's name would make it look like another database than the next run's.
        if let Some(name) = replayed.run.profile.as_mut().and_then(|profile| profile.pointer_mut("/about/database")) {
            *name = json!(source.database());
        }
    }
    replayed.run.caveats.extend(caveats);
    Ok(replayed)
}

/// The same for any work; what a copy lacks, and what is left of it, comes back as caveats.
pub(super) fn on_its_database<T: Send>(
    source: &Source,
    writes: Writes,
    stop: &Stop,
    work: impl FnOnce(&Runtime, &Source) -> Result<T, ReplayError> + Send,
) -> Result<(T, Vec<String>), ReplayError> {
    on_thread(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let source = &source.clone().with_application_name(APPLICATION_NAME);
        if writes != Writes::Readonly {
            runtime.block_on(async { Ok::<_, ReplayError>(writable::check(&connect(source).await?, source.database()).await?) })?;
        }
        if writes != Writes::Clone {
            return Ok((work(&runtime, source)?, Vec::new()));
        }
        let name = format!("{}_pgload_{}", source.database().chars().take(40).collect::<String>(), Timestamp::now().as_microsecond());
        let copy = runtime.block_on(Copies::make(source, &[&name], "use --writes rollback", stop))?;
        let made = copy.sources[0].clone().with_application_name(APPLICATION_NAME);
        let done = work(&runtime, &made);
        let mut caveats = copy.notes.clone();
        let dropped = runtime.block_on(copy.remove());
        caveats.extend(dropped.err().map(|error| format!("The copy {name} was not dropped: could not {error}.")));
        Ok((done?, caveats))
    })
}

/// Draws what is missing and plays a workload on the database as it is.
fn on_database(
    runtime: &Runtime,
    source: &Source,
    workload: &Workload,
    settings: &Settings,
    samples: Option<Samples>,
    watch: Watch<'_>,
) -> Result<Replayed, ReplayError> {
    let (control, server, samples) = runtime.block_on(async {
        let mut control = connect(source).await?;
        let server = measure::server(&control).await?;
        let samples = match samples {
            Some(samples) => samples,
            None => sample::draw(&mut control, workload, settings.seed).await?,
        };
        Ok::<_, ReplayError>((control, server, samples))
    })?;
    let script = Script::new(workload, &samples, settings.seed, settings.writes)?;
    let played = Played {
        source,
        name: &workload.name,
        text: &workload.text,
        program: &script,
        caveats: known(workload, settings.writes),
        about: BTreeMap::from([("samples".to_owned(), json!(samples.digest()))]),
    };
    let (mut run, histograms) = play(runtime, &control, &server, played, settings, watch)?;
    if let Some(derived) = &workload.derived {
        run.about.insert("derived".to_owned(), json!(derived));
    }
    run.fidelity = Fidelity::of(workload, &run.labels);
    run.caveats.extend(run.fidelity.iter().flat_map(Fidelity::caveats));
    Ok(Replayed { run, samples, histograms })
}

/// Calls a function on a thread of its own, where no runtime is in the way.
fn on_thread<T: Send>(work: impl FnOnce() -> Result<T, ReplayError> + Send) -> Result<T, ReplayError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("pgload-replay".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What is played: a workload's script or any other program.
#[derive(Debug)]
pub struct Played<'a> {
    /// Where the workers connect.
    pub source: &'a Source,
    /// The workload's name.
    pub name: &'a str,
    /// The workload's text, kept with the run.
    pub text: &'a str,
    /// The calls.
    pub program: &'a dyn Program,
    /// What limits the result, known before it starts.
    pub caveats: Vec<String>,
    /// What else is kept with the run.
    pub about: BTreeMap<String, serde_json::Value>,
}

/// Plays a program: opens the sessions, warms up, measures, puts the run together. Blocks; not to be called from async
/// code. `control` is a connection on `runtime` that the load does not use, to the database the workers connect to.
///
/// # Errors
/// [`ReplayError`] when the run could not start.
pub fn play(
    runtime: &Runtime,
    control: &Client,
    server: &Server,
    played: Played<'_>,
    settings: &Settings,
    watch: Watch<'_>,
) -> Result<(Run, Vec<Tagged>), ReplayError> {
    let Played { source, name, text, program, mut caveats, about: mut extra } = played;
    if settings.pipeline > 1 && program.has_transactions() {
        return Err(ReplayError::Pipeline);
    }
    let target = SqlTarget { source, program, writes: settings.writes };
    let Watch { progress, stop, mut events } = watch;
    let labels = program.labels();
    std::thread::scope(|scope| {
        let mut workers = Workers::start(scope, &target, settings, stop)?;
        runtime.block_on(async {
            workers.opened().await?;
            if !settings.warm_up.is_zero() {
                let plan = settings.warm_up_plan();
                let warmed = workers.drive(&plan, labels.len(), &mut |said| progress(Phase::WarmUp, said), None).await?;
                if warmed.ended == Ended::Lost {
                    return Err(ReplayError::LostInWarmUp);
                }
            }
            let mut observer = Observer::new(control, server, program, &mut caveats).await;
            observer.begin(&mut caveats).await;
            let started_at = Timestamp::now();
            if let Some(out) = &mut events {
                let names = labels.iter().map(|label| label.name.clone()).collect();
                let header = Header { started_at: started_at.to_string(), labels: names };
                write_header(*out, &header).map_err(ReplayError::Events)?;
            }
            let plan = settings.plan(events.is_some());
            let mut told = |said: &Progress| progress(Phase::Measured, said);
            let load = workers.drive(&plan, labels.len(), &mut told, events);
            let (recording, observed) = if settings.profile {
                let (recording, observed) = monitor::during(source, load).await;
                (recording?, Some(observed))
            } else {
                (load.await?, None)
            };
            let profile = observed.and_then(|observed| profiled(observed, recording.ended, &mut caveats));
            let blocks = observer.end(&mut caveats).await;
            let plans = observer.plans();
            if !Clock::is_precise() && settings.arrival.is_open() {
                caveats.push("This system has no precise timer: calls may have been sent up to 1.5 ms late.".to_owned());
            }
            extra.extend(about(settings, server));
            let setting = Setting {
                name,
                text,
                program,
                arrival: settings.arrival.clone(),
                seed: settings.seed,
                started_at,
                about: extra,
                server: facts(server),
                blocks,
                plans,
                caveats,
            };
            let run = Run { profile, ..run_of(setting, &recording) };
            Ok((run, histograms(program, &recording)))
        })
    })
}

/// Works out what was seen meanwhile; what is missing of it is told and ends no run.
fn profiled(observed: Result<Observation, MonitorError>, ended: Ended, caveats: &mut Vec<String>) -> Option<serde_json::Value> {
    let mut observation = match observed {
        Ok(observation) => observation,
        Err(error) => {
            caveats.push(format!("The run was not profiled: could not {error}."));
            return None;
        }
    };
    match &observation.cut_short {
        Some(reason) => caveats.push(format!("The profile is incomplete: {reason}.")),
        None if ended != Ended::Complete => observation.cut_short = Some("the run did".to_owned()),
        None => {}
    }
    serde_json::to_value(Profile::of(&observation)).ok()
}

fn about(settings: &Settings, server: &Server) -> BTreeMap<String, serde_json::Value> {
    let entries = [
        ("pgload", json!(env!("CARGO_PKG_VERSION"))),
        ("server", json!(server.version)),
        ("database", json!(server.database)),
        ("clients", json!(settings.arrival.sessions())),
        ("writes", json!(settings.writes.name())),
        ("jobs", json!(settings.jobs)),
        ("pipeline", json!(settings.pipeline)),
        ("overflow", json!(settings.overflow)),
        ("warm_up_ms", json!(settings.warm_up.as_secs_f64() * 1000.0)),
        ("max_calls", json!(settings.max_calls)),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn facts(server: &Server) -> BTreeMap<String, serde_json::Value> {
    let entries = [("version_num", json!(server.version_num)), ("shared_buffers", json!(server.shared_buffers))];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Says what limits the result whatever it will be.
fn known(workload: &Workload, writes: Writes) -> Vec<String> {
    let derived = workload.derived.as_ref().map(Derived::caveats);
    left_out(workload, writes).into_iter().chain(derived.into_iter().flatten()).collect()
}

/// Says what a read-only run leaves out.
pub(super) fn left_out(workload: &Workload, writes: Writes) -> Vec<String> {
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
            vec![
                "Writes were rolled back: what a commit costs is not measured, deferred checks did not run, and dead rows were left behind."
                    .to_owned(),
            ]
        }
        _ => Vec::new(),
    }
}
