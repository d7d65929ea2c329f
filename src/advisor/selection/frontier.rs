//! Every set a search passed through, and the best of them that a budget admits.
//!
//! Parts of the workload that have nothing to do with each other are searched apart; here their sets are put together.

use std::collections::{BTreeSet, HashMap};

use super::guard::{size_max, uncrowded, writes_max};
use super::state::{Search, State};
use super::{Part, Task};
use crate::advisor::cost::CostModel;

/// Combinations kept while parts are put together. Beyond it, of combinations of about the same size only the cheapest.
const POINTS_MAX: usize = 2_000;

/// Sets passed through, by members.
#[derive(Debug, Default)]
pub(super) struct Archive {
    sets: HashMap<Vec<usize>, Entry>,
    explored: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    total: f64,
    size: u64,
    /// The lowest step of the ladder that found it; 0 for the walks.
    level: usize,
    /// Whether every member is worth an index beside the others, once that was asked.
    helps: Option<bool>,
}

/// The answer for one budget.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    pub(super) set: BTreeSet<usize>,
    total: f64,
}

impl Default for Picked {
    /// Nothing, and anything is better.
    fn default() -> Self {
        Self { set: BTreeSet::new(), total: f64::INFINITY }
    }
}

/// A set that may be the answer, or part of it.
#[derive(Debug, Clone)]
struct Point {
    total: f64,
    size: u64,
    writes: f64,
    set: Vec<usize>,
}

impl Archive {
    /// Remembers a set as a possible answer. The first way to a set prices it, lest rounding on another way decide.
    pub(super) fn keep(&mut self, state: &State, level: usize) {
        let fresh = Entry { total: state.total, size: state.size, level, helps: None };
        let entry = self.sets.entry(state.members.iter().copied().collect()).or_insert(fresh);
        entry.level = entry.level.min(level);
    }

    /// Returns whether these candidates were not explored just before, and remembers them.
    pub(super) fn is_news(&mut self, items: &[usize]) -> bool {
        let news = self.explored != items;
        items.clone_into(&mut self.explored);
        news
    }

    /// Returns the cheapest set of at most that size that this or a lower step found, with its cost.
    pub(super) fn cheapest(&self, most: u64, level: usize) -> Option<(Vec<usize>, f64)> {
        let within = self.sets.iter().filter(|(_, entry)| entry.size <= most && entry.level <= level && entry.total.is_finite());
        let least =
            within.min_by(|(a, one), (b, other)| one.total.total_cmp(&other.total).then(one.size.cmp(&other.size)).then_with(|| a.cmp(b)));
        least.map(|(set, entry)| (set.clone(), entry.total))
    }
}

impl<M: CostModel + ?Sized> Search<'_, '_, M> {
    /// Returns the best set the budget admits, not dearer than the one picked before; the smaller of near-equals.
    pub(super) fn pick(&mut self, parts: &[Part], archives: &mut [Archive], task: &Task<'_>, before: Option<&Picked>) -> Picked {
        let bare =
            |part: &Part| part.queries.iter().map(|query| self.bare[*query].unwrap_or_default() * self.prices.weight(*query)).sum::<f64>();
        // Statements no candidate matters to cost what they cost.
        let constant = (self.guard.workload - parts.iter().map(bare).sum::<f64>()).max(0.0);
        let mut points = vec![Point { total: constant, size: 0, writes: 0.0, set: Vec::new() }];
        for (part, archive) in parts.iter().zip(archives) {
            let own = self.frontier(part, archive, task);
            points = combined(&points, &own, task, writes_max(task, self.guard.workload));
        }
        let best = points.iter().map(|point| point.total).fold(f64::INFINITY, f64::min);
        let most = (best * (1.0 + self.guard.near)).min(before.map_or(f64::INFINITY, |before| before.total)).max(best);
        let near = points.into_iter().filter(|point| point.total <= most);
        let smallest = near.min_by(|a, b| {
            let sized = a.size.cmp(&b.size).then(a.set.len().cmp(&b.set.len()));
            sized.then(a.total.total_cmp(&b.total)).then_with(|| a.set.cmp(&b.set))
        });
        match (smallest, before) {
            (Some(point), before) if before.is_none_or(|before| point.total <= before.total) => {
                Picked { set: point.set.into_iter().collect(), total: point.total }
            }
            (_, Some(before)) => before.clone(),
            (_, None) => Picked::default(),
        }
    }

