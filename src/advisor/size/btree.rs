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

impl Group {
    /// Returns the leaf pages it fills, a fraction where it fills less than one.
    fn leaves(&self, folds: bool) -> f64 {
        let (items, mean, widest) =
            if folds { folded(self) } else { (self.keys * self.rows_per_key, self.tuple + LINE_POINTER, self.tuple + LINE_POINTER) };
        // The last tuple of a leaf becomes its high key, without its posting list, so leaves of lists are filled further.
        let filled = LEAF_FILLED + (mean - self.tuple - LINE_POINTER).max(0.0);
        let per_leaf = if widest - mean < 0.1 * mean {
            // Items of one size: what does not fit whole stays empty.
            (filled / mean).floor().min((PAGE_USABLE / mean).floor() - 1.0).max(1.0)
        } else {
            ((filled - mean / 2.0) / mean).max(1.0)
        };
        items / per_leaf
    }
}

/// Returns the pages of a B-tree over so many rows of the table.
pub(super) fn pages(facts: &Facts<'_>, candidate: &Candidate, rows: f64, major: u32) -> f64 {
    let keys: Vec<Values<'_>> = candidate.keys.iter().map(|key| Values::of(facts, &key.target)).collect();
    let included = candidate.included.iter().map(|name| Values::of(facts, &KeyTarget::Column(name.clone())));
    let all: Vec<Values<'_>> = keys.iter().copied().chain(included).collect();
    let folds = major >= 13 && candidate.included.is_empty() && keys.iter().all(|values| values.folds);
    let rows = rows.max(1.0);
    // Keys lie in order, so each kind of key fills leaves of its own.
    let leaves: f64 = groups(facts, candidate, &keys, &all, rows).iter().map(|group| group.leaves(folds)).sum();
    let leaves = leaves.ceil().max(1.0);
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
        let distinct = kept_keys(only.distinct - common.len() as f64, rest, rest * facts.rows / rows).clamp(1.0, rest.max(1.0));
        if rest >= 1.0 {
            groups.push(Group { keys: distinct, rows_per_key: rest / distinct, tuple: tuple(true) });
        }
        return groups;
    }
    let mut groups = Vec::new();
    let mut add = |share: f64, distinct: f64, tuple: f64| {
        let rows = rows * share;
        if rows >= 1.0 {
            let keys = kept_keys(distinct, rows, facts.rows * share).clamp(1.0, rows);
            groups.push(Group { keys, rows_per_key: rows / keys, tuple });
        }
    };
    add(no_nulls, distinct_of(facts, candidate, keys, &|_| true), tuple(true));
    // NULL is one value: where it stands, the other columns alone tell keys apart.
    add(1.0 - no_nulls, distinct_of(facts, candidate, keys, &|values| values.null_fraction == 0.0), tuple(false));
    groups
}

/// Returns how many keys keep a row when only some of the rows are indexed, those taken at random.
fn kept_keys(distinct: f64, rows: f64, all_rows: f64) -> f64 {
    let distinct = distinct.clamp(1.0, all_rows.max(1.0));
    let share = (rows / all_rows.max(1.0)).min(1.0);
    if share >= 1.0 { distinct } else { distinct * (1.0 - (1.0 - share).powf(all_rows / distinct)) }
}

/// Returns the distinct combinations of the keys that are chosen.
fn distinct_of(facts: &Facts<'_>, candidate: &Candidate, keys: &[Values<'_>], chosen: &dyn Fn(&Values<'_>) -> bool) -> f64 {
    let chosen = || candidate.keys.iter().zip(keys).filter(|(_, values)| chosen(values));
    let columns: Vec<&str> = chosen().filter_map(|(key, _)| key.target.column()).collect();
    let expressions = chosen().filter(|(key, _)| key.target.column().is_none()).map(|(_, values)| values.distinct);
    facts.distinct_together(&columns) * expressions.product::<f64>()
}

/// Returns the leaf tuples of a group whose equal keys share posting lists, and their mean and greatest bytes with line pointers.
fn folded(group: &Group) -> (f64, f64, f64) {
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
    let widest = if full > 0.0 { posting(most) } else { bytes / tuples };
    (group.keys * tuples, bytes / tuples, widest)
}

