//! How large an existing B-tree would be if it were built anew.
//!
//! Follows the page layout of `nbtree` with deduplication, and errs on the large side wherever the statistics are unsure:
//! what is called wasted should be.

use crate::catalog::{Column, ColumnStatistics, Index, KeyTarget, Table};
use crate::units::PAGE_BYTES;

/// Bytes of a page that hold tuples: without page header (24) and the B-tree's special space (16).
const PAGE_USABLE: f64 = (PAGE_BYTES - 24 - 16) as f64;

/// 90 %: how full a build leaves the leaf pages unless `fillfactor` says otherwise.
const FILL_PERCENT: f64 = 90.0;

/// The most bytes of a posting tuple that a build makes, as measured.
const POSTING_BYTES_MAX: f64 = 812.0;

/// Bytes of a heap pointer within a posting tuple.
const POINTER_BYTES: f64 = 6.0;

/// Bytes of a tuple's line pointer.
const LINE_POINTER_BYTES: f64 = 4.0;

/// 3000 distinct values are certainly all met in a sample of 30 000 rows; more may be the sample's limit and not the column's.
const DISTINCT_SURE: f64 = 3000.0;

/// 10: how far the planner's count of distinct values may fall short on a large table. A rule of thumb.
const DISTINCT_SHORT: f64 = 10.0;

/// Returns the bytes a build of the index would take; `None` when it is no B-tree or its statistics do not tell.
pub fn rebuilt_bytes(index: &Index, table: &Table, major: u32) -> Option<f64> {
    if index.access_method != "btree" {
        return None;
    }
    let rows = entries(index, table)?;
    let columns = columns(index, table)?;
    let tuple = tuple_bytes(&columns);
    let keys = &columns[..index.keys.len()];
    let distinct: f64 = keys.iter().map(|column| column.distinct(rows)).product::<f64>().min(rows);
    let folds = major >= 13
        && index.included.is_empty()
        && !index.options.iter().any(|option| matches!(option.as_str(), "deduplicate_items=off" | "deduplicate_items=false"))
        && rows / distinct >= 2.0
        && keys.iter().all(|column| column.folds);
    let leaf_bytes = if folds { folded_bytes(rows, distinct, tuple) } else { rows * (tuple + LINE_POINTER_BYTES) };
    let fill = index.options.iter().find_map(|option| option.strip_prefix("fillfactor=")?.parse().ok()).unwrap_or(FILL_PERCENT);
    // 0.5 % of inner pages, and the metapage.
    let pages = (leaf_bytes / (PAGE_USABLE * fill / 100.0) * 1.005).ceil() + 1.0;
    Some(pages * PAGE_BYTES as f64)
}

/// Returns the rows the index has entries for, as far as somebody counted.
fn entries(index: &Index, table: &Table) -> Option<f64> {
    let of_table = table.rows.filter(|&rows| rows > 0.0).map(|_| table.rows_now())?;
    let rows = match index.predicate {
        // The table's own count is the fresher one, and says nothing of a part.
        Some(_) => index.rows.filter(|&rows| rows > 0.0)?,
        None => of_table.max(index.rows.unwrap_or(0.0)),
    };
    Some(rows.max(1.0))
}

/// What the size depends on, of one column of the index.
struct Stored<'a> {
    /// `attlen`.
    length: i16,
    alignment: f64,
    /// Whether equal values are the same bytes, without which the server does not fold them.
    folds: bool,
    statistics: Option<&'a ColumnStatistics>,
}

fn columns<'a>(index: &'a Index, table: &'a Table) -> Option<Vec<Stored<'a>>> {
    let mut expressions = index.expression_statistics.iter();
    let keys = index.keys.iter().map(|key| match &key.target {
        KeyTarget::Column(name) => Stored::column(table.column(name)?),
        KeyTarget::Expression(_) => {
            let statistics = expressions.next()?.as_ref()?;
            // The type is not known: aligned like the widest, and never folded.
            Some(Stored { length: -1, alignment: 8.0, folds: false, statistics: Some(statistics) })
        }
    });
    let included = index.included.iter().map(|name| Stored::column(table.column(name)?));
    keys.chain(included).collect()
}

