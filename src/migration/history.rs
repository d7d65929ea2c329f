//! What applying migrations found and did, as plain data. Made by `pg::apply`, printed by the command line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In the history, its file unchanged.
    Applied,
    /// A file that was not applied.
    Pending,
    /// In the history, with another name or text than its file has now.
    Changed,
    /// In the history, without a file.
    Missing,
}

/// One migration, known by its file, the history or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its version.
    pub version: i64,
    /// Its name: the file's, or the history's where the file is missing.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
    /// Its file.
    pub file: Option<String>,
    /// The file that takes it back.
    pub down_file: Option<String>,
}

/// All migrations of a folder and a database, by version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The folder.
    pub directory: String,
    /// Its migrations and the history's.
    pub entries: Vec<Entry>,
}

/// What `up` would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Migrations in the history.
    pub applied: Vec<Entry>,
    /// What would run, in order.
    pub pending: Vec<Step>,
    /// What would hold it up.
    pub warnings: Vec<Warning>,
}

/// One migration to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Whether it runs inside one transaction with its history row, or statement by statement outside.
    pub transactional: bool,
    /// Its statements, comments before them left out.
    pub statements: Vec<String>,
}

/// Something that holds up a concurrent build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Warning {
    /// A transaction that a concurrent build may wait for.
    OldTransaction {
        /// Its process.
        pid: i32,
        /// Its role.
        user: String,
        /// Its `application_name`.
        application: String,
        /// `idle in transaction`, `active`, …
        state: String,
        /// How long it has been open, in seconds.
        open_s: i64,
    },
    /// A prepared transaction, which a concurrent build waits for until someone ends it.
    PreparedTransaction {
        /// Its global identifier.
        gid: String,
        /// Its owner.
        owner: String,
        /// How long ago it was prepared, in seconds.
        open_s: i64,
    },
    /// Another session builds the index; this run waits for it.
    Building {
        /// The index.
        index: String,
        /// The session's process.
        pid: i32,
    },
}

/// What `up` did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Migrations applied now, in order.
    pub applied: Vec<Done>,
    /// Migrations that had been applied before.
    pub applied_before: usize,
    /// What held it up or might have.
    pub warnings: Vec<Warning>,
}

/// One migration applied or taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: f64,
    /// Invalid indexes an interrupted build had left, dropped before the build was tried again.
    pub healed: Vec<String>,
}

/// Progress of `up` and `down`, in the order it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Event {
    /// Something holds up the build, or may.
    Warned(Warning),
    /// A migration begins.
    Started {
        /// Its version.
        version: i64,
        /// Its name.
        name: String,
    },
    /// A statement begins.
    Running {
        /// Its place among the file's statements, from 1.
        number: usize,
        /// How many the file has.
        of: usize,
        /// Its text on one line, shortened.
        statement: String,
    },
    /// An invalid index of an interrupted build was dropped.
    Healed {
        /// The index.
        index: String,
    },
    /// A migration and its history row are done.
    Finished(Done),
}

/// A running index build as `pg_stat_progress_create_index` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildProgress {
    /// The session's process.
    pub pid: i32,
    /// The table, where this role may see it.
    pub table: Option<String>,
    /// The phase, in the server's words.
    pub phase: String,
    /// Blocks, rows or lockers done in this phase.
    pub done: i64,
    /// Of how many; 0 where the phase does not say.
    pub of: i64,
}

impl Warning {
    /// Returns whether both speak of the same transaction or build, whatever its age by now.
    pub fn same_cause(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OldTransaction { pid: a, .. }, Self::OldTransaction { pid: b, .. }) => a == b,
            (Self::PreparedTransaction { gid: a, .. }, Self::PreparedTransaction { gid: b, .. }) => a == b,
            (Self::Building { index: a, .. }, Self::Building { index: b, .. }) => a == b,
            _ => false,
        }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OldTransaction { pid, user, application, state, open_s } => write!(
                f,
                "Session {pid} of {user} ({application}, {state}) has had a transaction open for {open_s} s; a concurrent build waits until it ends."
            ),
            Self::PreparedTransaction { gid, owner, open_s } => write!(
                f,
                "Prepared transaction \"{gid}\" of {owner} has been open for {open_s} s; a concurrent build waits until it is committed or rolled back."
            ),
            Self::Building { index, pid } => write!(f, "Session {pid} is building on the table of {index}; this build waits for it."),
        }
    }
}
