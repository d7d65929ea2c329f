//! Captured statements by their weights alone: for closed and open loops, where sessions and times do not matter.

use super::call::{Call, Deed};
use super::calls::CallsError;
use super::{Captured, WireProtocol};
use crate::stats::random::{below, bits};
use std::sync::Arc;

/// The stream that decides which statement a call is.
const STATEMENT: u64 = 0x6d69_7801;

/// The stream that decides which calls of a statement are kept.
const SAMPLE: u64 = 0x6d69_7802;

/// Statements with weights, each with captured calls to draw from.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// The statements that can be called by themselves.
    pub statements: Vec<MixStatement>,
    /// The sum of weights up to each statement.
    cumulative: Vec<u64>,
}

/// A statement of a mix.
#[derive(Debug, Clone, PartialEq)]
pub struct MixStatement {
    /// Its number in the workload file.
    pub number: u64,
    /// Its name in the results.
    pub name: String,
    /// How often it was called.
    pub weight: u64,
    /// Whether a read-only transaction would refuse it.
    pub writes: bool,
    /// Calls of it, evenly drawn from all.
    pub calls: Vec<MixCall>,
}

/// A captured call without its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixCall {
    /// Its text.
    pub sql: Arc<str>,
    /// How it was sent.
    pub protocol: WireProtocol,
    /// Its parameters in the server's text format.
    pub parameters: Vec<Option<String>>,
}

impl Mix {
    /// Keeps at most `per_statement` calls of each statement, evenly drawn, the same ones for the same seed.
    ///
    /// Left out are calls that failed, what begins or ends transactions, and `EXECUTE` of a statement prepared elsewhere.
    ///
    /// # Errors
    /// As the calls have them.
    pub fn sample(
        captured: &Captured,
        calls: impl Iterator<Item = Result<Call, CallsError>>,
        per_statement: usize,
        seed: u64,
    ) -> Result<Self, CallsError> {
        let usable = captured.statements.iter().filter(|statement| !statement.control);
        let mut statements: Vec<MixStatement> = usable
            .map(|one| MixStatement { number: one.number, name: one.name.clone(), weight: 0, writes: one.writes, calls: Vec::new() })
            .collect();
        let places: std::collections::HashMap<u64, usize> = statements.iter().enumerate().map(|(at, one)| (one.number, at)).collect();
        for call in calls {
            let Deed::Run(run) = call?.deed else { continue };
            let Some(at) = places.get(&run.statement).filter(|_| run.failed.is_none() && run.prepared.is_none()) else { continue };
            let statement = &mut statements[*at];
            let seen = statement.weight;
            statement.weight += 1;
            let kept = MixCall { sql: run.sql, protocol: run.protocol, parameters: run.parameters };
            // Vitter's algorithm R: each call is kept with the same probability.
            if statement.calls.len() < per_statement.max(1) {
                statement.calls.push(kept);
            } else if let Some(place) = statement.calls.get_mut(below(bits(seed, SAMPLE, seen, statement.number), seen + 1) as usize) {
                *place = kept;
            }
        }
        statements.retain(|statement| statement.weight > 0);
        Ok(Self::of(statements))
    }

    fn of(statements: Vec<MixStatement>) -> Self {
        let cumulative = statements
            .iter()
            .scan(0, |sum, statement| {
                *sum += statement.weight;
                Some(*sum)
            })
            .collect();
        Self { statements, cumulative }
    }

    /// Returns what keeps the statements `keeps` says yes to, and the others' names and weights.
    #[must_use]
    pub fn only(self, keeps: impl Fn(&MixStatement) -> bool) -> (Self, Vec<(String, u64)>) {
        let (kept, left): (Vec<_>, Vec<_>) = self.statements.into_iter().partition(keeps);
        (Self::of(kept), left.into_iter().map(|one| (one.name, one.weight)).collect())
    }

    /// Returns the statement, by its place, and the call number `index` makes; the same for the same seed. `None` for an empty
    /// mix.
    pub fn call(&self, seed: u64, index: u64) -> Option<(usize, &MixCall)> {
        let point = below(bits(seed, STATEMENT, index, 0), *self.cumulative.last()?);
        let place = self.cumulative.partition_point(|sum| *sum <= point);
        let statement = &self.statements[place];
        let call = below(bits(seed, STATEMENT, index, statement.number), statement.calls.len() as u64);
        statement.calls.get(call as usize).map(|call| (place, call))
    }
}
