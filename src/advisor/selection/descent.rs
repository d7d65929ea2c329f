//! The search on known prices: grow, descend by the best change, try every member's absence and some others' presence.

use std::collections::BTreeMap;

use super::alternatives::{Alternatives, Change, Set};
use crate::catalog::Oid;

/// Changes of one descent: in practice it ends long before.
const CHANGES_MAX: usize = 200;
/// Descents from one member's absence, for one set.
const ABSENCES_MAX: usize = 60;
/// Descents from one item's presence, for one set.
const PRESENCES_MAX: usize = 16;
/// The most members of a set that is searched around: where there are more, each matters little, and a look takes long.
const POLISHED_MAX: usize = 100;
/// Items of the greatest promise whose presence is tried at all.
const PROMISING_MAX: usize = 64;
/// Bytes below which indexes count as equally small: a page more or less decides nothing.
const SIZE_STEP: f64 = 64.0 * 1024.0;

/// What a descent has to leave as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    absent: Option<usize>,
    present: Option<usize>,
}

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
                let change = Change::with(add);
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
            self.rid(&mut set, None);
            sets.push(set);
        }
        sets
    }

    /// Takes the best change as long as there is one: what a cheaper plan lacks, with room made for it, or a member gone.
    pub(super) fn descend(&self, mut set: Set, limits: Limits, held: Held) -> Set {
        for _ in 0..CHANGES_MAX {
            let mut order = self.by_loss(&mut set);
            order.retain(|member| held.present != Some(*member));
            let mut best: Option<(f64, Change)> = None;
            let wishes = self.wishes(&set).into_iter().filter(|add| held.absent.is_none_or(|absent| !add.contains(&absent)));
            let mut wishes: Vec<(f64, Vec<usize>)> = wishes.map(|add| (self.promise(&set, &add), add)).collect();
            wishes.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            for (promise, add) in wishes {
                // The others promise less than this one gains.
                if promise <= limits.gain_above || best.as_ref().is_some_and(|(most, _)| promise < *most) {
                    break;
                }
                for change in self.with_room(&set, add, &order, limits) {
                    if let Some(found) = self.better(&mut set, change, limits, &best) {
                        best = Some(found);
                    }
                }
            }
            // Only what is not missed at all gains by going, and that comes first.
            if let Some(member) = order.first() {
                let change = Change::without(*member);
                if let Some(found) = self.better(&mut set, change, limits, &best) {
                    best = Some(found);
                }
            }
            let Some((_, change)) = best else { break };
            self.apply(&mut set, &change);
            self.rid(&mut set, held.present);
        }
        set
    }

    /// Returns a change with its gain if it gains more than the best; the smaller and first of equals.
    fn better(&self, set: &mut Set, change: Change, limits: Limits, best: &Option<(f64, Change)>) -> Option<(f64, Change)> {
        let gain = self.gain(set, &change);
        let beats = |(most, found): &(f64, Change)| {
            let smaller = || self.growth(&change).cmp(&self.growth(found)).then_with(|| change.cmp(found));
            gain > *most || (gain == *most && smaller().is_lt())
        };
        (gain > limits.gain_above && best.as_ref().is_none_or(beats)).then_some((gain, change))
    }

    /// Descends, then once more from each member's absence and from others' presence, as long as that finds a cheaper set.
    ///
    /// Items before `fresh` were searched among before: only what is new among the rest is worth the time.
    pub(super) fn polish(&self, set: Set, limits: Limits, fresh: usize) -> Set {
        let mut best = self.descend(set, limits, Held::default());
        if best.members().len() > POLISHED_MAX {
            return best;
        }
        let mut absences = 0;
        loop {
            let is_new = fresh == 0 || (fresh..self.items.len()).any(|item| best.has(item));
            let members = if is_new { self.by_loss(&mut best) } else { Vec::new() };
            let mut better = None;
            for member in members {
                absences += 1;
                if absences > ABSENCES_MAX || better.is_some() {
                    break;
                }
                let mut kicked = best.clone();
                self.apply(&mut kicked, &Change::without(member));
                better = self.kicked(&best, kicked, limits, Held { absent: Some(member), present: None });
            }
            if better.is_none() {
                better = self.presences(&best, limits, fresh).into_iter().find_map(|(set, held)| self.kicked(&best, set, limits, held));
            }
            match better {
                Some(found) => best = found,
                None => return best,
            }
        }
    }

    /// Descends from a changed set, first with the change held; returns what is cheaper than before.
    fn kicked(&self, before: &Set, set: Set, limits: Limits, held: Held) -> Option<Set> {
        let held = self.descend(set, limits, held);
        let found = self.descend(held, limits, Held::default());
        (found.total < before.total - limits.gain_above).then_some(found)
    }

    /// Returns sets with one item more, and without what is missed least beside it; the cheapest few.
    fn presences(&self, set: &Set, limits: Limits, fresh: usize) -> Vec<(Set, Held)> {
        let may = |item: &usize| !set.has(*item) && self.sizes[*item] <= limits.size;
        let mut items: Vec<(f64, usize)> = (fresh..self.items.len()).filter(may).map(|item| (self.promise(set, &[item]), item)).collect();
        items.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut sets: Vec<(Set, Held)> = Vec::new();
        for (_, item) in items.into_iter().take(PROMISING_MAX).filter(|(promise, _)| *promise > 0.0) {
            let held = Held { absent: None, present: Some(item) };
            let mut kicked = set.clone();
            self.apply(&mut kicked, &Change::with(vec![item]));
            self.rid(&mut kicked, held.present);
            sets.push((self.shrink(kicked, limits, held), held));
        }
        sets.sort_by(|a, b| a.0.total.total_cmp(&b.0.total));
        sets.truncate(PRESENCES_MAX);
        sets
    }

    /// Takes away the least missed a byte until the rest is within the limits.
    pub(super) fn shrink(&self, mut set: Set, limits: Limits, held: Held) -> Set {
        while set.size > limits.size || self.most_on_a_table(&set) > limits.per_table {
            let crowded = self.crowded(&set, limits);
            let mut order = self.by_loss(&mut set).into_iter().filter(|member| held.present != Some(*member));
            let Some(member) = order.find(|member| set.size > limits.size || crowded.contains(&self.tables[*member])) else { break };
            self.apply(&mut set, &Change::without(member));
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
            self.apply(&mut set, &Change::without(member));
        }
    }

    /// Takes away members that are not missed at all, but for one.
    fn rid(&self, set: &mut Set, but: Option<usize>) {
        for member in set.members() {
            let change = Change::without(member);
            if but != Some(member) && self.gain(set, &change) >= 0.0 {
                self.apply(set, &change);
            }
        }
    }

    /// Returns the members, the one missed least a byte first.
    fn by_loss(&self, set: &mut Set) -> Vec<usize> {
        let mut losses: Vec<(f64, usize)> = Vec::new();
        for member in set.members() {
            let loss = -self.gain(set, &Change::without(member));
            losses.push((loss / self.sizes[member].max(1) as f64, member));
        }
        losses.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        losses.into_iter().map(|(_, member)| member).collect()
    }

    /// Returns the ways to add items within the limits: as it is, or with members gone: the least missed a byte, or the
    /// one that is the least missed of those that make room alone.
    fn with_room(&self, set: &Set, add: Vec<usize>, order: &[usize], limits: Limits) -> Vec<Change> {
        let change = Change::with(add);
        if self.fits(set, &change, limits) {
            return vec![change];
        }
        let mut ways = Vec::new();
        let mut several = change.clone();
        for member in order {
            if self.is_in_the_way(set, &several, *member, limits) {
                several.remove.push(*member);
                if self.fits(set, &several, limits) {
                    ways.push(several);
                    break;
                }
            }
        }
        let mut one = change;
        for member in order {
            one.remove = vec![*member];
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
        too_large || (limits.per_table != usize::MAX && self.count(set, change, self.tables[member]) > limits.per_table)
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
