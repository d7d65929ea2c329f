//! An index and, where its table is partitioned, those of all partitions below it.

use std::collections::BTreeSet;

use super::ddl::Definition;
use crate::advisor::name::IndexNames;
use crate::advisor::{Candidate, Proposal};
use crate::catalog::{Index, Oid, QualifiedName, Snapshot, Table, TableKind};

/// An index and the parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The index at its top.
    pub definition: Definition,
    /// Whether its table is partitioned: then it holds no rows itself.
    pub partitioned: bool,
    /// The indexes of the partitions, in the order of the partitions' names.
    pub parts: Vec<Tree>,
}

/// Hands out the names of the indexes on partitions.
#[derive(Debug)]
pub struct PartNames {
    names: IndexNames,
    proposed: BTreeSet<(String, String)>,
}

impl PartNames {
    /// Learns what names the snapshot and the proposals have.
    pub fn new(snapshot: &Snapshot, proposals: &[Proposal]) -> Self {
        let proposed = proposals.iter().map(|proposal| (proposal.index.table_name.schema.clone(), proposal.name.clone()));
        Self { names: IndexNames::new(snapshot), proposed: proposed.collect() }
    }

    fn take(&mut self, candidate: &Candidate) -> String {
        loop {
            let name = self.names.take(candidate);
            if !self.proposed.contains(&(candidate.table_name.schema.clone(), name.clone())) {
                return name;
            }
        }
    }
}

impl Tree {
    /// Returns what has to be built for a candidate: one index, or one for each partition the snapshot knows.
    pub fn of_candidate(snapshot: &Snapshot, index: &Candidate, name: &str, names: &mut PartNames) -> Self {
        let children: Vec<&Table> = children(snapshot, index.table).collect();
        let partitioned = is_partitioned(snapshot, index.table);
        let part = |child: &&Table| {
            let part = Candidate { table: child.oid, table_name: child.name.clone(), ..index.clone() };
            let name = names.take(&part);
            Self::of_candidate(snapshot, &part, &name, names)
        };
        let parts = if partitioned { children.iter().map(part).collect() } else { Vec::new() };
        Self { definition: Definition::of(index, name), partitioned, parts }
    }

    /// Returns an existing index with those attached to it; `None` where the snapshot lacks its definition or its table.
    pub fn of_existing(snapshot: &Snapshot, index: &Index) -> Option<Self> {
        let table = snapshot.tables.iter().find(|table| table.oid == index.table)?;
        let definition = Definition::of_existing(index, &table.name)?;
        let attached = snapshot.indexes.iter().filter(|part| part.parent == Some(index.oid));
        let parts: Option<Vec<Self>> = attached.map(|part| Self::of_existing(snapshot, part)).collect();
        Some(Self { definition, partitioned: table.kind == TableKind::Partitioned, parts: parts? })
    }

    /// Returns the index's name.
    pub fn name(&self) -> &QualifiedName {
        &self.definition.name
    }

    /// Returns it and all below it, each before its parts.
    pub fn all(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.parts.iter().flat_map(Self::all)).collect()
    }

    /// Returns those that hold rows.
    pub fn leaves(&self) -> Vec<&Self> {
        self.all().into_iter().filter(|tree| !tree.partitioned).collect()
    }

    /// Returns those of partitioned tables.
    pub fn parents(&self) -> Vec<&Self> {
        self.all().into_iter().filter(|tree| tree.partitioned).collect()
    }
}

fn is_partitioned(snapshot: &Snapshot, table: Oid) -> bool {
    snapshot.tables.iter().any(|found| found.oid == table && found.kind == TableKind::Partitioned)
}

fn children(snapshot: &Snapshot, table: Oid) -> impl Iterator<Item = &Table> {
    snapshot.tables.iter().filter(move |child| child.parent == Some(table) && child.is_partition)
}
