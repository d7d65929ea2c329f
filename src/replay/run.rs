//! The saved result of a run: `run.json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::replay::fidelity::Fidelity;
use crate::stats::Percentiles;

/// What a load run measured; the JSON document other programs read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// 1.
    pub schema_version: u32,
    /// `replay` or `http`.
    pub kind: String,
    /// The workload's name.
    pub name: String,
    /// `before`, `after` or none.
    pub side: Option<String>,
    /// Versions and settings of the run, never a password: `pgload`, `server`, `database`, `clients`, `writes`, `workload` …
    pub about: BTreeMap<String, serde_json::Value>,
    /// When the measured part began.
    pub started_at: Timestamp,
    /// The seed of statements, parameters and arrivals.
    pub seed: u64,
    /// How calls were spaced: `{"closed": {"clients": 8}}` or `{"open": {"rate": 200.0, "spacing": "uniform"}}`.
    pub arrival: serde_json::Value,
    /// The measured part's length in milliseconds.
    pub duration_ms: f64,
    /// Whether it ended before its time (Ctrl-C, lost server).
    pub partial: bool,
    /// Whether the load generator itself was fast enough.
    pub health: Health,
    /// All statements together.
    pub totals: Totals,
    /// One point a second.
    pub series: Vec<SeriesPoint>,
    /// Results by statement name, in workload order.
    pub labels: BTreeMap<String, LabelResult>,
    /// Facts of the server during the run: settings, cache hits, plans.
    pub server: BTreeMap<String, serde_json::Value>,
    /// Of a workload derived from recorded statements: how far the calls resemble those recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// Thresholds and whether they were met.
    pub thresholds: Vec<ThresholdResult>,
    /// What the server's own views showed meanwhile, in the form of `pgload profile --format json`; `None` when nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<serde_json::Value>,
    /// What limits the result, as sentences.
    pub caveats: Vec<String>,
}

/// Whether the load generator kept up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// False when latencies are not to be trusted.
    pub valid: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

/// All statements together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Calls finished, with and without error.
    pub count: u64,
    /// Calls that ended in an error.
    pub errors: u64,
    /// How often transactions were begun again after a serialization failure or a deadlock.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Calls that were due and never started; they count as infinitely slow in `response_us`.
    pub not_started: u64,
    /// Finished calls a second.
    pub throughput: f64,
    /// From the intended start (open loop) or the actual one (closed loop) to the end.
    pub response_us: Percentiles,
    /// From the actual start to the end.
    pub service_us: Percentiles,
    /// From the intended to the actual start.
    pub lag_us: Percentiles,
}

/// One second of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesPoint {
    /// Seconds since the measured part began, at this second's start.
    pub second: u64,
    /// Calls finished in it.
    pub count: u64,
    /// Of them with an error.
    pub errors: u64,
    /// Their median response time.
    pub p50_us: Option<u64>,
    /// Their 95th percentile.
    pub p95_us: Option<u64>,
    /// Their 99th percentile.
    #[serde(default)]
    pub p99_us: Option<u64>,
}

/// What one statement, or one transaction of several, did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelResult {
    /// Calls finished, with and without error.
    pub count: u64,
    /// Errors by SQLSTATE (or `connection`).
    pub errors: BTreeMap<String, u64>,
    /// A transaction: how often it was begun again after a serialization failure or a deadlock.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// A transaction: its statements that were not sent, because an earlier one failed; they are in no percentile.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// From the intended start (open loop) or the actual one (closed loop) to the end.
    pub response_us: Percentiles,
    /// From the actual start to the end.
    pub service_us: Percentiles,
    /// From the intended to the actual start.
    pub lag_us: Percentiles,
    /// Rows returned or affected, over all calls.
    pub rows: u64,
    /// Shared blocks, from pg_stat_statements; `None` when the server does not count them for us.
    pub blocks: Option<Blocks>,
    /// Its plan with typical parameters; `None` when it could not be explained.
    pub plan: Option<StatementPlan>,
    /// Its text.
    pub sql: String,
    /// One point a second, without those in which none of its calls ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<SeriesPoint>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Shared blocks of a statement over the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// Found in shared buffers.
    pub hit: u64,
    /// Read from outside.
    pub read: u64,
    /// Calls the server counted, the divisor of the two.
    pub calls: u64,
}

/// How the planner runs a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementPlan {
    /// Node types and relations from the top: `Limit > Index Scan prospects`.
    pub shape: String,
    /// Indexes it uses, sorted.
    pub indexes: Vec<String>,
    /// Tables it scans sequentially, sorted.
    pub sequential: Vec<String>,
}

/// One threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdResult {
    /// As the user wrote it: `p(95)<500`.
    pub expression: String,
    /// The observed value; `None` without enough samples.
    pub value: Option<f64>,
    /// Whether it was met.
    pub ok: bool,
}
