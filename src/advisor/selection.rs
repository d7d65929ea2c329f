//! Which candidates to build: the set with the least cost of statements and writes within a budget.
//!
//! Greedy, after *Extend* (Schlosser, Kossmann, Boissier, ICDE 2019): add an index, or widen a chosen one, whichever
//! gains most per byte; then take away what stopped helping. The searches run without the budget, for every width, at
//! several numbers of indexes a table, and every set they pass through is kept: the answer is the best of them that the
//! budget admits. So more budget can only add sets to choose from and never makes the answer worse.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
/// New indexes a table that the searches allow, without limit first.
const PER_TABLE: [usize; 4] = [usize::MAX - 1, 3, 2, 1];

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
    let none = prices.marks([]);
    let mut bare = vec![None; prices.relevant.len()];
    for query in planned {
        bare[*query] = Some(prices.cost(*query, &none));
    }
    let workload = bare.iter().enumerate().filter_map(|(query, cost)| Some((*cost)? * prices.weight(query))).sum();
    let heavy = HEAVY_SHARE.min(HEAVY_OF_AVERAGE / planned.len().max(1) as f64) * workload;
    let mut search = Search { prices, writes, gain_min: budget.gain_min, bare, workload, heavy, sets: HashMap::new() };
    let alone: Vec<f64> = (0..writes.len())
        .map(|candidate| search.judge(&mut none.clone(), &Move { add: Some(candidate), remove: Vec::new() }).gain)
        .collect();
    let useful = search.useful(&alone);
    search.keep(&none, workload);
    let mut searched = 0;
    for width in 1..=budget.width_max.max(1) {
        let pool: Vec<usize> =
            useful.iter().copied().filter(|candidate| search.prices.candidates[*candidate].keys.len() <= width).collect();
        if pool.len() == searched {
            // No candidate is this wide: the searches would be those of the width before.
            continue;
        }
        searched = pool.len();
        for per_byte in [true, false] {
            let mut crowded = usize::MAX;
            for per_table in PER_TABLE {
                // Where fewer indexes met on a table, the limit changes nothing.
                if per_table < crowded {
                    crowded = search.run(&pool, per_table, per_byte);
                }
            }
        }
    }
    let mut sets: Vec<(Vec<usize>, f64)> = std::mem::take(&mut search.sets).into_iter().collect();
    sets.sort_by(|(a, cost_a), (b, cost_b)| cost_a.total_cmp(cost_b).then(a.len().cmp(&b.len())).then_with(|| a.cmp(b)));
    let chosen = search.best(&sets, |prices, set| fits(prices, set, existing, budget));
    let unbounded = search.best(&sets, |_, _| true);
    Selection { chosen, unbounded, alone, workload }
}

/// Returns whether the budget admits a set.
fn fits<M: CostModel + ?Sized>(prices: &Prices<'_, M>, set: &[usize], existing: &HashMap<Oid, usize>, budget: &Budget) -> bool {
    let size: Bytes = set.iter().map(|candidate| prices.sizes[*candidate]).sum();
    let mut counts: BTreeMap<Oid, usize> = BTreeMap::new();
    for candidate in set {
        *counts.entry(prices.candidates[*candidate].table).or_default() += 1;
    }
    let total = |table: &Oid, count: &usize| existing.get(table).copied().unwrap_or_default() + count;
    budget.size_max.is_none_or(|most| size <= most)
        && budget.indexes_per_table_max.is_none_or(|most| counts.iter().all(|(table, count)| total(table, count) <= most))
}

/// A change of a set: one index more, some less.
#[derive(Debug, Clone)]
struct Move {
    add: Option<usize>,
    remove: Vec<usize>,
}

/// What a change is worth.
#[derive(Debug, Clone, Copy)]
struct Judged {
    /// The weighted gain after write cost; infinitely negative when a statement would become much dearer than it is
    /// without any candidate.
    gain: f64,
    /// Whether that is a share of the workload, or of one heavy statement's own cost, that is worth an index.
    worthwhile: bool,
}

