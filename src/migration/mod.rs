//! WRITE: proposals turned into SQL files a DBA reviews.
//!
//! [`plan::write`] makes [`Migration`]s, [`Layout`] names their files for the tool that will run them. The text of every
//! statement comes from [`ddl`]. Pure: never reads a clock, a file or a server.

pub mod build;
pub mod ddl;
pub mod evidence;
pub mod file;
pub mod history;
pub mod layout;
pub mod plan;
pub mod statements;
pub mod tree;

use serde::{Deserialize, Serialize};

use crate::advisor::Action;
use crate::catalog::QualifiedName;

pub use layout::Layout;

/// A migration and its way back, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// A UTC timestamp as a number: `20261123094500`.
    pub version: i64,
    /// What it does, as lower-case words joined by `_`.
    pub slug: String,
    /// What it does to [`Migration::index`].
    pub action: Action,
    /// The index it is about.
    pub index: QualifiedName,
    /// The bare statements without comments and checks, each but the last ended by `;` and a line end.
    pub statement: String,
    /// The bare statements that undo it, likewise; empty when there is nothing to undo.
    pub rollback: String,
    /// The whole up file.
    pub up: String,
    /// The whole down file.
    pub down: String,
    /// `up` without its header, cut where a tool has to send a part of it in a message of its own.
    pub steps: Vec<Step>,
    /// `down` without its header, likewise.
    pub down_steps: Vec<Step>,
    /// Whether the file may run inside a transaction (no `CONCURRENTLY`).
    pub transactional: bool,
}

/// A stretch of a migration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is for, to tell files apart where each step is one: `check`; empty for the main one.
    pub word: String,
    /// Its statements and comments, ended by a line end.
    pub text: String,
    /// Whether the server refuses it beside other statements of one message.
    pub alone: bool,
}

impl Migration {
    /// Returns the bare statements one by one.
    pub fn statements(&self) -> Vec<&str> {
        statements::split(&self.statement)
    }
}
