//! The pgbench script language: reading scripts and playing them. Never does I/O and never looks at a clock.
//!
//! ```text
//! text ──parse──▶ Script ──▶ Suite (scripts, weights, variables) ──▶ Player (one a client) ──▶ Act, Act, …, Done
//! ```
//!
//! docs/pgbench.md says what differs from pgbench itself.

pub mod distribution;
pub mod evaluate;
pub mod expression;
pub mod function;
mod grammar;
pub mod hash;
mod parse;
pub mod place;
pub mod script;
pub mod sql;
mod structure;
mod token;
pub mod value;

pub use expression::Expression;
pub use place::{Place, ScriptError};
pub use script::Script;
pub use value::Value;
