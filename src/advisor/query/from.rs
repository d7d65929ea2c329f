//! What `FROM` names: tables, joins, subqueries, views.

use std::borrow::Cow;
use std::rc::Rc;

use sqlparser::ast::{
    self, BinaryOperator, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, SetExpr, TableAlias, TableFactor,
    TableWithJoins, Visit,
};

use super::Access;
use super::common::Body;
use super::names::{Named, folded, last_part};
use super::read::Reader;
use super::scope::{Outcome, Output, Place, Relation, Scope, Source};
use super::syntax::Inside;

/// Views inside views beyond this many are not opened (a damaged snapshot may name a circle).
const VIEWS_DEEP: usize = 16;

/// A condition of `ON` or `WHERE`, and the accesses it may filter (`None`: all), since an outer join keeps the rows of its other side.
pub(super) struct On<'e> {
    pub(super) expr: Cow<'e, Expr>,
    pub(super) allowed: Option<Vec<usize>>,
}

impl<'e> On<'e> {
    /// A condition that filters every table it names.
    pub(super) fn all(expr: &'e Expr) -> Self {
        Self { expr: Cow::Borrowed(expr), allowed: None }
    }
}

impl<'a> Reader<'_, 'a> {
    /// Adds one item of `FROM` to the innermost scope, and its join conditions to `on`.
    pub(super) fn joined_item<'e>(&mut self, item: &'e TableWithJoins, on: &mut Vec<On<'e>>) {
        let (first, first_source) = (self.accesses(), self.sources());
        self.factor(&item.relation, on);
        for join in &item.joins {
            let (middle, middle_source) = (self.accesses(), self.sources());
            self.factor(&join.relation, on);
            let left: Vec<usize> = (first..middle).collect();
            let right: Vec<usize> = (middle..self.accesses()).collect();
            let (constraint, filled, allowed) = match &join.join_operator {
                JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) | JoinOperator::CrossJoin(constraint) => {
                    (constraint, Vec::new(), None)
                }
                JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, right.clone(), Some(right)),
                JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (constraint, left.clone(), Some(left)),
                JoinOperator::FullOuter(constraint) => (constraint, [left, right].concat(), Some(Vec::new())),
                _ => continue,
            };
            if let Some(scope) = self.scopes.last() {
                self.nullable.extend(filled.into_iter().map(|access| (scope.block, access)));
            }
            match constraint {
                JoinConstraint::On(expr) => on.push(On { expr: Cow::Borrowed(expr), allowed }),
                JoinConstraint::Using(columns) => {
                    for name in columns {
                        self.joined_by(&last_part(name), first_source, middle_source, &allowed, on);
                    }
                }
                JoinConstraint::Natural => {
                    let columns = self.scopes.last().and_then(|scope| scope.sources.last()).map(|source| source.is.columns());
                    for name in columns.unwrap_or_default() {
                        self.joined_by(&name, first_source, middle_source, &allowed, on);
                    }
                }
                JoinConstraint::None => {}
            }
        }
    }

    /// `USING (a)`: the column of one side has to equal that of the other.
    fn joined_by(&self, name: &str, first: usize, middle: usize, allowed: &Option<Vec<usize>>, on: &mut Vec<On<'_>>) {
        let Some(scope) = self.scopes.last() else { return };
        let with = |sources: &[Source<'_>]| sources.iter().find(|source| source.is.has(name)).map(|source| source.alias.clone());
        let (Some(left), Some(right)) = (with(&scope.sources[first..middle]), with(&scope.sources[middle..])) else { return };
        let side = |alias: String| Box::new(Expr::CompoundIdentifier(vec![Ident::with_quote('"', alias), Ident::with_quote('"', name)]));
        let equal = Expr::BinaryOp { left: side(left), op: BinaryOperator::Eq, right: side(right) };
        on.push(On { expr: Cow::Owned(equal), allowed: allowed.clone() });
    }

    fn sources(&self) -> usize {
        self.scopes.last().map_or(0, |scope| scope.sources.len())
    }

    pub(super) fn factor<'e>(&mut self, factor: &'e TableFactor, on: &mut Vec<On<'e>>) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => self.relation(name, alias.as_ref()),
            TableFactor::Derived { subquery, alias, .. } => {
                let (name, columns) = called(alias.as_ref());
                self.derived(subquery, name.unwrap_or_default(), &columns);
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined_item(table_with_joins, on),
            TableFactor::Table { name, alias, args, .. } => {
                self.functions = true;
                if let Some(args) = args {
                    self.inside(args);
                }
                self.source(alias.as_ref().map_or_else(|| last_part(name), |alias| folded(&alias.name)), Relation::Opaque);
            }
            TableFactor::Function { name, alias, args, .. } => {
                self.functions = true;
                self.inside(args);
                self.source(alias.as_ref().map_or_else(|| last_part(name), |alias| folded(&alias.name)), Relation::Opaque);
            }
            TableFactor::TableFunction { alias, expr } => {
                self.inside(expr);
                self.source(called(alias.as_ref()).0.unwrap_or_default(), Relation::Opaque);
            }
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                self.inside(array_exprs);
                self.source(called(alias.as_ref()).0.unwrap_or_default(), Relation::Opaque);
            }
            _ => {
                self.functions = true;
                self.source(String::new(), Relation::Opaque);
            }
        }
    }

    /// Adds a named relation to the innermost scope.
    pub(super) fn relation(&mut self, name: &ObjectName, alias: Option<&TableAlias>) {
        let own = last_part(name);
        let (called, columns) = called(alias);
        let called = called.unwrap_or_else(|| own.clone());
        let cte = self.ctes.iter().rev().find(|cte| name.0.len() == 1 && cte.name == own).cloned();
        if let Some(cte) = cte {
            let columns = if columns.is_empty() { cte.columns } else { columns };
            return match cte.is {
                Body::Computed(None) => self.source(called, Relation::Opaque),
                Body::Computed(Some(outputs)) => self.source(called, Relation::Derived(renamed(outputs, &columns))),
                Body::Inlined { query, visible } => {
                    // It sees what stood before it, not what its user sees.
                    let later = self.ctes.split_off(visible);
                    self.derived(&query, called, &columns);
                    self.ctes.truncate(visible);
                    self.ctes.extend(later);
                }
            };
        }
        match self.find(name) {
            Named::Table(table) => {
                let access = self.accesses();
                let Some(block) = self.scopes.last().map(|scope| scope.block) else { return };
                self.blocks[block].accesses.push(Access::of(table.oid));
                if columns.is_empty() {
                    return self.source(called, Relation::Table { access, table });
                }
                let output = |column: &crate::catalog::Column| {
                    let place = Place { block, access, table: table.oid, column: column.name.clone() };
                    Output { name: column.name.clone(), is: Outcome::Column(vec![place.clone()]), reads: vec![place] }
                };
                self.source(called, Relation::Derived(renamed(table.columns.iter().map(output).collect(), &columns)));
            }
            Named::View(view) => match self.names.definition(view) {
                Some(query) if self.views_open < VIEWS_DEEP => {
                    let columns = if columns.is_empty() { view.columns.clone() } else { columns };
                    let ctes = std::mem::take(&mut self.ctes);
                    self.path.insert(0, view.name.schema.clone());
                    self.views_open += 1;
                    let query: Rc<ast::Query> = query;
                    self.derived(&query, called, &columns);
                    self.views_open -= 1;
                    self.path.remove(0);
                    self.ctes = ctes;
                }
                _ => {
                    self.note_unknown(view.name.to_string());
                    self.source(called, Relation::Opaque);
                }
            },
            Named::System | Named::Unknown(_) => self.source(called, Relation::Opaque),
        }
    }

    /// Adds a subquery: as part of the block where the planner pulls it up, else as a block of its own.
    fn derived(&mut self, query: &ast::Query, called: String, columns: &[String]) {
        let Some(block) = self.scopes.last().map(|scope| scope.block) else { return };
        let unread = std::mem::take(&mut self.projection_unread);
        let outputs = match simple(query) {
            Some(select) => self.pulled_up(query, select, block),
            None => self.query(query, Some(block)),
        };
        self.projection_unread = unread;
        self.source(called, outputs.map_or(Relation::Opaque, |outputs| Relation::Derived(renamed(outputs, columns))));
    }

    fn pulled_up(&mut self, query: &ast::Query, select: &ast::Select, block: usize) -> Option<Vec<Output>> {
        let outside = self.with(query, Some(block));
        self.scopes.push(Scope { block, sources: Vec::new() });
        let mut on = Vec::new();
        for item in &select.from {
            self.joined_item(item, &mut on);
        }
        on.extend(select.selection.as_ref().map(On::all));
        self.conditions(&on);
        let outputs = self.outputs(select);
        self.scopes.pop();
        self.ctes.truncate(outside);
        outputs
    }

    fn source(&mut self, alias: String, is: Relation<'a>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.sources.push(Source { alias, is });
        }
    }
}