struct Search<'s, 'q, M: CostModel + ?Sized> {
    prices: &'s mut Prices<'q, M>,
    writes: &'s [f64],
    gain_min: f64,
    /// Cost of each statement without candidates; `None` when it has no price.
    bare: Vec<Option<f64>>,
    workload: f64,
    /// Weighted cost from which a statement's own gain counts.
    heavy: f64,
    /// Every set passed through, with its cost.
    sets: HashMap<Vec<usize>, f64>,
}

impl<'q, M: CostModel + ?Sized> Search<'_, 'q, M> {
    /// Returns the candidates that gain something alone, or that a plan uses when all are there.
    fn useful(&mut self, alone: &[f64]) -> Vec<usize> {
        let mut useful: BTreeSet<usize> = (0..alone.len()).filter(|candidate| alone[*candidate] > 0.0).collect();
        for query in (0..self.bare.len()).filter(|query| self.bare[*query].is_some()).collect::<Vec<_>>() {
            let all = self.prices.relevant[query].clone();
            let marks = self.prices.marks(all.iter().copied());
            if let Ok(plan) = self.prices.plan(query, &marks) {
                useful.extend(all.iter().filter(|candidate| plan.uses(&self.prices.candidates[**candidate])));
            }
        }
        useful.into_iter().collect()
    }

    /// Remembers a set as a possible answer.
    fn keep(&mut self, chosen: &[bool], cost: f64) {
        let set = members(chosen);
        // The first way to a set prices it, lest rounding on another way decide between equals.
        self.sets.entry(set).or_insert(cost);
    }

    /// Returns the first set that is admitted and in which every index still helps.
    fn best(&mut self, sets: &[(Vec<usize>, f64)], admitted: impl Fn(&Prices<'q, M>, &[usize]) -> bool) -> BTreeSet<usize> {
        let found = sets.iter().find(|(set, _)| admitted(self.prices, set) && self.all_help(set));
        found.map(|(set, _)| set.iter().copied().collect()).unwrap_or_default()
    }

    /// Returns whether taking any index of a set away would lose something worthwhile.
    fn all_help(&mut self, set: &[usize]) -> bool {
        let mut marks = self.prices.marks(set.iter().copied());
        set.iter().all(|candidate| {
            marks[*candidate] = false;
            let helps = self.judge(&mut marks, &Move { add: Some(*candidate), remove: Vec::new() }).worthwhile;
            marks[*candidate] = true;
            helps
        })
    }

    /// Statements whose price a change may alter.
    fn affected(&self, change: &Move) -> Vec<usize> {
        let changed = change.add.iter().chain(&change.remove);
        let mut affected: Vec<usize> =
            changed.flat_map(|candidate| &self.prices.served[*candidate]).copied().filter(|query| self.bare[*query].is_some()).collect();
        affected.sort_unstable();
        affected.dedup();
        affected
    }

    /// Prices a change; the set is as before when it returns.
    fn judge(&mut self, chosen: &mut [bool], change: &Move) -> Judged {
        let affected = self.affected(change);
        let before: Vec<f64> = affected.iter().map(|query| self.prices.cost(*query, chosen)).collect();
        apply(chosen, change);
        let after: Vec<f64> = affected.iter().map(|query| self.prices.cost(*query, chosen)).collect();
        undo(chosen, change);
        let written: f64 = change.add.iter().map(|candidate| self.writes[*candidate]).sum();
        let spared: f64 = change.remove.iter().map(|candidate| self.writes[*candidate]).sum();
        let mut gain = spared - written;
        let mut helps_one = false;
        for ((query, before), after) in affected.into_iter().zip(before).zip(after) {
            let Some(bare) = self.bare[query] else { continue };
            if after > bare * WORSE_MAX {
                return Judged { gain: f64::NEG_INFINITY, worthwhile: false };
            }
            let weight = self.prices.weight(query);
            gain += (before - after) * weight;
            helps_one |= bare * weight >= self.heavy && before - after >= self.gain_min * bare;
        }
        Judged { gain, worthwhile: gain > 0.0 && (helps_one || gain >= self.gain_min * self.workload) }
    }

    /// Grows a set, then shrinks it; returns the most new indexes that met on one table.
    fn run(&mut self, pool: &[usize], per_table: usize, per_byte: bool) -> usize {
        let mut chosen = self.prices.marks([]);
        let mut cost = self.workload;
        let mut counts: HashMap<Oid, usize> = HashMap::new();
        let mut crowded = 0;
        // A move's value changes only when a statement it affects was affected by the last one.
        let mut values: Vec<Option<f64>> = vec![None; chosen.len()];
        loop {
            let mut best: Option<(f64, usize)> = None;
            for candidate in pool.iter().copied() {
                if chosen[candidate] {
                    continue;
                }
                let value = match values[candidate] {
                    Some(value) => value,
                    None => {
                        let value = self.value_of_adding(&mut chosen, candidate, per_byte);
                        values[candidate] = Some(value);
                        value
                    }
                };
                if value <= 0.0 || best.is_some_and(|(most, _)| value <= most) {
                    continue;
                }
                let full = counts.get(&self.prices.candidates[candidate].table).copied().unwrap_or_default() >= per_table;
                if !full || !self.adding(&chosen, candidate).remove.is_empty() {
                    best = Some((value, candidate));
                }
            }
            let Some((_, candidate)) = best else { break };
            let change = self.adding(&chosen, candidate);
            cost -= self.judge(&mut chosen, &change).gain;
            apply(&mut chosen, &change);
            let count = counts.entry(self.prices.candidates[candidate].table).or_default();
            *count = (*count + 1).saturating_sub(change.remove.len());
            crowded = crowded.max(*count);
            self.keep(&chosen, cost);
            self.forget_near(&change, &mut values);
        }
        self.shrink(chosen, cost);
        crowded
    }

    fn value_of_adding(&mut self, chosen: &mut [bool], candidate: usize, per_byte: bool) -> f64 {
        let change = self.adding(chosen, candidate);
        let judged = self.judge(chosen, &change);
        if !judged.worthwhile {
            return f64::NEG_INFINITY;
        }
        if !per_byte {
            return judged.gain;
        }
        let removed: Bytes = change.remove.iter().map(|candidate| self.prices.sizes[*candidate]).sum();
        judged.gain / (self.prices.sizes[candidate].0 as f64 - removed.0 as f64).max(SIZE_STEP)
    }

    /// Takes away, least loss a byte first, down to nothing: every set on the way may be the answer to a smaller budget.
    fn shrink(&mut self, mut chosen: Vec<bool>, mut cost: f64) {
        let mut losses: Vec<Option<f64>> = vec![None; chosen.len()];
        loop {
            let mut least: Option<(f64, usize)> = None;
            for candidate in members(&chosen) {
                let loss = match losses[candidate] {
                    Some(loss) => loss,
                    None => {
                        chosen[candidate] = false;
                        let judged = self.judge(&mut chosen, &Move { add: Some(candidate), remove: Vec::new() });
                        chosen[candidate] = true;
                        let loss =
                            if judged.worthwhile { judged.gain / self.prices.sizes[candidate].0.max(1) as f64 } else { f64::NEG_INFINITY };
                        losses[candidate] = Some(loss);
                        loss
                    }
                };
                if least.is_none_or(|(smallest, _)| loss < smallest) {
                    least = Some((loss, candidate));
                }
            }
            let Some((_, candidate)) = least else { return };
            let change = Move { add: None, remove: vec![candidate] };
            let gain = self.judge(&mut chosen, &change).gain;
            if !gain.is_finite() {
                return;
            }
            apply(&mut chosen, &change);
            cost -= gain;
            self.keep(&chosen, cost);
            self.forget_near(&change, &mut losses);
        }
    }

    /// Returns the change that adds a candidate and takes away the prefixes of it that it makes needless.
    fn adding(&self, chosen: &[bool], candidate: usize) -> Move {
        let candidates = &self.prices.candidates;
        // Candidates are in order, so those of one table are neighbours.
        let table = candidates[candidate].table;
        let from = candidates.partition_point(|other| other.table < table);
        let neighbours = (from..candidates.len()).take_while(|other| candidates[*other].table == table);
        let needless = neighbours.filter(|other| chosen[*other] && candidates[*other].is_prefix_of(&candidates[candidate])).collect();
        Move { add: Some(candidate), remove: needless }
    }

    /// Forgets what was computed for candidates that share a statement or a table with a change.
    fn forget_near(&self, change: &Move, values: &mut [Option<f64>]) {
        for query in self.affected(change) {
            self.prices.relevant[query].iter().for_each(|candidate| values[*candidate] = None);
        }
        let tables: BTreeSet<Oid> =
            change.add.iter().chain(&change.remove).map(|candidate| self.prices.candidates[*candidate].table).collect();
        for (value, candidate) in values.iter_mut().zip(&self.prices.candidates) {
            if tables.contains(&candidate.table) {
                *value = None;
            }
        }
    }
}

