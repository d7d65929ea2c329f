//! How large an index would be after a build.
//!
//! Follows the page layout of each access method; B-trees come within a few per cent of measured ones, inverted indexes within
//! tens, since nobody counts their keys.

mod brin;
mod btree;
mod build;
mod gin;
mod gist;
mod hash;
mod values;

use std::collections::HashMap;

use super::Candidate;
use super::facts::Facts;
use crate::catalog::{Oid, Relations, Snapshot};
use crate::units::{Bytes, PAGE_BYTES};

pub(crate) use btree::height;
pub(crate) use build::build_ms;
pub(crate) use gin::keys_per_row;
pub(crate) use values::{Values, width};

/// Bytes of a page's header.
const PAGE_HEADER: f64 = 24.0;
/// Bytes of a tuple's line pointer.
const LINE_POINTER: f64 = 4.0;
/// Bytes of an index tuple's header.
const TUPLE_HEADER: f64 = 8.0;
/// Bytes of a page.
const PAGE: f64 = PAGE_BYTES as f64;

/// Sizes of indexes that a snapshot's database does not have.
#[derive(Debug)]
pub struct Sizes<'a> {
    facts: HashMap<Oid, Facts<'a>>,
    major: u32,
}

impl<'a> Sizes<'a> {
    /// Gathers what the snapshot knows of each table.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self { facts: Facts::of_all(&Relations::new(snapshot)), major: snapshot.server.major() }
    }

    /// Returns the size the index would have after a build; 0 for a table that is not of the snapshot.
    pub fn of(&self, candidate: &Candidate) -> Bytes {
        index_size(&self.facts, candidate, self.major)
    }

    /// Returns the size the index would have after a build over so many of the table's rows, whatever its predicate is thought to keep.
    pub fn of_rows(&self, candidate: &Candidate, rows: f64) -> Bytes {
        self.facts.get(&candidate.table).map_or(Bytes(0), |facts| over_rows(facts, candidate, rows, self.major))
    }

    /// Returns the share of the table's rows that the index would hold, 0 to 1.
    pub fn predicate_share(&self, candidate: &Candidate) -> f64 {
        self.facts.get(&candidate.table).map_or(1.0, |facts| share(facts, candidate))
    }

    /// Returns the rows the index would hold; of a GIN index, `pg_class.reltuples` counts the same.
    pub fn rows(&self, candidate: &Candidate) -> f64 {
        self.facts.get(&candidate.table).map_or(0.0, |facts| facts.rows * share(facts, candidate))
    }

    /// Returns the level of the root above the leaves of a B-tree of that size; 0 for other access methods.
    pub fn height(&self, candidate: &Candidate) -> u32 {
        let pages = (self.of(candidate).0 / PAGE_BYTES).saturating_sub(1);
        if candidate.method == "btree" { height(pages as f64) } else { 0 }
    }
}

/// Returns the size an index would have after a build; 0 for a table without facts.
pub(crate) fn index_size(facts: &HashMap<Oid, Facts<'_>>, candidate: &Candidate, major: u32) -> Bytes {
    facts.get(&candidate.table).map_or(Bytes(0), |facts| size_on(facts, candidate, major))
}

/// Returns the size an index on this table would have after a build.
pub(crate) fn size_on(facts: &Facts<'_>, candidate: &Candidate, major: u32) -> Bytes {
    over_rows(facts, candidate, facts.rows * share(facts, candidate), major)
}

fn over_rows(facts: &Facts<'_>, candidate: &Candidate, rows: f64, major: u32) -> Bytes {
    let pages = match candidate.method.as_str() {
        "gin" => gin::pages(facts, candidate, rows),
        "gist" | "spgist" => gist::pages(facts, candidate, rows),
        "brin" => brin::pages(facts, candidate),
        "hash" => hash::pages(facts, candidate, rows),
        _ => btree::pages(facts, candidate, rows, major),
    };
    Bytes::of_pages(pages.max(1.0).ceil() as u64)
}

/// Returns the share of the table's rows that an index holds, 0 to 1.
pub(crate) fn share(facts: &Facts<'_>, candidate: &Candidate) -> f64 {
    candidate.predicate.as_deref().map_or(1.0, |predicate| facts.predicate_share(predicate).max(1.0 / facts.rows.max(1.0)))
}

/// Returns the bytes rounded up to an alignment.
fn aligned(bytes: f64, to: f64) -> f64 {
    (bytes / to).ceil() * to
}

#[cfg(test)]
mod tests {
    use super::super::CandidateKey;
    use super::super::sample::{self, Col};
    use super::*;
    use crate::catalog::{ElementStatistics, KeyTarget};

