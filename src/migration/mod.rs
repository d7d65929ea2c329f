//! WRITE: proposals turned into SQL files a DBA reviews.

use serde::{Deserialize, Serialize};

/// A migration and its way back, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// A UTC timestamp as a number: `20261123094500`.
    pub version: i64,
    /// What it does, as lower-case words joined by `_`.
    pub slug: String,
    /// The bare statement, without comments and checks.
    pub statement: String,
    /// The bare statement that undoes it.
    pub rollback: String,
    /// The whole up file.
    pub up: String,
    /// The whole down file.
    pub down: String,
    /// Whether the file may run inside a transaction (no `CONCURRENTLY`).
    pub transactional: bool,
}
