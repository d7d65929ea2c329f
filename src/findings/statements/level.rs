//! One `SELECT`, `UPDATE` or `DELETE` of a statement, with the tables it names and the conditions that have to hold.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, OrderByExpr, OrderBySort, Query, Visit, Visitor};

use crate::catalog::{Column, Table};

/// What a statement's text says.
#[derive(Debug, Default)]
pub(crate) struct Reading<'a> {
    /// Every level, subqueries included.
    pub(crate) levels: Vec<Level<'a>>,
    /// The table an `UPDATE` changes, and the columns it sets.
    pub(crate) updates: Vec<(&'a Table, Vec<String>)>,
}

/// One level of a statement.
#[derive(Debug, Default)]
pub(crate) struct Level<'a> {
    /// What `FROM` names, in order.
    pub(crate) sources: Vec<Source<'a>>,
    /// The conditions of `WHERE` and of joins, split at their `AND`s.
    pub(crate) conjuncts: Vec<Expr>,
    /// `ORDER BY`.
    pub(crate) order: Vec<OrderByExpr>,
    /// `OFFSET`.
    pub(crate) offset: Option<Expr>,
    /// `LIMIT` or `FETCH FIRST`.
    pub(crate) limit: Option<Expr>,
    /// Whether it groups its rows or removes duplicates.
    pub(crate) grouped: bool,
}

/// One item of `FROM`.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The name columns are qualified with.
    pub(crate) alias: String,
    /// The table; `None` for whatever else it is: its columns are not known.
    pub(crate) table: Option<&'a Table>,
}

impl<'a> Level<'a> {
    /// Returns the tables of `FROM` that are known.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &'a Table> {
        self.sources.iter().filter_map(|source| source.table)
    }

    /// Returns the column an expression is, when it is one and only one of this level's tables can be meant.
    pub(crate) fn column(&self, expr: &Expr) -> Option<(&'a Table, &'a Column)> {
        match bare(expr) {
            Expr::Identifier(name) => self.resolve(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(parts) => self.resolve(parts),
            _ => None,
        }
    }

    /// Returns the one column an expression reads, itself not that column; `None` when it reads none, several, or an unknown one.
    pub(crate) fn only_column_in(&self, expr: &Expr) -> Option<(&'a Table, &'a Column)> {
        let names = Names::of(expr);
        if names.queries {
            return None;
        }
        let mut found = names.names.iter().map(|parts| self.resolve(parts));
        let first = found.next()??;
        let same = |other: Option<(&Table, &Column)>| {
            other.is_some_and(|(table, column)| table.oid == first.0.oid && column.number == first.1.number)
        };
        found.all(same).then_some(first)
    }

    /// Returns the column an order begins with and whether it descends, for each key; `None` unless all are columns.
    pub(crate) fn order_columns(&self) -> Option<Vec<(&'a Table, &'a Column, bool)>> {
        let key = |key: &OrderByExpr| {
            let (table, column) = self.column(&key.expr)?;
            match &key.options.sort {
                Some(OrderBySort::Using(_)) => None,
                sort => Some((table, column, matches!(sort, Some(OrderBySort::Desc)))),
            }
        };
        self.order.iter().map(key).collect()
    }

    fn resolve(&self, parts: &[Ident]) -> Option<(&'a Table, &'a Column)> {
        let names: Vec<String> = parts.iter().map(folded).collect();
        let (qualifier, column) = match names.as_slice() {
            [column] => (None, column),
            [.., qualifier, column] => (Some(qualifier), column),
            [] => return None,
        };
        let mut found = None;
        for source in self.sources.iter().filter(|source| qualifier.is_none_or(|qualifier| *qualifier == source.alias)) {
            // What is not a known table may have a column of that name.
            let table = source.table?;
            if let Some(column) = table.column(column)
                && found.replace((table, column)).is_some()
            {
                return None;
            }
        }
        found
    }
}

/// Returns an identifier as the catalog stores it.
pub(super) fn folded(identifier: &Ident) -> String {
    if identifier.quote_style.is_some() { identifier.value.clone() } else { identifier.value.to_lowercase() }
}

/// Strips parentheses.
pub(crate) fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// Returns whether an expression has one value for the whole scan: it names no column and asks no other table.
pub(crate) fn is_constant(expr: &Expr) -> bool {
    let names = Names::of(expr);
    names.names.is_empty() && !names.queries
}

/// The columns an expression names, and whether subqueries stand in it.
#[derive(Default)]
struct Names {
    names: Vec<Vec<Ident>>,
    queries: bool,
}

impl Names {
    fn of(expr: &Expr) -> Self {
        let mut names = Self::default();
        let _ = expr.visit(&mut names);
        names
    }
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.queries = true;
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.names.push(vec![name.clone()]),
            Expr::CompoundIdentifier(parts) => self.names.push(parts.clone()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
