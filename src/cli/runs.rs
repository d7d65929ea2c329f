//! Saved runs: `reports/<UTC timestamp>-<kind>-<name>/` with run.json, samples.json, histograms.hlog.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::failure::{Exit, Failure};
use super::output;
use crate::pg::replay::Replayed;
use crate::replay::{Run, Samples};
use crate::report::json as json_text;
use crate::stats::histogram::write_hlog;

/// The newest layout of run.json this program reads.
const RUN_SCHEMA_VERSION: u64 = 1;

/// Names a folder that does not exist yet.
pub(super) fn new_folder(reports: &Path, kind: &str, name: Option<&str>) -> PathBuf {
    let at = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let base = match name {
        Some(name) => format!("{at}-{kind}-{}", slug(name)),
        None => format!("{at}-{kind}"),
    };
    let numbered = (1..).map(|number| reports.join(if number == 1 { base.clone() } else { format!("{base}-{number}") }));
    numbered.into_iter().find(|folder| !folder.exists()).expect("some number is free")
}

fn slug(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' || letter == '_' { letter } else { '_' }).collect()
}

/// Saves a run; what can be written is written, and the first error told.
pub(super) fn save(folder: &Path, replayed: &Replayed) -> Result<(), Failure> {
    let run = output::write(&folder.join("run.json"), json_text::to_string_pretty(&replayed.run));
    let samples = output::write(&folder.join("samples.json"), json_text::to_string_pretty(&replayed.samples));
    let started = SystemTime::UNIX_EPOCH + Duration::from_millis(replayed.run.started_at.as_millisecond().max(0).cast_unsigned());
    let length = Duration::from_secs_f64((replayed.run.duration_ms / 1000.0).max(0.0));
    let histograms = write_hlog(&replayed.histograms, started, length)
        .map_err(|error| Failure::failed(format!("write the histograms: {error}")))
        .and_then(|bytes| output::write(&folder.join("histograms.hlog"), bytes));
    run.and(samples).and(histograms)
}

/// Reads a run from its folder or its run.json.
pub(super) fn read(path: &Path) -> Result<Run, Failure> {
    let file = if path.is_dir() { path.join("run.json") } else { path.to_owned() };
    let wrong = |reason: String| Failure::usage(format!("read run {}: {reason}", file.display()));
    let text = std::fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    let document: serde_json::Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    match document.get("schema_version").and_then(serde_json::Value::as_u64) {
        Some(version) if version > RUN_SCHEMA_VERSION => {
            return Err(wrong(format!("schema_version {version} is newer than this pgload reads")));
        }
        Some(_) => {}
        None => return Err(wrong("it has no schema_version; a run saved by pgload is expected".to_owned())),
    }
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// Reads the rows a run's parameters came from.
pub(super) fn read_samples(folder: &Path) -> Result<Samples, Failure> {
    let file = folder.join("samples.json");
    let wrong = |reason: String| Failure::usage(format!("read {}: {reason}; measure again with --before", file.display()));
    let text = std::fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// Finds the newest run of a workload on the side before a change.
pub(super) fn last_before(reports: &Path, workload: &str) -> Result<(PathBuf, Run), Failure> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(reports).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let found = folders.into_iter().rev().filter(|folder| folder.join("run.json").exists()).find_map(|folder| {
        let run = read(&folder).ok()?;
        (run.name == workload && run.side.as_deref() == Some("before")).then_some((folder, run))
    });
    found.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("find a run of {workload} before the change in {}. Measure it first: pgload replay --before", reports.display()),
        )
    })
}
