//! `pgload audit`: snapshot in; findings, proposals and migration files out.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use super::args::{AuditArgs, AuditFormat, SizeLimit};
use super::failure::{Exit, Failure};
use super::{connection, demo, output, snapshot};
use crate::advisor::{self, Advice, Budget};
use crate::catalog::Snapshot;
use crate::findings::{self, Finding, Severity};
use crate::migration::plan::{self, Options};
use crate::migration::{Layout, Migration};
use crate::pg::snapshot::Scope;
use crate::report::{self, AuditDocument, Report, html, json as json_text, markdown, sarif, terminal};
use crate::units::Bytes;

pub(super) async fn run(args: AuditArgs) -> Result<Exit, Failure> {
    let scope = Scope { schemas: args.schema.clone(), tables: args.table.clone() };
    let snapshot = match (&args.snapshot, args.demo) {
        (Some(path), _) => scoped(snapshot::read(path)?, &scope)?,
        (None, true) => demo::snapshot(args.pg_bin.as_deref()).await?,
        (None, false) => snapshot::take(&connection::source(&args.connection)?, &scope).await?,
    };
    let options = Options { layout: args.layout, transactional: args.transactional };
    let first_version = args.timestamp.unwrap_or_else(Timestamp::now);
    let audit = Audit::of(&snapshot, &budget(&args, &snapshot), first_version, options);
    if let Some(folder) = &args.out {
        let written = write_migrations(folder, &audit.migrations, args.layout)?;
        say_written(&written, folder, audit.migrations.is_empty());
    }
    let mut document = audit.document(&snapshot, args.layout);
    document.about.insert("min_gain".to_owned(), json!(args.min_gain));
    document.about.insert("max_width".to_owned(), json!(args.max_width));
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

/// What an audit says, before it is written anywhere.
pub(super) struct Audit {
    pub findings: Vec<Finding>,
    pub advice: Advice,
    pub migrations: Vec<Migration>,
}

impl Audit {
    /// Judges a snapshot and asks for proposals.
    pub(super) fn of(snapshot: &Snapshot, budget: &Budget, first_version: Timestamp, options: Options) -> Self {
        let advice = advisor::advise_by_estimate(snapshot, budget);
        let migrations = plan::write(&advice.proposals, snapshot, first_version, options);
        Self { findings: findings::audit(snapshot), advice, migrations }
    }

    pub(super) fn document(&self, snapshot: &Snapshot, layout: Layout) -> AuditDocument {
        let named = |migration: &Migration| (migration.clone(), layout.files(migration).into_iter().map(|(name, _)| name).collect());
        let migrations: Vec<(Migration, Vec<String>)> = self.migrations.iter().map(named).collect();
        report::audit_document(snapshot, &self.findings, &self.advice, &migrations)
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
        write_overhead_max: None,
    }
}

/// Keeps the part of a saved snapshot that was asked for.
fn scoped(mut snapshot: Snapshot, scope: &Scope) -> Result<Snapshot, Failure> {
    let wants_schema = |schema: &str| scope.schemas.is_empty() || scope.schemas.iter().any(|wanted| wanted == schema);
    let wants_table = |schema: &str, name: &str| {
        scope.tables.is_empty() || scope.tables.iter().any(|wanted| wanted == name || *wanted == format!("{schema}.{name}"))
    };
    snapshot.tables.retain(|table| wants_schema(&table.name.schema) && wants_table(&table.name.schema, &table.name.name));
    if snapshot.tables.is_empty() && !(scope.schemas.is_empty() && scope.tables.is_empty()) {
        return Err(Failure::usage("find the schemas and tables that were asked for in the snapshot"));
    }
    let kept: std::collections::HashSet<_> = snapshot.tables.iter().map(|table| table.oid).collect();
    snapshot.indexes.retain(|index| kept.contains(&index.table));
    snapshot.constraints.retain(|constraint| kept.contains(&constraint.table));
    Ok(snapshot)
}

/// What became of each migration: its files, and whether they were there already.
pub(super) struct Written {
    pub paths: Vec<PathBuf>,
    pub known: Option<PathBuf>,
}

/// Writes migrations into a folder; a proposal whose statement stands in a file there is not written again.
pub(super) fn write_migrations(folder: &Path, migrations: &[Migration], layout: Layout) -> Result<Vec<Written>, Failure> {
    let present = sql_files(folder)?;
    let mut written = Vec::new();
    for migration in migrations {
        let known = present
            .iter()
            .find(|(_, text)| migration.statements().iter().all(|statement| text.contains(statement)))
            .map(|(path, _)| path.clone());
        let mut paths = Vec::new();
        if known.is_none() {
            for (name, content) in layout.files(migration) {
                let path = folder.join(name);
                if path.exists() {
                    return Err(Failure::usage(format!("write {}: it exists already. Give another --timestamp", path.display())));
                }
                output::write(&path, content)?;
                paths.push(path);
            }
        }
        written.push(Written { paths, known });
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
    if written.iter().any(|entry| entry.known.is_none()) {
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
