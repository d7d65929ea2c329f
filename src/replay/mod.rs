//! TRY: a SQL workload, the calls a seed makes of it, and what running them showed.
//!
//! ```text
//! Workload + Samples + seed ──▶ Script ──▶ calls ──▶ (load, pg) ──▶ Run ──▶ compare(before, after)
//! ```

pub mod arg;
pub mod compare;
pub mod observed;
pub mod outcome;
pub mod paired;
pub mod run;
pub mod samples;
pub mod script;
pub mod statement;
pub mod workload;

pub use compare::{CompareError, compare};
pub use run::{Blocks, Health, LabelResult, Run, SeriesPoint, StatementPlan, ThresholdResult, Totals};
pub use samples::{Sample, Samples};
pub use script::{Script, ScriptError};
pub use workload::{Workload, WorkloadError};
