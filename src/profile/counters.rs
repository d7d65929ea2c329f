//! What a server's views had counted at one moment.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::Oid;

/// Which row of `pg_stat_statements` an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatementKey {
    /// The database.
    pub database: Oid,
    /// The role that ran it.
    pub user: Oid,
    /// `queryid`; `None` for all statements of roles this one may not look at.
    pub query_id: Option<i64>,
    /// Whether a client sent it, and not a function.
    pub top_level: bool,
}

/// What is counted of a statement; every field only grows while the entry lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Executions that ended.
    pub calls: u64,
    /// Rows returned or affected.
    pub rows: u64,
    /// Execution time, in milliseconds.
    pub exec_ms_total: f64,
    /// Shared blocks found in shared buffers.
    pub shared_blocks_hit: u64,
    /// Shared blocks read from outside.
    pub shared_blocks_read: u64,
    /// Shared blocks dirtied.
    pub shared_blocks_dirtied: u64,
    /// Shared blocks the statement itself had to write.
    pub shared_blocks_written: u64,
    /// Temporary blocks read.
    pub temp_blocks_read: u64,
    /// Temporary blocks written.
    pub temp_blocks_written: u64,
    /// Write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// Time in reads and writes of blocks, in milliseconds; 0 without `track_io_timing`.
    pub io_ms_total: f64,
}

/// One entry of `pg_stat_statements`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Entry {
    /// What it has counted.
    pub counters: Counters,
    /// When its counting began (17 and later).
    pub since: Option<Timestamp>,
}

/// `pg_stat_statements` at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statements {
    /// Its entries; those without a visible number are added up.
    pub entries: HashMap<StatementKey, Entry>,
    /// How often entries were thrown away for lack of room; `None` before 14.
    pub evicted: Option<u64>,
    /// When all counters were last reset.
    pub reset_at: Option<Timestamp>,
}

impl Statements {
    /// Takes a row in.
    pub fn add(&mut self, key: StatementKey, entry: Entry) {
        let known = self.entries.entry(key).or_default();
        known.counters = known.counters.plus(&entry.counters);
        known.since = entry.since;
    }
}

impl Counters {
    /// Returns what was counted since `earlier`; `None` when any counter is lower than it was, so that counting began anew.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        // Sums of floating point numbers only grow, too: the server adds each call's time to the sum it keeps.
        let time = |now: f64, then: f64| (now >= then).then_some(now - then);
        Some(Self {
            calls: self.calls.checked_sub(earlier.calls)?,
            rows: self.rows.checked_sub(earlier.rows)?,
            exec_ms_total: time(self.exec_ms_total, earlier.exec_ms_total)?,
            shared_blocks_hit: self.shared_blocks_hit.checked_sub(earlier.shared_blocks_hit)?,
            shared_blocks_read: self.shared_blocks_read.checked_sub(earlier.shared_blocks_read)?,
            shared_blocks_dirtied: self.shared_blocks_dirtied.checked_sub(earlier.shared_blocks_dirtied)?,
            shared_blocks_written: self.shared_blocks_written.checked_sub(earlier.shared_blocks_written)?,
            temp_blocks_read: self.temp_blocks_read.checked_sub(earlier.temp_blocks_read)?,
            temp_blocks_written: self.temp_blocks_written.checked_sub(earlier.temp_blocks_written)?,
            wal_bytes: self.wal_bytes.checked_sub(earlier.wal_bytes)?,
            io_ms_total: time(self.io_ms_total, earlier.io_ms_total)?,
        })
    }

    /// Returns the sum of both.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            rows: self.rows.saturating_add(other.rows),
            exec_ms_total: self.exec_ms_total + other.exec_ms_total,
            shared_blocks_hit: self.shared_blocks_hit.saturating_add(other.shared_blocks_hit),
            shared_blocks_read: self.shared_blocks_read.saturating_add(other.shared_blocks_read),
            shared_blocks_dirtied: self.shared_blocks_dirtied.saturating_add(other.shared_blocks_dirtied),
            shared_blocks_written: self.shared_blocks_written.saturating_add(other.shared_blocks_written),
            temp_blocks_read: self.temp_blocks_read.saturating_add(other.temp_blocks_read),
            temp_blocks_written: self.temp_blocks_written.saturating_add(other.temp_blocks_written),
            wal_bytes: self.wal_bytes.saturating_add(other.wal_bytes),
            io_ms_total: self.io_ms_total + other.io_ms_total,
        }
    }

    /// Returns the execution time of a call, in milliseconds; `None` without a call.
    pub fn exec_ms_mean(&self) -> Option<f64> {
        (self.calls > 0).then(|| self.exec_ms_total / self.calls as f64)
    }

    /// Returns the rows of a call; `None` without a call.
    pub fn rows_mean(&self) -> Option<f64> {
        (self.calls > 0).then(|| self.rows as f64 / self.calls as f64)
    }
}

/// `pg_stat_database` of one database at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Database {
    /// Transactions committed.
    pub commits: u64,
    /// Transactions rolled back.
    pub rollbacks: u64,
    /// Blocks found in shared buffers.
    pub blocks_hit: u64,
    /// Blocks read from outside.
    pub blocks_read: u64,
    /// Temporary files made.
    pub temp_files: u64,
    /// Bytes written to them.
    pub temp_bytes: u64,
    /// Deadlocks.
    pub deadlocks: u64,
    /// When its counters were last reset.
    pub reset_at: Option<Timestamp>,
}
