//! What operators ask: which of them a B-tree, and which an inverted index, knows.

use sqlparser::ast::{BinaryOperator, Expr};

use super::Class;
use super::condition::bare;
use super::names::last_part;
use super::parameter::number;

/// Returns whether an expression asks only whether a parameter was given.
pub(super) fn tests_parameter(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => number(inner).is_some(),
        Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
            let constant = |expr: &Expr| matches!(bare(expr), Expr::Value(_)) || number(expr).is_some();
            constant(left) && constant(right)
        }
        _ => number(expr).is_some(),
    }
}

/// Returns whether an expression over one column gives values of the column's own type.
pub(super) fn keeps_the_type(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Function(function) => {
            matches!(
                last_part(&function.name).as_str(),
                "lower" | "upper" | "date" | "trim" | "btrim" | "coalesce" | "nullif" | "date_trunc" | "unaccent" | "to_tsvector"
            )
        }
        Expr::Trim { .. } | Expr::Collate { .. } => true,
        // A moment can be written where its day is asked for.
        Expr::Cast { data_type, .. } => {
            let name = data_type.to_string().to_lowercase();
            name == "date" || name.starts_with("timestamp")
        }
        _ => false,
    }
}

pub(super) fn comparison(op: &BinaryOperator) -> Option<Class> {
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

/// Returns the name of an operator that inverted or space-partitioning indexes may know.
pub(super) fn containment(op: &BinaryOperator) -> Option<&str> {
    const KNOWN: &[&str] =
        &["@>", "<@", "&&", "?", "?|", "?&", "@@", "@?", "%", "<%", "%>", "<<%", "%>>", "<<", ">>", "&<", "&>", "-|-", "<<=", ">>="];
    let name = match op {
        BinaryOperator::AtArrow => "@>",
        BinaryOperator::ArrowAt => "<@",
        BinaryOperator::PGOverlap => "&&",
        BinaryOperator::Question => "?",
        BinaryOperator::QuestionPipe => "?|",
        BinaryOperator::QuestionAnd => "?&",
        BinaryOperator::AtAt => "@@",
        BinaryOperator::AtQuestion => "@?",
        BinaryOperator::Modulo => "%",
        BinaryOperator::PGBitwiseShiftLeft => "<<",
        BinaryOperator::PGBitwiseShiftRight => ">>",
        BinaryOperator::AndLt => "&<",
        BinaryOperator::AndGt => "&>",
        BinaryOperator::Custom(name) => name,
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last()?,
        _ => return None,
    };
    KNOWN.contains(&name).then_some(name)
}

/// Returns the operator that says the same with its sides exchanged.
pub(super) fn commuted(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "@>" => "<@",
        "<@" => "@>",
        "&&" => "&&",
        "@@" => "@@",
        "%" => "%",
        "<%" => "%>",
        "%>" => "<%",
        "<<" => ">>",
        ">>" => "<<",
        "-|-" => "-|-",
        "<<=" => ">>=",
        ">>=" => "<<=",
        _ => return None,
    })
}

/// Returns what a comparison asks of its right-hand side.
pub(super) fn mirrored(class: &Class) -> Class {
    match class {
        Class::Above => Class::Below,
        Class::Below => Class::Above,
        other => other.clone(),
    }
}
