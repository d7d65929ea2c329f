//! Indexes over the rows that a constant of the statement leaves.

use std::collections::BTreeSet;

use super::super::CandidateKey;
use super::super::expression;
use super::super::facts::Facts;
use super::super::query::{Access, Class, Comparison, Operand, ParameterUse, Query};
use super::context::Context;
use super::wanted::Wanted;
use super::{Shape, btree, covering};
use crate::catalog::Oid;
use crate::catalog::name::{literal, quoted};

/// A predicate has to leave out at least half of the rows.
const SHARE_MAX: f64 = 0.5;
/// A column with more values than this is a key, not a predicate (rule of thumb).
const VALUES_MAX: f64 = 50.0;
/// The share of the calls in which a parameter must have the same value to count as a constant.
const SAME_MIN: f64 = 0.95;
/// The least calls from which that is judged.
const CALLS_MIN: usize = 20;

/// A conjunct that could be a predicate.
#[derive(Debug, Clone, PartialEq)]
struct Fixed {
    text: String,
    columns: Vec<String>,
    /// Whether it leaves its columns one value, so that they need be no keys.
    single: bool,
}

/// Returns the partial shapes of an access: each constant that leaves few rows, and all of them together, over the keys that
/// serve the rest.
pub(super) fn shapes(context: &Context<'_, '_>, facts: &Facts<'_>, query: &Query, access: &Access, wanted: &Wanted) -> Vec<Shape> {
    let fixed: Vec<Fixed> = fixed(facts, query, access).into_iter().filter(|fixed| rare(facts, fixed)).collect();
    let mut sets: Vec<Vec<&Fixed>> = fixed.iter().map(|one| vec![one]).collect();
    if fixed.len() > 1 {
        sets.push(fixed.iter().collect());
    }
    let mut shapes = Vec::new();
    for set in sets {
        let mut texts: Vec<&str> = set.iter().map(|fixed| fixed.text.as_str()).collect();
        texts.sort_unstable();
        let predicate = texts.join(" AND ");
        let decided: Vec<String> = set.iter().filter(|fixed| fixed.single).flat_map(|fixed| fixed.columns.clone()).collect();
        for keys in key_lists(context, facts, &wanted.without(&decided), &set) {
            let shape = Shape { predicate: Some(predicate.clone()), ..Shape::btree(keys) };
            // What holds few rows can hold all that is read of them: the planner asks nothing of a column that the predicate decides.
            if covering::worthwhile(context, facts, access)
                && let Some(included) = covering::payload(context, facts, access, &shape.keys, &decided)
            {
                shapes.push(Shape { included, ..shape.clone() });
            }
            shapes.push(shape);
        }
    }
    shapes
}

/// Returns the conjuncts whose values are in the text, and those whose parameter is nearly always the same.
fn fixed(facts: &Facts<'_>, query: &Query, access: &Access) -> Vec<Fixed> {
    let mut found: Vec<Fixed> = Vec::new();
    let constants = access.constants.iter().map(|constant| (constant.text.clone(), constant.columns.clone()));
    for (text, columns) in constants.chain(always_the_same(query, access.table, access)) {
        let conjuncts = expression::conjuncts(&text);
        let [conjunct] = conjuncts.as_slice() else { continue };
        let words = expression::words(conjunct);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let single = match words.as_slice() {
            [_] | ["not", _] | [_, "is", "null"] | [_, "=", _] => true,
            [_, "is", "not", "null"] | [_, "=", "any", ..] | [_, "<>", _] => false,
            // Ranges move with time, and a statement with another bound would have no use for the index.
            _ => continue,
        };
        let known = columns.iter().all(|name| facts.table.column(name).is_some());
        if known && !found.iter().any(|fixed| fixed.text == text) {
            found.push(Fixed { text, columns, single });
        }
    }
    found
}

fn rare(facts: &Facts<'_>, fixed: &Fixed) -> bool {
    let nulls = fixed.text.to_lowercase().ends_with("null");
    let few = fixed.columns.iter().all(|name| facts.distinct(name) <= VALUES_MAX);
    (nulls || few) && facts.predicate_share(&fixed.text) < SHARE_MAX
}

/// Returns the equalities that hold for nearly all calls of a statement, as text.
pub(super) fn usual(query: &Query, access: &Access) -> Vec<String> {
    always_the_same(query, access.table, access).into_iter().map(|(text, _)| text).collect()
}

/// Returns equalities whose recorded values are one value in nearly all calls.
fn always_the_same(query: &Query, table: Oid, access: &Access) -> Vec<(String, Vec<String>)> {
    if query.captured.len() < CALLS_MIN {
        return Vec::new();
    }
    let compared = |column: &str| {
        access.conditions.iter().any(|condition| {
            condition.column == column && condition.class == Class::Equality { values: 1 } && condition.operand == Operand::Parameter
        })
    };
    let mut found = Vec::new();
    for (number, used) in &query.parameters {
        let ParameterUse::Column { table: of, column, comparison: Comparison::Equal } = used else { continue };
        let at = (*number as usize).wrapping_sub(1);
        let values: Vec<&str> = query.captured.iter().filter_map(|call| call.get(at)?.as_deref()).collect();
        let distinct: BTreeSet<&str> = values.iter().copied().collect();
        let count = |value: &str| values.iter().filter(|other| **other == value).count();
        let most = distinct.into_iter().map(|value| (count(value), value)).max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(a.1)));
        if *of == table
            && compared(column)
            && let Some((count, value)) = most
            && count as f64 >= SAME_MIN * query.captured.len() as f64
        {
            found.push((format!("{} = {}", quoted(column), literal(value)), vec![column.clone()]));
        }
    }
    found
}

/// Returns the keys beside a predicate: what serves the rest; where nothing is left, the column itself, or the primary key.
fn key_lists(context: &Context<'_, '_>, facts: &Facts<'_>, rest: &Wanted, set: &[&Fixed]) -> BTreeSet<Vec<CandidateKey>> {
    let mut lists = BTreeSet::from([btree::best(rest), btree::joined(rest), btree::constant(rest)]);
    if rest.order_alone {
        lists.insert(rest.order.clone());
    }
    lists.retain(|keys| !keys.is_empty());
    if lists.is_empty() {
        let open = set.iter().filter(|fixed| !fixed.single).flat_map(|fixed| &fixed.columns);
        let column = open.filter_map(|name| facts.table.column(name)).find(|column| column.btree).map(|column| column.name.clone());
        let indexes = context.relations.indexes_of(facts.table.oid).iter();
        let primary = || indexes.clone().find(|index| index.primary).and_then(|index| index.leading_columns().next().map(str::to_owned));
        let first = || facts.table.columns.iter().find(|column| column.btree && column.not_null).map(|column| column.name.clone());
        lists.extend(column.or_else(primary).or_else(first).map(|name| vec![CandidateKey::column(name)]));
    }
    lists
}
