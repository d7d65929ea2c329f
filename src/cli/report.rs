//! `pgload report` and `pgload compare`: saved runs turned into text.

use std::path::{Path, PathBuf};

use super::args::{CompareArgs, Format, ReportArgs};
use super::failure::{Exit, Failure};
use super::{output, replay, runs};
use crate::replay::compare as compare_runs;
use crate::report::{NamedComparison, Report, html, json as json_text, markdown, terminal};

pub(super) fn report(args: ReportArgs) -> Result<Exit, Failure> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in &args.runs {
        folders.extend(run_folders(path)?);
    }
    let mut report = Report::new("Load test report");
    report.runs = folders.iter().map(|folder| runs::read(folder)).collect::<Result<Vec<_>, _>>()?;
    report.runs.sort_by_key(|run| run.started_at);
    add_comparisons(&mut report);
    if let Some(folder) = &args.output {
        write(&report, folder)?;
        output::notice(&format!("Wrote report.json, report.md and report.html in {}", folder.display()));
    }
    output::result(&match args.format {
        Format::Table => terminal::report(&report, output::layout()),
        Format::Json => json_text::to_string_pretty(&report),
        Format::Markdown => markdown::report(&report),
        Format::Html => html::page(&report),
    })?;
    Ok(Exit::Done)
}

pub(super) fn compare(args: CompareArgs) -> Result<Exit, Failure> {
    let (before, after) = (runs::read(&args.before)?, runs::read(&args.after)?);
    let comparison = compare_runs(&before, &after).map_err(|error| Failure::usage(error.to_string()))?;
    let named = NamedComparison { name: before.name.clone(), comparison };
    replay::print_comparison(&named, &before, &after, args.format)?;
    Ok(replay::verdict(named.comparison.verdict))
}

/// Returns a run's own folder, or those of the runs in a folder.
fn run_folders(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.is_file() || path.join("run.json").exists() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| Failure::usage(format!("read {}: {error}", path.display())))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|folder| folder.join("run.json").exists()).collect();
    folders.sort();
    if folders.is_empty() {
        return Err(Failure::usage(format!("find a run in {}: neither it nor a folder in it holds a run.json", path.display())));
    }
    Ok(folders)
}

/// Compares each workload's last run after with its last run before.
pub(super) fn add_comparisons(report: &mut Report) {
    let mut names: Vec<String> = report.runs.iter().map(|run| run.name.clone()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (Some(before), Some(after)) = (report.run_of(&name, "before"), report.run_of(&name, "after")) else { continue };
        match compare_runs(before, after) {
            Ok(comparison) => report.comparisons.push(NamedComparison { name, comparison }),
            Err(error) => report.caveats.push(format!("The runs of {name} are not compared: {error}.")),
        }
    }
}

/// Writes a report as JSON, Markdown and one page.
pub(super) fn write(report: &Report, folder: &Path) -> Result<(), Failure> {
    output::write(&folder.join("report.json"), json_text::to_string_pretty(report))?;
    output::write(&folder.join("report.md"), markdown::report(report))?;
    output::write(&folder.join("report.html"), html::page(report))
}
