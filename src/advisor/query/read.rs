//! From a syntax tree to blocks of table accesses.

use sqlparser::ast::{
    self, Distinct, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, OnConflictAction, OnInsert,
    OrderByExpr, OrderByKind, SelectItem, SetExpr, TableFactor, TableObject, TableWithJoins, UpdateTableFromKind, Visit,
};

use super::condition::{classify, column, conjuncts};
use super::scope::{Meaning, Named, Names, Scope, Source, folded, resolve, schemas};
use super::syntax::{Inside, assigned, item, limit, projected, window};
use super::{Access, Block, Class, ColumnOf, Condition, Limit, Operand, SortKey, Write};
use crate::catalog::{KeyTarget, Table};
use crate::sql::{Parsed, parse};

/// What became of one statement's text.
#[derive(Debug)]
pub(crate) enum Reading {
    /// What it reads and writes.
    Understood { blocks: Vec<Block>, writes: Vec<Write> },
    /// It is no workload: utility statements, and questions to the system's own catalogs.
    NotWorkload,
    /// It could not be used, and why.
    Skipped(String),
}

/// Reads one statement's text.
pub(crate) fn read(names: &Names<'_>, text: &str, search_path: &str, user: &str) -> Reading {
    let statement = match parse(text) {
        Parsed::Statement(statement) => statement,
        Parsed::Utility => return Reading::NotWorkload,
        Parsed::Unreadable(reason) => return Reading::Skipped(reason),
    };
    let mut reader = Reader { names, schemas: schemas(search_path, user), ..Reader::empty(names) };
    reader.statement(&statement, None);
    if let Some(name) = reader.unknown {
        return Reading::Skipped(format!("relation {name} is not a table of the snapshot (a view, a temporary or a dropped table)"));
    }
    let tables = reader.blocks.iter().map(|block| block.accesses.len()).sum::<usize>() + reader.writes.len();
    match (tables, reader.understood) {
        (_, false) => Reading::Skipped("a kind of statement this version does not read".to_owned()),
        // Constants alone (a pool's `select 1`) and the system's catalogs are nobody's workload.
        (0, _) if reader.system || !reader.functions => Reading::NotWorkload,
        (0, _) => Reading::Skipped("names no table; what its functions do is recorded only with pg_stat_statements.track = all".to_owned()),
        _ => Reading::Understood { blocks: reader.blocks, writes: reader.writes },
    }
}

struct Reader<'n, 'a> {
    names: &'n Names<'a>,
    schemas: Vec<String>,
    scopes: Vec<Scope<'a>>,
    /// Names of the common table expressions in sight.
    ctes: Vec<String>,
    blocks: Vec<Block>,
    writes: Vec<Write>,
    unknown: Option<String>,
    system: bool,
    functions: bool,
    understood: bool,
}

/// A condition of `ON` or `WHERE`, and the accesses it may filter (`None`: all), since an outer join keeps the rows of its other side.
type On<'e> = (&'e Expr, Option<Vec<usize>>);

impl<'n, 'a> Reader<'n, 'a> {
    fn empty(names: &'n Names<'a>) -> Self {
        Self {
            names,
            schemas: Vec::new(),
            scopes: Vec::new(),
            ctes: Vec::new(),
            blocks: Vec::new(),
            writes: Vec::new(),
            unknown: None,
            system: false,
            functions: false,
            understood: true,
        }
    }

    fn statement(&mut self, statement: &ast::Statement, parent: Option<usize>) {
        match statement {
            ast::Statement::Query(query) => self.query(query, parent),
            ast::Statement::Insert(insert) => self.insert(insert, parent),
            ast::Statement::Update(update) => {
                let from = match &update.from {
                    Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => from.as_slice(),
                    None => &[],
                };
                let block = self.changed(std::slice::from_ref(&update.table), from, update.selection.as_ref(), parent, |reader| {
                    update.assignments.iter().for_each(|assignment| reader.inside(&assignment.value));
                });
                let sets = update.assignments.iter().flat_map(|assignment| assigned(&assignment.target)).collect();
                self.note_write(block, sets);
            }
            ast::Statement::Delete(delete) => {
                let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
                let block = self.changed(from, delete.using.as_deref().unwrap_or_default(), delete.selection.as_ref(), parent, |_| {});
                self.note_write(block, Vec::new());
            }
            _ => self.understood = false,
        }
    }

