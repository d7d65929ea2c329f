//! Which rate to try next, from those that were tried: doubling, bisection, confirmation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judge::Violation;
use super::observation::Observation;
use super::outcome::Wait;

/// 5 %: how near the last good rate and the first bad one must come.
const RESOLUTION: f64 = 1.05;
/// Each step of the bisection takes this much longer than the one before: the nearer the limit, the rarer its signs. As
/// NoSQLBench's findmax does.
const LONGER: f64 = 1.33;
/// The confirmation takes as long as so many first steps: 30 s after steps of 5 s.
const CONFIRMATION: u32 = 6;
/// A rate that is not confirmed is followed by this much of it.
const BACK_OFF: f64 = 0.95;
/// Confirmations before it is given up: by then a quarter below what shorter steps said.
const CONFIRMATIONS: usize = 5;

/// Which part of a search a step belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Twice the rate, until one is too much.
    #[default]
    Doubling,
    /// Between the last good rate and the first bad one.
    Bisection,
    /// The good rate for longer.
    Confirmation,
}

/// One rate that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Why it was tried.
    pub phase: Phase,
    /// Calls a second that were offered.
    pub rate: f64,
    /// How long it was counted, in milliseconds.
    pub dwell_ms: f64,
    /// What it showed.
    pub seen: Observation,
    /// What it did not keep; nothing when it was good.
    pub violations: Vec<Violation>,
    /// What the server's sessions were doing, most often first.
    pub waits: Vec<Wait>,
}

impl Step {
    /// Returns whether it kept everything.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }

    /// Returns whether its one showing is enough to call its rate too much.
    fn is_surely_bad(&self) -> bool {
        !self.is_good() && (self.phase == Phase::Confirmation || self.violations.iter().any(Violation::is_gross))
    }
}

/// The borders of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The first rate, and the lowest.
    pub min_rate: f64,
    /// The highest rate.
    pub max_rate: f64,
    /// How long the first steps are counted.
    pub dwell: Duration,
}

/// A step to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Why.
    pub phase: Phase,
    /// Calls a second.
    pub rate: f64,
    /// How long to count.
    pub dwell: Duration,
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The highest rate that was kept for the long step; `None` when none was.
    pub capacity: Option<f64>,
    /// The highest good rate below every bad one.
    pub good: Option<f64>,
    /// The lowest bad rate.
    pub bad: Option<f64>,
}

/// What follows from the steps so far.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Try this.
    Try(Ask),
    /// Nothing is left to try.
    Done(Found),
}

impl Search {
    /// Returns what to try after these steps; a pure function.
    pub fn next(&self, steps: &[Step]) -> Next {
        let confirmations: Vec<&Step> = steps.iter().filter(|step| step.phase == Phase::Confirmation).collect();
        if let Some(last) = confirmations.last() {
            let lower = last.rate * BACK_OFF;
            return if last.is_good() || confirmations.len() == CONFIRMATIONS || lower < self.min_rate {
                Next::Done(known(steps))
            } else {
                self.try_at(Phase::Confirmation, lower, f64::from(CONFIRMATION))
            };
        }
        if let Some(last) = steps.last()
            && !last.is_good()
            && !is_bad(last, steps)
        {
            // A pause of a moment, the machine's or the server's, is no limit: only what is bad twice is bad.
            return Next::Try(Ask { phase: last.phase, rate: last.rate, dwell: Duration::from_secs_f64(last.dwell_ms / 1000.0) });
        }
        match known(steps) {
            Found { good: None, bad: None, .. } => self.try_at(Phase::Doubling, self.min_rate, 1.0),
            found @ Found { good: None, bad: Some(_), .. } => Next::Done(found),
            Found { good: Some(good), bad: None, .. } if good < self.max_rate => {
                self.try_at(Phase::Doubling, (good * 2.0).min(self.max_rate), 1.0)
            }
            Found { good: Some(good), bad: Some(bad), .. } if bad > good * RESOLUTION => {
                let mut bisected: Vec<f64> = steps.iter().filter(|step| step.phase == Phase::Bisection).map(|step| step.rate).collect();
                bisected.dedup();
                let longer = LONGER.powi(i32::try_from(bisected.len() + 1).unwrap_or(i32::MAX));
                // The geometric middle: the resolution is a ratio.
                self.try_at(Phase::Bisection, (good * bad).sqrt(), longer)
            }
            Found { good: Some(good), .. } => self.try_at(Phase::Confirmation, good, f64::from(CONFIRMATION)),
        }
    }

    fn try_at(&self, phase: Phase, rate: f64, times: f64) -> Next {
        Next::Try(Ask { phase, rate, dwell: self.dwell.mul_f64(times) })
    }
}

/// Returns whether a step's rate is too much: it was bad beyond chance or twice, and not good when repeated.
fn is_bad(step: &Step, steps: &[Step]) -> bool {
    let same = || steps.iter().filter(|other| other.rate == step.rate && other.phase == step.phase);
    same().any(Step::is_surely_bad) || (same().count() > 1 && same().all(|step| !step.is_good()))
}

/// Returns how many steps were bad once and good when repeated: something disturbs the machine or the server at times.
pub fn disturbed(steps: &[Step]) -> usize {
    steps.iter().filter(|step| !step.is_good() && !is_bad(step, steps)).count()
}

/// Returns what steps have shown so far, whether or not the search is over.
pub fn known(steps: &[Step]) -> Found {
    let bad = steps.iter().filter(|step| is_bad(step, steps)).map(|step| step.rate).reduce(f64::min);
    let below = |step: &&Step| step.is_good() && bad.is_none_or(|bad| step.rate < bad);
    let good = steps.iter().filter(below).map(|step| step.rate).reduce(f64::max);
    let confirmed = steps.iter().filter(|step| step.phase == Phase::Confirmation && step.is_good());
    Found { capacity: confirmed.map(|step| step.rate).reduce(f64::max), good, bad }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
