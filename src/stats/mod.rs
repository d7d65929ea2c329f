//! Numbers: histograms, summaries, comparisons. Pure; knows neither SQL nor HTTP.

pub mod compare;
pub mod comparison;
pub mod histogram;
pub mod random;
pub mod student;
pub mod summary;

pub use comparison::{Better, Calibration, Comparison, Design, Exact, Metric, Verdict};
pub use histogram::Histogram;
pub use summary::Percentiles;
