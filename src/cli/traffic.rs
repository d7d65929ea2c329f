//! Captured traffic as the command line gives it: a file of `pgload capture` with its calls beside it, or logs themselves.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::ReplayArgs;
use super::capture::{self, Wanted};
use super::failure::Failure;
use super::output;
use crate::load::Arrival;
use crate::pg::Source;
use crate::pg::captured::{Capture, run_captured};
use crate::pg::replay::{ReplayError, Replayed, Settings, Watch};
use crate::pg::session::Writes;
use crate::replay::captured::Captured;
use crate::replay::log::Options;

/// Captured traffic that can be replayed.
#[derive(Debug)]
pub(super) struct Traffic {
    pub captured: Captured,
    text: String,
    calls: File,
    calls_name: String,
    /// Where temporary files go.
    folder: PathBuf,
    /// Connections that sessions share.
    pub pool: Option<usize>,
}

/// Whether a file's name says it is a server's log.
pub(super) fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    [".csv", ".json", ".log"].iter().any(|extension| plain.ends_with(extension))
}

/// Captures logs into a file that is gone when it is closed.
///
/// # Errors
/// Exit 2 for what is no log, exit 1 when the file cannot be written.
pub(super) fn captured_logs(logs: &[PathBuf], databases: Vec<String>, folder: &Path) -> Result<(Captured, File), Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("write the capture to {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut calls = tempfile::tempfile_in(folder).map_err(failed)?;
    let stem = logs.first().and_then(|path| path.file_name()?.to_str()?.split('.').next()).filter(|stem| !stem.is_empty());
    let name = stem.unwrap_or("log").to_owned();
    let wanted =
        Wanted { options: Options::default(), databases, calls_name: format!("{name}.calls.jsonl"), name, description: String::new() };
    let (captured, opened) = capture::record(logs, wanted, folder, &mut calls)?;
    for notice in capture::notices(&captured, &opened) {
        output::notice(&notice);
    }
    Ok((captured, calls))
}

impl Traffic {
    /// Opens a file of `pgload capture`; what is temporary goes where runs are kept, which has room for more than a folder in
    /// memory.
    ///
    /// # Errors
    /// Exit 2 when it, or the file of its calls, cannot be read.
    pub(super) fn open(path: &Path, text: String, temporary: &Path, pool: Option<usize>) -> Result<Self, Failure> {
        let captured =
            Captured::parse(&text, &path.display().to_string()).map_err(|error| Failure::usage(format!("read workload {error}")))?;
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside = folder.join(&captured.calls);
        let calls = File::open(&beside)
            .map_err(|error| Failure::usage(format!("read the calls of {}, {}: {error}", path.display(), beside.display())))?;
        std::fs::create_dir_all(temporary).map_err(|error| Failure::failed(format!("make the folder {}: {error}", temporary.display())))?;
        Ok(Self { captured, text, calls, calls_name: beside.display().to_string(), folder: temporary.to_owned(), pool })
    }

    /// Captures logs.
    ///
    /// # Errors
    /// Exit 2 for what is no log, exit 1 when the capture cannot be written.
    pub(super) fn of_logs(logs: &[PathBuf], databases: Vec<String>, folder: &Path, pool: Option<usize>) -> Result<Self, Failure> {
        let (captured, calls) = captured_logs(logs, databases, folder)?;
        let text = captured.to_yaml().map_err(|error| Failure::failed(format!("write the capture: {error}")))?;
        let calls_name = captured.calls.clone();
        Ok(Self { captured, text, calls, calls_name, folder: folder.to_owned(), pool })
    }

    /// Returns the settings of a run by the capture's own times; `None` where the options ask for a mix.
    ///
    /// # Errors
    /// Exit 2 for options that do not go together.
    pub(super) fn settings(&self, args: &ReplayArgs, writes: Writes) -> Result<Option<Settings>, Failure> {
        if args.rate.is_some() || args.clients.is_some() || !args.stages.is_empty() {
            return match [("--pool", args.captured.pool.is_some()), ("--speed", args.captured.speed.is_some())]
                .iter()
                .find(|(_, given)| *given)
            {
                Some((option, _)) => Err(Failure::usage(format!(
                    "use {option} with a mix: --rate, --stages and -c leave the capture's sessions and times out"
                ))),
                None => Ok(None),
            };
        }
        let unfit = [
            ("--poisson", args.poisson),
            ("--max-in-flight", args.max_in_flight.is_some()),
            ("--overflow", args.overflow.is_some()),
            ("--pipeline", args.pipeline.is_some()),
            ("--max-calls", args.max_calls.is_some()),
        ];
        if let Some((option, _)) = unfit.iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!("use {option} with the times of a capture: give a --rate or -c to make a mix of it")));
        }
        let warm_up = args.warm_up.unwrap_or_default();
        if !warm_up.is_zero() && matches!(writes, Writes::Clone | Writes::Live) {
            return Err(Failure::usage(
                "warm up with captured writes: the beginning of the capture would be written twice; leave --warm-up out",
            ));
        }
        let speed = args.captured.speed.unwrap_or(1.0);
        // The last call begins when the capture ends.
        let length = Duration::from_micros(self.captured.source.length_us).div_f64(speed) + Duration::from_millis(1);
        let duration = args.duration.map_or(length, |given| given.min(length));
        if duration.is_zero() {
            return Err(Failure::usage("measure for no time at all: give a --duration above 0"));
        }
        let mut settings =
            Settings::new(Arrival::Captured { sessions: 0, speed }, duration, warm_up, args.seed.unwrap_or(super::replay::SEED));
        settings.writes = writes;
        settings.jobs = args.jobs.map_or(1, usize::from);
        Ok(Some(settings))
    }

    /// Replays it.
    ///
    /// # Errors
    /// [`ReplayError`] when the run could not start.
    pub(super) fn run(&self, source: &Source, settings: &Settings, watch: Watch<'_>) -> Result<Replayed, ReplayError> {
        run_captured(source, &mut self.capture(), settings, watch)
    }

    /// Returns it as it is played.
    pub(super) fn capture(&self) -> Capture<'_> {
        let folder = self.folder.clone();
        Capture {
            captured: &self.captured,
            text: &self.text,
            calls: &self.calls,
            calls_name: &self.calls_name,
            pool: self.pool,
            scratch: Box::new(move || tempfile::tempfile_in(&folder)),
        }
    }
}
