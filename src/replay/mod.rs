//! TRY: a SQL workload, the calls a seed makes of it, and what running them showed.
//!
//! ```text
//! Workload + Samples + seed ──▶ Script ──▶ calls ──▶ (load, pg) ──▶ Run ──▶ compare(before, after)
//! ```

pub mod arg;
pub mod args;
pub mod capacity;
pub mod captured;
pub mod compare;
pub mod derived;
pub mod fidelity;
pub mod log;
pub mod observed;
pub mod outcome;
pub mod paired;
pub mod pgbench;
pub mod player;
pub mod program;
pub mod run;
pub mod samples;
pub mod script;
pub mod statement;
pub mod transaction;
pub mod values;
pub mod workload;
pub mod writes;

pub use compare::{CompareError, compare};
pub use derived::{Derived, Recorded};
pub use fidelity::Fidelity;
pub use program::Program;
pub use run::{Blocks, Health, LabelResult, Run, SeriesPoint, StatementPlan, ThresholdResult, Totals};
pub use samples::{Sample, Samples};
pub use script::{Script, ScriptError};
pub use workload::{Workload, WorkloadError};
pub use writes::Writes;
