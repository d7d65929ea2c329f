//! `pgload replay`: drives workloads, saves what was measured, compares after with before.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::args::{Format, OverflowMode, ReplayArgs, WriteArgs, WriteMode};
use super::failure::{Exit, Failure};
use super::scripts::{self, Load};
use super::{connection, guard, migrate, output, paired, profile, progress, runs, statements};
use crate::load::{Arrival, Overflow, Spacing, Stop};
use crate::pg::Source;
use crate::pg::replay::{ReplayError, Replayed, Settings, Watch, run_watched};
use crate::pg::scripts::run_scripts;
use crate::pg::session::Writes;
use crate::profile::Profile;
use crate::replay::{Run, Samples, Workload, compare};
use crate::report::{NamedComparison, Numbers, Report, html, json as json_text, markdown, terminal};
use crate::stats::Verdict;

/// Clients of a closed loop when none are given: enough to overlap, few enough for a small machine.
const CLIENTS: u16 = 8;
/// The most calls in flight of an open loop when not given.
const IN_FLIGHT: u16 = 64;
/// SQLSTATE of a server whose connections are all taken.
const TOO_MANY_CONNECTIONS: &str = "53300";
const DURATION: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(10);
pub(super) const SEED: u64 = 1;

pub(super) async fn run(args: ReplayArgs, config_path: &Path) -> Result<Exit, Failure> {
    let loads = scripts::loads(&args.workloads, &args.script, &args.captured, &args.reports)?;
    if args.events.is_some() && loads.len() > 1 {
        return Err(Failure::usage("write the events of several workloads into one file: give one workload with --events"));
    }
    let source = connection::source(&args.connection)?;
    if args.paired {
        let loads = statements::derived(loads, args.after.then_some(args.reports.as_path()), &source).await?;
        return paired::run(&args, &source, &loads, config_path).await;
    }
    // First of all: a file that cannot be read is not to be found out after a minute of load.
    let profiled = args.profile_compare.as_deref().map(profile::read).transpose()?;
    let marks = guard::admit(&source, config_path).await?;
    let writes = writes(&args.write, &marks.database)?;
    let loads = statements::derived(loads, args.after.then_some(args.reports.as_path()), &source).await?;
    let stop = Stop::default();
    let listener = tokio::spawn(listen(stop.clone()));
    let mut exit = Exit::Done;
    for load in &loads {
        if stop.is_requested() {
            break;
        }
        exit = worse(exit, one(&args, &source, load, writes, profiled.as_ref(), &stop).await?);
    }
    listener.abort();
    Ok(exit)
}

/// Runs one workload and says what it showed.
async fn one(
    args: &ReplayArgs,
    source: &Source,
    load: &Load,
    writes: Writes,
    profiled: Option<&Profile>,
    stop: &Stop,
) -> Result<Exit, Failure> {
    let name = load.name();
    let earlier = if args.after { Some(Earlier::of(&args.reports, &name)?) } else { None };
    let mut settings = match &earlier {
        Some(earlier) => earlier.settings(args, load, writes)?,
        None => match load.traffic().map(|traffic| traffic.settings(args, writes)).transpose()?.flatten() {
            Some(settings) => settings,
            None => settings(args, writes)?,
        },
    };
    settings.profile = args.profile;
    let samples = earlier.as_ref().map(|earlier| earlier.samples.clone());
    let mut replayed = measure_with(source, load, &settings, samples, args.events.as_deref(), stop).await?;
    replayed.run.side = match (args.before, args.after) {
        (true, _) => Some("before".to_owned()),
        (_, true) => Some("after".to_owned()),
        _ => None,
    };
    profile::since(&mut replayed.run, profiled, earlier.as_ref().map(|earlier| &earlier.run));
    let folder = runs::new_folder(&args.reports, "replay", Some(&name));
    let saved = runs::save(&folder, &replayed);
    let run = &replayed.run;
    let mut exit = ended(run, stop);
    match &earlier {
        Some(earlier) => {
            let comparison = compare(&earlier.run, run).map_err(|error| Failure::usage(error.to_string()))?;
            let named = NamedComparison { name: name.clone(), comparison };
            output::write(&folder.join("comparison.json"), json_text::to_string_pretty(&named.comparison))?;
            print_comparison(&named, &earlier.run, run, args.format)?;
            exit = worse(exit, verdict(named.comparison.verdict));
        }
        None => print_run(run, args.format)?,
    }
    saved?;
    output::notice(&format!("Saved in {}", folder.display()));
    if run.partial {
        let why = if stop.is_requested() { "it was interrupted" } else { "the server was lost or did not finish" };
        output::notice(&format!("The run is partial: {why}. What was measured until then is saved."));
    }
    Ok(exit)
}

