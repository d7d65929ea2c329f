//! Places where the grammar takes a constant and no parameter: `interval $1`, `date $1`, `extract($1 from x)`.

use super::text::{Edit, Text};

/// Types written before their constant.
#[rustfmt::skip]
const TYPES: &[&str] = &["date", "interval", "time", "timestamp", "timestamptz", "timetz"];

/// What may follow the constant of an interval.
const UNITS: &[&str] = &["year", "month", "day", "hour", "minute", "second"];

/// Returns the edits that make the whole text grammatical: none of the forms is valid anywhere, so all go at once.
pub(super) fn repair(text: &Text<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for at in 0..text.tokens.len() {
        if text.is_any(at, TYPES) {
            edits.extend(typed(text, at));
        } else if text.is_word(at, "extract") && text.is_sign(at + 1, '(') && text.is_parameter(at + 2) && text.is_word(at + 3, "from") {
            edits.push(text.replace(at, at + 4, format!("date_part({},", text.spelled(at + 2))));
        }
    }
    edits
}

/// `interval $1`, `interval(3) $1`, `timestamp with time zone $1`, `interval $1 day to second`.
fn typed(text: &Text<'_>, at: usize) -> Option<Edit> {
    let mut parameter = at + 1;
    if text.is_sign(parameter, '(') {
        parameter = text.closing(parameter)? + 1;
    }
    if text.is_any(parameter, &["with", "without"]) && text.is_word(parameter + 1, "time") && text.is_word(parameter + 2, "zone") {
        parameter += 3;
    }
    if !text.is_parameter(parameter) {
        return None;
    }
    let mut end = parameter + 1;
    if text.is_word(at, "interval") && text.is_any(end, UNITS) {
        end += 1;
        if text.is_word(end, "to") && text.is_any(end + 1, UNITS) {
            end += 2;
        }
    }
    let name: Vec<&str> = (at..parameter).map(|at| text.spelled(at)).collect();
    Some(text.replace(at, end, format!("{}::{}", text.spelled(parameter), name.join(" "))))
}
