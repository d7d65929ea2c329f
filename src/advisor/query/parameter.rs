//! Where parameters stand in the other side of a comparison.

use sqlparser::ast::{BinaryOperator, Expr, Value};

use super::Comparison;
use super::condition::bare;
use super::kind::arguments;
use super::names::last_part;

/// Returns the number of the parameter an expression is, through casts.
pub(super) fn number(expr: &Expr) -> Option<u32> {
    match bare(expr) {
        Expr::Cast { expr, .. } => number(expr),
        Expr::Interval(interval) => number(&interval.value),
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Calls `found` with each parameter of an expression whose role follows from what the whole is compared with.
pub(super) fn uses(expr: &Expr, comparison: Comparison, found: &mut dyn FnMut(u32, Comparison)) {
    if let Some(number) = number(expr) {
        return found(number, comparison);
    }
    match bare(expr) {
        Expr::Cast { expr, .. } | Expr::AtTimeZone { timestamp: expr, .. } | Expr::UnaryOp { expr, .. } | Expr::Collate { expr, .. } => {
            uses(expr, comparison, found);
        }
        Expr::BinaryOp { left, op: BinaryOperator::Minus, right } if is_now(left) => uses(right, Comparison::Age, found),
        Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
            uses(left, comparison, found);
            // A length of time or a step added to a value is no value of the column.
            if number(left).is_none() && !is_now(left) {
                uses(right, comparison, found);
            }
        }
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } if comparison == Comparison::Pattern => {
            uses(left, comparison, found);
            uses(right, comparison, found);
        }
        Expr::Array(array) => array.elem.iter().for_each(|element| uses(element, comparison, found)),
        Expr::Function(function) => {
            let arguments = arguments(function);
            match last_part(&function.name).as_str() {
                "coalesce" | "nullif" | "greatest" | "least" => arguments.iter().for_each(|argument| uses(argument, comparison, found)),
                "lower"
                | "upper"
                | "trim"
                | "btrim"
                | "unaccent"
                | "date_trunc"
                | "to_tsquery"
                | "plainto_tsquery"
                | "phraseto_tsquery"
                | "websearch_to_tsquery"
                | "to_timestamp" => arguments.iter().skip(arguments.len().saturating_sub(1)).for_each(|last| uses(last, comparison, found)),
                _ => {}
            }
        }
        _ => {}
    }
}

/// Returns whether an expression is the present moment, whole or cut to a unit.
fn is_now(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Cast { expr, .. } | Expr::AtTimeZone { timestamp: expr, .. } => is_now(expr),
        Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, .. } => is_now(left),
        Expr::Function(function) => match last_part(&function.name).as_str() {
            "now"
            | "current_timestamp"
            | "current_date"
            | "localtimestamp"
            | "clock_timestamp"
            | "statement_timestamp"
            | "transaction_timestamp" => true,
            "date_trunc" | "timezone" | "date" => arguments(function).last().is_some_and(|last| is_now(last)),
            _ => false,
        },
        Expr::Identifier(name) => matches!(name.value.to_lowercase().as_str(), "current_timestamp" | "current_date" | "localtimestamp"),
        _ => false,
    }
}