/// Runs a workload on threads of its own, showing progress.
pub(super) async fn measure(
    source: &Source,
    workload: &Workload,
    settings: &Settings,
    samples: Option<Samples>,
    stop: &Stop,
) -> Result<Replayed, Failure> {
    measure_with(source, &Load::Workload(Box::new(workload.clone())), settings, samples, None, stop).await
}

/// The same, writing every call to `events` where that is given.
async fn measure_with(
    source: &Source,
    load: &Load,
    settings: &Settings,
    samples: Option<Samples>,
    events: Option<&Path>,
    stop: &Stop,
) -> Result<Replayed, Failure> {
    let (source, load, settings, stop) = (source.clone(), load.clone(), settings.clone(), stop.clone());
    let mut events = events.map(create).transpose()?;
    let of_sessions = load.traffic().is_some();
    let task = tokio::task::spawn_blocking(move || {
        let shown = progress::load(&load.name(), settings.warm_up, settings.duration, settings.max_calls);
        let update = |phase, progress: &crate::load::Progress| shown.update(phase, progress);
        let out = events.as_mut().map(|file| file as &mut (dyn Write + Send));
        let watch = Watch { progress: &update, stop: &stop, events: out };
        let mut replayed = match &load {
            Load::Workload(workload) => run_watched(&source, workload, &settings, samples, watch)?,
            Load::Scripts(scripts) => run_scripts(&source, scripts, &settings, watch)?,
            Load::Traffic(traffic) => traffic.run(&source, &settings, watch)?,
            Load::Statements => unreachable!("a workload was made of it"),
        };
        if let Some(mut file) = events {
            file.flush().map_err(ReplayError::Events)?;
        }
        replayed.run.about.insert("duration_ms".to_owned(), json!(settings.duration.as_secs_f64() * 1000.0));
        Ok(replayed)
    });
    match task.await {
        Ok(answer) => answer.map_err(|error: ReplayError| match &error {
            // What to do about it is known for captured traffic alone.
            ReplayError::Open(open) if of_sessions && open.code() == TOO_MANY_CONNECTIONS => {
                Failure::new(Exit::Connection, format!("{error}. Let the capture's sessions share connections: --pool N"))
            }
            _ => Failure::from(error),
        }),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Creates a file to write into bit by bit.
fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path).map_err(|error| Failure::usage(format!("write {}: {error}", path.display())))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

/// The run `--after` repeats.
struct Earlier {
    run: Run,
    samples: Samples,
}

impl Earlier {
    fn of(reports: &Path, name: &str) -> Result<Self, Failure> {
        let (folder, run) = runs::last_before(reports, name)?;
        if run.partial {
            return Err(Failure::usage(format!("repeat {}: it is partial. Measure it again: pgload replay --before", folder.display())));
        }
        let samples = runs::read_samples(&folder)?;
        output::notice(&format!("Repeating {}", folder.display()));
        Ok(Self { run, samples })
    }

    /// Takes the settings of the run before; an option that says otherwise is refused, since the two could not be compared.
    fn settings(&self, args: &ReplayArgs, load: &Load, writes: Writes) -> Result<Settings, Failure> {
        let run = &self.run;
        let arrival: Arrival = serde_json::from_value(run.arrival.clone())
            .map_err(|error| Failure::usage(format!("read the earlier run's arrival: {error}")))?;
        let milliseconds =
            |name: &str| run.about.get(name).and_then(serde_json::Value::as_f64).map(|ms| Duration::from_secs_f64(ms / 1000.0));
        let mut settings = Settings::new(
            arrival,
            milliseconds("duration_ms").unwrap_or_else(|| Duration::from_secs_f64(run.duration_ms / 1000.0)),
            milliseconds("warm_up_ms").unwrap_or(WARM_UP),
            run.seed,
        );
        settings.max_calls = run.about.get("max_calls").and_then(serde_json::Value::as_u64);
        settings.writes = writes;
        let number = |name: &str| run.about.get(name).and_then(serde_json::Value::as_u64).and_then(|number| usize::try_from(number).ok());
        settings.jobs = number("jobs").unwrap_or(1);
        settings.pipeline = number("pipeline").unwrap_or(1);
        let overflow = run.about.get("overflow").cloned().and_then(|value| serde_json::from_value(value).ok());
        settings.overflow = overflow.unwrap_or_default();
        let differs = |option: &str, differs: bool| {
            if differs {
                return Err(Failure::usage(format!(
                    "repeat the earlier run with another {option}: leave the option out, or measure --before again"
                )));
            }
            Ok(())
        };
        let clients = settings.arrival.sessions();
        differs("--clients", args.clients.or(args.max_in_flight).is_some_and(|given| usize::from(given) != clients))?;
        differs("--rate", args.rate.is_some_and(|given| !matches!(settings.arrival, Arrival::Open { rate, .. } if rate == given)))?;
        let same_stages = matches!(&settings.arrival, Arrival::Stages { stages, .. } if *stages == args.stages);
        differs("--stages", !args.stages.is_empty() && !same_stages)?;
        differs("--overflow", args.overflow.is_some_and(|given| overflow_of(given) != settings.overflow))?;
        differs("--jobs", args.jobs.is_some_and(|given| usize::from(given) != settings.jobs))?;
        differs("--pipeline", args.pipeline.is_some_and(|given| usize::from(given) != settings.pipeline))?;
        differs("--duration", args.duration.is_some_and(|given| given != settings.duration))?;
        differs("--warm-up", args.warm_up.is_some_and(|given| given != settings.warm_up))?;
        differs("--seed", args.seed.is_some_and(|given| given != settings.seed))?;
        differs("--max-calls", args.max_calls.is_some() && args.max_calls != settings.max_calls)?;
        if let Some(traffic) = load.traffic() {
            let pool = number("pool");
            differs("--pool", traffic.pool != pool)?;
        }
        let same_speed = |given: f64| matches!(settings.arrival, Arrival::Captured { speed, .. } if speed == given);
        differs("--speed", args.captured.speed.is_some_and(|given| !same_speed(given)))?;
        let earlier_writes = run.about.get("writes").and_then(serde_json::Value::as_str).unwrap_or_default();
        differs("--writes", earlier_writes != writes.name())?;
        Ok(settings)
    }
}

pub(super) fn settings(args: &ReplayArgs, writes: Writes) -> Result<Settings, Failure> {
    let spacing = if args.poisson { Spacing::Poisson } else { Spacing::Uniform };
    let sessions = usize::from(args.max_in_flight.or(args.clients).unwrap_or(IN_FLIGHT));
    let (arrival, duration) = match args.rate {
        Some(rate) => (Arrival::Open { rate, spacing, sessions }, args.duration.unwrap_or(DURATION)),
        None if !args.stages.is_empty() => {
            let length = args.stages.iter().map(|stage| stage.duration).sum();
            (Arrival::Stages { stages: args.stages.clone(), spacing, sessions }, length)
        }
        None => {
            let given =
                [(args.poisson, "--poisson"), (args.max_in_flight.is_some(), "--max-in-flight"), (args.overflow.is_some(), "--overflow")];
            if let Some((_, option)) = given.iter().find(|(given, _)| *given) {
                return Err(Failure::usage(format!("use {option} in a closed loop: give a --rate or --stages with it")));
            }
            let clients = usize::from(args.clients.unwrap_or(CLIENTS));
            (Arrival::Closed { clients, think: Duration::ZERO }, args.duration.unwrap_or(DURATION))
        }
    };
    if duration.is_zero() {
        return Err(Failure::usage("measure for no time at all: give a --duration above 0"));
    }
    if !args.stages.is_empty() && args.stages.iter().all(|stage| stage.target == 0.0) {
        return Err(Failure::usage("make calls at a rate of 0: give --stages a rate above 0"));
    }
    let mut settings = Settings::new(arrival, duration, args.warm_up.unwrap_or(WARM_UP), args.seed.unwrap_or(SEED));
    settings.max_calls = args.max_calls;
    settings.writes = writes;
    settings.jobs = args.jobs.map_or(1, usize::from);
    settings.pipeline = args.pipeline.map_or(1, usize::from);
    settings.overflow = args.overflow.map_or(Overflow::Queue, overflow_of);
    Ok(settings)
}

fn overflow_of(mode: OverflowMode) -> Overflow {
    match mode {
        OverflowMode::Queue => Overflow::Queue,
        OverflowMode::Shed => Overflow::Shed,
    }
}

pub(super) fn writes(args: &WriteArgs, database: &str) -> Result<Writes, Failure> {
    match args.writes.unwrap_or(WriteMode::Readonly) {
        WriteMode::Readonly => Ok(Writes::Readonly),
        WriteMode::Rollback => Ok(Writes::Rollback),
        WriteMode::Clone => Ok(Writes::Clone),
        WriteMode::Live if args.allow_writes.as_deref() == Some(database) => Ok(Writes::Live),
        WriteMode::Live => Err(Failure::new(
            Exit::Refused,
            format!("write to {database}: --writes live changes data for good. Type its name in full: --allow-writes {database}"),
        )),
    }
}

/// The first Ctrl-C lets calls under way finish, the second gives them up.
pub(super) async fn listen(stop: Stop) {
    loop {
        migrate::interrupted().await;
        let again = stop.is_requested();
        output::notice(if again { "Stopping at once." } else { "Finishing the calls under way; again to stop at once." });
        stop.request();
    }
}

fn ended(run: &Run, stop: &Stop) -> Exit {
    match run.partial {
        false => Exit::Done,
        true if stop.is_requested() => Exit::Failed,
        true => Exit::Connection,
    }
}

/// What a verdict means for the exit code.
pub(super) fn verdict(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Better | Verdict::NoDifference => Exit::Done,
        Verdict::Worse => Exit::Slower,
        Verdict::Inconclusive => Exit::Inconclusive,
    }
}

