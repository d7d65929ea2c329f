//! Indexes and constraints.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Oid, QualifiedName};

/// An index, valid or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Its oid.
    pub oid: Oid,
    /// Its schema and name.
    pub name: QualifiedName,
    /// The oid of its table.
    pub table: Oid,
    /// The access method: `btree`, `gin`, …
    pub access_method: String,
    /// Key columns and expressions in order.
    pub keys: Vec<Key>,
    /// `INCLUDE` columns in order.
    pub included: Vec<String>,
    /// The `WHERE` of a partial index, as `pg_get_expr` prints it.
    pub predicate: Option<String>,
    /// Whether it is unique.
    pub unique: bool,
    /// `NULLS NOT DISTINCT` (15 and later).
    pub nulls_not_distinct: bool,
    /// Whether it is the primary key's.
    pub primary: bool,
    /// Whether it enforces an exclusion constraint.
    pub exclusion: bool,
    /// The primary, unique or exclusion constraint it stands behind.
    pub constraint: Option<String>,
    /// Whether a foreign key of some table relies on it (`pg_constraint.conindid`).
    pub referenced: bool,
    /// `indisvalid`: queries may use it.
    pub valid: bool,
    /// `indisready`: inserts maintain it.
    pub ready: bool,
    /// `indislive`: it is not being dropped.
    pub live: bool,
    /// Whether a build of it is in progress now (`pg_stat_progress_create_index`).
    pub building: bool,
    /// Whether `CLUSTER` remembers it.
    pub clustered: bool,
    /// Whether it is the table's replica identity.
    pub replica_identity: bool,
    /// The extension that owns it.
    pub extension: Option<String>,
    /// The partitioned index it is attached to.
    pub parent: Option<Oid>,
    /// Its size now.
    pub size_bytes: u64,
    /// `pg_class.relpages` of the index: pages as last counted.
    #[serde(default)]
    pub pages: u64,
    /// `pg_class.reltuples` of the index.
    pub rows: Option<f64>,
    /// The statement that makes it, as `pg_get_indexdef` prints it, with the parameters of operator classes.
    pub definition: String,
    /// Storage parameters.
    pub options: Vec<String>,
    /// Statistics of its expressions, one for each expression key in order; `None` where it has none.
    pub expression_statistics: Vec<Option<super::ColumnStatistics>>,
    /// What the statistics collector counted.
    pub usage: IndexUsage,
}

/// One key of an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What is indexed.
    pub target: KeyTarget,
    /// The operator class, with its schema when that is not `pg_catalog`, without its parameters.
    pub opclass: String,
    /// Whether that class is the default of its type and method.
    pub opclass_is_default: bool,
    /// The collation when it is not the database's default, written as [`Column::collation`](super::Column::collation) is.
    pub collation: Option<String>,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

/// A column or an expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyTarget {
    /// A column by its name.
    Column(String),
    /// An expression as `pg_get_indexdef` prints it.
    Expression(String),
}

/// `pg_stat_user_indexes` of one index, counted since the statistics were reset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexUsage {
    /// Index scans started.
    pub scans: u64,
    /// Entries returned by them.
    pub entries_read: u64,
    /// Live rows fetched by plain index scans.
    pub rows_fetched: u64,
    /// The last scan (16 and later).
    pub last_scan_at: Option<Timestamp>,
}

/// What a constraint demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintKind {
    /// `PRIMARY KEY`.
    Primary,
    /// `UNIQUE`.
    Unique,
    /// `FOREIGN KEY`.
    Foreign,
    /// `EXCLUDE`.
    Exclusion,
    /// `CHECK`.
    Check,
}

/// A table constraint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its oid (of `pg_constraint`).
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// The table it is on.
    pub table: Oid,
    /// What it demands.
    pub kind: ConstraintKind,
    /// Its columns in the order written; empty for checks over expressions.
    pub columns: Vec<String>,
    /// As `pg_get_constraintdef` prints it.
    pub definition: String,
    /// The constraint of the partitioned table it is inherited from.
    pub parent: Option<Oid>,
    /// What it refers to, for a foreign key.
    pub foreign: Option<ForeignKey>,
}

/// The referenced side of a foreign key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The referenced table's oid.
    pub table: Oid,
    /// The referenced table's name (it may lie outside the audited schemas).
    pub table_name: QualifiedName,
    /// Referenced columns, in the order of the referencing ones.
    pub columns: Vec<String>,
    /// `ON DELETE`: `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default.
    pub on_delete: String,
    /// `ON UPDATE`, likewise.
    pub on_update: String,
}

impl KeyTarget {
    /// Returns the column's name; `None` for an expression.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column(name) => Some(name),
            Self::Expression(_) => None,
        }
    }
}

impl Index {
    /// Returns the leading key columns' names up to the first expression.
    pub fn leading_columns(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map_while(|key| key.target.column())
    }

    /// Returns whether queries may rely on it now.
    pub fn usable(&self) -> bool {
        self.valid && self.ready && self.live
    }
}
