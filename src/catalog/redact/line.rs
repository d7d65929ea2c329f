//! Values along a line (numbers, days, moments): replaced by their rank between fixed marks.
//!
//! A mark keeps its place: zero, now, round distances from now, and every number that schema text spells, because a partial
//! index's predicate or a partition's bound must still cut the values where it did. Between two marks values are spread
//! evenly in their order; beyond the outermost marks they follow one another. So order, equality and the side of each
//! mark stay; distances and the values themselves do not.

use std::collections::{BTreeMap, BTreeSet};

/// Whole numbers, also as counts of days or microseconds.
#[derive(Debug, Default)]
pub(super) struct Line {
    marks: BTreeSet<i128>,
    seen: BTreeSet<i128>,
    replaced: BTreeMap<i128, i128>,
}

impl Line {
    /// Fixes a place.
    pub(super) fn mark(&mut self, at: i128) {
        self.marks.insert(at);
    }

    /// Takes note of a value.
    pub(super) fn see(&mut self, value: i128) {
        self.seen.insert(value);
    }

    /// Returns whether the value was seen.
    pub(super) fn knows(&self, value: i128) -> bool {
        self.seen.contains(&value)
    }

    /// Gives each value seen its place; values seen later have none.
    pub(super) fn settle(&mut self) {
        let ordered: Vec<i128> = self.seen.union(&self.marks).copied().collect();
        let mut at = 0;
        let mut before: Option<i128> = None;
        while at < ordered.len() {
            if self.marks.contains(&ordered[at]) {
                before = Some(ordered[at]);
                self.replaced.insert(ordered[at], ordered[at]);
                at += 1;
                continue;
            }
            let between = ordered[at..].iter().take_while(|value| !self.marks.contains(value)).count();
            let after = ordered.get(at + between).copied();
            for step in 0..between {
                let rank = step as i128 + 1;
                let place = match (before, after) {
                    // There are as many places between two marks as whole numbers, so no two values share one.
                    (Some(low), Some(high)) => low + (high - low) * rank / (between as i128 + 1),
                    (Some(low), None) => low + rank,
                    (None, Some(high)) => high - (between as i128 + 1) + rank,
                    (None, None) => rank,
                };
                self.replaced.insert(ordered[at + step], place);
            }
            at += between;
        }
    }

    /// Returns what stands for the value.
    pub(super) fn replaced(&self, value: i128) -> Option<i128> {
        self.replaced.get(&value).copied()
    }
}

/// Numbers with a fraction.
#[derive(Debug, Default)]
pub(super) struct Decimals {
    marks: BTreeSet<u64>,
    line: BTreeMap<u64, f64>,
}

impl Decimals {
    /// Fixes a place.
    pub(super) fn mark(&mut self, at: f64) {
        self.marks.insert(ordered_bits(at));
        self.see(at);
    }

    /// Takes note of a value.
    pub(super) fn see(&mut self, value: f64) {
        self.line.insert(ordered_bits(value), value);
    }

    /// Returns whether the value was seen.
    pub(super) fn knows(&self, value: f64) -> bool {
        self.line.contains_key(&ordered_bits(value))
    }

    /// Gives each value seen its place.
    pub(super) fn settle(&mut self) {
        let keys: Vec<u64> = self.line.keys().copied().collect();
        let mut before: Option<f64> = None;
        let mut at = 0;
        while at < keys.len() {
            if self.marks.contains(&keys[at]) {
                before = Some(self.line[&keys[at]]);
                at += 1;
                continue;
            }
            let between = keys[at..].iter().take_while(|key| !self.marks.contains(key)).count();
            let after = keys.get(at + between).map(|key| self.line[key]);
            for step in 0..between {
                let rank = step as f64 + 1.0;
                let place = match (before, after) {
                    (Some(low), Some(high)) => low + (high - low) * (rank / (between as f64 + 1.0)),
                    (Some(low), None) => low + rank,
                    (None, Some(high)) => high - (between as f64 + 1.0) + rank,
                    (None, None) => rank,
                };
                self.line.insert(keys[at + step], place);
            }
            at += between;
        }
    }

    /// Returns what stands for the value.
    pub(super) fn replaced(&self, value: f64) -> Option<f64> {
        self.line.get(&ordered_bits(value)).copied()
    }
}

/// Returns bits that order as the numbers do; both zeros are one.
fn ordered_bits(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(marks: &[i128], values: &[i128]) -> Vec<i128> {
        let mut line = Line::default();
        marks.iter().for_each(|mark| line.mark(*mark));
        values.iter().for_each(|value| line.see(*value));
        line.settle();
        values.iter().map(|value| line.replaced(*value).unwrap()).collect()
    }

    #[test]
    fn marks_stay_and_the_rest_is_spread_between_them() {
        assert_eq!(replaced(&[0, 1000], &[7, 90, 1000, 5000, 987_654_321, -3, 0]), [333, 666, 1000, 1001, 1002, -1, 0]);
        assert_eq!(replaced(&[], &[500, 70]), [2, 1]);
    }

    #[test]
    fn no_value_leaves_the_range_of_its_type_and_none_meet() {
        let values: Vec<i128> = (1..=200).chain([i128::from(i64::MAX), i128::from(i16::MAX), i128::from(i16::MIN)]).collect();
        let places = replaced(&[0, 5], &values);
        let distinct: BTreeSet<i128> = places.iter().copied().collect();
        assert_eq!(distinct.len(), values.len());
        assert!(values.iter().zip(&places).all(|(value, place)| place.abs() <= value.abs()), "{places:?}");
    }

    #[test]
    fn decimals_keep_their_order_and_their_side_of_a_mark() {
        let mut decimals = Decimals::default();
        decimals.mark(0.0);
        decimals.mark(9.99);
        let values = [-7.25, 0.0, 0.1, 0.2, 9.99, 1e12];
        values.iter().for_each(|value| decimals.see(*value));
        decimals.settle();
        let places: Vec<f64> = values.iter().map(|value| decimals.replaced(*value).unwrap()).collect();
        assert!(places.is_sorted() && places[1] == 0.0 && places[4] == 9.99 && places[5] == 10.99, "{places:?}");
        assert!(places[2] != 0.1 && places[0] == -1.0);
    }
}
