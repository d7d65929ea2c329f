//! ASK: which indexes the planner would use for the recorded statements, at what price.
//!
//! Statements are parsed, turned into candidates, priced through the [`CostModel`] seam and selected within a
//! [`Budget`]. Pure: never talks to a server, never prints.

pub mod candidate;
pub mod cost;
pub mod proposal;

pub use candidate::{Candidate, CandidateKey};
pub use cost::CostModel;
pub use proposal::{Action, Advice, Budget, Confidence, Coverage, Proposal, Refused, Skipped, StatementEffect, WriteCost};
