//! What an index costs the statements that write.

use std::collections::{BTreeMap, HashMap};

use super::Candidate;
use super::facts::Facts;
use super::proposal::WriteCost;
use super::query::Query;
use crate::catalog::{Oid, Relations, Snapshot, StatementSource};

/// What a table's statements were seen to set.
#[derive(Debug, Default)]
struct Updates {
    /// Rows updated by statements that set the column, by column.
    rows_by_column: BTreeMap<String, u64>,
    /// Each statement's columns and rows.
    statements: Vec<(Vec<String>, u64)>,
}

/// Prices writes from table counters and recorded `UPDATE`s.
#[derive(Debug)]
pub(crate) struct Writes<'a, 'f> {
    facts: &'f HashMap<Oid, Facts<'a>>,
    indexes: HashMap<Oid, u64>,
    updates: HashMap<Oid, Updates>,
    /// Table counters times this cover the period of the statements.
    scale: f64,
    page: f64,
    operator: f64,
}

/// What an index costs writes, with what has to be said about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Burden {
    pub(crate) cost: WriteCost,
    /// Updates that would stop being HOT.
    pub(crate) hot_loss: u64,
    pub(crate) risks: Vec<String>,
}

impl<'a, 'f> Writes<'a, 'f> {
    /// Gathers the recorded writes.
    pub(crate) fn new(relations: &Relations<'a>, facts: &'f HashMap<Oid, Facts<'a>>, queries: &[Query]) -> Self {
        let snapshot = relations.snapshot;
        let mut updates: HashMap<Oid, Updates> = HashMap::new();
        for query in queries {
            for write in query.writes.iter().filter(|write| !write.sets.is_empty()) {
                let known = updates.entry(write.table).or_default();
                for column in &write.sets {
                    let rows = known.rows_by_column.entry(column.clone()).or_default();
                    *rows = rows.saturating_add(query.rows);
                }
                known.statements.push((write.sets.clone(), query.rows));
            }
        }
        let indexes = snapshot
            .tables
            .iter()
            .map(|table| (table.oid, relations.indexes_of(table.oid).iter().filter(|index| index.ready).count() as u64))
            .collect();
        let number = |name, default| snapshot.server.number(name).unwrap_or(default);
        Self {
            facts,
            indexes,
            updates,
            scale: scale(snapshot),
            page: number("seq_page_cost", 1.0),
            operator: number("cpu_operator_cost", 0.0025),
        }
    }

    /// Returns what the index costs over the period the statements were recorded in.
    pub(crate) fn burden(&self, candidate: &Candidate) -> Burden {
        let Some(facts) = self.facts.get(&candidate.table) else { return Burden::default() };
        let usage = &facts.table.usage;
        let scaled = |rows: u64| (rows as f64 * self.scale).round() as u64;
        let hot_share = if usage.rows_updated == 0 { 0.0 } else { (usage.rows_hot_updated as f64 / usage.rows_updated as f64).min(1.0) };
        let indexed = |column: &String| candidate.included.contains(column) || candidate.leading_columns().any(|key| key == column);
        let recorded = self.updates.get(&candidate.table);
        let setting: u64 = recorded.map_or(0, |updates| {
            updates.statements.iter().filter(|(sets, _)| sets.iter().any(indexed)).fold(0u64, |sum, (_, rows)| sum.saturating_add(*rows))
        });
        let hot_loss = (setting as f64 * hot_share).round() as u64;
        let inserts = scaled(usage.rows_inserted);
        let updates = scaled(usage.rows_updated.saturating_sub(usage.rows_hot_updated));
        let hot_updates_lost = hot_loss.saturating_mul(self.indexes.get(&candidate.table).copied().unwrap_or_default() + 1);
        let entries = inserts.saturating_add(updates).saturating_add(hot_updates_lost);
        let cost = WriteCost { inserts, updates, hot_updates_lost, cost: entries as f64 * self.entry(facts.rows) };

        let mut risks = Vec::new();
        for (column, rows) in recorded.iter().flat_map(|updates| &updates.rows_by_column).filter(|(column, _)| indexed(column)) {
            if *rows > 0 {
                risks.push(format!(
                    "{column} is set by {rows} recorded row updates; {} of the table's updates were HOT, and those that set it could no longer be.",
                    share(hot_share)
                ));
            }
        }
        if recorded.is_none() && usage.rows_updated > 0 {
            risks.push(format!(
                "Which columns the table's {} row updates set is not recorded, so a loss of HOT updates cannot be ruled out.",
                usage.rows_updated
            ));
        }
        Burden { cost, hot_loss, risks }
    }

