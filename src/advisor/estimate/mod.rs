//! A cost model of arithmetic: the planner's own formulas over the snapshot's statistics.
//!
//! Follows `costsize.c` for sequential, index, index-only and bitmap scans, sorts, limits, hash and nested-loop joins.
//! Left out: parallel plans, merge joins, bitmap AND/OR, partition pruning, incremental sorts. It ranks indexes; a
//! planner's answer is better where one can be had.

mod constants;
mod join;
mod scan;

use std::collections::HashMap;
use std::sync::Arc;

use self::constants::Constants;
use self::scan::{Scans, Shape};
use super::cost::{Configuration, CostModel, NotPlannable, Plan, UsedIndex};
use super::facts::Facts;
use super::query::{Block, Limit, Query};
use super::{Candidate, size};
use crate::catalog::{Oid, Relations, Snapshot};
use crate::units::Bytes;

/// Rows let through by `LIMIT $n` when the statement's own row counts do not say.
const LIMIT_UNKNOWN: f64 = 50.0;

/// Prices statements from the statistics of a snapshot.
#[derive(Debug)]
pub struct Estimate<'a> {
    facts: HashMap<Oid, Facts<'a>>,
    existing: HashMap<Oid, Vec<Arc<Shape>>>,
    created: HashMap<Arc<Candidate>, Arc<Shape>>,
    constants: Constants,
    major: u32,
}

impl<'a> Estimate<'a> {
    /// Prepares the arithmetic for one snapshot.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let relations = Relations::new(snapshot);
        let facts = Facts::of_all(&relations);
        let usable = snapshot.indexes.iter().filter(|index| index.usable());
        let mut existing: HashMap<Oid, Vec<Arc<Shape>>> = HashMap::new();
        for index in usable {
            if let Some(shape) = Shape::of_existing(index) {
                existing.entry(index.table).or_default().push(Arc::new(shape));
            }
        }
        let constants = Constants::of(&snapshot.server, facts.values().map(|facts| facts.pages).sum());
        Self { facts, existing, created: HashMap::new(), constants, major: snapshot.server.major() }
    }

    fn shape(&mut self, candidate: &Arc<Candidate>) -> Option<Arc<Shape>> {
        if let Some(shape) = self.created.get(candidate) {
            return Some(Arc::clone(shape));
        }
        // Of the access methods this arithmetic knows B-trees alone, and keys that are columns.
        let modelled = candidate.method == "btree" && candidate.keys.iter().all(|key| key.target.column().is_some());
        let facts = self.facts.get(&candidate.table).filter(|_| modelled)?;
        let shape = Arc::new(Shape::of_candidate(candidate, size::size_on(facts, candidate, self.major)));
        self.created.insert(Arc::clone(candidate), Arc::clone(&shape));
        Some(shape)
    }
}

impl CostModel for Estimate<'_> {
    fn plan(&mut self, query: &Query, configuration: &Configuration) -> Result<Plan, NotPlannable> {
        let mut shapes: HashMap<Oid, Vec<Arc<Shape>>> = HashMap::new();
        for table in query.tables() {
            let visible = self.existing.get(&table).into_iter().flatten().filter(|shape| match shape.reference {
                UsedIndex::Existing(oid) => !configuration.hidden.contains(&oid),
                UsedIndex::Created(_) => true,
            });
            shapes.insert(table, visible.cloned().collect());
        }
        for candidate in &configuration.created {
            if shapes.contains_key(&candidate.table)
                && let Some(shape) = self.shape(candidate)
            {
                shapes.entry(candidate.table).or_default().push(shape);
            }
        }
        let scans = Scans { facts: &self.facts, shapes: &shapes, constants: &self.constants };
        let mut plan = Plan::default();
        let mut rows_of = vec![1.0; query.blocks.len()];
        for (at, block) in query.blocks.iter().enumerate() {
            let limit = rows_wanted(query, block, at == 0);
            let times = block.parent.filter(|_| block.correlated).map_or(1.0, |parent| rows_of[parent]);
            let found = join::cheapest(&scans, block, limit, times)
                .ok_or_else(|| NotPlannable { reason: "a table without statistics of its size".to_owned() })?;
            rows_of[at] = found.rows.max(1.0) * times;
            plan.cost += found.cost;
            plan.used.extend(found.used);
        }
        plan.used.sort_unstable();
        plan.used.dedup();
        Ok(plan)
    }

    fn size(&mut self, candidate: &Candidate) -> Bytes {
        self.facts.get(&candidate.table).map_or(Bytes(0), |facts| size::size_on(facts, candidate, self.major))
    }
}

