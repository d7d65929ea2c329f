//! Block range indexes: one summary for 128 heap pages.

use super::super::Candidate;
use super::super::facts::Facts;
use super::values::Values;
use super::{LINE_POINTER, PAGE, PAGE_HEADER, TUPLE_HEADER, aligned};

/// Heap pages a summary stands for (`pages_per_range`).
const RANGE_PAGES: f64 = 128.0;
/// Ranges whose summaries one page of the range map finds.
const MAPPED: f64 = 1360.0;

/// Returns the pages: metapage, range map, summaries of least and greatest values.
pub(super) fn pages(facts: &Facts<'_>, candidate: &Candidate) -> f64 {
    let ranges = (facts.pages / RANGE_PAGES).ceil().max(1.0);
    let values: f64 = candidate.keys.iter().map(|key| 2.0 * Values::of(facts, &key.target).width).sum();
    let summary = aligned(TUPLE_HEADER + values, 8.0) + LINE_POINTER;
    let per_page = ((PAGE - PAGE_HEADER - 8.0) / summary).floor().max(1.0);
    1.0 + (ranges / MAPPED).ceil() + (ranges / per_page).ceil()
}
