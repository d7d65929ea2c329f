//! TELL: result types turned into text a DBA, a developer and a manager can each read.
//!
//! Pure: every function returns a `String` or plain data, nothing here prints, reads a clock or asks the terminal for its
//! width. What is said is worked out once in [`content`]; [`terminal`], [`markdown`] and [`html`] only lay it out.

pub mod audit;
pub mod content;
pub mod html;
pub mod json;
pub mod markdown;
pub mod numbers;
pub mod sarif;
pub mod svg;
pub mod terminal;

#[cfg(test)]
pub(crate) mod sample;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use audit::{AuditDocument, audit_document};
pub use numbers::{Number, Numbers};

use crate::replay::Run;
use crate::stats::Comparison;

/// The layout of the JSON documents written here; additions keep it, renames and removals raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything one report tells, in the order it tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// What the page is called.
    pub title: String,
    /// Versions, seed and settings; never a password.
    pub about: BTreeMap<String, Value>,
    /// What the audit found and proposed; `None` when the report holds load runs only.
    pub audit: Option<AuditDocument>,
    /// Runs, oldest first.
    pub runs: Vec<Run>,
    /// Runs set against each other.
    pub comparisons: Vec<NamedComparison>,
    /// What limits the whole report, as sentences.
    pub caveats: Vec<String>,
}

/// A comparison and the workload it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedComparison {
    /// The workload's name; the runs of this name with side `before` and `after` are the two that were compared.
    pub name: String,
    /// What was compared.
    pub comparison: Comparison,
}

impl Report {
    /// Starts a report with nothing in it but its title.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            title: title.into(),
            about: BTreeMap::new(),
            audit: None,
            runs: Vec::new(),
            comparisons: Vec::new(),
            caveats: Vec::new(),
        }
    }

    /// Returns the run of that workload and side (`before`, `after`); the last one where it was measured more than once.
    pub fn run_of(&self, name: &str, side: &str) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.name == name && run.side.as_deref() == Some(side))
    }
}
