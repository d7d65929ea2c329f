//! Which conditions of a `WHERE` or `ON` an index could serve.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Ident, UnaryOperator, Value, visit_expressions};

use super::scope::{Meaning, Scope, resolve};
use super::{Class, Condition, Filter, Operand};

/// What was learnt from a conjunction, each with the access it belongs to.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Conditions an index could serve.
    pub(super) conditions: Vec<(usize, Condition)>,
    /// Those none could.
    pub(super) filters: Vec<(usize, Filter)>,
}

/// Rows kept by a comparison the planner knows nothing about (its `DEFAULT_EQ_SEL`).
const EQUALITY_UNKNOWN: f64 = 0.005;
/// Rows kept by an inequality it knows nothing about (its `DEFAULT_INEQ_SEL`).
const INEQUALITY_UNKNOWN: f64 = 1.0 / 3.0;
/// Rows kept by a pattern (convention: the planner's guess depends on the pattern's letters).
const PATTERN_UNKNOWN: f64 = 0.05;

/// Splits a condition at its top-level `AND`s.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    split(expr, &BinaryOperator::And)
}

fn split<'e>(expr: &'e Expr, at: &BinaryOperator) -> Vec<&'e Expr> {
    let mut open = vec![expr];
    let mut parts = Vec::new();
    while let Some(expr) = open.pop() {
        match bare(expr) {
            Expr::BinaryOp { left, op, right } if op == at => open.extend([right.as_ref(), left.as_ref()]),
            part => parts.push(part),
        }
    }
    parts
}

/// Strips parentheses.
fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// Classifies one conjunct.
pub(super) fn classify(scopes: &[Scope<'_>], expr: &Expr) -> Terms {
    let mut classifier = Classifier { scopes, terms: Terms::default() };
    classifier.conjunct(bare(expr));
    classifier.terms
}

struct Classifier<'s, 'a> {
    scopes: &'s [Scope<'a>],
    terms: Terms,
}

