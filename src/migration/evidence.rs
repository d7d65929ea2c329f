//! The header of a migration file: why the index is worth having and what it costs, as SQL comments.
//!
//! Statement texts come from a view any client may have written into, so every line passes through [`comment`],
//! which nothing can leave.

use super::ddl;
use crate::advisor::{Action, Confidence, Proposal};
use crate::catalog::{Index, Node, Snapshot};
use crate::diff::Diff;
use crate::units::{grouped, human_ms};

/// Statements listed before the rest is only counted: enough to review, few enough to read.
const STATEMENTS_LISTED: usize = 5;

/// Letters of a statement shown: about one line and a half of an editor.
const STATEMENT_LETTERS: usize = 160;

/// What a header says beside the proposal.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Where the proposal comes from.
    pub snapshot: &'a Snapshot,
    /// The index to drop or rebuild.
    pub existing: Option<&'a Index>,
    /// How many partitions hold a part of the index.
    pub parts: usize,
    /// Whether the table is partitioned.
    pub partitioned: bool,
    /// Whether the file runs inside a transaction.
    pub transactional: bool,
}

/// Returns the header's lines, each a whole SQL comment.
pub fn header(proposal: &Proposal, subject: &Subject<'_>) -> Vec<String> {
    let mut told = vec![title(proposal), String::new()];
    if proposal.action == Action::Drop {
        told.extend(why_drop(proposal, subject));
    } else {
        told.extend(statements(proposal));
        told.push(format!("Workload cost: {} (calls times planner cost, not time).", change(proposal.workload_cost)));
        told.extend(expected(proposal));
        told.push(format!("Expected size: {}.", proposal.size_bytes));
        told.extend(proposal.build_ms.map(|ms| format!("Expected build time: about {}, by a rough rate a row and byte.", human_ms(ms))));
        told.push(write_cost(proposal));
        told.push(hot_loss(proposal));
    }
    if subject.parts > 0 {
        told.push(format!("Partitions: {}.", subject.parts));
    }
    told.push(lock(proposal, subject));
    told.push(format!("Confidence: {}.", confidence(proposal.confidence)));
    told.extend(proposal.risks.iter().map(|risk| format!("Risk: {risk}")));
    if !proposal.supersedes.is_empty() {
        let names = proposal.supersedes.join(", ");
        told.push(format!("Makes redundant: {names}. Kept here: drop in a migration of its own once this one has proved itself."));
    }
    told.iter().map(|line| comment(line)).collect()
}

/// Why an index may go, and what was looked at before saying so.
fn why_drop(proposal: &Proposal, subject: &Subject<'_>) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(index) = subject.existing {
        let window = match subject.snapshot.statistics_window_days() {
            Some(days) => format!("in the {days:.1} days its statistics cover"),
            None => "since its statistics were reset, it is not known when".to_owned(),
        };
        let nodes = match subject.snapshot.nodes.len() {
            0 => "on the audited server; others were not asked".to_owned(),
            others => format!("on the audited server, and on {others} more that were asked: see there"),
        };
        told.push(format!("Scans counted: {} {window}, {nodes}.", grouped(index.usage.scans)));
        let elsewhere = |node: &Node| {
            let scans = node.indexes.iter().find(|(name, _)| *name == index.name).map(|(_, usage)| usage.scans);
            scans.map(|scans| format!("Scans counted on {}: {}.", node.name, grouped(scans)))
        };
        told.extend(subject.snapshot.nodes.iter().filter_map(elsewhere));
        told.push(format!("Frees: {}.", proposal.size_bytes));
        told.push(match relied_on(index).as_slice() {
            [] => "Checked: no constraint, no foreign key, no replica identity and no extension relies on it.".to_owned(),
            reasons => format!("Beware: {}.", reasons.join(", ")),
        });
    } else {
        told.push(format!("Frees: {}.", proposal.size_bytes));
    }
    told.push(match proposal.statements.len() {
        0 => "Checked: hiding it from the planner changes the cost of no recorded statement that could be priced.".to_owned(),
        count => {
            format!("Checked: hiding it from the planner changes the cost of {} recorded statements, listed below.", grouped(count as u64))
        }
    });
    if !proposal.statements.is_empty() {
        told.extend(statements(proposal));
    }
    told.push(format!("Workload cost without it: {} (calls times planner cost, not time).", change(proposal.workload_cost)));
    told.push("Apply it apart from any migration that builds an index, and not before those have proved themselves.".to_owned());
    told
}

/// What stands against dropping an index at all.
fn relied_on(index: &Index) -> Vec<&'static str> {
    let reasons = [
        (index.constraint.is_some() || index.primary || index.exclusion, "it enforces a constraint"),
        (index.referenced, "a foreign key relies on it"),
        (index.replica_identity, "it is the replica identity"),
        (index.extension.is_some(), "an extension owns it"),
    ];
    reasons.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect()
}

/// The whole workload's time, where it was recorded.
fn expected(proposal: &Proposal) -> Option<String> {
    let ms = proposal.expected_ms?;
    Some(format!("Workload time: {} measured -> {} expected, if time goes with cost.", human_ms(ms.before), human_ms(ms.after)))
}

/// Returns the text as exactly one comment line: line ends and other control characters become spaces.
///
/// `${` is broken up because Flyway substitutes placeholders in comments too.
pub fn comment(text: &str) -> String {
    let line = one_line(text).replace("${", "$ {");
    if line.is_empty() { "--".to_owned() } else { format!("-- {line}") }
}

