//! SEE: what a server's catalogs and statistics views said at one moment, as plain data.
//!
//! [`Snapshot`] is read by `pg::snapshot` in one read-only transaction, or from a file written by
//! `pgload snapshot`. Nothing here talks to a server.

pub mod index;
pub mod name;
pub mod nodes;
pub mod object;
pub mod order;
pub mod redact;
pub mod relations;
#[cfg(test)]
pub(crate) mod sample;
pub mod server;
pub mod statement;
pub mod table;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use index::{Constraint, ConstraintKind, ForeignKey, Index, IndexUsage, Key, KeyTarget};
pub use name::QualifiedName;
pub use nodes::UsageEverywhere;
pub use object::{ExtendedFound, ExtendedStatistics, Function, Node, Policy, UserType, UserTypeKind, View};
pub use relations::Relations;
pub use server::{CollationMismatch, Extension, Hidden, Server, Setting};
pub use statement::{Statement, StatementSource};
pub use table::{Column, ColumnStatistics, ElementStatistics, RangeStatistics, Table, TableKind, TableUsage};

/// The layout of a saved snapshot; a reader refuses a newer one.
pub const SNAPSHOT_SCHEMA_VERSION: u32 = 1;

/// An object id: unique among relations of one database.
pub type Oid = u32;

/// What one database's catalogs and statistics views said at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SNAPSHOT_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// When the reading transaction began, by the server's clock.
    pub taken_at: Timestamp,
    /// Version, settings, extensions, age of the statistics.
    pub server: Server,
    /// User tables, partitioned tables and materialized views, ordered by schema and name.
    pub tables: Vec<Table>,
    /// Indexes of those tables, ordered by schema and name.
    pub indexes: Vec<Index>,
    /// Primary, unique, foreign, exclusion and check constraints of those tables, ordered by table and name.
    pub constraints: Vec<Constraint>,
    /// Views over those tables and over each other, in an order in which they can be made.
    #[serde(default)]
    pub views: Vec<View>,
    /// Functions of the user's schemas, in an order in which they can be made.
    #[serde(default)]
    pub functions: Vec<Function>,
    /// Enums, domains, composite types and ranges, in an order in which they can be made.
    #[serde(default)]
    pub types: Vec<UserType>,
    /// Extended statistics of those tables.
    #[serde(default)]
    pub extended_statistics: Vec<ExtendedStatistics>,
    /// Row security policies of those tables.
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// Usage counted by other nodes of the same database.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// Whether application values were replaced by hashes (`pgload snapshot --redact`).
    #[serde(default)]
    pub redacted: bool,
    /// Statements of this database, most execution time first; empty when the source is missing.
    pub statements: Vec<Statement>,
    /// Where the statements came from, or why there are none.
    pub statement_source: StatementSource,
    /// What this role could not see, and the statement that would show it.
    pub hidden: Vec<Hidden>,
}

impl Snapshot {
    /// Returns how long usage statistics have been counted, in days, as far as the server can prove it.
    ///
    /// From `pg_stat_database.stats_reset`; where that is null, from the server's start, since a crash discards
    /// statistics without leaving a trace. `None` when neither is known.
    pub fn statistics_window_days(&self) -> Option<f64> {
        nodes::window_days(self.server.stats_reset_at, self.server.started_at, self.taken_at)
    }

    /// Returns the execution time of all statements but pgload's own, in milliseconds.
    pub fn exec_ms_total(&self) -> f64 {
        self.statements.iter().filter(|statement| !statement.is_own()).map(|statement| statement.exec_ms_total).sum()
    }
}
