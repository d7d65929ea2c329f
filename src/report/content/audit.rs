//! What an audit says.

use serde::Serialize;

use super::phrase::{DASH, both, capital, cost, counted, elapsed, number, one_line, percent, unbroken};
use super::{Cell, Fact, Grid};
use crate::advisor::{Action, Confidence, Coverage, Refused, StatementEffect, WriteCost};
use crate::catalog::name::quoted;
use crate::catalog::{Hidden, KeyTarget, StatementSource};
use crate::diff::Diff;
use crate::findings::{Evidence, Finding, Object, Severity};
use crate::report::audit::{AuditDocument, KeyEntry, Node, ProposalEntry};
use crate::units::{Bytes, grouped, human_ms};

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
    /// What priced the plans; empty where nothing did.
    pub model: String,
    /// What to build or rebuild.
    pub proposals: Vec<ProposalContent>,
    /// What to drop, in a migration of its own.
    pub drops: Vec<ProposalContent>,
    /// What was considered and not proposed, by reason, the most telling first.
    pub refused: Vec<Grid>,
    /// What the model could not take into account.
    pub caveats: Vec<String>,
    /// Objects it lacked.
    pub unmodelled: Grid,
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
            coverage: coverage(&audit.coverage, &audit.statement_source),
            server: server(audit),
            source: source(&audit.statement_source),
            groups: groups(&audit.findings),
            model: model(audit),
            proposals: audit.proposals.iter().filter(|entry| entry.action != Action::Drop).map(proposal).collect(),
            drops: audit.proposals.iter().filter(|entry| entry.action == Action::Drop).map(proposal).collect(),
            refused: refused(&audit.refused),
            caveats: audit.caveats.clone(),
            unmodelled: unmodelled(audit),
            skipped: skipped(&audit.coverage),
            migrations: migrations(audit),
            hidden: audit.hidden.iter().map(|hidden| Hidden { what: capital(&hidden.what), ..hidden.clone() }).collect(),
            about: super::page::facts(&audit.about),
        }
    }
}

fn coverage(coverage: &Coverage, source: &StatementSource) -> String {
    let statements = format!("{} of {}", grouped(coverage.usable as u64), counted(coverage.statements as u64, "statement", "statements"));
    match coverage.exec_time_share {
        // What a file's statements take was never measured: their weights count.
        Some(share) if matches!(source, StatementSource::File { .. }) => {
            format!("Advice covers {} of the given workload ({statements}).", percent(share))
        }
        Some(share) => format!("Advice covers {} of execution time ({statements}).", percent(share)),
        None if coverage.statements == 0 => "Advice covers nothing: no statement was recorded.".to_owned(),
        None => format!("Advice covers {statements}; no execution time was recorded for them."),
    }
}

fn model(audit: &AuditDocument) -> String {
    // Without a usable statement nothing was priced, whatever might have priced it.
    if audit.model.is_empty() || audit.coverage.usable == 0 {
        return String::new();
    }
    format!("Plans priced by: {}. Cost is the planner's own unit and not a time.", audit.model)
}

