//! `pgload audit`: snapshot in; findings, proposals and migration files out.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::advice::{self, Answer, How};
use super::args::{AuditArgs, AuditFormat, Connection, SizeLimit};
use super::failure::{Exit, Failure};
use super::{connection, demo, output, snapshot, workload};
use crate::advisor::{Advice, Budget};
use crate::catalog::{Node, Oid, QualifiedName, Snapshot, Table};
use crate::findings::{self, Finding, Severity};
use crate::migration::plan::{self, Options};
use crate::migration::{Layout, Migration};
use crate::pg::snapshot::{Scope, take_node};
use crate::report::audit::Unmodelled;
use crate::report::{self, AuditDocument, Report, html, json as json_text, markdown, sarif, terminal};
use crate::units::Bytes;

pub(super) async fn run(args: AuditArgs) -> Result<Exit, Failure> {
    let snapshot = Arc::new(read(&args).await?);
    let options = Options { layout: args.layout, transactional: args.transactional };
    let first_version = args.timestamp.unwrap_or_else(Timestamp::now);
    let audit = Audit::of(&snapshot, &budget(&args, &snapshot), &How::from(&args.advice), first_version, options).await?;
    if let Some(folder) = &args.out {
        let written = write_migrations(folder, &audit.migrations, args.layout)?;
        say_written(&written, folder, audit.migrations.is_empty());
    }
    let mut document = audit.document(&snapshot, args.layout, args.out.as_deref());
    document.about.insert("min_gain".to_owned(), json!(args.min_gain));
    document.about.insert("max_width".to_owned(), json!(args.max_width));
    if !args.workload.is_empty() {
        document.about.insert("workload".to_owned(), json!(args.workload));
    }
    print(&document, args.format)?;
    if args.out.is_none() && !audit.migrations.is_empty() && args.format == AuditFormat::Table {
        output::notice("Write these migrations as files with: --out migrations");
    }
    let worst = audit.findings.iter().map(|finding| finding.severity).max();
    Ok(match (args.fail_on, worst) {
        (Some(limit), Some(worst)) if worst >= limit => Exit::Findings,
        _ => Exit::Done,
    })
}

/// Reads what is to be audited: a file or a server, other nodes' counters, and the statements.
async fn read(args: &AuditArgs) -> Result<Snapshot, Failure> {
    let scope = Scope { schemas: args.schema.clone(), tables: args.table.clone() };
    // Other nodes first: without one that has to be seen, there is no audit to wait for.
    let mut nodes = Vec::new();
    for url in &args.replica {
        nodes.push(node(url).await?);
    }
    let mut snapshot = match (&args.snapshot, args.demo) {
        (Some(path), _) => scoped(snapshot::read(path)?, &scope)?,
        (None, true) => demo::snapshot(args.advice.pg_bin.as_deref()).await?,
        (None, false) => snapshot::take(&connection::source(&args.connection)?, &scope).await?,
    };
    nodes.into_iter().for_each(|node| snapshot.add_node(node));
    workload::replace(&mut snapshot, &args.workload)?;
    Ok(snapshot)
}

/// Reads what another node counted.
async fn node(url: &str) -> Result<Node, Failure> {
    let source = connection::source(&Connection { url: Some(url.to_owned()) })
        .map_err(|failure| Failure::new(failure.exit, format!("read the node of --replica: {}", failure.message)))?;
    take_node(&source).await.map_err(Failure::from).map_err(|failure| {
        let message = format!(
            "read the node of --replica: {} Nothing was audited: what it counted has to be seen, or --replica left out, and then the \
             audit says that it was not.",
            failure.message
        );
        Failure::new(failure.exit, message)
    })
}

/// What an audit says, before it is written anywhere.
pub(super) struct Audit {
    pub findings: Vec<Finding>,
    pub advice: Advice,
    pub unmodelled: Vec<Unmodelled>,
    pub migrations: Vec<Migration>,
}

impl Audit {
    /// Judges a snapshot and asks for proposals.
    pub(super) async fn of(
        snapshot: &Arc<Snapshot>,
        budget: &Budget,
        how: &How,
        first_version: Timestamp,
        options: Options,
    ) -> Result<Self, Failure> {
        let Answer { advice, unmodelled } = advice::advise(snapshot, budget, how).await?;
        let migrations = plan::write(&advice.proposals, snapshot, first_version, options);
        let mut findings = findings::audit(snapshot);
        agree(&mut findings, &advice);
        Ok(Self { findings, advice, unmodelled, migrations })
    }

