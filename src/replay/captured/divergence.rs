//! Where a replay went otherwise than the capture.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Statements told apart; further ones count in the sums alone.
const STATEMENTS_MAX: usize = 200;

/// What was counted, over all sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// Statements that failed as they had when they were captured.
    pub failed_as_captured: u64,
    /// That failed, and had not.
    pub failed_here_only: u64,
    /// That had failed, and did not.
    pub failed_there_only: u64,
    /// That failed with another SQLSTATE than they had.
    pub failed_otherwise: u64,
    /// By statement: the SQLSTATEs of those that failed here only or otherwise.
    pub statements: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Counts from many threads; what goes as it had is not even looked at.
#[derive(Debug, Default)]
pub(super) struct Counted(Mutex<Divergence>);

impl Counted {
    /// Takes in how a statement went and returns whether that was expected.
    pub(super) fn take(&self, name: &str, expected: Option<&str>, found: Option<&str>, counts: bool) -> bool {
        let as_expected = match (expected, found) {
            (None, None) => return true,
            // Where the log has no SQLSTATE, any will do.
            (Some(expected), Some(found)) => expected.is_empty() || expected == found,
            _ => false,
        };
        if !counts {
            return as_expected;
        }
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (expected, found) {
            (Some(_), Some(_)) if as_expected => sums.failed_as_captured += 1,
            (Some(_), None) => sums.failed_there_only += 1,
            (None, _) => sums.failed_here_only += 1,
            (Some(_), Some(_)) => sums.failed_otherwise += 1,
        }
        if let Some(code) = found.filter(|_| !as_expected)
            && (sums.statements.len() < STATEMENTS_MAX || sums.statements.contains_key(name))
        {
            *sums.statements.entry(name.to_owned()).or_default().entry(code.to_owned()).or_default() += 1;
        }
        as_expected
    }

    pub(super) fn get(&self) -> Divergence {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Divergence {
    /// Returns what a reader must know of it, as sentences.
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                caveats.push(format!("{count} {}{what}", if count == 1 { "statement " } else { "statements " }));
            }
        };
        let worst = self.statements.iter().max_by_key(|(_, codes)| codes.values().sum::<u64>());
        let worst = worst.map_or_else(String::new, |(name, codes)| {
            let codes: Vec<&str> = codes.keys().map(String::as_str).collect();
            format!(", {name} most ({})", codes.join(", "))
        });
        say(self.failed_here_only, &format!("failed that had not failed when captured{worst}."));
        say(self.failed_there_only, "that had failed when captured did not fail.");
        say(self.failed_otherwise, "failed with another SQLSTATE than when captured.");
        say(self.failed_as_captured, "failed as when captured, which is no error of the run.");
        caveats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_otherwise_is_counted_and_told() {
        let counted = Counted::default();
        assert!(counted.take("a", None, None, true));
        assert_eq!(counted.get(), Divergence::default());
        assert!(counted.get().caveats().is_empty());
        assert!(counted.take("a", Some("23505"), Some("23505"), true) && counted.take("a", Some(""), Some("42P01"), true));
        assert!(!counted.take("a", Some("23505"), Some("42P01"), true));
        assert!(!counted.take("b", None, Some("40001"), true) && !counted.take("b", None, Some("40001"), true));
        assert!(!counted.take("b", Some("42P01"), None, true));
        // The warm-up is not told.
        assert!(!counted.take("b", None, Some("40001"), false));
        let found = counted.get();
        assert_eq!((found.failed_as_captured, found.failed_otherwise, found.failed_here_only, found.failed_there_only), (2, 1, 2, 1));
        assert_eq!(found.statements["b"], BTreeMap::from([("40001".to_owned(), 2)]));
        assert_eq!(found.caveats()[0], "2 statements failed that had not failed when captured, b most (40001).");
    }
}
