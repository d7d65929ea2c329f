//! Prices remembered: a statement is planned once for each set of indexes that could matter to it, and seldom that often.
//!
//! A planner takes the cheapest plan, so an index it does not use changes nothing: the plan under a set is also the plan
//! under every smaller set that still has all it uses. And a larger set is never dearer, so where a smaller and a larger
//! set cost the same, all between them do. Both together answer most questions without asking.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Candidate;
use super::cost::{Ask, Configuration, CostModel, NotPlannable, Plan, UsedIndex};
use super::query::Query;
use crate::catalog::{Index, KeyTarget, Oid};
use crate::units::Bytes;

/// Costs that differ by less than this share are equal: the rounding of sums.
const EQUAL: f64 = 1e-9;

/// Indexes by number, statements by position, and every price asked for so far.
///
/// Candidates come first and are absent unless marked; then existing indexes that might go, which are there unless unmarked.
pub(crate) struct Prices<'q, M: CostModel + ?Sized> {
    model: &'q mut M,
    queries: &'q [Query],
    /// Candidates in order; a number is a position here.
    pub(crate) candidates: Vec<Arc<Candidate>>,
    /// Candidates the model cannot build, with its reason.
    pub(crate) refused: Vec<(Arc<Candidate>, NotPlannable)>,
    /// Existing indexes that might go; their numbers follow the candidates'.
    pub(crate) existing: Vec<Oid>,
    /// Sizes by candidate.
    pub(crate) sizes: Vec<Bytes>,
    /// Indexes that can matter to a statement, ascending, by statement.
    pub(crate) relevant: Vec<Vec<usize>>,
    /// Statements an index can matter to, by index.
    pub(crate) served: Vec<Vec<usize>>,
    /// How much one unit of a statement's cost counts, by statement.
    weights: Vec<f64>,
    memory: Vec<Memory>,
}

/// The relevant indexes present, one bit each, in the order of [`Prices::relevant`].
type Present = Box<[u64]>;

/// One question: a statement, and the indexes that are there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) query: usize,
    present: Present,
}

/// What is known of one statement.
#[derive(Debug, Default)]
struct Memory {
    plans: Vec<Seen>,
    refusals: Vec<NotPlannable>,
    /// Answers found, also those that follow from others.
    known: HashMap<Present, Result<usize, usize>>,
    /// What the plans seen so far say of questions that are still open.
    open: HashMap<Present, Open>,
}

/// What is known of an answer before it is given.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    /// How many of the plans seen were looked at.
    looked_at: usize,
    /// The greatest cost under a larger set: the answer cannot be below.
    above: f64,
    /// The least cost under a smaller set, and its plan: the answer cannot be dearer.
    below: Option<(f64, usize)>,
}

/// A plan the model gave.
#[derive(Debug)]
struct Seen {
    present: Present,
    used: Present,
    plan: Arc<Plan>,
}

impl<'q, M: CostModel + ?Sized> Prices<'q, M> {
    /// Numbers the candidates, has the model prepare them, and learns which statements each index can matter to.
    ///
    /// `wanted` names the statements each candidate was made for.
    pub(crate) fn new(
        model: &'q mut M,
        queries: &'q [Query],
        wanted: &BTreeMap<Arc<Candidate>, BTreeSet<usize>>,
        existing: &[&Index],
    ) -> Self {
        let all: Vec<Arc<Candidate>> = wanted.keys().cloned().collect();
        let refused = model.prepare(&all);
        let unbuildable: HashSet<&Arc<Candidate>> = refused.iter().map(|(candidate, _)| candidate).collect();
        let candidates: Vec<Arc<Candidate>> = all.iter().filter(|candidate| !unbuildable.contains(candidate)).cloned().collect();
        let sizes = candidates.iter().map(|candidate| model.size(candidate)).collect();
        let led = leading(wanted);
        let mut relevant: Vec<Vec<usize>> = vec![Vec::new(); queries.len()];
        let mut served = vec![Vec::new(); candidates.len() + existing.len()];
        for (at, candidate) in candidates.iter().enumerate() {
            let by_key = candidate.keys.first().and_then(|key| led.get(&(candidate.table, &key.target)));
            let mut serves: BTreeSet<usize> = by_key.into_iter().flatten().chain(&wanted[candidate]).copied().collect();
            serves.extend((0..queries.len()).filter(|query| matters(candidate, &queries[*query])));
            serves.iter().for_each(|query| relevant[*query].push(at));
            served[at] = serves.into_iter().collect();
        }
        let tables: Vec<BTreeSet<Oid>> = queries.iter().map(Query::tables).collect();
        for (at, index) in existing.iter().enumerate() {
            let item = candidates.len() + at;
            served[item] = (0..queries.len()).filter(|query| tables[*query].contains(&index.table)).collect();
            served[item].iter().for_each(|query| relevant[*query].push(item));
        }
        Self {
            model,
            queries,
            candidates,
            refused,
            existing: existing.iter().map(|index| index.oid).collect(),
            sizes,
            relevant,
            served,
            weights: queries.iter().map(|query| query.calls as f64).collect(),
            memory: queries.iter().map(|_| Memory::default()).collect(),
        }
    }

