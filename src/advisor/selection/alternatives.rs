//! What the plans seen so far say each statement can do, and with which indexes: prices any set without asking.
//!
//! A plan whose indexes are all there is open to the planner whatever else is there. So the cheapest such plan among those
//! seen costs no less than what the planner would answer, and as much once the planner was asked about that very set. A
//! search over these prices takes microseconds a set, where the planner takes a millisecond a statement; what it finds is
//! put to the planner, whose plans make the prices better, and so on (the idea of INUM, Papadomanolakis, Dash, Ailamaki,
//! VLDB 2007, and CoPhy, Dash, Polyzotis, Ailamaki, PVLDB 2011).

use std::cell::RefCell;
use std::collections::HashMap;

use crate::catalog::Oid;

/// Costs that differ by less than this share are equal: the rounding of sums.
const SAME: f64 = 1e-6;
/// How many times what a statement may cost is added where it costs more.
const FORBIDDEN: f64 = 1e3;

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
    /// By statement, plans that the planner took although a cheaper one was open to it.
    traps: Vec<Vec<Trap>>,
    /// The weighted cost that a statement may reach, by statement.
    most: Vec<f64>,
    /// Statements some plan of which needs an item, with the least cost of such plans, by item.
    served: Vec<Vec<(usize, f64)>>,
    places: HashMap<usize, usize>,
    /// When a statement was last looked at, by statement, and how often that was done: spares a list a look.
    looked_at: RefCell<(u64, Vec<u64>)>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq)]
struct Alternative {
    /// The weighted cost.
    cost: f64,
    /// Items it needs, ascending.
    needs: Box<[usize]>,
}

/// A dearer plan that the planner took: its estimates are compared node by node and within a tolerance, so that more
/// indexes can make a statement dearer.
#[derive(Debug, Clone, PartialEq)]
struct Trap {
    needs: Box<[usize]>,
    /// It was taken where this was the cheapest plan known; with a better one it is not expected to be.
    instead_of: f64,
    cost: f64,
}

/// A set of items and what it costs by the plans known.
#[derive(Debug, Clone)]
pub(super) struct Set {
    member: Vec<bool>,
    pub(super) size: u64,
    /// Weighted cost of the statements, and of writes.
    pub(super) total: f64,
    /// The price of each statement.
    prices: Vec<Price>,
}

/// What a statement costs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Price {
    /// The cheapest plan open.
    at: usize,
    cost: f64,
}

/// A change of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) add: Vec<usize>,
    pub(super) remove: Vec<usize>,
}

impl Change {
    /// Adds these items.
    pub(super) fn with(add: Vec<usize>) -> Self {
        Self { add, remove: Vec::new() }
    }

