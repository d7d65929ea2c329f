//! The dialogue between the search and the planner: find a set on known plans, have it planned, learn, again.
//!
//! What is asked is the same whatever the budget, so that a larger budget chooses among all that a smaller one does; a
//! wider search begins as the narrower one does; more time only goes further.

use std::collections::{BTreeMap, BTreeSet};

use super::Part;
use super::alternatives::{Alternatives, Set};
use super::descent::{Held, Limits};
use super::frontier::Archive;
use super::prune::Pool;
use super::state::{Search, State};
use crate::advisor::cost::CostModel;
use crate::advisor::prices::Question;
use crate::catalog::Oid;

/// New indexes a table that are searched for apart, coarsely: with a limit on them a different set is best.
const PER_TABLE: [usize; 3] = [3, 2, 1];
/// Steps of the ladder of sizes from one size to twice that. Rungs are the tables' size, halved or doubled so often:
/// budgets are mostly given as shares of it.
const STEPS: i32 = 3;
/// Rungs below the tables' size: budgets of less than half a per cent are found by what is passed through.
const RUNGS_BELOW: i32 = 8;
/// How often what the planner says of a set may start the search of a rung again.
const ROUNDS: usize = 3;
/// How many of the sets a rung starts from are searched around.
const POLISHED: usize = 2;
/// Growths of up to this many sets have each of them planned.
const VERIFIED_ALL: usize = 50;
/// Parts of more candidates than this are searched once a rung, from one set.
const LARGE: usize = 400;
/// The least share of the workload's cost that counts as a gain.
const GAIN_MIN: f64 = 1e-6;

/// What is known of one part of the workload.
#[derive(Debug)]
pub(super) struct Explored {
    known: Alternatives,
    pub(super) archive: Archive,
    /// Sets passed through while growing from nothing, smallest first.
    grown: Vec<Vec<usize>>,
    /// How many candidates there were when it was last searched in full, the first of all.
    searched: usize,
}

impl<M: CostModel + ?Sized> Search<'_, '_, M> {
    /// Returns what is known of a part before anything is asked.
    pub(super) fn unexplored(&self, part: &Part) -> Explored {
        let bare: Vec<f64> = self.bare_of(part).into_values().collect();
        let most = bare.iter().map(|bare| self.guard.most(*bare)).collect();
        Explored { known: Alternatives::new(&bare, most), archive: Archive::default(), grown: Vec::new(), searched: 0 }
    }

    /// Learns what each candidate does alone and what the pool's plans say, and keeps the sets of one quick search; returns
    /// whether there was time.
    pub(super) fn sketch(&mut self, part: &Part, pool: &Pool, explored: &mut Explored, width: usize) -> bool {
        let place: BTreeMap<usize, usize> = part.queries.iter().enumerate().map(|(at, query)| (*query, at)).collect();
        let mut new: Vec<usize> = Vec::new();
        for item in &pool.items {
            if explored.known.place(*item).is_none() {
                new.push(*item);
                let table = self.prices.candidates[*item].table;
                explored.known.admit(*item, self.prices.sizes[*item].0, self.writes[*item], table);
            }
        }
        for (query, used, cost) in &pool.plans {
            if let Some(at) = place.get(query) {
                explored.known.learn(*at, used, cost * self.prices.weight(*query));
            }
        }
        let singles = new.iter().map(|item| vec![*item]);
        let sets: Vec<Vec<usize>> = singles.chain(pool.teams.iter().cloned()).collect();
        let mut questions: Vec<Question> = Vec::new();
        for set in &sets {
            let marks = self.prices.marks(set.iter().copied());
            let served: BTreeSet<usize> = set.iter().flat_map(|item| self.prices.served[*item].iter().copied()).collect();
            questions.extend(served.iter().filter(|query| place.contains_key(query)).map(|query| self.prices.question(*query, &marks)));
        }
        self.ask(part, questions, &mut explored.known);
        let limits = Limits { size: u64::MAX, per_table: usize::MAX, gain_above: self.least_gain() };
        let grown = explored.known.grow(limits);
        explored.grown = grown.iter().map(Set::members).collect();
        // Every set is priced for a small part; of a large one, steps of a tenth are near enough to any size.
        let mut size = 0.0;
        for set in &grown {
            if grown.len() <= VERIFIED_ALL || set.size as f64 >= size * 1.1 {
                size = set.size as f64;
                self.verify(part, set, explored, width);
            }
        }
        !self.prices.out_of_time()
    }

    /// Searches at every rung of the ladder, then with few indexes a table; returns whether there was time.
    pub(super) fn explore(&mut self, part: &Part, pool: &Pool, explored: &mut Explored, width: usize, tables_bytes: u64) -> bool {
        if explored.searched == explored.known.items.len() {
            return true;
        }
        let Some(crowded) = self.descend_ladder(part, pool, explored, width, tables_bytes, usize::MAX) else { return false };
        for per_table in PER_TABLE {
            if per_table < crowded && self.descend_ladder(part, pool, explored, width, tables_bytes, per_table).is_none() {
                return false;
            }
        }
        explored.searched = explored.known.items.len();
        true
    }

