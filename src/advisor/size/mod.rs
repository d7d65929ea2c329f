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
    let rows = facts.rows * share(facts, candidate);
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
