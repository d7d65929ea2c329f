//! Conditions that compare something of a table with what is constant during the scan.

use sqlparser::ast::{BinaryOperator, Expr};

use super::level::{bare, is_constant};

/// A comparison, turned so that the constant stands on the right.
#[derive(Debug)]
pub(crate) struct Comparison<'e> {
    /// What is compared, without the parentheses around it.
    pub(crate) subject: &'e Expr,
    /// With what, and how.
    pub(crate) with: With<'e>,
}

/// How something is compared, and with what.
#[derive(Debug)]
pub(crate) enum With<'e> {
    /// `=`, `<`, `<=`, `>`, `>=` and a constant.
    One(&'static str, &'e Expr),
    /// `IN (…)`.
    List(&'e [Expr]),
    /// `= ANY (…)`.
    Any(&'e Expr),
    /// `BETWEEN … AND …`.
    Between(&'e Expr, &'e Expr),
}

impl With<'_> {
    /// Returns whether whole values are asked for, and not a range of them.
    pub(crate) fn is_equality(&self) -> bool {
        matches!(self, Self::One("=", _) | Self::List(_) | Self::Any(_))
    }
}

/// Reads a condition as a comparison with a constant; `None` for any other.
pub(crate) fn comparison(condition: &Expr) -> Option<Comparison<'_>> {
    let (subject, with) = match bare(condition) {
        Expr::BinaryOp { left, op, right } => match (is_constant(left), is_constant(right)) {
            (false, true) => (left, With::One(spelled(op)?, bare(right))),
            (true, false) => (right, With::One(flipped(spelled(op)?), bare(left))),
            _ => return None,
        },
        Expr::InList { expr, list, negated: false } if list.iter().all(is_constant) => (expr, With::List(list)),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } if is_constant(right) => (left, With::Any(bare(right))),
        Expr::Between { expr, negated: false, low, high } if is_constant(low) && is_constant(high) => {
            (expr, With::Between(bare(low), bare(high)))
        }
        _ => return None,
    };
    Some(Comparison { subject: bare(subject), with })
}

/// Returns the comparison operator as SQL spells it.
fn spelled(op: &BinaryOperator) -> Option<&'static str> {
    Some(match op {
        BinaryOperator::Eq => "=",
        BinaryOperator::Lt => "<",
        BinaryOperator::LtEq => "<=",
        BinaryOperator::Gt => ">",
        BinaryOperator::GtEq => ">=",
        _ => return None,
    })
}

/// Returns the operator that means the same with both sides exchanged.
pub(crate) fn flipped(op: &'static str) -> &'static str {
    match op {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        same => same,
    }
}
