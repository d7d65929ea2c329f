//! GiST: ranges that overlap, shapes that touch, the nearest neighbours.

use super::super::CandidateKey;
use super::super::facts::Facts;
use super::super::query::{Access, Containment};
use super::Shape;
use super::context::Context;
use super::inverted::scalars;
use super::wanted::Wanted;
use crate::catalog::{Column, KeyTarget};

/// Types with a default GiST operator class that finds what lies within or near, as beginnings of their names.
const SHAPES: &[&str] = &["point", "box", "polygon", "circle", "geometry", "geography", "cube", "ltree"];

/// Returns the GiST shapes of an access.
pub(super) fn shapes(context: &Context<'_, '_>, facts: &Facts<'_>, access: &Access, wanted: &Wanted) -> Vec<Shape> {
    let mut shapes = contained(context, facts, &access.containments, wanted);
    if let Some(target) = &access.nearest {
        let key = context.key(facts, target);
        let text = column(facts, target).is_none_or(|column| column.type_category == "S");
        let key = match context.opclass_of("pg_trgm", "gist_trgm_ops") {
            _ if column(facts, target).is_some_and(has_distance) => Some(key),
            opclass if text => Some(key.with_opclass(opclass.unwrap_or_else(|| "gist_trgm_ops".to_owned()))),
            _ => None,
        };
        shapes.extend(key.map(|key| Shape::of_method("gist", vec![key])));
    }
    shapes
}

/// Returns the GiST shapes for these conditions, each alone and, with `btree_gist`, behind the access's equalities.
pub(super) fn contained(context: &Context<'_, '_>, facts: &Facts<'_>, containments: &[Containment], wanted: &Wanted) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    for containment in containments.iter().filter(|found| matches!(found.operator.as_str(), "&&" | "@>" | "<@" | "-|-" | "<<" | ">>")) {
        let ranged = match &containment.target {
            KeyTarget::Column(name) => facts.table.column(name).is_some_and(|column| is_range(&column.type_name) || is_shape(column)),
            KeyTarget::Expression(text) => is_range_expression(text.split('(').next().unwrap_or_default().trim()),
        };
        if !ranged {
            continue;
        }
        let key = context.key(facts, &containment.target);
        let mut lists = vec![vec![key.clone()]];
        if context.has("btree_gist") {
            lists.extend(scalars(facts, wanted).into_iter().map(|equality| vec![equality, key.clone()]));
        }
        for keys in lists {
            if !shapes.iter().any(|known: &Shape| known.keys == keys) {
                shapes.push(Shape::of_method("gist", keys));
            }
        }
    }
    shapes
}

/// Returns whether an expression that begins with this word makes a range.
pub(super) fn is_range_expression(first: &str) -> bool {
    is_range(&first.to_lowercase())
}

/// Returns whether the access method has an operator class for the key.
pub(super) fn serves(facts: &Facts<'_>, key: &CandidateKey) -> bool {
    column(facts, &key.target).is_none_or(|column| key.opclass.is_some() || is_range(&column.type_name) || is_shape(column) || column.btree)
}

fn column<'a>(facts: &Facts<'a>, target: &KeyTarget) -> Option<&'a Column> {
    target.column().and_then(|name| facts.table.column(name))
}

fn is_range(type_name: &str) -> bool {
    let bare = type_name.rsplit('.').next().unwrap_or(type_name);
    matches!(
        bare,
        "int4range"
            | "int8range"
            | "numrange"
            | "daterange"
            | "tsrange"
            | "tstzrange"
            | "int4multirange"
            | "int8multirange"
            | "nummultirange"
            | "datemultirange"
            | "tsmultirange"
            | "tstzmultirange"
    )
}

fn is_shape(column: &Column) -> bool {
    let bare = column.type_name.rsplit('.').next().unwrap_or(&column.type_name);
    SHAPES.iter().any(|name| bare.starts_with(name))
}

/// Returns whether GiST gives the values of the type in the order of their distance.
fn has_distance(column: &Column) -> bool {
    is_shape(column) && !column.type_name.starts_with("ltree")
}
