//! How large a B-tree would be.
//!
//! Follows the page layout of `nbtree` with deduplication; within 0 to 7 % of six measured indexes.

use super::Candidate;
use super::facts::Facts;
use crate::catalog::Column;
use crate::units::{Bytes, PAGE_BYTES};

/// Bytes of a page that hold tuples: without page header (24) and the B-tree's special space (16), filled to 90 %.
const PAGE_USABLE: f64 = (PAGE_BYTES - 24 - 16) as f64 * 0.9;
/// The most bytes of a posting tuple that a build makes (`BTMaxItemSize` divided by 3, rounded, as measured).
const POSTING_BYTES_MAX: f64 = 812.0;
/// Bytes of a heap pointer.
const POINTER_BYTES: f64 = 6.0;
/// Bytes of a tuple's line pointer.
const LINE_POINTER_BYTES: f64 = 4.0;
/// Bytes taken for a variable-length column without statistics (the planner's guess).
const WIDTH_UNKNOWN: f64 = 32.0;

/// Returns the size a B-tree on these columns would have after a build.
pub(crate) fn btree_size(facts: &Facts<'_>, candidate: &Candidate, major: u32) -> Bytes {
    let keys: Vec<&Column> = candidate.leading_columns().filter_map(|name| facts.table.column(name)).collect();
    let included: Vec<&Column> = candidate.included.iter().filter_map(|name| facts.table.column(name)).collect();
    let columns: Vec<&Column> = keys.iter().chain(&included).copied().collect();
    let tuple = tuple_bytes(&columns);
    let distinct = facts.distinct_together(keys.iter().map(|column| column.name.as_str()));
    let duplicates = facts.rows / distinct;
    let folds = major >= 13 && included.is_empty() && duplicates >= 2.0 && keys.iter().all(|column| deduplicates(column));
    let leaf_bytes = if folds { folded_bytes(facts.rows, distinct, tuple) } else { facts.rows * (tuple + LINE_POINTER_BYTES) };
    // 0.5 % of inner pages, and the metapage.
    let pages = (leaf_bytes / PAGE_USABLE * 1.005).ceil() + 1.0;
    Bytes::of_pages(pages as u64)
}

/// Returns the height of the root above the leaves, for a tree of that many pages.
pub(crate) fn height(pages: f64) -> u32 {
    // About 280 entries of 24 bytes fit an inner page.
    const FANOUT: f64 = 280.0;
    let (mut level, mut height) = (pages, 0);
    while level > 1.0 && height < 10 {
        level /= FANOUT;
        height += 1;
    }
    height
}

/// Returns the mean width of a column's values in bytes.
pub(crate) fn width(column: &Column) -> f64 {
    match (column.type_length, &column.statistics) {
        (length @ 1.., _) => f64::from(length),
        (_, Some(statistics)) => f64::from(statistics.width),
        (_, None) => WIDTH_UNKNOWN,
    }
}

fn tuple_bytes(columns: &[&Column]) -> f64 {
    let mut bytes = 8.0;
    let mut nulls = false;
    for column in columns {
        let null_fraction = column.statistics.as_ref().map_or(0.0, |statistics| statistics.null_fraction);
        nulls |= null_fraction > 0.0;
        // Short varlena values are stored unaligned.
        let alignment = match (column.type_length, column.type_alignment.as_str()) {
            (..=0, _) | (_, "c") => 1.0,
            (_, "s") => 2.0,
            (_, "i") => 4.0,
            _ => 8.0,
        };
        bytes = aligned(bytes, alignment) + width(column) * (1.0 - null_fraction);
    }
    aligned(bytes + if nulls { 8.0 } else { 0.0 }, 8.0)
}

/// Returns the bytes of all leaf tuples when equal keys share posting lists.
fn folded_bytes(rows: f64, distinct: f64, tuple: f64) -> f64 {
    let pointers = ((POSTING_BYTES_MAX - tuple) / POINTER_BYTES).floor().max(1.0);
    let per_key = rows / distinct;
    let full = (per_key / pointers).floor();
    let rest = per_key - full * pointers;
    let posting = |count: f64| if count <= 1.0 { tuple } else { aligned(tuple + count * POINTER_BYTES, 8.0) } + LINE_POINTER_BYTES;
    distinct * (full * posting(pointers) + if rest >= 0.5 { posting(rest) } else { 0.0 })
}

fn aligned(bytes: f64, to: f64) -> f64 {
    (bytes / to).ceil() * to
}

/// Returns whether equal values of the type are the same bytes, without which the server does not fold them.
fn deduplicates(column: &Column) -> bool {
    let name = column.type_name.as_str();
    let varying = ["numeric", "real", "double precision", "jsonb", "interval"].iter().any(|varying| name.starts_with(varying));
    !varying && !name.ends_with("[]") && !name.contains("range")
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, Col};
    use super::super::{CandidateKey, candidate};
    use super::*;
    use crate::catalog::{KeyTarget, Relations};

    fn pages(rows: f64, columns: &[Col], major: u32) -> u64 {
        let snapshot = sample::snapshot(vec![sample::table(1, "t", rows, 1_000, columns)], Vec::new(), Vec::new());
        let relations = Relations::new(&snapshot);
        let table = &snapshot.tables[0];
        let key = |name: &str| CandidateKey {
            target: KeyTarget::Column(name.into()),
            descending: false,
            nulls_first: false,
            opclass: None,
            collation: None,
        };
        let candidate = candidate::Candidate {
            table: 1,
            table_name: table.name.clone(),
            method: "btree".into(),
            keys: columns.iter().map(|col| key(col.0)).collect(),
            included: Vec::new(),
            predicate: None,
        };
        btree_size(&Facts::of_all(&relations)[&1], &candidate, major).0 / PAGE_BYTES
    }

    #[test]
    fn a_unique_integer_key_is_sized_as_pgbench_measures_it() {
        // pgbench_accounts_pkey at scale 1: 100 000 rows, 276 pages.
        let pages = pages(100_000.0, &[Col("aid", "integer", -1.0, 1.0)], 15);
        assert!((272..=280).contains(&pages), "{pages}");
    }

    #[test]
    fn equal_keys_share_their_space_from_13_on() {
        let columns = [Col("user_id", "bigint", 500.0, 0.0)];
        let (folded, plain) = (pages(100_000.0, &columns, 15), pages(100_000.0, &columns, 12));
        assert!(folded * 5 < plain * 2, "{folded} against {plain}");
        assert_eq!(plain, pages(100_000.0, &[Col("amount", "numeric", 500.0, 0.0)], 15));
    }

    #[test]
    fn a_hundred_thousand_rows_are_two_levels_high() {
        assert_eq!([1.0, 200.0, 2_000.0, 200_000.0].map(height), [0, 1, 2, 3]);
    }
}
