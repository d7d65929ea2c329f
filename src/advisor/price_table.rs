//! A cost model that answers from a table of given prices: the test double.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cost::{Configuration, CostModel, NotPlannable, Plan, UsedIndex};
use super::query::Query;
use super::{Candidate, Confidence, candidate};
use crate::catalog::Oid;
use crate::units::Bytes;

/// Prices given by hand, by statement text and index columns. As a planner does, it answers the cheapest plan there is.
#[derive(Debug, Clone, Default)]
pub struct PriceTable {
    /// Cost of a statement without any candidate.
    pub bare: BTreeMap<String, f64>,
    /// Plans of a statement with indexes, by its text.
    pub plans: BTreeMap<String, Vec<GivenPlan>>,
    /// Sizes by label; 1 MiB where not given.
    pub sizes: BTreeMap<String, Bytes>,
    /// Candidates that cannot be built, by label, with the reason.
    pub unbuildable: BTreeMap<String, String>,
    /// How many plans may be asked for before the time is over; `None` for any number.
    pub patience: Option<usize>,
    /// How far the prices can be trusted; medium where not given.
    pub trust: Option<Confidence>,
    /// How many plans were asked for.
    pub asked: usize,
}

/// A plan and the indexes it needs.
#[derive(Debug, Clone, Default)]
pub struct GivenPlan {
    /// Candidates by label: `prospects (user_id, status)`.
    pub candidates: BTreeSet<String>,
    /// Existing indexes.
    pub existing: BTreeSet<Oid>,
    /// What it costs.
    pub cost: f64,
}

impl PriceTable {
    /// Gives a statement's cost without candidates.
    pub fn bare(mut self, text: &str, cost: f64) -> Self {
        self.bare.insert(text.to_owned(), cost);
        self
    }

    /// Gives a statement's cost with a candidate.
    pub fn with(self, text: &str, label: &str, cost: f64) -> Self {
        self.with_set(text, &[label], cost)
    }

    /// Gives a statement's cost with several candidates together.
    pub fn with_set(self, text: &str, labels: &[&str], cost: f64) -> Self {
        let candidates = labels.iter().map(|label| (*label).to_owned()).collect();
        self.with_plan(text, GivenPlan { candidates, existing: BTreeSet::new(), cost })
    }

    /// Gives a statement's cost with an existing index; the bare cost is what it costs when that is hidden.
    pub fn with_existing(self, text: &str, oid: Oid, cost: f64) -> Self {
        self.with_plan(text, GivenPlan { candidates: BTreeSet::new(), existing: [oid].into(), cost })
    }

    /// Gives a candidate's size.
    pub fn sized(mut self, label: &str, size: Bytes) -> Self {
        self.sizes.insert(label.to_owned(), size);
        self
    }

    fn with_plan(mut self, text: &str, plan: GivenPlan) -> Self {
        self.plans.entry(text.to_owned()).or_default().push(plan);
        self
    }
}

impl CostModel for PriceTable {
    fn prepare(&mut self, candidates: &[Arc<Candidate>]) -> Vec<(Arc<Candidate>, NotPlannable)> {
        let refusal = |candidate: &Arc<Candidate>| {
            let reason = self.unbuildable.get(&candidate::label(candidate))?.clone();
            Some((Arc::clone(candidate), NotPlannable { reason }))
        };
        candidates.iter().filter_map(refusal).collect()
    }

    /// Answers the cheapest of the plans that apply; a statement without a bare price is not plannable.
    fn plan(&mut self, query: &Query, configuration: &Configuration) -> Result<Plan, NotPlannable> {
        self.asked += 1;
        let bare = *self.bare.get(&query.text).ok_or_else(|| NotPlannable { reason: "no price given".to_owned() })?;
        let created: BTreeMap<String, &Arc<Candidate>> =
            configuration.created.iter().map(|candidate| (candidate::label(candidate), candidate)).collect();
        let applies = |plan: &&GivenPlan| {
            plan.candidates.iter().all(|label| created.contains_key(label)) && plan.existing.is_disjoint(&configuration.hidden)
        };
        let best = self.plans.get(&query.text).into_iter().flatten().filter(applies).min_by(|a, b| a.cost.total_cmp(&b.cost));
        let Some(best) = best.filter(|best| best.cost < bare) else {
            return Ok(Plan { cost: bare, used: Vec::new(), approximate: None });
        };
        let used = best.candidates.iter().map(|label| UsedIndex::Created(Arc::clone(created[label])));
        let used = used.chain(best.existing.iter().map(|oid| UsedIndex::Existing(*oid))).collect();
        Ok(Plan { cost: best.cost, used, approximate: None })
    }

    fn size(&mut self, candidate: &Candidate) -> Bytes {
        self.sizes.get(&candidate::label(candidate)).copied().unwrap_or(Bytes(1 << 20))
    }

    fn confidence(&self) -> Confidence {
        self.trust.unwrap_or(Confidence::Medium)
    }

    fn out_of_time(&mut self) -> bool {
        self.patience.is_some_and(|patience| self.asked >= patience)
    }
}
