//! Numbers: histograms, summaries, comparisons. Pure; knows neither SQL nor HTTP.

pub mod comparison;
pub mod summary;

pub use comparison::{Better, Calibration, Comparison, Design, Exact, Metric, Verdict};
pub use summary::Percentiles;
