//! How much load a database carries: the search for the highest rate that keeps an objective, and how throughput grows
//! with clients.
//!
//! ```text
//! Slo ──▶ Search::next(steps so far) ──▶ rate, length ──▶ (load, pg) ──▶ Collector ──▶ Observation ──▶ judge ──▶ Step ─┐
//!              ▲────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Decisions only: what to try next follows from what was tried. Nothing here waits, connects or prints.

pub mod growth;
pub mod judge;
pub mod observation;
pub mod outcome;
pub mod search;
pub mod slo;

pub use judge::{Violation, judge};
pub use observation::{Collector, Observation};
pub use outcome::{Capacity, Limit, Outcome, Point, Searched, Sweep, Wait};
pub use search::{Ask, Found, Next, Phase, Search, Step};
pub use slo::{Indicator, Objective, Slo, SloError};
