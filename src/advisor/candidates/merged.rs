//! One covering index in the place of several: the same keys, the columns of all.
//!
//! Each statement asks for its own; where there is room for one only, the one that holds what all of them read serves all of
//! them nearly as well (*index merging*, Chaudhuri and Narasayya, ICDE 1999).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::size;
use super::context::Context;
use super::{Candidate, CandidateKey};
use crate::catalog::Oid;

/// The most columns carried along.
const COLUMNS_MAX: usize = 6;
/// The most bytes carried along.
const WIDTH_SUM_MAX: f64 = 128.0;
/// The most merged indexes for one list of keys.
const MERGED_MAX: usize = 12;

/// Covering indexes that may be merged: those of one table, condition and first key.
type Mergeable = BTreeMap<(Oid, Option<String>, CandidateKey), BTreeSet<Arc<Candidate>>>;

/// Returns what covering candidates become together.
pub(super) fn merged<'a>(context: &Context<'_, '_>, candidates: impl Iterator<Item = &'a Arc<Candidate>>) -> Vec<Arc<Candidate>> {
    let mut groups: Mergeable = BTreeMap::new();
    for candidate in candidates.filter(|candidate| candidate.method == "btree" && !candidate.included.is_empty()) {
        let Some(first) = candidate.keys.first() else { continue };
        let group = groups.entry((candidate.table, candidate.predicate.clone(), first.clone())).or_default();
        group.insert(Arc::clone(candidate));
    }
    groups.into_values().flat_map(|group| within(context, group)).collect()
}

/// Merges two by two, and what comes of that again, the narrowest first.
fn within(context: &Context<'_, '_>, given: BTreeSet<Arc<Candidate>>) -> Vec<Arc<Candidate>> {
    let mut all = given.clone();
    let mut counts: BTreeMap<Vec<CandidateKey>, usize> = BTreeMap::new();
    let mut made = Vec::new();
    loop {
        let pairs = given.iter().flat_map(|one| all.iter().map(move |other| (one, other)));
        let unions: BTreeSet<Candidate> = pairs.filter_map(|(one, other)| union(one, other)).collect();
        let new = unions.into_iter().filter(|union| {
            counts.get(&union.keys).is_none_or(|count| *count < MERGED_MAX) && !all.contains(union) && is_narrow(context, union)
        });
        let Some(narrowest) = new.min_by(|a, b| a.included.len().cmp(&b.included.len()).then_with(|| a.cmp(b))) else { return made };
        *counts.entry(narrowest.keys.clone()).or_default() += 1;
        let narrowest = Arc::new(narrowest);
        all.insert(Arc::clone(&narrowest));
        made.push(narrowest);
    }
}

/// Returns the index that does what both do: the longer keys, the columns of both.
fn union(one: &Candidate, other: &Candidate) -> Option<Candidate> {
    let (short, long) = if one.keys.len() <= other.keys.len() { (one, other) } else { (other, one) };
    if long.keys[..short.keys.len()] != short.keys {
        return None;
    }
    let mut included: Vec<String> = long.included.iter().chain(&short.included).cloned().collect();
    included.retain(|name| !long.keys.iter().any(|key| key.target.column() == Some(name)));
    included.sort();
    included.dedup();
    Some(Candidate { included, ..long.clone() })
}

fn is_narrow(context: &Context<'_, '_>, candidate: &Candidate) -> bool {
    let Some(facts) = context.facts.get(&candidate.table) else { return false };
    let widths = candidate.included.iter().filter_map(|name| facts.table.column(name)).map(|column| size::width(facts, column));
    candidate.included.len() <= COLUMNS_MAX && widths.sum::<f64>() <= WIDTH_SUM_MAX
}
