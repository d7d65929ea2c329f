//! `-w`: workload files, captured traffic and logs, and pgbench scripts with the options that are theirs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{CapturedArgs, ScriptArgs, ScriptMode};
use super::failure::Failure;
use super::traffic::{self, Traffic};
use crate::pg::statements::NAME;
use crate::replay::Workload;
use crate::replay::captured::Captured;
use crate::replay::pgbench::{Choice, Mode, Options, Scripts, builtin};

/// What one run plays.
#[derive(Debug, Clone)]
pub(super) enum Load {
    /// A workload file.
    Workload(Box<Workload>),
    /// pgbench scripts, picked by their weights.
    Scripts(Scripts),
    /// What was captured from logs.
    Traffic(Arc<Traffic>),
    /// What the server recorded; [`super::statements::derived`] makes a workload of it.
    Statements,
}

impl Load {
    /// Returns the name runs are kept under.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Workload(workload) => workload.name.clone(),
            Self::Scripts(scripts) => scripts.name(),
            Self::Traffic(traffic) => traffic.captured.name.clone(),
            Self::Statements => NAME.to_owned(),
        }
    }

    /// Returns the captured traffic, where it is that.
    pub(super) fn traffic(&self) -> Option<&Traffic> {
        match self {
            Self::Traffic(traffic) => Some(traffic),
            Self::Workload(_) | Self::Scripts(_) | Self::Statements => None,
        }
    }
}

/// Reads everything given with `-w`: each workload file is a run of its own; all scripts together are one, and so are all
/// logs.
///
/// # Errors
/// Exit 2 with file, line and column for what cannot be read, and for options that need scripts or captured traffic where none
/// is given.
pub(super) fn loads(workloads: &[PathBuf], script: &ScriptArgs, captured: &CapturedArgs, reports: &Path) -> Result<Vec<Load>, Failure> {
    let pool = captured.pool.map(usize::from);
    let mut loads: Vec<Load> = Vec::new();
    let mut logs: Vec<PathBuf> = Vec::new();
    for path in workloads {
        // A file of that name is ./statements.
        if path.as_os_str() == NAME {
            loads.push(Load::Statements);
            continue;
        }
        if traffic::is_log(path) {
            logs.push(path.clone());
            continue;
        }
        let Some(choice) = path.to_str().and_then(Choice::parse) else {
            let text = read(path)?;
            loads.push(if Captured::is_captured(&text) {
                Load::Traffic(Arc::new(Traffic::open(path, text, reports, pool)?))
            } else {
                Load::Workload(Box::new(Workload::parse(&text, &path.display().to_string())?))
            });
            continue;
        };
        let choice = choice.map_err(|error| Failure::usage(format!("read {error}")))?;
        let scripts = match loads.iter_mut().find_map(|load| if let Load::Scripts(scripts) = load { Some(scripts) } else { None }) {
            Some(scripts) => scripts,
            None => {
                loads.push(Load::Scripts(Scripts { scripts: Vec::new(), options: options(script) }));
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
    if logs.is_empty() && !captured.database.is_empty() {
        return Err(Failure::usage("use --database: it is for logs, whose sessions may be of several; -d names the database to replay on"));
    }
    if !logs.is_empty() {
        loads.push(Load::Traffic(Arc::new(Traffic::of_logs(&logs, captured.database.clone(), reports, pool)?)));
    }
    let for_captures = [("--pool", captured.pool.is_some()), ("--speed", captured.speed.is_some())];
    if let Some((option, _)) = for_captures.iter().find(|(_, given)| *given)
        && !loads.iter().all(|load| load.traffic().is_some())
    {
        return Err(Failure::usage(format!("use {option}: it is for captured traffic, give a log or a file of pgload capture with -w")));
    }
    let has_scripts = loads.iter().any(|load| matches!(load, Load::Scripts(_)));
    let only_for_scripts = [
        ("-D", !script.define.is_empty()),
        ("-M", script.mode.is_some()),
        ("--max-tries", script.max_tries.is_some()),
        ("--allow-shell", script.allow_shell),
    ];
    match only_for_scripts.iter().find(|(_, given)| *given && !has_scripts) {
        Some((option, _)) => {
            Err(Failure::usage(format!("use {option}: it is for pgbench scripts, give one with -w FILE.sql or -w builtin:NAME")))
        }
        None => Ok(loads),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("read workload {}: {error}", path.display())))
}

/// The scale is read from the database, and the seed is the run's.
fn options(args: &ScriptArgs) -> Options {
    let mode = match args.mode {
        Some(ScriptMode::Simple) => Mode::Simple,
        Some(ScriptMode::Extended) => Mode::Extended,
        Some(ScriptMode::Prepared) | None => Mode::Prepared,
    };
    let retries = args.max_tries.map_or(0, |tries| tries - 1);
    Options { mode, variables: args.define.clone(), retries, allow_shell: args.allow_shell, ..Options::default() }
}
