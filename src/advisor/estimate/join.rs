//! Blocks of several tables: which is read first, and how the others are joined to it.

use super::super::cost::UsedIndex;
use super::super::query::{Access, Block, Condition, Operand};
use super::scan::{Order, Path, Scans};

/// The cheapest way found for a block.
pub(crate) struct Found {
    /// Cost of all its runs.
    pub(crate) cost: f64,
    /// Rows that reach grouping and limit in one run.
    pub(crate) rows: f64,
    /// Indexes used.
    pub(crate) used: Vec<UsedIndex>,
}

/// Tables tried as the first of a join; beyond that the others are too unlikely to be worth the time.
const FIRST_TABLES_TRIED: usize = 6;
/// Bytes taken for a row that is sorted or hashed.
const ROW_BYTES: f64 = 100.0;

/// A join under construction.
#[derive(Clone)]
struct Partial {
    cost: f64,
    rows: f64,
    ordered: bool,
    used: Vec<UsedIndex>,
}

/// Returns the cheapest plan of a block that is run `times` times with other outer values; `None` when a table is unknown.
pub(crate) fn cheapest(scans: &Scans<'_, '_>, block: &Block, limit: Option<f64>, times: f64) -> Option<Found> {
    if block.accesses.is_empty() {
        return Some(Found { cost: 0.0, rows: 1.0, used: Vec::new() });
    }
    let each = once(scans, block, limit, times, true)?;
    let repeated = Found { cost: each.cost * times, rows: each.rows, used: each.used };
    if !block.correlated || times <= 1.0 {
        return Some(repeated);
    }
    // Read it all at once, without the outer values, and look them up in a hash of the result.
    let all = once(scans, block, None, 1.0, false)?;
    let constants = scans.constants;
    let hashed = all.cost + all.rows * (constants.cpu_operator + constants.cpu_tuple) + times * constants.cpu_operator;
    Some(if hashed < repeated.cost { Found { cost: hashed, rows: each.rows, used: all.used } } else { repeated })
}

fn once(scans: &Scans<'_, '_>, block: &Block, limit: Option<f64>, runs: f64, outer_known: bool) -> Option<Found> {
    let order = wanted(block);
    let mut first: Vec<usize> = (0..block.accesses.len()).collect();
    if first.len() > FIRST_TABLES_TRIED {
        let kept = |access: &Access| {
            scans.facts.get(&access.table).map_or(f64::MAX, |facts| facts.rows * facts.kept(access, |condition| !condition.is_join()))
        };
        first.sort_by(|a, b| kept(&block.accesses[*a]).total_cmp(&kept(&block.accesses[*b])).then(a.cmp(b)));
        first.truncate(FIRST_TABLES_TRIED);
    }
    let mut best: Option<Found> = None;
    for start in first {
        // An order can be kept only when all its keys are of the table read first.
        let order: Vec<_> = if order.iter().all(|(access, ..)| *access == start) {
            order.iter().map(|(_, column, down, nulls)| (*column, *down, *nulls)).collect()
        } else {
            Vec::new()
        };
        for keep_order in [false, true] {
            if keep_order && order.is_empty() {
                continue;
            }
            let Some(joined) = joined(scans, block, start, if keep_order { &order } else { &[] }, runs, outer_known)? else { continue };
            let found = finished(scans, block, joined, limit, keep_order);
            if best.as_ref().is_none_or(|best| found.cost < best.cost) {
                best = Some(found);
            }
        }
    }
    best
}

/// Returns the order that spares a sort or a hash: `ORDER BY`, else the grouping's columns.
fn wanted(block: &Block) -> Vec<(usize, &str, bool, bool)> {
    // Indexes on expressions are not priced here, so no such order is had.
    let by_expression = block.sort.iter().any(|key| key.of.column().is_none()) || block.grouping.iter().any(|of| of.column().is_none());
    if block.sort_by_expression || by_expression {
        return Vec::new();
    }
    if !block.sort.is_empty() && !block.grouped {
        return block.sort.iter().filter_map(|key| Some((key.of.access, key.of.column()?, key.descending, key.nulls_first))).collect();
    }
    block.grouping.iter().filter_map(|of| Some((of.access, of.column()?, false, false))).collect()
}

/// Joins all tables, beginning with `start`; the inner `None` when the order cannot be had.
fn joined(scans: &Scans<'_, '_>, block: &Block, start: usize, order: &Order<'_>, runs: f64, outer_known: bool) -> Option<Option<Partial>> {
    let keep_order = !order.is_empty();
    let mut bound = vec![start];
    let first = scans.paths(&block.accesses[start], order, runs, &|condition| has_value(condition, &[], outer_known))?;
    let Some(first) = cheapest_path(first.into_iter().filter(|path| !keep_order || path.ordered)) else { return Some(None) };
    let mut partial = Partial { cost: first.cost, rows: first.rows, ordered: keep_order, used: first.used.into_iter().collect() };
    while bound.len() < block.accesses.len() {
        let mut rest: Vec<usize> = (0..block.accesses.len()).filter(|access| !bound.contains(access)).collect();
        if rest.iter().any(|access| connected(block, *access, &bound)) {
            rest.retain(|access| connected(block, *access, &bound));
        }
        let mut best: Option<(usize, Partial)> = None;
        for access in rest {
            let next = with(scans, &block.accesses[access], &bound, &partial, runs, outer_known, keep_order)?;
            // Fewer rows first where the cost is the same.
            if best.as_ref().is_none_or(|(_, best)| (next.cost, next.rows) < (best.cost, best.rows)) {
                best = Some((access, next));
            }
        }
        let Some((access, next)) = best else { break };
        bound.push(access);
        partial = next;
    }
    Some(Some(partial))
}

