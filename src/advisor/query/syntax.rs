//! Small questions to a syntax tree, none of which needs to know the tables.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, AssignmentTarget, Expr, Ident, LimitClause, ObjectNamePart, OrderByExpr, SelectItem, Value, Visitor, WindowType,
};

use super::Limit;
use super::scope::folded;

/// What stands in an expression, outside its subqueries.
#[derive(Default)]
pub(super) struct Inside {
    depth: usize,
    pub(super) names: Vec<Vec<Ident>>,
    pub(super) queries: Vec<ast::Query>,
    pub(super) function: bool,
    pub(super) aggregate: bool,
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
        const AGGREGATES: &[&str] = &[
            "array_agg",
            "avg",
            "bit_and",
            "bit_or",
            "bool_and",
            "bool_or",
            "count",
            "every",
            "json_agg",
            "json_object_agg",
            "jsonb_agg",
            "jsonb_object_agg",
            "max",
            "min",
            "percentile_cont",
            "percentile_disc",
            "stddev",
            "string_agg",
            "sum",
            "variance",
        ];
        match expr {
            _ if self.depth > 0 => {}
            Expr::Identifier(name) => self.names.push(vec![name.clone()]),
            Expr::CompoundIdentifier(parts) => self.names.push(parts.clone()),
            Expr::Function(function) => {
                self.function = true;
                let name = function.name.to_string().to_lowercase();
                self.aggregate |= function.over.is_none() && AGGREGATES.contains(&name.rsplit('.').next().unwrap_or_default());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Returns the partition and order of a window function at the top of an expression.
pub(super) fn window(expr: &Expr) -> Option<Vec<OrderByExpr>> {
    let Expr::Function(function) = expr else { return None };
    let Some(WindowType::WindowSpec(window)) = &function.over else { return None };
    let plain =
        |expr: &Expr| OrderByExpr { expr: expr.clone(), options: ast::OrderByOptions { sort: None, nulls_first: None }, with_fill: None };
    Some(window.partition_by.iter().map(plain).chain(window.order_by.iter().cloned()).collect())
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

/// Returns the columns an assignment sets.
pub(super) fn assigned(target: &AssignmentTarget) -> Vec<String> {
    let names = match target {
        AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        AssignmentTarget::Tuple(names) => names,
    };
    names.iter().filter_map(|name| name.0.last().and_then(ObjectNamePart::as_ident)).map(folded).collect()
}
