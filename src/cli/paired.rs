//! `pgload replay --paired`: tries a change on one of two copies and compares both under one load.

use std::path::Path;

use super::args::{Format, PairedDesign, ReplayArgs, WriteMode};
use super::failure::{Exit, Failure};
use super::scripts::Load;
use super::{connection, guard, output, progress, replay, runs};
use crate::diff::Diff;
use crate::load::Stop;
use crate::migration::statements::split;
use crate::pg::Source;
use crate::pg::clone::Clones;
use crate::pg::paired::{Change, PairedSettings, Stage, run as experiment};
use crate::pg::session::Writes;
use crate::replay::paired::{Applied, Experiment};
use crate::report::{NamedComparison, Numbers, Report, html, json as json_text, markdown, terminal};
use crate::stats::Design;
use crate::units::{Bytes, human_ms};

/// One client: a duet wants both sides undisturbed, not busy. More are for locks and throughput.
const CLIENTS: u16 = 1;

pub(super) async fn run(args: &ReplayArgs, source: &Source, loads: &[Load], config_path: &Path) -> Result<Exit, Failure> {
    let change = change(args)?;
    let settings = settings(args)?;
    loads.iter().try_for_each(|load| fits(args, load))?;
    guard::admit(source, config_path).await?;
    let other = match &args.pair.against {
        Some(url) => {
            let other = connection::source(&super::args::Connection { url: Some(url.clone()) })?;
            guard::admit(&other, config_path).await?;
            Some(other)
        }
        None => None,
    };
    let stop = Stop::default();
    let listener = tokio::spawn(replay::listen(stop.clone()));
    let mut exit = Exit::Done;
    for load in loads {
        if stop.is_requested() {
            break;
        }
        let outcome = match &other {
            Some(other) => {
                let sides = Diff { before: source.clone(), after: other.clone() };
                tried(sides, load, &settings, None, &stop).await
            }
            None => on_copies(source, load, &settings, change.as_ref(), &stop).await,
        };
        exit = replay::worse(exit, tell(args, &outcome?)?);
    }
    listener.abort();
    Ok(exit)
}

/// Makes the copies, tries the change, and drops the copies whatever came of it.
async fn on_copies(
    source: &Source,
    load: &Load,
    settings: &PairedSettings,
    change: Option<&Change>,
    stop: &Stop,
) -> Result<Experiment, Failure> {
    let step = progress::step(&format!("Copying {} twice", source.database()));
    let clones = Clones::make(source, stop).await?;
    step.done(&format!("Copied {} ({}) to {} and {}", source.database(), Bytes(clones.size_bytes), names(&clones).0, names(&clones).1));
    // Without a change the copies are still two sides: an empty change.
    let nothing = Change::Sql { name: "nothing".to_owned(), text: String::new() };
    let outcome = tried(clones.sources.clone(), load, settings, Some(change.unwrap_or(&nothing)), stop).await;
    let notes = clones.notes.clone();
    let removed = clones.remove().await;
    let mut experiment = outcome?;
    experiment.comparison.caveats.extend(notes);
    removed?;
    Ok(experiment)
}

fn names(clones: &Clones) -> (&str, &str) {
    (clones.sources.before.database(), clones.sources.after.database())
}

/// Runs the experiment on a thread of its own, showing progress.
async fn tried(
    sides: Diff<Source>,
    load: &Load,
    settings: &PairedSettings,
    change: Option<&Change>,
    stop: &Stop,
) -> Result<Experiment, Failure> {
    let (load, settings, change, stop) = (load.clone(), settings.clone(), change.cloned(), stop.clone());
    let task = tokio::task::spawn_blocking(move || {
        let shown = progress::paired(&load.name());
        let stage = |stage: Stage<'_>| match stage {
            Stage::Step(text) => output::notice(&format!("{text} …")),
            Stage::Load(part, length, said) => shown.update_part(part, length, &said),
        };
        match &load {
            Load::Workload(workload) => experiment(&sides, workload.as_ref(), &settings, change.as_ref(), &stage, &stop),
            Load::Scripts(scripts) => experiment(&sides, scripts, &settings, change.as_ref(), &stage, &stop),
            Load::Traffic(traffic) => experiment(&sides, traffic.capture(), &settings, change.as_ref(), &stage, &stop),
            Load::Statements => unreachable!("a workload was made of it"),
        }
    });
    match task.await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn change(args: &ReplayArgs) -> Result<Option<Change>, Failure> {
    if let Some(path) = &args.pair.apply {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("read {}: {error}", path.display())))?;
        if split(&text).is_empty() {
            output::notice(&format!("{} holds no statement: both sides stay alike.", path.display()));
        }
        return Ok(Some(Change::Sql { name: path.display().to_string(), text }));
    }
    Ok(args.pair.migrations.clone().map(Change::Folder))
}

/// Refuses what cannot be done on two sides in the same way.
fn fits(args: &ReplayArgs, load: &Load) -> Result<(), Failure> {
    let of_times = [("--speed", args.captured.speed.is_some()), ("--pool", args.captured.pool.is_some())];
    match load {
        Load::Scripts(_) if args.script.allow_shell => Err(Failure::usage(
            "run programs for both sides: --paired makes each call twice, and a script's \\shell or \\setshell would act on one machine; \
             leave --allow-shell out",
        )),
        Load::Traffic(_) => match of_times.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Failure::usage(format!(
                "compare with {option}: --paired makes captured transactions in their order, without the capture's sessions and times"
            ))),
            None => Ok(()),
        },
        Load::Workload(_) | Load::Scripts(_) | Load::Statements => Ok(()),
    }
}