    /// Returns the document; `folder` is where the migrations were written, when they were.
    pub(super) fn document(&self, snapshot: &Snapshot, layout: Layout, folder: Option<&Path>) -> AuditDocument {
        let named = |migration: &Migration| (migration.clone(), layout.files(migration).into_iter().map(|(name, _)| name).collect());
        let migrations: Vec<(Migration, Vec<String>)> = self.migrations.iter().map(named).collect();
        let mut document = report::audit_document(snapshot, &self.findings, &self.advice, &migrations);
        document.unmodelled.clone_from(&self.unmodelled);
        for (entry, migration) in document.migrations.iter_mut().zip(&self.migrations) {
            entry.folder = folder.map(|folder| folder_of(folder, migration).display().to_string());
        }
        document
    }
}

/// Has a finding that an index is spare say what the statements say of it: that it is missed.
fn agree(findings: &mut [Finding], advice: &Advice) {
    let spare = |finding: &&mut Finding| ["redundant-index", "duplicate-index"].contains(&finding.rule.as_str());
    for finding in findings.iter_mut().filter(spare) {
        let named = |name: &QualifiedName| finding.object.schema.as_deref() == Some(&name.schema) && finding.object.name == name.name;
        if let Some(kept) = advice.refused.iter().find(|refused| refused.keeps.as_ref().is_some_and(named)) {
            finding.severity = Severity::Info;
            finding.help = format!("Keep it as long as that statement matters: {}.", kept.reason);
        }
    }
}

/// The default limits of an audit.
pub(super) fn default_budget() -> Budget {
    Budget { size_max: None, indexes_per_table_max: None, width_max: 4, gain_min: 0.05, write_overhead_max: None }
}

fn budget(args: &AuditArgs, snapshot: &Snapshot) -> Budget {
    let heap: u64 = snapshot.tables.iter().map(|table| table.heap_bytes).sum();
    Budget {
        size_max: args.max_size.map(|limit| match limit {
            SizeLimit::Bytes(bytes) => Bytes(bytes),
            SizeLimit::Share(share) => Bytes((heap as f64 * share) as u64),
        }),
        indexes_per_table_max: args.max_indexes_per_table,
        width_max: usize::from(args.max_width),
        gain_min: args.min_gain,
        write_overhead_max: args.max_write_overhead,
    }
}

/// Keeps the part of a saved snapshot that was asked for.
fn scoped(mut snapshot: Snapshot, scope: &Scope) -> Result<Snapshot, Failure> {
    let wants_schema = |schema: &str| scope.schemas.is_empty() || scope.schemas.iter().any(|wanted| wanted == schema);
    let wants_table = |schema: &str, name: &str| {
        scope.tables.is_empty() || scope.tables.iter().any(|wanted| wanted == name || *wanted == format!("{schema}.{name}"))
    };
    let wanted = |table: &&Table| wants_schema(&table.name.schema) && wants_table(&table.name.schema, &table.name.name);
    let mut kept: HashSet<Oid> = snapshot.tables.iter().filter(wanted).map(|table| table.oid).collect();
    // A partitioned table comes with its partitions, wherever they are: an index on it is built on each.
    loop {
        let below = partitions_of(&snapshot, &kept);
        if below.is_empty() {
            break;
        }
        kept.extend(below);
    }
    snapshot.tables.retain(|table| kept.contains(&table.oid));
    if snapshot.tables.is_empty() && !(scope.schemas.is_empty() && scope.tables.is_empty()) {
        return Err(Failure::usage("find the schemas and tables that were asked for in the snapshot"));
    }
    // Views, functions and types stay whole: a table that was asked for may need any of them.
    snapshot.indexes.retain(|index| kept.contains(&index.table));
    snapshot.constraints.retain(|constraint| kept.contains(&constraint.table));
    snapshot.extended_statistics.retain(|statistics| kept.contains(&statistics.table));
    snapshot.policies.retain(|policy| kept.contains(&policy.table));
    Ok(snapshot)
}

fn partitions_of(snapshot: &Snapshot, kept: &HashSet<Oid>) -> Vec<Oid> {
    let below =
        |table: &&Table| table.is_partition && !kept.contains(&table.oid) && table.parent.is_some_and(|parent| kept.contains(&parent));
    snapshot.tables.iter().filter(below).map(|table| table.oid).collect()
}

/// Returns the folder a migration belongs into: a drop's is beside that of the others, so that no run applies both.
fn folder_of(folder: &Path, migration: &Migration) -> PathBuf {
    if !plan::is_drop(migration) {
        return folder.to_owned();
    }
    // `.` and `..` have no name of their own to add to.
    let named = if folder.file_name().is_some() { folder.to_owned() } else { folder.canonicalize().unwrap_or_else(|_| folder.to_owned()) };
    let name = named.file_name().map_or_else(|| "migrations".into(), |name| name.to_string_lossy().into_owned());
    named.with_file_name(format!("{name}-drops"))
}

