//! What candidates of all accesses have in common: settings, extensions, the workload as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::definition::Offer;
use super::super::facts::Facts;
use super::super::query::{Access, Arm, Containment, Query};
use super::super::{Budget, CandidateKey, expression};
use crate::catalog::name::quoted;
use crate::catalog::{Column, Index, KeyTarget, Oid, Relations};

/// A snapshot and a workload, with what is asked of them again and again.
pub(super) struct Context<'c, 'a> {
    pub(super) relations: &'c Relations<'a>,
    pub(super) facts: &'c HashMap<Oid, Facts<'a>>,
    pub(super) budget: &'c Budget,
    /// How many calls compare a key with a value.
    frequency: HashMap<(Oid, KeyTarget), u64>,
    /// Columns that recorded updates set.
    updated: BTreeMap<Oid, BTreeSet<&'c str>>,
    /// Operators asked of a document, an array or a text, by table and target.
    operators: HashMap<(Oid, KeyTarget), BTreeSet<&'c str>>,
    /// Existing indexes with what they offer.
    existing: HashMap<Oid, Vec<(&'a Index, Offer)>>,
}

impl<'c, 'a> Context<'c, 'a> {
    pub(super) fn new(relations: &'c Relations<'a>, facts: &'c HashMap<Oid, Facts<'a>>, queries: &'c [Query], budget: &'c Budget) -> Self {
        let mut updated: BTreeMap<Oid, BTreeSet<&str>> = BTreeMap::new();
        for write in queries.iter().flat_map(|query| &query.writes) {
            updated.entry(write.table).or_default().extend(write.sets.iter().map(String::as_str));
        }
        let mut operators: HashMap<(Oid, KeyTarget), BTreeSet<&str>> = HashMap::new();
        let accesses = || queries.iter().flat_map(|query| &query.blocks).flat_map(|block| &block.accesses);
        for access in accesses() {
            for containment in containments(access) {
                operators.entry((access.table, spelled(&containment.target))).or_default().insert(&containment.operator);
            }
        }
        let existing = |table: &Oid| {
            let facts = &facts[table];
            let indexes = relations.indexes_of(*table).iter().filter(|index| index.usable());
            indexes.map(|index| (*index, Offer::of_index(index, facts.table))).collect()
        };
        let read: BTreeSet<Oid> = accesses().map(|access| access.table).filter(|table| facts.contains_key(table)).collect();
        Self {
            relations,
            facts,
            budget,
            frequency: frequency(queries),
            updated,
            operators,
            existing: read.iter().map(|table| (*table, existing(table))).collect(),
        }
    }

    /// Returns the calls of the whole workload that compare a key with a value.
    pub(super) fn calls(&self, table: Oid, target: &KeyTarget) -> u64 {
        self.frequency.get(&(table, spelled(target))).copied().unwrap_or_default()
    }

    /// Returns whether a recorded update sets the column.
    pub(super) fn is_updated(&self, table: Oid, column: &str) -> bool {
        self.updated.get(&table).is_some_and(|columns| columns.contains(column))
    }

    /// Returns the operators the workload asks of a target.
    pub(super) fn operators(&self, table: Oid, target: &KeyTarget) -> impl Iterator<Item = &str> {
        self.operators.get(&(table, spelled(target))).into_iter().flatten().copied()
    }

    /// Returns the table's usable indexes with what they offer.
    pub(super) fn existing(&self, table: Oid) -> &[(&'a Index, Offer)] {
        self.existing.get(&table).map_or(&[], Vec::as_slice)
    }

    /// Returns an extension's operator class as `CREATE INDEX` finds it; `None` when the extension is not installed.
    pub(super) fn opclass_of(&self, extension: &str, opclass: &str) -> Option<String> {
        let extensions = &self.relations.snapshot.server.extensions;
        let schema = &extensions.iter().find(|found| found.name == extension)?.schema;
        let on_path = matches!(schema.as_str(), "public" | "pg_catalog" | "");
        Some(if on_path { opclass.to_owned() } else { format!("{}.{opclass}", quoted(schema)) })
    }

    /// Returns whether an extension is installed.
    pub(super) fn has(&self, extension: &str) -> bool {
        self.relations.snapshot.server.has_extension(extension)
    }

    /// Returns whether texts of the column are compared byte by byte, so that a plain B-tree finds beginnings.
    pub(super) fn is_bytewise(&self, column: Option<&Column>) -> bool {
        let c = |name: &str| matches!(name.rsplit('.').next().map(|name| name.trim_matches('"')), Some("C" | "POSIX" | "ucs_basic"));
        match column.and_then(|column| column.collation.as_deref()) {
            Some(collation) => c(collation),
            None => {
                let server = &self.relations.snapshot.server;
                match server.locale_provider.as_str() {
                    // ICU orders, whatever the C library's locale beside it is.
                    "i" => false,
                    "b" => server.locale.as_deref().is_some_and(|locale| matches!(locale, "C" | "C.UTF-8")),
                    _ => c(&server.collate),
                }
            }
        }
    }

    /// Returns the key on a target; an order by `name COLLATE "de_DE"` is one on the column.
    pub(super) fn key(&self, facts: &Facts<'_>, target: &KeyTarget) -> CandidateKey {
        let KeyTarget::Expression(text) = target else { return CandidateKey::of(target.clone()) };
        let lower = text.to_lowercase();
        let collated = lower.rfind(" collate ").and_then(|at| {
            let column = expression::canonical(&text[..at]);
            let known = facts.table.columns.iter().find(|found| quoted(&found.name) == column)?;
            Some(CandidateKey { collation: Some(text[at + " collate ".len()..].trim().to_owned()), ..CandidateKey::column(&known.name) })
        });
        collated.unwrap_or_else(|| CandidateKey::of(target.clone()))
    }
}

/// Returns a target in the spelling that all statements share.
pub(super) fn spelled(target: &KeyTarget) -> KeyTarget {
    match target {
        KeyTarget::Column(name) => KeyTarget::Column(name.clone()),
        KeyTarget::Expression(text) => KeyTarget::Expression(expression::canonical(text)),
    }
}

/// Returns an access's conditions for inverted indexes, those of the arms of an `OR` too.
fn containments(access: &Access) -> impl Iterator<Item = &Containment> {
    access.containments.iter().chain(access.alternatives.iter().flatten().flat_map(|arm: &Arm| &arm.containments))
}

fn frequency(queries: &[Query]) -> HashMap<(Oid, KeyTarget), u64> {
    let mut frequency: HashMap<(Oid, KeyTarget), u64> = HashMap::new();
    for query in queries {
        for access in query.blocks.iter().flat_map(|block| &block.accesses) {
            let columns = access.conditions.iter().filter(|found| found.is_equality()).map(|found| KeyTarget::Column(found.column.clone()));
            let expressions = access.expressions.iter().map(|found| spelled(&KeyTarget::Expression(found.expression.clone())));
            for target in columns.chain(expressions).collect::<BTreeSet<KeyTarget>>() {
                let calls = frequency.entry((access.table, target)).or_default();
                *calls = calls.saturating_add(query.calls);
            }
        }
    }
    frequency
}
