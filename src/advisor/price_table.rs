//! A cost model that answers from a table of given prices: the test double.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cost::{Configuration, CostModel, NotPlannable, Plan, UsedIndex};
use super::query::Query;
use super::{Candidate, candidate};
use crate::units::Bytes;

/// Prices given by hand, by statement text and index columns.
#[derive(Debug, Clone, Default)]
pub struct PriceTable {
    /// Cost of a statement without any candidate.
    pub bare: BTreeMap<String, f64>,
    /// Cost of a statement with one candidate, keyed by the candidate's label: `prospects (user_id, status)`.
    pub with: BTreeMap<(String, String), f64>,
    /// Sizes by label; 1 MiB where not given.
    pub sizes: BTreeMap<String, Bytes>,
    /// How many plans were asked for.
    pub asked: usize,
}

impl PriceTable {
    /// Gives a statement's cost without candidates.
    pub fn bare(mut self, text: &str, cost: f64) -> Self {
        self.bare.insert(text.to_owned(), cost);
        self
    }

    /// Gives a statement's cost with a candidate.
    pub fn with(mut self, text: &str, label: &str, cost: f64) -> Self {
        self.with.insert((text.to_owned(), label.to_owned()), cost);
        self
    }

    /// Gives a candidate's size.
    pub fn sized(mut self, label: &str, size: Bytes) -> Self {
        self.sizes.insert(label.to_owned(), size);
        self
    }
}

impl CostModel for PriceTable {
    /// Answers the cheapest of the prices that apply; a statement without a bare price is not plannable.
    fn plan(&mut self, query: &Query, configuration: &Configuration) -> Result<Plan, NotPlannable> {
        self.asked += 1;
        let bare = self.bare.get(&query.text).ok_or_else(|| NotPlannable { reason: "no price given".to_owned() })?;
        let priced = |candidate: &Arc<Candidate>| {
            self.with.get(&(query.text.clone(), candidate::label(candidate))).map(|cost| (*cost, Arc::clone(candidate)))
        };
        let best = configuration.created.iter().filter_map(priced).min_by(|a, b| a.0.total_cmp(&b.0));
        Ok(match best {
            Some((cost, candidate)) if cost < *bare => Plan { cost, used: vec![UsedIndex::Created(candidate)], approximate: None },
            _ => Plan { cost: *bare, used: Vec::new(), approximate: None },
        })
    }

    fn size(&mut self, candidate: &Candidate) -> Bytes {
        self.sizes.get(&candidate::label(candidate)).copied().unwrap_or(Bytes(1 << 20))
    }
}
