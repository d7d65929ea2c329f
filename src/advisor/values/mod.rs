//! What to put in place of a statement's parameters, so that the planner sees what it would see in life.
//!
//! Best first: values captured with the statement; values that the statistics of the column compared with make likely,
//! common and rare; a constant of the type. Deterministic: the same snapshot gives the same values. Never asks a server.

mod bind;
mod captured;
mod constant;
mod context;
mod distribution;
mod draw;
mod element;
mod pattern;

pub use bind::{bind, placeholders};
pub(crate) use context::{Hint, hints};

use super::query::Query;
use crate::catalog::Snapshot;
use draw::{Draw, Drawer};

/// 5: plans are asked for once a set, and a sixth seldom differs from the others.
pub(super) const SETS_MAX: usize = 5;

/// Values for all parameters of a statement, and how often they are thought to occur.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueSet {
    /// Its share of the calls; the weights of a statement's sets add up to 1.
    pub weight: f64,
    /// A whole SQL expression for each parameter, `literals[0]` for `$1`: `'42'::bigint`, `NULL::text`.
    pub literals: Vec<String>,
}

/// Returns the value sets a statement is priced with, 1 to 5, all different.
///
/// `types` are the parameters' types in the order of their numbers, as `format_type` prints them. The first set has common
/// values, the second rare ones, the third what lies between.
pub fn sets(snapshot: &Snapshot, query: &Query, types: &[String]) -> Vec<ValueSet> {
    let mut drawer = Drawer::new(snapshot, query);
    let captured = captured::most_frequent(&query.captured);
    if !captured.is_empty() {
        return merged(captured.into_iter().map(|(weight, values)| ValueSet { weight, literals: drawer.captured(values, types) }));
    }
    let draws: Vec<Vec<Draw>> = (1..).zip(types).map(|(number, type_name)| drawer.draws(number, type_name)).collect();
    let count = draws.iter().map(Vec::len).max().unwrap_or(1).clamp(1, SETS_MAX);
    // Parameters with values for all sets say how often each occurs; where several do, their mean does.
    let weight = |set: usize| -> f64 { draws.iter().filter(|draws| draws.len() == count).map(|draws| draws[set].weight).sum() };
    let total: f64 = (0..count).map(weight).sum();
    merged((0..count).map(|set| ValueSet {
        weight: if total > 0.0 { weight(set) / total } else { 1.0 / count as f64 },
        literals: draws.iter().map(|draws| draws[set % draws.len()].literal.clone()).collect(),
    }))
}

/// Makes one set of equal ones.
fn merged(sets: impl Iterator<Item = ValueSet>) -> Vec<ValueSet> {
    let mut merged: Vec<ValueSet> = Vec::new();
    for set in sets {
        match merged.iter_mut().find(|known| known.literals == set.literals) {
            Some(known) => known.weight += set.weight,
            None => merged.push(set),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
