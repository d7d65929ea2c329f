//! The search on known prices: grow, descend by the best change, and try every member's absence.

use std::collections::BTreeMap;

use super::alternatives::{Alternatives, Change, Set};
use crate::catalog::Oid;

/// Changes of one descent: in practice it ends long before.
const CHANGES_MAX: usize = 200;
/// Descents from one member's absence, for one set.
const KICKS_MAX: usize = 60;
/// Bytes below which indexes count as equally small: a page more or less decides nothing.
const SIZE_STEP: f64 = 64.0 * 1024.0;

/// What a set may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) size: u64,
    /// New indexes a table.
    pub(super) per_table: usize,
    /// The least gain that is one.
    pub(super) gain_above: f64,
}

impl Alternatives {
    /// Adds what gains most a byte, again and again, as long as it fits; returns every set on the way, the largest last.
    pub(super) fn grow(&self, limits: Limits) -> Vec<Set> {
        let mut sets = vec![self.set(&[])];
        while let Some(mut set) = sets.last().cloned() {
            let mut best: Option<(f64, Change)> = None;
            for add in self.wishes(&set) {
                let change = Change { add, remove: Vec::new() };
                if !self.fits(&set, &change, limits) {
                    continue;
                }
                let gain = self.gain(&mut set, &change);
                let worth = gain / (self.growth(&change) as f64).max(SIZE_STEP);
                if gain > limits.gain_above && best.as_ref().is_none_or(|(most, _)| worth > *most) {
                    best = Some((worth, change));
                }
            }
            let Some((_, change)) = best else { break };
            self.apply(&mut set, &change);
            self.rid(&mut set, limits);
            sets.push(set);
        }
        sets
    }

    /// Takes the best change as long as there is one: what a cheaper plan lacks, with room made for it, or a member gone.
    pub(super) fn descend(&self, mut set: Set, limits: Limits, banned: Option<usize>) -> Set {
        for _ in 0..CHANGES_MAX {
            let order = self.by_loss(&mut set);
            let mut best: Option<(f64, Change)> = None;
            let mut look = |change: Change, set: &mut Set| {
                let gain = self.gain(set, &change);
                let better = |(most, found): &(f64, Change)| {
                    let smaller = self.growth(&change).cmp(&self.growth(found)).then_with(|| change.cmp(found));
                    gain > *most || (gain == *most && smaller.is_lt())
                };
                if gain > limits.gain_above && best.as_ref().is_none_or(better) {
                    best = Some((gain, change));
                }
            };
            for add in self.wishes(&set) {
                if banned.is_some_and(|banned| add.contains(&banned)) {
                    continue;
                }
                for change in self.with_room(&set, add, &order, limits) {
                    look(change, &mut set);
                }
            }
            for member in &order {
                look(Change { add: Vec::new(), remove: vec![*member] }, &mut set);
            }
            let Some((_, change)) = best else { break };
            self.apply(&mut set, &change);
            self.rid(&mut set, limits);
        }
        set
    }

    /// Descends, then once more from each member's absence, as long as that finds a cheaper set.
    pub(super) fn polish(&self, set: Set, limits: Limits) -> Set {
        let mut best = self.descend(set, limits, None);
        let mut kicks = 0;
        let mut open = best.members();
        while let Some(member) = open.pop() {
            if kicks == KICKS_MAX {
                break;
            }
            kicks += 1;
            let mut kicked = best.clone();
            self.apply(&mut kicked, &Change { add: Vec::new(), remove: vec![member] });
            let without = self.descend(kicked, limits, Some(member));
            let again = self.descend(without, limits, None);
            if again.total < best.total - limits.gain_above.max(0.0) {
                best = again;
                open = best.members();
            }
        }
        best
    }

    /// Takes away the least missed a byte until the rest is within the limits.
    pub(super) fn shrink(&self, mut set: Set, limits: Limits) -> Set {
        while set.size > limits.size || self.most_on_a_table(&set) > limits.per_table {
            let crowded = self.crowded(&set, limits);
            let order = self.by_loss(&mut set);
            let Some(member) = order.into_iter().find(|member| set.size > limits.size || crowded.contains(&self.tables[*member])) else {
                break;
            };
            self.apply(&mut set, &Change { add: Vec::new(), remove: vec![member] });
        }
        set
    }

