//! What a workload was derived from, and what the server had recorded of its statements.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a derived workload came from, and what of it could not be derived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// The view: `pg_stat_statements`.
    pub from: String,
    /// The database.
    pub database: String,
    /// When it was read.
    pub at: Timestamp,
    /// Since when the server counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Entries the server threw away for lack of room: above 0, the mix is incomplete.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub evicted: u64,
    /// Statements of the application it had recorded; utility statements and questions to the catalogs are none.
    pub statements: u64,
    /// Of them in the workload.
    pub usable: u64,
    /// The share of their execution time that is in the workload, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_time_share: Option<f64>,
    /// What is not, by reason, most time first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedStatements>,
    /// Statements of which some parameter stands where any value of its type does, as in `SELECT $1`: it has one of the type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_type: Vec<String>,
}

/// Statements left out for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedStatements {
    /// Why.
    pub reason: String,
    /// How many.
    pub statements: u64,
    /// Their calls.
    pub calls: u64,
    /// Their share of the execution time, 0 to 1.
    pub exec_time_share: f64,
}

/// What the server had recorded of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Executions.
    pub calls: u64,
    /// Rows returned or affected, a call.
    pub rows: f64,
    /// Shared blocks touched, found in shared buffers or not, a call.
    pub blocks: f64,
    /// Execution time, in milliseconds a call.
    pub exec_ms: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Recorded {
    /// Returns what both together are, a call.
    pub fn with(&self, other: &Self) -> Self {
        let calls = self.calls.saturating_add(other.calls);
        let mean = |own: f64, others: f64| (own * self.calls as f64 + others * other.calls as f64) / calls.max(1) as f64;
        Self {
            calls,
            rows: mean(self.rows, other.rows),
            blocks: mean(self.blocks, other.blocks),
            exec_ms: mean(self.exec_ms, other.exec_ms),
        }
    }
}

impl Derived {
    /// Returns what a reader of the workload's results must know, as sentences.
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        if !self.skipped.is_empty() {
            let count: u64 = self.skipped.iter().map(|skipped| skipped.statements).sum();
            let share: f64 = self.skipped.iter().map(|skipped| skipped.exec_time_share).sum();
            let told = |skipped: &SkippedStatements| {
                format!("{} ({:.1} %): {}", skipped.statements, 100.0 * skipped.exec_time_share, skipped.reason)
            };
            let reasons: Vec<String> = self.skipped.iter().take(REASONS_SHOWN).map(told).collect();
            let more = self.skipped.len().saturating_sub(REASONS_SHOWN);
            let more = if more > 0 { format!("; and {more} more reasons") } else { String::new() };
            caveats.push(format!(
                "{count} of {} recorded statements ({:.1} % of the execution time) are not in the workload. {}{more}.",
                self.statements,
                100.0 * share,
                reasons.join("; ")
            ));
        }
        if self.evicted > 0 {
            caveats.push(format!(
                "The server threw away {} entries of {} for lack of room: rare statements are missing (pg_stat_statements.max).",
                self.evicted, self.from
            ));
        }
        caveats.push(
            "Derived from counts: each statement is a call of its own, since which of them were one transaction was not recorded; values \
             are those of rows there are, so how often values repeat and how often nothing is found may differ."
                .to_owned(),
        );
        caveats
    }
}

/// Reasons told one by one.
const REASONS_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(skipped: Vec<SkippedStatements>) -> Derived {
        Derived {
            from: "pg_stat_statements".to_owned(),
            database: "shop".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            since: None,
            evicted: 0,
            statements: 20,
            usable: 13,
            exec_time_share: Some(0.6),
            skipped,
            by_type: Vec::new(),
        }
    }

    #[test]
    fn figures_a_call_are_weighted_by_calls() {
        let one = Recorded { calls: 30, rows: 1.0, blocks: 4.0, exec_ms: 0.1 };
        let both = one.with(&Recorded { calls: 10, rows: 5.0, blocks: 0.0, exec_ms: 0.5 });
        assert_eq!((both.calls, both.rows, both.blocks), (40, 2.0, 3.0));
        assert!((both.exec_ms - 0.2).abs() < 1e-12);
    }

    #[test]
    fn what_is_left_out_is_told_with_its_share() {
        let reason =
            |number: u64| SkippedStatements { reason: format!("reason {number}"), statements: 1, calls: number, exec_time_share: 0.05 };
        let told = derived((1..=7).map(reason).collect()).caveats();
        assert!(
            told[0].starts_with("7 of 20 recorded statements (35.0 % of the execution time) are not in the workload. 1 (5.0 %): reason 1;"),
            "{told:?}"
        );
        assert!(told[0].ends_with("reason 5; and 2 more reasons."), "{told:?}");
        assert_eq!(derived(Vec::new()).caveats().len(), 1);
        assert!(Derived { evicted: 3, ..derived(Vec::new()) }.caveats()[0].contains("3 entries"));
    }
}
