//! Which column a name means: of a table, through subqueries and views, or of an outer block.

use std::rc::Rc;

use sqlparser::ast::{Expr, Ident};

use super::names::folded;
use crate::catalog::{Oid, Table};

/// A column of a table some block reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The block, as an index into the query's blocks.
    pub(super) block: usize,
    /// The access within the block.
    pub(super) access: usize,
    /// The table's oid.
    pub(super) table: Oid,
    /// The column.
    pub(super) column: String,
}

/// The names a block's `FROM`, or that of a subquery read as part of it, brings in.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    /// The block, as an index into the query's blocks.
    pub(super) block: usize,
    /// What `FROM` names, in order.
    pub(super) sources: Vec<Source<'a>>,
}

/// One item of `FROM`.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The name columns are qualified with.
    pub(super) alias: String,
    /// What it is.
    pub(super) is: Relation<'a>,
}

/// What a name in `FROM` stands for.
#[derive(Debug)]
pub(super) enum Relation<'a> {
    /// A table and its access in the block.
    Table {
        /// The access.
        access: usize,
        /// The table.
        table: &'a Table,
    },
    /// A subquery, view or common table expression whose columns are known.
    Derived(Vec<Output>),
    /// A function, `VALUES`, a relation of the system: its columns are not known by name.
    Opaque,
}

/// One column a subquery gives.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// Its name.
    pub(super) name: String,
    /// What it is.
    pub(super) is: Outcome,
    /// Columns that have to be read for it, when someone asks for it.
    pub(super) reads: Vec<Place>,
}

/// What a subquery's column is to the block that uses it.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// A plain column, whose conditions hold inside the subquery too: one place, or one for each arm of a `UNION`.
    Column(Vec<Place>),
    /// An expression over one table of the very same block, in bare columns.
    Expression {
        /// The access.
        access: usize,
        /// The expression.
        expr: Rc<Expr>,
    },
    /// Something a condition cannot be passed on to.
    Computed,
}

/// What a column's name means.
#[derive(Debug)]
pub(super) enum Meaning<'s> {
    /// A column of the block's own table.
    Column(Place),
    /// A column of a subquery that is an expression over one of the block's own tables.
    Expression {
        /// The access.
        access: usize,
        /// The expression in bare columns.
        expr: &'s Rc<Expr>,
        /// What it reads.
        reads: &'s [Place],
    },
    /// A column of a subquery that is a block of its own: the places a condition on it may be passed on to, if any.
    Elsewhere(&'s [Place]),
    /// Something of an enclosing block, and the columns read for it.
    Outer(Vec<Place>),
    /// A column of a function, or nothing known.
    Other,
}

/// Resolves a column's name, innermost scope first.
pub(super) fn resolve<'s>(scopes: &'s [Scope<'_>], parts: &[Ident]) -> Meaning<'s> {
    let names: Vec<String> = parts.iter().map(folded).collect();
    let (qualifier, column) = match names.as_slice() {
        [column] => (None, column),
        [.., qualifier, column] => (Some(qualifier), column),
        [] => return Meaning::Other,
    };
    let Some(own) = scopes.last().map(|scope| scope.block) else { return Meaning::Other };
    for scope in scopes.iter().rev() {
        let mut opaque = false;
        for source in scope.sources.iter().filter(|source| qualifier.is_none_or(|qualifier| *qualifier == source.alias)) {
            match &source.is {
                Relation::Table { access, table } => {
                    if table.column(column).is_some() {
                        let place = Place { block: scope.block, access: *access, table: table.oid, column: column.clone() };
                        return if scope.block == own { Meaning::Column(place) } else { Meaning::Outer(vec![place]) };
                    }
                }
                Relation::Derived(outputs) => {
                    if let Some(output) = outputs.iter().find(|output| output.name == *column) {
                        return if scope.block == own { meaning(output, own) } else { Meaning::Outer(output.reads.clone()) };
                    }
                }
                Relation::Opaque => opaque = true,
            }
        }
        // Columns of functions are not known by name, so an unmatched name belongs to the nearest one.
        if opaque {
            return if scope.block == own { Meaning::Elsewhere(&[]) } else { Meaning::Outer(Vec::new()) };
        }
    }
    Meaning::Other
}

fn meaning(output: &Output, own: usize) -> Meaning<'_> {
    match &output.is {
        Outcome::Column(places) => match places.as_slice() {
            [place] if place.block == own => Meaning::Column(place.clone()),
            places => Meaning::Elsewhere(places),
        },
        Outcome::Expression { access, expr } => Meaning::Expression { access: *access, expr, reads: &output.reads },
        Outcome::Computed => Meaning::Elsewhere(&[]),
    }
}

impl Relation<'_> {
    /// Returns whether it has a column of that name.
    pub(super) fn has(&self, column: &str) -> bool {
        match self {
            Self::Table { table, .. } => table.column(column).is_some(),
            Self::Derived(outputs) => outputs.iter().any(|output| output.name == column),
            Self::Opaque => false,
        }
    }

    /// Returns its columns' names, in order.
    pub(super) fn columns(&self) -> Vec<String> {
        match self {
            Self::Table { table, .. } => table.columns.iter().map(|column| column.name.clone()).collect(),
            Self::Derived(outputs) => outputs.iter().map(|output| output.name.clone()).collect(),
            Self::Opaque => Vec::new(),
        }
    }
}
