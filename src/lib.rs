//! pgload audits a Postgres database's indexes and queries, writes index migrations, and proves them by replaying the
//! same load before and after.
//!
//! ```text
//! catalog ──▶ findings ──▶ advisor ──▶ migration
//!  (see)       (judge)      (ask)       (write)
//!    └───────▶ replay ◀── load ◀── stats          report ◀── every result type
//!               (try)     (engine)                (tell)
//! pg: the only module that talks to Postgres       cli: the only one that prints
//! ```
//!
//! `docs/architecture.md` says which module may use which; a test holds the code to it.

pub mod advisor;
pub mod catalog;
pub mod cli;
pub mod diff;
pub mod findings;
pub mod load;
pub mod migration;
pub mod pg;
pub mod profile;
pub mod replay;
pub mod report;
pub(crate) mod sql;
pub mod staging;
pub mod stats;
pub mod units;
