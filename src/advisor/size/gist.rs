//! GiST: tuples where splits left them.

use super::super::facts::Facts;
use super::super::{Candidate, CandidateKey};
use super::values::Values;
use super::{LINE_POINTER, PAGE, PAGE_HEADER, TUPLE_HEADER, aligned};

/// The share of a page in use after a build, as measured for points.
const FILLED: f64 = 0.65;
/// The same for ranges, which split less evenly, as measured.
const FILLED_RANGES: f64 = 0.5;

/// Returns the pages of a GiST index over so many rows.
pub(super) fn pages(facts: &Facts<'_>, candidate: &Candidate, rows: f64) -> f64 {
    let width: f64 = candidate.keys.iter().map(|key| aligned(key_width(facts, key), 4.0)).sum();
    let tuple = aligned(TUPLE_HEADER + width, 8.0) + LINE_POINTER;
    let ranges = candidate.keys.iter().any(|key| type_of(facts, key).contains("range"));
    let filled = if ranges { FILLED_RANGES } else { FILLED };
    let leaves = (rows * tuple / ((PAGE - PAGE_HEADER - 16.0) * filled)).ceil().max(1.0);
    // Inner pages hold one key a child.
    leaves * (1.0 + tuple / (PAGE * filled)) + 1.0
}

fn type_of<'a>(facts: &Facts<'a>, key: &CandidateKey) -> &'a str {
    key.target.column().and_then(|name| facts.table.column(name)).map_or("", |column| column.type_name.as_str())
}

/// Returns the bytes of what is stored for a value: a box around shapes, a signature for text, else the value.
fn key_width(facts: &Facts<'_>, key: &CandidateKey) -> f64 {
    let type_name = type_of(facts, key);
    if key.opclass.as_deref().is_some_and(|opclass| opclass.ends_with("gist_trgm_ops")) || type_name == "tsvector" {
        // Leaves hold the trigrams themselves, three bytes each.
        return Values::of(facts, &key.target).width * 3.0;
    }
    match type_name {
        "point" | "circle" | "polygon" | "box" => 32.0,
        name if name.starts_with("geometry") => 16.0,
        name if name.starts_with("geography") => 24.0,
        _ => Values::of(facts, &key.target).width,
    }
}