fn server(audit: &AuditDocument) -> String {
    let number = audit.server.version_num;
    // Since 10 the number is major * 10000 + minor; older servers, which pgload does not read, had three parts.
    let version = format!("{}.{}", number / 10_000, number % 10_000);
    let window = match audit.about.get("statistics_window_days").and_then(serde_json::Value::as_f64) {
        Some(days) => format!("its statistics cover {days:.1} days"),
        None => "how long its statistics have been counted is not known".to_owned(),
    };
    let named = |node: &Node| node.name.as_ref().map_or_else(|| node.role.clone(), |name| format!("{} {name}", node.role));
    let seen: Vec<String> = audit.server.nodes.iter().map(named).collect();
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
    let freed = proposal.action == Action::Drop;
    let size = if freed { format!("{} freed", proposal.size_bytes) } else { format!("{} expected", proposal.size_bytes) };
    // Of a drop the first thing said is why nobody would miss the index.
    let (reason, risks) = proposal.risks.split_at(usize::from(freed).min(proposal.risks.len()));
    let mut facts: Vec<Fact> = reason.iter().map(|reason| Fact::new("Why", reason)).collect();
    facts.push(Fact::new("Size", size));
    facts.extend(proposal.build_ms.map(|ms| Fact::new("Build time", format!("about {}, a rough estimate", elapsed(ms)))));
    if freed && proposal.statements.is_empty() {
        facts.push(Fact::new("Workload cost", "the same for every statement"));
    } else {
        facts.push(Fact::new("Workload cost", cost(&proposal.workload_cost)));
        facts.extend(proposal.expected_ms.as_ref().map(|ms| Fact::new("Workload time", expected(ms))));
    }
    if !freed {
        facts.push(Fact::new("Statements helped", grouped(helped(&proposal.statements))));
    }
    facts.push(match freed {
        true => Fact::new("Writes spared", write_cost(&WriteCost { cost: -proposal.write_cost.cost, ..proposal.write_cost.clone() })),
        false => Fact::new("Write cost", write_cost(&proposal.write_cost)),
    });
    if !freed {
        facts.push(Fact::new("HOT updates lost", hot_loss(proposal)));
    }
    facts.push(Fact::new("Confidence", confidence));
    if !proposal.supersedes.is_empty() {
        facts.push(Fact::new("Makes redundant", proposal.supersedes.join(", ")));
    }
    for statistics in &proposal.statistics {
        facts.push(Fact::new("Statistics kept", format!("{} on {}", statistics.name, statistics.on)));
    }
    ProposalContent {
        title: format!("{verb} index {} on {}.{}", quoted(&proposal.name), quoted(&proposal.schema), quoted(&proposal.table)),
        sql: proposal.sql.as_ref().map_or_else(|| definition(proposal), |sql| terminated(sql)),
        rollback: proposal.rollback_sql.as_deref().map(terminated).unwrap_or_default(),
        facts,
        statements: effects(&proposal.statements),
        risks: risks.to_vec(),
    }
}

/// Statements as they are pasted: the last one ended too.
fn terminated(sql: &str) -> String {
    if sql.is_empty() || sql.ends_with(';') { sql.to_owned() } else { format!("{sql};") }
}

fn helped(statements: &[StatementEffect]) -> u64 {
    statements.iter().filter(|effect| effect.cost.after < effect.cost.before).count() as u64
}

fn write_cost(cost: &WriteCost) -> String {
    let entries = cost.inserts.saturating_add(cost.updates).saturating_add(cost.hot_updates_lost);
    if entries == 0 {
        return "no writes recorded".to_owned();
    }
    let parts = [(cost.inserts, "by inserts"), (cost.updates, "by updates"), (cost.hot_updates_lost, "by updates no longer HOT")];
    let told: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, by)| format!("{} {by}", grouped(*count))).collect();
    let entries = counted(entries, "index entry", "index entries");
    format!("{entries} over the recorded period ({}), cost {}", told.join(", "), number(cost.cost))
}

fn hot_loss(proposal: &ProposalEntry) -> String {
    match proposal.hot_loss {
        0 => "none".to_owned(),
        lost => format!("{} would write into every index of the table", counted(lost, "update", "updates")),
    }
}

/// Writes two times of which only the first was measured.
fn expected(ms: &Diff<f64>) -> String {
    format!("{} measured → {} expected", unbroken(&elapsed(ms.before)), unbroken(&elapsed(ms.after)))
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
    let mut grid = Grid::new("Planner cost and time of one call", &["Statement", "#Calls", "#Cost before → after", TIME]);
    for effect in statements {
        grid.rows.push(vec![
            Cell::code(one_line(&effect.query, QUERY_LENGTH)),
            Cell::text(grouped(effect.calls)),
            Cell::text(cost(&effect.cost)),
            Cell::text(effect.ms.map_or_else(|| DASH.to_owned(), |ms| both(&ms.map(human_ms)))),
        ]);
    }
    grid.drop_if_empty(TIME.trim_start_matches('#'));
    grid
}

/// The expected time is the measured one times the ratio of costs: said in the heading, since nothing measured it.
const TIME: &str = "#Time measured → expected";

