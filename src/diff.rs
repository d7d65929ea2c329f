//! Two states of one thing.

use serde::{Deserialize, Serialize};

/// The state before and after a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Diff<T> {
    /// The state the change started from.
    pub before: T,
    /// The state the change led to.
    pub after: T,
}

impl<T> Diff<T> {
    /// Applies one function to both states.
    pub fn map<U>(self, apply: impl Fn(T) -> U) -> Diff<U> {
        Diff { before: apply(self.before), after: apply(self.after) }
    }
}

impl Diff<f64> {
    /// Returns `after / before`; `None` when before is zero or either is not a number.
    pub fn ratio(&self) -> Option<f64> {
        let ratio = self.after / self.before;
        (self.before != 0.0 && ratio.is_finite()).then_some(ratio)
    }

    /// Returns how many times smaller after is than before; `None` when after is zero or either is not a number.
    pub fn times_less(&self) -> Option<f64> {
        Diff { before: self.after, after: self.before }.ratio()
    }
}
