//! One `SELECT`: its projection, grouping, order, and what of it an outer condition may be passed on to.

use std::collections::BTreeSet;

use sqlparser::ast::{
    self, BinaryOperator, Distinct, Expr, GroupByExpr, Ident, OrderByExpr, SelectItem, SelectItemQualifiedWildcardKind, Visit,
};

use super::condition::bare;
use super::expression::Substitute;
use super::from::On;
use super::kind::arguments;
use super::names::{folded, last_part};
use super::parameter::uses;
use super::read::Reader;
use super::scope::{Meaning, Outcome, Output, Place, Relation, resolve};
use super::syntax::{Inside, Window, aggregates, item, projected, windows};
use super::{Class, ColumnOf, Comparison, Condition, Limit, Operand, ParameterUse, SortKey};
use crate::catalog::KeyTarget;

impl Reader<'_, '_> {
    /// Reads a `SELECT` as a block of its own.
    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        order: &[OrderByExpr],
        limit: Option<Limit>,
        parent: Option<usize>,
    ) -> Option<Vec<Output>> {
        let unread = std::mem::take(&mut self.projection_unread);
        let block = self.open(parent);
        let mut on = Vec::new();
        for item in &select.from {
            self.joined_item(item, &mut on);
        }
        on.extend(select.selection.as_ref().map(On::all));
        self.conditions(&on);
        for item in &select.projection {
            match item {
                _ if unread => {}
                SelectItem::Wildcard(_) => self.every_column(block, None),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    self.every_column(block, Some(&last_part(name)));
                }
                item => self.inside(item),
            }
        }
        if let Some(having) = &select.having {
            self.inside(having);
        }
        let windows = windows(select);
        let keys = grouping_keys(select);
        self.grouping(block, select, &keys);
        self.blocks[block].aggregate = !self.blocks[block].grouped && !aggregates(&select.projection).is_empty();
        self.order(block, select, order, &windows, &keys);
        self.blocks[block].limit = limit;
        self.lowest_or_highest(block, select);
        let outputs = self.outputs(select).map(|outputs| self.passed_on(outputs, block, select, limit, &keys, &windows));
        self.scopes.pop();
        outputs
    }

    fn grouping(&mut self, block: usize, select: &ast::Select, keys: &[&Expr]) {
        keys.iter().for_each(|key| self.inside(*key));
        // What DISTINCT ON keeps is the first of each group in an order: it is read as that order.
        if keys.is_empty() || matches!(select.distinct, Some(Distinct::On(_))) {
            return;
        }
        let columns: Option<Vec<ColumnOf>> = keys.iter().map(|key| self.key(key)).collect();
        self.blocks[block].grouping = columns.unwrap_or_default();
        self.blocks[block].grouped = true;
    }

    fn order(&mut self, block: usize, select: &ast::Select, order: &[OrderByExpr], windows: &[Window], keys: &[&Expr]) {
        let distinct_on: Vec<OrderByExpr>;
        let keys = match (order, windows, &select.distinct) {
            // A window is computed over all rows in its own order, before any other is looked at.
            (_, [window], _) => window.order.as_slice(),
            ([], _, Some(Distinct::On(_))) => {
                distinct_on = keys.iter().map(|key| ascending(key)).collect();
                distinct_on.as_slice()
            }
            (order, ..) => order,
        };
        keys.iter().for_each(|key| self.inside(projected(select, &key.expr)));
        if let Some(key) = keys.first() {
            self.nearest(block, projected(select, &key.expr));
        }
        let found: Option<Vec<SortKey>> = keys
            .iter()
            .map(|key| {
                let descending = matches!(key.options.sort, Some(ast::OrderBySort::Desc));
                let of = self.key(projected(select, &key.expr))?;
                Some(SortKey { of, descending, nulls_first: key.options.nulls_first.unwrap_or(descending) })
            })
            .collect();
        let block = &mut self.blocks[block];
        block.sort_by_expression = found.is_none() || windows.len() > 1;
        block.sort = found.unwrap_or_default();
        if block.aggregate {
            block.sort.clear();
        }
    }

    /// `ORDER BY place <-> $1`: nearest first.
    fn nearest(&mut self, block: usize, key: &Expr) {
        let Expr::BinaryOp { left, op, right } = bare(key) else { return };
        let distance = match op {
            BinaryOperator::LtDashGt | BinaryOperator::Spaceship => true,
            BinaryOperator::Custom(name) => matches!(name.as_str(), "<->" | "<=>" | "<#>" | "<+>" | "<->>" | "<<->"),
            BinaryOperator::PGCustomBinaryOperator(parts) => {
                parts.last().is_some_and(|name| matches!(name.as_str(), "<->" | "<=>" | "<#>"))
            }
            _ => false,
        };
        if !distance {
            return;
        }
        for (side, other) in [(left, right), (right, left)] {
            let Some(found) = self.context().indexable(side) else { continue };
            let table = self.blocks[block].accesses[found.access].table;
            let target = match (&found.expr, found.columns.as_slice()) {
                (Expr::Identifier(_), [column]) => KeyTarget::Column(column.clone()),
                (expr, _) => KeyTarget::Expression(expr.to_string()),
            };
            if let [column] = found.columns.as_slice() {
                uses(other, Comparison::Equal, &mut |number, comparison| {
                    let column = ParameterUse::Column { table, column: column.clone(), comparison };
                    self.parameters.entry(number).or_insert(column);
                });
            }
            self.blocks[block].accesses[found.access].nearest = Some(target);
            return;
        }
    }

    /// `min(a)` and `max(a)` are answered from one end of an index each: read as `order by a limit 1`, as the planner does.
    fn lowest_or_highest(&mut self, block: usize, select: &ast::Select) {
        if !self.blocks[block].aggregate || self.blocks[block].accesses.len() != 1 || select.having.is_some() {
            return;
        }
        let calls = aggregates(&select.projection);
        let ends: Option<BTreeSet<(String, ColumnOf)>> = calls
            .iter()
            .map(|function| {
                let name = last_part(&function.name);
                let [argument] = arguments(function)[..] else { return None };
                let plain = (name == "min" || name == "max") && function.filter.is_none() && function.over.is_none();
                Some((name, self.key(argument).filter(|_| plain)?))
            })
            .collect();
        let Some(ends) = ends else { return };
        let whole = self.blocks[block].clone();
        for (at, (name, of)) in ends.into_iter().enumerate() {
            // Each end is sought by a scan of its own.
            let target = if at == 0 {
                block
            } else {
                let parent = whole.parent.or(Some(block));
                self.blocks.push(super::Block { parent, ..whole.clone() });
                self.blocks.len() - 1
            };
            let block = &mut self.blocks[target];
            let highest = name == "max";
            // The planner adds the test, so that the end with NULLs is passed over.
            if let Some(column) = of.column() {
                let not_null = Condition { column: column.to_owned(), class: Class::NotNull, operand: Operand::Expression };
                block.accesses[of.access].conditions.push(not_null);
            }
            block.aggregate = false;
            block.sort = vec![SortKey { of, descending: highest, nulls_first: highest }];
            block.limit = Some(Limit::Rows(1));
        }
    }

    /// Returns a key of an order or group when an index could give it.
    fn key(&self, expr: &Expr) -> Option<ColumnOf> {
        let found = self.context().indexable(expr)?;
        let target = match (&found.expr, found.columns.as_slice()) {
            (Expr::Identifier(_), [column]) => KeyTarget::Column(column.clone()),
            (expr, _) => KeyTarget::Expression(expr.to_string()),
        };
        Some(ColumnOf { access: found.access, target })
    }

    /// Returns the columns a `SELECT` gives to the query around it; `None` when some cannot be told.
    pub(super) fn outputs(&mut self, select: &ast::Select) -> Option<Vec<Output>> {
        let mut outputs = Vec::new();
        for item in &select.projection {
            let (expr, name) = match item {
                SelectItem::ExprWithAlias { expr, alias } => (expr, folded(alias)),
                SelectItem::UnnamedExpr(expr) => (expr, name_of(expr)),
                SelectItem::Wildcard(_) => {
                    outputs.extend(self.all_outputs(None)?);
                    continue;
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    outputs.extend(self.all_outputs(Some(&last_part(name)))?);
                    continue;
                }
                _ => return None,
            };
            outputs.push(self.output(name, expr));
        }
        Some(outputs)
    }

    fn output(&self, name: String, expr: &Expr) -> Output {
        let reads = self.reads(expr);
        let parts = match bare(expr) {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(parts) => parts.as_slice(),
            _ => &[] as &[Ident],
        };
        let is = match resolve(&self.scopes, parts) {
            Meaning::Column(place) => Outcome::Column(vec![place]),
            Meaning::Elsewhere(places) if !places.is_empty() => Outcome::Column(places.to_vec()),
            _ => match self.context().bare(expr, Substitute::Only) {
                Some(found) if aggregates(expr).is_empty() => Outcome::Expression { access: found.access, expr: found.expr.into() },
                _ => Outcome::Computed,
            },
        };
        Output { name, is, reads }
    }

    fn all_outputs(&self, alias: Option<&str>) -> Option<Vec<Output>> {
        let scope = self.scopes.last()?;
        let mut outputs = Vec::new();
        for source in scope.sources.iter().filter(|source| alias.is_none_or(|alias| source.alias == alias)) {
            match &source.is {
                Relation::Table { access, table } => outputs.extend(table.columns.iter().map(|column| {
                    let place = Place { block: scope.block, access: *access, table: table.oid, column: column.name.clone() };
                    Output { name: column.name.clone(), is: Outcome::Column(vec![place.clone()]), reads: vec![place] }
                })),
                Relation::Derived(known) => outputs.extend(known.iter().cloned()),
                Relation::Opaque => return None,
            }
        }
        Some(outputs)
    }

    /// Returns the columns of tables an expression reads.
    fn reads(&self, expr: &Expr) -> Vec<Place> {
        let mut found = Inside::default();
        let _ = expr.visit(&mut found);
        let mut reads = Vec::new();
        for parts in &found.names {
            match resolve(&self.scopes, parts) {
                Meaning::Column(place) => reads.push(place),
                Meaning::Expression { reads: more, .. } | Meaning::Elsewhere(more) => reads.extend(more.iter().cloned()),
                Meaning::Outer(more) => reads.extend(more),
                Meaning::Other => {}
            }
        }
        reads
    }

    /// Keeps those columns plain whose conditions may be tested before the rows are grouped, numbered or cut off.
    fn passed_on(
        &self,
        mut outputs: Vec<Output>,
        block: usize,
        select: &ast::Select,
        limit: Option<Limit>,
        keys: &[&Expr],
        windows: &[Window],
    ) -> Vec<Output> {
        let places = |keys: &mut dyn Iterator<Item = &Expr>| -> BTreeSet<Place> {
            keys.filter_map(|key| match self.output(String::new(), key).is {
                Outcome::Column(places) => Some(places),
                _ => None,
            })
            .flatten()
            .collect()
        };
        let folds = limit.is_some() || self.blocks[block].aggregate;
        let distinct = matches!(select.distinct, Some(Distinct::Distinct));
        let mut admitted: Vec<BTreeSet<Place>> =
            windows.iter().map(|window| places(&mut window.order[..window.partitions].iter().map(|key| &key.expr))).collect();
        if !keys.is_empty() && !distinct {
            admitted.push(places(&mut keys.iter().copied()));
        }
        for output in &mut outputs {
            let passes = match &output.is {
                Outcome::Column(places) => !folds && admitted.iter().all(|admitted| places.iter().all(|place| admitted.contains(place))),
                // Written in the columns of this block, which no other sees.
                Outcome::Expression { .. } => false,
                Outcome::Computed => true,
            };
            if !passes {
                output.is = Outcome::Computed;
            }
        }
        outputs
    }
}

/// Returns the keys of `GROUP BY`, `DISTINCT` or `DISTINCT ON`.
fn grouping_keys(select: &ast::Select) -> Vec<&Expr> {
    match (&select.group_by, &select.distinct) {
        (GroupByExpr::Expressions(keys, _), _) if !keys.is_empty() => keys.iter().map(|key| projected(select, key)).collect(),
        (_, Some(Distinct::Distinct)) => select.projection.iter().filter_map(item).collect(),
        (_, Some(Distinct::On(keys))) => keys.iter().map(|key| projected(select, key)).collect(),
        _ => Vec::new(),
    }
}

fn ascending(expr: &Expr) -> OrderByExpr {
    OrderByExpr { expr: expr.clone(), options: ast::OrderByOptions { sort: None, nulls_first: None }, with_fill: None }
}

/// Returns the name the server gives to a column without an alias.
fn name_of(expr: &Expr) -> String {
    match bare(expr) {
        Expr::Identifier(name) => folded(name),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).unwrap_or_default(),
        Expr::Function(function) => last_part(&function.name),
        Expr::Cast { expr, .. } => name_of(expr),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        _ => "?column?".to_owned(),
    }
}
