//! Hash indexes: four bytes a row, in a number of buckets fixed by the rows at the build.

use super::super::Candidate;
use super::super::facts::Facts;
use super::values::Values;
use super::{LINE_POINTER, PAGE, PAGE_HEADER};

/// Bytes of a tuple: header and hash value, aligned, with its line pointer.
const ENTRY: f64 = 16.0 + LINE_POINTER;
/// The share of a bucket's page that a build plans to fill.
const FILLED: f64 = 0.75;
/// Up to this many buckets their number doubles at once, beyond in four steps.
const DOUBLED_AT_ONCE: f64 = 512.0;

/// Returns the pages: metapage, bitmap, buckets, and the overflow pages of values that many rows share.
pub(super) fn pages(facts: &Facts<'_>, candidate: &Candidate, rows: f64) -> f64 {
    let per_bucket = (PAGE * FILLED / ENTRY).floor();
    let buckets = rounded((rows / per_bucket).max(2.0));
    let fits = ((PAGE - PAGE_HEADER - 16.0) / ENTRY).floor();
    let common = candidate.keys.first().map_or(&[][..], |key| Values::of(facts, &key.target).common());
    let overflow: f64 = common.iter().map(|share| (share * rows / fits).floor()).sum();
    2.0 + buckets + overflow
}

/// Returns the buckets that a build makes for at least so many.
fn rounded(wanted: f64) -> f64 {
    let mut power = 2.0;
    while power < wanted && power < DOUBLED_AT_ONCE {
        power *= 2.0;
    }
    while power < wanted {
        let step = power / 4.0;
        match (1..=4).map(|steps| power + step * f64::from(steps)).find(|buckets| *buckets >= wanted) {
            Some(buckets) => return buckets,
            None => power *= 2.0,
        }
    }
    power
}
