//! The recorded statements as a workload: read, merged, and counted.

use std::collections::BTreeMap;

use super::proposal::{Coverage, Skipped};
use super::query::{Names, Query, Reading, from_plan, read as read_statement};
use crate::catalog::name::quoted;
use crate::catalog::{Oid, Relations, Snapshot, Statement};
use crate::sql::fingerprint;

/// Statements that could be read, and an account of those that could not.
#[derive(Debug)]
pub struct Workload {
    /// The statements, most execution time first; those that differ only in the length of a list are one.
    pub queries: Vec<Query>,
    /// How much of the recorded time they make up.
    pub coverage: Coverage,
}

/// Reads a snapshot's statements. Utility statements and questions to system catalogs count for nothing.
pub fn read(snapshot: &Snapshot) -> Workload {
    read_with(snapshot, &mut |_| None)
}

/// Reads a snapshot's statements; a text that says nothing to us is read from its plan, where `plan` has one.
pub(crate) fn read_with(snapshot: &Snapshot, plan: &mut dyn FnMut(&Query) -> Option<serde_json::Value>) -> Workload {
    let relations = Relations::new(snapshot);
    let names = Names::new(&relations);
    // Statements from a file were never timed: each counts as often as it is said to run.
    let timed = snapshot.statements.iter().any(|statement| statement.exec_ms_total > 0.0);
    let weight = |statement: &Statement| if timed { statement.exec_ms_total } else { statement.calls as f64 };
    let mut coverage = Coverage::default();
    let mut all = 0.0;
    let mut usable = 0.0;
    let mut merged: BTreeMap<(String, String, Vec<Oid>), Query> = BTreeMap::new();
    for statement in snapshot.statements.iter().filter(|statement| !statement.is_own()) {
        let reading = match statement.query.as_deref().map(str::trim) {
            // What the server writes in place of a text the role may not see.
            Some("<insufficient privilege>") => {
                Reading::Skipped(format!("the text is hidden from this role; {} shows it", grant(&snapshot.server.user)))
            }
            None => Reading::Skipped(format!(
                "the text is hidden from this role, or the server lost its file of texts; {} shows it where it is hidden",
                grant(&snapshot.server.user)
            )),
            Some(text) => match read_statement(&names, text, &statement.search_path, &statement.user, &statement.parameters) {
                Reading::Skipped(reason) => plan(&query(statement))
                    .and_then(|plan| from_plan(&names, text, &plan, &statement.parameters))
                    .unwrap_or(Reading::Skipped(reason)),
                reading => reading,
            },
        };
        match reading {
            Reading::NotWorkload => continue,
            Reading::Skipped(reason) => coverage.skipped.push(Skipped {
                query_id: statement.query_id.clone(),
                query: statement.query.clone(),
                reason,
                exec_time_share: weight(statement),
            }),
            Reading::Understood { blocks, writes, parameters } => {
                coverage.usable += 1;
                usable += weight(statement);
                let query = Query { blocks, writes, parameters, ..query(statement) };
                let tables = query.tables().into_iter().chain(query.writes.iter().map(|write| write.table)).collect();
                let key = (fingerprint(&query.text), query.search_path.clone(), tables);
                merged.entry(key).and_modify(|known| merge(known, &query)).or_insert(query);
            }
        }
        coverage.statements += 1;
        all += weight(statement);
    }
    coverage.exec_time_share = (all > 0.0).then(|| usable / all);
    for skipped in &mut coverage.skipped {
        skipped.exec_time_share = if all > 0.0 { skipped.exec_time_share / all } else { 0.0 };
    }
    coverage.skipped.sort_by(|a, b| b.exec_time_share.total_cmp(&a.exec_time_share).then_with(|| a.query.cmp(&b.query)));
    let mut queries: Vec<Query> = merged.into_values().collect();
    queries.sort_by(|a, b| b.exec_ms_total.total_cmp(&a.exec_ms_total).then(b.calls.cmp(&a.calls)).then_with(|| a.text.cmp(&b.text)));
    Workload { queries, coverage }
}

fn query(statement: &Statement) -> Query {
    Query {
        query_id: statement.query_id.clone(),
        text: statement.query.clone().unwrap_or_default(),
        user: statement.user.clone(),
        search_path: statement.search_path.clone(),
        calls: statement.calls,
        rows: statement.rows,
        exec_ms_total: statement.exec_ms_total,
        blocks: Vec::new(),
        writes: Vec::new(),
        parameters: BTreeMap::new(),
        captured: statement.parameters.clone(),
    }
}

/// Returns the statement that lets a role see the texts of others.
fn grant(role: &str) -> String {
    format!("GRANT pg_read_all_stats TO {}", quoted(role))
}

