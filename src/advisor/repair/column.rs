//! Columns that a statement makes from parameters: `select $1 as depth`, `(values ($1, $2)) v(id, name)`, `unnest($1) u(id)`.

use super::text::{Edit, Text};

/// Returns the edits that give a type to the parameters the column is made of, wherever the text makes a column of that name.
pub(super) fn casts(text: &Text<'_>, name: &str, type_name: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    for at in 0..text.tokens.len() {
        if text.is_parameter(at) {
            edits.extend(aliased(text, at, name, type_name));
        } else if text.is_word(at, "values") && text.is_sign(at + 1, '(') {
            edits.extend(listed(text, at, name, type_name));
        } else if text.is_word(at, "as") && text.is_sign(at.wrapping_sub(1), ')') {
            edits.extend(common(text, at, name, type_name));
        } else if text.is_word(at, "unnest") && text.is_sign(at + 1, '(') {
            edits.extend(unnested(text, at, name, type_name));
        }
    }
    edits
}

/// `$1 as depth`, `$1 depth`.
fn aliased(text: &Text<'_>, at: usize, name: &str, type_name: &str) -> Option<Edit> {
    let alias = if text.is_word(at + 1, "as") { at + 2 } else { at + 1 };
    (text.is_bare(at) && text.name(alias)? == name).then(|| text.cast(at, type_name))
}

/// `(values ($1, $2), …) [as] v(id, name)`: the first row decides, since parameters of the others follow it.
fn listed(text: &Text<'_>, values: usize, name: &str, type_name: &str) -> Option<Edit> {
    let close = text.closing(values.checked_sub(1)?)?;
    let place = match aliases(text, close) {
        Some(columns) => text.elements_in(columns).iter().position(|(at, _)| text.name(*at).as_deref() == Some(name))?,
        None => name.strip_prefix("column")?.parse::<usize>().ok()?.checked_sub(1)?,
    };
    element(text, &text.elements_in(values + 1), place, type_name)
}

/// `tree (id, depth) as [not materialized] (select $1, … | values ($1, …) …`.
fn common(text: &Text<'_>, as_at: usize, name: &str, type_name: &str) -> Option<Edit> {
    let columns = text.opening(as_at - 1)?;
    let place = text.elements_in(columns).iter().position(|(at, _)| text.name(*at).as_deref() == Some(name))?;
    let mut open = as_at + 1;
    while text.is_any(open, &["not", "materialized"]) {
        open += 1;
    }
    if text.is_word(open + 1, "values") {
        return element(text, &text.elements_in(open + 2), place, type_name);
    }
    element(text, &select_list(text, open + 1)?, place, type_name)
}

/// `unnest($1, $2) [with ordinality] [as] u(id, name)`: an array each.
fn unnested(text: &Text<'_>, at: usize, name: &str, type_name: &str) -> Option<Edit> {
    let close = text.closing(at + 1)?;
    let arrays = text.elements_in(at + 1);
    let place = match aliases(text, close) {
        Some(columns) => text.elements_in(columns).iter().position(|(at, _)| text.name(*at).as_deref() == Some(name))?,
        // The alias of a function that returns one column names the column too.
        None => 0,
    };
    element(text, &arrays, place, &format!("{type_name}[]"))
}

/// Returns the bracket that opens the names of the columns of what ends at `close`.
fn aliases(text: &Text<'_>, close: usize) -> Option<usize> {
    let mut at = close + 1;
    if text.is_word(at, "with") && text.is_word(at + 1, "ordinality") {
        at += 2;
    }
    at += usize::from(text.is_word(at, "as"));
    text.name(at)?;
    text.is_sign(at + 1, '(').then_some(at + 1)
}

/// Returns the elements of the select list after the `select` at the token.
pub(super) fn select_list(text: &Text<'_>, select: usize) -> Option<Vec<(usize, usize)>> {
    if !text.is_word(select, "select") {
        return None;
    }
    let mut from = select + 1;
    from += usize::from(text.is_any(from, &["all", "distinct"]));
    if text.is_word(from, "on") && text.is_sign(from + 1, '(') {
        from = text.closing(from + 1)? + 1;
    }
    Some(text.elements(from, list_end(text, from)))
}

/// Returns where a list of expressions ends: at the next clause, or at the bracket around.
pub(super) fn list_end(text: &Text<'_>, from: usize) -> usize {
    #[rustfmt::skip]
    const CLAUSES: &[&str] = &[
        "except", "fetch", "for", "from", "group", "having", "intersect", "into", "limit", "offset", "order", "returning", "union", "where", "window",
    ];
    let mut at = from;
    while at < text.tokens.len() {
        if text.is_sign(at, '(') || text.is_sign(at, '[') {
            at = text.closing(at).unwrap_or(text.tokens.len());
        } else if text.is_any(at, CLAUSES) || [')', ']', ';'].iter().any(|sign| text.is_sign(at, *sign)) {
            return at;
        }
        at += 1;
    }
    text.tokens.len()
}

/// Returns the edits for a column filled from `select * from unnest($1, $2)` in an `INSERT`, where a star has no name.
pub(super) fn inserted(text: &Text<'_>, name: &str, type_name: &str) -> Option<Edit> {
    let columns = (0..text.tokens.len())
        .find(|&at| text.is_word(at, "insert"))
        .and_then(|at| (at..text.tokens.len()).find(|&at| text.is_sign(at, '(')))?;
    let place = text.elements_in(columns).iter().position(|(at, _)| text.name(*at).as_deref() == Some(name))?;
    let unnest = (columns..text.tokens.len()).find(|&at| text.is_word(at, "unnest") && text.is_sign(at + 1, '('))?;
    element(text, &text.elements_in(unnest + 1), place, &format!("{type_name}[]"))
}

/// Casts an element of a list when it is a parameter or an array; a cast to text, which an earlier repair may have put there,
/// gives way.
fn element(text: &Text<'_>, elements: &[(usize, usize)], place: usize, type_name: &str) -> Option<Edit> {
    let (at, end) = *elements.get(place)?;
    if text.is_word(at, "array") && text.closing(at + 1) == Some(end - 1) {
        return Some(text.cast(end - 1, type_name));
    }
    if !text.is_parameter(at) {
        return None;
    }
    let to_text = text.is_cast(at) && text.is_word(at + 3, "text");
    (end == at + 1 || to_text)
        .then(|| if to_text { text.replace(at, end, format!("{}::{type_name}", text.spelled(at))) } else { text.cast(at, type_name) })
}