/// Returns an alias and the names it gives to columns.
fn called(alias: Option<&TableAlias>) -> (Option<String>, Vec<String>) {
    let columns = alias.iter().flat_map(|alias| &alias.columns).map(|column| folded(&column.name)).collect();
    (alias.map(|alias| folded(&alias.name)), columns)
}

fn renamed(mut outputs: Vec<Output>, columns: &[String]) -> Vec<Output> {
    for (output, name) in outputs.iter_mut().zip(columns) {
        output.name.clone_from(name);
    }
    outputs
}

/// Returns the `SELECT` of a query that says nothing else: the planner makes it part of the query around it.
///
/// Follows `is_simple_subquery` of `prepjointree.c`.
fn simple(query: &ast::Query) -> Option<&ast::Select> {
    let plain = query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none() && query.locks.is_empty();
    match query.body.as_ref() {
        SetExpr::Select(select) if plain => {
            let mut found = Inside::default();
            let _ = select.projection.visit(&mut found);
            let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
            let folds = found.aggregate || found.window || found.rows;
            (!select.from.is_empty() && select.distinct.is_none() && select.having.is_none() && !grouped && !folds).then_some(select)
        }
        SetExpr::Query(inner) if plain && query.with.is_none() && inner.with.is_none() => simple(inner),
        _ => None,
    }
}
