//! SEE: what a server's catalogs and statistics views said at one moment, as plain data.
//!
//! [`Snapshot`] is read by `pg::snapshot` in one read-only transaction, or from a file written by
//! `pgload snapshot`. Nothing here talks to a server.

pub mod index;
pub mod name;
pub mod relations;
pub mod server;
pub mod statement;
pub mod table;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use index::{Constraint, ConstraintKind, ForeignKey, Index, IndexUsage, Key, KeyTarget};
pub use name::QualifiedName;
pub use relations::Relations;
pub use server::{Extension, Hidden, Server, Setting};
pub use statement::{Statement, StatementSource};
pub use table::{Column, ColumnStatistics, ElementStatistics, Table, TableKind, TableUsage};

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
        let since = self.server.stats_reset_at.or(self.server.started_at)?;
        Some((self.taken_at.as_second() - since.as_second()).max(0) as f64 / 86_400.0)
    }

    /// Returns the execution time of all statements, in milliseconds.
    pub fn exec_ms_total(&self) -> f64 {
        self.statements.iter().map(|statement| statement.exec_ms_total).sum()
    }
}
