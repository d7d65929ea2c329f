//! Look-ups over a snapshot.

use std::collections::HashMap;

use super::{Constraint, Index, Oid, Snapshot, Table};

/// A snapshot with its relations found by oid in constant time.
#[derive(Debug)]
pub struct Relations<'a> {
    /// The snapshot itself.
    pub snapshot: &'a Snapshot,
    tables: HashMap<Oid, &'a Table>,
    indexes: HashMap<Oid, Vec<&'a Index>>,
    constraints: HashMap<Oid, Vec<&'a Constraint>>,
}

impl<'a> Relations<'a> {
    /// Orders a snapshot's relations for look-up.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut indexes: HashMap<Oid, Vec<&Index>> = HashMap::new();
        for index in &snapshot.indexes {
            indexes.entry(index.table).or_default().push(index);
        }
        let mut constraints: HashMap<Oid, Vec<&Constraint>> = HashMap::new();
        for constraint in &snapshot.constraints {
            constraints.entry(constraint.table).or_default().push(constraint);
        }
        let tables = snapshot.tables.iter().map(|table| (table.oid, table)).collect();
        Self { snapshot, tables, indexes, constraints }
    }

    /// Returns the table of that oid; `None` when it lies outside the snapshot.
    pub fn table(&self, oid: Oid) -> Option<&'a Table> {
        self.tables.get(&oid).copied()
    }

    /// Returns a table's indexes in name order.
    pub fn indexes_of(&self, table: Oid) -> &[&'a Index] {
        self.indexes.get(&table).map_or(&[], Vec::as_slice)
    }

    /// Returns a table's constraints in name order.
    pub fn constraints_of(&self, table: Oid) -> &[&'a Constraint] {
        self.constraints.get(&table).map_or(&[], Vec::as_slice)
    }

    /// Returns the partitions and inheritance children of a table.
    pub fn children_of(&self, table: Oid) -> impl Iterator<Item = &'a Table> {
        self.snapshot.tables.iter().filter(move |child| child.parent == Some(table))
    }
}
