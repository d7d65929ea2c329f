//! One set of indexes as the model prices it.

use std::collections::{BTreeMap, BTreeSet};

use super::Part;
use super::guard::Guard;
use crate::advisor::cost::CostModel;
use crate::advisor::prices::{Prices, Question};

/// The searches' common ground.
pub(super) struct Search<'s, 'q, M: CostModel + ?Sized> {
    pub(super) prices: &'s mut Prices<'q, M>,
    /// Write cost by candidate.
    pub(super) writes: &'s [f64],
    pub(super) guard: Guard,
    /// Cost of each statement without candidates; `None` when it has no price.
    pub(super) bare: Vec<Option<f64>>,
}

/// A set of candidates with what it costs.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) members: BTreeSet<usize>,
    /// Weighted cost of the part's statements, and of writes.
    pub(super) total: f64,
    pub(super) size: u64,
    /// Whether no statement gets much dearer than without any candidate.
    pub(super) allowed: bool,
    /// By statement of the part, in its order: what was asked, the cost, the members the plan uses.
    pub(super) plans: Vec<Planned>,
}

/// What the model says of one statement.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) question: Question,
    pub(super) cost: f64,
    pub(super) used: Vec<usize>,
}

impl<M: CostModel + ?Sized> Search<'_, '_, M> {
    /// Prices a set.
    pub(super) fn state(&mut self, part: &Part, members: &[usize]) -> State {
        let marks = self.prices.marks(members.iter().copied());
        let questions: Vec<Question> = part.queries.iter().map(|query| self.prices.question(*query, &marks)).collect();
        self.prices.fetch(questions.iter().cloned());
        let mut state = State {
            members: members.iter().copied().collect(),
            total: members.iter().map(|member| self.writes[*member]).sum(),
            size: members.iter().map(|member| self.prices.sizes[*member].0).sum(),
            allowed: true,
            plans: Vec::with_capacity(questions.len()),
        };
        for question in questions {
            let planned = self.planned(question);
            let query = planned.question.query;
            state.total += planned.cost * self.prices.weight(query);
            state.allowed &= self.bare[query].is_some_and(|bare| self.guard.allows(planned.cost, bare));
            state.plans.push(planned);
        }
        state
    }

    /// Looks up an answer.
    pub(super) fn planned(&mut self, question: Question) -> Planned {
        let (cost, used) = self.prices.answer(&question);
        Planned { question, cost, used }
    }

    /// Returns what a member's going would cost, weighted, by statement.
    fn losses(&mut self, state: &State, member: usize) -> Vec<(usize, f64)> {
        let users: Vec<&Planned> = state.plans.iter().filter(|planned| planned.used.contains(&member)).collect();
        let without: Vec<Question> = users.iter().map(|planned| self.prices.changed(&planned.question, &[], &[member])).collect();
        self.prices.fetch(without.iter().cloned());
        let mut losses = Vec::with_capacity(users.len());
        for (planned, question) in users.iter().zip(without) {
            let query = question.query;
            losses.push((query, (self.prices.answer(&question).0 - planned.cost) * self.prices.weight(query)));
        }
        losses
    }

    /// Returns whether losing this much, by statement and weighted, is worth an index that costs so much in writes.
    pub(super) fn is_worth(&self, losses: &[(usize, f64)], writes: f64) -> bool {
        let helps = |(query, loss): &(usize, f64)| {
            let weight = self.prices.weight(*query);
            self.bare[*query].is_some_and(|bare| weight > 0.0 && self.guard.helps(bare, weight, loss / weight))
        };
        self.guard.worthwhile(losses.iter().map(|(_, loss)| loss).sum::<f64>() - writes, losses.iter().any(helps))
    }

    /// Takes away what is not worth an index beside the others, the least missed first; `None` when all is.
    pub(super) fn tidied(&mut self, part: &Part, set: &[usize]) -> Option<State> {
        let mut state = self.state(part, set);
        let mut changed = false;
        loop {
            let mut least: Option<(f64, usize)> = None;
            let members: Vec<usize> = state.members.iter().copied().collect();
            // What one of them would cost in plans is asked for all at once.
            let all: Vec<Question> = members
                .iter()
                .flat_map(|member| {
                    state.plans.iter().filter(|planned| planned.used.contains(member)).map(move |planned| (planned, *member))
                })
                .map(|(planned, member)| self.prices.changed(&planned.question, &[], &[member]))
                .collect();
            self.prices.fetch(all);
            for member in members {
                let losses = self.losses(&state, member);
                if !self.is_worth(&losses, self.writes[member]) {
                    let loss = losses.iter().map(|(_, loss)| loss).sum::<f64>() - self.writes[member];
                    if least.is_none_or(|(found, _)| loss < found) {
                        least = Some((loss, member));
                    }
                }
            }
            let Some((_, member)) = least else { return changed.then_some(state) };
            let rest: Vec<usize> = state.members.iter().copied().filter(|other| *other != member).collect();
            state = self.state(part, &rest);
            changed = true;
        }
    }

    /// Returns the weighted bare costs of a part's statements, by query.
    pub(super) fn bare_of(&self, part: &Part) -> BTreeMap<usize, f64> {
        part.queries.iter().map(|query| (*query, self.bare[*query].unwrap_or_default() * self.prices.weight(*query))).collect()
    }
}
