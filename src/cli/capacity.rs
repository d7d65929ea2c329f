//! `pgload capacity`: looks for the highest rate that keeps an objective, saves and prints what it found.

use std::path::Path;

use super::args::{CapacityArgs, CapacityFormat, CapturedArgs};
use super::failure::{Exit, Failure};
use super::scripts::{self, Load};
use super::{connection, guard, output, progress, replay, runs, statements};
use crate::load::{Spacing, Stop};
use crate::pg::Source;
use crate::pg::capacity::{Calls, CapacitySettings, Stage, run as examine};
use crate::pg::session::Writes;
use crate::replay::capacity::{Capacity, Outcome, Search};
use crate::report::content::capacity::{point_line, step_line};
use crate::report::{json as json_text, markdown, terminal};

pub(super) async fn run(args: CapacityArgs, config_path: &Path) -> Result<Exit, Failure> {
    let loads = scripts::loads(&args.workloads, &args.script, &CapturedArgs::default(), &args.reports)?;
    check(&args)?;
    let source = connection::source(&args.connection)?;
    let marks = guard::admit(&source, config_path).await?;
    let settings = settings(&args, replay::writes(&args.write, &marks.database)?);
    let loads = statements::derived(loads, None, &source).await?;
    let stop = Stop::default();
    let listener = tokio::spawn(replay::listen(stop.clone()));
    let mut exit = Exit::Done;
    for load in &loads {
        if stop.is_requested() {
            break;
        }
        let capacity = examined(&source, load, &settings, &stop).await?;
        exit = replay::worse(exit, tell(&args, &capacity, &stop)?);
    }
    listener.abort();
    Ok(exit)
}

fn check(args: &CapacityArgs) -> Result<(), Failure> {
    if args.dwell.is_zero() {
        return Err(Failure::usage("measure for no time at all: give a --dwell above 0"));
    }
    if args.min_rate > args.max_rate {
        let (min, max) = (args.min_rate, args.max_rate);
        return Err(Failure::usage(format!("search from {min} up to {max} calls a second: give a --max-rate above --min-rate")));
    }
    Ok(())
}

fn settings(args: &CapacityArgs, writes: Writes) -> CapacitySettings {
    let mut sweep: Vec<usize> = args.sweep.iter().map(|clients| usize::from(*clients)).collect();
    sweep.sort_unstable();
    sweep.dedup();
    CapacitySettings {
        slo: args.slo.clone(),
        search: Search { min_rate: args.min_rate, max_rate: args.max_rate, dwell: args.dwell },
        errors_max: args.max_errors,
        sessions: usize::from(args.clients),
        spacing: if args.poisson { Spacing::Poisson } else { Spacing::Uniform },
        sweep,
        seed: args.seed,
        writes,
        jobs: usize::from(args.jobs),
    }
}

/// Looks for the capacity on threads of its own, showing progress.
async fn examined(source: &Source, load: &Load, settings: &CapacitySettings, stop: &Stop) -> Result<Capacity, Failure> {
    if load.traffic().is_some() {
        let message =
            format!("look for the capacity of {}: captured traffic has its own times; give a workload file or a script", load.name());
        return Err(Failure::usage(message));
    }
    let (source, load, settings, stop) = (source.clone(), load.clone(), settings.clone(), stop.clone());
    let task = tokio::task::spawn_blocking(move || {
        let shown = progress::paired(&load.name());
        let tell = |stage: Stage<'_>| match stage {
            Stage::Load(part, length, said) => shown.update_part(part, length, said),
            Stage::Step(step) => shown.say(&step_line(step)),
            Stage::Point(point) => shown.say(&point_line(point)),
        };
        let calls = match &load {
            Load::Workload(workload) => Calls::Workload(workload),
            Load::Scripts(scripts) => Calls::Scripts(scripts),
            Load::Traffic(_) => unreachable!("it was refused above"),
            Load::Statements => unreachable!("a workload was made of it"),
        };
        examine(&source, calls, &settings, &tell, &stop)
    });
    match task.await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Saves and prints what was found; returns what it means.
fn tell(args: &CapacityArgs, capacity: &Capacity, stop: &Stop) -> Result<Exit, Failure> {
    let folder = runs::new_folder(&args.reports, "capacity", Some(&capacity.name));
    let saved = output::write(&folder.join("capacity.json"), json_text::to_string_pretty(capacity));
    output::result(&match args.format {
        CapacityFormat::Table => terminal::capacity(capacity, output::layout()),
        CapacityFormat::Json => json_text::to_string_pretty(capacity),
        CapacityFormat::Markdown => markdown::capacity(capacity),
    })?;
    saved?;
    output::notice(&format!("Saved in {}", folder.display()));
    Ok(match capacity.outcome() {
        Outcome::Found => Exit::Done,
        Outcome::BelowMinimum => Exit::Slower,
        Outcome::Unconfirmed => Exit::Inconclusive,
        Outcome::Partial if stop.is_requested() => Exit::Failed,
        Outcome::Partial => Exit::Connection,
    })
}
