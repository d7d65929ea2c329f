//! Values without distances (texts, uuids, addresses): replaced by a token of their rank.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

/// Places a token can have: eight digits.
const PLACES: u64 = 100_000_000;

/// Values that the same rule orders.
#[derive(Debug, Default)]
pub(super) struct Ranked {
    seen: BTreeMap<String, usize>,
    /// Pairs of values of which the server put the first before the second.
    before: Vec<(usize, usize)>,
    tokens: HashMap<String, u64>,
}

impl Ranked {
    /// Takes note of a value.
    pub(super) fn see(&mut self, value: &str) -> usize {
        if let Some(at) = self.seen.get(value) {
            return *at;
        }
        let next = self.seen.len();
        self.seen.insert(value.to_owned(), next);
        next
    }

    /// Takes note of values in the order the server gave them: its collation, which is not known here, made that order.
    pub(super) fn see_in_order(&mut self, values: &[String]) {
        let places: Vec<usize> = values.iter().map(|value| self.see(value)).collect();
        self.before.extend(places.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| (pair[0], pair[1])));
    }

    /// Returns whether the value was seen.
    pub(super) fn knows(&self, value: &str) -> bool {
        self.seen.contains_key(value)
    }

    /// Gives each value its place: by the server's order where there is one, else by `key`, which comes near it.
    pub(super) fn settle(&mut self, key: impl Fn(&str) -> Vec<u8>) {
        let mut waits = vec![0_usize; self.seen.len()];
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); self.seen.len()];
        for (first, second) in &self.before {
            waits[*second] += 1;
            followers[*first].push(*second);
        }
        let mut keys: Vec<(Vec<u8>, usize)> = self.seen.iter().map(|(value, at)| (key(value), *at)).collect();
        keys.sort_unstable();
        let mut order_of_key = vec![0_usize; keys.len()];
        for (order, (_, at)) in keys.iter().enumerate() {
            order_of_key[*at] = order;
        }
        let mut rank: Vec<Option<u64>> = vec![None; keys.len()];
        let mut free: BinaryHeap<Reverse<usize>> = (0..keys.len()).filter(|order| waits[keys[*order].1] == 0).map(Reverse).collect();
        let (mut next, mut unplaced) = (0_u64, 0);
        loop {
            let Some(Reverse(order)) = free.pop() else {
                // Two orders that contradict each other (a collation changed between two ANALYZEs): the key decides.
                while unplaced < keys.len() && rank[keys[unplaced].1].is_some() {
                    unplaced += 1;
                }
                if unplaced == keys.len() {
                    break;
                }
                free.push(Reverse(unplaced));
                continue;
            };
            let at = keys[order].1;
            if rank[at].is_some() {
                continue;
            }
            rank[at] = Some(next);
            next += 1;
            for follower in &followers[at] {
                waits[*follower] -= 1;
                if waits[*follower] == 0 {
                    free.push(Reverse(order_of_key[*follower]));
                }
            }
        }
        let count = keys.len() as u64;
        let place = |rank: u64| ((u128::from(rank) + 1) * u128::from(PLACES) / (u128::from(count) + 1)) as u64;
        self.tokens = self.seen.iter().filter_map(|(value, at)| Some((value.clone(), place(rank[*at]?)))).collect();
    }

    /// Returns the place that stands for the value: below 10^8, ascending with the rank.
    pub(super) fn place(&self, value: &str) -> Option<u64> {
        self.tokens.get(value).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &str) -> Vec<u8> {
        value.as_bytes().to_vec()
    }

    #[test]
    fn the_servers_order_goes_before_the_keys() {
        let mut ranked = Ranked::default();
        ranked.see_in_order(&["apple", "Banana", "cherry"].map(str::to_owned));
        ranked.see("blue");
        ranked.settle(bytes);
        let places: Vec<u64> = ["apple", "Banana", "blue", "cherry"].map(|value| ranked.place(value).unwrap()).to_vec();
        assert!(places.is_sorted() && places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        assert!(ranked.knows("blue") && ranked.place("green").is_none());
    }

    #[test]
    fn orders_that_contradict_each_other_still_place_every_value() {
        let mut ranked = Ranked::default();
        ranked.see_in_order(&["a", "b"].map(str::to_owned));
        ranked.see_in_order(&["b", "a", "c"].map(str::to_owned));
        ranked.settle(bytes);
        let places: std::collections::BTreeSet<u64> = ["a", "b", "c"].iter().filter_map(|value| ranked.place(value)).collect();
        assert_eq!(places.len(), 3);
    }
}
