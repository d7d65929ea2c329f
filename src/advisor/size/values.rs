//! What a key's values are like: how wide, how many, how often NULL.

use super::super::expression;
use super::super::facts::Facts;
use crate::catalog::{Column, ColumnStatistics, KeyTarget};

/// Bytes taken for a variable-length value without statistics (the planner's guess).
const WIDTH_UNKNOWN: f64 = 32.0;
/// Bytes taken for one value out of a document.
const WIDTH_OF_PART: f64 = 12.0;
/// Longer values than this keep a header of four bytes, and its alignment.
const SHORT_VALUE_MAX: f64 = 127.0;

/// What is known of the values of one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    /// Mean bytes of a value that is not NULL.
    pub(crate) width: f64,
    /// The boundary in bytes at which a value begins.
    pub(crate) alignment: f64,
    /// The share of NULLs, 0 to 1.
    pub(crate) null_fraction: f64,
    /// Whether equal values are the same bytes, so that their entries may share a tuple.
    pub(crate) folds: bool,
    /// What ANALYZE found.
    pub(crate) statistics: Option<&'a ColumnStatistics>,
    /// Distinct values other than NULL.
    pub(crate) distinct: f64,
}

impl<'a> Values<'a> {
    /// Describes the values of a column, or of an expression as far as its text tells.
    pub(crate) fn of(facts: &Facts<'a>, target: &KeyTarget) -> Self {
        match target {
            KeyTarget::Column(name) => Self::of_column(facts, name),
            KeyTarget::Expression(text) => Self::of_expression(facts, text),
        }
    }

    fn of_column(facts: &Facts<'a>, name: &str) -> Self {
        let statistics = facts.statistics(name);
        let column = facts.table.column(name);
        let width = column.map_or(WIDTH_UNKNOWN, |column| width(facts, column));
        // Short variable-length values are stored unaligned.
        let alignment = match column.map(|column| (column.type_length, column.type_alignment.as_str())) {
            Some((..=0, alignment)) if width > SHORT_VALUE_MAX => {
                if alignment == "d" {
                    8.0
                } else {
                    4.0
                }
            }
            None | Some((..=0, _) | (_, "c")) => 1.0,
            Some((_, "s")) => 2.0,
            Some((_, "i")) => 4.0,
            Some(_) => 8.0,
        };
        Self {
            width,
            alignment,
            null_fraction: statistics.map_or(0.0, |statistics| statistics.null_fraction),
            folds: column.is_some_and(|column| folds(&column.type_name)),
            statistics,
            distinct: facts.distinct(name),
        }
    }

    fn of_expression(facts: &Facts<'a>, text: &str) -> Self {
        let words = expression::words(&expression::canonical(text));
        let type_name = type_of(&words);
        let fixed = match type_name {
            Some("boolean") => Some((1.0, 1.0)),
            Some("smallint") => Some((2.0, 2.0)),
            Some("integer" | "date" | "real") => Some((4.0, 4.0)),
            Some("bigint" | "timestamp" | "double" | "time") => Some((8.0, 8.0)),
            Some("uuid") => Some((16.0, 1.0)),
            Some("numeric") => Some((8.0, 1.0)),
            _ => None,
        };
        let folding = type_name.is_none_or(folds);
        if let Some(statistics) = facts.expression_statistics(text) {
            let width = fixed.map_or(f64::from(statistics.width), |(width, _)| width);
            let alignment = fixed.map_or(1.0, |(_, alignment)| alignment);
            let distinct = statistics.distinct_values(facts.rows);
            return Self {
                width,
                alignment,
                null_fraction: statistics.null_fraction,
                folds: folding,
                statistics: Some(statistics),
                distinct,
            };
        }
        let columns = expression::columns(text, facts.table);
        let part = words.iter().any(|word| word.starts_with("->") || word.starts_with("#>"));
        let [only] = columns.as_slice() else {
            let width: f64 = columns.iter().filter_map(|name| facts.table.column(name)).map(|column| width(facts, column)).sum();
            let (width, alignment) = fixed.unwrap_or((if part { WIDTH_OF_PART } else { width.max(1.0) }, 1.0));
            return Self {
                width,
                alignment,
                null_fraction: 0.0,
                folds: folding,
                statistics: None,
                distinct: facts.distinct_together(&columns),
            };
        };
        // A function of one column has at most its distinct values; a part of a document, an unknown number.
        let column = Self::of_column(facts, only);
        let (width, alignment) = fixed.unwrap_or((if part { WIDTH_OF_PART } else { column.width }, 1.0));
        let distinct = if part { facts.distinct_unknown() } else { column.distinct };
        Self { width, alignment, folds: folding, statistics: None, distinct, ..column }
    }

    /// Returns the shares of the most common values, when equal values of this key are those of its statistics.
    pub(crate) fn common(&self) -> &'a [f64] {
        self.statistics.map_or(&[], |statistics| statistics.common_frequencies.as_slice())
    }
}

/// Returns the mean width of a column's values in bytes.
pub(crate) fn width(facts: &Facts<'_>, column: &Column) -> f64 {
    match (column.type_length, facts.statistics(&column.name)) {
        (length @ 1.., _) => f64::from(length),
        (_, Some(statistics)) => f64::from(statistics.width.max(1)),
        (_, None) => WIDTH_UNKNOWN,
    }
}

/// Returns the type an expression is cast to or its outermost function returns, by its first word.
fn type_of(words: &[String]) -> Option<&str> {
    if let Some(cast) = words.iter().rposition(|word| word == "::")
        && !words[cast..].iter().any(|word| word == ")" && !words[cast..].iter().any(|word| word == "("))
    {
        return words.get(cast + 1).map(String::as_str);
    }
    match words.first()?.as_str() {
        "date_trunc" | "to_timestamp" => Some("timestamp"),
        "date" => Some("date"),
        "length" | "char_length" | "strpos" => Some("integer"),
        "date_part" | "extract" => Some("double"),
        _ => None,
    }
}

/// Returns whether equal values of the type are the same bytes, without which the server does not fold them
/// (`btequalimage`). Non-deterministic collations, which do not fold either, are not seen.
fn folds(type_name: &str) -> bool {
    let varying =
        ["numeric", "real", "double", "jsonb", "interval", "citext", "tsvector"].iter().any(|varying| type_name.starts_with(varying));
    !varying && !type_name.ends_with("[]") && !type_name.contains("range")
}
