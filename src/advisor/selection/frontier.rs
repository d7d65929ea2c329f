//! Every set that was planned, and the best of them that a budget admits.
//!
//! Parts of the workload that have nothing to do with each other are searched apart; here their sets are put together.

use std::collections::{BTreeSet, HashMap};

use super::explore::Explored;
use super::guard::{size_max, uncrowded, writes_max};
use super::state::{Search, State};
use super::{Part, Task};
use crate::advisor::cost::CostModel;

/// Combinations kept while parts are put together. Beyond it, of combinations of about the same size only the cheapest.
const POINTS_MAX: usize = 2_000;

/// Sets that were planned, by members.
#[derive(Debug, Default)]
pub(super) struct Archive {
    sets: HashMap<Vec<usize>, Entry>,
    /// What is left of a set without what is not worth an index, once that was asked; `None` when all is.
    tidied: HashMap<Vec<usize>, Option<Point>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    total: f64,
    size: u64,
    /// The narrowest search that found it.
    width: usize,
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

impl Point {
    /// Cheapest first, the smaller and shorter of equals.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let cost = self.total.total_cmp(&other.total).then(self.size.cmp(&other.size));
        cost.then(self.set.len().cmp(&other.set.len())).then_with(|| self.set.cmp(&other.set))
    }
}

impl Archive {
    /// Remembers a set as a possible answer. The first way to a set prices it, lest rounding on another way decide.
    pub(super) fn keep(&mut self, state: &State, width: usize) {
        let fresh = Entry { total: state.total, size: state.size, width };
        self.sets.entry(state.members.iter().copied().collect()).or_insert(fresh);
    }

    /// Returns the cheapest set of at most that size.
    pub(super) fn cheapest(&self, most: u64) -> Option<Vec<usize>> {
        let within = self.sets.iter().filter(|(_, entry)| entry.size <= most && entry.total.is_finite());
        let least =
            within.min_by(|(a, one), (b, other)| one.total.total_cmp(&other.total).then(one.size.cmp(&other.size)).then_with(|| a.cmp(b)));
        least.map(|(set, _)| set.clone())
    }
}

impl<M: CostModel + ?Sized> Search<'_, '_, M> {
    /// Returns the best set the budget admits that a search of this width found, not dearer than the one picked before; the
    /// smaller of near-equals.
    pub(super) fn pick(
        &mut self,
        parts: &[Part],
        explored: &mut [Explored],
        task: &Task<'_>,
        width: usize,
        before: Option<&Picked>,
    ) -> Picked {
        // Statements no candidate matters to cost what they cost.
        let bare = parts.iter().map(|part| self.bare_of(part).values().sum::<f64>()).sum::<f64>();
        let constant = (self.guard.workload - bare).max(0.0);
        let mut points = vec![Point { total: constant, size: 0, writes: 0.0, set: Vec::new() }];
        let alone = parts.len() == 1;
        for (part, explored) in parts.iter().zip(explored) {
            let own = self.frontier(part, &mut explored.archive, task, width, alone);
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

    /// Returns the sets of one part that no smaller set beats, cheapest first; each member of each is worth an index.
    fn frontier(&mut self, part: &Part, archive: &mut Archive, task: &Task<'_>, width: usize, alone: bool) -> Vec<Point> {
        let (size_max, writes_max) = (size_max(task), writes_max(task, self.guard.workload));
        let written = |set: &[usize]| set.iter().map(|item| self.writes[*item]).sum::<f64>();
        let nothing = Point { total: self.bare_of(part).values().sum(), size: 0, writes: 0.0, set: Vec::new() };
        let mut open: Vec<Point> = archive
            .sets
            .iter()
            .filter(|(set, entry)| entry.width <= width && entry.size <= size_max && entry.total.is_finite() && !set.is_empty())
            .map(|(set, entry)| Point { total: entry.total, size: entry.size, writes: written(set), set: set.clone() })
            .filter(|point| point.writes <= writes_max && uncrowded(self.prices, &point.set, task))
            .chain([nothing])
            .collect();
        open.sort_by(|a, b| b.order(a));
        // Without a limit to share, each part answers for itself.
        let free = alone || (task.budget.size_max.is_none() && task.budget.write_overhead_max.is_none());
        let slack = self.guard.near * self.guard.workload;
        let mut frontier: Vec<Point> = Vec::new();
        while let Some(point) = open.pop() {
            if free && frontier.first().is_some_and(|best| point.total > best.total + slack) {
                break;
            }
            if frontier.iter().any(|other| other.size <= point.size && (other.writes <= point.writes || writes_max.is_infinite())) {
                continue;
            }
            if !archive.tidied.contains_key(&point.set) {
                let left = self.tidied(part, &point.set).map(|state| {
                    let set: Vec<usize> = state.members.iter().copied().collect();
                    let writes = set.iter().map(|item| self.writes[*item]).sum();
                    Point { total: state.total, size: state.size, writes, set }
                });
                archive.tidied.insert(point.set.clone(), left);
            }
            match archive.tidied.get(&point.set) {
                Some(Some(left)) => {
                    let at = open.partition_point(|other| other.order(left).is_gt());
                    open.insert(at, left.clone());
                }
                _ => frontier.push(point),
            }
        }
        frontier
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