impl<'a> Stored<'a> {
    /// Returns nothing for a column whose width nobody knows.
    fn column(column: &'a Column) -> Option<Self> {
        if column.type_length < 1 && column.statistics.is_none() {
            return None;
        }
        // Short varlena values are stored unaligned.
        let alignment = match (column.type_length, column.type_alignment.as_str()) {
            (..=0, _) | (_, "c") => 1.0,
            (_, "s") => 2.0,
            (_, "i") => 4.0,
            _ => 8.0,
        };
        let name = column.type_name.as_str();
        let varying = ["numeric", "real", "double precision", "jsonb", "interval"].iter().any(|varying| name.starts_with(varying));
        let folds = !varying && !name.ends_with("[]") && !name.contains("range");
        Some(Self { length: column.type_length, alignment, folds, statistics: column.statistics.as_ref() })
    }

    fn width(&self) -> f64 {
        if self.length > 0 { f64::from(self.length) } else { self.statistics.map_or(0.0, |statistics| f64::from(statistics.width)) }
    }

    fn null_fraction(&self) -> f64 {
        self.statistics.map_or(0.0, |statistics| statistics.null_fraction)
    }

    /// Returns how many different values there may be at most, NULL among them.
    fn distinct(&self, rows: f64) -> f64 {
        let Some(statistics) = self.statistics else { return rows };
        let counted = statistics.distinct_values(rows);
        let unsure = statistics.distinct > DISTINCT_SURE;
        (if unsure { counted * DISTINCT_SHORT } else { counted }) + 1.0
    }
}

fn tuple_bytes(columns: &[Stored<'_>]) -> f64 {
    let mut bytes = 8.0;
    for column in columns {
        bytes = aligned(bytes, column.alignment) + column.width() * (1.0 - column.null_fraction());
    }
    let nulls = columns.iter().any(|column| column.null_fraction() > 0.0);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    /// Returns the pages of an index on 1 000 000 rows whose column `a` has so many distinct values.
    fn pages(sketch: Sketch, distinct: f64, major: u32) -> Option<f64> {
        let mut sample = Sample::of([("x", sketch)]);
        sample.snapshot.tables[0].columns[0].statistics.as_mut().expect("analysed").distinct = distinct;
        rebuilt_bytes(&sample.snapshot.indexes[0], &sample.snapshot.tables[0], major).map(|bytes| bytes / PAGE_BYTES as f64)
    }

    #[test]
    fn a_unique_integer_key_takes_what_pgbench_measures() {
        // pgbench_accounts_pkey at scale 10: 1 000 000 rows, 2745 pages.
        let pages = pages(index("a"), -1.0, 15).unwrap();
        assert!((2700.0..2800.0).contains(&pages), "{pages}");
    }

    #[test]
    fn equal_keys_share_their_space_from_13_on_unless_told_not_to() {
        let folded = pages(index("a"), 100.0, 15).unwrap();
        assert!((800.0..950.0).contains(&folded), "{folded}");
        assert!(pages(index("a"), 100.0, 12).unwrap() > 2700.0);
        assert!(pages(index("a").option("deduplicate_items=off"), 100.0, 15).unwrap() > 2700.0);
        assert!(pages(index("a").include(&["b"]), 100.0, 15).unwrap() > 2700.0);
    }

    #[test]
    fn a_count_of_distinct_values_that_may_fall_short_is_taken_ten_times() {
        assert_eq!(pages(index("a"), 200_000.0, 15), pages(index("a"), -1.0, 15));
    }

    #[test]
    fn fillfactor_and_the_rows_of_a_partial_index_count() {
        let half = pages(index("a").option("fillfactor=45"), -1.0, 15).unwrap();
        assert!((5400.0..5600.0).contains(&half), "{half}");
        let part = pages(index("a").predicate("(b > 1)"), -1.0, 15).unwrap();
        assert!((270.0..280.0).contains(&part), "{part}");
    }

    #[test]
    fn what_nobody_counted_is_not_guessed() {
        assert_eq!(pages(index("lower(a)"), -1.0, 15), None);
        assert_eq!(pages(index("a").method("gin"), -1.0, 15), None);
        let mut sample = Sample::of([("x", index("a"))]);
        sample.snapshot.tables[0].rows = None;
        assert_eq!(rebuilt_bytes(&sample.snapshot.indexes[0], &sample.snapshot.tables[0], 15), None);
    }
}
