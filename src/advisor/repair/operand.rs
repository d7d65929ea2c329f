//! What gives an operand its type: the parameters, arrays and columns it is made of.

use crate::catalog::name;
use crate::sql::pieces::Kind;

use super::column;
use super::text::{Edit, Text};

/// How deep brackets are followed.
const DEPTH_MAX: usize = 16;

/// Functions whose result has the type of their arguments.
const TRANSPARENT: &[&str] = &["coalesce", "greatest", "least", "max", "min", "nullif"];

/// Something whose type can be set by a cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leaf {
    /// A parameter without a cast, by its token.
    Parameter(usize),
    /// `ARRAY[…]` without a cast, by its closing bracket.
    Array(usize),
    /// A column by its own name: it may come from a list of values or a select list.
    Column(String),
}

impl Leaf {
    /// Returns the edits that give the leaf a type.
    pub(super) fn casts(&self, text: &Text<'_>, type_name: &str) -> Vec<Edit> {
        match self {
            Leaf::Parameter(at) => vec![text.cast(*at, type_name)],
            Leaf::Array(close) if type_name.ends_with("[]") => vec![text.cast(*close, type_name)],
            Leaf::Array(close) => vec![text.cast(*close, &format!("{type_name}[]"))],
            Leaf::Column(name) => column::casts(text, name, type_name),
        }
    }
}

/// Returns what the operand that begins at the token is made of.
pub(super) fn after(text: &Text<'_>, at: usize) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    collect(text, at, 0, &mut leaves);
    leaves
}

/// Returns what the operand that ends right before the token is made of.
pub(super) fn before(text: &Text<'_>, end: usize) -> Vec<Leaf> {
    begin(text, end).map_or_else(Vec::new, |at| after(text, at))
}

/// Returns where the operand that ends right before the token begins.
fn begin(text: &Text<'_>, end: usize) -> Option<usize> {
    let last = end.checked_sub(1)?;
    let mut at = if text.is_word(last, "end") {
        let mut depth = 0usize;
        return (0..=last).rev().find(|&at| {
            depth += usize::from(text.is_word(at, "end"));
            depth -= usize::from(text.is_word(at, "case"));
            depth == 0
        });
    } else if text.is_sign(last, ')') || text.is_sign(last, ']') {
        let open = text.opening(last)?;
        // The name of the function or `ARRAY`; a keyword before a bracket (`and (…)`) is none of it.
        let named = open.checked_sub(1).is_some_and(|at| callee(text, at).is_some());
        if named { open - 1 } else { return Some(open) }
    } else {
        last
    };
    while at >= 2 && text.is_sign(at - 1, '.') {
        at -= 2;
    }
    // The type's name of a cast: the operand has its type already.
    if at >= 2 && text.is_sign(at - 1, ':') && text.is_sign(at - 2, ':') { None } else { Some(at) }
}

/// Returns the name of what a bracket after the token belongs to; `None` when the token is a keyword that takes any expression.
fn callee(text: &Text<'_>, at: usize) -> Option<String> {
    const NAMED_KEYWORDS: &[&str] = &["all", "any", "array", "coalesce", "greatest", "least", "nullif", "row", "some"];
    let name = text.name(at)?;
    let word = text.tokens[at].kind == Kind::Word;
    let keyword = word && name::quoted(&name) != name && name.bytes().all(|byte| byte.is_ascii_lowercase());
    (!keyword || NAMED_KEYWORDS.contains(&name.as_str())).then_some(name)
}

fn collect(text: &Text<'_>, at: usize, depth: usize, leaves: &mut Vec<Leaf>) {
    if depth > DEPTH_MAX || at >= text.tokens.len() {
        return;
    }
    let list = |open: usize, leaves: &mut Vec<Leaf>| {
        for (element, _) in text.elements_in(open) {
            collect(text, element, depth + 1, leaves);
        }
    };
    if text.is_parameter(at) {
        if text.is_bare(at) {
            leaves.push(Leaf::Parameter(at));
        }
    } else if text.is_sign(at, '-') || text.is_sign(at, '+') || text.is_any(at, &["distinct", "all"]) && !text.is_sign(at + 1, '(') {
        collect(text, at + 1, depth + 1, leaves);
    } else if text.is_sign(at, '(') {
        list(at, leaves);
    } else if text.is_word(at, "select") || text.is_word(at, "values") && text.is_sign(at + 1, '(') {
        collect(text, at + 1, depth + 1, leaves);
    } else if text.is_word(at, "array") && text.is_sign(at + 1, '[') {
        leaves.extend(text.closing(at + 1).filter(|close| !text.is_cast(*close)).map(Leaf::Array));
    } else if text.is_any(at, &["any", "some", "all", "row"]) && text.is_sign(at + 1, '(') {
        list(at + 1, leaves);
    } else if text.is_word(at, "case") {
        branches(text, at, depth, leaves);
    } else if text.is_sign(at + 1, '(') {
        if text.is_any(at, TRANSPARENT) && !text.closing(at + 1).is_some_and(|close| text.is_cast(close)) {
            list(at + 1, leaves);
        }
    } else if let Some(name) = last_name(text, at) {
        leaves.push(Leaf::Column(name));
    }
}

/// The results of a `CASE`.
fn branches(text: &Text<'_>, case: usize, depth: usize, leaves: &mut Vec<Leaf>) {
    let (mut nested, mut at) = (0usize, case + 1);
    while at < text.tokens.len() {
        if text.is_word(at, "case") {
            nested += 1;
        } else if text.is_word(at, "end") {
            if nested == 0 {
                return;
            }
            nested -= 1;
        } else if nested == 0 && text.is_any(at, &["then", "else"]) {
            collect(text, at + 1, depth + 1, leaves);
        }
        at += 1;
    }
}

/// Returns the last part of a column's name, `c` of `a.b.c`; `None` for a call, a cast or no name.
fn last_name(text: &Text<'_>, mut at: usize) -> Option<String> {
    while text.is_sign(at + 1, '.') {
        at += 2;
    }
    if text.is_sign(at + 1, '(') || text.is_cast(at) { None } else { text.name(at) }
}
