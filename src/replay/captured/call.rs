//! A call as the file of calls has it: one JSON object a line.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::WireProtocol;

/// Something a session did, at a time from the beginning of the capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When, in microseconds from the beginning.
    pub offset_us: u64,
    /// The session, from 1.
    pub session: u64,
    /// What.
    pub deed: Deed,
}

/// What a session did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It connected.
    Connect {
        /// The role.
        user: String,
        /// The database.
        database: String,
        /// What it calls itself.
        application: String,
    },
    /// It ran a statement.
    Run(Run),
    /// It ended.
    Disconnect,
}

/// A statement call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The transaction, which no other session shares.
    pub transaction: u64,
    /// Whether the session's next statement belongs to another transaction.
    pub last: bool,
    /// The statement's number in the workload file.
    pub statement: u64,
    /// Its text.
    pub sql: Arc<str>,
    /// How it was sent.
    pub protocol: WireProtocol,
    /// Its parameters in the server's text format; `None` is NULL.
    pub parameters: Vec<Option<String>>,
    /// What the server took for it; `None` where the log does not say.
    pub duration_us: Option<u64>,
    /// For `EXECUTE`: the text of the `PREPARE` it runs.
    pub prepared: Option<String>,
    /// Set when it failed: the SQLSTATE, empty where the log has none.
    pub failed: Option<String>,
}

/// The line's fields; those that say nothing are left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallLine {
    pub(super) offset_us: u64,
    pub(super) session: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) connect: Option<ConnectLine>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) disconnect: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) transaction: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) last: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) statement: Option<u64>,
    /// Where it differs from the workload file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sql: Option<String>,
    /// Where it differs from the workload file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<WireProtocol>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parameters: Vec<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) duration_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prepared: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectLine {
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) database: String,
    #[serde(default)]
    pub(super) application: String,
}