    /// Returns the cost of one entry: the search for its place, and a share of a page to be written.
    ///
    /// The planner does not price index maintenance. A tenth of a page is a rule of thumb: neighbouring entries dirty a
    /// leaf together between checkpoints.
    fn entry(&self, rows: f64) -> f64 {
        (rows.max(2.0).log2().ceil() + 100.0) * self.operator + 0.1 * self.page
    }
}

fn share(of_one: f64) -> String {
    format!("{:.0} %", of_one * 100.0)
}

/// Returns the length of the statements' period over that of the table counters; 1 where either is unknown.
fn scale(snapshot: &Snapshot) -> f64 {
    let StatementSource::Available { reset_at: Some(statements_since), .. } = snapshot.statement_source else { return 1.0 };
    let Some(tables_since) = snapshot.server.stats_reset_at else { return 1.0 };
    let seconds = |since: jiff::Timestamp| (snapshot.taken_at.as_second() - since.as_second()).max(1) as f64;
    seconds(statements_since) / seconds(tables_since)
}

#[cfg(test)]
mod tests {
    use super::super::{CandidateKey, sample, workload};
    use super::*;
    use crate::catalog::KeyTarget;

    fn burden(columns: &[&str], change: impl FnOnce(&mut Snapshot)) -> Burden {
        let mut snapshot = sample::crm_running(&[("update prospects set status = $1, score = score + $2 where id = $3", 1_000)]);
        snapshot.statements[0].rows = 1_000;
        let usage = &mut snapshot.tables[1].usage;
        (usage.rows_inserted, usage.rows_updated, usage.rows_hot_updated) = (500, 1_000, 900);
        change(&mut snapshot);
        let relations = Relations::new(&snapshot);
        let facts = Facts::of_all(&relations);
        let queries = workload::read(&snapshot).queries;
        let key = |name: &&str| CandidateKey {
            target: KeyTarget::Column((*name).into()),
            descending: false,
            nulls_first: false,
            opclass: None,
            collation: None,
        };
        Writes::new(&relations, &facts, &queries).burden(&Candidate {
            table: 2,
            table_name: snapshot.tables[1].name.clone(),
            method: "btree".into(),
            keys: columns.iter().map(key).collect(),
            included: Vec::new(),
            predicate: None,
        })
    }

    #[test]
    fn an_index_on_a_column_that_changes_ends_hot_updates_of_all_indexes() {
        let burden = burden(&["user_id", "status"], |_| {});
        assert_eq!((burden.cost.inserts, burden.cost.updates, burden.hot_loss), (500, 100, 900));
        // The primary key's entries and its own.
        assert_eq!(burden.cost.hot_updates_lost, 1_800);
        assert!(burden.risks[0].starts_with("status is set by 1000 recorded row updates; 90 %"), "{:?}", burden.risks);
    }

    #[test]
    fn an_index_on_columns_nobody_sets_leaves_updates_hot() {
        let burden = burden(&["user_id"], |_| {});
        assert_eq!((burden.hot_loss, burden.cost.hot_updates_lost), (0, 0));
        assert_eq!(burden.risks, Vec::<String>::new());
        assert!(burden.cost.cost > 0.0);
    }

    #[test]
    fn unrecorded_updates_are_a_doubt_that_is_said() {
        let burden = burden(&["user_id"], |snapshot| snapshot.statements.clear());
        assert!(burden.risks[0].contains("is not recorded"), "{:?}", burden.risks);
    }

    #[test]
    fn counters_of_a_longer_period_are_scaled_down() {
        let day = |days: i64| jiff::Timestamp::from_second(days * 86_400).unwrap();
        let burden = burden(&["user_id"], |snapshot| {
            snapshot.taken_at = day(100);
            snapshot.server.stats_reset_at = Some(day(0));
            snapshot.statement_source = StatementSource::Available { evicted: 0, reset_at: Some(day(90)) };
        });
        assert_eq!(burden.cost.inserts, 50);
    }
}
