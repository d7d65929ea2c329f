//! A table with its partitions as one thing: what storage and use they have together.

use crate::catalog::{Index, Relations, Table, TableKind, TableUsage};
use crate::units::PAGE_BYTES;

/// A table and, where it is partitioned, everything below it.
#[derive(Debug)]
pub struct Family<'a> {
    /// The tables that hold rows: the table itself, or its partitions' leaves.
    pub leaves: Vec<&'a Table>,
}

impl<'a> Family<'a> {
    /// Gathers a table's leaves.
    pub fn of(table: &'a Table, relations: &Relations<'a>) -> Self {
        let mut leaves = vec![];
        let mut open = vec![table];
        while let Some(table) = open.pop() {
            match table.kind {
                TableKind::Partitioned => open.extend(relations.children_of(table.oid).filter(|child| child.is_partition)),
                TableKind::Table | TableKind::MaterializedView => leaves.push(table),
            }
        }
        Self { leaves }
    }

    /// Returns the heap pages there are now.
    pub fn pages(&self) -> u64 {
        self.leaves.iter().map(|leaf| leaf.heap_bytes / PAGE_BYTES).sum()
    }

    /// Returns the rows the planner would assume now.
    pub fn rows(&self) -> f64 {
        self.leaves.iter().map(|leaf| leaf.rows_now()).sum()
    }

    /// Returns a sum over the leaves' usage.
    pub fn total(&self, count: impl Fn(&TableUsage) -> u64) -> u64 {
        self.leaves.iter().map(|leaf| count(&leaf.usage)).sum()
    }
}

/// Returns an index and, where it is partitioned, the indexes of the partitions that have storage.
pub fn index_leaves<'a>(index: &'a Index, relations: &Relations<'a>) -> Vec<&'a Index> {
    let mut leaves = vec![];
    let mut open = vec![index];
    while let Some(index) = open.pop() {
        let before = open.len();
        if relations.table(index.table).is_some_and(|table| table.kind == TableKind::Partitioned) {
            open.extend(relations.snapshot.indexes.iter().filter(|child| child.parent == Some(index.oid)));
        }
        if open.len() == before {
            leaves.push(index);
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, index};

    #[test]
    fn a_partitioned_table_is_the_sum_of_its_leaves() {
        let mut sample = Sample::new();
        sample.table(1, "root").kind = TableKind::Partitioned;
        sample.table(2, "middle").kind = TableKind::Partitioned;
        for (oid, parent) in [(2, 1), (3, 1), (4, 2), (5, 2)] {
            if oid > 2 {
                sample.table(oid, "leaf");
            }
            let child = sample.snapshot.tables.iter_mut().find(|table| table.oid == oid).unwrap();
            (child.parent, child.is_partition) = (Some(parent), true);
        }
        let top = sample.index("top", index("a").size(0)).oid;
        sample.index("bottom", index("a").with(|index| (index.table, index.parent) = (3, Some(top))));
        let relations = Relations::new(&sample.snapshot);
        let family = Family::of(relations.table(1).unwrap(), &relations);
        assert_eq!((family.leaves.len(), family.pages(), family.rows()), (3, 30_000, 3_000_000.0));
        assert_eq!(family.total(|usage| usage.rows_deleted), 300);
        let leaves = index_leaves(&sample.snapshot.indexes[0], &relations);
        assert_eq!(leaves.iter().map(|index| index.name.name.as_str()).collect::<Vec<_>>(), ["bottom"]);
    }

    #[test]
    fn an_ordinary_table_and_index_are_their_own_leaf() {
        let sample = Sample::of([("i", index("a"))]);
        let relations = Relations::new(&sample.snapshot);
        assert_eq!(Family::of(relations.table(1).unwrap(), &relations).pages(), 10_000);
        assert_eq!(index_leaves(&sample.snapshot.indexes[0], &relations).len(), 1);
    }
}
