//! The two sides of a comparison: what an index could hold, and what it would be looked up by.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, UnaryOperator, Value, visit_expressions};

use super::condition::{Classifier, bare};
use super::expression::{Bare, Substitute};
use super::operator::keeps_the_type;
use super::parameter::uses;
use super::scope::{Meaning, Place, resolve};
use super::{Comparison, Operand, ParameterUse};

/// What one side of a comparison is to an index.
pub(super) enum Side {
    /// A plain column, of this block or of the subqueries behind it.
    Column(Vec<Place>),
    /// An expression an index could hold.
    Expression(Box<Bare>),
    /// An expression none could, and why.
    Unfit(&'static str),
    /// Nothing of a table of the block.
    Foreign,
}

impl Classifier<'_, '_> {
    /// Notes what a parameter on one side is compared with on the other.
    pub(super) fn role(&mut self, side: &Expr, other: &Expr, comparison: Comparison) {
        let places = match self.side(side) {
            Side::Column(places) => places,
            Side::Foreign => return,
            // `lower(email) = $1` wants a value of the column, changed in form only.
            wrapped => {
                let kept = match &wrapped {
                    Side::Expression(found) => keeps_the_type(&found.expr),
                    _ => keeps_the_type(side),
                };
                match self.local(side).as_slice() {
                    [only] if kept => vec![only.clone()],
                    _ => return,
                }
            }
        };
        if let Some(place) = places.first() {
            uses(other, comparison, &mut |number, comparison| {
                let column = ParameterUse::Column { table: place.table, column: place.column.clone(), comparison };
                self.terms.parameters.push((number, column));
            });
        }
    }

    pub(super) fn side(&self, expr: &Expr) -> Side {
        let parts = match bare(expr) {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(parts) => parts.as_slice(),
            Expr::Value(_) => return Side::Foreign,
            expr => return self.wrapped(expr),
        };
        match resolve(self.context.scopes, parts) {
            Meaning::Column(place) => Side::Column(vec![place]),
            Meaning::Elsewhere([]) | Meaning::Outer(_) | Meaning::Other => Side::Foreign,
            Meaning::Elsewhere(places) => Side::Column(places.to_vec()),
            Meaning::Expression { .. } => self.wrapped(expr),
        }
    }

    fn wrapped(&self, expr: &Expr) -> Side {
        let Some(found) = self.context.bare(expr, Substitute::Only) else { return Side::Foreign };
        // A cast that changes nothing leaves the column.
        if let (Expr::Identifier(_), [column], Some(scope)) = (&found.expr, found.columns.as_slice(), self.context.scopes.last()) {
            let Some(table) = self.context.table(found.access) else { return Side::Foreign };
            return Side::Column(vec![Place { block: scope.block, access: found.access, table: table.oid, column: column.clone() }]);
        }
        match self.context.fault(&found) {
            Some(reason) => Side::Unfit(reason),
            None => Side::Expression(Box::new(found)),
        }
    }

    pub(super) fn reason(&self, expr: &Expr) -> Option<&'static str> {
        match self.side(expr) {
            Side::Unfit(reason) => Some(reason),
            _ => None,
        }
    }

    /// Returns what a column of `access` is compared with; `None` when that changes with the table's own rows.
    pub(super) fn operand(&self, expr: &Expr, access: Option<usize>) -> Option<Operand> {
        match bare(expr) {
            Expr::Value(value) => Some(match &value.value {
                Value::Placeholder(_) => Operand::Parameter,
                Value::Number(number, _) => Operand::Literal(number.clone()),
                Value::Boolean(truth) => Operand::Literal(if *truth { "t" } else { "f" }.to_owned()),
                Value::Null => Operand::Expression,
                other => Operand::Literal(other.clone().into_string().unwrap_or_default()),
            }),
            Expr::TypedString(typed) => Some(Operand::Literal(typed.value.value.clone().into_string().unwrap_or_default())),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Some(match self.operand(expr, access)? {
                Operand::Literal(number) => Operand::Literal(format!("-{number}")),
                Operand::Joined { access, .. } => Operand::Joined { access, column: None },
                _ => Operand::Expression,
            }),
            Expr::Cast { expr, .. } => match self.operand(expr, access)? {
                Operand::Joined { access, .. } => Some(Operand::Joined { access, column: None }),
                operand => Some(operand),
            },
            Expr::Subquery(_) => Some(Operand::Expression),
            expr => {
                let found = self.local(expr);
                if found.iter().any(|place| Some(place.access) == access) {
                    return None;
                }
                if let Some(other) = found.first() {
                    let column = match self.side(expr) {
                        Side::Column(places) => places.into_iter().next().map(|place| place.column),
                        _ => None,
                    };
                    // Without an access of its own (a list) a join condition is left as a filter.
                    return access.map(|_| Operand::Joined { access: other.access, column });
                }
                Some(self.foreign(expr))
            }
        }
    }

    /// Returns what an expression without columns of this block's tables is.
    fn foreign(&self, expr: &Expr) -> Operand {
        let mut operand = Operand::Expression;
        each_name(expr, |parts| match resolve(self.context.scopes, parts) {
            Meaning::Elsewhere(_) => operand = Operand::Subquery,
            Meaning::Outer(_) if operand == Operand::Expression => operand = Operand::Outer,
            _ => {}
        });
        operand
    }

    /// Returns the column of an enclosing block that an expression plainly is.
    pub(super) fn outer_column(&self, expr: &Expr) -> Option<Place> {
        let parts = match bare(expr) {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(parts) => parts.as_slice(),
            _ => return None,
        };
        match resolve(self.context.scopes, parts) {
            Meaning::Outer(places) if places.len() == 1 => places.into_iter().next(),
            _ => None,
        }
    }

    /// Returns the access a condition on these places is of; one that no access has when they lie inside a subquery.
    pub(super) fn own_access(&self, places: &[Place]) -> Option<usize> {
        let own = self.context.scopes.last().map(|scope| scope.block);
        match places {
            [place] if Some(place.block) == own => Some(place.access),
            _ => Some(usize::MAX),
        }
    }

    /// Returns the block's own columns an expression names, subqueries included.
    pub(super) fn local(&self, expr: &Expr) -> Vec<Place> {
        let own = self.context.scopes.last().map(|scope| scope.block);
        let mut found = Vec::new();
        each_name(expr, |parts| match resolve(self.context.scopes, parts) {
            Meaning::Column(place) => found.push(place),
            Meaning::Expression { reads, .. } => found.extend(reads.iter().filter(|place| Some(place.block) == own).cloned()),
            _ => {}
        });
        found
    }
}

/// Calls `visit` for every name in an expression.
fn each_name(expr: &Expr, mut visit: impl FnMut(&[Ident])) {
    let _ = visit_expressions(expr, |expr| {
        match expr {
            Expr::Identifier(name) => visit(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(parts) => visit(parts),
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
}