    fn table() -> Snapshot {
        let columns = [
            Col("id", "bigint", -1.0, 1.0),
            Col("tags", "text[]", -0.1, 0.0),
            Col("doc", "jsonb", -1.0, 0.0),
            Col("url", "text", -1.0, 0.0),
            Col("during", "tstzrange", -1.0, 0.0),
            Col("deleted", "boolean", 2.0, 0.0),
        ];
        sample::snapshot(vec![sample::table(1, "t", 100_000.0, 12_800, &columns)], Vec::new(), Vec::new())
    }

    fn pages(snapshot: &Snapshot, method: &str, key: CandidateKey) -> u64 {
        let candidate = Candidate { method: method.into(), keys: vec![key], table: 1, ..sample::candidate("t", &[]) };
        Sizes::new(snapshot).of(&candidate).0 / PAGE_BYTES
    }

    #[test]
    fn a_summary_of_ranges_takes_three_pages() {
        // A hundred ranges: metapage, range map, one page of summaries.
        assert_eq!(pages(&table(), "brin", CandidateKey::column("id")), 3);
    }

    #[test]
    fn a_hash_index_does_not_grow_with_its_values() {
        let mut wide = table();
        wide.tables[0].columns[3].statistics.as_mut().unwrap().width = 500;
        let of = |snapshot: &Snapshot| pages(snapshot, "hash", CandidateKey::column("url"));
        // 326 buckets wanted, 512 made.
        assert_eq!((of(&table()), of(&wide)), (514, 514));
    }

    #[test]
    fn an_inverted_index_grows_with_the_keys_of_a_row() {
        let with = |mean: f64| {
            let mut snapshot = table();
            let elements = ElementStatistics {
                common_values: vec!["a".into(), "b".into()],
                common_frequencies: vec![0.5, 0.2, 0.2, 0.5, 0.0],
                count_histogram: vec![1.0, mean],
            };
            snapshot.tables[0].columns[1].statistics.as_mut().unwrap().elements = Some(elements);
            let tags = Candidate { method: "gin".into(), table: 1, ..sample::candidate("t", &["tags"]) };
            let facts = Facts::of_all(&Relations::new(&snapshot));
            (pages(&snapshot, "gin", CandidateKey::column("tags")), keys_per_row(&facts[&1], &tags))
        };
        let (few, many) = (with(0.7), with(20.0));
        assert!(few.0 * 4 < many.0, "{few:?} {many:?}");
        assert_eq!((few.1, many.1), (1.0, 20.0));
    }

    #[test]
    fn the_smaller_class_of_documents_is_smaller() {
        let of = |key: CandidateKey| pages(&table(), "gin", key);
        assert!(of(CandidateKey::column("doc").with_opclass("jsonb_path_ops")) < of(CandidateKey::column("doc")));
        assert!(pages(&table(), "gist", CandidateKey::column("during")) > 500);
    }

    #[test]
    fn what_the_twin_asks_is_answered() {
        let snapshot = table();
        let sizes = Sizes::new(&snapshot);
        let mut candidate = Candidate { table: 1, ..sample::candidate("t", &["id"]) };
        assert_eq!((sizes.height(&candidate), sizes.rows(&candidate), sizes.predicate_share(&candidate)), (1, 100_000.0, 1.0));
        candidate.predicate = Some("(deleted = false)".into());
        assert_eq!(sizes.predicate_share(&candidate), 0.5);
        candidate.table = 99;
        assert_eq!(sizes.of(&candidate), Bytes(0));
    }

    #[test]
    fn expressions_are_as_wide_as_what_they_return() {
        let snapshot = table();
        let facts = Facts::of_all(&Relations::new(&snapshot));
        let width = |text: &str| Values::of(&facts[&1], &KeyTarget::Expression(text.into())).width;
        assert_eq!(
            [width("lower(url)"), width("(doc ->> 'n')::int"), width("date_trunc('day', id)"), width("doc ->> 'k'")],
            [16.0, 4.0, 8.0, 12.0]
        );
    }

    #[test]
    fn a_build_takes_longer_for_more_rows_and_inverted_ones_longest() {
        let snapshot = table();
        let facts = Facts::of_all(&Relations::new(&snapshot));
        let of = |method: &str, column: &str| {
            let candidate = Candidate { method: method.into(), table: 1, ..sample::candidate("t", &[column]) };
            build_ms(&facts[&1], &candidate, size_on(&facts[&1], &candidate, 15))
        };
        let (tree, inverted, summary) = (of("btree", "id"), of("gin", "doc"), of("brin", "id"));
        assert!(summary < tree && tree < inverted, "{summary} {tree} {inverted}");
        assert!((500.0..5_000.0).contains(&tree), "{tree} ms for 100 000 rows in 100 MB");
    }
}
