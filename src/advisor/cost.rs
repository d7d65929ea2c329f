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
    ///
    /// Called again with more candidates when a search thinks of some. Returns those that cannot be built, with the reason; a
    /// configuration must not hold them.
    fn prepare(&mut self, candidates: &[Arc<Candidate>]) -> Vec<(Arc<Candidate>, NotPlannable)> {
        let _ = candidates;
        Vec::new()
    }

    /// Learns that only these candidates will be asked about from now on, so that a model can forget what it built for the others.
    fn retain(&mut self, candidates: &[Arc<Candidate>]) {
        let _ = candidates;
    }

    /// Answers many questions, in their order; a model with several workers answers them at the same time.
    fn plan_all(&mut self, asks: &[Ask<'_>]) -> Vec<Result<Plan, NotPlannable>> {
        asks.iter().map(|ask| self.plan(ask.query, &ask.configuration)).collect()
    }

    /// Returns what one execution of the statement costs under the configuration, and the indexes it would use.
    fn plan(&mut self, query: &Query, configuration: &Configuration) -> Result<Plan, NotPlannable>;

    /// Returns the server's own plan of a statement whose text could not be read, as `EXPLAIN (VERBOSE, FORMAT JSON)` prints it.
    ///
    /// Best without indexes and with parameters left as they are; `None` where there is no planner to ask, or it refuses too.
    fn plan_of_unread(&mut self, query: &Query) -> Option<serde_json::Value> {
        let _ = query;
        None
    }

    /// Returns the size the candidate would have.
    fn size(&mut self, candidate: &Candidate) -> Bytes;

    /// Returns how far advice from this model can be trusted where statistics are fresh.
    fn confidence(&self) -> Confidence {
        Confidence::Medium
    }

    /// Returns whether the time given for the search is over; the search then ends with the best it has.
    ///
    /// The clock is the model's, since the search itself must not depend on one.
    fn out_of_time(&mut self) -> bool {
        false
    }

    /// Says what prices the plans: `statistics twin on PostgreSQL 15.18`.
    fn name(&self) -> String {
        "arithmetic on pg_stats".to_owned()
    }

    /// Returns what this model could not take into account, as sentences.
    fn caveats(&self) -> Vec<String> {
        Vec::new()
    }
}

/// One question of many.
#[derive(Debug, Clone)]
pub struct Ask<'q> {
    /// The statement.
    pub query: &'q Query,
    /// The indexes that exist for the planner.
    pub configuration: Configuration,
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
    /// What may make the cost differ from the server's, as a fragment: `the value lies beyond the histogram`.
    pub approximate: Option<String>,
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
