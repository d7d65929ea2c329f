//! Small questions to a syntax tree, none of which needs to know the tables.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, AssignmentTarget, Expr, Function, Ident, LimitClause, NamedWindowExpr, ObjectNamePart, OrderByExpr, SelectItem, Value, Visit,
    Visitor, WindowType,
};

use super::names::{folded, last_part};
use super::parameter::number;
use super::{Limit, ParameterUse};

/// What stands in an expression, outside its subqueries.
#[derive(Default)]
pub(super) struct Inside {
    depth: usize,
    pub(super) names: Vec<Vec<Ident>>,
    pub(super) queries: Vec<ast::Query>,
    pub(super) function: bool,
    pub(super) aggregate: bool,
    pub(super) window: bool,
    /// A function that returns several rows.
    pub(super) rows: bool,
}

fn is_aggregate(function: &Function) -> bool {
    #[rustfmt::skip]
    const AGGREGATES: &[&str] = &[
        "any_value", "array_agg", "avg", "bit_and", "bit_or", "bool_and", "bool_or", "corr", "count", "every", "json_agg",
        "json_object_agg", "jsonb_agg", "jsonb_object_agg", "max", "min", "mode", "percentile_cont", "percentile_disc",
        "range_agg", "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum", "var_pop", "var_samp", "variance", "xmlagg",
    ];
    function.over.is_none() && AGGREGATES.contains(&last_part(&function.name).as_str())
}

impl Visitor for Inside {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        if self.depth == 0 {
            self.queries.push(query.clone());
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            _ if self.depth > 0 => {}
            Expr::Identifier(name) => self.names.push(vec![name.clone()]),
            Expr::CompoundIdentifier(parts) => self.names.push(parts.clone()),
            Expr::Function(function) => {
                self.function = true;
                self.window |= function.over.is_some();
                self.aggregate |= is_aggregate(function);
                self.rows |= matches!(
                    last_part(&function.name).as_str(),
                    "unnest" | "generate_series" | "jsonb_array_elements" | "regexp_split_to_table"
                );
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The order a window function wants its rows in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// Keys of `PARTITION BY`, then of its `ORDER BY`.
    pub(super) order: Vec<OrderByExpr>,
    /// How many of them partition.
    pub(super) partitions: usize,
}

/// Returns the different windows of a `SELECT`, wherever their functions stand in its projection.
pub(super) fn windows(select: &ast::Select) -> Vec<Window> {
    let mut found: Vec<Window> = Vec::new();
    let plain =
        |expr: &Expr| OrderByExpr { expr: expr.clone(), options: ast::OrderByOptions { sort: None, nulls_first: None }, with_fill: None };
    for over in calls(&select.projection).into_iter().filter_map(|function| function.over) {
        let spec = match over {
            WindowType::WindowSpec(spec) => Some(spec),
            WindowType::NamedWindow(name) => select.named_window.iter().find_map(|defined| match &defined.1 {
                NamedWindowExpr::WindowSpec(spec) if folded(&defined.0) == folded(&name) => Some(spec.clone()),
                _ => None,
            }),
        };
        let Some(spec) = spec else { continue };
        let order = spec.partition_by.iter().map(plain).chain(spec.order_by.iter().cloned()).collect();
        let window = Window { order, partitions: spec.partition_by.len() };
        if !found.contains(&window) {
            found.push(window);
        }
    }
    found
}

/// Returns the aggregates of an expression, outside its subqueries.
pub(super) fn aggregates(visited: &impl Visit) -> Vec<Function> {
    calls(visited).into_iter().filter(is_aggregate).collect()
}

fn calls(visited: &impl Visit) -> Vec<Function> {
    let mut found = Calls::default();
    let _ = visited.visit(&mut found);
    found.calls
}

/// Function calls outside subqueries.
#[derive(Default)]
struct Calls {
    depth: usize,
    calls: Vec<Function>,
}

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let (Expr::Function(function), 0) = (expr, self.depth) {
            self.calls.push(function.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Returns the expression of a projected item.
pub(super) fn item(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// Follows `order by 2` and `order by alias` to the projected expression.
pub(super) fn projected<'e>(select: &'e ast::Select, key: &'e Expr) -> &'e Expr {
    let target = match key {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse::<usize>().ok().and_then(|at| select.projection.get(at.checked_sub(1)?)),
            _ => None,
        },
        Expr::Identifier(name) => {
            select.projection.iter().find(|item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if folded(alias) == folded(name)))
        }
        _ => None,
    };
    target.and_then(item).unwrap_or(key)
}

/// Returns how many rows `LIMIT` and `OFFSET`, or `FETCH FIRST`, let through.
pub(super) fn limit(query: &ast::Query) -> Option<Limit> {
    let rows = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok().map(Limit::Rows),
            Value::Null => None,
            _ => Some(Limit::Parameter),
        },
        _ => Some(Limit::Parameter),
    };
    if let Some(fetch) = &query.fetch {
        return fetch.quantity.as_ref().map_or(Some(Limit::Rows(1)), rows);
    }
    let Some(LimitClause::LimitOffset { limit: Some(limit), offset, .. }) = &query.limit_clause else { return None };
    match (rows(limit)?, offset.as_ref().map(|offset| rows(&offset.value))) {
        (Limit::Rows(limit), Some(Some(Limit::Rows(offset)))) => Some(Limit::Rows(limit.saturating_add(offset))),
        (Limit::Rows(limit), None | Some(None)) => Some(Limit::Rows(limit)),
        _ => Some(Limit::Parameter),
    }
}

/// Calls `found` with the parameters of `LIMIT`, `OFFSET` and `FETCH`.
pub(super) fn limit_parameters(query: &ast::Query, found: &mut dyn FnMut(u32, ParameterUse)) {
    let mut note = |expr: Option<&Expr>, used: ParameterUse| {
        if let Some(number) = expr.and_then(number) {
            found(number, used);
        }
    };
    note(query.fetch.as_ref().and_then(|fetch| fetch.quantity.as_ref()), ParameterUse::Limit);
    match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit, offset, .. }) => {
            note(limit.as_ref(), ParameterUse::Limit);
            note(offset.as_ref().map(|offset| &offset.value), ParameterUse::Offset);
        }
        Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
            note(Some(limit), ParameterUse::Limit);
            note(Some(offset), ParameterUse::Offset);
        }
        None => {}
    }
}

/// Returns the columns an assignment sets.
pub(super) fn assigned(target: &AssignmentTarget) -> Vec<String> {
    let names = match target {
        AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        AssignmentTarget::Tuple(names) => names,
    };
    names.iter().filter_map(|name| name.0.last().and_then(ObjectNamePart::as_ident)).map(folded).collect()
}
