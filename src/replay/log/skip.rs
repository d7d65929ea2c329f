//! Why a statement of a log cannot be replayed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A reason; each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `log_parameter_max_length` cut a parameter.
    CutParameters,
    /// The text has parameters and the log has not.
    MissingParameters,
    /// `COPY` from or to the client: what went over the wire is not logged.
    CopyData,
    /// Further rows of a portal that has run: fetched with its first execution.
    Fetch,
    /// Of a database that was not asked for.
    OtherDatabase,
    /// A duration whose statement is not in the log.
    NoText,
    /// Changes the schema.
    Definition,
    /// Maintenance, or for the whole server.
    Administration,
}

impl Reason {
    /// Says it to a person.
    pub fn says(self) -> &'static str {
        match self {
            Self::CutParameters => "a parameter was cut: set log_parameter_max_length = -1",
            Self::MissingParameters => "its parameters are not in the log: set log_parameter_max_length = -1",
            Self::CopyData => "COPY from or to the client: the log does not hold its data",
            Self::Fetch => "more rows of a portal that has run: its first execution fetches them all",
            Self::OtherDatabase => "of another database than --database says",
            Self::NoText => "a duration whose statement is not in the log: set log_min_duration_statement instead of log_duration",
            Self::Definition => "changes the schema",
            Self::Administration => "maintenance, or for the whole server",
        }
    }
}

/// What a log held, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Logical lines that were read.
    pub lines: u64,
    /// Lines that could not be.
    pub bad_lines: u64,
    /// Lines with bytes that are no UTF-8, which were replaced.
    pub replaced_lines: u64,
    /// Lines in another language than English.
    pub foreign_lines: u64,
    /// Statements and executions that were logged before they ran, as `log_statement` does.
    pub announced: u64,
    /// Statements that can be replayed.
    pub statements: u64,
    /// Of these, those that failed.
    pub failed: u64,
    /// Of these, those whose duration is known.
    pub timed: u64,
    /// Transactions, those of one statement among them.
    pub transactions: u64,
    /// Sessions.
    pub sessions: u64,
    /// Errors that name no statement.
    pub errors_without_text: u64,
    /// Sessions taken for ended because nothing was logged of them for an hour.
    pub idle_sessions: u64,
    /// Statements that cannot be replayed, by reason.
    pub skipped: BTreeMap<Reason, u64>,
}

impl Counts {
    /// Counts a statement that cannot be replayed.
    pub fn skip(&mut self, reason: Reason) {
        *self.skipped.entry(reason).or_default() += 1;
    }
}
