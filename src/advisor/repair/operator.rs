//! Operators that do not exist, or not only once, for the types parameters were taken to have.

use super::operand::{self, Leaf};
use super::text::{Edit, Text};

/// Types that subtracting a parameter from a date or a time stamp can give.
const DATETIMES: &[&str] = &["date", "timestamp with time zone", "timestamp without time zone"];

const NUMBERS: &[&str] = &["bigint", "double precision", "integer", "money", "numeric", "real", "smallint"];

/// Words that are part of a comparison, before its right operand.
const BETWEEN_OPERANDS: &[&str] =
    &["not", "like", "ilike", "in", "between", "symmetric", "asymmetric", "similar", "to", "is", "distinct", "from"];

/// The operator's operands, by what the server took for their types; no left one for a prefix operator.
struct Types<'a> {
    left: &'a str,
    right: &'a str,
}

/// Returns the edits for `operator does not exist: integer = text`, by the operator's token and what follows the colon.
pub(super) fn missing(text: &Text<'_>, at: usize, types: &str) -> Vec<Edit> {
    let Some((types, operator)) = read(types) else { return Vec::new() };
    let right = || operand::after(text, right_of(text, at));
    let left = || operand::before(text, at);
    let arithmetic = ["+", "-", "*", "/", "%", "^"].contains(&operator);
    let edits: Vec<Edit> = match (assumed(types.left), assumed(types.right)) {
        (true, true) if arithmetic => both(text, left(), right(), "integer"),
        (true, false) => cast(text, left(), if arithmetic { counterpart(operator, types.right) } else { types.right }),
        (false, true) => cast(text, right(), if arithmetic { counterpart(operator, types.left) } else { types.left }),
        (true, true) => Vec::new(),
        (false, false) => Vec::new(),
    };
    if edits.is_empty() { offsets(text, at, &types) } else { edits }
}

/// Returns the edits for `operator is not unique: date + unknown`.
pub(super) fn ambiguous(text: &Text<'_>, at: usize, types: &str) -> Vec<Edit> {
    let Some((types, operator)) = read(types) else { return Vec::new() };
    let known = [types.left, types.right].into_iter().find(|name| !assumed(name) && !name.is_empty());
    let type_name = match (operator, known) {
        ("+" | "-" | "*" | "/" | "%", Some(known)) => counterpart(operator, known),
        ("->" | "->>" | "#>" | "#>>" | "?" | "?|" | "?&" | "@?", None) => return cast(text, operand::before(text, at), "jsonb"),
        ("@>" | "<@" | "&&" | "||", None) => "text[]",
        ("~" | "~*" | "!~" | "!~*" | "~~" | "~~*" | "!~~" | "!~~*", _) => "text",
        (_, Some(known)) => known,
        (_, None) => "integer",
    };
    let left = if types.left == "unknown" { operand::before(text, at) } else { Vec::new() };
    let right = if types.right == "unknown" { operand::after(text, right_of(text, at)) } else { Vec::new() };
    both(text, left, right, type_name)
}

/// Reads `integer = text`, `- unknown`.
fn read(types: &str) -> Option<(Types<'_>, &str)> {
    let operator = types.split(' ').find(|word| !word.is_empty() && word.chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c)))?;
    let at = operator.as_ptr() as usize - types.as_ptr() as usize;
    Some((Types { left: types[..at].trim(), right: types[at + operator.len()..].trim() }, operator))
}

/// Returns whether the type is what the server assumes where nothing says more.
fn assumed(type_name: &str) -> bool {
    matches!(type_name, "text" | "text[]" | "unknown")
}

/// Returns the type that goes with the other in arithmetic.
fn counterpart<'a>(operator: &str, other: &'a str) -> &'a str {
    match other {
        "date" => "integer",
        "interval" if matches!(operator, "*" | "/") => "double precision",
        "interval" => "interval",
        other if NUMBERS.contains(&other) => other,
        other if DATETIMES.contains(&other) || other.starts_with("time ") => "interval",
        _ => "integer",
    }
}

/// Returns the first token of the right operand.
fn right_of(text: &Text<'_>, at: usize) -> usize {
    let mut right = at;
    while text.is_any(right, BETWEEN_OPERANDS) {
        right += 1;
    }
    if right == at { text.past_operator(at) } else { right }
}

fn cast(text: &Text<'_>, leaves: Vec<Leaf>, type_name: &str) -> Vec<Edit> {
    leaves.iter().flat_map(|leaf| leaf.casts(text, type_name)).collect()
}

fn both(text: &Text<'_>, left: Vec<Leaf>, right: Vec<Leaf>, type_name: &str) -> Vec<Edit> {
    cast(text, left.into_iter().chain(right).collect(), type_name)
}

/// `created_at > now() - $1`: taken for a time stamp, since it is subtracted from one, and compared with the difference. It was a
/// number of days or a length of time. All that are alike go at once.
fn offsets(text: &Text<'_>, at: usize, types: &Types<'_>) -> Vec<Edit> {
    let type_name = match (DATETIMES.contains(&types.left), DATETIMES.contains(&types.right)) {
        (true, false) => types.right,
        (false, true) => types.left,
        _ => return Vec::new(),
    };
    if !matches!(type_name, "integer" | "interval") {
        return Vec::new();
    }
    let offset = |at: usize| text.is_bare(at) && at > 0 && (text.is_sign(at - 1, '-') || text.is_sign(at - 1, '+'));
    let near = (at..text.tokens.len()).find(|&at| offset(at)).or_else(|| (0..at).rev().find(|&at| offset(at)));
    let Some(near) = near else { return Vec::new() };
    // `current_date - $1`, `now() - $1`: what stands before the sign.
    let base = |at: usize| if at >= 4 && text.is_sign(at - 2, ')') { text.spelled(at - 4) } else { text.spelled(at.saturating_sub(2)) };
    (0..text.tokens.len())
        .filter(|&at| offset(at) && (at == near || base(at).eq_ignore_ascii_case(base(near))))
        .map(|at| text.cast(at, type_name))
        .collect()
}
