//! Which conditions of a `WHERE` or `ON` an index could serve.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::expression::{Bare, Context, Substitute};
use super::operator::{commuted, comparison, containment, mirrored};
use super::parameter::number;
use super::pattern::{beginning_of_like, beginning_of_regex};
use super::scope::Place;
use super::side::Side;
use super::{Arm, Class, Comparison, Condition, Constant, Containment, ExpressionCondition, Filter, Operand, ParameterUse};
use crate::catalog::KeyTarget;

/// What was learnt from a conjunction, each with the access it belongs to.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Conditions an index on a column could serve.
    pub(super) conditions: Vec<(Place, Condition)>,
    /// Those no plain B-tree could.
    pub(super) filters: Vec<(usize, Filter)>,
    /// Conditions an index on an expression could serve.
    pub(super) expressions: Vec<(usize, ExpressionCondition)>,
    /// Conditions for inverted indexes.
    pub(super) containments: Vec<(usize, Containment)>,
    /// Conjuncts that are an `OR`.
    pub(super) alternatives: Vec<(usize, Vec<Arm>)>,
    /// Conjuncts a partial index could say.
    pub(super) constants: Vec<(usize, Constant)>,
    /// What parameters are compared with.
    pub(super) parameters: Vec<(u32, ParameterUse)>,
    /// Columns of enclosing blocks that a column of this one has to equal.
    pub(super) correlated: Vec<Place>,
}

/// Rows kept by a comparison the planner knows nothing about (its `DEFAULT_EQ_SEL`).
const EQUALITY_UNKNOWN: f64 = 0.005;
/// Rows kept by an inequality it knows nothing about (its `DEFAULT_INEQ_SEL`).
pub(super) const INEQUALITY_UNKNOWN: f64 = 1.0 / 3.0;
/// Rows kept by a pattern (convention: the planner's guess depends on the pattern's letters).
const PATTERN_UNKNOWN: f64 = 0.05;
/// Values the planner takes an array of unknown length for.
const ARRAY_UNKNOWN: usize = 10;
/// The longest list a partial index's predicate is made of (convention: a longer one helps no reader).
const CONSTANT_LIST_MAX: usize = 32;

const AROUND: &str = "a function, a cast or arithmetic stands around the column";
const SAME_ROW: &str = "both sides change with the row: no value is sought that an index could lead to";
const NO_BEGINNING: &str = "the pattern has no fixed beginning an ordered index could use";
const INSIDE_ARRAY: &str = "the value is looked for inside the column's array: no index knows = ANY (column); write column @> ARRAY[value]";

/// Splits a condition at its top-level `AND`s.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    split(expr, &BinaryOperator::And)
}

pub(super) fn split<'e>(expr: &'e Expr, at: &BinaryOperator) -> Vec<&'e Expr> {
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
pub(super) fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// Classifies one conjunct.
pub(super) fn classify(context: Context<'_, '_>, expr: &Expr) -> Terms {
    let mut classifier = Classifier { context, terms: Terms::default() };
    classifier.conjunct(bare(expr));
    classifier.constant(expr);
    classifier.terms
}

/// One conjunct at work.
pub(super) struct Classifier<'s, 'a> {
    pub(super) context: Context<'s, 'a>,
    pub(super) terms: Terms,
}