fn apply(chosen: &mut [bool], change: &Move) {
    change.remove.iter().for_each(|candidate| chosen[*candidate] = false);
    change.add.iter().for_each(|candidate| chosen[*candidate] = true);
}

fn undo(chosen: &mut [bool], change: &Move) {
    change.add.iter().for_each(|candidate| chosen[*candidate] = false);
    change.remove.iter().for_each(|candidate| chosen[*candidate] = true);
}

fn members(chosen: &[bool]) -> Vec<usize> {
    chosen.iter().enumerate().filter(|(_, marked)| **marked).map(|(candidate, _)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Candidate, CandidateKey, PriceTable, sample, workload};
    use super::*;
    use crate::catalog::KeyTarget;

    const MINE: &str = "select * from prospects where user_id = $1";
    const NEW: &str = "select * from prospects where user_id = $1 and status = $2";
    const NARROW: &str = "prospects (user_id)";
    const WIDE: &str = "prospects (user_id, status)";

    fn candidate(columns: &[&str]) -> Arc<Candidate> {
        let key = |name: &&str| CandidateKey {
            target: KeyTarget::Column((*name).into()),
            descending: false,
            nulls_first: false,
            opclass: None,
            collation: None,
        };
        Arc::new(Candidate {
            table: 2,
            table_name: crate::catalog::QualifiedName::new("public", "prospects"),
            method: "btree".into(),
            keys: columns.iter().map(key).collect(),
            included: Vec::new(),
            predicate: None,
        })
    }

    /// The columns counts of the indexes chosen among (user_id) and (user_id, status).
    fn chosen(mut table: PriceTable, writes: [f64; 2], size_max: Option<Bytes>) -> (Vec<usize>, usize) {
        let queries = workload::read(&sample::crm_running(&[(MINE, 100), (NEW, 100)])).queries;
        let mut prices = Prices::new(&mut table, &queries, vec![candidate(&["user_id"]), candidate(&["user_id", "status"])]);
        let budget = Budget { size_max, indexes_per_table_max: None, width_max: 2, gain_min: 0.05, write_overhead_max: None };
        let selection = select(&mut prices, &writes, &HashMap::new(), &budget, &[0, 1]);
        (selection.chosen.into_iter().collect(), table.asked)
    }

    fn table() -> PriceTable {
        let bare = PriceTable::default().bare(MINE, 1_000.0).bare(NEW, 1_000.0);
        bare.with(MINE, NARROW, 100.0).with(NEW, NARROW, 120.0).with(MINE, WIDE, 110.0).with(NEW, WIDE, 10.0)
    }

    #[test]
    fn the_wider_index_takes_the_place_of_its_prefix() {
        assert_eq!(chosen(table(), [0.0, 0.0], None).0, [1]);
    }

    #[test]
    fn writes_decide_for_the_narrower_one_or_for_none() {
        assert_eq!(chosen(table(), [0.0, 50_000.0], None).0, [0]);
        assert_eq!(chosen(table(), [1e6, 1e6], None).0, Vec::<usize>::new());
    }

    #[test]
    fn what_fits_is_taken_when_the_best_does_not() {
        let sized = table().sized(NARROW, Bytes(1_000)).sized(WIDE, Bytes(9_000_000));
        assert_eq!(chosen(sized, [0.0, 0.0], Some(Bytes(5_000))).0, [0]);
    }

    #[test]
    fn no_question_is_asked_twice() {
        // Two statements, each without, with either and with both candidates.
        assert!(chosen(table(), [0.0, 0.0], None).1 <= 8);
    }
}
