//! Numbers: histograms, summaries, comparisons. Pure; knows neither SQL nor HTTP.

pub mod autocorrelation;
pub mod bootstrap;
pub mod compare;
pub mod comparison;
pub mod histogram;
pub mod multiplicity;
pub mod paired;
pub mod permutation;
pub mod random;
pub mod rank;
pub mod scalability;
pub mod student;
pub mod summary;

pub use comparison::{Better, Calibration, Comparison, Design, Exact, Metric, Rounds, Verdict};
pub use histogram::Histogram;
pub use summary::Percentiles;
