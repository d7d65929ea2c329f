//! What the advisor answers.

use serde::{Deserialize, Serialize};

use super::Candidate;
use crate::catalog::QualifiedName;
use crate::diff::Diff;
use crate::units::Bytes;

/// Limits the advice has to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// The most bytes all new indexes together may take; `None` for no limit.
    pub size_max: Option<Bytes>,
    /// The most indexes a table may have afterwards, existing ones counted.
    pub indexes_per_table_max: Option<usize>,
    /// The most that writes may cost more, as a share of the workload's cost, 0 to 1; `None` for no limit.
    pub write_overhead_max: Option<f64>,
    /// The most key columns of one index.
    pub width_max: usize,
    /// The least gain of a proposal, as a share of the cost of the workload or of one statement of weight, 0 to 1.
    pub gain_min: f64,
}

/// Proposals, what was refused, and how much of the workload both rest on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// How much of the workload could be used.
    pub coverage: Coverage,
    /// What to do, most gain first.
    pub proposals: Vec<Proposal>,
    /// Indexes that were considered for a listed statement and not proposed, and why.
    pub refused: Vec<Refused>,
    /// What priced the plans: `statistics twin on PostgreSQL 15.18`, `arithmetic on pg_stats`.
    pub model: String,
    /// What the model could not take into account, as sentences.
    pub caveats: Vec<String>,
}

/// How much of the recorded workload the advice rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Statements recorded.
    pub statements: usize,
    /// Statements that could be used.
    pub usable: usize,
    /// The usable statements' share of all execution time, 0 to 1; `None` when no time was recorded.
    pub exec_time_share: Option<f64>,
    /// Statements that could not be used, most time first.
    pub skipped: Vec<Skipped>,
}

/// A statement that could not be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its query id, when visible.
    pub query_id: Option<String>,
    /// Its text, when visible.
    pub query: Option<String>,
    /// Why it could not be used.
    pub reason: String,
    /// Its share of all execution time, 0 to 1.
    pub exec_time_share: f64,
}

/// What a proposal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Builds a new index.
    Create,
    /// Removes an existing one.
    Drop,
    /// Rebuilds an existing one.
    Reindex,
}

/// How sure the advisor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Statistics are missing or old, or a guess decided.
    Low,
    /// An estimate from fresh statistics.
    Medium,
    /// The planner's own answer on fresh statistics.
    High,
}

/// An index worth having.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// What to do.
    pub action: Action,
    /// The index's name: says table and columns, at most 63 bytes, free in its schema.
    pub name: String,
    /// The index by definition.
    pub index: Candidate,
    /// Its expected size: of a new or rebuilt index; of a dropped one, the bytes freed.
    pub size_bytes: Bytes,
    /// The whole workload's cost before and after, the other proposals for new indexes present; the sum of planner cost times
    /// calls, each statement's calls weighed by how its measured time compares with its cost.
    pub workload_cost: Diff<f64>,
    /// Statements whose cost changes, most gained first.
    pub statements: Vec<StatementEffect>,
    /// The whole workload's execution time over the recorded period in milliseconds: measured before, expected after by
    /// each statement's own ratio of time to cost; `None` when no time was recorded.
    pub expected_ms: Option<Diff<f64>>,
    /// How long the build is expected to take, in milliseconds; a rough rate per row and byte. `None` for a drop.
    pub build_ms: Option<f64>,
    /// What writes pay for it; for a drop, the entries they are spared, with a negative cost.
    pub write_cost: WriteCost,
    /// Updates recorded since the reset that would stop being HOT; 0 when no update sets one of its columns.
    pub hot_loss: u64,
    /// Existing indexes that it makes redundant, by name.
    pub supersedes: Vec<String>,
    /// The index to drop or rebuild; `None` for a new one.
    pub existing: Option<crate::catalog::Oid>,
    /// Statistics to create with it, lest the planner lose what it knew from an expression index that goes.
    pub statistics: Vec<NewStatistics>,
    /// How sure the advisor is.
    pub confidence: Confidence,
    /// What speaks against it, as sentences.
    pub risks: Vec<String>,
}

/// Extended statistics worth creating.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStatistics {
    /// The name, free in its schema; the schema is the table's.
    pub name: String,
    /// What to gather them on, as `CREATE STATISTICS … ON` takes it: `(lower(email))`, `a, b`.
    pub on: String,
    /// The table.
    pub table: QualifiedName,
}

/// What a proposal does to one statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementEffect {
    /// Its query id.
    pub query_id: String,
    /// Its text.
    pub query: String,
    /// Its calls since the reset.
    pub calls: u64,
    /// Planner cost of one call.
    pub cost: Diff<f64>,
    /// Mean execution time of one call in milliseconds: measured before, expected after by the ratio of costs; `None` when
    /// none was recorded.
    pub ms: Option<Diff<f64>>,
}

/// What the table's writes pay for an index, over the period the statistics cover.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WriteCost {
    /// Index entries written because rows were inserted.
    pub inserts: u64,
    /// Index entries written because of updates that were not HOT anyway.
    pub updates: u64,
    /// Entries written into **all** indexes of the table by updates that would stop being HOT.
    pub hot_updates_lost: u64,
    /// All of them, priced with planner cost constants.
    pub cost: f64,
}

/// An index that was considered and not proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The index, as `table (columns)`.
    pub candidate: String,
    /// Why not.
    pub reason: String,
    /// The existing index that is kept, where its going was considered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<QualifiedName>,
}

impl Refused {
    /// Refuses a new index.
    pub fn new(candidate: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { candidate: candidate.into(), reason: reason.into(), keeps: None }
    }
}
