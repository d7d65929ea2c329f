//! TRY: a SQL workload, the calls a seed makes of it, and what running them showed.

pub mod run;

pub use run::{Blocks, Health, LabelResult, Run, SeriesPoint, StatementPlan, ThresholdResult, Totals};
