//! Expressions of another type than the column, branch or argument they are for.

use super::column::{self, select_list};
use super::operand;
use super::text::{Edit, Text};

/// Returns the edits for a type that does not fit, by the token of the expression when there is one.
pub(super) fn repair(text: &Text<'_>, at: Option<usize>, message: &str) -> Vec<Edit> {
    let Some(at) = at else { return Vec::new() };
    if let Some((name, before)) = wanted(message) {
        let edits = if before { branches(text, at, name) } else { cast(text, at, name) };
        if edits.is_empty() && text.is_sign(at, '*') {
            let column = message.strip_prefix("column \"").and_then(|rest| rest.split_once("\" is of type "));
            return column.and_then(|(column, _)| column::inserted(text, column, name)).into_iter().collect();
        }
        return edits;
    }
    Vec::new()
}

/// Returns the type wanted, and whether it is for what stands before the place complained of.
fn wanted(message: &str) -> Option<(&str, bool)> {
    // column "a" is of type integer but expression is of type text
    if let Some((before, _)) = message.split_once(" but expression is of type ") {
        return before.rsplit_once(" is of type ").map(|(_, name)| (name, false));
    }
    // recursive query "t" column 1 has type text in non-recursive term but type integer overall
    if let Some((_, overall)) = message.split_once(" in non-recursive term but type ") {
        return overall.strip_suffix(" overall").map(|name| (name, false));
    }
    // argument of LIMIT must be type bigint, not type text
    if let Some((_, rest)) = message.split_once(" must be type ") {
        return rest.split_once(", not type ").map(|(name, _)| (name, false));
    }
    // UNION types text and integer cannot be matched
    let (_, types) = message.strip_suffix(" cannot be matched")?.split_once(" types ")?;
    match types.split_once(" and ")? {
        ("text", name) => Some((name, true)),
        (name, "text") => Some((name, false)),
        _ => None,
    }
}

fn cast(text: &Text<'_>, at: usize, type_name: &str) -> Vec<Edit> {
    operand::after(text, at).iter().flat_map(|leaf| leaf.casts(text, type_name)).collect()
}

/// Casts what stands at the same place in the selects before: `select $1 union all select $2 union all select id from t`.
fn branches(text: &Text<'_>, at: usize, type_name: &str) -> Vec<Edit> {
    let selects: Vec<Vec<(usize, usize)>> = (0..text.tokens.len()).filter_map(|at| select_list(text, at)).collect();
    let holds = |(from, to): &(usize, usize)| (*from..*to).contains(&at);
    // The innermost list that has the place: lists of inner selects come later.
    let Some((branch, place)) =
        selects.iter().enumerate().rev().find_map(|(branch, list)| list.iter().position(holds).map(|place| (branch, place)))
    else {
        return Vec::new();
    };
    let size = selects[branch].len();
    let like = selects[..branch].iter().filter(|list| list.len() == size);
    like.filter(|list| list[place].1 - list[place].0 == 1 || text.is_word(list[place].0 + 1, "as"))
        .filter(|list| text.is_bare(list[place].0))
        .map(|list| text.cast(list[place].0, type_name))
        .collect()
}
