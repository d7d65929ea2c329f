//! Statement texts and parameters, whose values say nothing of their type: it is guessed from their form, and from where else
//! the value was seen.

use std::collections::HashMap;

use super::family::Family;
use super::form;
use super::literal::{Part, parts, said};
use super::values::{Place, Values};
use crate::catalog::{Statement, name};

/// 99: below a hundred, a number in a text is a position, a length or a limit, and says nothing of a row.
const SMALL: u64 = 99;

/// How the server marks a list it has shortened (18 and later): not a comment of the application's.
const SHORTENED: &str = "/*, ... */";

/// The kind each literal was taken for, so that it is the same when it is replaced.
pub(super) type Decided = HashMap<String, Family>;

/// Takes note of all values in statements; statistics must have been seen before, since they know types.
pub(super) fn see(statements: &[Statement], values: &mut Values) -> Decided {
    let mut decided = Decided::new();
    // First decided, then seen: what one statement says must not change how the next is read.
    for literal in statements.iter().flat_map(literals) {
        let (core, _, _) = pattern(&literal);
        if !decided.contains_key(core) {
            decided.insert(core.to_owned(), decision(core, values));
        }
    }
    for (literal, family) in &decided {
        values.replaced(family, literal, Place::Free);
    }
    decided
}

/// Replaces the values in statements.
pub(super) fn replace(statements: &mut [Statement], values: &mut Values, decided: &Decided) {
    for statement in statements {
        if let Some(query) = &mut statement.query {
            *query = text(query, values, decided);
        }
        for value in statement.parameters.iter_mut().flatten().flatten() {
            *value = literal(value, values, decided);
        }
    }
}

fn literals(statement: &Statement) -> impl Iterator<Item = String> {
    let query = statement.query.as_deref().unwrap_or_default();
    let of_text = parts(query).into_iter().filter_map(|part| match part {
        Part::String(literal) => Some(said(literal)),
        Part::Number(number) if !is_small(number) => Some(number.to_owned()),
        _ => None,
    });
    of_text.chain(statement.parameters.iter().flatten().flatten().cloned()).collect::<Vec<_>>().into_iter()
}

fn is_small(number: &str) -> bool {
    number.parse::<u64>().is_ok_and(|number| number <= SMALL)
}

fn text(query: &str, values: &mut Values, decided: &Decided) -> String {
    let mut replaced = String::with_capacity(query.len());
    for part in parts(query) {
        match part {
            Part::Other(text) => replaced.push_str(text),
            Part::Comment(SHORTENED) => replaced.push_str(SHORTENED),
            Part::Comment(_) => replaced.push(' '),
            Part::Number(number) if is_small(number) => replaced.push_str(number),
            Part::Number(number) => replaced.push_str(&literal(number, values, decided)),
            // Bits: what stood there is gone, what kind it was stays.
            Part::String(bits) if bits.starts_with(['b', 'B', 'x', 'X']) => replaced.push_str("B'0'"),
            Part::String(string) => replaced.push_str(&name::literal(&literal(&said(string), values, decided))),
            Part::Dollar(tag, _) => replaced.push_str(&format!("{tag}{tag}")),
        }
    }
    replaced
}

/// Replaces one literal; what was never seen, or cannot be read, becomes empty.
fn literal(value: &str, values: &mut Values, decided: &Decided) -> String {
    let (core, before, after) = pattern(value);
    let family = decided.get(core).unwrap_or(&Family::Opaque);
    let replaced = values.replaced(family, core, Place::Free).unwrap_or_default();
    format!("{before}{replaced}{after}")
}

/// Splits `%x%` into what is searched for and the signs around it.
fn pattern(text: &str) -> (&str, &str, &str) {
    let core = text.trim_start_matches('%');
    let before = &text[..text.len() - core.len()];
    let trimmed = core.trim_end_matches('%');
    (trimmed, before, &core[trimmed.len()..])
}

/// Decides what kind of value a literal is.
fn decision(literal: &str, values: &Values) -> Family {
    if values.keeps(literal) || is_word_of_sql(literal) || form::is_interval(literal) {
        return Family::Kept;
    }
    let by_form = by_form(literal);
    if values.knows(&by_form, literal) {
        return by_form;
    }
    values.text_family_of(literal).unwrap_or(by_form)
}

/// Decides what kind of value a text is by its form alone.
fn by_form(text: &str) -> Family {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = text.strip_prefix('-').unwrap_or(text);
    if digits(whole) && whole.parse::<i64>().is_ok() && (whole.len() == 1 || !whole.starts_with('0')) {
        Family::Whole
    } else if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')) && text.parse::<f64>().is_ok() && !digits(whole) {
        Family::Decimal
    } else if form::days(text).is_some() {
        Family::Date
    } else if form::moment(text).is_some() {
        Family::Moment
    } else if text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() })
    {
        Family::Uuid
    } else if text.starts_with(['{', '[']) && serde_json::from_str::<serde_json::Value>(text).is_ok() {
        Family::Json
    } else if form::array(text).is_some() {
        Family::Array(Box::new(Family::Text(String::new())))
    } else {
        Family::Text(String::new())
    }
}

fn is_word_of_sql(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "t" | "f" | "true" | "false" | "on" | "off" | "yes" | "no" | "null")
}

/// Decides what kind of values an expression has whose type is not known: the one form they all have.
pub(super) fn family_of<'a>(texts: impl Iterator<Item = &'a String>, values: &Values) -> Family {
    let mut family: Option<Family> = None;
    let mut all_kept = true;
    for text in texts {
        all_kept &= values.keeps(text);
        let this = if is_word_of_sql(text) {
            Family::Kept
        } else if form::is_interval(text) || form::range(text).is_some() {
            Family::Opaque
        } else {
            by_form(text)
        };
        family = Some(match (family, this) {
            (None | Some(Family::Kept), this) => this,
            (Some(before), Family::Kept) => before,
            (Some(before), this) if before == this => this,
            (Some(Family::Whole | Family::Decimal), Family::Whole | Family::Decimal) => Family::Decimal,
            (Some(Family::Opaque), _) | (_, Family::Opaque) => Family::Opaque,
            _ => Family::Text(String::new()),
        });
    }
    // Labels of an enum, for one.
    family.filter(|_| !all_kept).unwrap_or(Family::Kept)
}
