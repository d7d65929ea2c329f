//! How often something was used on any node given: a standby answers queries with the same indexes and counts on its own.

use std::collections::HashMap;

use crate::catalog::{Index, QualifiedName, Snapshot, Table, TableUsage, UsageEverywhere};

/// Usage on the audited server and on every other node of the snapshot.
#[derive(Debug)]
pub struct Everywhere<'a> {
    snapshot: &'a Snapshot,
    tables: HashMap<&'a QualifiedName, TableUsage>,
    /// How many other nodes were read.
    pub other_nodes: usize,
    /// Whether the primary is among the nodes read.
    pub primary_seen: bool,
}

impl<'a> Everywhere<'a> {
    /// Adds up what the nodes of a snapshot counted.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut tables: HashMap<&QualifiedName, TableUsage> = HashMap::new();
        for (name, usage) in snapshot.nodes.iter().flat_map(|node| &node.tables) {
            let sum = tables.entry(name).or_default();
            sum.seq_scans += usage.seq_scans;
            sum.index_scans += usage.index_scans;
            // Only the primary writes, so that one node's counters hold all of it.
            sum.rows_inserted = sum.rows_inserted.max(usage.rows_inserted);
            sum.rows_updated = sum.rows_updated.max(usage.rows_updated);
            sum.rows_deleted = sum.rows_deleted.max(usage.rows_deleted);
        }
        let primary_seen = !snapshot.server.in_recovery || snapshot.nodes.iter().any(|node| !node.in_recovery);
        Self { snapshot, tables, other_nodes: snapshot.nodes.len(), primary_seen }
    }

    /// Returns an index's usage on all nodes.
    pub fn index(&self, index: &Index) -> UsageEverywhere<'a> {
        self.snapshot.index_usage_everywhere(index)
    }

    /// Returns the scans of a table on all nodes: sequential, then by index.
    pub fn table_scans(&self, table: &Table) -> (u64, u64) {
        let other = self.tables.get(&table.name);
        (
            table.usage.seq_scans + other.map_or(0, |usage| usage.seq_scans),
            table.usage.index_scans + other.map_or(0, |usage| usage.index_scans),
        )
    }

    /// Returns the rows of a table inserted, updated and deleted, as the node saw it that writes.
    pub fn rows_written(&self, table: &Table) -> u64 {
        let written = |usage: &TableUsage| usage.rows_inserted + usage.rows_updated + usage.rows_deleted;
        written(&table.usage).max(self.tables.get(&table.name).map_or(0, written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{IndexUsage, Node};
    use crate::findings::sample::{Sample, index, node};

    #[test]
    fn scans_of_all_nodes_are_added_up_and_writes_are_not() {
        let mut sample = Sample::of([("x", index("a").scans(3))]);
        let replica = |name: &str, scans: u64| -> Node {
            let mut node = node(&sample.snapshot, name);
            node.indexes = vec![(QualifiedName::new("public", "x"), IndexUsage { scans, ..IndexUsage::default() })];
            node.tables =
                vec![(QualifiedName::new("public", "t"), TableUsage { seq_scans: 2, rows_inserted: 40_000, ..TableUsage::default() })];
            node
        };
        sample.snapshot.nodes = vec![replica("r1", 10), replica("r2", 20)];
        let everywhere = Everywhere::of(&sample.snapshot);
        assert_eq!(everywhere.index(&sample.snapshot.indexes[0]).scans, 33);
        assert_eq!(everywhere.table_scans(&sample.snapshot.tables[0]), (4, 50_000));
        assert_eq!(everywhere.rows_written(&sample.snapshot.tables[0]), 40_000);
        assert_eq!((everywhere.other_nodes, everywhere.primary_seen), (2, true));
    }

    #[test]
    fn a_standby_alone_has_not_seen_the_primary() {
        let mut sample = Sample::new();
        sample.snapshot.server.in_recovery = true;
        assert!(!Everywhere::of(&sample.snapshot).primary_seen);
        let mut primary = node(&sample.snapshot, "primary");
        primary.in_recovery = false;
        sample.snapshot.nodes = vec![primary];
        assert!(Everywhere::of(&sample.snapshot).primary_seen);
    }
}
