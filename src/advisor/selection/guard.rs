//! What makes a set of indexes admissible, and a gain worth an index.

use std::collections::BTreeMap;

use super::Task;
use crate::advisor::cost::CostModel;
use crate::advisor::prices::Prices;
use crate::catalog::Oid;
use crate::units::Bytes;

/// A statement may get this much dearer than it is without new indexes, and no more.
const WORSE_MAX: f64 = 1.10;
/// The share of the workload's cost from which a statement's own gain counts (rule of thumb).
const HEAVY_SHARE: f64 = 0.01;
/// In workloads of many statements, the share of an average statement's cost from which it does: where all are alike, each
/// is worth looking at.
const HEAVY_OF_AVERAGE: f64 = 0.5;
/// Sets whose costs differ by less than this share are equal, and the smaller is taken: planner cost is no better guide.
const NEAR: f64 = 0.01;
/// In workloads of many statements, the share of an average statement's cost up to which they are: no statement's gain may
/// vanish in the rounding of the others.
const NEAR_OF_AVERAGE: f64 = 0.1;
/// The share of the least gain asked for up to which they are: who asks for every gain gets every gain.
const NEAR_OF_GAIN: f64 = 0.2;
/// The share of the workload's cost below which a gain is rounding.
const ROUNDING: f64 = 1e-9;

/// What a gain has to reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    gain_min: f64,
    /// The workload's weighted cost without candidates.
    pub(super) workload: f64,
    /// Weighted cost from which a statement's own gain counts.
    heavy: f64,
    /// The share by which a smaller set may be dearer.
    pub(super) near: f64,
}

impl Guard {
    pub(super) fn new(task: &Task<'_>, workload: f64) -> Self {
        let statements = task.planned.len().max(1) as f64;
        let heavy = HEAVY_SHARE.min(HEAVY_OF_AVERAGE / statements) * workload;
        Self {
            gain_min: task.budget.gain_min,
            workload,
            heavy,
            near: NEAR.min(NEAR_OF_AVERAGE / statements).min(NEAR_OF_GAIN * task.budget.gain_min),
        }
    }

    /// Returns whether a statement may cost this much.
    pub(super) fn allows(self, cost: f64, bare: f64) -> bool {
        cost <= self.most(bare)
    }

    /// Returns what a statement of this cost may cost.
    pub(super) fn most(self, bare: f64) -> f64 {
        bare * WORSE_MAX
    }

    /// Returns whether one statement's own gain is worth an index.
    pub(super) fn helps(self, bare: f64, weight: f64, gain: f64) -> bool {
        bare * weight >= self.heavy && gain > 0.0 && gain >= self.gain_min * bare
    }

    /// Returns whether a weighted gain after write cost is worth an index.
    pub(super) fn worthwhile(self, gain: f64, helps_one: bool) -> bool {
        gain > ROUNDING * self.workload && (helps_one || gain >= self.gain_min * self.workload)
    }
}

/// Returns whether no table gets more indexes than the budget admits.
pub(super) fn uncrowded<M: CostModel + ?Sized>(prices: &Prices<'_, M>, set: &[usize], task: &Task<'_>) -> bool {
    let Some(most) = task.budget.indexes_per_table_max else { return true };
    let mut counts: BTreeMap<Oid, usize> = BTreeMap::new();
    set.iter().for_each(|candidate| *counts.entry(prices.candidates[*candidate].table).or_default() += 1);
    counts.iter().all(|(table, count)| task.existing.get(table).copied().unwrap_or_default() + count <= most)
}

/// Returns the write cost that the budget admits for all new indexes together.
pub(super) fn writes_max(task: &Task<'_>, workload: f64) -> f64 {
    task.budget.write_overhead_max.map_or(f64::INFINITY, |share| share * workload)
}

/// Returns the bytes that the budget admits for all new indexes together.
pub(super) fn size_max(task: &Task<'_>) -> u64 {
    task.budget.size_max.map_or(u64::MAX, |Bytes(most)| most)
}
