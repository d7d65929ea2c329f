//! Functions that do not exist, or not only once, for the types parameters were taken to have.

use std::collections::BTreeMap;

use super::operand::{self, Leaf};
use super::text::{Edit, Text};

/// Functions that take arguments of any type and so tell no parameter's.
#[rustfmt::skip]
const ANY: &[&str] = &[
    "concat", "concat_ws", "count", "format", "json_build_array", "json_build_object", "jsonb_build_array", "jsonb_build_object", "num_nonnulls",
    "num_nulls", "row",
];

/// Returns the edits for a function that does not exist (`sum(text)`) or is not unique, by the token of its name. `taken` is what
/// the server took the arguments for, as it wrote it.
pub(super) fn overloaded(text: &Text<'_>, at: usize, taken: &str) -> Vec<Edit> {
    let Some((name, open)) = called(text, at) else { return Vec::new() };
    let taken = arguments(taken);
    let mut edits = casts(text, &name, open, &taken, false);
    // `sum(case when … then $1 else $2 end)` seldom comes alone: those like it go at once, but none with a column among its results.
    for at in 0..text.tokens.len() {
        if let Some((other, open)) = called(text, at)
            && other == name
        {
            edits.extend(casts(text, &name, open, &taken, true));
        }
    }
    edits
}

/// Returns the edits for a parameter whose type nothing tells, by its token: it becomes text, and with it its like.
pub(super) fn undetermined(text: &Text<'_>, at: usize) -> Vec<Edit> {
    let mut edits = vec![text.cast(at, "text")];
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for at in (0..text.tokens.len()).filter(|&at| text.is_parameter(at)) {
        *uses.entry(text.spelled(at)).or_default() += 1;
    }
    for at in 0..text.tokens.len() {
        if text.is_any(at, ANY) && text.is_sign(at + 1, '(') {
            let bare = text.elements_in(at + 1).into_iter().filter(|(from, to)| to - from == 1 && text.is_bare(*from));
            edits.extend(bare.map(|(from, _)| text.cast(from, "text")));
        } else if text.is_bare(at) && text.is_word(at + 1, "is") && uses[text.spelled(at)] == 1 {
            edits.push(text.cast(at, "text"));
        }
    }
    edits
}

/// Returns the edits for `could not determine polymorphic type`, for which the server tells no place.
pub(super) fn polymorphic(text: &Text<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for at in 0..text.tokens.len() {
        let Some((name, open)) = called(text, at) else { continue };
        let type_name = match name.as_str() {
            "cardinality" | "unnest" => "text[]",
            name if name.starts_with("array_") && name != "array_agg" && name != "array_fill" => "text[]",
            "array_agg" | "array_fill" | "json_agg" | "jsonb_agg" | "quote_literal" | "quote_nullable" | "to_json" | "to_jsonb" => "text",
            "json_object_agg" | "jsonb_object_agg" | "first_value" | "last_value" | "nth_value" | "lag" | "lead" | "mode" => "text",
            "isempty" | "lower_inc" | "upper_inc" | "lower_inf" | "upper_inf" => "int4range",
            _ => continue,
        };
        // Arrays come first, except in `array_prepend(element, array)`.
        let place = usize::from(name == "array_prepend");
        if let Some((from, to)) = text.elements_in(open).get(place)
            && to - from == 1
            && text.is_bare(*from)
        {
            edits.push(text.cast(*from, type_name));
        }
    }
    edits
}

/// Returns the function's own name and the bracket after it, by the first token of its name.
fn called(text: &Text<'_>, mut at: usize) -> Option<(String, usize)> {
    while text.is_sign(at + 1, '.') {
        at += 2;
    }
    let name = text.name(at)?;
    text.is_sign(at + 1, '(').then_some((name, at + 1))
}

/// Returns the types between the brackets of `function f(text, numeric) does not exist`.
fn arguments(message: &str) -> Vec<&str> {
    let Some((_, rest)) = message.split_once('(') else { return Vec::new() };
    rest.rsplit_once(')').map_or_else(Vec::new, |(types, _)| types.split(',').map(str::trim).collect())
}

fn casts(text: &Text<'_>, name: &str, open: usize, taken: &[&str], only_parameters: bool) -> Vec<Edit> {
    let mut edits = Vec::new();
    let known = taken.iter().copied().find(|name| !matches!(*name, "text" | "text[]" | "unknown"));
    for (place, (from, to)) in text.elements_in(open).into_iter().enumerate() {
        // `generate_series(current_date - $1, …)`: the difference of two dates, as the server took it.
        if let Some(offset @ ("integer" | "interval")) = taken.get(place).copied() {
            let offsets = (from + 1..to).filter(|&at| text.is_bare(at) && (text.is_sign(at - 1, '-') || text.is_sign(at - 1, '+')));
            edits.extend(offsets.map(|at| text.cast(at, offset)));
        }
        if !taken.get(place).is_none_or(|name| matches!(*name, "text" | "text[]" | "unknown")) {
            continue;
        }
        let leaves = operand::after(text, from);
        if only_parameters && leaves.iter().any(|leaf| !matches!(leaf, Leaf::Parameter(_))) {
            continue;
        }
        let type_name = expected(name, place, known);
        edits.extend(leaves.iter().flat_map(|leaf| leaf.casts(text, type_name)));
    }
    edits
}

/// Returns the type an overloaded function most likely had at that place, knowing one of its other arguments.
fn expected<'a>(name: &str, place: usize, known: Option<&'a str>) -> &'a str {
    const MOMENT: &str = "timestamp with time zone";
    match (name, place) {
        ("date_trunc" | "date_part" | "timezone", 0) | ("date_trunc", 2) | ("to_char", 1) => "text",
        ("date_trunc" | "date_part" | "timezone", _) | ("date_bin", 1 | 2) | ("to_char", 0) | ("age" | "isfinite" | "date", _) => MOMENT,
        ("date_bin", 0) | ("justify_days" | "justify_hours" | "justify_interval", _) => "interval",
        ("generate_series", 2) if known.is_some_and(|name| name.starts_with("timestamp") || name == "date") => "interval",
        ("generate_series", _) => known.unwrap_or("integer"),
        ("percentile_cont" | "percentile_disc", _) => "double precision",
        ("array_agg" | "string_agg" | "max" | "min" | "lower" | "upper" | "length" | "md5" | "reverse" | "trim" | "btrim", _) => "text",
        ("unnest" | "cardinality" | "array_length" | "array_upper" | "array_lower" | "array_to_string", 0) => "text[]",
        ("bool_and" | "bool_or" | "every", _) => "boolean",
        ("jsonb_array_elements" | "jsonb_each" | "jsonb_array_length" | "jsonb_set" | "jsonb_pretty", 0) => "jsonb",
        ("round" | "trunc" | "ceil" | "ceiling" | "floor" | "div" | "mod" | "power" | "sqrt", 0) => "numeric",
        _ => "integer",
    }
}