/// Joins one more table: by look-ups for each row so far, or by a hash of the table.
fn with(
    scans: &Scans<'_, '_>,
    access: &Access,
    bound: &[usize],
    so_far: &Partial,
    runs: f64,
    outer_known: bool,
    keep_order: bool,
) -> Option<Partial> {
    let constants = scans.constants;
    let outer = so_far.rows.max(1.0);
    let looked_up = scans.paths(access, &[], outer * runs, &|condition| has_value(condition, bound, outer_known))?;
    let looked_up = cheapest_path(looked_up.into_iter())?;
    let rows = (outer * looked_up.rows).max(1.0);
    // Look-ups without an index read the table once and keep it, then compare every pair of rows.
    let facts = scans.facts.get(&access.table)?;
    let nested = match &looked_up.used {
        Some(_) => looked_up.cost * outer,
        None => looked_up.cost + outer * facts.rows * facts.kept(access, |condition| !condition.is_join()) * constants.cpu_operator,
    } + rows * constants.cpu_tuple;
    let scanned = cheapest_path(scans.paths(access, &[], runs, &|condition| has_value(condition, &[], outer_known))?.into_iter())?;
    let spill = if scanned.rows * ROW_BYTES > constants.work_mem {
        2.0 * (scanned.rows + outer) * ROW_BYTES / 8192.0 * constants.seq_page
    } else {
        0.0
    };
    let hashed = scanned.cost
        + scanned.rows * (constants.cpu_operator + constants.cpu_tuple)
        + outer * constants.cpu_operator
        + rows * constants.cpu_tuple
        + spill;
    let joins_by_value =
        access.conditions.iter().any(|condition| matches!(condition.operand, Operand::Joined { access, .. } if bound.contains(&access)));
    // A hash join in batches loses the order, and gives no first row before the whole table is hashed.
    let by_hash = !keep_order && joins_by_value && hashed < nested;
    let (cost, used) = if by_hash { (hashed, scanned.used) } else { (nested, looked_up.used) };
    Some(Partial { cost: so_far.cost + cost, rows, ordered: so_far.ordered, used: so_far.used.iter().cloned().chain(used).collect() })
}

/// Adds grouping, sorting and the end at the limit.
fn finished(scans: &Scans<'_, '_>, block: &Block, joined: Partial, limit: Option<f64>, ordered: bool) -> Found {
    let constants = scans.constants;
    let Partial { mut cost, rows, used, .. } = joined;
    let mut out = rows;
    let mut blocking = false;
    if block.aggregate {
        cost += rows * constants.cpu_operator;
        out = 1.0;
        blocking = true;
    } else if block.grouped {
        let keys = block.grouping.len().max(1) as f64;
        let distinct: f64 = block
            .grouping
            .iter()
            .filter_map(|of| Some(scans.facts.get(&block.accesses[of.access].table)?.distinct(of.column()?)))
            .product();
        out = if block.grouping.is_empty() { rows * 0.1 } else { distinct.min(rows) }.max(1.0);
        cost += rows * keys * constants.cpu_operator + out * constants.cpu_tuple;
        // Hashing touches memory for every row, where groups that arrive in order need none.
        if !ordered {
            cost += rows * constants.cpu_operator;
            blocking = true;
        }
    }
    let sorts = !block.sort.is_empty() || block.sort_by_expression;
    if sorts && (!ordered || block.grouped) {
        cost += constants.sort(out, limit, ROW_BYTES);
        blocking = true;
    }
    if let Some(limit) = limit
        && !blocking
    {
        cost *= (limit / out.max(1.0)).min(1.0).max(1.0 / out.max(1.0));
        cost += constants.descent(rows, 1);
    }
    Found { cost, rows, used }
}

fn cheapest_path(paths: impl Iterator<Item = Path>) -> Option<Path> {
    paths.min_by(|a, b| a.cost.total_cmp(&b.cost).then_with(|| a.used.cmp(&b.used)))
}

/// Returns whether a condition's other side is at hand when the `bound` tables have been read.
fn has_value(condition: &Condition, bound: &[usize], outer_known: bool) -> bool {
    match condition.operand {
        Operand::Joined { access, .. } => bound.contains(&access),
        Operand::Outer => outer_known,
        _ => true,
    }
}

fn connected(block: &Block, access: usize, bound: &[usize]) -> bool {
    let to_bound = |condition: &Condition| matches!(condition.operand, Operand::Joined { access, .. } if bound.contains(&access));
    let from_bound = |condition: &Condition| matches!(condition.operand, Operand::Joined { access: other, .. } if other == access);
    block.accesses[access].conditions.iter().any(to_bound)
        || bound.iter().any(|bound| block.accesses[*bound].conditions.iter().any(from_bound))
}