    /// Reads the block of an `UPDATE` or `DELETE`; its first access is the table changed.
    fn changed(
        &mut self,
        target: &[TableWithJoins],
        from: &[TableWithJoins],
        selection: Option<&Expr>,
        parent: Option<usize>,
        rest: impl FnOnce(&mut Self),
    ) -> usize {
        let block = self.open(parent);
        let mut on = Vec::new();
        for item in target.iter().chain(from) {
            self.joined_item(item, &mut on);
        }
        on.extend(selection.map(|selection| (selection, None)));
        self.conditions(&on);
        rest(self);
        if let Some(access) = self.blocks[block].accesses.first_mut() {
            access.whole_row = true;
        }
        self.scopes.pop();
        block
    }

    fn note_write(&mut self, block: usize, sets: Vec<String>) {
        if let Some(access) = self.blocks[block].accesses.first() {
            self.writes.push(Write { table: access.table, sets });
        }
    }

    fn insert(&mut self, insert: &ast::Insert, parent: Option<usize>) {
        if let Some(source) = &insert.source {
            self.query(source, parent);
        }
        let TableObject::TableName(name) = &insert.table else {
            self.understood = false;
            return;
        };
        let sets = match &insert.on {
            Some(OnInsert::OnConflict(conflict)) => match &conflict.action {
                OnConflictAction::DoUpdate(update) => {
                    update.assignments.iter().flat_map(|assignment| assigned(&assignment.target)).collect()
                }
                OnConflictAction::DoNothing => Vec::new(),
            },
            _ => Vec::new(),
        };
        if let Some(table) = self.table(name) {
            self.writes.push(Write { table: table.oid, sets });
        }
    }