    /// Returns the marks of a set of candidates, all existing indexes being there.
    pub(crate) fn marks(&self, set: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut marks = vec![false; self.candidates.len()];
        marks.resize(self.candidates.len() + self.existing.len(), true);
        set.into_iter().for_each(|candidate| marks[candidate] = true);
        marks
    }

    /// Puts a question: a statement under the marked indexes.
    pub(crate) fn question(&self, query: usize, marks: &[bool]) -> Question {
        let relevant = &self.relevant[query];
        let mut present = vec![0u64; relevant.len().div_ceil(64)];
        for (bit, _) in relevant.iter().enumerate().filter(|(_, item)| marks[**item]) {
            present[bit / 64] |= 1 << (bit % 64);
        }
        Question { query, present: present.into() }
    }

    /// Asks the model, all at once, what does not follow from what it said before.
    pub(crate) fn fetch(&mut self, questions: impl IntoIterator<Item = Question>) {
        let mut seen = HashSet::new();
        let open: Vec<Question> =
            questions.into_iter().filter(|question| self.recall(question).is_none() && seen.insert(question.clone())).collect();
        if open.is_empty() {
            return;
        }
        let asks: Vec<Ask<'_>> =
            open.iter().map(|question| Ask { query: &self.queries[question.query], configuration: self.configuration(question) }).collect();
        let answers = self.model.plan_all(&asks);
        for (question, answer) in open.into_iter().zip(answers) {
            let used = answer.as_ref().ok().map(|plan| self.used_bits(&question, plan));
            self.memory[question.query].learn(question.present, answer, used.unwrap_or_default());
        }
    }

    /// Returns a statement's plan under the marked indexes.
    pub(crate) fn plan(&mut self, query: usize, marks: &[bool]) -> Result<Arc<Plan>, NotPlannable> {
        let question = self.question(query, marks);
        self.fetch([question.clone()]);
        let memory = &self.memory[query];
        // Only a model that answers fewer questions than it was asked leaves one open.
        match memory.known.get(&question.present) {
            Some(Ok(at)) => Ok(Arc::clone(&memory.plans[*at].plan)),
            Some(Err(at)) => Err(memory.refusals[*at].clone()),
            None => Err(NotPlannable { reason: "the model gave no answer".to_owned() }),
        }
    }

    /// Returns the cost of one execution.
    ///
    /// A statement that could be planned without candidates but cannot be with them counts as infinitely worse, so that
    /// no such set is chosen.
    pub(crate) fn cost(&mut self, query: usize, marks: &[bool]) -> f64 {
        self.plan(query, marks).map_or(f64::INFINITY, |plan| plan.cost)
    }

    /// Returns a question's cost, as [`Prices::cost`] does, and the candidates its plan uses.
    pub(crate) fn answer(&mut self, question: &Question) -> (f64, Vec<usize>) {
        self.fetch([question.clone()]);
        let memory = &self.memory[question.query];
        let Some(Ok(at)) = memory.known.get(&question.present) else { return (f64::INFINITY, Vec::new()) };
        let seen = &memory.plans[*at];
        let relevant = self.relevant[question.query].iter().enumerate();
        let used = relevant.filter(|(bit, item)| has(&seen.used, *bit) && **item < self.candidates.len()).map(|(_, item)| *item);
        (seen.plan.cost, used.collect())
    }

    /// Tells the model which candidates may still be asked about.
    pub(crate) fn retain(&mut self, kept: &BTreeSet<usize>) {
        let kept: Vec<Arc<Candidate>> = kept.iter().map(|candidate| Arc::clone(&self.candidates[*candidate])).collect();
        self.model.retain(&kept);
    }

    /// Returns whether the time given is over.
    pub(crate) fn out_of_time(&mut self) -> bool {
        self.model.out_of_time()
    }

    /// Says what prices the plans.
    pub(crate) fn model_name(&self) -> String {
        self.model.name()
    }

    /// Says what the model could not take into account.
    pub(crate) fn caveats(&self) -> Vec<String> {
        self.model.caveats()
    }

    /// Returns the size an index of that definition would have.
    pub(crate) fn size_of(&mut self, candidate: &Candidate) -> Bytes {
        self.model.size(candidate)
    }

    /// Returns how much one unit of a statement's cost counts.
    pub(crate) fn weight(&self, query: usize) -> f64 {
        self.weights[query]
    }

    /// Weighs the statements: one number each.
    pub(crate) fn weigh(&mut self, weights: Vec<f64>) {
        self.weights = weights;
    }