    /// Returns the sets of one part that no smaller set beats, cheapest first.
    fn frontier(&mut self, part: &Part, archive: &mut Archive, task: &Task<'_>) -> Vec<Point> {
        let (size_max, writes_max) = (size_max(task), writes_max(task, self.guard.workload));
        let written = |set: &[usize]| set.iter().map(|item| self.writes[*item]).sum::<f64>();
        let mut open: Vec<Point> = archive
            .sets
            .iter()
            .filter(|(_, entry)| entry.size <= size_max && entry.total.is_finite())
            .map(|(set, entry)| Point { total: entry.total, size: entry.size, writes: written(set), set: set.clone() })
            .filter(|point| point.writes <= writes_max && uncrowded(self.prices, &point.set, task))
            .collect();
        open.sort_by(|a, b| {
            let cost = a.total.total_cmp(&b.total).then(a.size.cmp(&b.size));
            cost.then(a.set.len().cmp(&b.set.len())).then_with(|| a.set.cmp(&b.set))
        });
        // Without a limit each part answers for itself.
        let free = task.budget.size_max.is_none() && task.budget.write_overhead_max.is_none();
        let slack = self.guard.near * self.guard.workload;
        let mut frontier: Vec<Point> = Vec::new();
        for point in open {
            if free && frontier.first().is_some_and(|best| point.total > best.total + slack) {
                break;
            }
            if frontier.iter().any(|other| other.size <= point.size && (other.writes <= point.writes || writes_max.is_infinite())) {
                continue;
            }
            let known = archive.sets.get(&point.set).and_then(|entry| entry.helps);
            let helps = match known {
                Some(helps) => helps,
                None => self.all_help(part, &point.set),
            };
            if let Some(entry) = archive.sets.get_mut(&point.set) {
                entry.helps = Some(helps);
            }
            if helps {
                frontier.push(point);
            }
        }
        frontier
    }

    /// Returns whether every member of a set is worth an index beside the others.
    fn all_help(&mut self, part: &Part, set: &[usize]) -> bool {
        let state = self.state(part, set);
        set.iter().all(|member| self.is_worth(&state, *member))
    }
}

/// Returns the combinations of two lists that the limits admit and that no smaller combination beats.
fn combined(some: &[Point], others: &[Point], task: &Task<'_>, writes_max: f64) -> Vec<Point> {
    let size_max = size_max(task);
    let pairs = some.iter().enumerate().flat_map(|(a, one)| others.iter().enumerate().map(move |(b, other)| (a, b, one, other)));
    let mut sums: Vec<(f64, u64, f64, usize, usize)> = pairs
        .map(|(a, b, one, other)| (one.total + other.total, one.size.saturating_add(other.size), one.writes + other.writes, a, b))
        .filter(|(_, size, writes, ..)| *size <= size_max && *writes <= writes_max)
        .collect();
    sums.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then((a.3, a.4).cmp(&(b.3, b.4))));
    let mut kept: Vec<(f64, u64, f64, usize, usize)> = Vec::new();
    let (mut smallest, limited) = (u64::MAX, writes_max.is_finite());
    for sum in sums {
        let beaten = if limited { kept.iter().any(|other| other.1 <= sum.1 && other.2 <= sum.2) } else { sum.1 >= smallest };
        if !beaten {
            smallest = smallest.min(sum.1);
            kept.push(sum);
        }
    }
    if kept.len() > POINTS_MAX {
        let mut steps = BTreeSet::new();
        // Cheapest first: the first of each step of about a hundredth of its size stays.
        kept.retain(|sum| steps.insert(((sum.1.max(1) as f64).ln() * 100.0) as u64));
    }
    let set = |a: usize, b: usize| {
        let mut set: Vec<usize> = some[a].set.iter().chain(&others[b].set).copied().collect();
        set.sort_unstable();
        set
    };
    kept.into_iter().map(|(total, size, writes, a, b)| Point { total, size, writes, set: set(a, b) }).collect()
}