/// What became of each migration: its files, and whether they were there already.
pub(super) struct Written {
    pub paths: Vec<PathBuf>,
    pub known: Option<PathBuf>,
    /// Whether it drops an index.
    pub drop: bool,
}

/// Writes migrations into a folder, drops into the one beside it; a proposal whose statements stand in a file there is not
/// written again.
pub(super) fn write_migrations(folder: &Path, migrations: &[Migration], layout: Layout) -> Result<Vec<Written>, Failure> {
    let mut present = sql_files(folder)?;
    if let Some(drop) = migrations.iter().find(|migration| plan::is_drop(migration)) {
        present.extend(sql_files(&folder_of(folder, drop))?);
    }
    let stands_in = |text: &str, migration: &Migration| migration.statements().iter().all(|statement| text.contains(statement));
    let mut written = Vec::new();
    for migration in migrations {
        let ups = present.iter().filter(|(path, _)| !path.to_string_lossy().ends_with(".down.sql"));
        let known = ups.into_iter().find(|(_, text)| stands_in(text, migration)).map(|(path, _)| path.clone());
        let mut paths = Vec::new();
        if known.is_none() {
            let folder = folder_of(folder, migration);
            for (name, content) in layout.files(migration) {
                let path = folder.join(name);
                if path.exists() {
                    return Err(Failure::usage(format!("write {}: it exists already. Give another --timestamp", path.display())));
                }
                output::write(&path, content)?;
                paths.push(path);
            }
        }
        written.push(Written { paths, known, drop: plan::is_drop(migration) });
    }
    Ok(written)
}

fn sql_files(folder: &Path) -> Result<Vec<(PathBuf, String)>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::failed(format!("read {}: {error}", folder.display()))),
    };
    let sql = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    Ok(sql.filter_map(|path| Some((path.clone(), std::fs::read_to_string(path).ok()?))).collect())
}

fn say_written(written: &[Written], folder: &Path, none: bool) {
    if none {
        output::notice("Nothing to migrate: no index is proposed.");
    }
    for entry in written {
        match &entry.known {
            Some(path) => output::notice(&format!("Already proposed in {}; not written again.", path.display())),
            None => entry.paths.iter().for_each(|path| output::notice(&format!("Wrote {}", path.display()))),
        }
    }
    let new = |drop: bool| written.iter().any(|entry| entry.known.is_none() && entry.drop == drop);
    if new(true) {
        output::notice(&format!(
            "Drops are kept apart: once the new indexes have proved themselves, move their files, down files too, into {}.",
            folder.display()
        ));
    }
    if new(false) {
        output::notice(&format!("Review them, then apply with: pgload migrate up --dir {}", folder.display()));
    }
}

fn print(document: &AuditDocument, format: AuditFormat) -> Result<(), Failure> {
    output::result(&match format {
        AuditFormat::Table => terminal::audit(document, output::layout()),
        AuditFormat::Json => json_text::to_string_pretty(document),
        AuditFormat::Markdown => markdown::audit(document),
        AuditFormat::Html => {
            let mut page = Report::new(format!("Audit of {}", document.server.database));
            page.audit = Some(document.clone());
            html::page(&page)
        }
        AuditFormat::Sarif => json_text::to_string_pretty(&sarif::log(document)),
    })
}

/// Counts findings by severity, for a line.
pub(super) fn counts(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    format!("{} critical, {} warnings, {} notes", count(Severity::Critical), count(Severity::Warning), count(Severity::Info))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advisor::Refused;
    use crate::findings::{Object, ObjectKind};

    fn spare(name: &str) -> Finding {
        let object = Object { kind: ObjectKind::Index, schema: Some("public".into()), table: Some("t".into()), name: name.into() };
        Finding {
            rule: "redundant-index".into(),
            severity: Severity::Warning,
            object,
            message: format!("{name} is covered."),
            evidence: Vec::new(),
            help: format!("drop index {name}"),
        }
    }

    #[test]
    fn an_index_that_a_statement_would_miss_is_not_said_to_go() {
        let mut findings = vec![spare("kept"), spare("gone")];
        let kept = Refused { keeps: Some(QualifiedName::new("public", "kept")), ..Refused::new("drop of public.kept", "it is missed") };
        agree(&mut findings, &Advice { refused: vec![Refused::new("t (a)", "too small"), kept], ..Advice::default() });
        assert_eq!((findings[0].severity, findings[0].help.contains("it is missed")), (Severity::Info, true));
        assert_eq!((findings[1].severity, findings[1].help.as_str()), (Severity::Warning, "drop index gone"));
    }
}
