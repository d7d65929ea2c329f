//! The two kinds that answer one question cheaply: BRIN for ranges of columns in the table's own order, hash for wide values.

use super::super::facts::Facts;
use super::super::query::Access;
use super::super::{CandidateKey, size};
use super::Shape;
use super::wanted::Wanted;
use crate::catalog::KeyTarget;

/// How well the rows must lie in the order of the values.
const CORRELATION_MIN: f64 = 0.95;
/// The least pages of a table, 80 MB, for which reading ranges of 128 pages is little.
const PAGES_MIN: f64 = 10_000.0;
/// Values wider than this make a B-tree several times the size of a hash index.
const WIDE: f64 = 64.0;

/// Returns the BRIN and hash shapes of an access.
pub(super) fn shapes(facts: &Facts<'_>, access: &Access, wanted: &Wanted) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for key in &wanted.ranges {
        let Some(name) = key.target.column() else { continue };
        let correlation = facts.statistics(name).and_then(|statistics| statistics.correlation).unwrap_or_default();
        let bounded = access.conditions.iter().any(|condition| condition.column == name && condition.is_range());
        if bounded && key.opclass.is_none() && correlation.abs() >= CORRELATION_MIN && facts.pages >= PAGES_MIN {
            shapes.push(Shape::of_method("brin", vec![CandidateKey::column(name)]));
        }
    }
    for equality in &wanted.equalities {
        let KeyTarget::Column(name) = &equality.key.target else { continue };
        let Some(column) = facts.table.column(name) else { continue };
        let text = column.type_category == "S" || column.type_name == "bytea";
        if text && size::width(facts, column) > WIDE && !wanted.orders(name) {
            shapes.push(Shape::of_method("hash", vec![CandidateKey::column(name)]));
        }
    }
    shapes
}
