//! Runs a paired experiment: both sides under one load, first as they are, then with the change on one of them.
//!
//! ```text
//! prepare ─▶ warm up ─▶ both alike (bias, noise) ─▶ change one side ─▶ warm up ─▶ measure ─▶ compare
//! ```

mod change;
mod counts;
mod load;
mod machine;
mod sessions;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::Client;

pub use change::Change;
pub use load::Load;

use self::counts::{Plans, Tracked};
use self::machine::Watch;
use self::sessions::{Duet, Solo};
use crate::diff::Diff;
use crate::load::{Arrival, Clock, Ended, Plan, Progress, Stop, Target, WARM_UP_CALLS, drive};
use crate::pg::apply::ApplyError;
use crate::pg::measure::{self, MeasureError, Server};
use crate::pg::replay::{Fault, Settings};
use crate::pg::sample::SampleError;
use crate::pg::session::{APPLICATION_NAME, OpenError, SqlTarget};
use crate::pg::{ConnectError, Source, connect};
use crate::replay::ScriptError;
use crate::replay::captured::TimelineError;
use crate::replay::observed::{Block, abba, duet};
use crate::replay::paired::{Applied, Evidence, Experiment, Failures, Phase, SettingDiff, compare, disturbances};
use crate::replay::pgbench::SuiteError;
use crate::stats::Design;

/// Call numbers of the calibration start here: a write of the measured part must not repeat one of it.
const CALIBRATION_CALLS: u64 = 1 << 61;

/// Room for the calls of one round, so that no two rounds of a phase share one.
const CALLS_A_ROUND: u64 = 1 << 32;

/// The calls that prime sessions start here, above those of the warm-up.
const PRIMING: u64 = 1 << 62;

/// 8 calls a statement and session before each round: after five executions the server settles on a plan.
const PRIMING_CALLS: usize = 8;

/// How a paired experiment is run.
#[derive(Debug, Clone)]
pub struct PairedSettings {
    /// Call by call, or block by block.
    pub design: Design,
    /// How calls are spaced, for how long each of the two phases lasts, and what may be changed.
    pub load: Settings,
    /// The length of a slice of a duet, or of a block of an abba.
    pub slice: Duration,
    /// Whether both sides are first measured alike.
    pub calibrate: bool,
}

impl PairedSettings {
    /// Returns settings with about forty slices: 1 to 4 s each, less only in runs under 40 s.
    pub fn new(design: Design, load: Settings) -> Self {
        let slice = (load.duration / 40).clamp(Duration::from_millis(250), Duration::from_secs(4));
        Self { design, load, slice, calibrate: true }
    }
}

