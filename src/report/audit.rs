//! The audit's JSON document: what `pgload audit --format json` prints and every other audit format is made from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::SCHEMA_VERSION;
use crate::advisor::proposal::NewStatistics;
use crate::advisor::{Action, Advice, Confidence, Coverage, Proposal, Refused, StatementEffect, WriteCost};
use crate::catalog::{Hidden, KeyTarget, Oid, Snapshot, StatementSource};
use crate::diff::Diff;
use crate::findings::Finding;
use crate::migration::Migration;
use crate::units::Bytes;

/// What an audit found, proposes and refuses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditDocument {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The program that wrote it.
    pub tool: Tool,
    /// Facts of the audit: when the snapshot was taken, the age of the statistics, settings; never a password.
    pub about: BTreeMap<String, Value>,
    /// What priced the plans: `statistics twin on PostgreSQL 15.18`, `arithmetic on pg_stats`.
    #[serde(default)]
    pub model: String,
    /// What the model could not take into account, as sentences.
    #[serde(default)]
    pub caveats: Vec<String>,
    /// Objects the model lacks, those that bear on most execution time first.
    #[serde(default)]
    pub unmodelled: Vec<Unmodelled>,
    /// The audited server.
    pub server: ServerEntry,
    /// Where the statements came from, or why there are none.
    pub statement_source: StatementSource,
    /// How much of the workload the advice rests on.
    pub coverage: Coverage,
    /// What is wrong, the most severe first.
    pub findings: Vec<Finding>,
    /// What to do, most gain first.
    pub proposals: Vec<ProposalEntry>,
    /// What was considered and not proposed.
    pub refused: Vec<Refused>,
    /// The files written, in the order they are to be applied.
    pub migrations: Vec<MigrationEntry>,
    /// What the role could not see, and the statement that would show it.
    pub hidden: Vec<Hidden>,
}

/// An object of the audited database that plans were priced without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unmodelled {
    /// What it is: `extension`, `table`, `statistics`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// The share of execution time of statements on tables it bears on, 0 to 1; `None` when no time was recorded.
    pub exec_time_share: Option<f64>,
}

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `pgload`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The audited server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerEntry {
    /// `server_version_num`: 150018 is 15.18.
    pub version_num: u32,
    /// The audited database.
    pub database: String,
    /// When its statistics were last reset; `None` when never, or when a crash discarded them.
    pub stats_reset_at: Option<Timestamp>,
    /// The servers whose usage was seen: an index idle on all of these may still be used on one that is not listed.
    pub nodes: Vec<Node>,
}

/// A server whose usage counters were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Host and port of a node given with `--replica`; `None` for the audited server.
    #[serde(default)]
    pub name: Option<String>,
    /// `primary` or `standby`.
    pub role: String,
    /// When its statistics were last reset.
    pub stats_reset_at: Option<Timestamp>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
}

/// A proposal with the statements that carry it out and undo it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposalEntry {
    /// What to do.
    pub action: Action,
    /// The index's name.
    pub name: String,
    /// Its schema.
    pub schema: String,
    /// Its table.
    pub table: String,
    /// The access method.
    pub method: String,
    /// Keys in order.
    pub keys: Vec<KeyEntry>,
    /// `INCLUDE` columns.
    pub include: Vec<String>,
    /// The predicate of a partial index.
    pub predicate: Option<String>,
    /// The statement that carries it out; `None` when no migration was written for it.
    pub sql: Option<String>,
    /// The statement that undoes it; `None` when no migration was written for it.
    pub rollback_sql: Option<String>,
    /// The expected size.
    pub size_bytes: Bytes,
    /// The whole workload's cost without and with it; calls times planner cost.
    pub workload_cost: Diff<f64>,
    /// Statements whose cost changes, most gained first.
    pub statements: Vec<StatementEffect>,
    /// What writes pay for it.
    pub write_cost: WriteCost,
    /// Updates that would stop being HOT.
    pub hot_loss: u64,
    /// Existing indexes that it makes redundant.
    pub supersedes: Vec<String>,
    /// How sure the advisor is.
    pub confidence: Confidence,
    /// What speaks against it.
    pub risks: Vec<String>,
    /// The whole workload's execution time over the recorded period in milliseconds: measured before, expected after if
    /// time goes with cost; `None` when no time was recorded.
    #[serde(default)]
    pub expected_ms: Option<Diff<f64>>,
    /// How long the build is expected to take, in milliseconds, by a rough rate; `None` for a drop.
    #[serde(default)]
    pub build_ms: Option<f64>,
    /// Statistics created with it.
    #[serde(default)]
    pub statistics: Vec<NewStatistics>,
    /// The oid of the index to drop or rebuild; `None` for a new one.
    #[serde(default)]
    pub existing: Option<Oid>,
}

