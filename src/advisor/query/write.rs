//! Statements that change rows: what they read to find them, and what they set.

use sqlparser::ast::{
    self, Assignment, AssignmentTarget, Expr, MergeAction, MergeInsertKind, MergeUpdateKind, OnConflictAction, OnInsert, SelectItem,
    SetExpr, TableObject, TableWithJoins, UpdateTableFromKind,
};

use super::condition::bare;
use super::from::On;
use super::names::last_part;
use super::parameter::uses;
use super::read::Reader;
use super::syntax::assigned;
use super::{Comparison, ParameterUse, Write};
use crate::catalog::{Oid, Table};

impl<'a> Reader<'_, 'a> {
    /// Reads a statement.
    pub(super) fn statement(&mut self, statement: &ast::Statement, parent: Option<usize>) {
        match statement {
            ast::Statement::Query(query) => {
                self.query(query, parent);
            }
            ast::Statement::Insert(insert) => self.insert(insert, parent),
            ast::Statement::Update(update) => {
                let from = match &update.from {
                    Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => from.as_slice(),
                    None => &[],
                };
                let block = self.changed(std::slice::from_ref(&update.table), from, update.selection.as_ref(), parent, |reader| {
                    update.assignments.iter().for_each(|assignment| reader.inside(&assignment.value));
                });
                self.set(block, &update.assignments);
                self.note_write(block, sets(&update.assignments), false);
            }
            ast::Statement::Delete(delete) => {
                let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
                let block = self.changed(from, delete.using.as_deref().unwrap_or_default(), delete.selection.as_ref(), parent, |_| {});
                self.note_write(block, Vec::new(), false);
            }
            ast::Statement::Merge(merge) => self.merge(merge, parent),
            _ => self.not_understood(),
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
        on.extend(selection.map(On::all));
        self.conditions(&on);
        rest(self);
        if let Some(access) = self.blocks[block].accesses.first_mut() {
            access.whole_row = true;
        }
        self.scopes.pop();
        block
    }

    fn merge(&mut self, merge: &ast::Merge, parent: Option<usize>) {
        let block = self.open(parent);
        let mut on = Vec::new();
        self.factor(&merge.table, &mut on);
        let targets: Vec<usize> = (0..self.accesses()).collect();
        self.factor(&merge.source, &mut on);
        let inserts = merge.clauses.iter().any(|clause| matches!(clause.action, MergeAction::Insert(_)));
        // Rows of the source without a match are kept when they are inserted.
        let allowed = inserts.then_some(targets);
        on.push(On { expr: std::borrow::Cow::Borrowed(&merge.on), allowed });
        self.conditions(&on);
        let table = self.blocks[block].accesses.first().map(|access| access.table);
        for clause in &merge.clauses {
            if let Some(predicate) = &clause.predicate {
                self.inside(predicate);
            }
            let written = match &clause.action {
                MergeAction::Update(update) => {
                    let MergeUpdateKind::Set(assignments) = &update.kind else { continue };
                    assignments.iter().for_each(|assignment| self.inside(&assignment.value));
                    self.set(block, assignments);
                    sets(assignments)
                }
                MergeAction::Insert(insert) => {
                    if let MergeInsertKind::Values(values) = &insert.kind {
                        let columns: Vec<String> = insert.columns.iter().map(last_part).collect();
                        for row in &values.rows {
                            row.content.iter().for_each(|value| self.inside(value));
                            table.into_iter().for_each(|table| self.given(table, &columns, row.content.iter()));
                        }
                    }
                    Vec::new()
                }
                MergeAction::Delete { .. } => Vec::new(),
                MergeAction::DoNothing { .. } => continue,
            };
            self.note_write(block, written, matches!(clause.action, MergeAction::Insert(_)));
        }
        if let Some(access) = self.blocks[block].accesses.first_mut() {
            access.whole_row = true;
        }
        self.scopes.pop();
    }

    fn insert(&mut self, insert: &ast::Insert, parent: Option<usize>) {
        if let Some(source) = &insert.source {
            self.query(source, parent);
        }
        let TableObject::TableName(name) = &insert.table else { return self.not_understood() };
        let Some(table) = self.table(name) else { return };
        if let Some(source) = &insert.source {
            self.inserted(table, insert, source);
        }
        let mut assignments: &[Assignment] = &[];
        if let Some(OnInsert::OnConflict(conflict)) = &insert.on
            && let OnConflictAction::DoUpdate(update) = &conflict.action
        {
            assignments = &update.assignments;
        }
        self.set_of(table.oid, assignments);
        self.writes.push(Write { table: table.oid, sets: sets(assignments), inserts: true });
    }

    /// Notes which column each parameter of the rows inserted goes to.
    fn inserted(&mut self, table: &'a Table, insert: &ast::Insert, source: &ast::Query) {
        let columns: Vec<String> = if insert.columns.is_empty() {
            table.columns.iter().map(|column| column.name.clone()).collect()
        } else {
            insert.columns.iter().map(last_part).collect()
        };
        match source.body.as_ref() {
            SetExpr::Values(values) => values.rows.iter().for_each(|row| self.given(table.oid, &columns, row.content.iter())),
            SetExpr::Select(select) => {
                let items = select.projection.iter().map_while(|item| match item {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
                    _ => None,
                });
                self.given(table.oid, &columns, items);
            }
            _ => {}
        }
    }

    fn given<'e>(&mut self, table: Oid, columns: &[String], values: impl Iterator<Item = &'e Expr>) {
        for (column, value) in columns.iter().zip(values) {
            uses(value, Comparison::Equal, &mut |number, comparison| {
                let used = ParameterUse::Column { table, column: column.clone(), comparison };
                self.parameters.entry(number).or_insert(used);
            });
        }
    }

    fn set(&mut self, block: usize, assignments: &[Assignment]) {
        if let Some(table) = self.blocks[block].accesses.first().map(|access| access.table) {
            self.set_of(table, assignments);
        }
    }

    fn set_of(&mut self, table: Oid, assignments: &[Assignment]) {
        for assignment in assignments {
            let columns = assigned(&assignment.target);
            match (&assignment.target, bare(&assignment.value)) {
                (AssignmentTarget::Tuple(_), Expr::Tuple(values)) => self.given(table, &columns, values.iter()),
                (_, value) => self.given(table, &columns, std::iter::once(value)),
            }
        }
    }

    fn note_write(&mut self, block: usize, sets: Vec<String>, inserts: bool) {
        if let Some(access) = self.blocks[block].accesses.first() {
            self.writes.push(Write { table: access.table, sets, inserts });
        }
    }
}

fn sets(assignments: &[Assignment]) -> Vec<String> {
    assignments.iter().flat_map(|assignment| assigned(&assignment.target)).collect()
}