impl Classifier<'_, '_> {
    fn conjunct(&mut self, expr: &Expr) {
        match expr {
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => self.alternatives(expr),
            Expr::BinaryOp { left, op, right } => self.binary(expr, bare(left), op, bare(right)),
            Expr::InList { expr: column, list, negated: false } => {
                let operand = if list.len() == 1 { self.operand(&list[0], None) } else { Some(Operand::Expression) };
                let known = list.iter().all(|value| self.local_columns(value).is_empty());
                match (self.column(column), operand.filter(|_| known)) {
                    (Some((access, column)), Some(operand)) => {
                        self.condition(access, column, Class::Equality { values: list.len().max(1) }, operand);
                    }
                    _ => self.filter(expr, "a function, a cast or arithmetic stands around the column", EQUALITY_UNKNOWN),
                }
            }
            Expr::InSubquery { expr: column, negated: false, .. } => match self.column(column) {
                Some((access, column)) => self.condition(access, column, Class::Equality { values: 1 }, Operand::Subquery),
                None => self.filter(expr, "several columns or an expression are compared with a subquery", 0.5),
            },
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                let operand = match bare(right) {
                    Expr::Subquery(_) => Some(Operand::Subquery),
                    right => self.operand(right, None).filter(|_| self.local_columns(right).is_empty()),
                };
                match (self.column(left), operand) {
                    (Some((access, column)), Some(operand)) => self.condition(access, column, Class::Equality { values: 10 }, operand),
                    _ => self.filter(expr, "the array is not constant, or the column stands inside an expression", EQUALITY_UNKNOWN),
                }
            }
            Expr::Between { expr: column, negated: false, low, high } => {
                match (self.column(column), self.operand(low, None), self.operand(high, None)) {
                    (Some((access, column)), Some(low), Some(high)) => {
                        self.condition(access, column.clone(), Class::Above, low);
                        self.condition(access, column, Class::Below, high);
                    }
                    _ => self.filter(expr, "a function, a cast or arithmetic stands around the column", EQUALITY_UNKNOWN),
                }
            }
            Expr::IsNull(column) => self.test(expr, column, Class::IsNull, Operand::Expression),
            Expr::IsNotNull(column) => self.test(expr, column, Class::NotNull, Operand::Expression),
            Expr::IsTrue(column) => self.test(expr, column, Class::Equality { values: 1 }, Operand::Literal("t".into())),
            Expr::IsFalse(column) => self.test(expr, column, Class::Equality { values: 1 }, Operand::Literal("f".into())),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                self.test(expr, expr, Class::Equality { values: 1 }, Operand::Literal("t".into()));
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr: column } => {
                if self.column(column).is_some() {
                    self.test(expr, column, Class::Equality { values: 1 }, Operand::Literal("f".into()));
                } else {
                    self.filter(expr, "it is negated", 0.9);
                }
            }
            Expr::Like { negated: false, any: false, expr: column, pattern, .. } => self.like(expr, column, pattern),
            Expr::ILike { negated: false, .. } | Expr::SimilarTo { negated: false, .. } => {
                self.filter(expr, "the pattern has no fixed beginning an ordered index could use", PATTERN_UNKNOWN);
            }
            Expr::Exists { .. } => {}
            _ => self.filter(expr, "its kind of condition is not served by a B-tree", 0.9),
        }
    }

    fn binary(&mut self, whole: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) {
        let Some(class) = comparison(op) else {
            return match op {
                BinaryOperator::PGLikeMatch => self.like(whole, left, right),
                BinaryOperator::NotEq => self.filter(whole, "everything but one value qualifies", 0.9),
                _ => self.filter(whole, "its operator is not one of a B-tree", EQUALITY_UNKNOWN),
            };
        };
        match (left, right) {
            (Expr::Tuple(left), Expr::Tuple(right)) if left.len() == right.len() && !left.is_empty() => {
                // Equality of rows holds column by column; their order is decided by the first column that differs, so
                // only the first one bounds a range.
                let bounding = if matches!(class, Class::Equality { .. }) { left.len() } else { 1 };
                for (left, right) in left.iter().zip(right).take(bounding) {
                    self.compare(whole, bare(left), class.clone(), bare(right));
                }
            }
            _ => self.compare(whole, left, class, right),
        }
    }

    fn compare(&mut self, whole: &Expr, left: &Expr, class: Class, right: &Expr) {
        let mut used = false;
        for (side, other, class) in [(left, right, class.clone()), (right, left, mirrored(&class))] {
            if let Some((access, column)) = self.column(side)
                && let Some(operand) = self.operand(other, Some(access))
            {
                self.condition(access, column, class, operand);
                used = true;
            }
        }
        if !used {
            let kept = if matches!(class, Class::Equality { .. }) { EQUALITY_UNKNOWN } else { INEQUALITY_UNKNOWN };
            self.filter(whole, "a function, a cast or arithmetic stands around the column", kept);
        }
    }

    /// `a = 1 or a = 2` is a list; an `OR` over several columns would need several indexes at once.
    fn alternatives(&mut self, whole: &Expr) {
        let arms = split(whole, &BinaryOperator::Or);
        let mut column = None;
        let mut values = 0;
        for arm in &arms {
            let mut inner = Classifier { scopes: self.scopes, terms: Terms::default() };
            inner.conjunct(arm);
            match inner.terms.conditions.as_slice() {
                [(access, Condition { column: name, class: Class::Equality { values: more }, operand })]
                    if !matches!(operand, Operand::Joined { .. } | Operand::Subquery)
                        && column.as_ref().is_none_or(|found| *found == (*access, name.clone())) =>
                {
                    column = Some((*access, name.clone()));
                    values += more;
                }
                _ => return self.filter(whole, "OR over different columns would need several indexes at once", INEQUALITY_UNKNOWN),
            }
        }
        if let Some((access, column)) = column {
            self.condition(access, column, Class::Equality { values: values.max(2) }, Operand::Expression);
        }
    }

    fn like(&mut self, whole: &Expr, column: &Expr, pattern: &Expr) {
        let found = self.column(column);
        let prefix = match self.operand(pattern, None) {
            Some(Operand::Literal(pattern)) => fixed_beginning(&pattern),
            Some(_) => return self.filter(whole, "the pattern is a parameter: its beginning is unknown to the planner", PATTERN_UNKNOWN),
            None => String::new(),
        };
        match found {
            Some((access, column)) if !prefix.is_empty() => {
                self.condition(access, column, Class::Prefix(prefix.clone()), Operand::Literal(prefix))
            }
            _ => self.filter(whole, "the pattern has no fixed beginning an ordered index could use", PATTERN_UNKNOWN),
        }
    }

    fn test(&mut self, whole: &Expr, column: &Expr, class: Class, operand: Operand) {
        match self.column(column) {
            Some((access, column)) => self.condition(access, column, class, operand),
            None => self.filter(whole, "the test is of an expression, not of a column", 0.5),
        }
    }

    fn condition(&mut self, access: usize, column: String, class: Class, operand: Operand) {
        self.terms.conditions.push((access, Condition { column, class, operand }));
    }

    /// Notes a condition no index serves, for each table it names.
    fn filter(&mut self, whole: &Expr, reason: &'static str, selectivity: f64) {
        let found = self.local_columns(whole);
        let mut accesses: Vec<usize> = found.iter().map(|(access, _)| *access).collect();
        accesses.sort_unstable();
        accesses.dedup();
        // A condition over two tables filters their join, not either of them.
        let selectivity = if accesses.len() > 1 { 1.0 } else { selectivity };
        for access in accesses {
            let columns = found.iter().filter(|(of, _)| *of == access).map(|(_, column)| column.clone()).collect();
            self.terms.filters.push((access, Filter { columns, reason, selectivity }));
        }
    }

    /// Returns the bare column an expression is.
    fn column(&self, expr: &Expr) -> Option<(usize, String)> {
        column(self.scopes, expr)
    }

    /// Returns what a column of `access` is compared with; `None` when that changes with the table's own rows.
    fn operand(&self, expr: &Expr, access: Option<usize>) -> Option<Operand> {
        match bare(expr) {
            Expr::Value(value) => Some(match &value.value {
                Value::Placeholder(_) => Operand::Parameter,
                Value::Number(number, _) => Operand::Literal(number.clone()),
                Value::Boolean(truth) => Operand::Literal(if *truth { "t" } else { "f" }.to_owned()),
                Value::Null => Operand::Expression,
                other => Operand::Literal(other.clone().into_string().unwrap_or_default()),
            }),
            Expr::TypedString(typed) => Some(Operand::Literal(typed.value.value.clone().into_string().unwrap_or_default())),
            Expr::Cast { expr, .. } => match self.operand(expr, access)? {
                Operand::Joined { access, .. } => Some(Operand::Joined { access, column: None }),
                operand => Some(operand),
            },
            Expr::Subquery(_) => Some(Operand::Expression),
            expr => {
                let found = self.local_columns(expr);
                if found.iter().any(|(of, _)| Some(*of) == access) {
                    return None;
                }
                if let Some((other, _)) = found.first() {
                    let column = self.column(expr).map(|(_, column)| column);
                    // Without an access of its own (BETWEEN, LIKE) a join condition is left as a filter.
                    return access.map(|_| Operand::Joined { access: *other, column });
                }
                Some(if self.names_outer(expr) { Operand::Outer } else { Operand::Expression })
            }
        }
    }

    /// Returns the block's own columns an expression names, subqueries included.
    fn local_columns(&self, expr: &Expr) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        each_name(expr, |parts| {
            if let Meaning::Column { access, column, .. } = resolve(self.scopes, parts) {
                found.push((access, column));
            }
        });
        found
    }

    fn names_outer(&self, expr: &Expr) -> bool {
        let mut outer = false;
        each_name(expr, |parts| outer |= resolve(self.scopes, parts) == Meaning::Outer);
        outer
    }
}