/// Adds a variant's counts; the variant that ran longest lends its text and blocks, and the values seen with it.
fn merge(known: &mut Query, other: &Query) {
    let (longest, shorter) = if other.exec_ms_total > known.exec_ms_total { (other, &*known) } else { (&*known, other) };
    // Values of a list of another length belong to other parameters; without any of its own, those of an equal text will do.
    let same_parameters = longest.text == shorter.text;
    let mut captured = longest.captured.clone();
    if same_parameters {
        captured.extend(shorter.captured.iter().cloned());
    }
    *known = Query {
        calls: known.calls.saturating_add(other.calls),
        rows: known.rows.saturating_add(other.rows),
        exec_ms_total: known.exec_ms_total + other.exec_ms_total,
        captured,
        ..longest.clone()
    };
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn lists_of_other_lengths_are_one_statement() {
        let snapshot = sample::crm_running(&[
            ("select * from prospects where id in ($1, $2)", 10),
            ("select * from prospects where id in ($1)", 5),
            ("select * from users", 1),
        ]);
        let workload = read(&snapshot);
        assert_eq!(workload.queries.iter().map(|query| query.calls).collect::<Vec<_>>(), [15, 1]);
        assert_eq!((workload.coverage.statements, workload.coverage.usable), (3, 3));
    }

    #[test]
    fn hidden_and_broken_statements_count_with_their_time() {
        let mut snapshot = sample::crm_running(&[("select * from users", 50), ("select from where", 30), ("x", 20), ("commit", 900)]);
        snapshot.statements[2].query = None;
        let coverage = read(&snapshot).coverage;
        assert_eq!((coverage.statements, coverage.usable, coverage.exec_time_share), (3, 1, Some(0.5)));
        assert_eq!(coverage.skipped.iter().map(|skipped| skipped.exec_time_share).collect::<Vec<_>>(), [0.3, 0.2]);
        assert!(coverage.skipped[1].reason.contains("GRANT pg_read_all_stats TO auditor"), "{:?}", coverage.skipped[1]);
        snapshot.statements[2].query = Some("<insufficient privilege>".into());
        assert!(read(&snapshot).coverage.skipped[1].reason.contains("GRANT pg_read_all_stats TO auditor"));
    }

    #[test]
    fn what_pgload_sends_itself_counts_for_nothing() {
        let snapshot = sample::crm_running(&[("/* pgload */ select * from users", 70), ("select * from users", 30)]);
        let workload = read(&snapshot);
        assert_eq!((workload.queries.len(), workload.coverage.statements, workload.coverage.exec_time_share), (1, 1, Some(1.0)));
    }

    #[test]
    fn statements_that_were_never_timed_count_by_their_calls() {
        let mut snapshot = sample::crm_running(&[("select * from users", 3), ("select from where", 1), ("select * from prospects", 5)]);
        snapshot.statements.iter_mut().for_each(|statement| statement.exec_ms_total = 0.0);
        let workload = read(&snapshot);
        assert_eq!((workload.coverage.exec_time_share, workload.coverage.skipped[0].exec_time_share), (Some(8.0 / 9.0), 1.0 / 9.0));
        assert_eq!(workload.queries.iter().map(|query| query.calls).collect::<Vec<_>>(), [5, 3]);
    }

    #[test]
    fn merging_keeps_the_values_seen_with_the_same_text() {
        let text = "select * from prospects where id in ($1, $2)";
        let mut snapshot = sample::crm_running(&[(text, 10), (text, 3), ("select * from prospects where id in ($1)", 5)]);
        for (statement, value) in snapshot.statements.iter_mut().zip(["a", "b", "c"]) {
            statement.parameters = vec![vec![Some(value.to_owned())]];
        }
        let queries = read(&snapshot).queries;
        assert_eq!((queries.len(), queries[0].calls), (1, 18));
        assert_eq!(queries[0].captured, [[Some("a".to_owned())], [Some("b".to_owned())]]);
    }

    #[test]
    fn a_text_that_only_the_planner_knows_is_read_from_its_plan() {
        let snapshot = sample::crm_running(&[("select id from prospects * where email = $1", 30), ("select nonsense from", 10)]);
        let mut asked = Vec::new();
        let workload = read_with(&snapshot, &mut |query| {
            asked.push(query.text.clone());
            let scan = serde_json::json!({"Node Type": "Seq Scan", "Relation Name": "prospects", "Schema": "public", "Alias": "prospects",
                "Output": ["id"], "Filter": "(prospects.email = $1)"});
            query.text.contains("email").then(|| serde_json::json!([{ "Plan": scan }]))
        });
        assert_eq!(asked.len(), 2, "both are unknown to the parser");
        assert_eq!((workload.coverage.usable, workload.coverage.exec_time_share), (1, Some(0.75)));
        assert_eq!(workload.queries[0].blocks[0].accesses[0].conditions[0].column, "email");
        assert_eq!(workload.queries[0].parameters.len(), 1, "its parameter has a column to take values from");
    }

    #[test]
    fn nothing_recorded_has_no_share() {
        let workload = read(&sample::crm());
        assert_eq!((workload.queries.len(), workload.coverage.exec_time_share), (0, None));
    }
}
