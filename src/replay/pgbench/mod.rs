//! The pgbench script language: reading scripts and playing them. Never does I/O and never looks at a clock.
//!
//! ```text
//! text ──parse──▶ Script ──▶ Suite (scripts, weights, variables) ──▶ Player (one a client) ──▶ Step, Step, …, Done
//! ```
//!
//! docs/pgbench.md says what differs from pgbench itself.

pub mod builtin;
mod control;
pub mod distribution;
pub mod evaluate;
pub mod expression;
mod flow;
pub mod function;
mod grammar;
pub mod hash;
mod parse;
pub mod place;
pub mod player;
pub mod script;
pub mod scripts;
pub mod sql;
mod structure;
pub mod suite;
mod token;
pub mod value;

pub use builtin::{Builtin, Choice, builtin};
pub use expression::Expression;
pub use place::{Place, ScriptError};
pub use player::Player;
pub use script::Script;
pub use scripts::Scripts;
pub use suite::{Mode, Options, Suite, SuiteError};
pub use value::Value;
