//! Which candidates to build: the set with the least cost of statements and writes within a budget.
//!
//! First the planner itself sorts out, statement by statement, which candidates it would ever use ([`prune`]). Every plan it
//! gives is remembered with the indexes it needs, which prices any other set without asking ([`alternatives`]). On these
//! prices a search runs ([`descent`]): growth by gain a byte (*Extend*, Schlosser, Kossmann, Boissier, ICDE 2019), the best
//! exchange, each member's absence, at a ladder of sizes. What it finds is planned, and what that teaches starts it again
//! ([`explore`]). Every set planned is kept; the answer is the best that the budget admits ([`frontier`]).
//!
//! That is also why more never makes the answer worse. What is asked does not depend on the budget, so a larger one only
//! admits more sets. A search of width `w` begins with the whole search of width `w - 1`, and its answer may not be dearer.
//! More time runs the same sequence further.

mod alternatives;
mod descent;
pub(crate) mod drops;
mod explore;
mod frontier;
mod guard;
mod prune;
mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::explore::Explored;
use self::guard::Guard;
use self::state::Search;
use super::Budget;
use super::cost::CostModel;
use super::prices::Prices;
use crate::catalog::Oid;

/// What a selection starts from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    /// Write cost by candidate.
    pub(crate) writes: &'a [f64],
    /// Sets of candidates that help only together.
    pub(crate) groups: &'a [Vec<usize>],
    /// How many indexes each table has.
    pub(crate) existing: &'a HashMap<Oid, usize>,
    /// The limits.
    pub(crate) budget: &'a Budget,
    /// Statements that have a price.
    pub(crate) planned: &'a [usize],
    /// The size of all tables: rungs of the ladder of sizes are shares of it.
    pub(crate) tables_bytes: u64,
}

/// The set chosen, and what was learnt about the rest.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Candidates to build, by number.
    pub(crate) chosen: BTreeSet<usize>,
    /// The best set had there been no budget: what it has more is refused for the budget.
    pub(crate) unbounded: BTreeSet<usize>,
    /// Candidates some plan would use.
    pub(crate) kept: BTreeSet<usize>,
    /// The workload's weighted cost without any candidate.
    pub(crate) workload: f64,
    /// Whether the time was over before the search was.
    pub(crate) cut_short: bool,
}

/// Chooses candidates.
pub(crate) fn select<M: CostModel + ?Sized>(prices: &mut Prices<'_, M>, task: &Task<'_>) -> Selection {
    let none = prices.marks([]);
    prices.fetch(task.planned.iter().map(|query| prices.question(*query, &none)).collect::<Vec<_>>());
    let mut bare = vec![None; prices.relevant.len()];
    for query in task.planned {
        bare[*query] = Some(prices.cost(*query, &none));
    }
    let workload = task.planned.iter().map(|query| bare[*query].unwrap_or_default() * prices.weight(*query)).sum();
    let pools = prune::prune(prices, task, &bare);
    let kept: BTreeSet<usize> = pools.iter().flat_map(|pool| pool.items.iter().copied()).collect();
    prices.retain(&kept);
    let parts = components(prices, &kept, task.planned, &bare);
    let guard = Guard::new(task, workload);
    let mut search = Search { prices, writes: task.writes, guard, bare };
    let mut explored: Vec<Explored> = parts.iter().map(|part| search.unexplored(part)).collect();
    let mut cut_short = false;
    for (at, pool) in pools.iter().enumerate() {
        let width = at + 1;
        let own: Vec<_> = parts.iter().map(|part| pool.within(&part.items)).collect();
        // An answer for every part first, lest the first part take all the time.
        for ((part, own), explored) in parts.iter().zip(&own).zip(&mut explored) {
            // The narrowest even when the time is over: some index is a better answer than none.
            if width == 1 || !cut_short {
                cut_short |= !search.sketch(part, own, explored, width);
            }
        }
        for ((part, own), explored) in parts.iter().zip(&own).zip(&mut explored) {
            cut_short = cut_short || !search.explore(part, own, explored, width, task.tables_bytes);
        }
        if cut_short {
            break;
        }
    }
    // Afterwards, since what is asked for an answer depends on the budget.
    let mut chosen = frontier::Picked::default();
    for width in 1..=pools.len() {
        chosen = search.pick(&parts, &mut explored, task, width, Some(&chosen));
    }
    let free = Budget { size_max: None, indexes_per_table_max: None, write_overhead_max: None, ..task.budget.clone() };
    let unbounded = search.pick(&parts, &mut explored, &Task { budget: &free, ..*task }, pools.len(), None);
    Selection { chosen: chosen.set, unbounded: unbounded.set, kept, workload, cut_short }
}

/// Statements and candidates that have nothing to do with others.
#[derive(Debug, Default)]
struct Part {
    items: BTreeSet<usize>,
    queries: Vec<usize>,
}

/// Parts the workload: candidates belong together that share a table or a statement.
fn components<M: CostModel + ?Sized>(prices: &Prices<'_, M>, kept: &BTreeSet<usize>, planned: &[usize], bare: &[Option<f64>]) -> Vec<Part> {
    let cost = |part: &Part| part.queries.iter().map(|query| bare[*query].unwrap_or_default() * prices.weight(*query)).sum::<f64>();
    let mut root: HashMap<Oid, Oid> = HashMap::new();
    fn find(root: &HashMap<Oid, Oid>, mut table: Oid) -> Oid {
        while let Some(up) = root.get(&table).filter(|up| **up != table) {
            table = *up;
        }
        table
    }
    let table_of = |item: &usize| prices.candidates[*item].table;
    let relevant =
        |query: &usize| prices.relevant[*query].iter().filter(|item| kept.contains(item)).map(table_of).collect::<BTreeSet<Oid>>();
    for query in planned {
        let mut tables = relevant(query).into_iter();
        let Some(first) = tables.next() else { continue };
        for other in tables {
            let (one, other) = (find(&root, first), find(&root, other));
            root.insert(one.max(other), one.min(other));
        }
    }
    let mut parts: BTreeMap<Oid, Part> = BTreeMap::new();
    for item in kept {
        parts.entry(find(&root, table_of(item))).or_default().items.insert(*item);
    }
    for query in planned {
        let first = relevant(query).into_iter().next();
        if let Some(part) = first.and_then(|table| parts.get_mut(&find(&root, table))) {
            part.queries.push(*query);
        }
    }
    let mut parts: Vec<Part> = parts.into_values().collect();
    // The dearest first: time may run out.
    parts.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    parts
}

#[cfg(test)]
mod tests;
