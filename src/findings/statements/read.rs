//! From a statement's text to its levels.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, AssignmentTarget, BinaryOperator, Expr, GroupByExpr, JoinConstraint, JoinOperator, LimitClause, ObjectName, ObjectNamePart,
    OrderByExpr, OrderByKind, Query, Select, SetExpr, TableAlias, TableFactor, TableWithJoins, UpdateTableFromKind, Visit, Visitor,
};

use super::level::{Level, Reading, Source, bare, folded};
use crate::catalog::Table;
use crate::sql::{Parsed, parse};

/// Tables by schema and name.
type Names<'a> = HashMap<(&'a str, &'a str), &'a Table>;

/// Reads one text; `None` when it is not understood.
pub(super) fn read<'a>(names: &Names<'a>, text: &str, search_path: &str, user: &str) -> Option<Reading<'a>> {
    let Parsed::Statement(statement) = parse(text) else { return None };
    let mut defined = Defined::default();
    let _ = statement.visit(&mut defined);
    let mut reader = Reader { names, schemas: schemas(search_path, user), defined: defined.0, reading: Reading::default() };
    let _ = statement.visit(&mut reader);
    Some(reader.reading)
}

/// Names of all common table expressions of a statement, wherever they are in sight: none of these is taken for a table.
#[derive(Default)]
struct Defined(HashSet<String>);

impl Visitor for Defined {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| folded(&cte.alias.name)));
        ControlFlow::Continue(())
    }
}

struct Reader<'n, 'a> {
    names: &'n Names<'a>,
    schemas: Vec<String>,
    defined: HashSet<String>,
    reading: Reading<'a>,
}

impl Visitor for Reader<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.body(&query.body, Some(query));
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &ast::Statement) -> ControlFlow<()> {
        match statement {
            ast::Statement::Update(update) => self.update(update),
            ast::Statement::Delete(delete) => {
                let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
                let items = from.iter().chain(delete.using.iter().flatten());
                let level = self.level(items, delete.selection.as_ref());
                self.reading.levels.push(level);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl<'a> Reader<'_, 'a> {
    /// Adds the levels of a query's own body; queries inside it are visited on their own.
    fn body(&mut self, body: &SetExpr, whole: Option<&Query>) {
        match body {
            SetExpr::Select(select) => {
                let level = self.select(select, whole);
                self.reading.levels.push(level);
            }
            SetExpr::SetOperation { left, right, .. } => {
                // Neither order nor offset of the whole reaches an arm.
                self.body(left, None);
                self.body(right, None);
            }
            _ => {}
        }
    }

    fn select(&self, select: &Select, whole: Option<&Query>) -> Level<'a> {
        let mut level = self.level(&select.from, select.selection.as_ref());
        level.grouped = select.distinct.is_some() || !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if let Some(query) = whole {
            level.order = order(query);
            (level.limit, level.offset) = limit_and_offset(query);
        }
        level
    }

    fn update(&mut self, update: &ast::Update) {
        let from = match &update.from {
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => from.as_slice(),
            None => &[],
        };
        let level = self.level(std::iter::once(&update.table).chain(from), update.selection.as_ref());
        if let Some(table) = level.sources.first().and_then(|source| source.table) {
            let sets = update.assignments.iter().flat_map(|assignment| assigned(&assignment.target)).collect();
            self.reading.updates.push((table, sets));
        }
        self.reading.levels.push(level);
    }

    fn level<'t>(&self, items: impl IntoIterator<Item = &'t TableWithJoins>, selection: Option<&Expr>) -> Level<'a> {
        let mut level = Level::default();
        for item in items {
            self.item(item, &mut level);
        }
        split(selection, &mut level.conjuncts);
        level
    }

    fn item(&self, item: &TableWithJoins, level: &mut Level<'a>) {
        self.factor(&item.relation, level);
        for join in &item.joins {
            self.factor(&join.relation, level);
            if let JoinOperator::Join(JoinConstraint::On(on))
            | JoinOperator::Inner(JoinConstraint::On(on))
            | JoinOperator::Left(JoinConstraint::On(on))
            | JoinOperator::LeftOuter(JoinConstraint::On(on))
            | JoinOperator::Right(JoinConstraint::On(on))
            | JoinOperator::RightOuter(JoinConstraint::On(on)) = &join.join_operator
            {
                split(Some(on), &mut level.conjuncts);
            }
        }
    }

    fn factor(&self, factor: &TableFactor, level: &mut Level<'a>) {
        let named = |alias: &Option<TableAlias>| alias.as_ref().map(|alias| folded(&alias.name));
        let source = match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let own = name.0.last().and_then(ObjectNamePart::as_ident).map(folded).unwrap_or_default();
                // Columns may be renamed by the alias.
                let renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                Source { alias: named(alias).unwrap_or(own), table: if renamed { None } else { self.table(name) } }
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => return self.item(table_with_joins, level),
            TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } | TableFactor::Function { alias, .. } => {
                Source { alias: named(alias).unwrap_or_default(), table: None }
            }
            _ => Source { alias: String::new(), table: None },
        };
        level.sources.push(source);
    }

    fn table(&self, name: &ObjectName) -> Option<&'a Table> {
        let parts: Vec<String> = name.0.iter().filter_map(ObjectNamePart::as_ident).map(folded).collect();
        match parts.as_slice() {
            [table] if self.defined.contains(table) => None,
            [table] => self.schemas.iter().find_map(|schema| self.names.get(&(schema.as_str(), table.as_str()))).copied(),
            [.., schema, table] => self.names.get(&(schema.as_str(), table.as_str())).copied(),
            [] => None,
        }
    }
}

/// Adds a condition's parts, split at its `AND`s.
fn split(condition: Option<&Expr>, parts: &mut Vec<Expr>) {
    let mut open: Vec<&Expr> = condition.into_iter().collect();
    while let Some(expr) = open.pop() {
        match bare(expr) {
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => open.extend([right.as_ref(), left.as_ref()]),
            part => parts.push(part.clone()),
        }
    }
}

fn order(query: &Query) -> Vec<OrderByExpr> {
    match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        _ => vec![],
    }
}

fn limit_and_offset(query: &Query) -> (Option<Expr>, Option<Expr>) {
    let (limit, offset) = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit, offset, .. }) => (limit.clone(), offset.as_ref().map(|offset| offset.value.clone())),
        Some(LimitClause::OffsetCommaLimit { offset, limit }) => (Some(limit.clone()), Some(offset.clone())),
        None => (None, None),
    };
    (limit.or_else(|| query.fetch.as_ref().and_then(|fetch| fetch.quantity.clone())), offset)
}

/// Returns the columns an assignment sets.
fn assigned(target: &AssignmentTarget) -> Vec<String> {
    let names = match target {
        AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        AssignmentTarget::Tuple(names) => names,
    };
    names.iter().filter_map(|name| name.0.last().and_then(ObjectNamePart::as_ident)).map(folded).collect()
}

/// Returns the schemas of a search path as a role sees them: `"$user", public`.
fn schemas(search_path: &str, user: &str) -> Vec<String> {
    let path = if search_path.trim().is_empty() { "\"$user\", public" } else { search_path };
    let unquoted = |part: &str| {
        let part = part.trim();
        match part.strip_prefix('"').and_then(|part| part.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => part.to_lowercase(),
        }
    };
    path.split(',').map(unquoted).map(|schema| if schema == "$user" { user.to_owned() } else { schema }).collect()
}
