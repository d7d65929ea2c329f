//! Finds a database's capacity: makes the steps that [`crate::replay::capacity`] asks for, and watches what the server waits for.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

use crate::load::events::{RECORD, unpack};
use crate::load::{Arrival, Ended, Plan, Progress, Recording, Spacing, Stop, WARM_UP_CALLS};
use crate::pg::measure::{self, Server};
use crate::pg::replay::{ReplayError, Settings, left_out, on_its_database};
use crate::pg::session::{APPLICATION_NAME, SqlTarget, Writes};
use crate::pg::workers::Workers;
use crate::pg::{Source, connect, sample, scripts};
use crate::replay::capacity::outcome::waits;
use crate::replay::capacity::search::disturbed;
use crate::replay::capacity::{Ask, Capacity, Collector, Next, Point, Search, Searched, Slo, Step, Sweep, Violation, Wait, judge};
use crate::replay::outcome::health;
use crate::replay::pgbench::Scripts;
use crate::replay::{Program, Script, Workload};

/// 10 Hz: often enough that 5 s give 50 looks at every session, seldom enough not to be load itself.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// 0.9: a law that explains less of the variation is no description of it. A rule of thumb.
const FIT: f64 = 0.9;

/// Calls of each session before the first step, so that no step pays for a cold session.
const WARM_UP_OF_A_SESSION: u64 = 4;

/// Each step has call numbers of its own, 2⁴⁰ apart, so that none repeats the parameters of one before.
const STEP_CALLS: u64 = 1 << 40;

/// What is played.
#[derive(Debug, Clone, Copy)]
pub enum Calls<'a> {
    /// A workload file.
    Workload(&'a Workload),
    /// pgbench scripts.
    Scripts(&'a Scripts),
}

/// What is looked for, and how.
#[derive(Debug, Clone)]
pub struct CapacitySettings {
    /// The objectives of the search for a rate; `None` for no search.
    pub slo: Option<Slo>,
    /// The search's borders.
    pub search: Search,
    /// The share of calls that may fail.
    pub errors_max: f64,
    /// The most calls under way at once.
    pub sessions: usize,
    /// How the search's calls are spread.
    pub spacing: Spacing,
    /// Numbers of clients of the closed loop.
    pub sweep: Vec<usize>,
    /// The seed of samples, statements, parameters and arrivals.
    pub seed: u64,
    /// What may be changed.
    pub writes: Writes,
    /// Worker threads.
    pub jobs: usize,
}

/// What is told while it runs.
pub enum Stage<'a> {
    /// A part of so much time reports.
    Load(&'a str, Duration, &'a Progress),
    /// A step of the search is over.
    Step(&'a Step),
    /// A number of clients is measured.
    Point(&'a Point),
}

/// Is called with what is told.
pub type Tell<'a> = dyn Fn(Stage<'_>) + Sync + 'a;

/// The time before a step is counted: 1 s before steps of 5 s.
fn settle(first: Duration) -> Duration {
    first / 5
}

/// The pause between steps, after the last call has ended: 2 s between steps of 5 s.
fn cool_down(first: Duration) -> Duration {
    first * 2 / 5
}

/// Looks for the capacity; blocks until it is over, on threads of its own.
///
/// # Errors
/// [`ReplayError`] when it could not start. What is known when the server goes away later, or a stop is requested, is
/// returned, as partial.
pub fn run(source: &Source, calls: Calls<'_>, settings: &CapacitySettings, tell: &Tell<'_>, stop: &Stop) -> Result<Capacity, ReplayError> {
    let (mut capacity, caveats) = on_its_database(source, settings.writes, stop, |runtime, source| {
        let (control, server) = runtime.block_on(async {
            let control = connect(source).await?;
            let server = measure::server(&control).await?;
            Ok::<_, ReplayError>((control, server))
        })?;
        let bench = |program: &dyn Program, name: &str, caveats: Vec<String>| {
            Bench {
                runtime,
                control: &control,
                server: &server,
                target: SqlTarget { source, program, writes: settings.writes },
                settings,
                tell,
                stop,
            }
            .examine(name, caveats)
        };
        match calls {
            Calls::Workload(workload) => {
                let samples = runtime.block_on(async {
                    let mut drawing = connect(source).await?;
                    Ok::<_, ReplayError>(sample::draw(&mut drawing, workload, settings.seed).await?)
                })?;
                let script = Script::new(workload, &samples, settings.seed, settings.writes)?;
                bench(&script, &workload.name, left_out(workload, settings.writes))
            }
            Calls::Scripts(given) => {
                let fitted = runtime.block_on(scripts::fitted(&control, given, settings.seed));
                let suite = fitted.suite(settings.writes)?;
                bench(&suite, &fitted.name(), scripts::caveats(&suite, settings.writes))
            }
        }
    })?;
    if settings.writes == Writes::Clone {
        capacity.about.insert("database".to_owned(), json!(source.database()));
    }
    capacity.caveats.extend(caveats);
    Ok(capacity)
}

/// How a series of steps came to its end.
enum Over {
    /// Nothing is left to try.
    Finished,
    /// The sessions must be opened again: calls on them did not end.
    Reopen,
    /// It was asked to end.
    Stopped,
    /// The server is gone.
    Lost,
}

/// Everything steps need.
struct Bench<'a> {
    runtime: &'a Runtime,
    control: &'a Client,
    server: &'a Server,
    target: SqlTarget<'a>,
    settings: &'a CapacitySettings,
    tell: &'a Tell<'a>,
    stop: &'a Stop,
}