    /// Puts a question that differs from another by some indexes.
    pub(crate) fn changed(&self, question: &Question, add: &[usize], remove: &[usize]) -> Question {
        let mut changed = question.clone();
        let bit = |item: &usize| self.relevant[question.query].binary_search(item).ok();
        for bit in remove.iter().filter_map(bit) {
            changed.present[bit / 64] &= !(1 << (bit % 64));
        }
        for bit in add.iter().filter_map(bit) {
            changed.present[bit / 64] |= 1 << (bit % 64);
        }
        changed
    }

    fn configuration(&self, question: &Question) -> Configuration {
        let mut configuration = Configuration::default();
        for (bit, item) in self.relevant[question.query].iter().enumerate() {
            let present = has(&question.present, bit);
            if let Some(at) = item.checked_sub(self.candidates.len()) {
                if !present {
                    configuration.hidden.insert(self.existing[at]);
                }
            } else if present {
                configuration.created.insert(Arc::clone(&self.candidates[*item]));
            }
        }
        configuration
    }

    fn used_bits(&self, question: &Question, plan: &Plan) -> Present {
        let mut used = vec![0u64; question.present.len()];
        for (bit, item) in self.relevant[question.query].iter().enumerate() {
            let uses = match item.checked_sub(self.candidates.len()) {
                None => plan.uses(&self.candidates[*item]),
                Some(at) => plan.used.contains(&UsedIndex::Existing(self.existing[at])),
            };
            if uses {
                used[bit / 64] |= 1 << (bit % 64);
            }
        }
        used.into()
    }

    /// Finds an answer that was given or follows, and remembers it as this question's.
    fn recall(&mut self, question: &Question) -> Option<Result<usize, usize>> {
        let memory = &mut self.memory[question.query];
        if let Some(answer) = memory.known.get(&question.present) {
            return Some(*answer);
        }
        let at = memory.follows(&question.present)?;
        memory.open.remove(&question.present);
        memory.known.insert(question.present.clone(), Ok(at));
        Some(Ok(at))
    }
}

impl Memory {
    fn learn(&mut self, present: Present, answer: Result<Plan, NotPlannable>, used: Present) {
        let at = match answer {
            Ok(plan) => {
                self.plans.push(Seen { present: present.clone(), used, plan: Arc::new(plan) });
                Ok(self.plans.len() - 1)
            }
            Err(refusal) => {
                self.refusals.push(refusal);
                Err(self.refusals.len() - 1)
            }
        };
        self.known.insert(present, at);
    }

    /// Returns the plan that has to be the answer: one of a larger set all of whose indexes are there, or one of a smaller
    /// set that no larger set improves on. What was looked at once is not looked at again.
    fn follows(&mut self, present: &Present) -> Option<usize> {
        let mut open = self.open.get(present).copied().unwrap_or_default();
        for (at, seen) in self.plans.iter().enumerate().skip(open.looked_at) {
            if within(present, &seen.present) {
                if within(&seen.used, present) {
                    return Some(at);
                }
                open.above = open.above.max(seen.plan.cost);
            }
            if within(&seen.present, present) && open.below.is_none_or(|(least, _)| seen.plan.cost < least) {
                open.below = Some((seen.plan.cost, at));
            }
        }
        if let Some((_, at)) = open.below.filter(|(least, _)| open.above >= least * (1.0 - EQUAL)) {
            return Some(at);
        }
        open.looked_at = self.plans.len();
        self.open.insert(present.clone(), open);
        None
    }
}

/// Returns whether all bits of one set are in the other.
fn within(inner: &[u64], outer: &[u64]) -> bool {
    inner.iter().zip(outer).all(|(inner, outer)| inner & !outer == 0)
}

fn has(set: &[u64], bit: usize) -> bool {
    set[bit / 64] >> (bit % 64) & 1 == 1
}

/// Statements by the table and first key of the candidates they wanted.
fn leading(wanted: &BTreeMap<Arc<Candidate>, BTreeSet<usize>>) -> HashMap<(Oid, &KeyTarget), BTreeSet<usize>> {
    let mut led: HashMap<(Oid, &KeyTarget), BTreeSet<usize>> = HashMap::new();
    for (candidate, queries) in wanted {
        if let Some(key) = candidate.keys.first() {
            led.entry((candidate.table, &key.target)).or_default().extend(queries);
        }
    }
    led
}

/// Returns whether an index could be used for a statement that it was not made for: its first key is a column compared,
/// sorted or grouped by.
fn matters(candidate: &Candidate, query: &Query) -> bool {
    let Some(first) = candidate.keys.first().and_then(|key| key.target.column()) else { return false };
    query.blocks.iter().any(|block| {
        block.accesses.iter().enumerate().any(|(at, access)| {
            access.table == candidate.table
                && (access.conditions.iter().any(|condition| condition.column == first)
                    || block.sort.iter().any(|key| key.of.access == at && key.of.column() == Some(first))
                    || block.grouping.iter().any(|of| of.access == at && of.column() == Some(first)))
        })
    })
}
