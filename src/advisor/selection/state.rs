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

    /// Returns what statements would lose, weighted, were these questions put in the place of theirs.
    fn losses(&mut self, part: &Part, state: &State, questions: Vec<Question>) -> Vec<(usize, f64)> {
        let mut losses = Vec::with_capacity(questions.len());
        for question in questions {
            let Ok(at) = part.queries.binary_search(&question.query) else { continue };
            let loss = self.prices.answer(&question).0 - state.plans[at].cost;
            losses.push((question.query, loss * self.prices.weight(question.query)));
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
            let mut users: BTreeMap<usize, Vec<Question>> = state.members.iter().map(|member| (*member, Vec::new())).collect();
            for planned in &state.plans {
                for member in &planned.used {
                    if let Some(questions) = users.get_mut(member) {
                        questions.push(self.prices.changed(&planned.question, &[], &[*member]));
                    }
                }
            }
            self.prices.fetch(users.values().flatten().cloned());
            let mut spare: Vec<(f64, usize, BTreeSet<usize>)> = Vec::new();
            for (member, questions) in users {
                let losses = self.losses(part, &state, questions);
                if !self.is_worth(&losses, self.writes[member]) {
                    let loss = losses.iter().map(|(_, loss)| loss).sum::<f64>() - self.writes[member];
                    spare.push((loss, member, losses.into_iter().map(|(query, _)| query).collect()));
                }
            }
            if spare.is_empty() {
                return changed.then_some(state);
            }
            spare.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            // Those that no statement has in common with another that goes can go at once.
            let (mut going, mut touched) = (BTreeSet::new(), BTreeSet::new());
            for (_, member, queries) in spare {
                if touched.is_disjoint(&queries) && self.prices.served[member].iter().all(|query| !touched.contains(query)) {
                    touched.extend(self.prices.served[member].iter().copied());
                    going.insert(member);
                }
            }
            let rest: Vec<usize> = state.members.iter().copied().filter(|other| !going.contains(other)).collect();
            state = self.state(part, &rest);
            changed = true;
        }
    }

    /// Returns the weighted bare costs of a part's statements, by query.
    pub(super) fn bare_of(&self, part: &Part) -> BTreeMap<usize, f64> {
        part.queries.iter().map(|query| (*query, self.bare[*query].unwrap_or_default() * self.prices.weight(*query))).collect()
    }
}
