//! The rules, one file each.

use super::Rule;

/// Every rule, in the order of their ids.
pub const RULES: &[Rule] = &[];
