//! SEE: where a database's time went during a window, as plain data.
//!
//! Two readings of the server's counters and samples of what its sessions waited for, both made by `pg::monitor`, become a
//! [`Profile`]; two profiles become a [`Changes`]; a plan becomes [`Note`]s. Nothing here talks to a server or reads a clock.

mod compare;
mod counters;
mod delta;
mod document;
mod notes;
mod observation;
mod order;
mod text;
mod waits;

pub use compare::{CALLS_MIN, Change, Changes, MARGIN, compare};
pub use counters::{Counters, Database, Entry, StatementKey, Statements};
pub use delta::{Counted, Grown, between, database_between};
pub use document::{
    Active, DatabaseLoad, Hidden, Overhead, PROFILE_SCHEMA_VERSION, Profile, Share, StatementProfile, Unavailable, WaitLoad,
};
pub use notes::{Evidence, Facts, Note, Observed, estimate_note, plan_notes};
pub use observation::{Observation, ServerFacts};
pub use order::Sort;
pub use text::masked;
pub use waits::{CPU, Running, Seen, Tally, Wait};