/// What an experiment is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage<'a> {
    /// Something without a known length has begun.
    Step(&'a str),
    /// Calls are made; of so long a time this much is over, in all.
    Load(&'a str, Duration, Progress),
}

/// Why an experiment gave no result.
#[derive(Debug, thiserror::Error)]
pub enum PairedError {
    /// The worker's runtime could not be made.
    #[error("start the load worker: {0}")]
    Worker(#[from] io::Error),
    /// No connection.
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
    #[error("{side} side: {source}")]
    Open {
        /// `before` or `after`.
        side: &'static str,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The server's facts could not be read.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The change could not be made.
    #[error("try the change: {0}")]
    Apply(#[from] ApplyError),
    /// The server refused something else.
    #[error("run the experiment: {}", .0.as_db_error().map_or_else(|| .0.to_string(), |db| db.message().to_owned()))]
    Server(#[from] tokio_postgres::Error),
    /// A side went away.
    #[error("measure both sides: the server could no longer be reached")]
    Lost,
    /// It was asked to end before there was anything to compare.
    #[error("compare: interrupted before both sides were measured with the change")]
    Interrupted,
}

impl PairedError {
    /// Returns whose fault it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Connect(_) | Self::Lost | Self::Open { source: OpenError::Connect(_), .. } => Fault::Connection,
            Self::Captured(TimelineError::Calls(_) | TimelineError::Nothing(_)) => Fault::Workload,
            Self::Script(_) | Self::Suite(_) | Self::Open { source: OpenError::Statement { .. }, .. } => Fault::Workload,
            Self::Sample(SampleError::NoTable { .. } | SampleError::NoColumn { .. } | SampleError::Empty { .. }) => Fault::Workload,
            Self::Apply(ApplyError::File { .. }) => Fault::Workload,
            _ => Fault::Other,
        }
    }
}

/// Runs an experiment on two databases and judges it; blocks until it is over.
///
/// `sides` are two copies of one database when there is a `change`, which is made in the second, and any two otherwise.
/// Any kind of load will do: both sides make the same calls of it, and a call is all its statements, back to back in a duet.
/// Everything happens on one thread of its own. A stop while the change is measured gives what was measured until then
/// (`partial`).
///
/// # Errors
/// [`PairedError`]; [`PairedError::fault`] says whose fault it was.
pub fn run<'l>(
    sides: &Diff<Source>,
    load: impl Into<Load<'l>>,
    settings: &PairedSettings,
    change: Option<&Change>,
    stage: &(dyn Fn(Stage<'_>) + Sync),
    stop: &Stop,
) -> Result<Experiment, PairedError> {
    let load = load.into();
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name("pgload-paired".to_owned()).spawn_scoped(scope, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(on_worker(sides, load, settings, change, stage, stop))
        })?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

async fn on_worker(
    sides: &Diff<Source>,
    given: Load<'_>,
    settings: &PairedSettings,
    change: Option<&Change>,
    stage: &(dyn Fn(Stage<'_>) + Sync),
    stop: &Stop,
) -> Result<Experiment, PairedError> {
    let sources = sides.clone().map(|source| source.with_application_name(APPLICATION_NAME));
    let mut control = Diff { before: connect(&sources.before).await?, after: connect(&sources.after).await? };
    let server = measure::server(&control.before).await?;
    let load = &settings.load;
    let made = given.made(&mut control.before, load).await?;
    let program = made.program();
    let target = |source| SqlTarget { source, program, writes: load.writes };
    let targets = Diff { before: target(&sources.before), after: target(&sources.after) };
    let alike = Diff { before: target(&sources.before), after: target(&sources.before) };
    let mut bench = Bench {
        settings,
        stage,
        stop,
        clock: Clock::precise()?,
        labels: program.labels().len(),
        own_cpu: None,
        watch: Watch::new(&control.before, [sources.before.database(), sources.after.database()]),
    };
    let mut caveats = made.caveats.clone();

    let calibration = if settings.calibrate {
        // Two databases that are to differ cannot be measured alike: the first is measured against itself.
        let targets = if change.is_some() { &targets } else { &alike };
        settle(&control, &mut caveats).await;
        bench.warm_up("Warming up", targets, CALIBRATION_CALLS).await?;
        let phase = bench.measure("Both sides alike", targets, CALIBRATION_CALLS).await?;
        if stop.is_requested() {
            return Err(PairedError::Interrupted);
        }
        Some(phase)
    } else {
        None
    };
    let applied: Option<Applied> = match change {
        Some(change) => {
            stage(Stage::Step("Trying the change"));
            Some(change::make(&sources.after, &control.after, change, stop).await?)
        }
        None => None,
    };
    settle(&control, &mut caveats).await;
    let plans = counts::plans(&control, program, &mut caveats).await;
    bench.warm_up("Warming up with the change", &targets, 0).await?;
    if stop.is_requested() {
        return Err(PairedError::Interrupted);
    }
    let tracked = Tracked::new(&control, &server, &plans, program, &mut caveats);
    let before = tracked.read(&mut caveats).await;
    let started_at = Timestamp::now();
    let mut measured = bench.measure("With the change", &targets, 0).await?;
    measured.counted = tracked.since(&before, &mut caveats).await;

    let mut interference = bench.watch.seen.clone();
    interference.own_cpu_share = bench.own_cpu;
    caveats.extend(disturbances(&interference));
    caveats.extend(made.divergence());
    let differ = settings_differ(&control).await?;
    let names: Vec<String> = program.labels().iter().map(|label| label.name.clone()).collect();
    let partial = stop.is_requested();
    if partial {
        caveats.push("The experiment was ended early on request.".to_owned());
    }
    let both: Vec<_> = plans.iter().map(Plans::both).collect();
    let comparison = compare(&Evidence {
        design: settings.design,
        seed: load.seed,
        names: &names,
        calibration: calibration.as_ref(),
        measured: &measured,
        plans: &both,
        caveats: &caveats,
    });
    Ok(Experiment {
        comparison,
        name: made.name,
        about: about(settings, &server, made.about, started_at),
        applied,
        settings: differ,
        interference,
        partial,
    })
}

/// Puts load on both sides.
struct Bench<'a> {
    settings: &'a PairedSettings,
    stage: &'a (dyn Fn(Stage<'_>) + Sync),
    stop: &'a Stop,
    clock: Clock,
    labels: usize,
    /// The largest share of its processor the generator used.
    own_cpu: Option<f64>,
    watch: Watch<'a>,
}

type Targets<'t> = Diff<SqlTarget<'t>>;

impl Bench<'_> {
    fn plan(&self, first_call: u64, duration: Duration) -> Plan {
        let load = &self.settings.load;
        Plan { first_call, drain: load.drain, overflow: load.overflow, ..Plan::new(load.arrival.clone(), load.seed, duration) }
    }

    /// Runs the mix on both sides without measuring, each call on both whatever the design.
    async fn warm_up(&mut self, name: &str, targets: &Targets<'_>, first_call: u64) -> Result<(), PairedError> {
        if self.settings.load.warm_up.is_zero() {
            return Ok(());
        }
        let duet = Duet { sides: Diff { before: &targets.before, after: &targets.after }, seed: self.settings.load.seed };
        let mut sessions = open_duet(&duet, &self.settings.load.arrival).await?;
        let load = &self.settings.load;
        let plan = Plan { arrival: load.arrival.warm_up(), ..self.plan(WARM_UP_CALLS + first_call, load.warm_up) };
        let said = |said: &Progress| (self.stage)(Stage::Load(name, plan.duration, *said));
        let warmed = drive(&duet, &mut sessions, &plan, &self.clock, self.stop, &said).await;
        if warmed.ended == Ended::Lost { Err(PairedError::Lost) } else { Ok(()) }
    }

    /// Measures one phase, with new connections in every round.
    ///
    /// Where the system's scheduler happens to put a connection's process can favour one side for as long as it lives: on a
    /// busy machine identical copies were 6 times apart for a whole phase. New connections make that the noise of a round,
    /// which the interval holds, instead of a bias that looks like an effect.
    async fn measure(&mut self, name: &str, targets: &Targets<'_>, first_call: u64) -> Result<Phase, PairedError> {
        match self.settings.design {
            Design::Abba => self.in_blocks(name, targets, first_call).await,
            Design::Duet | Design::Sequential => self.in_pairs(name, targets, first_call).await,
        }
    }

    async fn in_pairs(&mut self, name: &str, targets: &Targets<'_>, first_call: u64) -> Result<Phase, PairedError> {
        let duet_target = Duet { sides: Diff { before: &targets.before, after: &targets.after }, seed: self.settings.load.seed };
        let slices = (self.settings.load.duration.as_secs_f64() / self.settings.slice.as_secs_f64()).round().max(1.0) as u32;
        let (mut pairs, mut failures) = (Vec::new(), Diff::<Failures>::default());
        for slice in 0..slices {
            if self.stop.is_requested() {
                break;
            }
            let mut sessions = open_duet(&duet_target, &self.settings.load.arrival).await?;
            let first_call = first_call + u64::from(slice) * CALLS_A_ROUND;
            self.prime(&duet_target, &mut sessions, first_call, sessions::CONNECTIONS).await?;
            sessions.iter_mut().for_each(|session| session.begin(slice));
            self.round(name, &duet_target, &mut sessions, first_call, (slice, slices)).await?;
            for session in &mut sessions {
                let (timed, failed) = session.take();
                pairs.extend(timed);
                add(&mut failures.before, failed.before);
                add(&mut failures.after, failed.after);
            }
        }
        Ok(Phase { observed: duet(&pairs, self.labels, slices as usize), counted: Vec::new(), failures })
    }

    async fn in_blocks(&mut self, name: &str, targets: &Targets<'_>, first_call: u64) -> Result<Phase, PairedError> {
        let solos = Diff { before: Solo(&targets.before), after: Solo(&targets.after) };
        let clients = self.settings.load.arrival.sessions();
        let rounds = (self.settings.load.duration.as_secs_f64() / self.settings.slice.as_secs_f64() / 2.0).round().max(1.0) as u32;
        let (mut blocks, mut failures) = (Vec::new(), Diff::<Failures>::default());
        for block in 0..2 * rounds {
            if self.stop.is_requested() {
                break;
            }
            // A B B A B A A B …: each order as often as the other, however the machine drifts.
            let after = block.count_ones() % 2 == 1;
            let (solo, side) = if after { (&solos.after, "after") } else { (&solos.before, "before") };
            let opened = try_join_all((0..clients).map(|number| solo.open(number)));
            let mut sessions = opened.await.map_err(|source| PairedError::Open { side, source })?;
            // Both blocks of a round make the same calls.
            let first_call = first_call + u64::from(block / 2) * CALLS_A_ROUND;
            self.prime(solo, &mut sessions, first_call, 1).await?;
            sessions.iter_mut().for_each(|session| drop(session.take()));
            let window = self.round(name, solo, &mut sessions, first_call, (block, 2 * rounds)).await?;
            let mut calls = Vec::new();
            for session in &mut sessions {
                let (timed, failed) = session.take();
                calls.extend(timed);
                add(if after { &mut failures.after } else { &mut failures.before }, failed);
            }
            blocks.push(Block { after, window, calls });
        }
        Ok(Phase { observed: abba(&blocks, self.labels), counted: Vec::new(), failures })
    }

    /// Makes the calls a fresh session is slow at: the first of each statement fill its caches and settle its plan.
    async fn prime<T: Target>(
        &self,
        target: &T,
        sessions: &mut [T::Session],
        first_call: u64,
        connections: usize,
    ) -> Result<(), PairedError> {
        let arrival = Arrival::Closed { clients: sessions.len(), think: Duration::ZERO };
        let calls = (PRIMING_CALLS * self.labels * sessions.len() * connections) as u64;
        let first_call = WARM_UP_CALLS + PRIMING + first_call;
        let plan = Plan { arrival, max_calls: Some(calls), ..self.plan(first_call, self.settings.slice / 4) };
        let primed = drive(target, sessions, &plan, &self.clock, self.stop, &|_| {}).await;
        if primed.ended == Ended::Lost { Err(PairedError::Lost) } else { Ok(()) }
    }

    /// Measures one slice or block: number `place.0` of `place.1`.
    async fn round<T: Target>(
        &mut self,
        name: &str,
        target: &T,
        sessions: &mut [T::Session],
        first_call: u64,
        place: (u32, u32),
    ) -> Result<Duration, PairedError> {
        let length = self.settings.slice;
        let plan = self.plan(first_call, length);
        let stage = self.stage;
        let said =
            |said: &Progress| stage(Stage::Load(name, length * place.1, Progress { elapsed: length * place.0 + said.elapsed, ..*said }));
        let recording = self.watch.over(drive(target, sessions, &plan, &self.clock, self.stop, &said)).await;
        if recording.ended == Ended::Lost {
            return Err(PairedError::Lost);
        }
        self.own_cpu = self.own_cpu.into_iter().chain(recording.cpu_share).reduce(f64::max);
        Ok(recording.window)
    }
}

async fn open_duet<'a>(duet: &Duet<'a>, arrival: &Arrival) -> Result<Vec<sessions::DuetSession<'a>>, PairedError> {
    let opened = try_join_all((0..arrival.sessions()).map(|number| duet.open(number)));
    opened.await.map_err(|source| PairedError::Open { side: "either", source })
}

