//! Which indexes could go because another does their work, decided for all of a table's indexes at once.
//!
//! Deciding at once keeps the advice sound when all of it is followed: every spare index names one that stays and that
//! covers it, and of two that cover each other exactly one is spare.

use std::cmp::Reverse;

use crate::catalog::{Index, Relations, Table};

use super::cover::{Cover, Definition, cover};
use super::family::index_leaves;

/// An index that another one makes unnecessary.
#[derive(Debug, Clone, Copy)]
pub struct Spare<'a> {
    /// The index that could go.
    pub index: &'a Index,
    /// Its table.
    pub table: &'a Table,
    /// One with the same definition that is preferred to it; it may itself be spare to a wider one.
    pub twin: Option<&'a Index>,
    /// The index that stays and covers it.
    pub kept: &'a Index,
    /// Its size, partitions included.
    pub kept_size_bytes: u64,
    /// How well it does.
    pub cover: Cover,
    /// The size that would be freed, partitions included.
    pub size_bytes: u64,
    /// Its scans, partitions included.
    pub scans: u64,
}

/// Returns every spare index, in the order of the snapshot's tables and indexes.
pub fn spares<'a>(relations: &Relations<'a>) -> Vec<Spare<'a>> {
    let tables = &relations.snapshot.tables;
    tables
        .iter()
        .filter(|table| table.extension.is_none() && table.persistence != "t")
        .flat_map(|table| of_table(table, relations))
        .collect()
}

/// A usable index with what the comparison asks about it.
struct Entry<'a> {
    index: &'a Index,
    definition: Definition<'a>,
    scans: u64,
    size_bytes: u64,
    /// What something other than queries needs stays, whatever covers it.
    bound: bool,
    /// It demands uniqueness only at the end of a transaction.
    deferrable: bool,
}

fn of_table<'a>(table: &'a Table, relations: &Relations<'a>) -> Vec<Spare<'a>> {
    let usable = relations.indexes_of(table.oid).iter().filter(|index| index.usable());
    let entries: Vec<Entry<'a>> = usable.map(|index| Entry::new(index, relations)).collect();
    let replacements: Vec<Vec<(usize, Cover)>> = entries.iter().map(|entry| replacements(entry, &entries)).collect();
    let mut spares = vec![];
    for (entry, found) in entries.iter().zip(&replacements) {
        let stays = |&&(position, _): &&(usize, Cover)| replacements[position].is_empty();
        let best = found.iter().filter(stays).min_by_key(|&&(position, cover)| (cover, entries[position].size_bytes, position));
        let Some(&(position, cover)) = best else { continue };
        let twin = found.iter().filter(|(_, cover)| *cover == Cover::Exact).max_by_key(|&&(position, _)| entries[position].rank());
        spares.push(Spare {
            index: entry.index,
            table,
            twin: twin.map(|&(position, _)| entries[position].index),
            kept: entries[position].index,
            kept_size_bytes: entries[position].size_bytes,
            cover,
            size_bytes: entry.size_bytes,
            scans: entry.scans,
        });
    }
    spares
}

/// Returns the positions of the entries that could take this one's place. A strict order: never both ways, and transitive,
/// so that each entry with a replacement has one that has none.
fn replacements(entry: &Entry<'_>, entries: &[Entry<'_>]) -> Vec<(usize, Cover)> {
    if entry.bound {
        return vec![];
    }
    let replaces = |(position, other): (usize, &Entry<'_>)| {
        let cover_found = cover(&entry.definition, &other.definition)?;
        let mutual = cover(&other.definition, &entry.definition).is_some();
        let takes_its_place = entry.index.oid != other.index.oid && other.enforces(entry) && (!mutual || other.rank() > entry.rank());
        takes_its_place.then_some((position, cover_found))
    };
    entries.iter().enumerate().filter_map(replaces).collect()
}

impl<'a> Entry<'a> {
    fn new(index: &'a Index, relations: &Relations<'a>) -> Self {
        let leaves = index_leaves(index, relations);
        let size_bytes = leaves.iter().map(|leaf| leaf.size_bytes).sum();
        let constraint = relations.constraints_of(index.table).iter().find(|found| Some(&found.name) == index.constraint.as_ref());
        Self {
            index,
            definition: Definition { size_bytes: Some(size_bytes), ..Definition::of(index) },
            scans: leaves.iter().map(|leaf| leaf.usage.scans).sum(),
            size_bytes,
            bound: is_bound(index),
            deferrable: constraint.is_some_and(|found| found.definition.contains(" DEFERRABLE")),
        }
    }

    /// Of two that cover each other the higher stays: what is bound, unique, more used, older.
    fn rank(&self) -> (bool, bool, u64, Reverse<u32>) {
        (self.bound, self.index.unique, self.scans, Reverse(self.index.oid))
    }

    /// Returns whether it also refuses every row the other refuses: a unique index is only replaced by one that is unique
    /// on the very same keys, sees NULLs the same way and does not wait until the end of the transaction.
    fn enforces(&self, other: &Self) -> bool {
        let same_keys = self.definition.keys.len() == other.definition.keys.len();
        let same_nulls = self.index.nulls_not_distinct == other.index.nulls_not_distinct;
        !other.index.unique || (self.index.unique && same_keys && same_nulls && !self.deferrable)
    }
}

