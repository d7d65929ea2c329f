//! What was observed of a server during a window, before anything is worked out.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::counters::{Database, Statements};
use super::document::{Overhead, Unavailable};
use super::waits::Tally;
use crate::catalog::Oid;
use crate::diff::Diff;

/// What is known of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `15.18`.
    pub version: String,
    /// `150018`.
    pub version_num: u32,
    /// The database.
    pub database: String,
    /// Its oid.
    pub database_oid: Oid,
    /// The role that looked.
    pub user: String,
    /// Whether that role sees what others run.
    pub reads_all_stats: bool,
    /// Whether the server times reads and writes of blocks.
    pub times_io: bool,
}

/// A window of a server's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The server.
    pub server: ServerFacts,
    /// When the window began, by this machine's clock.
    pub started_at: Timestamp,
    /// How long it was.
    pub length: Duration,
    /// Why it ended before its time; `None` when it did not.
    pub cut_short: Option<String>,
    /// The statements at the window's begin and end, or why there are none.
    pub statements: Result<Diff<Statements>, Unavailable>,
    /// Normalised texts of this database's statements, by role and number.
    pub texts: HashMap<(Oid, i64), String>,
    /// The database's counters; `None` when the end could not be read.
    pub database: Option<Diff<Database>>,
    /// Names of roles.
    pub users: HashMap<Oid, String>,
    /// What sessions were seen doing.
    pub waits: Tally,
    /// What looking has cost.
    pub overhead: Overhead,
}
