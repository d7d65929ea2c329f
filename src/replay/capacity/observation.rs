//! What one step of a search showed, from its calls one by one.
//!
//! A step begins with a settling time that is not counted: calls due in it load the server, and are in no number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::growth::trend;
use super::slo::{Indicator, Slo};
use crate::load::events::Event;
use crate::stats::Histogram;
use crate::stats::Percentiles;
use crate::stats::histogram::Precision;

/// Moments at which calls under way are counted: enough for a trend, few enough to differ from each other.
const MOMENTS: usize = 50;

/// What a step showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Calls that were due.
    pub due: u64,
    /// Calls that ended, those among them that had been due before.
    pub ended: u64,
    /// Of the calls that were due, those that failed.
    pub errors: u64,
    /// Of the calls that were due, those that never ended or were never started.
    pub never: u64,
    /// Response times of the calls that were due, from the intended start.
    pub response_us: Percentiles,
    /// For each objective: how many calls took at least its limit; 0 for those that limit something else.
    pub slow: Vec<u64>,
    /// The mean response time in milliseconds; `None` when calls never ended, or there were none.
    pub mean_ms: Option<f64>,
    /// Calls under way at the end.
    pub under_way: i64,
    /// How many more calls were under way for each second; `None` with too little to tell.
    pub growth: Option<f64>,
    /// The lower end of its one-sided 95 % interval.
    pub growth_low: Option<f64>,
}

/// Puts an [`Observation`] together; its size does not grow with the calls.
#[derive(Debug)]
pub struct Collector {
    settle: Duration,
    dwell: Duration,
    /// By objective: the response time that is too long, where it limits one.
    limits: Vec<Option<Duration>>,
    slow: Vec<u64>,
    response: Histogram,
    sum_s: f64,
    due: u64,
    errors: u64,
    /// Under way when the counted time begins: due less ended before it.
    base: i64,
    /// By moment: due less ended in the time up to it.
    changes: [i64; MOMENTS],
    ended: u64,
}

impl Collector {
    /// Expects the calls of a step that is counted for `dwell` after `settle`.
    pub fn new(slo: &Slo, settle: Duration, dwell: Duration) -> Self {
        let limit = |indicator, limit: f64| match indicator {
            Indicator::Percentile(_) => Some(Duration::from_secs_f64(limit / 1000.0)),
            Indicator::Mean | Indicator::Errors => None,
        };
        let limits: Vec<_> = slo.objectives.iter().map(|objective| limit(objective.indicator, objective.limit)).collect();
        Self {
            settle,
            dwell,
            slow: vec![0; limits.len()],
            limits,
            response: Histogram::new(Precision::Whole),
            sum_s: 0.0,
            due: 0,
            errors: 0,
            base: 0,
            changes: [0; MOMENTS],
            ended: 0,
        }
    }

    /// Takes in a call; pieces of calls are not counted.
    pub fn take(&mut self, event: &Event) {
        if event.part {
            return;
        }
        let ended = event.service.map(|service| event.intended + event.lag + service);
        self.change(event.intended, 1);
        if let Some(ended) = ended {
            self.change(ended, -1);
            self.ended += u64::from(self.is_counted(ended));
        }
        if !self.is_counted(event.intended) {
            return;
        }
        self.due += 1;
        self.errors += u64::from(event.failed);
        let response = ended.map(|ended| ended - event.intended);
        match response {
            Some(response) => {
                self.response.record(response);
                self.sum_s += response.as_secs_f64();
            }
            None => self.response.record_infinite(1),
        }
        for (slow, limit) in self.slow.iter_mut().zip(&self.limits) {
            *slow += u64::from(limit.is_some_and(|limit| response.is_none_or(|response| response >= limit)));
        }
    }

    fn is_counted(&self, time: Duration) -> bool {
        time >= self.settle && time < self.settle + self.dwell
    }

    fn change(&mut self, time: Duration, by: i64) {
        let Some(since) = time.checked_sub(self.settle) else {
            self.base += by;
            return;
        };
        let moment = (since.as_secs_f64() / self.dwell.as_secs_f64() * MOMENTS as f64) as usize;
        if let Some(change) = self.changes.get_mut(moment) {
            *change += by;
        }
    }

    /// Returns what they showed.
    pub fn finish(self) -> Observation {
        let mut under_way = self.base;
        let levels: Vec<f64> = self
            .changes
            .iter()
            .map(|change| {
                under_way += change;
                under_way as f64
            })
            .collect();
        let trend = trend(&levels, self.dwell.as_secs_f64() / MOMENTS as f64);
        let never = self.response.infinite();
        Observation {
            due: self.due,
            ended: self.ended,
            errors: self.errors,
            never,
            response_us: self.response.percentiles(),
            slow: self.slow,
            mean_ms: (never == 0 && self.due > 0).then(|| self.sum_s * 1000.0 / self.due as f64),
            under_way,
            growth: trend.map(|trend| trend.slope),
            growth_low: trend.map(|trend| trend.slope_low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(intended_ms: u64, response_ms: Option<u64>) -> Event {
        let ms = Duration::from_millis;
        Event { label: 0, intended: ms(intended_ms), lag: ms(0), service: response_ms.map(ms), failed: false, part: false }
    }

    #[test]
    fn calls_of_the_settling_time_are_under_way_and_in_no_other_number() {
        let slo = Slo::parse("p(99)<100,errors<1%").unwrap();
        let mut collector = Collector::new(&slo, Duration::from_secs(1), Duration::from_secs(5));
        collector.take(&event(0, Some(10)));
        collector.take(&event(900, Some(500)));
        collector.take(&event(900, None));
        collector.take(&event(2000, Some(99)));
        collector.take(&event(2000, Some(100)));
        collector.take(&Event { part: true, ..event(2000, Some(100)) });
        collector.take(&Event { failed: true, ..event(3000, Some(1)) });
        collector.take(&event(5500, Some(1000)));
        collector.take(&event(5990, None));
        let seen = collector.finish();
        assert_eq!((seen.due, seen.ended, seen.errors, seen.never), (5, 4, 1, 1));
        assert_eq!(seen.slow, [3, 0], "100 ms, 1 s and never");
        assert_eq!(seen.under_way, 3, "one of the settling time and the last two");
        assert_eq!(seen.mean_ms, None);
    }
}
