//! B-trees: sorted tuples, equal keys folded into posting lists from 13 on.

use super::super::Candidate;
use super::super::facts::Facts;
use super::values::Values;
use super::{LINE_POINTER, PAGE, PAGE_HEADER, TUPLE_HEADER, aligned};
use crate::catalog::KeyTarget;

/// Bytes of a page for line pointers and tuples: without header and the special space of 16 bytes.
const PAGE_USABLE: f64 = PAGE - PAGE_HEADER - 16.0;
/// Bytes a build fills of a leaf: all but a tenth of the page, and the line pointer of the high key.
const LEAF_FILLED: f64 = PAGE_USABLE - LINE_POINTER - PAGE / 10.0;
/// Entries of 16 bytes that a build puts on an inner page, filled to 70 %.
const FANOUT: f64 = 284.0;
/// The most bytes of a posting tuple that a build makes: a tenth of a page, less a line pointer, aligned down.
const POSTING_MAX: f64 = 808.0;
/// Bytes of a heap pointer.
const POINTER: f64 = 6.0;
/// Up to this many rows a key, keys are taken to differ in how many they have.
const FEW: f64 = 8.0;

/// Equal keys that have so many rows each.
struct Group {
    keys: f64,
    rows_per_key: f64,
    tuple: f64,
}

/// Returns the pages of a B-tree over so many rows of the table.
pub(super) fn pages(facts: &Facts<'_>, candidate: &Candidate, rows: f64, major: u32) -> f64 {
    let keys: Vec<Values<'_>> = candidate.keys.iter().map(|key| Values::of(facts, &key.target)).collect();
    let included = candidate.included.iter().map(|name| Values::of(facts, &KeyTarget::Column(name.clone())));
    let all: Vec<Values<'_>> = keys.iter().copied().chain(included).collect();
    let folds = major >= 13 && candidate.included.is_empty() && keys.iter().all(|values| values.folds);
    let rows = rows.max(1.0);
    let (mut items, mut bytes, mut widest, mut truncated) = (0.0, 0.0, 0.0_f64, 0.0_f64);
    for group in groups(facts, candidate, &keys, &all, rows) {
        let (count, size) = if folds { folded(&group) } else { (group.keys * group.rows_per_key, group.tuple + LINE_POINTER) };
        items += count;
        bytes += count * size;
        widest = widest.max(size);
        truncated = truncated.max((size - group.tuple - LINE_POINTER).max(0.0));
    }
    let leaves = leaves(items, bytes, widest, truncated);
    // Inner pages hold one key a child, and the metapage comes first.
    let inner = (TUPLE_HEADER + keys.first().map_or(8.0, |values| aligned(values.width, 8.0))).max(16.0);
    let fanout = (FANOUT * 20.0 / (inner + LINE_POINTER)).max(4.0);
    let (mut level, mut total) = (leaves, leaves);
    while level > 1.0 {
        level = (level / fanout).ceil();
        total += level;
    }
    total + 1.0
}

/// Returns the height of the root above the leaves, for a tree of that many pages.
pub(crate) fn height(pages: f64) -> u32 {
    let (mut level, mut height) = (pages, 0);
    while level > 1.0 && height < 10 {
        level /= FANOUT;
        height += 1;
    }
    height
}

/// Returns the leaf pages of so many items; a build fills a leaf until the next item would pass the mark.
fn leaves(items: f64, bytes: f64, widest: f64, truncated: f64) -> f64 {
    let mean = bytes / items.max(1.0);
    // The last tuple of a leaf becomes its high key, without its posting list, so leaves of lists are filled further.
    let filled = LEAF_FILLED + truncated.min(mean);
    let per_leaf = if widest - mean < 1.0 {
        // Items of one size: what does not fit whole stays empty.
        (filled / mean).floor().min((PAGE_USABLE / mean).floor() - 1.0).max(1.0)
    } else {
        ((filled - mean / 2.0) / mean).max(1.0)
    };
    (items / per_leaf).ceil().max(1.0)
}

