//! What the plans seen so far say each statement can do, and with which indexes: prices any set without asking.
//!
//! A plan whose indexes are all there is open to the planner whatever else is there. So the cheapest such plan among those
//! seen costs no less than what the planner would answer, and as much once the planner was asked about that very set. A
//! search over these prices takes microseconds a set, where the planner takes a millisecond a statement; what it finds is
//! put to the planner, whose plans make the prices better, and so on (the idea of INUM, Papadomanolakis, Dash, Ailamaki,
//! VLDB 2007, and CoPhy, Dash, Polyzotis, Ailamaki, PVLDB 2011).

use std::collections::HashMap;

use crate::catalog::Oid;

/// The candidates of a part under search by local number, and what the part's statements can do with them.
#[derive(Debug, Default)]
pub(super) struct Alternatives {
    /// The number elsewhere, by local number.
    pub(super) items: Vec<usize>,
    pub(super) sizes: Vec<u64>,
    pub(super) writes: Vec<f64>,
    pub(super) tables: Vec<Oid>,
    /// By statement, cheapest first; the last needs nothing.
    plans: Vec<Vec<Alternative>>,
    /// Statements some plan of which needs an item, by item.
    served: Vec<Vec<usize>>,
    places: HashMap<usize, usize>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq)]
struct Alternative {
    /// The weighted cost.
    cost: f64,
    /// Items it needs, ascending.
    needs: Box<[usize]>,
}

/// A set of items and what it costs by the plans known.
#[derive(Debug, Clone)]
pub(super) struct Set {
    member: Vec<bool>,
    pub(super) size: u64,
    /// Weighted cost of the statements, and of writes.
    pub(super) total: f64,
    /// The plan in effect, by statement.
    at: Vec<usize>,
}

/// A change of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) add: Vec<usize>,
    pub(super) remove: Vec<usize>,
}

impl Set {
    pub(super) fn has(&self, item: usize) -> bool {
        self.member[item]
    }

    /// Returns the members, ascending.
    pub(super) fn members(&self) -> Vec<usize> {
        (0..self.member.len()).filter(|item| self.member[*item]).collect()
    }
}

impl Alternatives {
    /// Starts with the bare cost of each statement.
    pub(super) fn new(bare: &[f64]) -> Self {
        let nothing = |cost: &f64| vec![Alternative { cost: *cost, needs: Box::default() }];
        Self { plans: bare.iter().map(nothing).collect(), ..Self::default() }
    }

    /// Adds an item to search among.
    pub(super) fn admit(&mut self, item: usize, size: u64, writes: f64, table: Oid) {
        if self.places.contains_key(&item) {
            return;
        }
        self.places.insert(item, self.items.len());
        self.items.push(item);
        self.sizes.push(size);
        self.writes.push(writes);
        self.tables.push(table);
        self.served.push(Vec::new());
    }

    /// Returns the local number of an item.
    pub(super) fn place(&self, item: usize) -> Option<usize> {
        self.places.get(&item).copied()
    }

    /// Takes in a plan of a statement: the items it uses, by their numbers elsewhere, and its weighted cost. Returns whether
    /// it offers anything that was not known.
    pub(super) fn learn(&mut self, statement: usize, used: &[usize], cost: f64) -> bool {
        let Some(mut needs) = used.iter().map(|item| self.place(*item)).collect::<Option<Vec<usize>>>() else { return false };
        needs.sort_unstable();
        let within = |inner: &[usize], outer: &[usize]| inner.iter().all(|item| outer.binary_search(item).is_ok());
        let plans = &mut self.plans[statement];
        if !cost.is_finite() || plans.iter().any(|plan| plan.cost <= cost && within(&plan.needs, &needs)) {
            return false;
        }
        plans.retain(|plan| plan.cost < cost || !within(&needs, &plan.needs));
        for item in &needs {
            if let Err(at) = self.served[*item].binary_search(&statement) {
                self.served[*item].insert(at, statement);
            }
        }
        let at = plans.partition_point(|plan| plan.cost.total_cmp(&cost).then_with(|| (*plan.needs).cmp(&needs)).is_lt());
        plans.insert(at, Alternative { cost, needs: needs.into() });
        true
    }

    /// Prices a set.
    pub(super) fn set(&self, members: &[usize]) -> Set {
        let mut set = Set { member: vec![false; self.items.len()], size: 0, total: 0.0, at: vec![0; self.plans.len()] };
        for item in members {
            set.member[*item] = true;
        }
        set.size = members.iter().map(|item| self.sizes[*item]).sum();
        set.total = members.iter().map(|item| self.writes[*item]).sum();
        for statement in 0..self.plans.len() {
            set.at[statement] = self.cheapest(statement, &set.member, 0);
            set.total += self.plans[statement][set.at[statement]].cost;
        }
        set
    }

    /// Returns the cheapest plan open with these members, looking from one on.
    fn cheapest(&self, statement: usize, member: &[bool], from: usize) -> usize {
        let plans = &self.plans[statement];
        let open = plans.iter().skip(from).position(|plan| plan.needs.iter().all(|item| member[*item]));
        open.map_or(plans.len() - 1, |at| from + at)
    }

    /// Returns the bytes a change adds.
    pub(super) fn growth(&self, change: &Change) -> i128 {
        let bytes = |items: &[usize]| items.iter().map(|item| i128::from(self.sizes[*item])).sum::<i128>();
        bytes(&change.add) - bytes(&change.remove)
    }

    /// Returns what a change gains; less than 0 for a loss.
    pub(super) fn gain(&self, set: &mut Set, change: &Change) -> f64 {
        let written = |items: &[usize]| items.iter().map(|item| self.writes[*item]).sum::<f64>();
        flip(set, change);
        let moved = self.moved(set, change);
        flip_back(set, change);
        let saved: f64 =
            moved.iter().map(|(statement, at)| self.plans[*statement][set.at[*statement]].cost - self.plans[*statement][*at].cost).sum();
        saved + written(&change.remove) - written(&change.add)
    }

