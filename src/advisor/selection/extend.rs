//! Searches that walk from nothing to much, or from everything to nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Part;
use super::frontier::Archive;
use super::prune::Pool;
use super::state::{Move, Rank, Search, State, Wish};
use crate::advisor::cost::CostModel;
use crate::catalog::Oid;
use crate::units::Bytes;

/// New indexes a table that the walks allow, without limit first.
const PER_TABLE: [usize; 4] = [usize::MAX - 1, 3, 2, 1];

impl<M: CostModel + ?Sized> Search<'_, '_, M> {
    /// Runs one quick search over one part of the workload; returns whether there was time for it.
    pub(super) fn sketch(&mut self, part: &Part, pool: &Pool, archive: &mut Archive) -> bool {
        let nothing = self.state(part, &[]);
        archive.keep(&nothing, 0);
        self.grow(nothing, pool, PER_TABLE[0], Rank::GainPerByte, archive).is_some() && !self.prices.out_of_time()
    }

    /// Runs every search over one part of the workload; returns whether there was time for all of them.
    pub(super) fn explore(&mut self, part: &Part, pool: &Pool, archive: &mut Archive, size_max: Option<Bytes>) -> bool {
        let nothing = self.state(part, &[]);
        archive.keep(&nothing, 0);
        if !archive.is_news(&pool.items) {
            return true;
        }
        for rank in [Rank::GainPerByte, Rank::Gain] {
            let mut crowded = usize::MAX;
            for per_table in PER_TABLE {
                // Where fewer indexes met on a table, the limit changes nothing.
                if per_table < crowded {
                    let Some(grown) = self.grow(nothing.clone(), pool, per_table, rank, archive) else { return false };
                    crowded = self.crowded(&grown);
                    self.shrink(grown, archive);
                }
            }
        }
        self.fill(nothing, pool, archive);
        let all = self.state(part, &pool.items);
        self.shrink(all, archive);
        !self.prices.out_of_time() && self.climb(part, pool, archive, size_max)
    }

    /// Adds what gains most, again and again; `None` when the time was over first.
    fn grow(&mut self, mut state: State, pool: &Pool, per_table: usize, rank: Rank, archive: &mut Archive) -> Option<State> {
        loop {
            let changes = self.additions(&state, pool, per_table);
            let Some((change, judged)) = self.best(&state, changes, Wish { rank, gain_above: 0.0, worthwhile: true }) else {
                self.tidy(state.clone(), archive, 0);
                return Some(state);
            };
            self.take(&mut state, &change, &judged);
            archive.keep(&state, 0);
            if self.prices.out_of_time() {
                return None;
            }
        }
    }

    /// Returns every single index and every team that is not there yet, as changes.
    pub(super) fn additions(&self, state: &State, pool: &Pool, per_table: usize) -> Vec<Move> {
        let singles = pool.items.iter().filter(|item| !state.members.contains(item)).map(|item| self.adding(state, &[*item]));
        let teams = pool.teams.iter().map(|team| self.adding(state, team)).filter(|change| change.add.len() > 1);
        let mut counts: BTreeMap<Oid, usize> = BTreeMap::new();
        state.members.iter().for_each(|member| *counts.entry(self.prices.candidates[*member].table).or_default() += 1);
        let fits = |change: &Move| {
            change.add.iter().all(|item| {
                let table = self.prices.candidates[*item].table;
                let here = |items: &[usize]| items.iter().filter(|other| self.prices.candidates[**other].table == table).count();
                counts.get(&table).copied().unwrap_or_default() + here(&change.add) <= per_table.saturating_add(here(&change.remove))
            })
        };
        let changes: Vec<Move> = singles.chain(teams).collect();
        // A wide index may do some of what its prefix does so much worse that both are worth having.
        let beside = changes.iter().filter(|change| !change.remove.is_empty());
        let beside: Vec<Move> = beside.map(|change| Move { add: change.add.clone(), remove: Vec::new() }).collect();
        changes.into_iter().chain(beside).filter(fits).collect()
    }

    /// Takes away, least loss a byte first, down to nothing: every set on the way may be the answer to a smaller budget.
    fn shrink(&mut self, mut state: State, archive: &mut Archive) {
        while !state.members.is_empty() && !self.prices.out_of_time() {
            let unused = self.unused(&state);
            let changes: Vec<Move> = match unused.is_empty() {
                false => vec![Move { add: Vec::new(), remove: unused }],
                true => state.members.iter().map(|member| Move { add: Vec::new(), remove: vec![*member] }).collect(),
            };
            let wish = Wish { rank: Rank::GainPerByte, gain_above: f64::NEG_INFINITY, worthwhile: false };
            let Some((change, judged)) = self.best(&state, changes, wish) else { return };
            self.take(&mut state, &change, &judged);
            archive.keep(&state, 0);
        }
    }

    /// Adds in the order of each index's share of all gains a byte, whatever the others already gain.
    fn fill(&mut self, mut state: State, pool: &Pool, archive: &mut Archive) {
        let worth = |item: &usize, gain: f64| gain / self.prices.sizes[*item].0.max(1) as f64;
        let mut order: Vec<(f64, usize)> = pool.credit.iter().map(|(item, gain)| (worth(item, *gain), *item)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, item) in order {
            let change = self.adding(&state, &[item]);
            let judged = self.judge(&state, &change);
            if judged.allowed && judged.gain.is_finite() {
                self.take(&mut state, &change, &judged);
                archive.keep(&state, 0);
            }
        }
        self.tidy(state, archive, 0);
    }

    /// Takes away what is not worth an index beside the others.
    pub(super) fn tidy(&mut self, mut state: State, archive: &mut Archive, level: usize) {
        loop {
            let spare: BTreeSet<usize> = state.members.clone().into_iter().filter(|member| !self.is_worth(&state, *member)).collect();
            let changes = spare.into_iter().map(|member| Move { add: Vec::new(), remove: vec![member] }).collect();
            let wish = Wish { rank: Rank::Gain, gain_above: f64::NEG_INFINITY, worthwhile: false };
            let Some((change, judged)) = self.best(&state, changes, wish) else { return };
            self.take(&mut state, &change, &judged);
            archive.keep(&state, level);
        }
    }

    /// Returns the most members that meet on one table.
    fn crowded(&self, state: &State) -> usize {
        let mut counts: BTreeMap<Oid, usize> = BTreeMap::new();
        state.members.iter().for_each(|member| *counts.entry(self.prices.candidates[*member].table).or_default() += 1);
        counts.into_values().max().unwrap_or_default()
    }
}
