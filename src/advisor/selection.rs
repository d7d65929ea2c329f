//! Which candidates to build: the set with the least cost of statements and writes within a budget.
//!
//! Greedy, after *Extend* (Schlosser, Kossmann, Boissier, ICDE 2019): add an index, or widen a chosen one, whichever
//! gains most per byte; then take away what stopped helping. The searches run without the budget, for every width, at
//! several numbers of indexes a table, and every set they pass through is kept: the answer is the best of them that the
//! budget admits. So more budget can only add sets to choose from and never makes the answer worse.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Budget;
use super::cost::CostModel;
use super::prices::Prices;
use crate::catalog::Oid;
use crate::units::Bytes;

/// A statement may get this much dearer and no more.
const WORSE_MAX: f64 = 1.10;
/// The share of the workload's cost from which a statement's own gain counts (rule of thumb).
const HEAVY_SHARE: f64 = 0.01;
/// In workloads of many statements, the share of an average statement's cost from which it does: where all are alike, each
/// is worth looking at.
const HEAVY_OF_AVERAGE: f64 = 0.5;
/// Bytes below which indexes count as equally small: a page more or less decides nothing.
const SIZE_STEP: f64 = 64.0 * 1024.0;
/// New indexes a table that the searches allow; the last has no limit.
const PER_TABLE: [usize; 4] = [1, 2, 3, usize::MAX];

/// The set chosen, and what was learnt about the rest.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Candidates to build, by number.
    pub(crate) chosen: BTreeSet<usize>,
    /// The best set had there been no budget: what it has more is refused for the budget.
    pub(crate) unbounded: BTreeSet<usize>,
    /// Weighted gain of each candidate alone.
    pub(crate) alone: Vec<f64>,
    /// The workload's weighted cost without any candidate.
    pub(crate) workload: f64,
}

/// Chooses candidates. `writes` is each candidate's write cost, `existing` the indexes each table has.
pub(crate) fn select<M: CostModel + ?Sized>(
    prices: &mut Prices<'_, M>,
    writes: &[f64],
    existing: &HashMap<Oid, usize>,
    budget: &Budget,
    planned: &[usize],
) -> Selection {
    let none = BTreeSet::new();
    let bare: BTreeMap<usize, f64> = planned.iter().map(|query| (*query, prices.cost(*query, &none))).collect();
    let workload = bare.iter().map(|(query, cost)| cost * prices.weight(*query)).sum();
    let mut search = Search { prices, writes, gain_min: budget.gain_min, bare, workload, seen: HashSet::new(), sets: Vec::new() };
    let alone: Vec<f64> = (0..writes.len()).map(|candidate| search.gain(&none, &[candidate].into())).collect();
    let useful = search.useful(&alone);
    search.keep(&none, workload);
    for width in 1..=budget.width_max.max(1) {
        let pool: Vec<usize> = useful.iter().copied().filter(|candidate| search.prices.candidates[*candidate].keys.len() <= width).collect();
        for per_table in PER_TABLE {
            for per_byte in [true, false] {
                let (end, cost) = search.grow(&pool, per_table, per_byte);
                search.shrink(end, cost);
            }
        }
    }
    search.sets.sort_by(|(a, cost_a), (b, cost_b)| cost_a.total_cmp(cost_b).then(a.len().cmp(&b.len())).then_with(|| a.cmp(b)));
    let chosen = search.best(|prices, set| fits(prices, set, existing, budget));
    let unbounded = search.best(|_, _| true);
    Selection { chosen, unbounded, alone, workload }
}

/// Returns whether the budget admits a set.
fn fits<M: CostModel + ?Sized>(prices: &Prices<'_, M>, set: &BTreeSet<usize>, existing: &HashMap<Oid, usize>, budget: &Budget) -> bool {
    let size: Bytes = set.iter().map(|candidate| prices.sizes[*candidate]).sum();
    let counts = count_by_table(set.iter().map(|candidate| prices.candidates[*candidate].table));
    let total = |table: &Oid, count: &usize| existing.get(table).copied().unwrap_or_default() + count;
    budget.size_max.is_none_or(|most| size <= most)
        && budget.indexes_per_table_max.is_none_or(|most| counts.iter().all(|(table, count)| total(table, count) <= most))
}