/// Returns the mean bytes of a key whose rows are Poisson distributed with this mean, keys without rows left out.
fn by_chance(mean: f64, posting: &dyn Fn(f64) -> f64) -> f64 {
    // mean = rate / (1 - e^-rate), which grows with the rate from 1 on: solved by halving.
    let (mut low, mut high) = (0.0, mean);
    for _ in 0..40 {
        let rate = f64::midpoint(low, high);
        if rate / (1.0 - (-rate).exp()).max(f64::MIN_POSITIVE) < mean { low = rate } else { high = rate }
    }
    let rate = high;
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

#[cfg(test)]
mod tests {
    use super::super::super::sample::{self, Col};
    use super::super::size_on;
    use super::*;
    use crate::catalog::{ExtendedFound, ExtendedStatistics, QualifiedName, Relations, Snapshot};
    use crate::units::PAGE_BYTES;

    fn snapshot(rows: f64, columns: &[Col]) -> Snapshot {
        sample::snapshot(vec![sample::table(1, "t", rows, 1_000, columns)], Vec::new(), Vec::new())
    }

    fn pages_on(snapshot: &Snapshot, keys: &[&str], change: impl FnOnce(&mut Candidate), major: u32) -> u64 {
        let relations = Relations::new(snapshot);
        let mut candidate = Candidate { table: 1, ..sample::candidate("t", keys) };
        change(&mut candidate);
        size_on(&Facts::of_all(&relations)[&1], &candidate, major).0 / PAGE_BYTES
    }

    fn pages(rows: f64, columns: &[Col], major: u32) -> u64 {
        let keys: Vec<&str> = columns.iter().map(|col| col.0).collect();
        pages_on(&snapshot(rows, columns), &keys, |_| {}, major)
    }

    #[test]
    fn a_unique_integer_key_is_sized_as_pgbench_measures_it() {
        // pgbench_accounts_pkey at scale 1: 100 000 rows, 276 pages.
        assert_eq!(pages(100_000.0, &[Col("aid", "integer", -1.0, 1.0)], 15), 276);
    }

    #[test]
    fn equal_keys_share_their_space_from_13_on() {
        let columns = [Col("user_id", "bigint", 500.0, 0.0)];
        let (folded, plain) = (pages(100_000.0, &columns, 15), pages(100_000.0, &columns, 12));
        assert!(folded * 5 < plain * 2, "{folded} against {plain}");
        assert_eq!(plain, pages(100_000.0, &[Col("amount", "numeric", 500.0, 0.0)], 15));
        let including = pages_on(&snapshot(100_000.0, &columns), &["user_id"], |index| index.included.push("user_id".into()), 15);
        assert!(including >= plain, "{including} against {plain}");
    }

    #[test]
    fn combinations_are_counted_by_extended_statistics_where_there_are_some() {
        let mut snapshot = snapshot(100_000.0, &[Col("city", "integer", 2_000.0, 0.0), Col("country", "integer", 50.0, 0.0)]);
        let independent = pages_on(&snapshot, &["city", "country"], |_| {}, 15);
        snapshot.extended_statistics.push(ExtendedStatistics {
            oid: 1,
            name: QualifiedName::new("public", "s"),
            table: 1,
            definition: String::new(),
            columns: vec!["city".into(), "country".into()],
            expressions: Vec::new(),
            found: Some(ExtendedFound { distinct: Some("{\"1, 2\": 2000}".into()), ..ExtendedFound::default() }),
            expression_statistics: Vec::new(),
        });
        let together = pages_on(&snapshot, &["city", "country"], |_| {}, 15);
        assert!(together * 2 < independent, "{together} against {independent}");
    }

    #[test]
    fn a_partial_index_holds_its_share_of_the_rows() {
        let mut snapshot = snapshot(100_000.0, &[Col("id", "bigint", -1.0, 1.0), Col("status", "text", 4.0, 0.0)]);
        let statistics = snapshot.tables[0].columns[1].statistics.as_mut().unwrap();
        (statistics.common_values, statistics.common_frequencies) = (vec!["done".into(), "failed".into()], vec![0.95, 0.05]);
        let whole = pages_on(&snapshot, &["id"], |_| {}, 15);
        let partial = pages_on(&snapshot, &["id"], |index| index.predicate = Some("(status = 'failed'::text)".into()), 15);
        assert_eq!((whole, partial), (276, 16));
    }

    #[test]
    fn nulls_share_one_key() {
        let mut snapshot = snapshot(100_000.0, &[Col("at", "timestamp with time zone", -0.1, 0.0)]);
        snapshot.tables[0].columns[0].statistics.as_mut().unwrap().null_fraction = 0.9;
        let pages = pages_on(&snapshot, &["at"], |_| {}, 15);
        assert!((100..108).contains(&pages), "{pages}");
    }

    #[test]
    fn a_hundred_thousand_rows_are_two_levels_high() {
        assert_eq!([1.0, 200.0, 2_000.0, 200_000.0].map(height), [0, 1, 2, 3]);
    }
}
