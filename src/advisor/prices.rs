//! Prices remembered: a statement is planned once for each set of candidates that could matter to it.

use std::collections::HashMap;
use std::sync::Arc;

use super::Candidate;
use super::cost::{Configuration, CostModel, NotPlannable, Plan};
use super::query::Query;
use crate::units::Bytes;

/// Candidates by number, statements by position, and every price asked for so far.
pub(crate) struct Prices<'q, M: CostModel + ?Sized> {
    model: &'q mut M,
    queries: &'q [Query],
    /// Candidates in order; a number is a position here.
    pub(crate) candidates: Vec<Arc<Candidate>>,
    /// Sizes by candidate.
    pub(crate) sizes: Vec<Bytes>,
    /// Candidates that can matter to a statement, ascending, by statement.
    pub(crate) relevant: Vec<Vec<usize>>,
    /// Statements a candidate can matter to, by candidate.
    pub(crate) served: Vec<Vec<usize>>,
    /// Prices by statement, then by the relevant candidates present.
    known: Vec<HashMap<Vec<usize>, Arc<Plan>>>,
    /// The look-up key under construction, kept to spare an allocation for each question.
    subset: Vec<usize>,
}

impl<'q, M: CostModel + ?Sized> Prices<'q, M> {
    /// Numbers the candidates and learns which statements each can matter to.
    pub(crate) fn new(model: &'q mut M, queries: &'q [Query], candidates: Vec<Arc<Candidate>>) -> Self {
        model.prepare(&candidates);
        let sizes = candidates.iter().map(|candidate| model.size(candidate)).collect();
        let relevant: Vec<Vec<usize>> =
            queries.iter().map(|query| (0..candidates.len()).filter(|at| matters(&candidates[*at], query)).collect()).collect();
        let mut served = vec![Vec::new(); candidates.len()];
        for (query, candidates) in relevant.iter().enumerate() {
            candidates.iter().for_each(|candidate| served[*candidate].push(query));
        }
        Self { model, queries, candidates, sizes, relevant, served, known: vec![HashMap::new(); queries.len()], subset: Vec::new() }
    }

    /// Returns a statement's plan under a set of candidates, given as one mark a candidate.
    pub(crate) fn plan(&mut self, query: usize, chosen: &[bool]) -> Result<Arc<Plan>, NotPlannable> {
        self.subset.clear();
        self.subset.extend(self.relevant[query].iter().filter(|candidate| chosen[**candidate]));
        if let Some(plan) = self.known[query].get(&self.subset) {
            return Ok(Arc::clone(plan));
        }
        let configuration = Configuration::with(self.subset.iter().map(|candidate| Arc::clone(&self.candidates[*candidate])));
        let plan = Arc::new(self.model.plan(&self.queries[query], &configuration)?);
        self.known[query].insert(self.subset.clone(), Arc::clone(&plan));
        Ok(plan)
    }

    /// Says what prices the plans.
    pub(crate) fn model_name(&self) -> String {
        self.model.name()
    }

    /// Says what the model could not take into account.
    pub(crate) fn caveats(&self) -> Vec<String> {
        self.model.caveats()
    }

    /// Returns the marks of a set of candidates.
    pub(crate) fn marks(&self, set: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut marks = vec![false; self.candidates.len()];
        set.into_iter().for_each(|candidate| marks[candidate] = true);
        marks
    }

    /// Returns the cost of one execution.
    ///
    /// A statement that could be planned without candidates but cannot be with them counts as infinitely worse, so that
    /// no such set is chosen.
    pub(crate) fn cost(&mut self, query: usize, chosen: &[bool]) -> f64 {
        self.plan(query, chosen).map_or(f64::INFINITY, |plan| plan.cost)
    }

    /// Returns how often a statement counts.
    pub(crate) fn weight(&self, query: usize) -> f64 {
        self.queries[query].calls as f64
    }
}

/// Returns whether an index could be used for a statement: its first key is compared, sorted or grouped by.
fn matters(candidate: &Candidate, query: &Query) -> bool {
    let Some(first) = candidate.keys.first().and_then(|key| key.target.column()) else {
        return query.blocks.iter().flat_map(|block| &block.accesses).any(|access| access.table == candidate.table);
    };
    query.blocks.iter().any(|block| {
        block.accesses.iter().enumerate().any(|(at, access)| {
            access.table == candidate.table
                && (access.conditions.iter().any(|condition| condition.column == first)
                    || block.sort.iter().any(|key| key.of.access == at && key.of.column() == Some(first))
                    || block.grouping.iter().any(|of| of.access == at && of.column() == Some(first)))
        })
    })
}