impl Classifier<'_, '_> {
    pub(super) fn conjunct(&mut self, expr: &Expr) {
        match expr {
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => self.alternatives(expr),
            Expr::BinaryOp { left, op, right } => self.binary(expr, bare(left), op, bare(right)),
            Expr::InList { expr: column, list, negated: false } => self.list(expr, bare(column), list),
            Expr::InSubquery { expr: column, negated: false, .. } => self.subquery(expr, bare(column)),
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => self.any(expr, bare(left), bare(right)),
            Expr::Between { expr: column, negated: false, low, high } => {
                let low_used = self.compared(bare(column), &Class::Above, bare(low));
                let high_used = self.compared(bare(column), &Class::Below, bare(high));
                if !(low_used && high_used) {
                    self.filter(expr, self.reason(bare(column)).unwrap_or(AROUND), EQUALITY_UNKNOWN);
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
                if matches!(bare(column), Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                    self.test(expr, column, Class::Equality { values: 1 }, Operand::Literal("f".into()));
                } else {
                    self.filter(expr, "it is negated", 0.9);
                }
            }
            Expr::Like { negated: false, any: false, expr: column, pattern, .. } => self.pattern(expr, bare(column), "like", pattern),
            Expr::ILike { negated: false, any: false, expr: column, pattern, .. } => self.pattern(expr, bare(column), "ilike", pattern),
            Expr::SimilarTo { negated: false, .. } => self.filter(expr, NO_BEGINNING, PATTERN_UNKNOWN),
            Expr::Exists { .. } => {}
            _ => self.filter(expr, "its kind of condition is not served by a B-tree", 0.9),
        }
    }

    fn binary(&mut self, whole: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) {
        if let Some(class) = comparison(op) {
            return match (left, right) {
                (Expr::Tuple(left), Expr::Tuple(right)) if left.len() == right.len() && !left.is_empty() => {
                    // Equality of rows holds column by column; their order is decided by the first column that differs, so
                    // only the first one bounds a range.
                    let bounding = if matches!(class, Class::Equality { .. }) { left.len() } else { 1 };
                    for (left, right) in left.iter().zip(right).take(bounding) {
                        self.compare(whole, bare(left), &class, bare(right));
                    }
                }
                _ => self.compare(whole, left, &class, right),
            };
        }
        match op {
            BinaryOperator::PGLikeMatch => self.pattern(whole, left, "like", right),
            BinaryOperator::PGILikeMatch => self.pattern(whole, left, "ilike", right),
            BinaryOperator::PGRegexMatch => self.pattern(whole, left, "~", right),
            BinaryOperator::PGRegexIMatch => self.pattern(whole, left, "~*", right),
            BinaryOperator::PGStartsWith => self.pattern(whole, left, "^@", right),
            BinaryOperator::NotEq => {
                self.role(left, right, Comparison::Equal);
                self.role(right, left, Comparison::Equal);
                self.filter(whole, "everything but one value qualifies", 0.9);
            }
            op => match containment(op) {
                Some(operator) => self.contained(whole, left, operator, right),
                None => self.filter(whole, "its operator is not one of a B-tree", EQUALITY_UNKNOWN),
            },
        }
    }

    fn compare(&mut self, whole: &Expr, left: &Expr, class: &Class, right: &Expr) {
        let forth = self.compared(left, class, right);
        let back = self.compared(right, &mirrored(class), left);
        if !forth && !back {
            let kept = if matches!(class, Class::Equality { .. }) { EQUALITY_UNKNOWN } else { INEQUALITY_UNKNOWN };
            let (here, there) = (self.local(left), self.local(right));
            let same_row = here.iter().any(|place| there.iter().any(|other| other.access == place.access));
            let reason = || self.reason(left).or_else(|| self.reason(right)).unwrap_or(AROUND);
            let reason = if same_row { SAME_ROW } else { reason() };
            self.filter(whole, reason, kept);
        }
    }

    /// Notes what an index on `side` could do with a comparison; returns whether one on a plain column could.
    fn compared(&mut self, side: &Expr, class: &Class, other: &Expr) -> bool {
        let comparison = match class {
            Class::Above => Comparison::Above,
            Class::Below => Comparison::Below,
            _ => Comparison::Equal,
        };
        self.role(side, other, comparison);
        match self.side(side) {
            Side::Column(places) => {
                let Some(operand) = self.operand(other, self.own_access(&places)) else { return false };
                if matches!(class, Class::Equality { .. }) && operand == Operand::Outer {
                    self.terms.correlated.extend(self.outer_column(other));
                }
                self.condition(places, class, &operand);
                true
            }
            Side::Expression(found) => {
                if let Some(operand) = self.operand(other, Some(found.access)) {
                    self.expression(found, class.clone(), operand);
                }
                false
            }
            Side::Unfit(_) | Side::Foreign => false,
        }
    }

    fn list(&mut self, whole: &Expr, column: &Expr, list: &[Expr]) {
        // `(a, b) IN ((1, 2), (3, 4))` says so much of each column.
        if let Expr::Tuple(columns) = column {
            for (at, column) in columns.iter().enumerate() {
                let values: Option<Vec<&Expr>> = list
                    .iter()
                    .map(|row| match bare(row) {
                        Expr::Tuple(row) => row.get(at),
                        _ => None,
                    })
                    .collect();
                match values {
                    Some(values) => self.listed(whole, bare(column), &values),
                    None => self.filter(whole, AROUND, EQUALITY_UNKNOWN),
                }
            }
            return;
        }
        self.listed(whole, column, &list.iter().collect::<Vec<_>>());
    }

    fn listed(&mut self, whole: &Expr, column: &Expr, values: &[&Expr]) {
        values.iter().for_each(|value| self.role(column, value, Comparison::Equal));
        let operand = match values {
            [only] => self.operand(only, None),
            values => values.iter().all(|value| self.local(value).is_empty()).then_some(Operand::Expression),
        };
        let class = Class::Equality { values: values.len().max(1) };
        match (self.side(column), operand) {
            (Side::Column(places), Some(operand)) => self.condition(places, &class, &operand),
            (Side::Expression(found), Some(operand)) => {
                self.expression(found, class, operand);
                self.filter(whole, AROUND, EQUALITY_UNKNOWN);
            }
            (Side::Unfit(reason), _) => self.filter(whole, reason, EQUALITY_UNKNOWN),
            _ => self.filter(whole, AROUND, EQUALITY_UNKNOWN),
        }
    }

    fn subquery(&mut self, whole: &Expr, column: &Expr) {
        let columns = match column {
            Expr::Tuple(columns) => columns.iter().map(bare).collect(),
            column => vec![column],
        };
        for column in columns {
            match self.side(column) {
                Side::Column(places) => self.condition(places, &Class::Equality { values: 1 }, &Operand::Subquery),
                Side::Expression(found) => {
                    self.expression(found, Class::Equality { values: 1 }, Operand::Subquery);
                    self.filter(whole, AROUND, 0.5);
                }
                _ => self.filter(whole, "several columns or an expression are compared with a subquery", 0.5),
            }
        }
    }

    fn any(&mut self, whole: &Expr, left: &Expr, right: &Expr) {
        if let Expr::Subquery(_) = right {
            return self.subquery(whole, left);
        }
        let values = match right {
            Expr::Array(array) => {
                array.elem.iter().for_each(|value| self.role(left, value, Comparison::Equal));
                array.elem.len().max(1)
            }
            right => {
                self.role(left, right, Comparison::AnyOf);
                match self.operand(right, None) {
                    Some(Operand::Literal(text)) if text.starts_with('{') => text.matches(',').count() + 1,
                    _ => ARRAY_UNKNOWN,
                }
            }
        };
        let operand = self.operand(right, None).filter(|_| self.local(right).is_empty());
        let class = Class::Equality { values };
        match (self.side(left), operand) {
            (Side::Column(places), Some(operand)) => self.condition(places, &class, &operand),
            (Side::Expression(found), Some(operand)) => {
                self.expression(found, class, operand);
                self.filter(whole, AROUND, EQUALITY_UNKNOWN);
            }
            _ if matches!(self.side(right), Side::Column(_) | Side::Expression(_)) => {
                self.role(right, left, Comparison::Elements);
                self.filter(whole, INSIDE_ARRAY, EQUALITY_UNKNOWN);
            }
            _ => self.filter(whole, "the array is not constant, or the column stands inside an expression", EQUALITY_UNKNOWN),
        }
    }

    fn pattern(&mut self, whole: &Expr, column: &Expr, operator: &str, pattern: &Expr) {
        self.role(column, pattern, Comparison::Pattern);
        let side = self.side(column);
        let access = match &side {
            Side::Column(places) => self.own_access(places),
            Side::Expression(found) => Some(found.access),
            Side::Unfit(reason) => return self.filter(whole, reason, PATTERN_UNKNOWN),
            Side::Foreign => return self.filter(whole, NO_BEGINNING, PATTERN_UNKNOWN),
        };
        let Some(operand) = self.operand(pattern, access) else { return self.filter(whole, NO_BEGINNING, PATTERN_UNKNOWN) };
        let beginning = |pattern: &str| match operator {
            "like" => beginning_of_like(pattern),
            "~" => beginning_of_regex(pattern),
            "^@" => pattern.to_owned(),
            _ => String::new(),
        };
        let (prefix, reason) = match &operand {
            Operand::Literal(pattern) => (beginning(pattern), NO_BEGINNING),
            // Values seen tell what the text does not: a search that always begins with letters.
            Operand::Parameter => (
                number(pattern).and_then(|at| self.beginning_seen(at, &beginning)).unwrap_or_default(),
                "the pattern is a parameter: its beginning is unknown to the planner",
            ),
            _ => (String::new(), NO_BEGINNING),
        };
        if !prefix.is_empty() {
            let constant = if operand == Operand::Parameter { Operand::Parameter } else { Operand::Literal(prefix.clone()) };
            return match side {
                Side::Column(places) => self.condition(places, &Class::Prefix(prefix), &constant),
                Side::Expression(found) => {
                    self.expression(found, Class::Prefix(prefix), constant);
                    self.filter(whole, AROUND, PATTERN_UNKNOWN);
                }
                Side::Unfit(_) | Side::Foreign => {}
            };
        }
        if operator != "^@" {
            self.inverted(side, operator, operand);
        }
        self.filter(whole, reason, PATTERN_UNKNOWN);
    }

    /// Returns the fixed beginning of the first pattern seen, when every one seen has some.
    fn beginning_seen(&self, number: u32, beginning: &dyn Fn(&str) -> String) -> Option<String> {
        let at = (number as usize).checked_sub(1)?;
        let seen: Option<Vec<String>> = self
            .context
            .captured
            .0
            .iter()
            .map(|call| call.get(at).and_then(Option::as_deref).map(beginning).filter(|fixed| !fixed.is_empty()))
            .collect();
        seen?.into_iter().next()
    }

    /// `tags @> $1` and its like, either way round.
    fn contained(&mut self, whole: &Expr, left: &Expr, operator: &str, right: &Expr) {
        let comparison = if operator == "%" { Comparison::Equal } else { Comparison::Elements };
        let mut reason = "its operator is not one of a B-tree";
        for (side, operator, other) in [(left, Some(operator), right), (right, commuted(operator), left)] {
            let Some(operator) = operator else { continue };
            self.role(side, other, comparison);
            let side = self.side(side);
            let access = match &side {
                Side::Column(places) => self.own_access(places),
                Side::Expression(found) => Some(found.access),
                Side::Unfit(why) => {
                    reason = why;
                    continue;
                }
                Side::Foreign => continue,
            };
            if let Some(operand) = self.operand(other, access) {
                self.inverted(side, operator, operand);
            }
        }
        self.filter(whole, reason, EQUALITY_UNKNOWN);
    }

    fn inverted(&mut self, side: Side, operator: &str, operand: Operand) {
        let (access, target, columns) = match side {
            Side::Column(places) => {
                let own = self.context.scopes.last().map(|scope| scope.block);
                let Some(place) = places.into_iter().find(|place| Some(place.block) == own) else { return };
                (place.access, KeyTarget::Column(place.column.clone()), vec![place.column])
            }
            Side::Expression(found) => (found.access, KeyTarget::Expression(found.expr.to_string()), found.columns),
            Side::Unfit(_) | Side::Foreign => return,
        };
        self.terms.containments.push((access, Containment { target, columns, operator: operator.to_owned(), operand }));
    }

    fn test(&mut self, whole: &Expr, column: &Expr, class: Class, operand: Operand) {
        match self.side(bare(column)) {
            Side::Column(places) => self.condition(places, &class, &operand),
            Side::Expression(found) => {
                self.expression(found, class, operand);
                self.filter(whole, "the test is of an expression, not of a column", 0.5);
            }
            Side::Unfit(reason) => self.filter(whole, reason, 0.5),
            Side::Foreign => self.filter(whole, "the test is of an expression, not of a column", 0.5),
        }
    }

    pub(super) fn condition(&mut self, places: Vec<Place>, class: &Class, operand: &Operand) {
        for place in places {
            let condition = Condition { column: place.column.clone(), class: class.clone(), operand: operand.clone() };
            self.terms.conditions.push((place, condition));
        }
    }

    fn expression(&mut self, found: Box<Bare>, class: Class, operand: Operand) {
        let Bare { access, columns, expr, .. } = *found;
        self.terms.expressions.push((access, ExpressionCondition { expression: expr.to_string(), columns, class, operand }));
    }

    /// Notes a conjunct whose every value is known.
    fn constant(&mut self, expr: &Expr) {
        let long = |list: usize| list > CONSTANT_LIST_MAX;
        if matches!(bare(expr), Expr::InList { list, .. } if long(list.len()))
            || matches!(bare(expr), Expr::AnyOp { .. } | Expr::Exists { .. })
        {
            return;
        }
        let Some(found) = self.context.bare(expr, Substitute::Usual) else { return };
        if self.context.fault(&found).is_none() {
            let Bare { access, columns, expr, .. } = found;
            self.terms.constants.push((access, Constant { text: expr.to_string(), columns }));
        }
    }

    /// Notes a condition no index serves, for each table it names.
    pub(super) fn filter(&mut self, whole: &Expr, reason: &'static str, selectivity: f64) {
        let found = self.local(whole);
        let mut accesses: Vec<usize> = found.iter().map(|place| place.access).collect();
        accesses.sort_unstable();
        accesses.dedup();
        // A condition over two tables filters their join, not either of them.
        let selectivity = if accesses.len() > 1 { 1.0 } else { selectivity };
        for access in accesses {
            let mut columns: Vec<String> = Vec::new();
            for place in found.iter().filter(|place| place.access == access) {
                if !columns.contains(&place.column) {
                    columns.push(place.column.clone());
                }
            }
            self.terms.filters.push((access, Filter { columns, reason, selectivity }));
        }
    }
}
