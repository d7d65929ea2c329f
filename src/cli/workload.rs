//! `--workload FILE`: statements a person gives in place of the recorded ones, or that were captured or replayed.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::{runs, traffic};
use crate::advisor::workload_file;
use crate::catalog::{Snapshot, Statement, StatementSource};
use crate::replay::captured::Captured;
use crate::replay::{Run, Workload};
use crate::sql::split::split;

/// Calls of a statement of weight 1 where some weight of the files has a fraction: three digits of it count.
const CALLS_OF_ONE: u64 = 1000;

/// First words of statements that an index can matter to.
const PLANNED: [&str; 7] = ["select", "insert", "update", "delete", "merge", "with", "values"];

/// A statement of a file.
struct Given {
    name: String,
    sql: String,
    /// How often it is called.
    weight: f64,
}

/// Puts the files' statements in the place of the snapshot's.
///
/// # Errors
/// Exit 2 with file, line and column for a file that cannot be read as a workload.
pub(super) fn replace(snapshot: &mut Snapshot, files: &[PathBuf]) -> Result<(), Failure> {
    if files.is_empty() {
        return Ok(());
    }
    let (mut counted, mut weighted, mut logs) = (Vec::new(), Vec::new(), Vec::new());
    for file in files {
        let name = file.display().to_string();
        if traffic::is_log(file) && !is_run(file) {
            logs.push(file.clone());
            continue;
        }
        match extension(file) {
            "sql" => {
                let statements = workload_file::parse(&read(file)?, &name);
                counted.extend(statements.map_err(|error| Failure::usage(format!("read workload {error}")))?);
            }
            "yaml" | "yml" => {
                let text = read(file)?;
                if Captured::is_captured(&text) {
                    let captured = Captured::parse(&text, &name).map_err(|error| Failure::usage(format!("read workload {error}")))?;
                    weighted.extend(of_captured(captured));
                } else {
                    weighted.extend(of_workload(&Workload::parse(&text, &name)?));
                }
            }
            "json" => weighted.extend(of_run(runs::read(file)?)),
            _ if file.is_dir() => weighted.extend(of_run(runs::read(file)?)),
            _ => {
                return Err(Failure::usage(format!(
                    "read workload {name}: expected statements (.sql), a workload (.yaml), a log (.csv, .json, .log) or a saved run (run.json)"
                )));
            }
        }
    }
    if !logs.is_empty() {
        let (captured, _) = traffic::captured_logs(&logs, Vec::new(), &std::env::temp_dir())?;
        weighted.extend(of_captured(captured));
    }
    let search_path = snapshot.server.settings.get("search_path").map_or("\"$user\", public", |setting| setting.value.as_str()).to_owned();
    let user = snapshot.server.user.clone();
    let whole = weighted.iter().all(|given| given.weight.fract() == 0.0);
    let unit = if whole { 1 } else { CALLS_OF_ONE };
    for statement in &mut counted {
        statement.calls = statement.calls.saturating_mul(unit);
        // Who runs them is not known; names resolve as for the role that audits.
        (statement.user, statement.search_path) = (user.clone(), search_path.clone());
    }
    // A statement of weight 0 is never called.
    counted.extend(weighted.into_iter().filter(|given| given.weight > 0.0).map(|given| {
        let calls = ((given.weight * unit as f64).round() as u64).max(1);
        Statement { query_id: Some(given.name), ..Statement::given(given.sql, calls, &user, &search_path) }
    }));
    if counted.is_empty() {
        return Err(Failure::usage(format!("read workload {}: expected at least one statement", files[0].display())));
    }
    // What was recorded of the application's statements says nothing about these; nor is it known who runs them.
    snapshot.statements = counted;
    snapshot.statement_source = StatementSource::File { paths: files.iter().map(|file| file.display().to_string()).collect() };
    Ok(())
}

fn of_workload(workload: &Workload) -> impl Iterator<Item = Given> {
    workload.statements.iter().enumerate().map(|(index, spec)| Given {
        name: spec.name.clone(),
        sql: spec.sql.clone(),
        weight: workload.frequency(index),
    })
}

/// Takes what can be planned; texts too long for the workload file, and those of several statements, cannot.
fn of_captured(captured: Captured) -> impl Iterator<Item = Given> {
    captured.statements.into_iter().filter(|one| is_planned(&one.sql)).map(|one| Given {
        name: one.name,
        weight: one.weight.saturating_sub(one.failed) as f64,
        sql: one.sql,
    })
}

/// Takes the statements of a saved run; what is a transaction has them as labels of their own.
fn of_run(run: Run) -> impl Iterator<Item = Given> {
    run.labels.into_iter().filter(|(_, label)| is_planned(&label.sql)).map(|(name, label)| Given {
        name,
        weight: label.count.saturating_sub(label.errors.values().sum()) as f64,
        sql: label.sql,
    })
}

fn is_planned(sql: &str) -> bool {
    let [only] = split(sql)[..] else { return false };
    let first = only.trim_start_matches('(').split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next();
    first.is_some_and(|first| PLANNED.contains(&first.to_ascii_lowercase().as_str()))
}

/// Whether a .json file is a saved run rather than a log, which is an object a line.
fn is_run(file: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(4096).read_to_end(&mut head));
    // The document is written with its version first; other programs may have rewritten it.
    extension(file) == "json" && read.is_ok() && {
        let head = String::from_utf8_lossy(&head);
        head.contains("\"schema_version\"") || !head.contains("\"timestamp\"") && head.trim_start().starts_with("{\n")
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("read workload {}: {error}", file.display())))
}

fn extension(file: &Path) -> &str {
    file.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
