//! One set of indexes under search, and what changes of it are worth.

use std::collections::{BTreeMap, BTreeSet};

use super::Part;
use super::guard::Guard;
use crate::advisor::cost::CostModel;
use crate::advisor::prices::{Prices, Question};

/// Changes judged at once: enough to keep all of a model's workers busy, few enough that most unpromising changes are
/// never asked about.
const BATCH: usize = 16;
/// Bytes below which indexes count as equally small: a page more or less decides nothing.
const SIZE_STEP: f64 = 64.0 * 1024.0;

/// The searches' common ground.
pub(super) struct Search<'s, 'q, M: CostModel + ?Sized> {
    pub(super) prices: &'s mut Prices<'q, M>,
    /// Write cost by candidate.
    pub(super) writes: &'s [f64],
    pub(super) guard: Guard,
    /// Cost of each statement without candidates; `None` when it has no price.
    pub(super) bare: Vec<Option<f64>>,
    /// By candidate, those that it makes needless.
    pub(super) prefixes: Vec<Vec<usize>>,
}

/// A set of candidates with what it costs.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) marks: Vec<bool>,
    pub(super) members: BTreeSet<usize>,
    /// Weighted cost of the part's statements, and of writes.
    pub(super) total: f64,
    pub(super) size: u64,
    /// Cost by statement of the part.
    costs: BTreeMap<usize, f64>,
    /// The question that was asked of each statement.
    asked: BTreeMap<usize, Question>,
    /// Statements whose plan uses a member, by member.
    users: BTreeMap<usize, BTreeSet<usize>>,
}

/// A change of a set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Move {
    pub(super) add: Vec<usize>,
    pub(super) remove: Vec<usize>,
}

/// What a change is worth.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    /// The weighted gain after write cost.
    pub(super) gain: f64,
    /// Whether that is a share of the workload, or of one heavy statement's own cost, that is worth an index.
    pub(super) worthwhile: bool,
    /// Whether no statement gets much dearer than without any candidate.
    pub(super) allowed: bool,
    costs: Vec<(usize, f64)>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    Gain,
    GainPerByte,
}

/// Which changes may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) rank: Rank,
    /// The gain has to be more than this.
    pub(super) gain_above: f64,
    /// The gain has to be worth an index.
    pub(super) worthwhile: bool,
}

impl<M: CostModel + ?Sized> Search<'_, '_, M> {
    /// Learns which kept candidates make which others needless.
    pub(super) fn learn_prefixes(&mut self, kept: &BTreeSet<usize>) {
        let candidates = &self.prices.candidates;
        self.prefixes = vec![Vec::new(); candidates.len()];
        for wide in kept {
            // Candidates are in order, so those of one table are neighbours.
            let table = candidates[*wide].table;
            let before = kept.range(..*wide).rev().take_while(|other| candidates[**other].table == table);
            let after = kept.range(*wide + 1..).take_while(|other| candidates[**other].table == table);
            self.prefixes[*wide] =
                before.chain(after).copied().filter(|other| candidates[*other].is_prefix_of(&candidates[*wide])).collect();
        }
    }

    /// Prices a set from scratch.
    pub(super) fn state(&mut self, part: &Part, members: &[usize]) -> State {
        let marks = self.prices.marks(members.iter().copied());
        let questions: Vec<Question> = part.queries.iter().map(|query| self.prices.question(*query, &marks)).collect();
        self.prices.fetch(questions.iter().cloned());
        let mut state = State {
            marks,
            members: members.iter().copied().collect(),
            total: members.iter().map(|member| self.writes[*member]).sum(),
            size: members.iter().map(|member| self.prices.sizes[*member].0).sum(),
            costs: BTreeMap::new(),
            asked: BTreeMap::new(),
            users: BTreeMap::new(),
        };
        for (query, question) in part.queries.iter().zip(questions) {
            let cost = self.prices.cost(*query, &state.marks);
            state.total += cost * self.prices.weight(*query);
            state.costs.insert(*query, cost);
            state.asked.insert(*query, question);
            self.learn_users(&mut state, *query);
        }
        state
    }

    fn learn_users(&mut self, state: &mut State, query: usize) {
        for users in state.users.values_mut() {
            users.remove(&query);
        }
        for member in self.prices.used(query, &state.marks) {
            state.users.entry(member).or_default().insert(query);
        }
    }

    /// Returns the members no plan uses.
    pub(super) fn unused(&self, state: &State) -> Vec<usize> {
        state.members.iter().copied().filter(|member| state.users.get(member).is_none_or(BTreeSet::is_empty)).collect()
    }

    /// Returns the change that adds candidates and takes away those they make needless.
    pub(super) fn adding(&self, state: &State, add: &[usize]) -> Move {
        let add: Vec<usize> = add.iter().copied().filter(|candidate| !state.members.contains(candidate)).collect();
        let needless: BTreeSet<usize> = add.iter().flat_map(|candidate| &self.prefixes[*candidate]).copied().collect();
        let remove = needless.into_iter().filter(|other| state.members.contains(other) && !add.contains(other)).collect();
        Move { add, remove }
    }

    /// Returns by how many bytes a change grows a set.
    pub(super) fn growth(&self, change: &Move) -> i128 {
        let bytes = |items: &[usize]| items.iter().map(|item| i128::from(self.prices.sizes[*item].0)).sum::<i128>();
        bytes(&change.add) - bytes(&change.remove)
    }