    /// Takes this member away.
    pub(super) fn without(member: usize) -> Self {
        Self { add: Vec::new(), remove: vec![member] }
    }
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
    /// Starts with the bare cost of each statement, and the cost it may reach.
    pub(super) fn new(bare: &[f64], most: Vec<f64>) -> Self {
        let nothing = |cost: &f64| vec![Alternative { cost: *cost, needs: Box::default() }];
        let looked_at = RefCell::new((0, vec![0; bare.len()]));
        let traps = vec![Vec::new(); bare.len()];
        Self { plans: bare.iter().map(nothing).collect(), traps, most, looked_at, ..Self::default() }
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
            serve(&mut self.served[*item], statement, cost);
        }
        let at = plans.partition_point(|plan| plan.cost.total_cmp(&cost).then_with(|| (*plan.needs).cmp(&needs)).is_lt());
        plans.insert(at, Alternative { cost, needs: needs.into() });
        true
    }

    /// Takes in that a statement costs more under a set than the plans known say, by the plan that uses these members.
    /// Returns whether that was not known.
    pub(super) fn learn_trap(&mut self, statement: usize, set: &Set, used: &[usize], cost: f64) -> bool {
        let known = self.price(statement, &set.member);
        if !cost.is_finite() || cost <= known.cost * (1.0 + SAME) {
            return false;
        }
        let used: Vec<usize> = used.iter().filter_map(|item| self.place(*item)).collect();
        // Where no member is used, it is some member's presence that counts.
        let present = |item: &usize| set.member[*item] && self.served[*item].iter().any(|(served, _)| *served == statement);
        let mut needs = if used.is_empty() { (0..self.items.len()).filter(present).collect() } else { used };
        needs.sort_unstable();
        for item in &needs {
            serve(&mut self.served[*item], statement, cost);
        }
        let instead_of = self.plans[statement][known.at].cost * (1.0 - SAME);
        self.traps[statement].push(Trap { needs: needs.into(), instead_of, cost });
        true
    }

    /// Prices a set.
    pub(super) fn set(&self, members: &[usize]) -> Set {
        let mut set = Set { member: vec![false; self.items.len()], size: 0, total: 0.0, prices: Vec::with_capacity(self.plans.len()) };
        for item in members {
            set.member[*item] = true;
        }
        set.size = members.iter().map(|item| self.sizes[*item]).sum();
        set.total = members.iter().map(|item| self.writes[*item]).sum();
        for statement in 0..self.plans.len() {
            let price = self.price(statement, &set.member);
            set.total += price.cost;
            set.prices.push(price);
        }
        set
    }

    /// Prices a statement with these members: the cheapest plan open, or the trap that is taken in its place.
    fn price(&self, statement: usize, member: &[bool]) -> Price {
        let (plans, most) = (&self.plans[statement], self.most[statement]);
        let open = |needs: &[usize]| needs.iter().all(|item| member[*item]);
        let at = plans.iter().position(|plan| open(&plan.needs)).unwrap_or(plans.len() - 1);
        let mut cost = plans[at].cost;
        for trap in self.traps[statement].iter().filter(|trap| trap.instead_of <= plans[at].cost && open(&trap.needs)) {
            cost = cost.max(trap.cost);
        }
        // A set that makes a statement dearer than it may be is no answer.
        Price { at, cost: if cost > most { cost + FORBIDDEN * most.max(1.0) } else { cost } }
    }

    /// Returns the bytes a change adds.
    pub(super) fn growth(&self, change: &Change) -> i128 {
        let bytes = |items: &[usize]| items.iter().map(|item| i128::from(self.sizes[*item])).sum::<i128>();
        bytes(&change.add) - bytes(&change.remove)
    }

    /// Returns what a change gains; less than 0 for a loss.
    pub(super) fn gain(&self, set: &mut Set, change: &Change) -> f64 {
        let written = |items: &[usize]| items.iter().map(|item| self.writes[*item]).sum::<f64>();
        let mut gain = written(&change.remove) - written(&change.add);
        flip(set, change);
        self.moved(set, change, |statement, price| gain += set.prices[statement].cost - price.cost);
        flip_back(set, change);
        gain
    }

    /// Returns what adding items gains at most, were every plan open that needs one of them.
    pub(super) fn promise(&self, set: &Set, add: &[usize]) -> f64 {
        let served = add.iter().flat_map(|item| &self.served[*item]);
        let saved: f64 = served.map(|(statement, least)| (set.prices[*statement].cost - least).max(0.0)).sum();
        saved - add.iter().map(|item| self.writes[*item]).sum::<f64>()
    }

    /// Makes a change.
    pub(super) fn apply(&self, set: &mut Set, change: &Change) {
        set.total -= self.gain(set, change);
        set.size = u64::try_from(i128::from(set.size) + self.growth(change)).unwrap_or_default();
        flip(set, change);
        let mut moves = Vec::new();
        self.moved(set, change, |statement, price| moves.push((statement, price)));
        for (statement, price) in moves {
            set.prices[statement] = price;
        }
    }

    /// Tells the statements whose price changes, with their new one; the members have changed already.
    fn moved(&self, set: &Set, change: &Change, mut tell: impl FnMut(usize, Price)) {
        let mut looked_at = self.looked_at.borrow_mut();
        let (now, seen) = &mut *looked_at;
        *now += 1;
        for item in change.add.iter().chain(&change.remove) {
            for (statement, _) in &self.served[*item] {
                if seen[*statement] == *now {
                    continue;
                }
                seen[*statement] = *now;
                let price = self.price(*statement, &set.member);
                if price != set.prices[*statement] {
                    tell(*statement, price);
                }
            }
        }
    }

    /// Returns what is missing for each plan that is cheaper than the one in effect, each once, in order.
    pub(super) fn wishes(&self, set: &Set) -> Vec<Vec<usize>> {
        let mut wishes: Vec<Vec<usize>> = Vec::new();
        for (plans, price) in self.plans.iter().zip(&set.prices) {
            for plan in &plans[..price.at] {
                wishes.push(plan.needs.iter().copied().filter(|item| !set.member[*item]).collect());
            }
        }
        wishes.sort_unstable();
        wishes.dedup();
        wishes
    }

    /// Returns what each statement would lose by one member's going: statement and loss.
    pub(super) fn losses(&self, set: &mut Set, member: usize) -> Vec<(usize, f64)> {
        let change = Change::without(member);
        let mut losses = Vec::new();
        flip(set, &change);
        self.moved(set, &change, |statement, price| losses.push((statement, price.cost - set.prices[statement].cost)));
        flip_back(set, &change);
        losses
    }
}

/// Notes that a plan of a statement needs an item.
fn serve(served: &mut Vec<(usize, f64)>, statement: usize, cost: f64) {
    match served.binary_search_by_key(&statement, |(served, _)| *served) {
        Ok(at) => served[at].1 = served[at].1.min(cost),
        Err(at) => served.insert(at, (statement, cost)),
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
        let mut known = Alternatives::new(&[100.0, 50.0], vec![110.0, 55.0]);
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
                assert_eq!(set.prices, known.set(to).prices);
            }
        }
    }

    #[test]
    fn a_dearer_plan_that_is_taken_counts_until_there_is_a_better_one() {
        let mut known = known();
        let both = known.set(&[0, 2]);
        assert!(known.learn_trap(1, &both, &[12], 20.0), "with 12 the planner takes another plan than the one known");
        assert!(!known.learn_trap(1, &both, &[12], 20.0), "known");
        let total = |known: &Alternatives, members: &[usize]| known.set(members).total;
        assert_eq!([total(&known, &[0, 2]), total(&known, &[0])], [141.0, 111.0]);
        assert!(known.learn(1, &[10, 12], 4.0));
        assert_eq!([total(&known, &[0, 2]), total(&known, &[2])], [125.0, 180.0]);
    }

    #[test]
    fn a_set_that_makes_a_statement_too_dear_is_no_answer() {
        let mut known = known();
        let set = known.set(&[2]);
        assert!(known.learn_trap(0, &set, &[12], 111.0));
        assert!(known.set(&[2]).total > 100_000.0 && known.set(&[0, 2]).total < 200.0);
    }

    #[test]
    fn wishes_are_what_cheaper_plans_lack() {
        let known = known();
        assert_eq!(known.wishes(&known.set(&[0])), [vec![1], vec![2]]);
        assert_eq!(known.losses(&mut known.set(&[0, 1]), 1), [(0, 50.0)]);
        assert!(known.losses(&mut known.set(&[0, 2]), 1).is_empty());
    }
}
