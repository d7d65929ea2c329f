//! What a histogram says, in a few numbers.

use serde::{Deserialize, Serialize};

/// Percentiles of a duration in microseconds; a percentile without enough samples above it is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<u64>,
    /// The 90th percentile.
    pub p90: Option<u64>,
    /// The 95th percentile.
    pub p95: Option<u64>,
    /// The 99th percentile.
    pub p99: Option<u64>,
    /// The 99.9th percentile.
    pub p999: Option<u64>,
    /// The largest value.
    pub max: Option<u64>,
    /// The arithmetic mean.
    pub mean: Option<f64>,
}
