//! The seam behind which plans are priced.
//!
//! Two implementors: [`Estimate`](super::Estimate), arithmetic on the snapshot's statistics, and
//! [`PriceTable`](super::PriceTable), given prices for tests. A planner on a statistics twin fits here too: it learns of
//! every candidate before the first question ([`CostModel::prepare`]) and then switches configurations.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::query::Query;
use super::{Candidate, Confidence};
use crate::catalog::Oid;
use crate::units::Bytes;

/// Prices statements under configurations of indexes.
///
/// A price is in the planner's cost units and must not depend on what was asked before.
pub trait CostModel {
    /// Learns of candidates that may be asked about, so that a model that has to build something can do it at once.
    fn prepare(&mut self, candidates: &[Arc<Candidate>]) {
        let _ = candidates;
    }

    /// Returns what one execution of the statement costs under the configuration, and the indexes it would use.
    fn plan(&mut self, query: &Query, configuration: &Configuration) -> Result<Plan, NotPlannable>;

    /// Returns the size the candidate would have.
    fn size(&mut self, candidate: &Candidate) -> Bytes;

    /// Returns how far advice from this model can be trusted where statistics are fresh.
    fn confidence(&self) -> Confidence {
        Confidence::Medium
    }
}

/// The indexes that exist for the planner: those of the snapshot, plus some, minus some.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// Candidates taken as built, in order.
    pub created: BTreeSet<Arc<Candidate>>,
    /// Existing indexes hidden from the planner, by oid.
    pub hidden: BTreeSet<Oid>,
}

/// The planner's answer for one statement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The cost of one execution, in planner units.
    pub cost: f64,
    /// The indexes used, each once.
    pub used: Vec<UsedIndex>,
}

/// An index a plan uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsedIndex {
    /// One of the snapshot.
    Existing(Oid),
    /// One of the configuration.
    Created(Arc<Candidate>),
}

/// Why a statement has no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPlannable {
    /// The reason, as a fragment: `an operator this server does not know`.
    pub reason: String,
}

impl fmt::Display for NotPlannable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not plannable: {}", self.reason)
    }
}

impl std::error::Error for NotPlannable {}

impl Configuration {
    /// Returns the snapshot's own indexes and these candidates.
    pub fn with(created: impl IntoIterator<Item = Arc<Candidate>>) -> Self {
        Self { created: created.into_iter().collect(), hidden: BTreeSet::new() }
    }
}

impl Plan {
    /// Returns whether the plan uses the candidate.
    pub fn uses(&self, candidate: &Candidate) -> bool {
        self.used.iter().any(|used| matches!(used, UsedIndex::Created(created) if **created == *candidate))
    }
}
