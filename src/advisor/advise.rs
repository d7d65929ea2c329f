//! The pipeline: read, generate, price, select, explain.

mod explain;
mod refused;
mod removals;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::candidate::Candidate;
use super::candidates::generate;
use super::cost::CostModel;
use super::estimate::Estimate;
use super::facts::Facts;
use super::name::IndexNames;
use super::prices::Prices;
use super::proposal::{Advice, Budget, Coverage, Proposal, Skipped};
use super::query::Query;
use super::selection::{Task, drops, select};
use super::weights::weights;
use super::workload;
use super::write_cost::Writes;
use crate::catalog::{Oid, Relations, Snapshot, StatementSource};

/// Returns the indexes worth building, priced by arithmetic on the snapshot's statistics.
pub fn advise_by_estimate(snapshot: &Snapshot, budget: &Budget) -> Advice {
    advise(snapshot, &mut Estimate::new(snapshot), budget)
}

/// Returns the indexes worth building within the budget, and those worth dropping, priced by the model.
///
/// The same snapshot, model and budget always give the same advice; a larger budget never gives worse one.
pub fn advise<M: CostModel + ?Sized>(snapshot: &Snapshot, model: &mut M, budget: &Budget) -> Advice {
    let relations = Relations::new(snapshot);
    let facts = Facts::of_all(&relations);
    let workload::Workload { queries, mut coverage } = workload::read_with(snapshot, &mut |query| model.plan_of_unread(query));
    let generated = generate(&relations, &facts, &queries, budget);
    let writes = Writes::new(&relations, &facts, &queries);
    let confidence = model.confidence();
    let removable = drops::removable(&relations);

    let mut prices = Prices::new(model, &queries, &generated.candidates, &removable);
    let write_costs: Vec<f64> = prices.candidates.iter().map(|candidate| writes.burden(candidate).cost.cost).collect();
    let planned = plannable(&mut prices, &queries, &mut coverage);
    let groups = numbered(&prices, &generated.groups);
    let existing: HashMap<Oid, usize> = snapshot.tables.iter().map(|table| (table.oid, relations.indexes_of(table.oid).len())).collect();
    let tables_bytes = snapshot.tables.iter().map(|table| table.heap_bytes).sum();
    let task = Task { writes: &write_costs, groups: &groups, existing: &existing, budget, planned: &planned, tables_bytes };
    let selection = select(&mut prices, &task);

    let mut names = IndexNames::new(snapshot);
    let mut explain = explain::Explain::new(&mut prices, &queries, &relations, &facts, &writes, &planned, &selection.chosen, confidence);
    let mut proposals: Vec<(usize, Proposal)> = Vec::new();
    for candidate in selection.chosen.iter().copied() {
        let name = names.take(&explain.prices.candidates[candidate]);
        proposals.extend(explain.creation(candidate, name).map(|proposal| (candidate, proposal)));
    }
    let approximate = explain.approximate();
    let (removals, kept) = removals::propose(&mut explain, &proposals, &coverage);
    let mut refused = refused::refused(&mut prices, &task, &selection, &generated.refused, &proposals, &writes);
    refused.splice(0..0, kept);
    proposals.sort_by(|(a, one), (b, other)| other.workload_cost.before.total_cmp(&one.workload_cost.before).then(a.cmp(b)));
    let mut caveats = prices.caveats();
    caveats.extend(approximate);
    if snapshot.redacted && matches!(snapshot.statement_source, StatementSource::File { .. }) {
        caveats.push(
            "The snapshot is redacted: a literal of the given statements that its statistics no longer hold is taken as rare, so that indexes and \
             plans that depend on one may look smaller and cheaper than they are."
                .to_owned(),
        );
    }
    if selection.cut_short {
        caveats.push("The time was over before the search was: more time may find a better set.".to_owned());
    }
    Advice {
        coverage,
        proposals: proposals.into_iter().map(|(_, proposal)| proposal).chain(removals).collect(),
        refused,
        model: prices.model_name(),
        caveats,
    }
}

/// Returns the statements that have a price, and weighs them; the others join the skipped ones.
fn plannable<M: CostModel + ?Sized>(prices: &mut Prices<'_, M>, queries: &[Query], coverage: &mut Coverage) -> Vec<usize> {
    let none = prices.marks([]);
    let questions: Vec<_> = (0..queries.len()).map(|query| prices.question(query, &none)).collect();
    prices.fetch(questions);
    let mut bare: Vec<Option<f64>> = Vec::new();
    // Statements that were never timed count by their calls, as they did when they were read.
    let timed = queries.iter().any(|query| query.exec_ms_total > 0.0);
    let weight = |query: &Query| if timed { query.exec_ms_total } else { query.calls as f64 };
    let (all, read) = (queries.iter().map(weight).sum::<f64>(), coverage.exec_time_share.unwrap_or_default());
    for (at, query) in queries.iter().enumerate() {
        let plan = prices.plan(at, &none);
        bare.push(plan.as_ref().ok().map(|plan| plan.cost));
        let Err(refusal) = plan else { continue };
        let share = if all > 0.0 { weight(query) / all * read } else { 0.0 };
        coverage.usable = coverage.usable.saturating_sub(1);
        coverage.exec_time_share = coverage.exec_time_share.map(|covered| (covered - share).max(0.0));
        coverage.skipped.push(Skipped {
            query_id: query.query_id.clone(),
            query: Some(query.text.clone()),
            reason: refusal.to_string(),
            exec_time_share: share,
        });
    }
    coverage.skipped.sort_by(|a, b| b.exec_time_share.total_cmp(&a.exec_time_share));
    prices.weigh(weights(queries, &bare));
    (0..queries.len()).filter(|query| bare[*query].is_some()).collect()
}

/// Returns the groups whose members can all be built, by number.
fn numbered<M: CostModel + ?Sized>(prices: &Prices<'_, M>, groups: &BTreeSet<BTreeSet<Arc<Candidate>>>) -> Vec<Vec<usize>> {
    let numbers: BTreeMap<&Arc<Candidate>, usize> = prices.candidates.iter().enumerate().map(|(at, candidate)| (candidate, at)).collect();
    groups.iter().filter_map(|group| group.iter().map(|member| numbers.get(member).copied()).collect()).collect()
}

#[cfg(test)]
mod tests;
