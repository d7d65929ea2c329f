//! In which order statements are told.

use serde::{Deserialize, Serialize};

use super::document::StatementProfile;
use super::waits::CPU;

/// By what statements are put in order, most first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Execution time of all calls.
    #[default]
    Total,
    /// Execution time of a call.
    Mean,
    /// Calls.
    Calls,
    /// Blocks read and written, shared and temporary; by their time where the server takes it.
    Io,
    /// Temporary blocks.
    Temp,
    /// Write-ahead log.
    Wal,
    /// Average active sessions that wait.
    Waits,
}

impl Sort {
    /// Returns its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Mean => "mean",
            Self::Calls => "calls",
            Self::Io => "io",
            Self::Temp => "temp",
            Self::Wal => "wal",
            Self::Waits => "waits",
        }
    }

    /// Puts statements in order; those that are even, by time, and then by what was seen of them.
    pub fn apply(self, statements: &mut [StatementProfile]) {
        let timed = statements.iter().any(|statement| statement.counters.io_ms_total > 0.0);
        let active = |statement: &StatementProfile| statement.active.sessions;
        let key = |statement: &StatementProfile| self.weight(statement, timed);
        statements.sort_by(|one, other| {
            let time = (other.counters.exec_ms_total, one.counters.exec_ms_total);
            key(other)
                .total_cmp(&key(one))
                .then(time.0.total_cmp(&time.1))
                .then(active(other).total_cmp(&active(one)))
                .then_with(|| one.query_id.cmp(&other.query_id))
        });
    }

    fn weight(self, statement: &StatementProfile, timed: bool) -> f64 {
        let counters = &statement.counters;
        let temp = counters.temp_blocks_read.saturating_add(counters.temp_blocks_written) as f64;
        match self {
            Self::Total => counters.exec_ms_total,
            Self::Mean => counters.exec_ms_mean().unwrap_or(0.0),
            Self::Calls => counters.calls as f64,
            Self::Io if timed => counters.io_ms_total,
            Self::Io => counters.shared_blocks_read.saturating_add(counters.shared_blocks_written) as f64 + temp,
            Self::Temp => temp,
            Self::Wal => counters.wal_bytes as f64,
            Self::Waits => statement.waits.iter().filter(|wait| wait.class != CPU).map(|wait| wait.active.sessions).sum(),
        }
    }
}
