//! Two measurements of one thing, and what may be said of their difference.

use serde::{Deserialize, Serialize};

use crate::diff::Diff;

/// How the two sides were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// Each call on both sides, back to back.
    Duet,
    /// Blocks in the order A B B A.
    Abba,
    /// First all of one side, then all of the other: indicative only.
    Sequential,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better: latency, blocks, errors.
    Lower,
    /// More is better: throughput.
    Higher,
}

/// What may be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// After is better beyond noise and margin.
    Better,
    /// After is worse beyond noise and margin.
    Worse,
    /// Any difference lies within the margin.
    NoDifference,
    /// Too few rounds or too much noise to tell.
    Inconclusive,
}

/// One compared quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The statement or step; `total` for all together.
    pub label: String,
    /// `p50`, `p95`, `p99`, `mean`, `throughput`, `errors`.
    pub metric: String,
    /// `us`, `calls/s`, `share`.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// The value before; `None` without enough samples.
    pub before: Option<f64>,
    /// The value after; `None` without enough samples.
    pub after: Option<f64>,
    /// after / before.
    pub ratio: Option<f64>,
    /// The 95 % confidence interval of the ratio, low and high.
    pub interval: Option<[f64; 2]>,
    /// The smallest relative difference these data could have shown, 0 to 1.
    pub mde: Option<f64>,
    /// What may be said.
    pub verdict: Verdict,
}

/// Exact evidence for one statement: counted by the server, next to noiseless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exact {
    /// The statement.
    pub label: String,
    /// Shared blocks touched a call (hit and read together).
    pub blocks_per_call: Diff<Option<f64>>,
    /// Rows returned or affected a call.
    pub rows_per_call: Diff<Option<f64>>,
    /// Whether the plan's shape or its indexes differ.
    pub plan_changed: Option<bool>,
    /// The indexes its plan used.
    pub indexes: Diff<Vec<String>>,
}

/// How noise was measured before the change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Whether the same system was compared with itself first.
    pub done: bool,
    /// What followed from it, or why it was not done.
    pub note: String,
}

/// Everything that was compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// 1.
    pub schema_version: u32,
    /// How the two sides were measured.
    pub design: Design,
    /// How many times each side was measured.
    pub rounds: u32,
    /// How noise was measured.
    pub calibration: Calibration,
    /// Compared quantities, statement by statement, `total` first.
    pub metrics: Vec<Metric>,
    /// Exact evidence, statement by statement.
    pub exact: Vec<Exact>,
    /// The verdict over all.
    pub verdict: Verdict,
    /// What limits the comparison, as sentences.
    pub caveats: Vec<String>,
}