/// Groups of reasons, the most telling first: how a reason of the group begins, else words that stand in it.
const REASONS: &[(&str, &[&str], &[&str])] = &[
    ("Needs an extension", &[], &["create extension"]),
    ("Writes would pay more than reads gain", &["writes"], &["hot", "writes", "updates"]),
    ("Over the budget", &["over the budget"], &["budget"]),
    ("Would make a statement slower", &["a statement would get slower"], &["worse", "slower"]),
    ("Too little gain", &["too little gain"], &["gains"]),
    ("No plan uses it", &["no plan uses it"], &["does not use"]),
    ("Not selective", &["not selective"], &["selective", "partial index is smaller"]),
    ("Cannot be built or priced", &["not plannable"], &["cannot", "operator class", "exceed"]),
    ("Part of a wider proposal", &["prefix of"], &[]),
    ("Exists already", &["already covered"], &["exists"]),
    ("Table too small", &["table too small"], &[]),
];

fn reason_group(reason: &str) -> Option<usize> {
    let reason = reason.to_lowercase();
    let begins = REASONS.iter().position(|(_, starts, _)| starts.iter().any(|start| reason.starts_with(start)));
    let words: Vec<&str> = reason.split(|c: char| !c.is_alphanumeric()).collect();
    // A word stands by itself (`hot` is not in `photo`); several words stand as they are.
    let stands = |text: &str| if text.contains(' ') { reason.contains(text) } else { words.contains(&text) };
    begins.or_else(|| REASONS.iter().position(|(_, _, holds)| holds.iter().any(|text| stands(text))))
}

fn refused(refused: &[Refused]) -> Vec<Grid> {
    let titles = REASONS.iter().map(|(title, ..)| *title).enumerate().map(|(at, title)| (Some(at), title)).chain([(None, "Other reasons")]);
    let grids = titles.map(|(at, title)| {
        let rows: Vec<&Refused> = refused.iter().filter(|refused| reason_group(&refused.reason) == at).collect();
        let mut grid = Grid::new(format!("Not proposed: {}{}", title[..1].to_lowercase(), &title[1..]), &["Index", "Why not"]);
        grid.rows = rows.iter().map(|refused| vec![Cell::code(&refused.candidate), Cell::text(&refused.reason)]).collect();
        grid
    });
    grids.filter(|grid| !grid.rows.is_empty()).collect()
}

fn unmodelled(audit: &AuditDocument) -> Grid {
    let mut grid = Grid::new("Objects not modelled", &["Object", "Why", "#Share of time"]);
    grid.rows = audit
        .unmodelled
        .iter()
        .map(|lack| {
            let share = lack.exec_time_share.map_or_else(|| DASH.to_owned(), percent);
            vec![Cell::text(format!("{} {}", lack.kind, lack.name)), Cell::text(&lack.reason), Cell::text(share)]
        })
        .collect();
    grid.drop_if_empty("Share of time");
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
    let mut grid = Grid::new("Migrations", &["File", "In a transaction", "Folder"]);
    for migration in audit.migrations.iter().filter(|migration| migration.file.is_some()) {
        // The way back stands below its file and not beside it: names of files are long, and to be copied in one piece.
        let back = migration.down_file.as_ref().map_or_else(|| "no way back".to_owned(), |file| format!("taken back by {file}"));
        grid.rows.push(vec![
            Cell::code(migration.file.as_deref().unwrap_or_default()).with_note(back),
            Cell::text(if migration.transactional { "yes" } else { "no" }),
            migration.folder.as_deref().map_or_else(|| Cell::text(DASH), Cell::code),
        ]);
    }
    grid.drop_if_empty("Folder");
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_grouped_by_how_they_begin_and_then_by_what_they_speak_of() {
        let title = |reason: &str| reason_group(reason).map_or("Other", |at| REASONS[at].0);
        for (reason, group) in [
            ("too little gain: it saves no more than it costs writes", "Too little gain"),
            ("writes would pay 40 for a gain of 3", "Writes would pay more than reads gain"),
            ("48 000 updates of status would stop being HOT", "Writes would pay more than reads gain"),
            ("pg_trgm is not installed: CREATE EXTENSION pg_trgm; would make t (a) possible", "Needs an extension"),
            ("already covered by photo_updates_idx", "Exists already"),
            (
                "a statement would get slower: t_a_b covers it, but select would cost 40 % more without it (5.0 → 7.0)",
                "Would make a statement slower",
            ),
            ("over the budget: t has 5 indexes, and may have at most 5", "Over the budget"),
            ("type point of column photo has no B-tree operator class", "Cannot be built or priced"),
            ("the moon is in the wrong quarter", "Other"),
        ] {
            assert_eq!(title(reason), group, "{reason}");
        }
    }
}
