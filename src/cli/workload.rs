//! `--workload FILE`: statements a person gives in place of the recorded ones.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::advisor::workload_file;
use crate::catalog::{Snapshot, Statement, StatementSource};
use crate::replay::Workload;

/// Calls of a statement of weight 1 where some weight of the files has a fraction: three digits of it count.
const CALLS_OF_ONE: u64 = 1000;

/// Puts the files' statements in the place of the snapshot's.
///
/// # Errors
/// Exit 2 with file, line and column for a file that cannot be read as a workload.
pub(super) fn replace(snapshot: &mut Snapshot, files: &[PathBuf]) -> Result<(), Failure> {
    if files.is_empty() {
        return Ok(());
    }
    let (mut counted, mut weighted) = (Vec::new(), Vec::new());
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("read workload {}: {error}", file.display())))?;
        let name = file.display().to_string();
        match extension(file) {
            "sql" => counted.extend(workload_file::parse(&text, &name).map_err(|error| Failure::usage(format!("read workload {error}")))?),
            "yaml" | "yml" => {
                let workload = Workload::parse(&text, &name)?;
                weighted.extend(workload.statements.iter().enumerate().map(|(index, spec)| (spec.sql.clone(), workload.frequency(index))));
            }
            _ => return Err(Failure::usage(format!("read workload {name}: expected a file of statements (.sql) or a workload (.yaml)"))),
        }
    }
    let search_path = snapshot.server.settings.get("search_path").map_or("\"$user\", public", |setting| setting.value.as_str()).to_owned();
    let user = snapshot.server.user.clone();
    let whole = weighted.iter().all(|(_, weight)| weight.fract() == 0.0);
    let unit = if whole { 1 } else { CALLS_OF_ONE };
    for statement in &mut counted {
        statement.calls = statement.calls.saturating_mul(unit);
        // Who runs them is not known; names resolve as for the role that audits.
        (statement.user, statement.search_path) = (user.clone(), search_path.clone());
    }
    // A statement of weight 0 is never called.
    let called = weighted.into_iter().filter(|(_, weight)| *weight > 0.0);
    counted.extend(called.map(|(sql, weight)| Statement::given(sql, ((weight * unit as f64).round() as u64).max(1), &user, &search_path)));
    if counted.is_empty() {
        return Err(Failure::usage(format!("read workload {}: expected at least one statement", files[0].display())));
    }
    // What was recorded of the application's statements says nothing about these; nor is it known who runs them.
    snapshot.statements = counted;
    snapshot.statement_source = StatementSource::File { paths: files.iter().map(|file| file.display().to_string()).collect() };
    Ok(())
}

fn extension(file: &Path) -> &str {
    file.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