/// Returns the bare column an expression is; casts that change nothing (`varchar` to `text`) are looked through.
pub(super) fn column(scopes: &[Scope<'_>], expr: &Expr) -> Option<(usize, String)> {
    let parts = match bare(expr) {
        Expr::Identifier(name) => std::slice::from_ref(name),
        Expr::CompoundIdentifier(parts) => parts.as_slice(),
        Expr::Cast { expr, data_type, .. } if data_type.to_string().eq_ignore_ascii_case("text") => {
            let (access, name) = column(scopes, expr)?;
            let source = scopes.last()?.sources.iter().find_map(|source| source.table.filter(|(of, _)| *of == access))?;
            let type_name = &source.1.column(&name)?.type_name;
            return (type_name == "text" || type_name.starts_with("character varying")).then_some((access, name));
        }
        _ => return None,
    };
    match resolve(scopes, parts) {
        Meaning::Column { access, column, .. } => Some((access, column)),
        _ => None,
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

fn comparison(op: &BinaryOperator) -> Option<Class> {
    let name = match op {
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last()?.as_str(),
        BinaryOperator::Eq => "=",
        BinaryOperator::Gt => ">",
        BinaryOperator::GtEq => ">=",
        BinaryOperator::Lt => "<",
        BinaryOperator::LtEq => "<=",
        _ => return None,
    };
    match name {
        "=" => Some(Class::Equality { values: 1 }),
        ">" | ">=" => Some(Class::Above),
        "<" | "<=" => Some(Class::Below),
        _ => None,
    }
}

/// Returns what a comparison asks of its right-hand side.
fn mirrored(class: &Class) -> Class {
    match class {
        Class::Above => Class::Below,
        Class::Below => Class::Above,
        other => other.clone(),
    }
}

/// Returns what stands before the first wildcard of a `LIKE` pattern.
fn fixed_beginning(pattern: &str) -> String {
    pattern.chars().take_while(|letter| !matches!(letter, '%' | '_' | '\\')).collect()
}