/// Returns whether something besides queries needs the index: a constraint, a foreign key's reference, the replica
/// identity, an extension, or the partitioned index it is attached to.
pub fn is_bound(index: &Index) -> bool {
    index.primary
        || index.exclusion
        || index.constraint.is_some()
        || index.referenced
        || index.replica_identity
        || index.extension.is_some()
        || index.parent.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ConstraintKind;
    use crate::findings::sample::{Sample, Sketch, index};

    /// Returns `spare -> kept` for each spare index.
    fn decided(sample: &Sample) -> Vec<String> {
        let spares = spares(&Relations::new(&sample.snapshot));
        spares.iter().map(|spare| format!("{} -> {}", spare.index.name.name, spare.kept.name.name)).collect()
    }

    fn between(x: Sketch, y: Sketch) -> Vec<String> {
        decided(&Sample::of([("x", x), ("y", y)]))
    }

    #[test]
    fn a_chain_of_covers_ends_at_the_one_that_stays() {
        let sample = Sample::of([("x", index("a")), ("y", index("a, b")), ("z", index("a, b, c"))]);
        assert_eq!(decided(&sample), ["x -> z", "y -> z"]);
    }

    #[test]
    fn of_two_that_cover_each_other_one_stays() {
        assert_eq!(between(index("a"), index("a")), ["y -> x"]);
        assert_eq!(between(index("a"), index("a desc")), ["y -> x"]);
        assert_eq!(between(index("a"), index("a").scans(5)), ["x -> y"]);
        assert_eq!(between(index("a").scans(5), index("a").unique()), ["x -> y"]);
    }

    #[test]
    fn a_twin_of_a_covered_index_names_its_twin_and_the_cover() {
        let sample = Sample::of([("x", index("a")), ("twin", index("a")), ("wide", index("a, b"))]);
        assert_eq!(decided(&sample), ["x -> wide", "twin -> wide"]);
        let relations = Relations::new(&sample.snapshot);
        let twins: Vec<_> = spares(&relations).iter().map(|spare| spare.twin.map(|twin| twin.name.name.clone())).collect();
        assert_eq!(twins, [None, Some("x".to_owned())]);
    }

    #[test]
    fn a_unique_index_is_not_redundant_to_a_wider_key() {
        assert!(between(index("a").unique(), index("a, b").constraint("t_pkey")).is_empty());
        assert!(between(index("a").unique(), index("a, b").unique()).is_empty());
        assert_eq!(between(index("a").unique(), index("a").constraint("t_pkey")), ["x -> y"]);
    }

    #[test]
    fn a_unique_index_stays_when_nulls_or_deferral_differ() {
        assert!(between(index("a").unique(), index("a").constraint("t_a_key").with(|index| index.nulls_not_distinct = true)).is_empty());
        let mut sample = Sample::of([("x", index("a").unique()), ("y", index("a").constraint("t_a_key"))]);
        assert_eq!(decided(&sample), ["x -> y"]);
        sample.own_constraint("t_a_key", 1, ConstraintKind::Unique, &["a"]).definition = "UNIQUE (a) DEFERRABLE".to_owned();
        assert!(decided(&sample).is_empty());
    }

    #[test]
    fn an_invalid_index_covers_nothing_and_is_no_spare() {
        assert!(between(index("a"), index("a, b").invalid()).is_empty());
        assert!(between(index("a").invalid(), index("a, b")).is_empty());
        assert!(between(index("a"), index("a, b").with(|index| index.ready = false)).is_empty());
    }

    #[test]
    fn what_something_besides_queries_needs_stays() {
        let bonds: [fn(&mut Index); 6] = [
            |index| index.replica_identity = true,
            |index| index.referenced = true,
            |index| index.exclusion = true,
            |index| index.constraint = Some("c".to_owned()),
            |index| index.extension = Some("postgis".to_owned()),
            |index| index.parent = Some(999),
        ];
        for bond in bonds {
            assert!(between(index("a").with(bond), index("a, b")).is_empty());
            assert_eq!(between(index("a").with(bond), index("a").scans(9)), ["y -> x"]);
        }
    }

    #[test]
    fn both_sides_bound_leaves_nothing_to_say() {
        assert!(between(index("a").constraint("t_pkey"), index("a").constraint("t_a_key")).is_empty());
    }

    #[test]
    fn a_unique_twin_of_a_bound_plain_index_stays() {
        let attached = index("a").with(|index| index.parent = Some(999));
        assert!(between(attached, index("a").unique()).is_empty());
    }

    #[test]
    fn a_partitioned_index_is_as_large_as_its_partitions() {
        let mut sample = Sample::of([("x", index("a").size(0)), ("y", index("a, b").size(0))]);
        sample.snapshot.tables[0].kind = crate::catalog::TableKind::Partitioned;
        sample.table(2, "part");
        for (name, keys, parent) in [("px", "a", 101), ("py", "a, b", 102)] {
            sample.index(name, index(keys).scans(3).with(|index| (index.table, index.parent) = (2, Some(parent))));
        }
        let relations = Relations::new(&sample.snapshot);
        let spares = spares(&relations);
        assert_eq!(decided(&sample), ["x -> y"], "the partitions' own indexes are not reported");
        assert_eq!((spares[0].size_bytes, spares[0].scans), (10 << 20, 3));
    }
}