fn add(sum: &mut Failures, more: Failures) {
    sum.failed += more.failed;
    sum.count += more.count;
}

/// Brings both sides to the same state as far as the role may: tables in memory, nothing left to write.
async fn settle(control: &Diff<Client>, caveats: &mut Vec<String>) {
    for client in [&control.before, &control.after] {
        let schema = "select pg_catalog.quote_ident(n.nspname) from pg_catalog.pg_extension e
            join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_prewarm'";
        if let Ok(Some(row)) = client.query_opt(schema, &[]).await {
            let sql = include_str!("queries/prewarm.sql").replace("{schema}", row.get(0));
            // The warm-up reads what this could not.
            let _ = client.query_one(&sql, &[]).await;
        }
    }
    if control.before.batch_execute("checkpoint").await.is_err() {
        let told = "The role may not checkpoint: one may fall into the measurement and slow both sides.";
        if !caveats.iter().any(|caveat| caveat == told) {
            caveats.push(told.to_owned());
        }
    }
}

/// Returns the settings in which the sides differ.
async fn settings_differ(control: &Diff<Client>) -> Result<Vec<SettingDiff>, PairedError> {
    let mut all: BTreeMap<String, Diff<Option<String>>> = BTreeMap::new();
    for (after, client) in [(false, &control.before), (true, &control.after)] {
        for row in client.query(include_str!("queries/settings_changed.sql"), &[]).await? {
            let value = all.entry(row.get(0)).or_default();
            *(if after { &mut value.after } else { &mut value.before }) = Some(row.get(1));
        }
    }
    let differing = all.into_iter().filter(|(_, value)| value.before != value.after);
    Ok(differing.map(|(name, value)| SettingDiff { name, value }).collect())
}

fn about(
    settings: &PairedSettings,
    server: &Server,
    mut about: BTreeMap<String, serde_json::Value>,
    started_at: Timestamp,
) -> BTreeMap<String, serde_json::Value> {
    let load = &settings.load;
    let entries = [
        ("pgload", json!(env!("CARGO_PKG_VERSION"))),
        ("server", json!(server.version)),
        ("arrival", json!(load.arrival)),
        ("seed", json!(load.seed)),
        ("duration_ms", json!(load.duration.as_secs_f64() * 1000.0)),
        ("warm_up_ms", json!(load.warm_up.as_secs_f64() * 1000.0)),
        ("slice_ms", json!(settings.slice.as_secs_f64() * 1000.0)),
        ("writes", json!(load.writes.name())),
        ("started_at", json!(started_at)),
    ];
    about.extend(entries.into_iter().map(|(name, value)| (name.to_owned(), value)));
    about
}