/// Returns the text on one line, with runs of white space and control characters as single spaces.
pub fn one_line(text: &str) -> String {
    // U+2028 and U+2029 end a line for some editors, and are neither control characters nor white space to all of them.
    let blank = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.split(blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns at most `letters` letters of the text on one line, with `…` where it was cut.
pub fn shortened(text: &str, letters: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

fn title(proposal: &Proposal) -> String {
    let what = match proposal.action {
        Action::Create => "Builds",
        Action::Drop => "Drops",
        Action::Reindex => "Rebuilds",
    };
    format!("{what} {} on {} ({}).", proposal.name, proposal.index.table_name, ddl::keys(&proposal.index))
}

fn statements(proposal: &Proposal) -> Vec<String> {
    if proposal.statements.is_empty() {
        return vec!["No recorded statement changes its plan.".to_owned()];
    }
    let mut lines = vec!["Statements whose planner cost changes, most gained first:".to_owned()];
    for effect in proposal.statements.iter().take(STATEMENTS_LISTED) {
        let query = shortened(&effect.query, STATEMENT_LETTERS);
        let time =
            effect.ms.map_or_else(String::new, |ms| format!(", {} measured -> {} expected", human_ms(ms.before), human_ms(ms.after)));
        lines.push(format!("* {} calls, cost of one {}{time}: {query}", grouped(effect.calls), change(effect.cost)));
    }
    let rest = proposal.statements.len().saturating_sub(STATEMENTS_LISTED);
    if rest > 0 {
        lines.push(format!("* and {rest} more"));
    }
    lines
}

/// `14 916 -> 8.44 (-99.9 %)`.
fn change(cost: Diff<f64>) -> String {
    let arrow = format!("{} -> {}", number(cost.before), number(cost.after));
    match cost.ratio() {
        Some(ratio) => format!("{arrow} ({:+.1} %)", (ratio - 1.0) * 100.0),
        None => arrow,
    }
}

/// Planner costs have two decimals; above a thousand they are noise.
fn number(cost: f64) -> String {
    if !cost.is_finite() {
        "unknown".to_owned()
    } else if cost.abs() < 1000.0 {
        format!("{cost:.2}")
    } else {
        let sign = if cost < 0.0 { "-" } else { "" };
        format!("{sign}{}", grouped(cost.abs().round() as u64))
    }
}

fn write_cost(proposal: &Proposal) -> String {
    let cost = &proposal.write_cost;
    format!(
        "Write cost: {} entries by inserts, {} by updates, {} by updates that stop being HOT (over the period recorded; priced {}).",
        grouped(cost.inserts),
        grouped(cost.updates),
        grouped(cost.hot_updates_lost),
        number(cost.cost)
    )
}

fn hot_loss(proposal: &Proposal) -> String {
    match proposal.hot_loss {
        0 => "HOT updates lost: none.".to_owned(),
        lost => format!("HOT updates lost: {} of those recorded will write into every index of the table.", grouped(lost)),
    }
}

fn lock(proposal: &Proposal, subject: &Subject<'_>) -> String {
    let table = &proposal.index.table_name;
    match (proposal.action, subject.transactional) {
        (Action::Create, false) if subject.partitioned => format!(
            "Lock: SHARE on {table} for the moment its own empty index takes, then SHARE UPDATE EXCLUSIVE on one partition after the other: \
             reads and writes go on. Each build waits for transactions that are older than it."
        ),
        (Action::Create | Action::Reindex, false) => format!(
            "Lock: SHARE UPDATE EXCLUSIVE on {table}: reads and writes go on; other schema changes and VACUUM wait. \
             Waits for transactions that are older than the build."
        ),
        (Action::Drop, _) if subject.partitioned => format!(
            "Lock: ACCESS EXCLUSIVE on {table} and its partitions for a moment: the index of a partitioned table cannot be dropped concurrently."
        ),
        (Action::Drop, false) => {
            format!("Lock: SHARE UPDATE EXCLUSIVE on {table}: reads and writes go on. Waits for transactions that use the index.")
        }
        (Action::Create, true) => format!("Lock: SHARE on {table}: reads go on, writes wait until the transaction ends."),
        (Action::Drop | Action::Reindex, true) => {
            format!("Lock: ACCESS EXCLUSIVE on the index: statements that would plan with it, on {table}, wait until the transaction ends.")
        }
    }
}

fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high, the planner's own answer on fresh statistics",
        Confidence::Medium => "medium, an estimate from fresh statistics",
        Confidence::Low => "low, statistics are missing or old, or a guess decided",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_comment_line() {
        for text in ["a\nDROP TABLE users;", "a\r\nb", "a\rb", "\u{b}x\u{c}y\u{85}z\u{2028}w", "*/ ; --\n;", "\0"] {
            let line = comment(text);
            assert!(line.starts_with("--"), "{line:?}");
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{2028}'), "{line:?}");
        }
        assert_eq!(comment("select ${x}"), "-- select $ {x}");
        assert_eq!(comment("  \n "), "--");
    }

    proptest::proptest! {
        #[test]
        fn a_comment_is_one_line_whatever_it_quotes(text in "\\PC*|(?s).*") {
            let line = comment(&text);
            proptest::prop_assert!(line.starts_with("--") && !line.chars().any(char::is_control), "{:?}", line);
            proptest::prop_assert!(crate::migration::statements::split(&line).is_empty(), "{:?}", line);
        }
    }

    #[test]
    fn long_statements_are_cut_between_letters() {
        assert_eq!(shortened("select  é\n from t", 8), "select é…");
        assert_eq!(shortened("select 1", 8), "select 1");
    }

    #[test]
    fn costs_keep_digits_that_mean_something() {
        assert_eq!(change(Diff { before: 14_916.4, after: 8.437 }), "14 916 -> 8.44 (-99.9 %)");
        assert_eq!(change(Diff { before: 0.0, after: 1.0 }), "0.00 -> 1.00");
    }
}
