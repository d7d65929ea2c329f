//! The header of a migration file: why the index is worth having and what it costs, as SQL comments.
//!
//! Statement texts come from a view any client may have written into, so every line passes through [`comment`],
//! which nothing can leave.

use super::ddl;
use crate::advisor::{Action, Confidence, Proposal};
use crate::diff::Diff;
use crate::units::grouped;

/// Statements listed before the rest is only counted: enough to review, few enough to read.
const STATEMENTS_LISTED: usize = 5;

/// Letters of a statement shown: about one line and a half of an editor.
const STATEMENT_LETTERS: usize = 160;

/// Returns the header's lines, each a whole SQL comment.
pub fn header(proposal: &Proposal, concurrently: bool) -> Vec<String> {
    let mut lines = vec![comment(&title(proposal)), comment("")];
    lines.extend(statements(proposal).iter().map(|line| comment(line)));
    lines.push(comment(&format!("Workload cost: {} (calls times planner cost, not time).", change(proposal.workload_cost))));
    lines.push(comment(&format!("Expected size: {}.", proposal.size_bytes)));
    lines.push(comment(&write_cost(proposal)));
    lines.push(comment(&hot_loss(proposal)));
    lines.push(comment(&lock(proposal, concurrently)));
    lines.push(comment(&format!("Confidence: {}.", confidence(proposal.confidence))));
    lines.extend(proposal.risks.iter().map(|risk| comment(&format!("Risk: {risk}"))));
    if !proposal.supersedes.is_empty() {
        let names = proposal.supersedes.join(", ");
        lines.push(comment(&format!(
            "Makes redundant: {names}. Kept here: drop in a migration of its own once this one has proved itself."
        )));
    }
    lines
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
        lines.push(format!("* {} calls, cost of one {}: {query}", grouped(effect.calls), change(effect.cost)));
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
        0 => "HOT updates lost: none, no recorded update sets one of its columns.".to_owned(),
        lost => format!("HOT updates lost: {} of those recorded will write into every index of the table.", grouped(lost)),
    }
}

fn lock(proposal: &Proposal, concurrently: bool) -> String {
    let table = &proposal.index.table_name;
    match (proposal.action, concurrently) {
        (Action::Create | Action::Reindex, true) => format!(
            "Lock: SHARE UPDATE EXCLUSIVE on {table}: reads and writes go on; other schema changes and VACUUM wait. \
             Waits for transactions that are older than the build."
        ),
        (Action::Drop, true) => {
            format!("Lock: SHARE UPDATE EXCLUSIVE on {table}: reads and writes go on. Waits for transactions that use the index.")
        }
        (Action::Create, false) => format!("Lock: SHARE on {table}: reads go on, writes wait until the transaction ends."),
        (Action::Drop | Action::Reindex, false) => {
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
