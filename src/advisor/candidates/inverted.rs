//! Inverted indexes: members of arrays and documents, words of texts, trigrams of patterns.

use super::super::facts::Facts;
use super::super::query::{Containment, Operand};
use super::super::{CandidateKey, expression};
use super::context::Context;
use super::wanted::Wanted;
use super::{Shape, spatial};
use crate::catalog::{Column, KeyTarget};

/// What a GIN index would hold the keys of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Array,
    Document,
    Words,
    Trigrams,
    /// Another type whose default operator class has the operator.
    Own,
}

/// Operators that match patterns of text.
const PATTERNS: &[&str] = &["like", "ilike", "~", "~*"];
/// Operators that the smaller operator class of documents knows.
const PATH_OPERATORS: &[&str] = &["@>", "@?", "@@"];
/// Types that `btree_gin` and `btree_gist` know, as beginnings of their names.
const SCALARS: &[&str] =
    &["smallint", "integer", "bigint", "real", "double", "numeric", "text", "character", "date", "time", "uuid", "boolean", "inet", "cidr"];

/// Returns the GIN shapes for these conditions, each alone and, with `btree_gin`, together with the access's equalities.
pub(super) fn shapes(context: &Context<'_, '_>, facts: &Facts<'_>, containments: &[Containment], wanted: &Wanted) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    let mut add = |shape: Shape| {
        if !shapes.iter().any(|known| known.method == shape.method && known.keys == shape.keys) {
            shapes.push(shape);
        }
    };
    for containment in containments {
        let Some(kind) = kind(facts, containment) else { continue };
        let key = context.key(facts, &containment.target);
        let key = match kind {
            Kind::Trigrams => key.with_opclass(context.opclass_of("pg_trgm", "gin_trgm_ops").unwrap_or_else(|| "gin_trgm_ops".to_owned())),
            Kind::Document if paths_only(context, facts, &containment.target) => key.with_opclass("jsonb_path_ops"),
            _ => key,
        };
        add(Shape::of_method("gin", vec![key.clone()]));
        if context.has("btree_gin") {
            for equality in scalars(facts, wanted) {
                add(Shape::of_method("gin", vec![equality, key.clone()]));
            }
        }
    }
    shapes
}

/// Returns B-tree keys for patterns whose beginning may be fixed: `name LIKE $1`.
pub(super) fn pattern_keys(context: &Context<'_, '_>, facts: &Facts<'_>, containments: &[Containment]) -> Vec<Vec<CandidateKey>> {
    let maybe = containments.iter().filter(|found| found.operator == "like" && !matches!(found.operand, Operand::Literal(_)));
    let mut keys: Vec<Vec<CandidateKey>> = Vec::new();
    for containment in maybe {
        let column = column(facts, &containment.target);
        let key = context.key(facts, &containment.target);
        let opclass = match column.map(|column| column.type_name.as_str()) {
            _ if context.is_bytewise(column) => None,
            Some(name) if name.starts_with("character varying") => Some("varchar_pattern_ops"),
            Some("text") | None => Some("text_pattern_ops"),
            Some(_) => continue,
        };
        let key = match opclass {
            Some(opclass) => key.with_opclass(opclass),
            None => key,
        };
        if !keys.contains(&vec![key.clone()]) {
            keys.push(vec![key]);
        }
    }
    keys
}

/// Returns the access's equalities on types that `btree_gin` and `btree_gist` know, at most two.
pub(super) fn scalars(facts: &Facts<'_>, wanted: &Wanted) -> Vec<CandidateKey> {
    let known = |key: &&CandidateKey| {
        column(facts, &key.target).is_some_and(|column| SCALARS.iter().any(|name| column.type_name.starts_with(name)))
    };
    wanted.equalities.iter().filter(|equality| !equality.join).map(|equality| &equality.key).filter(known).take(2).cloned().collect()
}

fn column<'a>(facts: &Facts<'a>, target: &KeyTarget) -> Option<&'a Column> {
    target.column().and_then(|name| facts.table.column(name))
}

/// Returns what a GIN index on the target would hold; `None` when GIN does not know the operator on that type.
fn kind(facts: &Facts<'_>, containment: &Containment) -> Option<Kind> {
    let operator = containment.operator.as_str();
    if PATTERNS.contains(&operator) {
        let text = column(facts, &containment.target).is_none_or(|column| column.type_category == "S");
        return text.then_some(Kind::Trigrams);
    }
    let members = matches!(operator, "@>" | "<@" | "&&");
    if let Some(column) = column(facts, &containment.target) {
        return match column.type_name.as_str() {
            name if name.ends_with("[]") && members => Some(Kind::Array),
            "jsonb" if matches!(operator, "@>" | "?" | "?|" | "?&" | "@?" | "@@") => Some(Kind::Document),
            "tsvector" if operator == "@@" => Some(Kind::Words),
            "hstore" if matches!(operator, "@>" | "?" | "?|" | "?&") => Some(Kind::Own),
            _ => None,
        };
    }
    // An expression's type is told by its outermost word or by the operator asked.
    let KeyTarget::Expression(text) = &containment.target else { return None };
    let words = expression::words(text);
    let first = words.iter().find(|word| *word != "(").map(String::as_str).unwrap_or_default();
    if spatial::is_range_expression(first) {
        return None;
    }
    match operator {
        "@@" if matches!(first, "to_tsvector" | "setweight" | "strip") => Some(Kind::Words),
        "?" | "?|" | "?&" | "@?" | "@@" => Some(Kind::Document),
        "@>" if words.iter().any(|word| word == "->" || word == "#>") => Some(Kind::Document),
        _ if members
            && (matches!(first, "string_to_array" | "array" | "regexp_split_to_array")
                || words.ends_with(&["[".to_owned(), "]".to_owned()])) =>
        {
            Some(Kind::Array)
        }
        _ => None,
    }
}

/// Returns whether all the workload asks of a document is within the smaller operator class.
fn paths_only(context: &Context<'_, '_>, facts: &Facts<'_>, target: &KeyTarget) -> bool {
    context.operators(facts.table.oid, target).all(|operator| PATH_OPERATORS.contains(&operator))
}
