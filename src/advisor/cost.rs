//! The seam behind which plans are priced.

/// Prices statements under configurations of indexes.
pub trait CostModel {}