/// Divides the rows into keys that are alike: NULLs, each of the most common values, all others.
fn groups(facts: &Facts<'_>, candidate: &Candidate, keys: &[Values<'_>], all: &[Values<'_>], rows: f64) -> Vec<Group> {
    let tuple = |without_null: bool| {
        let header = if without_null { TUPLE_HEADER } else { 2.0 * TUPLE_HEADER };
        let present = |values: &Values<'_>| {
            if without_null || keys.len() > 1 { values.width * if without_null { 1.0 } else { 1.0 - values.null_fraction } } else { 0.0 }
        };
        aligned(all.iter().fold(header, |bytes, values| aligned(bytes, values.alignment) + present(values)), 8.0)
    };
    let no_nulls: f64 = all.iter().map(|values| 1.0 - values.null_fraction).product();
    if let [only] = keys
        && all.len() == 1
    {
        let mut groups = Vec::new();
        if only.null_fraction > 0.0 {
            groups.push(Group { keys: 1.0, rows_per_key: rows * only.null_fraction, tuple: tuple(false) });
        }
        // In a partial index the shares are other ones.
        let common: &[f64] = if candidate.predicate.is_none() { only.common() } else { &[] };
        groups.extend(common.iter().map(|share| Group { keys: 1.0, rows_per_key: (rows * share).max(1.0), tuple: tuple(true) }));
        let rest = (rows * (1.0 - only.null_fraction - common.iter().sum::<f64>())).max(0.0);
        let distinct = (only.distinct - common.len() as f64).clamp(1.0, rest.max(1.0));
        if rest >= 1.0 {
            groups.push(Group { keys: distinct, rows_per_key: rest / distinct, tuple: tuple(true) });
        }
        return groups;
    }
    let distinct = distinct_of(facts, candidate, keys).clamp(1.0, rows);
    let group = |share: f64, tuple: f64| Group { keys: (distinct * share).max(1.0), rows_per_key: (rows / distinct).max(1.0), tuple };
    let mut groups = vec![group(no_nulls, tuple(true))];
    if no_nulls < 1.0 {
        groups.push(group(1.0 - no_nulls, tuple(false)));
    }
    groups
}

fn distinct_of(facts: &Facts<'_>, candidate: &Candidate, keys: &[Values<'_>]) -> f64 {
    let columns: Vec<&str> = candidate.keys.iter().filter_map(|key| key.target.column()).collect();
    let expressions = candidate.keys.iter().zip(keys).filter(|(key, _)| key.target.column().is_none()).map(|(_, values)| values.distinct);
    facts.distinct_together(&columns) * expressions.product::<f64>()
}

/// Returns the leaf tuples of a group whose equal keys share posting lists, and their mean bytes with line pointers.
fn folded(group: &Group) -> (f64, f64) {
    let most = ((POSTING_MAX - group.tuple) / POINTER).floor().max(1.0);
    let posting = |count: f64| if count <= 1.0 { group.tuple } else { aligned(group.tuple + count * POINTER, 8.0) } + LINE_POINTER;
    let between = |count: f64| {
        let part = count.fract();
        posting(count.floor()) * (1.0 - part) + posting(count.ceil()) * part
    };
    let per_key = group.rows_per_key.max(1.0);
    let full = (per_key / most).floor();
    let rest = per_key - full * most;
    let bytes = if per_key < FEW {
        // Neither all keys alike nor all by chance: the mean of both.
        f64::midpoint(between(per_key), by_chance(per_key, &posting))
    } else {
        full * posting(most) + if rest >= 0.5 { between(rest.max(1.0)) } else { 0.0 }
    };
    let tuples = if per_key < FEW { 1.0 } else { full + if rest >= 0.5 { 1.0 } else { 0.0 } };
    (group.keys * tuples, bytes / tuples)
}

/// Returns the mean bytes of a key whose rows are Poisson distributed with this mean, keys without rows left out.
fn by_chance(mean: f64, posting: &dyn Fn(f64) -> f64) -> f64 {
    // mean = rate / (1 - e^-rate), solved by iteration.
    let mut rate = mean;
    for _ in 0..50 {
        rate = mean * (1.0 - (-rate).exp());
    }
    if rate < 1e-6 {
        return posting(1.0);
    }
    let mut probability = (-rate).exp() / (1.0 - (-rate).exp());
    (1..40)
        .map(|count| {
            probability *= rate / f64::from(count);
            probability * posting(f64::from(count))
        })
        .sum()
}