struct Search<'s, 'q, M: CostModel + ?Sized> {
    prices: &'s mut Prices<'q, M>,
    writes: &'s [f64],
    gain_min: f64,
    bare: BTreeMap<usize, f64>,
    workload: f64,
    seen: HashSet<BTreeSet<usize>>,
    /// Every set passed through, with its cost.
    sets: Vec<(BTreeSet<usize>, f64)>,
}

impl<'q, M: CostModel + ?Sized> Search<'_, 'q, M> {
    /// Returns the candidates that gain something alone, or that a plan uses when all are there.
    fn useful(&mut self, alone: &[f64]) -> Vec<usize> {
        let mut useful: BTreeSet<usize> = (0..alone.len()).filter(|candidate| alone[*candidate] > 0.0).collect();
        let queries: Vec<usize> = self.bare.keys().copied().collect();
        for query in queries {
            let all: BTreeSet<usize> = self.prices.relevant[query].iter().copied().collect();
            if let Ok(plan) = self.prices.plan(query, &all) {
                useful.extend(all.iter().filter(|candidate| plan.uses(&self.prices.candidates[**candidate])));
            }
        }
        useful.into_iter().collect()
    }

    /// Remembers a set as a possible answer.
    fn keep(&mut self, set: &BTreeSet<usize>, cost: f64) {
        if self.seen.insert(set.clone()) {
            self.sets.push((set.clone(), cost));
        }
    }

    /// Returns the cheapest set that is admitted and in which every index still helps.
    fn best(&mut self, admitted: impl Fn(&Prices<'q, M>, &BTreeSet<usize>) -> bool) -> BTreeSet<usize> {
        for at in 0..self.sets.len() {
            let set = self.sets[at].0.clone();
            if admitted(self.prices, &set) && self.all_help(&set) {
                return set;
            }
        }
        BTreeSet::new()
    }

    /// Returns whether taking any index away would lose something worthwhile.
    fn all_help(&mut self, set: &BTreeSet<usize>) -> bool {
        set.iter().all(|candidate| {
            let mut without = set.clone();
            without.remove(candidate);
            let gain = self.gain(&without, set);
            self.worthwhile(&without, set, gain)
        })
    }

    /// Statements whose price may differ between two sets.
    fn affected(&self, before: &BTreeSet<usize>, after: &BTreeSet<usize>) -> BTreeSet<usize> {
        let changed = before.symmetric_difference(after);
        changed.flat_map(|candidate| &self.prices.served[*candidate]).filter(|query| self.bare.contains_key(query)).copied().collect()
    }

    /// Returns the weighted gain of a change after write cost; infinitely negative when a statement would become dearer
    /// than it is without any candidate.
    fn gain(&mut self, before: &BTreeSet<usize>, after: &BTreeSet<usize>) -> f64 {
        let mut gain = 0.0;
        for query in self.affected(before, after) {
            let cost = self.prices.cost(query, after);
            if cost > self.bare[&query] * WORSE_MAX {
                return f64::NEG_INFINITY;
            }
            gain += (self.prices.cost(query, before) - cost) * self.prices.weight(query);
        }
        let written = |set: &BTreeSet<usize>, other: &BTreeSet<usize>| set.difference(other).map(|candidate| self.writes[*candidate]).sum::<f64>();
        gain - written(after, before) + written(before, after)
    }

    /// Returns whether a gain is worth an index: a share of the workload, or of one heavy statement's own cost.
    fn worthwhile(&mut self, before: &BTreeSet<usize>, after: &BTreeSet<usize>, gain: f64) -> bool {
        if gain <= 0.0 || !gain.is_finite() {
            return false;
        }
        if gain >= self.gain_min * self.workload {
            return true;
        }
        self.affected(before, after).into_iter().any(|query| {
            let own = self.bare[&query];
            let share = HEAVY_SHARE.min(HEAVY_OF_AVERAGE / self.bare.len().max(1) as f64);
            let heavy = own * self.prices.weight(query) >= share * self.workload;
            heavy && self.prices.cost(query, before) - self.prices.cost(query, after) >= self.gain_min * own
        })
    }

    /// Adds or widens, best first, until nothing is worth it.
    fn grow(&mut self, pool: &[usize], per_table: usize, per_byte: bool) -> (BTreeSet<usize>, f64) {
        let mut chosen = BTreeSet::new();
        let mut cost = self.workload;
        // A move's value changes only when a statement it affects was affected by the last one.
        let mut values: HashMap<usize, (f64, BTreeSet<usize>)> = HashMap::new();
        loop {
            let full = count_by_table(chosen.iter().map(|candidate: &usize| self.prices.candidates[*candidate].table));
            let mut best: Option<(f64, usize)> = None;
            for candidate in pool.iter().copied().filter(|candidate| !chosen.contains(candidate)).collect::<Vec<_>>() {
                if !values.contains_key(&candidate) {
                    let after = self.with(&chosen, candidate);
                    let gain = self.gain(&chosen, &after);
                    let value = if self.worthwhile(&chosen, &after, gain) { self.value(&chosen, &after, gain, per_byte) } else { f64::NEG_INFINITY };
                    values.insert(candidate, (value, after));
                }
                let (value, after) = &values[&candidate];
                let table = self.prices.candidates[candidate].table;
                let widens = after.len() <= chosen.len();
                let room = widens || full.get(&table).copied().unwrap_or_default() < per_table;
                if room && *value > 0.0 && best.is_none_or(|(most, _)| *value > most) {
                    best = Some((*value, candidate));
                }
            }
            let Some((_, candidate)) = best else { return (chosen, cost) };
            let Some((_, after)) = values.remove(&candidate) else { return (chosen, cost) };
            cost -= self.gain(&chosen, &after);
            let touched = self.affected(&chosen, &after);
            let table = self.prices.candidates[candidate].table;
            values.retain(|other, (_, set)| {
                let near = self.prices.candidates[*other].table == table || self.prices.served[*other].iter().any(|query| touched.contains(query));
                if !near {
                    // Still worth the same, but on top of the new set.
                    *set = with(&self.prices.candidates, &after, *other);
                }
                !near
            });
            chosen = after;
            self.keep(&chosen, cost);
        }
    }

    /// Takes away, least loss first, down to nothing; every set on the way is a possible answer to a smaller budget.
    fn shrink(&mut self, mut chosen: BTreeSet<usize>, mut cost: f64) {
        while !chosen.is_empty() {
            let mut least: Option<(f64, usize)> = None;
            for candidate in chosen.clone() {
                let mut without = chosen.clone();
                without.remove(&candidate);
                let gain = self.gain(&without, &chosen);
                let loss = if self.worthwhile(&without, &chosen, gain) { gain / self.prices.sizes[candidate].0.max(1) as f64 } else { f64::NEG_INFINITY };
                if least.is_none_or(|(smallest, _)| loss < smallest) {
                    least = Some((loss, candidate));
                }
            }
            let Some((_, candidate)) = least else { return };
            let before = chosen.clone();
            chosen.remove(&candidate);
            let gain = self.gain(&before, &chosen);
            if !gain.is_finite() {
                return;
            }
            cost -= gain;
            self.keep(&chosen, cost);
        }
    }

    fn with(&self, chosen: &BTreeSet<usize>, candidate: usize) -> BTreeSet<usize> {
        with(&self.prices.candidates, chosen, candidate)
    }

    fn value(&self, before: &BTreeSet<usize>, after: &BTreeSet<usize>, gain: f64, per_byte: bool) -> f64 {
        if !per_byte {
            return gain;
        }
        let size = |set: &BTreeSet<usize>| set.iter().map(|candidate| self.prices.sizes[*candidate]).sum::<Bytes>().0 as f64;
        gain / (size(after) - size(before)).max(SIZE_STEP)
    }
}

/// Returns the set with a candidate, less the prefixes of it that it makes needless.
fn with(candidates: &[std::sync::Arc<super::Candidate>], chosen: &BTreeSet<usize>, candidate: usize) -> BTreeSet<usize> {
    let prefix = |other: &usize| candidates[*other].is_prefix_of(&candidates[candidate]);
    chosen.iter().copied().filter(|other| !prefix(other)).chain([candidate]).collect()
}

fn count_by_table(tables: impl Iterator<Item = Oid>) -> BTreeMap<Oid, usize> {
    tables.fold(BTreeMap::new(), |mut counts, table| {
        *counts.entry(table).or_default() += 1;
        counts
    })
}
