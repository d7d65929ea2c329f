//! Captured traffic: a workload file that says what there is, and beside it every call in the order of time.
//!
//! ```text
//! log::Event ──▶ Recording (sorts, counts) ──▶ workload.yaml + workload.calls.jsonl ──▶ Captured + Calls ──▶ sessions by time
//!                                                                              └──▶ Mix: statements by weight
//! ```
//!
//! The workload file is for people: name, source, counts, statements with weights. The calls are one JSON object a line and are
//! read as a stream. Times count from the beginning of the capture and are global: sessions keep their distances.

mod call;
mod calls;
mod divergence;
mod fingerprint;
mod labels;
mod mix;
mod ordered;
mod pool;
mod recording;
mod sift;
mod sort;
mod statements;
mod store;
mod timeline;
mod traffic;
mod weighted;

use serde::{Deserialize, Serialize};

pub use call::{Call, Deed, Run};
pub use calls::{Calls, CallsError};
pub use divergence::Divergence;
pub use mix::{Mix, MixCall, MixStatement};
pub use ordered::Ordered;
pub use pool::{PoolStats, Pooled, pooled};
pub use recording::{Recording, Summary};
pub use sift::LeftOut;
pub use sort::Scratch;
pub use timeline::{Timeline, TimelineCounts, TimelineError};
pub use traffic::Traffic;
pub use weighted::Weighted;

use crate::replay::log::{Counts, Protocol};

/// The version of the format this pgload writes, and the newest it reads.
pub const CAPTURED_VERSION: u32 = 1;

/// A captured workload without its calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Captured {
    /// The format's version; tells the file from one of statements and samples.
    pub captured: u32,
    /// Its name; runs of the same name are compared.
    pub name: String,
    /// What it stands for.
    #[serde(default)]
    pub description: String,
    /// Where it comes from.
    pub source: Source,
    /// What was counted.
    pub counts: Counts,
    /// The file of the calls, beside this one.
    pub calls: String,
    /// The statements, the most frequent first.
    pub statements: Vec<CapturedStatement>,
}

/// Where captured traffic comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The log files.
    pub files: Vec<String>,
    /// `csvlog`, `jsonlog` or `stderr`.
    pub format: String,
    /// The `log_line_prefix` it was read with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// When the first thing happened, in RFC 3339.
    pub began_at: String,
    /// From then to the last, in microseconds.
    pub length_us: u64,
    /// Who was there, with how many sessions each.
    #[serde(default)]
    pub clients: Vec<ClientCount>,
}

/// Sessions of one user, database and application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCount {
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// What it calls itself.
    #[serde(default)]
    pub application: String,
    /// How many sessions.
    pub sessions: u64,
}

/// Calls that differ in constants, in white space or in the length of a list only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturedStatement {
    /// Its number in the calls, from 1.
    pub number: u64,
    /// Its name in the results.
    pub name: String,
    /// How many calls there are.
    pub weight: u64,
    /// The text of its first call.
    pub sql: String,
    /// How its first call was sent.
    #[serde(default, skip_serializing_if = "is_extended")]
    pub protocol: WireProtocol,
    /// Whether a read-only transaction would refuse it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub writes: bool,
    /// Whether it begins, ends or marks a transaction.
    #[serde(default, skip_serializing_if = "is_false")]
    pub control: bool,
    /// Calls that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// What the server took for a call on average, in microseconds; `None` where no duration was logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_us: Option<u64>,
    /// Its id in `pg_stat_statements`, where the log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_id: Option<i64>,
}

/// How statements go over the wire, as the files spell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireProtocol {
    /// Parse, bind, execute.
    #[default]
    Extended,
    /// One text.
    Simple,
}

impl From<Protocol> for WireProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Simple => Self::Simple,
            Protocol::Extended => Self::Extended,
        }
    }
}

/// Why a text is no captured workload, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct CapturedError {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong and what was expected.
    pub message: String,
}

impl Captured {
    /// Whether a text looks like a captured workload rather than another workload file.
    pub fn is_captured(text: &str) -> bool {
        text.lines().any(|line| line.starts_with("captured:"))
    }

    /// Reads a workload file; `file` is only for messages.
    ///
    /// # Errors
    /// [`CapturedError`] with line, column, and what was expected.
    pub fn parse(text: &str, file: &str) -> Result<Self, CapturedError> {
        let wrong = |line: u64, column: u64, message: String| CapturedError { file: file.to_owned(), line, column, message };
        let found: Self = serde_saphyr::from_str(text).map_err(|error| {
            let (line, column) = error.location().map_or((1, 1), |at| (at.line().max(1), at.column().max(1)));
            wrong(line, column, error.without_snippet().to_string())
        })?;
        let place = |key: &str| text.lines().position(|line| line.starts_with(key)).map_or(1, |at| at as u64 + 1);
        if !(1..=CAPTURED_VERSION).contains(&found.captured) {
            let message = format!("captured: expected a version up to {CAPTURED_VERSION}, found {}: use a newer pgload", found.captured);
            return Err(wrong(place("captured:"), 1, message));
        }
        // It is looked for beside the workload file, and nowhere else.
        if found.calls.is_empty() || found.calls.contains(['/', '\\']) || found.calls == ".." {
            return Err(wrong(place("calls:"), 1, format!("calls: expected the name of a file beside this one, found {:?}", found.calls)));
        }
        let mut numbers: Vec<u64> = found.statements.iter().map(|statement| statement.number).collect();
        numbers.sort_unstable();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(wrong(place("statements:"), 1, format!("statements: number {} is there twice", pair[0])));
        }
        Ok(found)
    }

    /// Returns the file's text.
    ///
    /// # Errors
    /// When the serialiser refuses, which plain data gives it no reason for.
    pub fn to_yaml(&self) -> Result<String, String> {
        serde_saphyr::to_string(self).map_err(|error| error.to_string())
    }
}

impl CapturedStatement {
    /// Returns whether its first call was sent with the extended protocol.
    pub fn is_extended(&self) -> bool {
        self.protocol == WireProtocol::Extended
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_extended(protocol: &WireProtocol) -> bool {
    *protocol == WireProtocol::Extended
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