    /// Searches from no limit on the size downwards; returns how many indexes met on a table, `None` when time was over.
    fn descend_ladder(
        &mut self,
        part: &Part,
        pool: &Pool,
        explored: &mut Explored,
        width: usize,
        tables_bytes: u64,
        per_table: usize,
    ) -> Option<usize> {
        let thorough = per_table == usize::MAX;
        let mut limits = Limits { size: u64::MAX, per_table, gain_above: self.least_gain() };
        let mut best = self.rung(part, pool, explored, width, limits, None)?;
        let crowded = explored.known.most_on_a_table(&best);
        let large = explored.known.items.len() > LARGE;
        let step = match (thorough, large) {
            (true, _) => 1,
            (false, false) => STEPS,
            (false, true) => 2 * STEPS,
        };
        let highest = ((best.size.max(1) as f64 / tables_bytes.max(1) as f64).log2() * f64::from(STEPS)).ceil() as i32;
        for rung in (-RUNGS_BELOW * STEPS..=highest).rev().filter(|rung| rung % step == 0) {
            limits.size = (tables_bytes as f64 * (f64::from(rung) / f64::from(STEPS)).exp2()) as u64;
            if best.size > limits.size {
                best = self.rung(part, pool, explored, width, limits, Some(&best))?;
            }
        }
        Some(crowded)
    }

    /// Searches within limits, from the set of the next larger size, from nothing, and from the best set there was.
    fn rung(
        &mut self,
        part: &Part,
        pool: &Pool,
        explored: &mut Explored,
        width: usize,
        limits: Limits,
        above: Option<&Set>,
    ) -> Option<Set> {
        let thorough = limits.per_table == usize::MAX;
        let mut starts: Vec<Vec<usize>> =
            above.iter().map(|set| explored.known.shrink((*set).clone(), limits, Held::default()).members()).collect();
        let mut answer = None;
        let large = explored.known.items.len() > LARGE;
        for round in 0..if large { 1 } else { ROUNDS } {
            if self.prices.out_of_time() {
                return None;
            }
            let known = &explored.known;
            let seen = explored.archive.cheapest(limits.size).into_iter();
            let seen = seen.map(|members| members.iter().filter_map(|item| known.place(*item)).collect::<Vec<_>>());
            // What grew from nothing was seen before by a narrower search, and by the first round.
            let fresh = explored.searched == 0 && round == 0;
            let fits = |members: &&Vec<usize>| members.iter().map(|item| known.sizes[*item]).sum::<u64>() <= limits.size;
            let grown = explored.grown.iter().rev().find(fits).filter(|_| fresh).cloned();
            let mut all: Vec<Vec<usize>> = starts.drain(..).chain(seen).chain(grown).collect();
            if large {
                all.truncate(1);
            }
            let descended =
                |start: Vec<usize>| known.descend(known.shrink(known.set(&start), limits, Held::default()), limits, Held::default());
            let mut found: Vec<Set> = all.into_iter().map(descended).collect();
            found.sort_by(|a, b| a.total.total_cmp(&b.total));
            found.dedup_by(|a, b| a.members() == b.members());
            if thorough && round == 0 {
                found.truncate(POLISHED);
                found = found.into_iter().map(|set| known.polish(set, limits, explored.searched)).collect();
            }
            let best = found.into_iter().reduce(|best, other| if other.total < best.total { other } else { best })?;
            let tidied = known.tidy(best.clone(), |losses, writes| {
                let losses: Vec<(usize, f64)> = losses.iter().map(|(at, loss)| (part.queries[*at], *loss)).collect();
                self.is_worth(&losses, writes)
            });
            let mut news = self.verify(part, &best, explored, width);
            news |= self.verify(part, &tidied, explored, width);
            if thorough && round == 0 {
                news |= self.wonder(part, pool, &best, explored);
            }
            starts.push(best.members());
            answer = Some(best);
            if !news {
                break;
            }
        }
        answer
    }

    /// Has a set planned, keeps it, and learns; returns whether there was anything to learn.
    fn verify(&mut self, part: &Part, set: &Set, explored: &mut Explored, width: usize) -> bool {
        let mut members: Vec<usize> = set.members().into_iter().map(|item| explored.known.items[item]).collect();
        members.sort_unstable();
        let state: State = self.state(part, &members);
        if state.allowed {
            explored.archive.keep(&state, width);
        }
        let mut news = false;
        for (at, planned) in state.plans.iter().enumerate() {
            let cost = planned.cost * self.prices.weight(planned.question.query);
            news |= explored.known.learn(at, &planned.used, cost);
            news |= explored.known.learn_trap(at, set, &planned.used, cost);
        }
        news
    }

    /// Asks what each statement would do if one table had all its candidates beside the set; returns whether that is news.
    fn wonder(&mut self, part: &Part, pool: &Pool, set: &Set, explored: &mut Explored) -> bool {
        let members: BTreeSet<usize> = set.members().into_iter().map(|item| explored.known.items[item]).collect();
        let mut by_table: BTreeMap<Oid, Vec<usize>> = BTreeMap::new();
        for item in &pool.items {
            by_table.entry(self.prices.candidates[*item].table).or_default().push(*item);
        }
        let mut questions = Vec::new();
        for items in by_table.values() {
            let marks = self.prices.marks(members.iter().chain(items).copied());
            let served: BTreeSet<usize> = items.iter().flat_map(|item| self.prices.served[*item].iter().copied()).collect();
            questions.extend(part.queries.iter().filter(|query| served.contains(query)).map(|query| self.prices.question(*query, &marks)));
        }
        self.ask(part, questions, &mut explored.known)
    }

    /// Asks and learns; returns whether there was anything to learn.
    fn ask(&mut self, part: &Part, questions: Vec<Question>, known: &mut Alternatives) -> bool {
        self.prices.fetch(questions.iter().cloned());
        let mut news = false;
        for question in questions {
            let planned = self.planned(question);
            let query = planned.question.query;
            if let Ok(at) = part.queries.binary_search(&query) {
                news |= known.learn(at, &planned.used, planned.cost * self.prices.weight(query));
            }
        }
        news
    }

    fn least_gain(&self) -> f64 {
        GAIN_MIN * self.guard.workload
    }
}
