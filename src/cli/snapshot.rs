//! `pgload snapshot`: saves what an audit needs; also reads it back.

use std::path::Path;

use super::args::SnapshotArgs;
use super::failure::{Exit, Failure};
use super::{connection, output};
use crate::catalog::redact::redact;
use crate::catalog::{SNAPSHOT_SCHEMA_VERSION, Snapshot};
use crate::pg::snapshot::{Scope, capture};
use crate::pg::{Source, connect};

pub(super) async fn run(args: SnapshotArgs) -> Result<Exit, Failure> {
    let source = connection::source(&args.connection)?;
    let taken = take(&source, &Scope::default()).await?;
    let snapshot = if args.redact { redact(taken) } else { taken };
    let text = crate::report::json::to_string_pretty(&snapshot);
    if args.output == Path::new("-") {
        output::result(&text)?;
        return Ok(Exit::Done);
    }
    output::write(&args.output, &text)?;
    let holds = if args.redact { "no value of a column but those that schema text spells" } else { "values of columns (statistics)" };
    output::notice(&format!(
        "Wrote {}: {} tables, {} indexes, {} statements. It holds {holds}; audit it with: pgload audit --snapshot {0}",
        args.output.display(),
        snapshot.tables.len(),
        snapshot.indexes.len(),
        snapshot.statements.len()
    ));
    Ok(Exit::Done)
}

/// Connects and reads a snapshot.
pub(super) async fn take(source: &Source, scope: &Scope) -> Result<Snapshot, Failure> {
    let mut client = connect(&source.clone().with_application_name("pgload")).await?;
    Ok(capture(&mut client, scope).await?)
}

/// Reads a saved snapshot.
pub(super) fn read(path: &Path) -> Result<Snapshot, Failure> {
    let wrong = |reason: String| Failure::usage(format!("read snapshot {}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let document: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| wrong(format!("{error}; a file written by `pgload snapshot` is expected")))?;
    match document.get("schema_version").and_then(serde_json::Value::as_u64) {
        Some(version) if version > u64::from(SNAPSHOT_SCHEMA_VERSION) => {
            return Err(wrong(format!(
                "it has schema_version {version}, this pgload reads up to {SNAPSHOT_SCHEMA_VERSION}: use a newer pgload"
            )));
        }
        Some(_) => {}
        None => return Err(wrong("it has no schema_version; a file written by `pgload snapshot` is expected".to_owned())),
    }
    // Read from the text again: only then do errors have a line and a column.
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}
