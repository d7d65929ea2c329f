//! What an audit says.

use serde::Serialize;

use super::phrase::{capital, cost, counted, number, one_line, percent};
use super::{Cell, Fact, Grid};
use crate::advisor::{Action, Confidence, Coverage, StatementEffect, WriteCost};
use crate::catalog::name::quoted;
use crate::catalog::{Hidden, KeyTarget, StatementSource};
use crate::findings::{Evidence, Finding, Object, Severity};
use crate::report::audit::{AuditDocument, KeyEntry, ProposalEntry};
use crate::units::{Bytes, grouped};

/// The longest statement text in a table, in characters; the JSON has all of it.
const QUERY_LENGTH: usize = 160;

/// An audit as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditContent {
    /// How much of the workload the advice rests on; the first thing to say.
    pub coverage: String,
    /// The server and the age of its statistics.
    pub server: String,
    /// What is missing of the statements, and the statement that mends it; `None` when the list is complete.
    pub source: Option<Hidden>,
    /// Findings by severity, the worst first; no empty groups.
    pub groups: Vec<FindingGroup>,
    /// What to do.
    pub proposals: Vec<ProposalContent>,
    /// What was considered and not proposed.
    pub refused: Grid,
    /// Statements the advice does not cover.
    pub skipped: Grid,
    /// The files written.
    pub migrations: Grid,
    /// What the role could not see.
    pub hidden: Vec<Hidden>,
    /// Facts of the audit.
    pub about: Vec<Fact>,
}

/// Findings of one severity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingGroup {
    /// `critical`, `warning` or `info`.
    pub severity: &'static str,
    /// `2 critical findings`.
    pub title: String,
    /// The findings.
    pub findings: Vec<FindingContent>,
}

/// A finding as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingContent {
    /// The rule's id.
    pub rule: String,
    /// The object: `public.orders_note_idx`, `statement 4711`.
    pub object: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// What the message rests on.
    pub evidence: Vec<String>,
}

/// A proposal as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProposalContent {
    /// `Create index orders_note_idx on public.orders`.
    pub title: String,
    /// The statement that carries it out; the index's definition where no migration was written.
    pub sql: String,
    /// The statement that undoes it; empty where no migration was written.
    pub rollback: String,
    /// Size, cost, write cost, confidence.
    pub facts: Vec<Fact>,
    /// Statements whose cost changes.
    pub statements: Grid,
    /// What speaks against it.
    pub risks: Vec<String>,
}

impl AuditContent {
    /// Says what an audit found.
    pub fn of(audit: &AuditDocument) -> Self {
        Self {
            coverage: coverage(&audit.coverage),
            server: server(audit),
            source: source(&audit.statement_source),
            groups: groups(&audit.findings),
            proposals: audit.proposals.iter().map(proposal).collect(),
            refused: refused(audit),
            skipped: skipped(&audit.coverage),
            migrations: migrations(audit),
            hidden: audit.hidden.iter().map(|hidden| Hidden { what: capital(&hidden.what), ..hidden.clone() }).collect(),
            about: super::page::facts(&audit.about),
        }
    }
}

fn coverage(coverage: &Coverage) -> String {
    let statements = format!("{} of {}", grouped(coverage.usable as u64), counted(coverage.statements as u64, "statement", "statements"));
    match coverage.exec_time_share {
        Some(share) => format!("The advice covers {} of execution time: {statements}.", percent(share)),
        None if coverage.statements == 0 => "The advice covers nothing: no statement was recorded.".to_owned(),
        None => format!("The advice covers {statements}; no execution time was recorded for them."),
    }
}

fn server(audit: &AuditDocument) -> String {
    let number = audit.server.version_num;
    // Since 10 the number is major * 10000 + minor; older servers, which pgload does not read, had three parts.
    let version = format!("{}.{}", number / 10_000, number % 10_000);
    let window = match audit.about.get("statistics_window_days").and_then(serde_json::Value::as_f64) {
        Some(days) => format!("its statistics cover {days:.1} days"),
        None => "how long its statistics have been counted is not known".to_owned(),
    };
    let seen: Vec<&str> = audit.server.nodes.iter().map(|node| node.role.as_str()).collect();
    let nodes = if seen.is_empty() { String::new() } else { format!("; usage was read from: {}", seen.join(", ")) };
    format!("Database {} on PostgreSQL {version}; {window}{nodes}.", audit.server.database)
}

fn source(source: &StatementSource) -> Option<Hidden> {
    match source {
        StatementSource::Available { evicted: 0, .. } | StatementSource::File { .. } => None,
        StatementSource::Available { evicted, .. } => {
            let what = counted(*evicted, "statement", "statements");
            Some(Hidden {
                what: format!("{what} thrown away by pg_stat_statements for lack of room"),
                effect: "the list is incomplete; raise pg_stat_statements.max".to_owned(),
                remedy: String::new(),
            })
        }
        StatementSource::Missing { reason, remedy } => {
            Some(Hidden { what: "All statements".to_owned(), effect: reason.clone(), remedy: remedy.clone() })
        }
    }
}

fn groups(findings: &[Finding]) -> Vec<FindingGroup> {
    let severities = [
        (Severity::Critical, "critical", "critical finding", "critical findings"),
        (Severity::Warning, "warning", "warning", "warnings"),
        (Severity::Info, "info", "note", "notes"),
    ];
    let groups = severities.into_iter().map(|(severity, word, one, many)| {
        let findings: Vec<FindingContent> = findings.iter().filter(|finding| finding.severity == severity).map(finding).collect();
        let title = counted(findings.len() as u64, one, many);
        FindingGroup { severity: word, title, findings }
    });
    groups.filter(|group| !group.findings.is_empty()).collect()
}