    /// Takes away members, the least missed first, as long as one is not worth its place by this rule: what each
    /// statement would lose, and the writes spared.
    pub(super) fn tidy(&self, mut set: Set, worth: impl Fn(&[(usize, f64)], f64) -> bool) -> Set {
        loop {
            let order = self.by_loss(&mut set);
            let spare = order.into_iter().find(|member| {
                let losses = self.losses(&mut set, *member);
                !worth(&losses, self.writes[*member])
            });
            let Some(member) = spare else { return set };
            self.apply(&mut set, &Change { add: Vec::new(), remove: vec![member] });
        }
    }

    /// Takes away members that are not missed at all.
    fn rid(&self, set: &mut Set, limits: Limits) {
        loop {
            let spare = set.members().into_iter().find(|member| {
                let change = Change { add: Vec::new(), remove: vec![*member] };
                self.gain(set, &change) >= 0.0_f64.max(limits.gain_above.min(0.0))
            });
            let Some(member) = spare else { return };
            self.apply(set, &Change { add: Vec::new(), remove: vec![member] });
        }
    }

    /// Returns the members, the one missed least a byte first.
    fn by_loss(&self, set: &mut Set) -> Vec<usize> {
        let mut losses: Vec<(f64, usize)> = Vec::new();
        for member in set.members() {
            let loss = -self.gain(set, &Change { add: Vec::new(), remove: vec![member] });
            losses.push((loss / self.sizes[member].max(1) as f64, member));
        }
        losses.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        losses.into_iter().map(|(_, member)| member).collect()
    }

    /// Returns the ways to add items within the limits: as it is, or with members gone: the least missed a byte, or the
    /// one that is the least missed of those that make room alone.
    fn with_room(&self, set: &Set, add: Vec<usize>, order: &[usize], limits: Limits) -> Vec<Change> {
        let change = Change { add, remove: Vec::new() };
        if self.fits(set, &change, limits) {
            return vec![change];
        }
        let mut ways = Vec::new();
        let mut several = change.clone();
        for member in order {
            if self.fits(set, &several, limits) {
                break;
            }
            if self.is_in_the_way(set, &several, *member, limits) {
                several.remove.push(*member);
            }
        }
        if self.fits(set, &several, limits) {
            ways.push(several);
        }
        for member in order {
            let one = Change { remove: vec![*member], ..change.clone() };
            if self.fits(set, &one, limits) {
                ways.push(one);
                break;
            }
        }
        ways.dedup();
        ways
    }

    fn is_in_the_way(&self, set: &Set, change: &Change, member: usize, limits: Limits) -> bool {
        let too_large = i128::from(set.size) + self.growth(change) > i128::from(limits.size);
        too_large || self.count(set, change, self.tables[member]) > limits.per_table
    }

    fn fits(&self, set: &Set, change: &Change, limits: Limits) -> bool {
        i128::from(set.size) + self.growth(change) <= i128::from(limits.size)
            && (limits.per_table == usize::MAX
                || change.add.iter().all(|item| self.count(set, change, self.tables[*item]) <= limits.per_table))
    }

    /// Returns how many members a table has after a change.
    fn count(&self, set: &Set, change: &Change, table: Oid) -> usize {
        let here = |item: &&usize| self.tables[**item] == table;
        let before = (0..self.items.len()).filter(|item| set.has(*item) && self.tables[*item] == table).count();
        before + change.add.iter().filter(here).count() - change.remove.iter().filter(here).count()
    }

    fn counts(&self, set: &Set) -> BTreeMap<Oid, usize> {
        let mut counts = BTreeMap::new();
        set.members().into_iter().for_each(|member| *counts.entry(self.tables[member]).or_default() += 1);
        counts
    }

    /// Returns the most members that meet on one table.
    pub(super) fn most_on_a_table(&self, set: &Set) -> usize {
        self.counts(set).into_values().max().unwrap_or_default()
    }

    fn crowded(&self, set: &Set, limits: Limits) -> Vec<Oid> {
        self.counts(set).into_iter().filter(|(_, count)| *count > limits.per_table).map(|(table, _)| table).collect()
    }
}