impl Bench<'_> {
    fn examine(&self, name: &str, mut caveats: Vec<String>) -> Result<Capacity, ReplayError> {
        let (settings, server) = (self.settings, self.server);
        let started_at = Timestamp::now();
        let (mut partial, mut sweep, mut search) = (false, None, None);
        if !settings.sweep.is_empty() {
            let (points, over) = self.sweep(&mut caveats)?;
            partial |= over;
            let measured = Sweep::of(points);
            if let Some(fit) = measured.fit.filter(|fit| fit.r_squared < FIT) {
                caveats.push(format!("The scalability law fits badly (R² {:.2}): do not rely on its figures.", fit.r_squared));
            }
            sweep = Some(measured);
        }
        if let Some(slo) = settings.slo.as_ref().filter(|_| !partial) {
            let (steps, over) = self.search(slo, &mut caveats)?;
            partial |= over;
            if let count @ 1.. = disturbed(&steps) {
                let steps = if count == 1 { "One step was".to_owned() } else { format!("{count} steps were") };
                caveats.push(format!("{steps} bad once and good when repeated: something disturbs the machine or the server at times."));
            }
            search = Some(Searched::of(steps));
        }
        let about = [
            ("pgload", json!(env!("CARGO_PKG_VERSION"))),
            ("server", json!(server.version)),
            ("database", json!(server.database)),
            ("shared_buffers", json!(server.shared_buffers)),
            ("sessions", json!(settings.sessions)),
            ("spacing", json!(settings.spacing)),
            ("writes", json!(settings.writes.name())),
            ("jobs", json!(settings.jobs)),
            ("dwell_ms", json!(settings.search.dwell.as_secs_f64() * 1000.0)),
            ("min_rate", json!(settings.search.min_rate)),
            ("max_rate", json!(settings.search.max_rate)),
            ("max_errors", json!(settings.errors_max)),
        ];
        Ok(Capacity {
            schema_version: 1,
            kind: "capacity".to_owned(),
            name: name.to_owned(),
            about: about.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            started_at,
            seed: settings.seed,
            slo: settings.slo.iter().flat_map(|slo| &slo.objectives).map(ToString::to_string).collect(),
            search,
            sweep,
            partial,
            caveats,
        })
    }

    /// Makes steps until the search is over; returns them, and whether it ended before its time.
    fn search(&self, slo: &Slo, caveats: &mut Vec<String>) -> Result<(Vec<Step>, bool), ReplayError> {
        let mut steps: Vec<Step> = Vec::new();
        let arrival =
            Arrival::Open { rate: self.settings.search.min_rate, spacing: self.settings.spacing, sessions: self.settings.sessions };
        let load = self.load(arrival);
        loop {
            let over = self.with_workers(&load, async |workers| {
                // In a closed loop each session gets its turn.
                let clients = self.settings.sessions;
                let warm = Plan {
                    first_call: WARM_UP_CALLS,
                    max_calls: Some(WARM_UP_OF_A_SESSION * clients as u64),
                    ..self.plan(Arrival::Closed { clients, think: Duration::ZERO }, self.settings.search.dwell)
                };
                self.drive(workers, &warm, "warming up", None).await?;
                while let Next::Try(ask) = self.settings.search.next(&steps) {
                    if self.cooled_down().await {
                        return Ok(Over::Stopped);
                    }
                    let (step, ended) = self.step(workers, slo, &ask, steps.len() as u64).await?;
                    match ended {
                        Ended::Stopped => return Ok(Over::Stopped),
                        Ended::Lost => return Ok(Over::Lost),
                        Ended::Complete | Ended::Stuck => {}
                    }
                    (self.tell)(Stage::Step(&step));
                    steps.push(step);
                    if ended == Ended::Stuck {
                        return Ok(Over::Reopen);
                    }
                }
                Ok(Over::Finished)
            });
            match over {
                Ok(Over::Finished) => return Ok((steps, false)),
                Ok(Over::Reopen) => {}
                Ok(Over::Stopped) => {
                    caveats.push("The search was ended early on request: what is known is its bracket.".to_owned());
                    return Ok((steps, true));
                }
                Ok(Over::Lost) => {
                    caveats.push("The search ended early: the server could no longer be reached.".to_owned());
                    return Ok((steps, true));
                }
                Err(error) if steps.is_empty() => return Err(error),
                Err(error) => {
                    caveats.push(format!("The search ended early: could not {error}."));
                    return Ok((steps, true));
                }
            }
        }
    }

    /// Offers a rate and judges what it showed.
    async fn step(&self, workers: &mut Workers, slo: &Slo, ask: &Ask, number: u64) -> Result<(Step, Ended), ReplayError> {
        let settle = settle(self.settings.search.dwell);
        let arrival = Arrival::Open { rate: ask.rate, spacing: self.settings.spacing, sessions: self.settings.sessions };
        // Calls that may take as long and still keep the objective must be given that time after the end.
        let grace = Duration::from_secs_f64(slo.longest_ms().unwrap_or(0.0) / 1000.0).max(Duration::from_secs(1));
        let plan = Plan {
            first_call: (number + 1).wrapping_mul(STEP_CALLS),
            seed: self.settings.seed.wrapping_add(number),
            events: true,
            grace,
            ..self.plan(arrival, settle + ask.dwell)
        };
        let mut sink = Sink { collector: Collector::new(slo, settle, ask.dwell), rest: Vec::new() };
        let text = format!("{:.1} calls/s", ask.rate);
        let (recording, waits) = self.watched(settle, self.drive(workers, &plan, &text, Some(&mut sink))).await;
        let recording = recording?;
        let seen = sink.collector.finish();
        let mut violations = judge(&seen, ask.rate, slo, self.settings.errors_max);
        if recording.ended == Ended::Stuck {
            violations.insert(0, Violation::Stuck);
        }
        let health = health(&recording);
        // A good step was good in spite of a slow generator; of a bad one the server may be innocent.
        if let (false, Some(reason)) = (violations.is_empty(), health.reasons.into_iter().next()) {
            violations.insert(0, Violation::Generator { reason });
        }
        let dwell_ms = ask.dwell.as_secs_f64() * 1000.0;
        Ok((Step { phase: ask.phase, rate: ask.rate, dwell_ms, seen, violations, waits }, recording.ended))
    }

    /// Measures each number of clients; returns the points, and whether it ended before its time.
    fn sweep(&self, caveats: &mut Vec<String>) -> Result<(Vec<Point>, bool), ReplayError> {
        let mut points: Vec<Point> = Vec::new();
        let dwell = self.settings.search.dwell;
        for (number, clients) in self.settings.sweep.iter().copied().enumerate() {
            let arrival = Arrival::Closed { clients, think: Duration::ZERO };
            let load = self.load(arrival.clone());
            let measured = self.with_workers(&load, async |workers| {
                let text = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
                let warm = Plan { first_call: WARM_UP_CALLS, ..self.plan(arrival.clone(), settle(dwell)) };
                self.drive(workers, &warm, &text, None).await?;
                let first_call = (number as u64 + 1).wrapping_mul(STEP_CALLS);
                let plan = Plan { first_call, ..self.plan(arrival.clone(), dwell) };
                let (recording, waits) = self.watched(Duration::ZERO, self.drive(workers, &plan, &text, None)).await;
                Ok((recording?, waits))
            });
            let (recording, waits) = match measured {
                Ok(measured) => measured,
                Err(error) if points.is_empty() => return Err(error),
                Err(error) => {
                    caveats.push(format!("The sweep ended before {clients} clients: could not {error}."));
                    break;
                }
            };
            if matches!(recording.ended, Ended::Stopped | Ended::Lost) || self.stop.is_requested() {
                caveats.push(format!("The sweep ended early, at {clients} clients."));
                return Ok((points, true));
            }
            for reason in health(&recording).reasons {
                caveats.push(format!("With {clients} clients: {reason}"));
            }
            let point = Point {
                clients,
                throughput: recording.count_in_window as f64 / recording.window.as_secs_f64().max(1e-9),
                errors: recording.errors(),
                response_us: recording.calls.response.percentiles(),
                waits,
            };
            (self.tell)(Stage::Point(&point));
            points.push(point);
            self.runtime.block_on(self.cooled_down());
        }
        Ok((points, false))
    }

    fn load(&self, arrival: Arrival) -> Settings {
        let mut load = Settings::new(arrival, self.settings.search.dwell, Duration::ZERO, self.settings.seed);
        load.writes = self.settings.writes;
        load.jobs = self.settings.jobs;
        load
    }

    fn plan(&self, arrival: Arrival, duration: Duration) -> Plan {
        Plan::new(arrival, self.settings.seed, duration)
    }

    /// Opens the sessions of a load and calls `work` with the workers that have them.
    fn with_workers<T>(&self, load: &Settings, work: impl AsyncFnOnce(&mut Workers) -> Result<T, ReplayError>) -> Result<T, ReplayError> {
        std::thread::scope(|scope| {
            let mut workers = Workers::start(scope, &self.target, load, self.stop)?;
            self.runtime.block_on(async {
                workers.opened().await?;
                work(&mut workers).await
            })
        })
    }

    async fn drive(&self, workers: &mut Workers, plan: &Plan, text: &str, sink: Option<&mut Sink>) -> Result<Recording, ReplayError> {
        let mut progress = |said: &Progress| (self.tell)(Stage::Load(text, plan.duration, said));
        let events = sink.map(|sink| sink as &mut (dyn Write + Send));
        workers.drive(plan, self.target.program.labels().len(), &mut progress, events).await
    }

    /// Rests between steps; returns whether it was asked to end.
    async fn cooled_down(&self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(cool_down(self.settings.search.dwell)) => {}
            () = self.stop.requested() => {}
        }
        self.stop.is_requested()
    }

    /// Does the work, counting what the load's sessions do meanwhile, from `after` on.
    async fn watched<T>(&self, after: Duration, work: impl Future<Output = T>) -> (T, Vec<Wait>) {
        let mut counts = BTreeMap::new();
        let looks = async {
            let mut due = tokio::time::interval_at(tokio::time::Instant::now() + after.max(LOOK_EVERY), LOOK_EVERY);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                due.tick().await;
                if self.look(&mut counts).await.is_err() {
                    // The load goes on without being watched, and the step shows no waits.
                    std::future::pending::<()>().await;
                }
            }
        };
        let done = tokio::select! {
            done = work => done,
            () = looks => unreachable!("looking never ends"),
        };
        (done, waits(counts))
    }

    async fn look(&self, counts: &mut BTreeMap<String, u64>) -> Result<(), tokio_postgres::Error> {
        for row in self.control.query(include_str!("queries/load_waits.sql"), &[&APPLICATION_NAME]).await? {
            let (event, sessions): (String, i64) = (row.try_get("event")?, row.try_get("sessions")?);
            *counts.entry(event).or_default() += sessions.unsigned_abs();
        }
        Ok(())
    }
}

/// Takes the packed events of a step as they come.
struct Sink {
    collector: Collector,
    /// The begin of a record whose end has not come yet.
    rest: Vec<u8>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let (records, rest) = self.rest.as_chunks::<RECORD>();
        for record in records {
            self.collector.take(&unpack(record));
        }
        self.rest = rest.to_vec();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
