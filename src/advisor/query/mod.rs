//! A recorded statement, reduced to what decides which index would serve it.
//!
//! [`workload::read`](super::workload::read) makes these from a snapshot; candidates and cost models read them.

mod alternative;
mod captured;
mod common;
mod condition;
mod equivalence;
#[cfg(test)]
mod examples;
mod expression;
mod from;
#[cfg(test)]
mod fuzz;
mod kind;
mod names;
mod operator;
mod parameter;
mod pattern;
mod plan;
mod read;
mod restriction;
mod scope;
mod select;
mod side;
#[cfg(test)]
mod summary;
mod syntax;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{KeyTarget, Oid};

pub(crate) use names::Names;
pub(crate) use plan::from_plan;
pub(crate) use read::{Reading, read};

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
    /// What each parameter is compared with or used for, by number; those not listed are known only by type.
    pub parameters: BTreeMap<u32, ParameterUse>,
    /// Parameter values seen with it, one list a call.
    pub captured: Vec<Vec<Option<String>>>,
}

/// What a parameter (`$n`) is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterUse {
    /// Compared with a column.
    Column {
        /// The table's oid.
        table: Oid,
        /// The column.
        column: String,
        /// How.
        comparison: Comparison,
    },
    /// `LIMIT $n`.
    Limit,
    /// `OFFSET $n`.
    Offset,
}

/// How a parameter is compared with its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`, `<>`, `IN`: the parameter is one value of the column.
    Equal,
    /// `column > $n` or `>=`: the lower bound of a range.
    Above,
    /// `column < $n` or `<=`: the upper bound of a range.
    Below,
    /// `LIKE`, `ILIKE`, `~`: the parameter is a pattern over values of the column.
    Pattern,
    /// `= ANY ($n)`: the parameter is an array of values of the column.
    AnyOf,
    /// `column @> $n`, `&&`, `<@`, `?`, `@@`: the parameter has to do with elements of the column's values.
    Elements,
    /// `now() - $n`, `column > now() - $n`: a length of time back from now.
    Age,
}

/// One level of a statement: tables joined, filtered, grouped, ordered, cut off.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// The tables it reads, in the order of `FROM`.
    pub accesses: Vec<Access>,
    /// The order it asks for, when every key is a column or an expression over one table.
    pub sort: Vec<SortKey>,
    /// Whether it asks for an order that no index of these tables can give.
    pub sort_by_expression: bool,
    /// Keys of `GROUP BY` or `DISTINCT`, when all are columns or expressions over one table.
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
    /// Conditions on expressions over this table's columns, which an index on the expression would serve.
    pub expressions: Vec<ExpressionCondition>,
    /// Conditions that inverted and space-partitioning access methods serve.
    pub containments: Vec<Containment>,
    /// Conjuncts that are an `OR`: for each, its arms, of which any one has to hold; only such whose every arm an index could serve.
    pub alternatives: Vec<Vec<Arm>>,
    /// Conjuncts over this table's columns and constants of the text alone: what the predicate of a partial index may say.
    pub constants: Vec<Constant>,
    /// `ORDER BY column <-> value`: nearest neighbours first.
    pub nearest: Option<KeyTarget>,
    /// Columns the block reads, wherever they stand.
    pub columns: BTreeSet<String>,
    /// Whether it reads every column.
    pub whole_row: bool,
}

/// One arm of an `OR`: all its conditions have to hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arm {
    /// Conditions on bare columns.
    pub conditions: Vec<Condition>,
    /// Conditions on expressions.
    pub expressions: Vec<ExpressionCondition>,
    /// Conditions for inverted indexes.
    pub containments: Vec<Containment>,
}

/// A condition on an expression over columns of one table: `lower(email) = $1`, `(doc ->> 'k')::int > 5`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpressionCondition {
    /// The expression as `CREATE INDEX` takes it between brackets: columns bare and quoted where needed, no parameters.
    pub expression: String,
    /// The columns it reads.
    pub columns: Vec<String>,
    /// What is asked of it.
    pub class: Class,
    /// What it is compared with.
    pub operand: Operand,
}

/// A condition by an operator that B-trees do not know: `tags @> $1`, `name ILIKE '%x%'`, `during && $1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Containment {
    /// The column, or the expression as `CREATE INDEX` takes it between brackets.
    pub target: KeyTarget,
    /// The columns it reads.
    pub columns: Vec<String>,
    /// The operator in lower case: `@>`, `<@`, `&&`, `?`, `?|`, `?&`, `@@`, `@?`, `like`, `ilike`, `~`, `~*`.
    pub operator: String,
    /// What it is compared with.
    pub operand: Operand,
}

/// A conjunct whose every value stands in the text: `deleted_at IS NULL`, `NOT archived`, `status = 'failed'`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constant {
    /// The conjunct with bare columns, quoted where needed.
    pub text: String,
    /// The columns it reads.
    pub columns: Vec<String>,
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

/// A column of one of a block's tables, or an expression over columns of that table alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnOf {
    /// The table, as an index into [`Block::accesses`].
    pub access: usize,
    /// The column, or the expression as `CREATE INDEX` takes it between brackets.
    pub target: KeyTarget,
}

impl ColumnOf {
    /// Returns the column's name; `None` for an expression.
    pub fn column(&self) -> Option<&str> {
        self.target.column()
    }
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
    /// Whether it adds rows.
    pub inserts: bool,
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

impl Access {
    /// Returns an access to a table of which nothing is asked yet.
    pub(crate) fn of(table: Oid) -> Self {
        Self {
            table,
            conditions: Vec::new(),
            filters: Vec::new(),
            expressions: Vec::new(),
            containments: Vec::new(),
            alternatives: Vec::new(),
            constants: Vec::new(),
            nearest: None,
            columns: BTreeSet::new(),
            whole_row: false,
        }
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