/// Returns the exit that matters more: a lost server over a slowdown over doubt.
pub(super) fn worse(a: Exit, b: Exit) -> Exit {
    let weight = |exit: Exit| match exit {
        Exit::Done => 0,
        Exit::Inconclusive => 1,
        Exit::Slower => 2,
        Exit::Failed => 3,
        _ => 4,
    };
    if weight(b) > weight(a) { b } else { a }
}

fn print_run(run: &Run, format: Format) -> Result<(), Failure> {
    output::result(&match format {
        Format::Table => terminal::run(run, output::layout()),
        Format::Json => json_text::to_string_pretty(run),
        Format::Markdown => markdown::run(run),
        Format::Html => {
            let mut page = Report::new(format!("Replay of {}", run.name));
            page.runs.push(run.clone());
            html::page(&page)
        }
    })
}

/// Prints a comparison.
pub(super) fn print_comparison(named: &NamedComparison, before: &Run, after: &Run, format: Format) -> Result<(), Failure> {
    let numbers = Numbers::of(&named.comparison, Some(before), &[]);
    output::result(&match format {
        Format::Table => {
            format!("{}{}", terminal::comparison(named, &numbers, output::layout()), terminal::profile_of(after, output::layout()))
        }
        Format::Json => json_text::to_string_pretty(&named.comparison),
        Format::Markdown => {
            format!("{}\n{}", markdown::comparison(named, &numbers), markdown::profile_of(after)).trim_end().to_owned() + "\n"
        }
        Format::Html => {
            let mut page = Report::new(format!("{} before and after", named.name));
            page.runs = vec![before.clone(), after.clone()];
            page.comparisons.push(named.clone());
            html::page(&page)
        }
    })
}
