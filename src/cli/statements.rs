//! `-w statements` and `pgload capture -d`: a workload derived from what the server recorded.

use std::fmt::Write as _;
use std::path::Path;

use super::args::{CaptureArgs, PlainFormat};
use super::failure::{Exit, Failure};
use super::scripts::Load;
use super::{connection, output, runs};
use crate::pg::Source;
use crate::pg::statements::{NAME, derive, described};
use crate::replay::{Derived, Workload};
use crate::units::grouped;

/// How pgload calls itself while it reads what was recorded.
const APPLICATION_NAME: &str = "pgload";

/// Statements shown.
const STATEMENTS_SHOWN: usize = 15;

/// Makes workloads of what is to be derived. A run that repeats one kept among `repeated` has its calls: what was derived
/// then, since the server has counted that run as well.
///
/// # Errors
/// Exit 6 where the server records nothing, exit 1 where nothing of it can be used.
pub(super) async fn derived(mut loads: Vec<Load>, repeated: Option<&Path>, source: &Source) -> Result<Vec<Load>, Failure> {
    for load in loads.iter_mut().filter(|load| matches!(load, Load::Statements)) {
        let workload = match repeated {
            Some(reports) => earlier(reports)?,
            None => fresh(source, NAME, "").await?,
        };
        if let Some(line) = described(&workload) {
            output::notice(&format!("Derived from pg_stat_statements: {line}"));
        }
        *load = Load::Workload(Box::new(workload));
    }
    Ok(loads)
}

async fn fresh(source: &Source, name: &str, description: &str) -> Result<Workload, Failure> {
    Ok(derive(&source.clone().with_application_name(APPLICATION_NAME), name, description).await?)
}

/// Returns the workload of the last run before the change.
fn earlier(reports: &Path) -> Result<Workload, Failure> {
    let (folder, run) = runs::last_before(reports, NAME)?;
    let text = run.about.get("workload").and_then(serde_json::Value::as_str);
    let text = text.ok_or_else(|| Failure::usage(format!("repeat {}: its workload was not kept", folder.display())))?;
    Ok(Workload::parse(text, &folder.join("run.json").display().to_string())?)
}

/// Writes a workload file derived from the server's statements.
pub(super) async fn capture(args: CaptureArgs) -> Result<Exit, Failure> {
    if !connection::is_given(&args.connection) {
        return Err(Failure::usage(
            "capture nothing: give a server's log, or with -d the database whose pg_stat_statements to derive from",
        ));
    }
    let for_logs =
        [("--log-format", args.log_format.is_some()), ("--prefix", args.prefix.is_some()), ("--database", !args.database.is_empty())];
    if let Some((option, _)) = for_logs.iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!("use {option}: it is for logs, and none is given")));
    }
    let extension = args.output.extension().and_then(|extension| extension.to_str());
    let stem = args.output.file_stem().and_then(|stem| stem.to_str());
    let (Some("yaml" | "yml"), Some(stem)) = (extension, stem) else {
        return Err(Failure::usage(format!("write {}: expected a workload file's name, such as shop.yaml", args.output.display())));
    };
    let name = args.name.as_deref().unwrap_or(stem);
    let workload = fresh(&connection::source(&args.connection)?, name, &args.description).await?;
    output::write(&args.output, &workload.text)?;
    let derived = workload.derived.as_ref();
    derived.into_iter().flat_map(Derived::caveats).for_each(|caveat| output::notice(&caveat));
    match args.format {
        PlainFormat::Json => output::result(&format!("{}\n", json(&workload)?))?,
        PlainFormat::Table => output::result(&table(&workload, &args.output))?,
    }
    Ok(Exit::Done)
}

fn json(workload: &Workload) -> Result<String, Failure> {
    let statement = |one: &crate::replay::workload::StatementSpec| serde_json::json!({ "name": one.name, "weight": one.weight, "sql": one.sql, "writes": one.writes, "recorded": one.recorded });
    let document = serde_json::json!({
        "schema_version": 1,
        "name": workload.name,
        "derived": workload.derived,
        "statements": workload.statements.iter().map(statement).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&document).map_err(|error| Failure::failed(format!("print the capture: {error}")))
}

fn table(workload: &Workload, path: &Path) -> String {
    let mut text = String::new();
    if let Some(line) = described(workload) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "\n{:>12}  {:>10}  {:>10}  statement", "calls", "rows/call", "blocks/call");
    for statement in workload.statements.iter().take(STATEMENTS_SHOWN) {
        let (rows, blocks) = statement.recorded.map_or((0.0, 0.0), |recorded| (recorded.rows, recorded.blocks));
        let sql: String = statement.sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect();
        let _ = writeln!(text, "{:>12}  {rows:>10.1}  {blocks:>10.1}  {sql}", grouped(statement.weight as u64));
    }
    let more = workload.statements.len().saturating_sub(STATEMENTS_SHOWN);
    if more > 0 {
        let _ = writeln!(text, "{:>38}{more} more", "");
    }
    let _ = writeln!(text, "\nWrote {}. Values are drawn from rows of the database it is replayed on.", path.display());
    text
}
