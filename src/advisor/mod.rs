//! ASK: which indexes the planner would use for the recorded statements, at what price.
//!
//! Statements are parsed, turned into candidates, priced through the [`CostModel`] seam and selected within a
//! [`Budget`]. Pure: never talks to a server, never prints.

mod advise;
pub mod candidate;
mod candidates;
pub mod cost;
mod definition;
pub mod estimate;
mod expression;
mod facts;
pub mod name;
pub mod price_table;
mod prices;
pub mod proposal;
pub mod query;
pub mod repair;
#[cfg(test)]
pub(crate) mod sample;
mod selection;
mod size;
pub mod values;
mod weights;
pub mod workload;
pub mod workload_file;
mod write_cost;

pub use advise::{advise, advise_by_estimate};
pub use candidate::{Candidate, CandidateKey};
pub use cost::{Ask, Configuration, CostModel, NotPlannable, Plan, UsedIndex};
pub use estimate::Estimate;
pub use price_table::PriceTable;
pub use proposal::{Action, Advice, Budget, Confidence, Coverage, Proposal, Refused, Skipped, StatementEffect, WriteCost};
pub use size::Sizes;
