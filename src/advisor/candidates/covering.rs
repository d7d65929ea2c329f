//! Indexes that hold all a statement reads of a table, so that it need not visit the table.

use super::super::facts::Facts;
use super::super::query::{Access, Block};
use super::super::{CandidateKey, size};
use super::context::Context;
use super::wanted::Wanted;
use super::{Shape, btree};

/// The most columns carried along.
const COLUMNS_MAX: usize = 4;
/// The widest column carried along, in bytes.
const WIDTH_MAX: f64 = 64.0;
/// The most bytes carried along.
const WIDTH_SUM_MAX: f64 = 128.0;
/// The share of pages that must be all-visible for the visits saved to be worth the bytes.
const VISIBLE_MIN: f64 = 0.7;

/// The least rows an access has to fetch for the visits saved to matter: fewer are found in a few pages anyway.
const ROWS_MIN: f64 = 50.0;

/// Returns the covering shapes of an access: the keys that serve all of it, or serve it as the inner side of a join, each
/// with whatever else is read.
pub(super) fn shapes(context: &Context<'_, '_>, facts: &Facts<'_>, block: &Block, position: usize, wanted: &Wanted) -> Vec<Shape> {
    let access = &block.accesses[position];
    // What ends early reads few rows; an inner side reads its few rows many times.
    let rows = facts.rows * wanted.equalities.iter().map(|equality| equality.kept).product::<f64>();
    let many =
        wanted.equalities.iter().any(|equality| equality.join) || (rows >= ROWS_MIN && (block.limit.is_none() || wanted.order.is_empty()));
    if !many || !worthwhile(context, facts, access) {
        return Vec::new();
    }
    let mut shapes: Vec<Shape> = Vec::new();
    let ranges = wanted.ranges.iter().map(|range| vec![range.clone()]);
    for list in
        [btree::best(wanted), btree::joined(wanted), btree::constant(wanted)].into_iter().chain(btree::per_join(wanted)).chain(ranges)
    {
        for width in 1..=list.len().min(context.budget.width_max) {
            let keys = &list[..width];
            if let Some(included) = payload(context, facts, access, keys, &[])
                && !shapes.iter().any(|shape| shape.keys == keys)
            {
                shapes.push(Shape { included, ..Shape::btree(keys.to_vec()) });
            }
        }
    }
    shapes
}

/// Returns whether an index could spare visits to the table at all.
pub(super) fn worthwhile(context: &Context<'_, '_>, facts: &Facts<'_>, access: &Access) -> bool {
    let known = !access.whole_row && !access.columns.is_empty();
    known && facts.all_visible >= VISIBLE_MIN && context.relations.snapshot.server.major() >= 11
}

/// Returns the columns to carry along, when they are few, narrow and never updated; `decided` ones have one value, which the
/// index's predicate says.
pub(super) fn payload(
    context: &Context<'_, '_>,
    facts: &Facts<'_>,
    access: &Access,
    keys: &[CandidateKey],
    decided: &[String],
) -> Option<Vec<String>> {
    // Keys of another operator class or collation return no value to the statement, but columns do.
    let is_key = |name: &String| keys.iter().any(|key| key.target.column() == Some(name) && key.opclass.is_none());
    let included: Vec<String> = access.columns.iter().filter(|name| !is_key(name) && !decided.contains(name)).cloned().collect();
    let widths: Option<Vec<f64>> = included.iter().map(|name| Some(size::width(facts, facts.table.column(name)?))).collect();
    let widths = widths?;
    let narrow = widths.iter().all(|width| *width <= WIDTH_MAX) && widths.iter().sum::<f64>() <= WIDTH_SUM_MAX;
    let still = !included.iter().any(|name| context.is_updated(access.table, name));
    (!included.is_empty() && included.len() <= COLUMNS_MAX && narrow && still).then_some(included)
}