fn finding(finding: &Finding) -> FindingContent {
    FindingContent {
        rule: finding.rule.clone(),
        object: object(&finding.object),
        message: finding.message.clone(),
        help: finding.help.clone(),
        evidence: finding.evidence.iter().map(evidence).collect(),
    }
}

fn object(object: &Object) -> String {
    match &object.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&object.name)),
        None => format!("statement {}", object.name),
    }
}

fn evidence(evidence: &Evidence) -> String {
    let value = match (evidence.value.as_f64(), evidence.unit.as_deref()) {
        (Some(bytes), Some("bytes")) if bytes >= 0.0 => Bytes(bytes as u64).to_string(),
        (Some(value), Some(unit)) => format!("{} {unit}", number(value)),
        (Some(value), None) => number(value),
        (None, _) => super::page::value(&evidence.value),
    };
    format!("{} {value} ({})", evidence.name, evidence.source)
}

fn proposal(proposal: &ProposalEntry) -> ProposalContent {
    let verb = match proposal.action {
        Action::Create => "Create",
        Action::Drop => "Drop",
        Action::Reindex => "Rebuild",
    };
    let confidence = match proposal.confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    };
    let mut facts = vec![
        Fact::new(
            "Size",
            if proposal.action == Action::Drop { format!("{} freed", proposal.size_bytes) } else { proposal.size_bytes.to_string() },
        ),
        Fact::new("Workload cost", cost(&proposal.workload_cost)),
        Fact::new("Statements helped", grouped(helped(&proposal.statements))),
        Fact::new("Write cost", write_cost(&proposal.write_cost, proposal.hot_loss)),
        Fact::new("Confidence", confidence),
    ];
    if !proposal.supersedes.is_empty() {
        facts.push(Fact::new("Makes redundant", proposal.supersedes.join(", ")));
    }
    ProposalContent {
        title: format!("{verb} index {} on {}.{}", quoted(&proposal.name), quoted(&proposal.schema), quoted(&proposal.table)),
        sql: proposal.sql.clone().unwrap_or_else(|| definition(proposal)),
        rollback: proposal.rollback_sql.clone().unwrap_or_default(),
        facts,
        statements: effects(&proposal.statements),
        risks: proposal.risks.clone(),
    }
}

fn helped(statements: &[StatementEffect]) -> u64 {
    statements.iter().filter(|effect| effect.cost.after < effect.cost.before).count() as u64
}

fn write_cost(cost: &WriteCost, hot_loss: u64) -> String {
    let entries = cost.inserts.saturating_add(cost.updates).saturating_add(cost.hot_updates_lost);
    if entries == 0 {
        return "no writes recorded".to_owned();
    }
    let mut told = format!("{} written, cost {}", counted(entries, "index entry", "index entries"), number(cost.cost));
    if hot_loss > 0 {
        told.push_str(&format!("; {} no longer HOT", counted(hot_loss, "update", "updates")));
    }
    told
}

/// Describes the index for people; a comment and not a statement, since only `migration` writes SQL.
fn definition(proposal: &ProposalEntry) -> String {
    let keys: Vec<String> = proposal.keys.iter().map(key).collect();
    let mut told = format!("-- {} on {}.{} ({})", proposal.method, proposal.schema, proposal.table, keys.join(", "));
    if !proposal.include.is_empty() {
        told.push_str(&format!(" include ({})", proposal.include.join(", ")));
    }
    if let Some(predicate) = &proposal.predicate {
        told.push_str(&format!(" where {predicate}"));
    }
    one_line(&told, usize::MAX)
}

fn key(key: &KeyEntry) -> String {
    let target = match &key.target {
        KeyTarget::Column(name) => quoted(name),
        KeyTarget::Expression(text) => format!("({text})"),
    };
    if key.direction == "desc" { format!("{target} desc") } else { target }
}

fn effects(statements: &[StatementEffect]) -> Grid {
    let mut grid = Grid::new("Planner cost of one call", &["Statement", "#Calls", "#Cost before → after"]);
    for effect in statements {
        grid.rows.push(vec![
            Cell::code(one_line(&effect.query, QUERY_LENGTH)),
            Cell::text(grouped(effect.calls)),
            Cell::text(cost(&effect.cost)),
        ]);
    }
    grid
}

fn refused(audit: &AuditDocument) -> Grid {
    let mut grid = Grid::new("Considered and not proposed", &["Index", "Why not"]);
    grid.rows = audit.refused.iter().map(|refused| vec![Cell::code(&refused.candidate), Cell::text(&refused.reason)]).collect();
    grid
}

fn skipped(coverage: &Coverage) -> Grid {
    let mut grid = Grid::new("Statements the advice does not cover", &["Statement", "Why", "#Share of time"]);
    for skipped in &coverage.skipped {
        let text = skipped.query.as_deref().map_or_else(
            || format!("statement {}", skipped.query_id.as_deref().unwrap_or("of another role")),
            |query| one_line(query, QUERY_LENGTH),
        );
        grid.rows.push(vec![Cell::code(text), Cell::text(&skipped.reason), Cell::text(percent(skipped.exec_time_share))]);
    }
    grid
}

fn migrations(audit: &AuditDocument) -> Grid {
    let mut grid = Grid::new("Migrations", &["File", "Way back", "In a transaction"]);
    for migration in audit.migrations.iter().filter(|migration| migration.file.is_some()) {
        grid.rows.push(vec![
            Cell::code(migration.file.as_deref().unwrap_or_default()),
            migration.down_file.as_deref().map_or_else(|| Cell::text("none"), Cell::code),
            Cell::text(if migration.transactional { "yes" } else { "no" }),
        ]);
    }
    grid
}