/// One key of a proposed index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// `column` or `expression`, whichever it is.
    #[serde(flatten)]
    pub target: KeyTarget,
    /// `asc` or `desc`.
    pub direction: String,
    /// `first` or `last`.
    pub nulls: String,
    /// The operator class when it is not the type's default.
    pub opclass: Option<String>,
    /// The collation when it is not the column's own.
    #[serde(default)]
    pub collation: Option<String>,
}

/// A migration as a reader of the document finds it on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationEntry {
    /// Its version.
    pub version: i64,
    /// What it does.
    pub slug: String,
    /// The file that carries it out; `None` when it was not written.
    pub file: Option<String>,
    /// The file that undoes it; `None` when the layout has none.
    pub down_file: Option<String>,
    /// Whether it may run inside a transaction.
    pub transactional: bool,
    /// What it does to the index.
    #[serde(default = "create")]
    pub action: Action,
    /// The index's schema.
    #[serde(default)]
    pub schema: String,
    /// The index.
    #[serde(default)]
    pub index: String,
    /// The folder its files were written into; `None` when nothing was written.
    #[serde(default)]
    pub folder: Option<String>,
}

/// Reports written before drops had files of their own held creates.
fn create() -> Action {
    Action::Create
}

/// Assembles the audit document.
///
/// `migrations` are given with the files written for each: the way up first, then the way down where the layout has one;
/// no files when nothing was written. A migration belongs to the proposal whose index its statement names.
pub fn audit_document(
    snapshot: &Snapshot,
    findings: &[Finding],
    advice: &Advice,
    migrations: &[(Migration, Vec<String>)],
) -> AuditDocument {
    let server = &snapshot.server;
    let role = if server.in_recovery { "standby" } else { "primary" };
    let node = Node { name: None, role: role.to_owned(), stats_reset_at: server.stats_reset_at, started_at: server.started_at };
    let others = snapshot.nodes.iter().map(|node| Node {
        name: Some(node.name.clone()),
        role: if node.in_recovery { "standby" } else { "primary" }.to_owned(),
        stats_reset_at: node.stats_reset_at,
        started_at: node.started_at,
    });
    AuditDocument {
        schema_version: SCHEMA_VERSION,
        tool: Tool { name: "pgload".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        about: about(snapshot),
        model: advice.model.clone(),
        caveats: advice.caveats.clone(),
        unmodelled: Vec::new(),
        server: ServerEntry {
            version_num: server.version_num,
            database: server.database.clone(),
            stats_reset_at: server.stats_reset_at,
            nodes: std::iter::once(node).chain(others).collect(),
        },
        statement_source: snapshot.statement_source.clone(),
        coverage: advice.coverage.clone(),
        findings: findings.to_vec(),
        proposals: advice.proposals.iter().map(|proposal| proposal_entry(proposal, migration_of(proposal, migrations))).collect(),
        refused: advice.refused.clone(),
        migrations: migrations.iter().map(|(migration, files)| migration_entry(migration, files)).collect(),
        hidden: snapshot.hidden.clone(),
    }
}

fn about(snapshot: &Snapshot) -> BTreeMap<String, Value> {
    let mut about = BTreeMap::from([
        ("taken_at".to_owned(), json!(snapshot.taken_at)),
        ("user".to_owned(), json!(snapshot.server.user)),
        ("database_bytes".to_owned(), json!(snapshot.server.database_bytes)),
        ("tables".to_owned(), json!(snapshot.tables.len())),
        ("indexes".to_owned(), json!(snapshot.indexes.len())),
    ]);
    if let Some(days) = snapshot.statistics_window_days() {
        about.insert("statistics_window_days".to_owned(), json!(days));
    }
    about
}

/// Finds the migration that does what the proposal says; a flag may leave proposals without one.
fn migration_of<'a>(proposal: &Proposal, migrations: &'a [(Migration, Vec<String>)]) -> Option<&'a Migration> {
    let of_proposal = |migration: &&Migration| {
        migration.action == proposal.action
            && migration.index.name == proposal.name
            && migration.index.schema == proposal.index.table_name.schema
    };
    migrations.iter().map(|(migration, _)| migration).find(of_proposal)
}

