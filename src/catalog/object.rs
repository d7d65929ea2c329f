//! What else planning needs to know of a schema: views, functions, types, extended statistics, row security.

use serde::{Deserialize, Serialize};

use super::{ColumnStatistics, Oid, QualifiedName};

/// A view; materialized views are [`Table`](super::Table)s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its oid.
    pub oid: Oid,
    /// Its schema and name.
    pub name: QualifiedName,
    /// Its columns in order.
    pub columns: Vec<String>,
    /// Its query, as `pg_get_viewdef` prints it.
    pub definition: String,
    /// `security_barrier`, `security_invoker`, … as `name=value`.
    pub options: Vec<String>,
    /// The extension that owns it.
    pub extension: Option<String>,
}

/// A function that a query or an index may call: no procedure, trigger function, aggregate or window function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its oid.
    pub oid: Oid,
    /// Its schema and name.
    pub name: QualifiedName,
    /// Types of its arguments, as `pg_get_function_identity_arguments` prints them.
    pub arguments: String,
    /// The language: `sql`, `plpgsql`, `c`, …
    pub language: String,
    /// `provolatile`: `i` immutable, `s` stable, `v` volatile.
    pub volatility: String,
    /// The statement that makes it, as `pg_get_functiondef` prints it; empty for an extension's in C, which only the extension makes.
    pub definition: String,
    /// The extension that owns it.
    pub extension: Option<String>,
}

/// A type of the user's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserType {
    /// Its oid.
    pub oid: Oid,
    /// Its schema and name.
    pub name: QualifiedName,
    /// What it is.
    pub kind: UserTypeKind,
    /// The extension that owns it.
    pub extension: Option<String>,
}

/// What a [`UserType`] is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum UserTypeKind {
    /// `CREATE TYPE … AS ENUM`.
    Enum {
        /// Its labels in order.
        labels: Vec<String>,
    },
    /// `CREATE DOMAIN`.
    Domain {
        /// The type it narrows, as `format_type` prints it.
        base: String,
        /// Whether it refuses NULL.
        not_null: bool,
        /// The collation when it is not the base type's, quoted and with its schema.
        collation: Option<String>,
        /// Its checks, as `pg_get_constraintdef` prints them.
        checks: Vec<String>,
    },
    /// `CREATE TYPE … AS (…)`.
    Composite {
        /// Its attributes: name and type.
        attributes: Vec<(String, String)>,
    },
    /// `CREATE TYPE … AS RANGE`.
    Range {
        /// The type of its bounds.
        subtype: String,
    },
}

/// `CREATE STATISTICS`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtendedStatistics {
    /// Its oid.
    pub oid: Oid,
    /// Its schema and name.
    pub name: QualifiedName,
    /// The table's oid.
    pub table: Oid,
    /// The statement that makes it, as `pg_get_statisticsobjdef` prints it.
    pub definition: String,
    /// Its columns in the order of `pg_statistic_ext.stxkeys`.
    pub columns: Vec<String>,
    /// Its expressions in order.
    pub expressions: Vec<String>,
    /// What ANALYZE found; `None` when never analysed or not readable by this role.
    pub found: Option<ExtendedFound>,
    /// Statistics of each expression in order; `None` where there are none.
    pub expression_statistics: Vec<Option<ColumnStatistics>>,
}

/// A row of `pg_stats_ext`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExtendedFound {
    /// Whether it describes the table with its children.
    pub inherited: bool,
    /// `n_distinct` as text: `{"1, 2": 150}`, by attribute number.
    pub distinct: Option<String>,
    /// `dependencies` as text: `{"1 => 2": 0.93}`, by attribute number.
    pub dependencies: Option<String>,
    /// Most common combinations, each value as text in the order of columns then expressions; `None` for NULL.
    pub common_values: Vec<Vec<Option<String>>>,
    /// Their shares of the rows, 0 to 1.
    pub common_frequencies: Vec<f64>,
    /// What the shares would be were the columns independent.
    pub common_base_frequencies: Vec<f64>,
}

/// A row security policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The table's oid.
    pub table: Oid,
    /// Its name.
    pub name: String,
    /// Whether policies like it add up (`PERMISSIVE`) or all have to hold.
    pub permissive: bool,
    /// `r` select, `a` insert, `w` update, `d` delete, `*` all.
    pub command: String,
    /// The roles it binds; empty for all.
    pub roles: Vec<String>,
    /// `USING`.
    pub using: Option<String>,
    /// `WITH CHECK`.
    pub check: Option<String>,
}

/// What another node of the same database counted: a standby has its own usage statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Host and port, as the audit names it; never a password.
    pub name: String,
    /// Whether it is a standby.
    pub in_recovery: bool,
    /// When the reading transaction began, by its clock.
    pub taken_at: jiff::Timestamp,
    /// When its statistics were last reset.
    pub stats_reset_at: Option<jiff::Timestamp>,
    /// When it was started.
    pub started_at: Option<jiff::Timestamp>,
    /// Usage by index: schema, name, counters.
    pub indexes: Vec<(QualifiedName, super::IndexUsage)>,
    /// Usage by table: schema, name, counters.
    pub tables: Vec<(QualifiedName, super::TableUsage)>,
}