/// Returns how many rows a block's `LIMIT` lets through.
fn rows_wanted(query: &Query, block: &Block, outermost: bool) -> Option<f64> {
    match block.limit? {
        Limit::Rows(rows) => Some(rows as f64),
        // What came out on average was let through.
        Limit::Parameter if outermost => Some(query.rows_per_call().map_or(LIMIT_UNKNOWN, |rows| rows.max(1.0))),
        Limit::Parameter => Some(LIMIT_UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CandidateKey, sample, workload};
    use super::*;
    use crate::catalog::KeyTarget;

    fn candidate(snapshot: &Snapshot, table: &str, columns: &[&str]) -> Arc<Candidate> {
        let table = snapshot.tables.iter().find(|found| found.name.name == table).unwrap();
        let key = |name: &&str| CandidateKey {
            target: KeyTarget::Column((*name).into()),
            descending: false,
            nulls_first: false,
            opclass: None,
            collation: None,
        };
        Arc::new(Candidate {
            table: table.oid,
            table_name: table.name.clone(),
            method: "btree".into(),
            keys: columns.iter().map(key).collect(),
            included: Vec::new(),
            predicate: None,
        })
    }

    /// Costs of a statement without and with each index alone.
    fn costs(text: &str, table: &str, indexes: &[&[&str]]) -> (f64, Vec<f64>) {
        let snapshot = sample::crm_running(&[(text, 100)]);
        let queries = workload::read(&snapshot).queries;
        let mut model = Estimate::new(&snapshot);
        let bare = model.plan(&queries[0], &Configuration::default()).unwrap().cost;
        let with = |columns: &&[&str]| model.plan(&queries[0], &Configuration::with([candidate(&snapshot, table, columns)])).unwrap().cost;
        (bare, indexes.iter().map(with).collect())
    }

    #[test]
    fn a_sequential_scan_costs_what_the_planner_says() {
        // 2500 pages, 100 000 rows, one operator: 2500 + 100 000 * (0.01 + 0.0025).
        let (bare, _) = costs("select * from prospects where score = $1", "prospects", &[]);
        assert!((bare - 3_750.0).abs() < 1.0, "{bare}");
    }

    #[test]
    fn an_ordered_index_ends_at_the_limit() {
        let text = "select * from prospects where user_id = $1 and status = $2 order by created_at desc limit $3";
        let (bare, with) = costs(text, "prospects", &[&["user_id"], &["user_id", "status"], &["user_id", "status", "created_at"]]);
        assert!(with[0] < bare / 3.0 && with[1] < with[0] && with[2] < with[1], "{bare} {with:?}");
    }

    #[test]
    fn a_range_before_an_equality_helps_less() {
        let text = "select * from meetings where user_id = $1 and scheduled_at between $2 and $3";
        let (_, with) = costs(text, "meetings", &[&["user_id", "scheduled_at"], &["scheduled_at", "user_id"]]);
        assert!(with[0] < with[1], "{with:?}");
    }

    #[test]
    fn a_join_column_is_looked_up_for_each_outer_row() {
        let text = "select * from prospects p join campaign_prospects c on c.prospect_id = p.id where p.id = $1";
        let (bare, with) = costs(text, "campaign_prospects", &[&["prospect_id"], &["status"]]);
        assert!(with[0] < bare / 20.0, "{bare} {with:?}");
        assert_eq!(with[1], bare);
    }

    #[test]
    fn a_correlated_subquery_is_not_priced_once() {
        let once =
            costs("select * from users u where u.id = $1 and exists (select 1 from meetings m where m.user_id = u.id)", "meetings", &[]).0;
        let many = costs("select * from users u where exists (select 1 from meetings m where m.user_id = u.id)", "meetings", &[]).0;
        assert!(many >= once, "{many} {once}");
    }

    #[test]
    fn hiding_an_index_raises_the_price() {
        let snapshot = sample::crm_running(&[("select * from ai_conversation_log where user_id = $1", 9)]);
        let queries = workload::read(&snapshot).queries;
        let mut model = Estimate::new(&snapshot);
        let shown = model.plan(&queries[0], &Configuration::default()).unwrap();
        let hidden = Configuration { hidden: [15].into(), ..Configuration::default() };
        assert_eq!(shown.used, [UsedIndex::Existing(15)]);
        assert!(model.plan(&queries[0], &hidden).unwrap().cost > shown.cost * 2.0);
    }

    #[test]
    fn a_partial_index_serves_only_statements_that_state_its_predicate() {
        let mut snapshot = sample::crm_running(&[
            ("select * from meetings where user_id = $1", 9),
            ("select * from meetings where user_id = $1 and prospect_id is null", 9),
        ]);
        let mut partial = sample::index(20, 4, "meetings_open", &["user_id"]);
        partial.predicate = Some("(prospect_id IS NULL)".into());
        snapshot.indexes.push(partial);
        let mut queries = workload::read(&snapshot).queries;
        queries.sort_by_key(|query| query.text.len());
        let mut model = Estimate::new(&snapshot);
        let used = |query, model: &mut Estimate<'_>| model.plan(query, &Configuration::default()).unwrap().used;
        assert_eq!(used(&queries[0], &mut model), []);
        assert_eq!(used(&queries[1], &mut model), [UsedIndex::Existing(20)]);
    }
}
