//! Recorded texts made preparable again: what normalisation took away, put back by what the server complains of.
//!
//! `pg_stat_statements` writes `$1` in place of a constant, and a parameter may not stand everywhere a constant may, nor does
//! it have the constant's type. [`repair`] reads one complaint and answers it; the caller prepares again, a bounded number
//! of times. What comes out is Postgres's own SQL still, unlike `crate::sql`'s repairs, which are for the parser.

mod column;
mod function;
mod grammar;
mod grouping;
mod mismatch;
mod operand;
mod operator;
mod text;

use super::values::placeholders;
use crate::sql::wrapped;
use text::Text;

/// What the server said to `PREPARE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The error code: `42601`.
    pub sqlstate: String,
    /// Where in the text (not in a `PREPARE … AS` around it), in characters from 1.
    pub position: Option<usize>,
    /// The message in English; type names are read from it, and which of its code's several meanings it has.
    pub message: String,
}

/// Returns the query that `DECLARE`, `PREPARE`, `EXPLAIN`, `COPY` or `CREATE TABLE … AS` wraps, which alone can be prepared or
/// explained everywhere; any other text as it is.
pub fn query_of(text: &str) -> &str {
    wrapped::query_of(text)
}

/// Returns the text with the cause of the complaint removed; `None` when it is not one that normalisation explains, or when
/// nothing was left to change.
pub fn repair(source: &str, complaint: &Complaint) -> Option<String> {
    let text = Text::new(source);
    let at = complaint.position.and_then(|position| text.at(position));
    // An operator's complaint ends with its operands after a colon, a function's has its arguments in brackets.
    let operands = complaint.message.split_once(": ").map(|(_, types)| types);
    let edits = match (complaint.sqlstate.as_str(), at, operands) {
        // Syntax; a name such as `interval$1`; a parameter where none may be (in `DECLARE`).
        ("42601" | "42703" | "42P02", ..) => grammar::repair(&text, at),
        ("42P18" | "42P08", ..) => match named(&text, &complaint.message) {
            Some(at) => function::undetermined(&text, at),
            None => grouping::keep(&text, placeholders(source)).into_iter().collect(),
        },
        ("42883", Some(at), Some(types)) => operator::missing(&text, at, types),
        ("42725", Some(at), Some(types)) => operator::ambiguous(&text, at, types),
        ("42883" | "42725", Some(at), None) => function::overloaded(&text, at, &complaint.message),
        ("42804", ..) if complaint.message.contains("polymorphic") => function::polymorphic(&text),
        ("42804", ..) => mismatch::repair(&text, at, &complaint.message),
        ("42803" | "42P10", ..) => {
            let unified = text.edited(grouping::unify(&text))?;
            let text = Text::new(&unified);
            return text.edited(grouping::keep(&text, placeholders(source)).into_iter().collect()).or(Some(unified));
        }
        _ => return None,
    };
    text.edited(edits)
}

/// Returns where the parameter a message speaks of stands first without a cast; these complaints have no position.
fn named(text: &Text<'_>, message: &str) -> Option<usize> {
    let (_, number) = message.rsplit_once('$')?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let name = format!("${}", &number[..digits]);
    (0..text.tokens.len()).find(|&at| text.is_bare(at) && text.spelled(at) == name)
}

#[cfg(test)]
mod tests;