    /// Makes a change.
    pub(super) fn apply(&self, set: &mut Set, change: &Change) {
        set.total -= self.gain(set, change);
        set.size = u64::try_from(i128::from(set.size) + self.growth(change)).unwrap_or_default();
        flip(set, change);
        for (statement, at) in self.moved(set, change) {
            set.at[statement] = at;
        }
    }

    /// Returns the statements whose plan changes, with their new one; the members have changed already.
    fn moved(&self, set: &Set, change: &Change) -> Vec<(usize, usize)> {
        let mut moved: Vec<(usize, usize)> = Vec::new();
        let mut look = |item: &usize| {
            for statement in &self.served[*item] {
                if moved.iter().any(|(other, _)| other == statement) {
                    continue;
                }
                let at = set.at[*statement];
                let lost = self.plans[*statement][at].needs.iter().any(|item| !set.member[*item]);
                // Without a loss only a cheaper plan can take its place.
                let now = self.cheapest(*statement, &set.member, 0);
                if now < at || lost {
                    moved.push((*statement, now));
                }
            }
        };
        change.add.iter().chain(&change.remove).for_each(&mut look);
        moved
    }

    /// Returns what is missing for each plan that is cheaper than the one in effect, each once, in order.
    pub(super) fn wishes(&self, set: &Set) -> Vec<Vec<usize>> {
        let mut wishes: Vec<Vec<usize>> = Vec::new();
        for (plans, at) in self.plans.iter().zip(&set.at) {
            for plan in &plans[..*at] {
                wishes.push(plan.needs.iter().copied().filter(|item| !set.member[*item]).collect());
            }
        }
        wishes.sort_unstable();
        wishes.dedup();
        wishes
    }

    /// Returns what one member's going saves and costs each statement: statement and loss.
    pub(super) fn losses(&self, set: &mut Set, member: usize) -> Vec<(usize, f64)> {
        let change = Change { add: Vec::new(), remove: vec![member] };
        flip(set, &change);
        let moved = self.moved(set, &change);
        flip_back(set, &change);
        let loss =
            |(statement, at): (usize, usize)| (statement, self.plans[statement][at].cost - self.plans[statement][set.at[statement]].cost);
        moved.into_iter().map(loss).collect()
    }
}

fn flip(set: &mut Set, change: &Change) {
    change.remove.iter().for_each(|item| set.member[*item] = false);
    change.add.iter().for_each(|item| set.member[*item] = true);
}

fn flip_back(set: &mut Set, change: &Change) {
    change.add.iter().for_each(|item| set.member[*item] = false);
    change.remove.iter().for_each(|item| set.member[*item] = true);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two statements: the first does with 10 alone, better with 11, best with both; the second with 12.
    fn known() -> Alternatives {
        let mut known = Alternatives::new(&[100.0, 50.0]);
        for (item, size, writes) in [(10, 5, 1.0), (11, 7, 2.0), (12, 9, 60.0)] {
            known.admit(item, size, writes, 1);
        }
        assert!(known.learn(0, &[10], 60.0));
        assert!(known.learn(0, &[11], 40.0));
        assert!(known.learn(0, &[11, 10], 10.0));
        assert!(known.learn(1, &[12], 5.0));
        known
    }

    #[test]
    fn a_set_costs_what_the_cheapest_plan_it_allows_costs_and_its_writes() {
        let known = known();
        let total = |members: &[usize]| known.set(members).total;
        assert_eq!([total(&[]), total(&[0]), total(&[1]), total(&[0, 1]), total(&[2])], [150.0, 111.0, 92.0, 63.0, 165.0]);
        assert_eq!(known.set(&[0, 2]).size, 14);
    }

    #[test]
    fn a_plan_that_offers_nothing_is_not_learnt() {
        let mut known = known();
        assert!(!known.learn(0, &[10], 60.0), "known");
        assert!(!known.learn(0, &[10, 12], 60.0), "needs more and costs as much");
        assert!(!known.learn(0, &[99], 1.0), "not under search");
        assert!(!known.learn(0, &[10], f64::INFINITY), "no plan");
        assert!(known.learn(0, &[10], 30.0), "cheaper by other values");
        assert_eq!(known.set(&[0]).total, 81.0);
    }

    #[test]
    fn a_change_gains_the_difference_of_both_sets() {
        let known = known();
        let sets: [&[usize]; 6] = [&[], &[0], &[1], &[0, 1], &[1, 2], &[0, 1, 2]];
        for from in sets {
            for to in sets {
                let change = Change {
                    add: to.iter().copied().filter(|item| !from.contains(item)).collect(),
                    remove: from.iter().copied().filter(|item| !to.contains(item)).collect(),
                };
                let mut set = known.set(from);
                let gain = known.gain(&mut set, &change);
                assert_eq!(gain, known.set(from).total - known.set(to).total, "{from:?} to {to:?}");
                known.apply(&mut set, &change);
                assert_eq!((set.total, set.size, set.members()), (known.set(to).total, known.set(to).size, to.to_vec()));
                assert_eq!(set.at, known.set(to).at);
            }
        }
    }

    #[test]
    fn wishes_are_what_cheaper_plans_lack() {
        let known = known();
        assert_eq!(known.wishes(&known.set(&[0])), [vec![1], vec![2]]);
        assert_eq!(known.losses(&mut known.set(&[0, 1]), 1), [(0, 50.0)]);
        assert!(known.losses(&mut known.set(&[0, 2]), 1).is_empty());
    }
}
