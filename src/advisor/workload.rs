//! The recorded statements as a workload: read, merged, and counted.

use std::collections::BTreeMap;

use super::proposal::{Coverage, Skipped};
use super::query::{Names, Query, Reading, read as read_statement};
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
    let relations = Relations::new(snapshot);
    let names = Names::new(&relations);
    let mut coverage = Coverage::default();
    let mut exec_ms = 0.0;
    let mut exec_ms_usable = 0.0;
    let mut merged: BTreeMap<(String, String, Vec<Oid>), Query> = BTreeMap::new();
    for statement in &snapshot.statements {
        let reading = match &statement.query {
            // Also what the server writes in place of a text the role may not see.
            Some(text) if text != "<insufficient privilege>" => {
                read_statement(&names, text, &statement.search_path, &statement.user, &statement.parameters)
            }
            _ => Reading::Skipped("the text is hidden from this role, or its file was lost; GRANT pg_read_all_stats shows it".to_owned()),
        };
        match reading {
            Reading::NotWorkload => continue,
            Reading::Skipped(reason) => coverage.skipped.push(Skipped {
                query_id: statement.query_id.clone(),
                query: statement.query.clone(),
                reason,
                exec_time_share: statement.exec_ms_total,
            }),
            Reading::Understood { blocks, writes, parameters } => {
                coverage.usable += 1;
                exec_ms_usable += statement.exec_ms_total;
                let query = Query { blocks, writes, parameters, ..query(statement) };
                let tables = query.tables().into_iter().chain(query.writes.iter().map(|write| write.table)).collect();
                let key = (fingerprint(&query.text), query.search_path.clone(), tables);
                merged.entry(key).and_modify(|known| merge(known, &query)).or_insert(query);
            }
        }
        coverage.statements += 1;
        exec_ms += statement.exec_ms_total;
    }
    coverage.exec_time_share = (exec_ms > 0.0).then(|| exec_ms_usable / exec_ms);
    for skipped in &mut coverage.skipped {
        skipped.exec_time_share = if exec_ms > 0.0 { skipped.exec_time_share / exec_ms } else { 0.0 };
    }
    coverage.skipped.sort_by(|a, b| b.exec_time_share.total_cmp(&a.exec_time_share).then_with(|| a.query.cmp(&b.query)));
    let mut queries: Vec<Query> = merged.into_values().collect();
    queries.sort_by(|a, b| b.exec_ms_total.total_cmp(&a.exec_ms_total).then_with(|| a.text.cmp(&b.text)));
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

/// Adds a variant's counts; the variant that ran longest lends its text and blocks.
fn merge(known: &mut Query, other: &Query) {
    let longest = if other.exec_ms_total > known.exec_ms_total { other.clone() } else { known.clone() };
    *known = Query {
        calls: known.calls.saturating_add(other.calls),
        rows: known.rows.saturating_add(other.rows),
        exec_ms_total: known.exec_ms_total + other.exec_ms_total,
        ..longest
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
        assert!(coverage.skipped[1].reason.contains("GRANT pg_read_all_stats"));
    }

    #[test]
    fn nothing_recorded_has_no_share() {
        let workload = read(&sample::crm());
        assert_eq!((workload.queries.len(), workload.coverage.exec_time_share), (0, None));
    }
}
