//! A recorded statement, reduced to what decides which index would serve it.
//!
//! [`workload::read`](super::workload::read) makes these from a snapshot; candidates and cost models read them.

mod condition;
mod read;
mod scope;
mod syntax;
mod text;

use std::collections::BTreeSet;

use crate::catalog::Oid;

pub(crate) use read::{Reading, read};
pub(crate) use scope::Names;
pub(crate) use text::fingerprint;

/// A statement of the workload, its weight, and its accesses to tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The query id, when visible.
    pub query_id: Option<String>,
    /// The normalised text, as recorded.
    pub text: String,
    /// The role that ran it.
    pub user: String,
    /// The search path it ran under.
    pub search_path: String,
    /// Executions since the reset: the weight of one execution's cost.
    pub calls: u64,
    /// Rows returned or affected over all calls.
    pub rows: u64,
    /// Execution time of all calls, in milliseconds.
    pub exec_ms_total: f64,
    /// Every `SELECT` level, outer ones before those inside them.
    pub blocks: Vec<Block>,
    /// What it writes.
    pub writes: Vec<Write>,
}

/// One level of a statement: tables joined, filtered, grouped, ordered, cut off.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// The tables it reads, in the order of `FROM`.
    pub accesses: Vec<Access>,
    /// The order it asks for, when every key is a plain column.
    pub sort: Vec<SortKey>,
    /// Whether it asks for an order that no index of these tables can give.
    pub sort_by_expression: bool,
    /// Columns of `GROUP BY` or `DISTINCT`, when all are plain columns.
    pub grouping: Vec<ColumnOf>,
    /// Whether it groups or removes duplicates at all.
    pub grouped: bool,
    /// Whether it folds all rows into one (`count(*)` without `GROUP BY`).
    pub aggregate: bool,
    /// `LIMIT`, `OFFSET` included.
    pub limit: Option<Limit>,
    /// The block whose rows it may be run for.
    pub parent: Option<usize>,
    /// Whether it refers to columns of an outer block.
    pub correlated: bool,
}

/// How many rows a `LIMIT` lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// A number in the text.
    Rows(u64),
    /// A parameter.
    Parameter,
}

/// One table read by a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// The table's oid in the snapshot.
    pub table: Oid,
    /// Conditions an index on the column could serve; all have to hold.
    pub conditions: Vec<Condition>,
    /// Conditions that no plain B-tree serves.
    pub filters: Vec<Filter>,
    /// Columns the block reads, wherever they stand.
    pub columns: BTreeSet<String>,
    /// Whether it reads every column.
    pub whole_row: bool,
}

/// A condition on one bare column.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// What is asked of it.
    pub class: Class,
    /// What it is compared with.
    pub operand: Operand,
}

/// What a condition asks of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// `=`, `IN` or `= ANY` with about so many values.
    Equality {
        /// 1 for `=`; more for a list.
        values: usize,
    },
    /// `IS NULL`.
    IsNull,
    /// `IS NOT NULL`.
    NotNull,
    /// `>` or `>=`.
    Above,
    /// `<` or `<=`.
    Below,
    /// `LIKE` with this literal beginning.
    Prefix(String),
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// `$n`.
    Parameter,
    /// A constant, as text without quotes.
    Literal(String),
    /// A column of another table of the same block; `None` for an expression over one.
    Joined {
        /// The other table, as an index into [`Block::accesses`].
        access: usize,
        /// Its column.
        column: Option<String>,
    },
    /// A value of an outer block.
    Outer,
    /// The rows of a subquery.
    Subquery,
    /// Anything else that is constant during the scan (`now() - $1`).
    Expression,
}

/// A condition that no plain B-tree serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Columns of this table it names.
    pub columns: Vec<String>,
    /// Why an index on them does not help.
    pub reason: &'static str,
    /// The share of the rows it is assumed to keep, 0 to 1.
    pub selectivity: f64,
}

/// A column of one of a block's tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnOf {
    /// The table, as an index into [`Block::accesses`].
    pub access: usize,
    /// The column.
    pub column: String,
}

/// One key of the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub of: ColumnOf,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`, which is what `DESC` alone means.
    pub nulls_first: bool,
}

/// What a statement does to a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The table's oid.
    pub table: Oid,
    /// Columns an `UPDATE` (or `ON CONFLICT DO UPDATE`) sets; empty for inserts and deletes.
    pub sets: Vec<String>,
}

impl Query {
    /// Returns the oids of the tables it reads, each once, ascending.
    pub fn tables(&self) -> BTreeSet<Oid> {
        self.blocks.iter().flat_map(|block| block.accesses.iter().map(|access| access.table)).collect()
    }

    /// Returns the rows one call returns or affects on average.
    pub fn rows_per_call(&self) -> Option<f64> {
        (self.calls > 0).then(|| self.rows as f64 / self.calls as f64)
    }
}

impl Condition {
    /// Returns whether a B-tree finds its rows side by side and in the order of the next key (`=`, `IN`, `IS NULL`).
    pub fn is_equality(&self) -> bool {
        matches!(self.class, Class::Equality { .. } | Class::IsNull)
    }

    /// Returns whether exactly one value of the column qualifies, so that the order of the next key survives.
    pub fn is_single_value(&self) -> bool {
        match self.class {
            Class::Equality { values } => values == 1 && self.operand != Operand::Subquery,
            Class::IsNull => true,
            _ => false,
        }
    }

    /// Returns whether it bounds a range of values.
    pub fn is_range(&self) -> bool {
        matches!(self.class, Class::Above | Class::Below | Class::Prefix(_))
    }

    /// Returns whether the other side comes from another table's rows.
    pub fn is_join(&self) -> bool {
        matches!(self.operand, Operand::Joined { .. } | Operand::Outer | Operand::Subquery)
    }
}
