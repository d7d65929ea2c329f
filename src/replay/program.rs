//! What a call does: the seam between what is played (this module and its kin, pure) and who plays it (`pg::session`).
//!
//! ```text
//! Program ──▶ client(number): Client ──▶ begin(call), next(reply) ──▶ Step ──▶ session ──▶ Reply ─┐
//! (shared)    (one a session, own state)        ▲                                                  │
//!                                               └──────────────────────────────────────────────────┘
//! ```
//!
//! A *call* is the engine's unit: it has a number, a due time and a latency. A workload file's call is a statement or a
//! transaction; a pgbench script's is one pass through the script; a captured log's is one transaction of it. A session
//! asks its [`Client`] what the call does next, does it, and tells the client how it went, until the client says
//! [`Step::Done`]. Clients never do I/O and never look at a clock.

use std::fmt::Debug;
use std::time::Duration;

use crate::replay::args::Args;

/// What can be played: shared by all sessions of all workers.
pub trait Program: Debug + Sync {
    /// Returns everything that is told apart in the results. A label is named by its place here.
    fn labels(&self) -> &[Label];

    /// Returns the label of a call, also of one that is never made; a pure function.
    fn label(&self, call: u64) -> usize;

    /// Returns the statements every session prepares when it connects; [`Sql::Prepared`] names one by its place here.
    fn statements(&self) -> &[Prepared];

    /// Returns arguments some call gives to a prepared statement, for EXPLAIN; `None` when it is never called with any.
    fn example(&self, statement: usize) -> Option<Vec<Option<String>>>;

    /// Returns the state of session `number`; sessions are numbered from 0 over all workers.
    fn client(&self, number: usize) -> Box<dyn Client + '_>;

    /// Returns whether a call may hold more than one statement, so that calls cannot share a connection.
    fn has_transactions(&self) -> bool;
}

/// Something told apart in the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its text, for a person.
    pub sql: String,
    /// The prepared statement it stands for, where it stands for one.
    pub statement: Option<usize>,
    /// Whether it occurs at all; what does not is left out of the results.
    pub called: bool,
}

/// A statement that is prepared once a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Its name in messages.
    pub name: String,
    /// Its text with `$1`, `$2`, …
    pub sql: String,
    /// Whether it is called; what is not is not prepared.
    pub called: bool,
}

/// What one session knows of its calls.
pub trait Client {
    /// Starts a call and returns its label, which is [`Program::label`] of it.
    fn begin(&mut self, call: u64) -> usize;

    /// Returns what to do next. `reply` is the answer to the [`Step::Run`] or [`Step::End`] before; at the start of a
    /// call and after a sleep it is empty.
    ///
    /// A lost connection is an error as well ([`Reply::lost`]); the session is asked nothing more then.
    fn next(&mut self, reply: &Reply<'_>) -> Step<'_>;
}

/// One thing a call does.
#[derive(Debug)]
pub enum Step<'p> {
    /// Send a statement and read its whole answer.
    Run(Request<'p>),
    /// End the open transaction.
    End(End),
    /// Wait; the call's clock goes on.
    Sleep(Duration),
    /// The call is over.
    Done(Ending<'p>),
}

/// A statement to send.
#[derive(Debug)]
pub struct Request<'p> {
    /// What its time counts under. The call's own label when the call is nothing but this statement.
    pub label: usize,
    /// Its text.
    pub sql: Sql<'p>,
    /// Its arguments.
    pub args: &'p Args<'p>,
    /// A `BEGIN` to send right before it, in the same flight.
    pub begin: Option<&'p str>,
    /// A `COMMIT` or `ROLLBACK` to send right behind it, in the same flight.
    pub end: Option<End>,
    /// Whether the client wants to see the last row of the answer.
    pub wants_row: bool,
}

/// How a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sql<'p> {
    /// One of [`Program::statements`].
    Prepared(usize),
    /// A text with `$1`, `$2`, … that is parsed each time (extended protocol); argument types are the server's choice.
    Once(&'p str),
    /// A text without arguments (simple protocol); it may hold several statements.
    Simple(&'p str),
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With `COMMIT`.
    Commit,
    /// With `ROLLBACK`.
    Rollback,
}

impl End {
    /// Returns the command.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }
}

/// What the server answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reply<'r> {
    /// Rows returned or changed.
    pub rows: u64,
    /// The SQLSTATE (or `connection`) of the first thing that failed: `BEGIN`, the statement, or its `COMMIT`.
    pub error: Option<&'r str>,
    /// Whether the connection is gone.
    pub lost: bool,
    /// The last row's columns, name and text, when they were wanted and there was a row.
    pub row: Option<&'r [(String, Option<String>)]>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ending<'p> {
    /// What made it fail in the end.
    pub error: Option<&'p str>,
    /// How often it was begun again.
    pub retries: u32,
    /// Statements it did not get to.
    pub skipped: u32,
}

/// Returns whether the server asks to try the same transaction again: serialization failure, deadlock.
pub fn is_retryable(sqlstate: &str) -> bool {
    matches!(sqlstate, "40001" | "40P01")
}
