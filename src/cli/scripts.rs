//! `-w`: workload files, and pgbench scripts with the options that are theirs.

use std::path::Path;

use super::args::{ReplayArgs, ScriptMode};
use super::failure::Failure;
use crate::replay::Workload;
use crate::replay::pgbench::{Choice, Mode, Options, Scripts, builtin};

/// What one run plays.
#[derive(Debug, Clone)]
pub(super) enum Load {
    /// A workload file.
    Workload(Workload),
    /// pgbench scripts, picked by their weights.
    Scripts(Scripts),
}

impl Load {
    /// Returns the name runs are kept under.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Workload(workload) => workload.name.clone(),
            Self::Scripts(scripts) => scripts.name(),
        }
    }
}

/// Reads everything given with `-w`: each workload file is a run of its own, all scripts together are one.
///
/// # Errors
/// Exit 2 with file, line and column for what cannot be read, and for options that need scripts where none are given.
pub(super) fn loads(args: &ReplayArgs) -> Result<Vec<Load>, Failure> {
    let mut loads: Vec<Load> = Vec::new();
    for path in &args.workloads {
        let Some(choice) = path.to_str().and_then(Choice::parse) else {
            let text = read(path)?;
            loads.push(Load::Workload(Workload::parse(&text, &path.display().to_string())?));
            continue;
        };
        let choice = choice.map_err(|error| Failure::usage(format!("read {error}")))?;
        let scripts = match loads.iter_mut().find_map(|load| if let Load::Scripts(scripts) = load { Some(scripts) } else { None }) {
            Some(scripts) => scripts,
            None => {
                loads.push(Load::Scripts(Scripts { scripts: Vec::new(), options: options(args) }));
                let Some(Load::Scripts(scripts)) = loads.last_mut() else { unreachable!("it was just added") };
                scripts
            }
        };
        let added = if choice.is_builtin {
            let builtin =
                builtin(&choice.name).map_err(|error| Failure::usage(format!("read workload builtin:{}: {error}", choice.name)))?;
            scripts.add(builtin.text, builtin.name, choice.weight)
        } else {
            scripts.add(&read(Path::new(&choice.name))?, &choice.name, choice.weight)
        };
        added.map_err(|error| Failure::usage(format!("read script {error}")))?;
    }
    let has_scripts = loads.iter().any(|load| matches!(load, Load::Scripts(_)));
    let only_for_scripts = [
        ("-D", !args.define.is_empty()),
        ("-M", args.mode.is_some()),
        ("--max-tries", args.max_tries.is_some()),
        ("--allow-shell", args.allow_shell),
    ];
    match only_for_scripts.iter().find(|(_, given)| *given && !has_scripts) {
        Some((option, _)) => {
            Err(Failure::usage(format!("use {option}: it is for pgbench scripts, give one with -w FILE.sql or -w builtin:NAME")))
        }
        None => Ok(loads),
    }
}

/// Returns the workload files, where scripts cannot be played.
///
/// # Errors
/// Exit 2 when there are scripts.
pub(super) fn workloads_only(loads: Vec<Load>) -> Result<Vec<Workload>, Failure> {
    let workload = |load| match load {
        Load::Workload(workload) => Ok(workload),
        Load::Scripts(scripts) => {
            Err(Failure::usage(format!("compare {}: --paired plays workload files (.yaml), not scripts", scripts.name())))
        }
    };
    loads.into_iter().map(workload).collect()
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("read workload {}: {error}", path.display())))
}

/// The scale is read from the database, and the seed is the run's.
fn options(args: &ReplayArgs) -> Options {
    let mode = match args.mode {
        Some(ScriptMode::Simple) => Mode::Simple,
        Some(ScriptMode::Extended) => Mode::Extended,
        Some(ScriptMode::Prepared) | None => Mode::Prepared,
    };
    let retries = args.max_tries.map_or(0, |tries| tries - 1);
    Options { mode, variables: args.define.clone(), retries, allow_shell: args.allow_shell, ..Options::default() }
}
