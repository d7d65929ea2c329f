//! Recorded texts made preparable again: what normalisation took away, put back by what the server complains of.
//!
//! `pg_stat_statements` writes `$1` in place of a constant, and a parameter may not stand everywhere a constant may, nor does
//! it have the constant's type. [`repair`] reads one complaint and answers it; the caller prepares again, a bounded number
//! of times. What comes out is Postgres's own SQL still, unlike `crate::sql`'s repairs, which are for the parser.

mod grammar;
mod text;

use text::Text;

/// What the server said to `PREPARE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The error code: `42601`.
    pub sqlstate: String,
    /// Where in the text, in characters from 1.
    pub position: Option<usize>,
    /// The message, from which type names are read and nothing else.
    pub message: String,
}

/// Returns the text with the cause of the complaint removed; `None` when it is not one that normalisation explains, or when
/// nothing was left to change.
pub fn repair(text: &str, complaint: &Complaint) -> Option<String> {
    let text = Text::new(text);
    let edits = match complaint.sqlstate.as_str() {
        "42601" => grammar::repair(&text),
        _ => return None,
    };
    text.edited(edits)
}