    /// Returns the statements whose price a change can alter, with the questions to ask.
    ///
    /// A plan that does not use an index is the same without it.
    fn questions(&self, state: &State, change: &Move) -> Vec<Question> {
        let added = change.add.iter().flat_map(|candidate| &self.prices.served[*candidate]).filter(|query| state.costs.contains_key(query));
        let removed = change.remove.iter().filter_map(|candidate| state.users.get(candidate)).flatten();
        let affected: BTreeSet<usize> = added.chain(removed).copied().collect();
        affected.into_iter().map(|query| self.prices.changed(&state.asked[&query], &change.add, &change.remove)).collect()
    }

    /// Prices a change by known costs, and by the least possible ones where they are not known.
    fn weigh(&mut self, state: &State, change: &Move, questions: &[Question]) -> Judged {
        let written = |items: &[usize]| items.iter().map(|item| self.writes[*item]).sum::<f64>();
        let mut judged =
            Judged { gain: written(&change.remove) - written(&change.add), worthwhile: false, allowed: true, costs: Vec::new() };
        let mut helps_one = false;
        for question in questions {
            let query = question.query;
            let (Some(bare), Some(before)) = (self.bare[query], state.costs.get(&query)) else { continue };
            let after = self.prices.least_cost(question);
            judged.allowed &= self.guard.allows(after, bare);
            let weight = self.prices.weight(query);
            judged.gain += (before - after) * weight;
            helps_one |= self.guard.helps(bare, weight, before - after);
            judged.costs.push((query, after));
        }
        judged.worthwhile = self.guard.worthwhile(judged.gain, helps_one);
        judged
    }

    /// Prices a change.
    pub(super) fn judge(&mut self, state: &State, change: &Move) -> Judged {
        let questions = self.questions(state, change);
        self.prices.fetch(questions.iter().cloned());
        self.weigh(state, change, &questions)
    }

    /// Returns whether taking a member away would lose something that is worth an index.
    pub(super) fn is_worth(&mut self, state: &State, member: usize) -> bool {
        let judged = self.judge(state, &Move { add: Vec::new(), remove: vec![member] });
        let mut helps_one = false;
        for (query, without) in &judged.costs {
            let (Some(bare), Some(with)) = (self.bare[*query], state.costs.get(query)) else { continue };
            helps_one |= self.guard.helps(bare, self.prices.weight(*query), without - with);
        }
        self.guard.worthwhile(-judged.gain, helps_one)
    }

    /// Returns the best of the changes that may be taken, the first of equals.
    ///
    /// Changes are looked at in the order of what they could be worth at most, and only as long as one could be the best.
    pub(super) fn best(&mut self, state: &State, changes: Vec<Move>, wish: Wish) -> Option<(Move, Judged)> {
        let mut open: Vec<(f64, usize, Vec<Question>)> = Vec::new();
        for (at, change) in changes.iter().enumerate() {
            let questions = self.questions(state, change);
            let most = self.weigh(state, change, &questions);
            if most.allowed && most.gain > wish.gain_above && (most.worthwhile || !wish.worthwhile) {
                open.push((self.value(change, most.gain, wish.rank), at, questions));
            }
        }
        open.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut best: Option<(f64, usize, Judged)> = None;
        for batch in open.chunks(BATCH) {
            if best.as_ref().is_some_and(|(value, ..)| *value > batch[0].0) || (best.is_some() && self.prices.out_of_time()) {
                break;
            }
            self.prices.fetch(batch.iter().flat_map(|(_, _, questions)| questions.iter().cloned()));
            for (_, at, questions) in batch {
                let judged = self.weigh(state, &changes[*at], questions);
                if !judged.allowed || judged.gain <= wish.gain_above || (wish.worthwhile && !judged.worthwhile) {
                    continue;
                }
                let value = self.value(&changes[*at], judged.gain, wish.rank);
                if best.as_ref().is_none_or(|(most, first, _)| value > *most || (value == *most && at < first)) {
                    best = Some((value, *at, judged));
                }
            }
        }
        best.map(|(_, at, judged)| (changes[at].clone(), judged))
    }

    fn value(&self, change: &Move, gain: f64, rank: Rank) -> f64 {
        let bytes = self.growth(change) as f64;
        match rank {
            Rank::Gain => gain,
            // What is taken away is measured by the bytes it frees.
            Rank::GainPerByte if change.add.is_empty() => gain / (-bytes).max(1.0),
            Rank::GainPerByte if gain > 0.0 => gain / bytes.max(SIZE_STEP),
            Rank::GainPerByte => gain,
        }
    }

    /// Takes a judged change.
    pub(super) fn take(&mut self, state: &mut State, change: &Move, judged: &Judged) {
        apply(&mut state.marks, change);
        state.size = u64::try_from(i128::from(state.size) + self.growth(change)).unwrap_or_default();
        state.total -= judged.gain;
        state.members.retain(|member| !change.remove.contains(member));
        state.members.extend(&change.add);
        for (query, question) in &mut state.asked {
            if change.add.iter().chain(&change.remove).any(|item| self.prices.served[*item].binary_search(query).is_ok()) {
                *question = self.prices.changed(question, &change.add, &change.remove);
            }
        }
        for (query, cost) in &judged.costs {
            state.costs.insert(*query, *cost);
            self.learn_users(state, *query);
        }
        state.users.retain(|member, _| state.members.contains(member));
    }
}

fn apply(marks: &mut [bool], change: &Move) {
    change.remove.iter().for_each(|candidate| marks[*candidate] = false);
    change.add.iter().for_each(|candidate| marks[*candidate] = true);
}