    fn query(&mut self, query: &ast::Query, parent: Option<usize>) {
        let ctes_outside = self.ctes.len();
        if let Some(with) = &query.with {
            let defined = with.cte_tables.iter().map(|cte| folded(&cte.alias.name));
            if with.recursive {
                self.ctes.extend(defined.clone());
            }
            for (cte, name) in with.cte_tables.iter().zip(defined) {
                self.query(&cte.query, parent);
                self.ctes.push(name);
            }
        }
        let order = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
            Some(OrderByKind::Expressions(keys)) => keys.as_slice(),
            _ => &[],
        };
        self.body(&query.body, order, limit(query), parent);
        self.ctes.truncate(ctes_outside);
    }

    fn body(&mut self, body: &SetExpr, order: &[OrderByExpr], limit: Option<Limit>, parent: Option<usize>) {
        match body {
            SetExpr::Select(select) => self.select(select, order, limit, parent),
            SetExpr::Query(query) => self.query(query, parent),
            SetExpr::SetOperation { left, right, .. } => {
                // Neither order nor limit of the whole reaches an arm.
                self.body(left, &[], None, parent);
                self.body(right, &[], None, parent);
            }
            SetExpr::Values(values) => {
                let block = self.open(parent);
                values.rows.iter().flat_map(|row| &row.content).for_each(|value| self.inside(value));
                self.scopes.pop();
                debug_assert!(self.blocks[block].accesses.is_empty());
            }
            SetExpr::Insert(statement) | SetExpr::Update(statement) | SetExpr::Delete(statement) => self.statement(statement, parent),
            SetExpr::Merge(_) => self.understood = false,
            SetExpr::Table(table) => {
                let parts = table.schema_name.iter().chain(&table.table_name).map(Ident::new).collect::<Vec<_>>();
                self.open(parent);
                self.source(&ObjectName::from(parts), None);
                self.scopes.pop();
            }
        }
    }

    fn select(&mut self, select: &ast::Select, order: &[OrderByExpr], limit: Option<Limit>, parent: Option<usize>) {
        let block = self.open(parent);
        let mut on = Vec::new();
        for item in &select.from {
            self.joined_item(item, &mut on);
        }
        on.extend(select.selection.as_ref().map(|selection| (selection, None)));
        self.conditions(&on);

        let mut windows = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) => self.blocks[block].accesses.iter_mut().for_each(|access| access.whole_row = true),
                SelectItem::QualifiedWildcard(kind, _) => self.whole_row(block, kind.to_string().trim_end_matches(".*")),
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } | SelectItem::ExprWithAliases { expr, .. } => {
                    self.inside(expr);
                    windows.extend(window(expr));
                }
            }
        }
        if let Some(having) = &select.having {
            self.inside(having);
        }
        self.grouping(block, select);
        self.aggregate(block, select);
        self.order(block, select, order, &windows);
        self.blocks[block].limit = limit;
        self.lowest_or_highest(block, select);
        self.scopes.pop();
    }

    fn grouping(&mut self, block: usize, select: &ast::Select) {
        let keys: Vec<&Expr> = match (&select.group_by, &select.distinct) {
            (GroupByExpr::Expressions(keys, _), _) if !keys.is_empty() => keys.iter().map(|key| projected(select, key)).collect(),
            (_, Some(Distinct::Distinct)) => select.projection.iter().filter_map(item).collect(),
            (_, Some(Distinct::On(keys))) => keys.iter().map(|key| projected(select, key)).collect(),
            _ => return,
        };
        keys.iter().for_each(|key| self.inside(*key));
        let columns: Option<Vec<ColumnOf>> = keys.iter().map(|key| self.column(key)).collect();
        self.blocks[block].grouping = columns.unwrap_or_default();
        self.blocks[block].grouped = true;
    }

    fn aggregate(&mut self, block: usize, select: &ast::Select) {
        let folds = select.projection.iter().filter_map(item).any(|expr| {
            let mut found = Inside::default();
            let _ = expr.visit(&mut found);
            found.aggregate
        });
        self.blocks[block].aggregate = folds && !self.blocks[block].grouped;
    }

    fn order(&mut self, block: usize, select: &ast::Select, order: &[OrderByExpr], windows: &[Vec<OrderByExpr>]) {
        let keys = match (order, windows) {
            ([], [window]) => window.as_slice(),
            (order, _) => order,
        };
        keys.iter().for_each(|key| self.inside(projected(select, &key.expr)));
        let found: Option<Vec<SortKey>> = keys
            .iter()
            .map(|key| {
                let descending = matches!(key.options.sort, Some(ast::OrderBySort::Desc));
                let of = self.column(projected(select, &key.expr))?;
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

    /// `min(a)` and `max(a)` alone are answered from one end of an index: read as `order by a limit 1`, as the planner does.
    fn lowest_or_highest(&mut self, block: usize, select: &ast::Select) {
        if let [SelectItem::UnnamedExpr(Expr::Function(function)) | SelectItem::ExprWithAlias { expr: Expr::Function(function), .. }] =
            select.projection.as_slice()
            && self.blocks[block].aggregate
            && self.blocks[block].accesses.len() == 1
            && let ast::FunctionArguments::List(list) = &function.args
            && let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))] = list.args.as_slice()
            && let name = function.name.to_string().to_lowercase()
            && (name == "min" || name == "max")
            && function.filter.is_none()
            && let Some(of) = self.column(argument)
        {
            let column = of.column().unwrap_or_default().to_owned();
            let access = of.access;
            let block = &mut self.blocks[block];
            block.aggregate = false;
            block.sort = vec![SortKey { of, descending: name == "max", nulls_first: false }];
            block.limit = Some(Limit::Rows(1));
            // The planner adds the test, so that the end with NULLs is passed over.
            block.accesses[access].conditions.push(Condition { column, class: Class::NotNull, operand: Operand::Expression });
            if name == "max" {
                block.sort[0].nulls_first = true;
            }
        }
    }

    /// Adds one item of `FROM` to the innermost scope, and its join conditions to `on`.
    fn joined_item<'e>(&mut self, item: &'e TableWithJoins, on: &mut Vec<On<'e>>) {
        let first = self.accesses();
        self.factor(&item.relation, on);
        for join in &item.joins {
            let right = self.accesses();
            self.factor(&join.relation, on);
            let (left, right) = ((first..right).collect::<Vec<_>>(), (right..self.accesses()).collect::<Vec<_>>());
            let (constraint, filters) = match &join.join_operator {
                JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) | JoinOperator::CrossJoin(constraint) => {
                    (constraint, None)
                }
                JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, Some(right.clone())),
                JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (constraint, Some(left.clone())),
                JoinOperator::FullOuter(constraint) => (constraint, Some(Vec::new())),
                _ => continue,
            };
            match constraint {
                JoinConstraint::On(expr) => on.push((expr, filters)),
                JoinConstraint::Using(columns) => {
                    columns.iter().for_each(|name| self.joined_using(name, &left, &right, filters.as_deref()))
                }
                JoinConstraint::Natural | JoinConstraint::None => {}
            }
        }
    }

    fn factor<'e>(&mut self, factor: &'e TableFactor, on: &mut Vec<On<'e>>) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => self.source(name, alias.as_ref().map(|alias| folded(&alias.name))),
            TableFactor::Derived { subquery, alias, .. } => {
                self.query(subquery, None);
                self.derived(alias.as_ref().map(|alias| folded(&alias.name)));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined_item(table_with_joins, on),
            TableFactor::Table { name, alias, .. } | TableFactor::Function { name, alias, .. } => {
                self.functions = true;
                let name = name.0.last().and_then(ObjectNamePart::as_ident).map(folded);
                self.derived(alias.as_ref().map(|alias| folded(&alias.name)).or(name));
            }
            TableFactor::TableFunction { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                self.derived(alias.as_ref().map(|alias| folded(&alias.name)))
            }
            _ => {
                self.functions = true;
                self.derived(None);
            }
        }
    }

    /// Adds a named relation to the innermost scope.
    fn source(&mut self, name: &ObjectName, alias: Option<String>) {
        let own = name.0.last().and_then(ObjectNamePart::as_ident).map(folded).unwrap_or_default();
        if name.0.len() == 1 && self.ctes.contains(&own) {
            return self.derived(alias.or(Some(own)));
        }
        match self.table(name) {
            None => self.derived(alias.or(Some(own))),
            Some(table) => {
                let access = self.accesses();
                let Some(scope) = self.scopes.last_mut() else { return };
                scope.sources.push(Source { alias: alias.unwrap_or(own), table: Some((access, table)) });
                self.blocks[scope.block].accesses.push(Access {
                    table: table.oid,
                    conditions: Vec::new(),
                    filters: Vec::new(),
                    columns: Default::default(),
                    whole_row: false,
                    expressions: Vec::new(),
                    containments: Vec::new(),
                    alternatives: Vec::new(),
                    constants: Vec::new(),
                    nearest: None,
                });
            }
        }
    }

    fn derived(&mut self, alias: Option<String>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.sources.push(Source { alias: alias.unwrap_or_default(), table: None });
        }
    }

    /// Finds a table, and notes when there is none.
    fn table(&mut self, name: &ObjectName) -> Option<&'a Table> {
        match self.names.find(name, &self.schemas) {
            Named::Table(table) => Some(table),
            Named::System => {
                self.system = true;
                None
            }
            Named::Unknown(name) => {
                self.unknown.get_or_insert(name);
                None
            }
        }
    }

    fn conditions(&mut self, on: &[On<'_>]) {
        let Some(block) = self.scopes.last().map(|scope| scope.block) else { return };
        for (expr, allowed) in on {
            self.inside(*expr);
            let may = |access: &usize| allowed.as_ref().is_none_or(|allowed| allowed.contains(access));
            for conjunct in conjuncts(expr) {
                let terms = classify(&self.scopes, conjunct);
                let accesses = &mut self.blocks[block].accesses;
                terms
                    .conditions
                    .into_iter()
                    .filter(|(access, _)| may(access))
                    .for_each(|(access, found)| accesses[access].conditions.push(found));
                terms
                    .filters
                    .into_iter()
                    .filter(|(access, _)| may(access))
                    .for_each(|(access, found)| accesses[access].filters.push(found));
            }
        }
    }

    /// `USING (a)`: the column of both sides, each compared with the other's.
    fn joined_using(&mut self, name: &ObjectName, left: &[usize], right: &[usize], filters: Option<&[usize]>) {
        let Some(name) = name.0.last().and_then(ObjectNamePart::as_ident).map(folded) else { return };
        let Some(scope) = self.scopes.last() else { return };
        let with = |accesses: &[usize]| {
            let mut tables = scope.sources.iter().filter_map(|source| source.table);
            tables.find(|(access, table)| accesses.contains(access) && table.column(&name).is_some()).map(|(access, _)| access)
        };
        let (Some(left), Some(right)) = (with(left), with(right)) else { return };
        let block = scope.block;
        for (access, other) in [(left, right), (right, left)] {
            let access_may = filters.is_none_or(|filters| filters.contains(&access));
            let operand = Operand::Joined { access: other, column: Some(name.clone()) };
            let target = &mut self.blocks[block].accesses[access];
            target.columns.insert(name.clone());
            if access_may {
                target.conditions.push(Condition { column: name.clone(), class: Class::Equality { values: 1 }, operand });
            }
        }
    }

    /// Notes the columns an expression reads, and reads the subqueries inside it.
    fn inside(&mut self, visited: &impl Visit) {
        let mut found = Inside::default();
        let _ = visited.visit(&mut found);
        self.functions |= found.function;
        let Some(block) = self.scopes.last().map(|scope| scope.block) else { return };
        for parts in &found.names {
            match resolve(&self.scopes, parts) {
                Meaning::Column { access, column, .. } => {
                    self.blocks[block].accesses[access].columns.insert(column);
                }
                Meaning::Outer => {
                    self.blocks[block].correlated = true;
                    // Which outer column is read is not followed up: assume all.
                    for scope in self.scopes.iter().rev().skip(1) {
                        self.blocks[scope.block].accesses.iter_mut().for_each(|access| access.whole_row = true);
                    }
                }
                // `count(t)` and `to_json(t)` name the row.
                Meaning::Other if parts.len() == 1 => self.whole_row(block, &parts[0].value),
                Meaning::Other => {}
            }
        }
        for query in &found.queries {
            self.query(query, Some(block));
        }
    }

    fn whole_row(&mut self, block: usize, qualifier: &str) {
        let Some(scope) = self.scopes.last() else { return };
        let wanted = qualifier.rsplit('.').next().unwrap_or_default().trim_matches('"');
        for source in &scope.sources {
            if let (Some((access, _)), true) = (source.table, source.alias.eq_ignore_ascii_case(wanted)) {
                self.blocks[block].accesses[access].whole_row = true;
            }
        }
    }

    fn open(&mut self, parent: Option<usize>) -> usize {
        let block = self.blocks.len();
        self.blocks.push(Block { parent, ..Block::default() });
        self.scopes.push(Scope { block, sources: Vec::new() });
        block
    }

    fn accesses(&self) -> usize {
        self.scopes.last().map_or(0, |scope| self.blocks[scope.block].accesses.len())
    }

    fn column(&self, expr: &Expr) -> Option<ColumnOf> {
        column(&self.scopes, expr).map(|(access, column)| ColumnOf { access, target: KeyTarget::Column(column) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;
    use crate::catalog::{Relations, Snapshot};

    fn reading(text: &str) -> Reading {
        reading_of(&sample::crm(), text)
    }

    fn reading_of(snapshot: &Snapshot, text: &str) -> Reading {
        let relations = Relations::new(snapshot);
        read(&Names::new(&relations), text, "\"$user\", public", "app")
    }

    fn blocks(text: &str) -> Vec<Block> {
        match reading(text) {
            Reading::Understood { blocks, .. } => blocks,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// The conditions of the first block, one word each: `access.column class`.
    fn conditions(text: &str) -> Vec<String> {
        let said = |(at, access): (usize, &Access)| -> Vec<String> {
            let class = |condition: &Condition| match &condition.class {
                Class::Equality { values: 1 } if condition.is_join() => "joined".to_owned(),
                Class::Equality { values } => format!("={values}"),
                other => format!("{other:?}").to_lowercase(),
            };
            access.conditions.iter().map(|condition| format!("{at}.{} {}", condition.column, class(condition))).collect()
        };
        blocks(text)[0].accesses.iter().enumerate().flat_map(said).collect()
    }

    #[test]
    fn conditions_are_classed_by_what_an_index_can_do() {
        let of = |condition: &str| conditions(&format!("select * from prospects where {condition}"));
        assert_eq!(of("user_id = $1 and $2 = status"), ["0.user_id =1", "0.status =1"]);
        assert_eq!(of("status in ($1, $2, $3)"), ["0.status =3"]);
        assert_eq!(of("status = any($1)"), ["0.status =10"]);
        assert_eq!(of("status = $1 or status = $2"), ["0.status =2"]);
        assert_eq!(of("score is null and email is not null"), ["0.score isnull", "0.email notnull"]);
        assert_eq!(of("score between $1 and $2"), ["0.score above", "0.score below"]);
        assert_eq!(of("$1 < score"), ["0.score above"]);
        assert_eq!(of("created_at > now() - interval $1"), ["0.created_at above"]);
        assert_eq!(of("(created_at, id) < ($1, $2)"), ["0.created_at below"]);
        assert_eq!(of("(user_id, status) = ($1, $2)"), ["0.user_id =1", "0.status =1"]);
        assert_eq!(of("user_id in (select id from users)"), ["0.user_id joined"]);
        assert_eq!(of("email like 'bob%'"), ["0.email prefix(\"bob\")"]);
        assert_eq!(of("email::text = $1"), ["0.email =1"]);
    }

    #[test]
    fn conditions_around_a_column_serve_no_index_and_say_so() {
        for condition in [
            "lower(email) = $1",
            "score + 1 > $1",
            "email like $1",
            "email like '%x'",
            "status <> $1",
            "user_id = $1 or score = $2",
            "score::text = $1",
            "not (score = $1)",
            "score = user_id",
            "status not in ($1)",
        ] {
            let found = blocks(&format!("select * from prospects where {condition}"));
            assert_eq!(found[0].accesses[0].conditions, [], "{condition}");
            assert!(!found[0].accesses[0].filters[0].columns.is_empty(), "{condition}");
        }
    }

    #[test]
    fn joins_bind_both_sides_except_where_rows_are_kept() {
        assert_eq!(
            conditions("select * from campaign_prospects c join prospects p on p.id = c.prospect_id"),
            ["0.prospect_id joined", "1.id joined"]
        );
        assert_eq!(
            conditions("select * from prospects p left join meetings m on m.prospect_id = p.id and p.status = $1"),
            ["1.prospect_id joined"]
        );
        assert_eq!(conditions("select * from prospects join meetings using (user_id)"), ["0.user_id joined", "1.user_id joined"]);
        assert_eq!(conditions("select * from prospects p, meetings m where m.prospect_id = p.id"), ["0.id joined", "1.prospect_id joined"]);
    }

    #[test]
    fn names_fold_and_quote_as_the_server_does() {
        assert_eq!(conditions("SELECT * FROM PUBLIC.Prospects P WHERE P.User_Id = $1"), ["0.user_id =1"]);
        assert!(matches!(reading("select * from \"Prospects\""), Reading::Skipped(reason) if reason.contains("Prospects")));
    }

    #[test]
    fn subqueries_expressions_and_changes_are_blocks_of_their_own() {
        let with = blocks(
            "with mine as (select * from prospects where user_id = $1) select * from mine m join meetings on meetings.prospect_id = m.id where scheduled_at > $2",
        );
        assert_eq!(with.iter().map(|block| block.accesses.len()).collect::<Vec<_>>(), [1, 1]);
        let exists = blocks("select * from users u where exists (select 1 from meetings m where m.user_id = u.id)");
        assert!(exists[1].correlated && exists[1].parent == Some(0));
        assert_eq!(exists[1].accesses[0].conditions[0].operand, Operand::Outer);
        let union =
            blocks("select id from users where email = $1 union all (select id from prospects where email = $1 order by id limit 3)");
        assert_eq!((union.len(), union[1].limit), (2, Some(Limit::Rows(3))));
        let Reading::Understood { blocks, writes } =
            reading("update prospects p set status = $1, (score, email) = ($2, $3) from users u where u.id = p.user_id and u.email = $4")
        else {
            panic!("not understood")
        };
        assert_eq!((blocks[0].accesses.len(), writes[0].sets.join(" ")), (2, "status score email".to_owned()));
        let Reading::Understood { writes, .. } =
            reading("insert into users (id, email) values ($1, $2) on conflict (id) do update set email = excluded.email")
        else {
            panic!("not understood")
        };
        assert_eq!(writes[0].sets, ["email"]);
        assert_eq!(conditions("delete from meetings where user_id = $1"), ["0.user_id =1"]);
    }

    #[test]
    fn order_grouping_and_limit_are_noted() {
        let block = &blocks("select status as s, count(*) from prospects group by 1 order by s desc limit 10 offset 5")[0];
        assert_eq!((block.grouping[0].column().unwrap(), block.sort[0].descending, block.limit), ("status", true, Some(Limit::Rows(15))));
        assert!(blocks("select * from prospects order by lower(email)")[0].sort_by_expression);
        let highest = &blocks("select max(created_at) from prospects where user_id = $1")[0];
        assert_eq!((highest.limit, highest.sort[0].descending, highest.aggregate), (Some(Limit::Rows(1)), true, false));
        assert!(blocks("select count(*) from prospects")[0].aggregate);
        let window = &blocks("select id, row_number() over (partition by user_id order by created_at) from prospects")[0];
        assert_eq!(window.sort.iter().map(|key| key.of.column().unwrap()).collect::<Vec<_>>(), ["user_id", "created_at"]);
    }

    #[test]
    fn only_columns_read_are_noted() {
        let access = &blocks("select id, upper(email) from prospects where user_id = $1 order by created_at")[0].accesses[0];
        assert_eq!(access.columns.iter().map(String::as_str).collect::<Vec<_>>(), ["created_at", "email", "id", "user_id"]);
        assert!(!access.whole_row && blocks("select p.* from prospects p")[0].accesses[0].whole_row);
        assert!(!blocks("select count(*) from prospects p")[0].accesses[0].whole_row);
    }

    #[test]
    fn the_longest_chain_admitted_can_be_walked() {
        for chain in [" or user_id = $1", " and user_id = $1", " = $1"] {
            let text = format!("select * from prospects where score = $1{}", chain.repeat(130));
            assert!(matches!(reading(&text), Reading::Understood { .. }), "{chain}");
        }
        let nested = format!("select * from prospects where score = {}", " $1 +".repeat(390));
        assert!(matches!(reading(&format!("{nested} $1")), Reading::Understood { .. }));
    }

    #[test]
    fn what_is_no_workload_is_not_counted() {
        for text in [
            "select 1",
            "select * from pg_class",
            "select * from pg_stat_statements s join pg_catalog.pg_roles r on r.oid = s.userid",
            "begin",
            "select table_name from information_schema.tables",
        ] {
            assert!(matches!(reading(text), Reading::NotWorkload), "{text}: {:?}", reading(text));
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, why) in
            [("select * from nowhere", "nowhere"), ("select my_function($1)", "track = all"), ("select * from", "not understood")]
        {
            assert!(matches!(reading(text), Reading::Skipped(ref reason) if reason.contains(why)), "{text}: {:?}", reading(text));
        }
    }
}