fn settings(args: &ReplayArgs) -> Result<PairedSettings, Failure> {
    let copies = args.pair.against.is_none();
    let refused = |why: &str| Err(Failure::usage(format!("write to both sides: {why}")));
    let writes = match (args.write.writes, copies) {
        (Some(WriteMode::Clone) | None, true) => Writes::Live,
        (Some(WriteMode::Readonly), _) | (None, false) => Writes::Readonly,
        (Some(WriteMode::Rollback), _) => Writes::Rollback,
        (Some(WriteMode::Clone), false) => return refused("--against compares databases that are not copies; use --writes rollback"),
        (Some(WriteMode::Live), true) => return refused("--paired makes copies, in which --writes clone is allowed"),
        (Some(WriteMode::Live), false) => return refused("--paired changes no database that is not its own; use --writes rollback"),
    };
    let args = ReplayArgs { clients: args.clients.or(args.rate.is_none().then_some(CLIENTS)), ..args.clone() };
    let load = replay::settings(&args, writes)?;
    let unfit = [
        (!args.stages.is_empty(), "--stages"),
        (args.events.is_some(), "--events"),
        (load.jobs > 1, "--jobs"),
        (load.pipeline > 1, "--pipeline"),
    ];
    if let Some((_, option)) = unfit.iter().find(|(given, _)| *given) {
        return Err(Failure::usage(format!("compare both sides with {option}: --paired puts one steady load on both from one worker")));
    }
    if load.max_calls.is_some() {
        return Err(Failure::usage("compare by time and calls at once: --paired takes no --max-calls, give a --duration"));
    }
    let design = match args.pair.design {
        PairedDesign::Duet => Design::Duet,
        PairedDesign::Abba => Design::Abba,
    };
    let mut settings = PairedSettings::new(design, load);
    settings.calibrate = !args.pair.no_calibration;
    Ok(settings)
}

/// Saves and prints what came out; returns what it means.
fn tell(args: &ReplayArgs, experiment: &Experiment) -> Result<Exit, Failure> {
    let folder = runs::new_folder(&args.reports, "paired", Some(&experiment.name));
    let saved = output::write(&folder.join("comparison.json"), json_text::to_string_pretty(experiment));
    let named = NamedComparison { name: experiment.name.clone(), comparison: experiment.comparison.clone() };
    let numbers = Numbers::of(&named.comparison, None, &[]);
    let more = sentences(experiment);
    output::result(&match args.format {
        Format::Json => json_text::to_string_pretty(experiment),
        Format::Table => {
            let lines: String = more.iter().map(|line| format!("  {line}\n")).collect();
            format!("{}\nThe experiment\n{lines}", terminal::comparison(&named, &numbers, output::layout()))
        }
        Format::Markdown => {
            let lines: String = more.iter().map(|line| format!("- {line}\n")).collect();
            format!("{}\n## The experiment\n\n{lines}", markdown::comparison(&named, &numbers))
        }
        Format::Html => {
            let mut page = Report::new(format!("{} with and without the change", named.name));
            page.caveats.extend(more);
            page.comparisons.push(named);
            html::page(&page)
        }
    })?;
    saved?;
    output::notice(&format!("Saved in {}", folder.display()));
    if experiment.partial {
        output::notice("The experiment was interrupted. What was measured until then is saved.");
        return Ok(Exit::Failed);
    }
    Ok(replay::verdict(experiment.comparison.verdict))
}

/// Says how the experiment went: the change and its price, settings, the machine.
fn sentences(experiment: &Experiment) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(applied) = experiment.applied.as_ref().filter(|applied| !applied.steps.is_empty()) {
        told.extend(change_sentences(applied));
    }
    for setting in &experiment.settings {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "default".to_owned());
        told.push(format!("Setting {}: {} before, {} after.", setting.name, value(&setting.value.before), value(&setting.value.after)));
    }
    if experiment.settings.is_empty() {
        told.push("Both sides have the same settings.".to_owned());
    }
    let machine = &experiment.interference;
    let shares = [
        ("stolen by the hypervisor", machine.steal_share),
        ("some work waited for a processor", machine.cpu_pressure),
        ("some work waited for a disk", machine.io_pressure),
        ("the load generator's own processor", machine.own_cpu_share),
    ];
    let shares: Vec<String> = shares.into_iter().filter_map(|(what, share)| Some(format!("{what} {:.1} %", share? * 100.0))).collect();
    if !shares.is_empty() {
        told.push(format!("While measuring: {}.", shares.join(", ")));
    }
    told
}

fn change_sentences(applied: &Applied) -> Vec<String> {
    let mut told = vec![format!(
        "The change ({}) took {}; it waited {} for locks. The database went from {} to {}.",
        applied.names.join(", "),
        human_ms(applied.elapsed_ms),
        human_ms(applied.lock_wait_ms),
        Bytes(applied.size_bytes.before),
        Bytes(applied.size_bytes.after),
    )];
    told.extend(applied.steps.iter().map(|step| format!("{}: {}", human_ms(step.elapsed_ms), step.statement)));
    told.extend(applied.indexes.iter().map(|index| format!("Index {}: {}", index.name, Bytes(index.size_bytes))));
    for lock in &applied.locks {
        let stops = if lock.mode == "AccessExclusiveLock" { "reads and writes" } else { "writes" };
        told.push(format!("It held {} on {} for {}: {stops} would have waited.", lock.mode, lock.relation, human_ms(lock.held_ms)));
    }
    told
}