fn proposal_entry(proposal: &Proposal, migration: Option<&Migration>) -> ProposalEntry {
    let index = &proposal.index;
    let keys = index.keys.iter().map(|key| KeyEntry {
        target: key.target.clone(),
        direction: if key.descending { "desc" } else { "asc" }.to_owned(),
        nulls: if key.nulls_first { "first" } else { "last" }.to_owned(),
        opclass: key.opclass.clone(),
        collation: key.collation.clone(),
    });
    ProposalEntry {
        action: proposal.action,
        name: proposal.name.clone(),
        schema: index.table_name.schema.clone(),
        table: index.table_name.name.clone(),
        method: index.method.clone(),
        keys: keys.collect(),
        include: index.included.clone(),
        predicate: index.predicate.clone(),
        sql: migration.map(|migration| migration.statement.clone()),
        // A rebuild has nothing to undo, which is not the same as not knowing how.
        rollback_sql: migration.map(|migration| migration.rollback.clone()),
        size_bytes: proposal.size_bytes,
        workload_cost: proposal.workload_cost,
        statements: proposal.statements.clone(),
        write_cost: proposal.write_cost.clone(),
        hot_loss: proposal.hot_loss,
        supersedes: proposal.supersedes.clone(),
        confidence: proposal.confidence,
        risks: proposal.risks.clone(),
        expected_ms: proposal.expected_ms,
        build_ms: proposal.build_ms,
        statistics: proposal.statistics.clone(),
        existing: proposal.existing,
    }
}

fn migration_entry(migration: &Migration, files: &[String]) -> MigrationEntry {
    MigrationEntry {
        version: migration.version,
        slug: migration.slug.clone(),
        file: files.first().cloned(),
        down_file: files.get(1).cloned(),
        transactional: migration.transactional,
        action: migration.action,
        schema: migration.index.schema.clone(),
        index: migration.index.name.clone(),
        folder: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    #[test]
    fn the_document_has_the_keys_of_the_contract() {
        let document = serde_json::to_value(sample::audit()).unwrap();
        for key in [
            "schema_version",
            "tool",
            "about",
            "model",
            "caveats",
            "unmodelled",
            "server",
            "coverage",
            "findings",
            "proposals",
            "refused",
            "migrations",
            "hidden",
            "statement_source",
        ] {
            assert!(document.get(key).is_some(), "document lacks {key}");
        }
        assert_eq!(document["schema_version"], 1);
        assert_eq!(document["server"]["nodes"][1]["name"], "replica-1:5432");
        assert_eq!(keys(&document["server"]), ["version_num", "database", "stats_reset_at", "nodes"]);
        assert_eq!(keys(&document["coverage"]), ["statements", "usable", "exec_time_share", "skipped"]);
        assert_eq!(keys(&document["coverage"]["skipped"][0]), ["query_id", "query", "reason", "exec_time_share"]);
        assert_eq!(keys(&document["findings"][0]), ["rule", "severity", "object", "message", "evidence", "help"]);
        assert_eq!(keys(&document["findings"][0]["object"]), ["kind", "schema", "table", "name"]);
        assert_eq!(keys(&document["refused"][0]), ["candidate", "reason"]);
        assert_eq!(
            keys(&document["migrations"][0]),
            ["version", "slug", "file", "down_file", "transactional", "action", "schema", "index", "folder"]
        );
    }

    #[test]
    fn a_proposal_has_the_keys_of_the_contract() {
        let document = serde_json::to_value(sample::audit()).unwrap();
        let proposal = &document["proposals"][0];
        #[rustfmt::skip]
        assert_eq!(keys(proposal), [
            "action", "name", "schema", "table", "method", "keys", "include", "predicate", "sql", "rollback_sql", "size_bytes",
            "workload_cost", "statements", "write_cost", "hot_loss", "supersedes", "confidence", "risks",
            "expected_ms", "build_ms", "statistics", "existing",
        ]);
        assert_eq!(keys(&proposal["keys"][0]), ["column", "direction", "nulls", "opclass", "collation"]);
        assert_eq!(keys(&document["proposals"][1]["keys"][0])[0], "expression");
        assert_eq!(keys(&proposal["statements"][0]), ["query_id", "query", "calls", "cost", "ms"]);
        assert_eq!(keys(&proposal["workload_cost"]), ["before", "after"]);
        assert_eq!(proposal["action"], "create");
    }

    #[test]
    fn a_migration_goes_to_the_proposal_it_names_whatever_its_place() {
        let mut migrations = sample::migrations();
        migrations.reverse();
        let document = audit_document(&sample::snapshot(), &[], &sample::advice(), &migrations);
        for proposal in &document.proposals {
            let sql = proposal.sql.as_ref().expect("each sample proposal has a migration");
            assert!(sql.contains(&proposal.name), "{sql} does not name {}", proposal.name);
        }
    }

    #[test]
    fn without_migrations_a_proposal_has_no_sql_and_nothing_is_lost() {
        let document = audit_document(&sample::snapshot(), &[], &sample::advice(), &[]);
        assert_eq!(document.proposals.len(), sample::advice().proposals.len());
        assert!(document.proposals.iter().all(|proposal| proposal.sql.is_none() && proposal.rollback_sql.is_none()));
        assert!(document.migrations.is_empty());
    }
}
