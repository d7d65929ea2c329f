//! What a search and a sweep found: the document other programs read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::judge::Violation;
use super::search::{Step, known};
use crate::stats::Percentiles;
use crate::stats::scalability::{self, Scalability};

/// The capacity of a database under a workload: `capacity.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// 1.
    pub schema_version: u32,
    /// `capacity`.
    pub kind: String,
    /// The workload's name.
    pub name: String,
    /// Versions and settings, never a password.
    pub about: BTreeMap<String, serde_json::Value>,
    /// When it began.
    pub started_at: Timestamp,
    /// The seed of statements, parameters and arrivals.
    pub seed: u64,
    /// The objectives, as `p(99)<100`.
    pub slo: Vec<String>,
    /// The search for the highest rate; `None` when there were no objectives.
    pub search: Option<Searched>,
    /// Throughput by clients; `None` when no numbers were given.
    pub sweep: Option<Sweep>,
    /// Whether it ended before its time (Ctrl-C, lost server).
    pub partial: bool,
    /// What limits the result, as sentences.
    pub caveats: Vec<String>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// The highest rate that was kept for the long step, in calls a second; `None` when none was.
    pub capacity: Option<f64>,
    /// The highest good rate below every bad one.
    pub good: Option<f64>,
    /// The lowest bad rate; `None` when every rate was good.
    pub bad: Option<f64>,
    /// What stood in the way of more; `None` when nothing did.
    pub limit: Option<Limit>,
    /// Every step, in order.
    pub steps: Vec<Step>,
}

/// What stood in the way at the lowest bad rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The rate, in calls a second.
    pub rate: f64,
    /// What was not kept, nearest to the cause first.
    pub violations: Vec<Violation>,
    /// What the server's sessions were doing then, most often first.
    pub waits: Vec<Wait>,
}

/// What sessions that were in a call did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// `Lock:transactionid`, as type and event of pg_stat_activity; `CPU` where it names none.
    pub event: String,
    /// How many sessions were seen so.
    pub samples: u64,
    /// Their share of the sessions that were in a call.
    pub share: f64,
}

/// How throughput grew with clients that each make a call when the last has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// By number of clients, in the order of measuring.
    pub points: Vec<Point>,
    /// The Universal Scalability Law fitted to them; `None` with fewer than three numbers of clients.
    pub fit: Option<Scalability>,
    /// The number of clients beyond which more get less done; `None` where the fit has none within twice what was measured.
    pub peak_clients: Option<f64>,
    /// Calls a second there.
    pub peak_throughput: Option<f64>,
}

/// What one number of clients got done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Clients at once.
    pub clients: usize,
    /// Calls a second.
    pub throughput: f64,
    /// Calls that failed.
    pub errors: u64,
    /// From sending a call to its end.
    pub response_us: Percentiles,
    /// What the server's sessions were doing, most often first.
    pub waits: Vec<Wait>,
}

/// How an examination ended, for an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It found what it looked for.
    Found,
    /// Even the lowest rate is too much.
    BelowMinimum,
    /// No rate was kept for the long step.
    Unconfirmed,
    /// It ended before its time.
    Partial,
}

impl Searched {
    /// Puts together what steps showed.
    pub fn of(steps: Vec<Step>) -> Self {
        let found = known(&steps);
        let limiting = found.bad.and_then(|bad| steps.iter().rev().find(|step| !step.is_good() && step.rate == bad));
        let limit = limiting.map(|step| Limit { rate: step.rate, violations: step.violations.clone(), waits: step.waits.clone() });
        Self { capacity: found.capacity, good: found.good, bad: found.bad, limit, steps }
    }
}

impl Sweep {
    /// Fits the law to what was measured.
    pub fn of(points: Vec<Point>) -> Self {
        let measured: Vec<scalability::Point> =
            points.iter().map(|point| scalability::Point { clients: point.clients as f64, throughput: point.throughput }).collect();
        let fit = Scalability::fit(&measured);
        let peak = fit.as_ref().and_then(Scalability::peak);
        let peak_throughput = fit.as_ref().zip(peak).and_then(|(fit, peak)| fit.throughput(peak));
        Self { points, fit, peak_clients: peak, peak_throughput }
    }
}

impl Capacity {
    /// Returns how it ended.
    pub fn outcome(&self) -> Outcome {
        match &self.search {
            _ if self.partial => Outcome::Partial,
            Some(Searched { capacity: None, good: None, .. }) => Outcome::BelowMinimum,
            Some(Searched { capacity: None, .. }) => Outcome::Unconfirmed,
            Some(_) | None => Outcome::Found,
        }
    }
}

/// Puts counts of wait events in order, most often first, and gives each its share.
pub fn waits(counts: BTreeMap<String, u64>) -> Vec<Wait> {
    let all: u64 = counts.values().sum();
    let mut waits: Vec<Wait> = counts
        .into_iter()
        .filter(|(_, samples)| *samples > 0)
        .map(|(event, samples)| Wait { event, samples, share: samples as f64 / all as f64 })
        .collect();
    waits.sort_by(|a, b| b.samples.cmp(&a.samples).then_with(|| a.event.cmp(&b.event)));
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(clients: usize, throughput: f64) -> Point {
        Point { clients, throughput, errors: 0, response_us: Percentiles::default(), waits: Vec::new() }
    }

    #[test]
    fn a_sweep_says_nothing_beyond_twice_its_largest_number() {
        let law = |n: f64| 1000.0 * n / (1.0 + 0.02 * (n - 1.0) + 0.001 * n * (n - 1.0));
        let points = |most: u32| (0..=most).map(|k| point(1 << k, law(f64::from(1u32 << k)))).collect::<Vec<_>>();
        let wide = Sweep::of(points(5));
        let truth = (0.98f64 / 0.001).sqrt();
        assert!((wide.peak_clients.unwrap() - truth).abs() < 0.1 && wide.fit.unwrap().r_squared > 0.999, "{wide:?}");
        assert!((wide.peak_throughput.unwrap() / law(truth) - 1.0).abs() < 0.001);
        assert_eq!(Sweep::of(points(3)).peak_clients, None, "31 clients, 8 measured");
        assert_eq!(Sweep::of(points(1)).fit, None);
    }

    #[test]
    fn waits_are_ordered_and_shared() {
        let counts = [("CPU", 1), ("Lock:tuple", 3), ("IO:DataFileRead", 0)].map(|(name, count)| (name.to_owned(), count));
        let waits = waits(counts.into());
        assert_eq!(waits.iter().map(|wait| (wait.event.as_str(), wait.share)).collect::<Vec<_>>(), [("Lock:tuple", 0.75), ("CPU", 0.25)]);
    }
}
