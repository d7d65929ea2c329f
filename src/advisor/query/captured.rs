//! Parameter values seen with a statement, asked for the one value a parameter has.

/// Calls needed before "nearly always" means something (convention, not theory).
const CALLS_MIN: usize = 20;
/// The share of calls with one value from which a partial index for it is worth a thought.
const SHARE_MIN: f64 = 0.95;

/// Values seen, one list a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Captured<'c>(pub(super) &'c [Vec<Option<String>>]);

impl<'c> Captured<'c> {
    /// Returns the value of `$number` when all calls seen had the same.
    pub(super) fn only(self, number: usize) -> Option<&'c str> {
        let (value, share) = self.usual_with_share(number)?;
        (share == 1.0).then_some(value)
    }

    /// Returns the value of `$number` that at least 95 % of at least 20 calls had.
    pub(super) fn usual(self, number: usize) -> Option<&'c str> {
        let (value, share) = self.usual_with_share(number)?;
        (self.0.len() >= CALLS_MIN && share >= SHARE_MIN).then_some(value)
    }

    /// Returns a value that more than half of the calls had.
    fn usual_with_share(self, number: usize) -> Option<(&'c str, f64)> {
        let at = number.checked_sub(1)?;
        let mut candidate = None;
        let mut lead = 0usize;
        let of = |call: &'c Vec<Option<String>>| call.get(at).and_then(Option::as_deref);
        // The majority vote of Boyer and Moore: one pass, no table of values.
        for value in self.0.iter().map(of) {
            if lead == 0 {
                candidate = value;
            }
            lead = if candidate == value { lead + 1 } else { lead.saturating_sub(1) };
        }
        let value = candidate?;
        let calls = self.0.iter().filter(|call| of(call) == Some(value)).count();
        Some((value, calls as f64 / self.0.len() as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_to_be_nearly_all_of_many_calls() {
        let calls = |usual: usize, other: usize| {
            let call = |value: &str| vec![None, Some(value.to_owned())];
            [vec![call("a"); usual], vec![call("b"); other]].concat()
        };
        assert_eq!(Captured(&calls(3, 0)).only(2), Some("a"));
        assert_eq!(Captured(&calls(3, 1)).only(2), None);
        assert_eq!(Captured(&calls(95, 5)).usual(2), Some("a"));
        assert_eq!(Captured(&calls(94, 6)).usual(2), None);
        assert_eq!(Captured(&calls(19, 0)).usual(2), None);
        assert_eq!((Captured(&calls(30, 0)).usual(1), Captured(&[]).only(1), Captured(&calls(1, 0)).only(0)), (None, None, None));
    }
}
