//! What a statement's calls did, all roles together.

use crate::catalog::Statement;

/// Counters of `pg_stat_statements`, added up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    /// Executions.
    pub(crate) calls: u64,
    /// Rows returned or changed.
    pub(crate) rows: u64,
    /// Execution time of all calls, in milliseconds.
    pub(crate) exec_ms: f64,
    /// The longest execution, in milliseconds.
    pub(crate) exec_ms_max: f64,
    /// Shared blocks found in shared buffers.
    pub(crate) blocks_hit: u64,
    /// Shared blocks read from outside.
    pub(crate) blocks_read: u64,
    /// Temporary blocks read.
    pub(crate) temp_blocks_read: u64,
    /// Temporary blocks written.
    pub(crate) temp_blocks_written: u64,
}

impl Totals {
    /// Adds one role's counters.
    pub(crate) fn add(&mut self, statement: &Statement) {
        self.calls += statement.calls;
        self.rows += statement.rows;
        self.exec_ms += statement.exec_ms_total;
        self.exec_ms_max = self.exec_ms_max.max(statement.exec_ms_max);
        self.blocks_hit += statement.shared_blocks_hit;
        self.blocks_read += statement.shared_blocks_read;
        self.temp_blocks_read += statement.temp_blocks_read;
        self.temp_blocks_written += statement.temp_blocks_written;
    }

    /// Returns a counter's mean over the calls.
    pub(crate) fn per_call(&self, count: u64) -> f64 {
        count as f64 / self.calls.max(1) as f64
    }

    /// Returns the mean execution time, in milliseconds.
    pub(crate) fn mean_ms(&self) -> f64 {
        self.exec_ms / self.calls.max(1) as f64
    }

    /// Returns the shared blocks a call touches, cached or not.
    pub(crate) fn blocks_per_call(&self) -> f64 {
        self.per_call(self.blocks_hit + self.blocks_read)
    }

    /// Returns the rows a call returns or changes.
    pub(crate) fn rows_per_call(&self) -> f64 {
        self.per_call(self.rows)
    }

    /// Returns all temporary blocks.
    pub(crate) fn temp_blocks(&self) -> u64 {
        self.temp_blocks_read + self.temp_blocks_written
    }
}
