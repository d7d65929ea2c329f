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
    /// What interleaved rounds add; empty for runs measured one after the other.
    #[serde(flatten)]
    pub rounds: Rounds,
}

/// What interleaved rounds say of a metric beyond its interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rounds {
    /// Rounds (slices or blocks) that had enough calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// The p-value of the sign-flip permutation test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// The same, adjusted for how many metrics were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_adjusted: Option<f64>,
    /// The 95 % interval of the ratio by the studentised block bootstrap: a cross-check of `interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<[f64; 2]>,
    /// The ratio by ranks (Hodges–Lehmann), which single wild rounds cannot pull away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank_ratio: Option<f64>,
    /// The p-value of the Mann–Whitney test against the calibration's rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank_p: Option<f64>,
    /// About how many further rounds would settle an inconclusive metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed_more: Option<u32>,
    /// Whether it can be ruled out that after is worse by the margin or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_worse: Option<bool>,
}

/// Exact evidence for one statement: counted by the server, next to noiseless.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Bytes of write-ahead log a call, page images included.
    #[serde(default, skip_serializing_if = "not_counted")]
    pub wal_bytes_per_call: Diff<Option<f64>>,
    /// Records of write-ahead log a call; unlike bytes, checkpoints do not move them.
    #[serde(default, skip_serializing_if = "not_counted")]
    pub wal_records_per_call: Diff<Option<f64>>,
    /// Temporary blocks read and written a call.
    #[serde(default, skip_serializing_if = "not_counted")]
    pub temp_blocks_per_call: Diff<Option<f64>>,
}

fn not_counted(per_call: &Diff<Option<f64>>) -> bool {
    per_call.before.is_none() && per_call.after.is_none()
}

/// How noise was measured before the change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Whether the same system was compared with itself first.
    pub done: bool,
    /// What followed from it, or why it was not done.
    pub note: String,
    /// What the system showed against itself, metric by metric; their ratios are the bias that was taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
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
