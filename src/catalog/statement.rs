//! Statements and what the server recorded of their executions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One row of `pg_stat_statements`, of the audited database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// `queryid`, as decimal text since JSON readers round 64-bit numbers; `None` when this role may not see it.
    pub query_id: Option<String>,
    /// The role that ran it.
    pub user: String,
    /// The normalised text (`$1` in place of constants); `None` when this role may not see it or the text file was lost.
    pub query: Option<String>,
    /// Whether a client sent it, and not a function.
    pub top_level: bool,
    /// Executions.
    pub calls: u64,
    /// Rows returned or affected, over all calls.
    pub rows: u64,
    /// Execution time of all calls, in milliseconds.
    pub exec_ms_total: f64,
    /// Mean execution time, in milliseconds.
    pub exec_ms_mean: f64,
    /// Shortest execution, in milliseconds.
    pub exec_ms_min: f64,
    /// Longest execution, in milliseconds.
    pub exec_ms_max: f64,
    /// Population standard deviation of the execution time, in milliseconds.
    pub exec_ms_deviation: f64,
    /// Shared blocks found in shared buffers.
    pub shared_blocks_hit: u64,
    /// Shared blocks read from outside.
    pub shared_blocks_read: u64,
    /// Temporary blocks read.
    pub temp_blocks_read: u64,
    /// Temporary blocks written.
    pub temp_blocks_written: u64,
    /// Write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// When counting began for this entry (17 and later).
    pub stats_since: Option<Timestamp>,
    /// Parameter values seen with it, one list a call in the order of `$1`, `$2`, …; empty when none were captured.
    #[serde(default)]
    pub parameters: Vec<Vec<Option<String>>>,
    /// The search path of the role in this database, when set; else the server's default.
    pub search_path: String,
}

/// Stands behind the first word of every statement that pgload itself sends, so that audits leave it out. (Before the first
/// word it would be lost: from 18 on the server records no comment there.)
pub const OWN_MARK: &str = "/* pgload */";

/// Began the SQL files of earlier versions, whose statements a server may still have on record.
const OWN_FILE: &str = "-- Question:";

impl Statement {
    /// Returns a statement that was given and not recorded: it has a text and a weight, and nothing was measured of it.
    pub fn given(query: impl Into<String>, calls: u64, user: impl Into<String>, search_path: impl Into<String>) -> Self {
        Self {
            query_id: None,
            user: user.into(),
            query: Some(query.into()),
            top_level: true,
            calls,
            rows: 0,
            exec_ms_total: 0.0,
            exec_ms_mean: 0.0,
            exec_ms_min: 0.0,
            exec_ms_max: 0.0,
            exec_ms_deviation: 0.0,
            shared_blocks_hit: 0,
            shared_blocks_read: 0,
            temp_blocks_read: 0,
            temp_blocks_written: 0,
            wal_bytes: 0,
            stats_since: None,
            parameters: Vec::new(),
            search_path: search_path.into(),
        }
    }

    /// Returns whether pgload itself sent it.
    pub fn is_own(&self) -> bool {
        self.query.as_deref().is_some_and(is_own_text)
    }
}

/// Returns whether a statement's text is one that pgload itself sends.
pub fn is_own_text(text: &str) -> bool {
    let text = text.trim_start();
    let behind = text.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim_start();
    text.starts_with(OWN_MARK) || text.starts_with(OWN_FILE) || behind.starts_with(OWN_MARK)
}

/// Where [`Statement`]s came from, or why there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StatementSource {
    /// The extension answered.
    Available {
        /// Entries thrown away for lack of room since the reset: above 0, the list is incomplete.
        evicted: u64,
        /// When the counters were last reset.
        reset_at: Option<Timestamp>,
    },
    /// The person gave them: `--workload FILE`.
    File {
        /// The files, as given.
        paths: Vec<String>,
    },
    /// There is nothing to read.
    Missing {
        /// Why: not installed, not preloaded, no right.
        reason: String,
        /// How to enable it, ready to run.
        remedy: String,
    },
}
