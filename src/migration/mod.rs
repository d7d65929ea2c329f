//! WRITE: proposals turned into SQL files a DBA reviews.
//!
//! [`plan::write`] makes [`Migration`]s, [`Layout`] names their files for the tool that will run them. The text of every
//! statement comes from [`ddl`]. Pure: never reads a clock, a file or a server.

pub mod ddl;
pub mod evidence;
pub mod file;
pub mod history;
pub mod layout;
pub mod plan;
pub mod statements;

use serde::{Deserialize, Serialize};

pub use layout::Layout;

/// A migration and its way back, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// A UTC timestamp as a number: `20261123094500`.
    pub version: i64,
    /// What it does, as lower-case words joined by `_`.
    pub slug: String,
    /// The bare statement, without comments and checks.
    pub statement: String,
    /// The bare statement that undoes it; empty when there is nothing to undo.
    pub rollback: String,
    /// The whole up file.
    pub up: String,
    /// The whole down file.
    pub down: String,
    /// The last part of `up`: what has to hold afterwards, as a statement that raises when it does not. Tools that run
    /// a concurrent build in a file of its own get it as a second file. Empty when there is nothing to check.
    pub check: String,
    /// Whether the file may run inside a transaction (no `CONCURRENTLY`).
    pub transactional: bool,
}
