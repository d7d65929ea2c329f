//! Equal expressions that normalisation made different: `date_trunc($1, at) … group by date_trunc('day', at)`.
//!
//! The server records the constants of the select list and leaves those of `GROUP BY` and `ORDER BY` where they are the same
//! expression; other recorders number them on.

use std::collections::BTreeSet;

use super::column::list_end;
use super::text::{Edit, Text};
use crate::sql::pieces::Kind;

/// The name of the query that keeps parameters which stand nowhere else: nobody reads it, so it is never planned.
const KEEPER: &str = "pgload_unused";

/// Returns the edits that make equal expressions of the select list, `GROUP BY`, `ORDER BY` and `DISTINCT ON` equal again: by the
/// constant where one is left, else by the first's parameters.
pub(super) fn unify(text: &Text<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (from, to) in elements(text) {
        let size = to - from;
        if size < 2 {
            continue;
        }
        let alike = |at: &usize| (0..size).all(|offset| is_alike(text, at + offset, from + offset));
        let places: Vec<usize> = (0..=text.tokens.len() - size).filter(alike).collect();
        for offset in (0..size).filter(|&offset| text.is_parameter(from + offset) || text.is_constant(from + offset)) {
            let model = places.iter().find(|&at| text.is_constant(at + offset)).or(places.first()).map_or(from, |at| at + offset);
            for place in places.iter().map(|at| at + offset).filter(|&place| text.is_parameter(place) && place != model) {
                edits.push(text.replace(place, place + 1, text.spelled(model)));
            }
        }
    }
    edits
}

/// Returns the edit that mentions every number below the highest that the text leaves out: the server wants a type of each.
pub(super) fn keep(text: &Text<'_>, highest: u32) -> Option<Edit> {
    let used: BTreeSet<&str> = (0..text.tokens.len()).filter(|&at| text.is_parameter(at)).map(|at| text.spelled(at)).collect();
    let missing: Vec<String> = (1..=highest)
        .map(|number| format!("${number}"))
        .filter(|name| !used.contains(name.as_str()))
        .map(|name| format!("{name}::text"))
        .collect();
    let first = text.tokens.first()?;
    if missing.is_empty() {
        return None;
    }
    let query = format!("{KEEPER} as (select {})", missing.join(", "));
    let (start, text) = match (text.is_word(0, "with"), text.is_word(1, "recursive")) {
        (true, recursive) => (text.tokens[usize::from(recursive)].end, format!(" {query},")),
        (false, _) => (first.start, format!("with {query} ")),
    };
    Some(Edit { start, end: start, text })
}

/// The elements of every `GROUP BY`, `ORDER BY` and `DISTINCT ON`, without directions.
fn elements(text: &Text<'_>) -> Vec<(usize, usize)> {
    let mut elements = Vec::new();
    for at in 0..text.tokens.len() {
        if text.is_any(at, &["group", "order"]) && text.is_word(at + 1, "by") {
            elements.extend(text.elements(at + 2, list_end(text, at + 2)));
        } else if text.is_word(at, "distinct") && text.is_word(at + 1, "on") && text.is_sign(at + 2, '(') {
            elements.extend(text.elements_in(at + 2));
        }
    }
    for (from, to) in &mut elements {
        while *to > *from && text.is_any(*to - 1, &["asc", "desc", "nulls", "first", "last"]) {
            *to -= 1;
        }
    }
    elements
}

/// Returns whether two tokens are the same, or both stand for a value of which one at least is a parameter.
fn is_alike(text: &Text<'_>, at: usize, other: usize) -> bool {
    let is_value = |at: usize| text.is_parameter(at) || text.is_constant(at);
    if is_value(at) && is_value(other) && (text.is_parameter(at) || text.is_parameter(other)) {
        return true;
    }
    match (text.tokens[at].kind, text.tokens[other].kind) {
        (Kind::Word, Kind::Word) => text.spelled(at).eq_ignore_ascii_case(text.spelled(other)),
        (kind, other_kind) => kind == other_kind && text.spelled(at) == text.spelled(other),
    }
}
