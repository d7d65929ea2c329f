//! Rows drawn from the target once, which calls take their parameters from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The rows of every sample of a workload. Saved with the first run, so that the second uses the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// When they were drawn by the server's clock: what `now` means to the calls of both runs.
    pub taken_at: Timestamp,
    /// One a sample of the workload, in its order.
    pub samples: Vec<Sample>,
}

/// Rows of one table; columns of a row stay together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The sample's name in the workload.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Values in the server's text format; `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Samples {
    /// Returns samples without rows, for workloads that need none.
    pub fn none(taken_at: Timestamp) -> Self {
        Self { taken_at, samples: Vec::new() }
    }

    /// Returns a short mark of the content: two runs with the same mark had the same rows to choose from.
    pub fn digest(&self) -> String {
        let text = serde_json::to_string(self).expect("plain data has a JSON form");
        format!("{:016x}", crate::stats::random::stream(&text))
    }
}
