//! What the calls took: histograms, errors and one-second slices, label by label.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::load::Outcome;
use crate::stats::Histogram;
use crate::stats::histogram::Precision;

/// One second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    /// Seconds since the start, at its beginning.
    pub second: u64,
    /// Calls that ended in it.
    pub count: u64,
    /// Of them with an error.
    pub errors: u64,
    /// The median of their response times, in microseconds.
    pub p50_us: Option<u64>,
    /// Their 95th percentile.
    pub p95_us: Option<u64>,
    /// Their 99th percentile.
    pub p99_us: Option<u64>,
}

/// What the calls of one label did.
#[derive(Debug, Clone)]
pub struct LabelRecording {
    /// Calls that ended, with and without error.
    pub count: u64,
    /// Rows or items, over all calls.
    pub rows: u64,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// From when a call was due (open loop) or sent (closed loop) to its end; calls that never ended are infinite.
    pub response: Histogram,
    /// From when a call was sent to its end.
    pub service: Histogram,
    /// From when a call was due to when it was sent; empty in a closed loop.
    pub lag: Histogram,
    /// Second by second, without those in which nothing ended.
    pub series: Vec<Slice>,
}

impl LabelRecording {
    fn new() -> Self {
        let empty = || Histogram::new(Precision::Whole);
        Self { count: 0, rows: 0, errors: BTreeMap::new(), response: empty(), service: empty(), lag: empty(), series: Vec::new() }
    }

    /// Returns how many calls failed.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Everything a run recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The length of the part in which calls were started.
    pub window: Duration,
    /// Calls that ended within it; those under way at its end are in `count` alone.
    pub count_in_window: u64,
    /// By label, in the target's order.
    pub labels: Vec<LabelRecording>,
    /// All labels together, second by second.
    pub series: Vec<Slice>,
    /// Calls that were due and never started.
    pub not_started: u64,
    /// Calls that were started and had not ended when the run was cut.
    pub unfinished: u64,
    /// Calls that had to wait for a free session (open loop).
    pub queued: u64,
    /// How late calls with a free session were sent: the generator's own fault (open loop).
    pub late: Histogram,
    /// The share of one processor the generator itself used, 0 to 1; `None` where the system does not tell.
    pub cpu_share: Option<f64>,
    /// How it ended.
    pub ended: super::Ended,
}

impl Recording {
    /// Returns all labels together: response, service, lag.
    pub fn total(&self) -> [Histogram; 3] {
        let mut total = [(); 3].map(|()| Histogram::new(Precision::Whole));
        for label in &self.labels {
            total[0].merge(&label.response);
            total[1].merge(&label.service);
            total[2].merge(&label.lag);
        }
        total
    }

    /// Returns how many calls ended, with and without error.
    pub fn count(&self) -> u64 {
        self.labels.iter().map(|label| label.count).sum()
    }

    /// Returns how many calls failed.
    pub fn errors(&self) -> u64 {
        self.labels.iter().map(LabelRecording::errors_total).sum()
    }
}

/// The second that is being recorded, for one label.
#[derive(Debug)]
struct Current {
    count: u64,
    errors: u64,
    response: Histogram,
}

/// Takes in calls as they end.
#[derive(Debug)]
pub(super) struct Recorder {
    start: Instant,
    end: Instant,
    open: bool,
    labels: Vec<LabelRecording>,
    current: Vec<Current>,
    second: u64,
    series: Vec<Slice>,
    pub(super) count: u64,
    pub(super) errors: u64,
    pub(super) count_in_window: u64,
    pub(super) late: Histogram,
    pub(super) queued: u64,
}

impl Recorder {
    /// Starts recording; in an open loop (`open`) the time a call waited counts, in a closed one there is none.
    pub(super) fn new(labels: usize, start: Instant, end: Instant, open: bool) -> Self {
        let current = || Current { count: 0, errors: 0, response: Histogram::new(Precision::Slice) };
        Self {
            start,
            end,
            open,
            labels: (0..labels).map(|_| LabelRecording::new()).collect(),
            current: (0..labels).map(|_| current()).collect(),
            second: 0,
            series: Vec::new(),
            count: 0,
            errors: 0,
            count_in_window: 0,
            late: Histogram::new(Precision::Whole),
            queued: 0,
        }
    }

    /// Counts a call that ended.
    pub(super) fn record(&mut self, intended: Instant, sent: Instant, ended: Instant, outcome: &Outcome) {
        let second = ended.saturating_duration_since(self.start).as_secs();
        if second != self.second {
            self.close_slice();
            self.second = second;
        }
        let response = ended.saturating_duration_since(intended);
        let label = &mut self.labels[outcome.label];
        let current = &mut self.current[outcome.label];
        label.count += 1;
        label.rows += outcome.rows;
        label.service.record(ended.saturating_duration_since(sent));
        if self.open {
            // In a closed loop response is service; it is copied once, at the end.
            label.response.record(response);
            label.lag.record(sent.saturating_duration_since(intended));
        }
        current.count += 1;
        current.response.record(response);
        self.count += 1;
        self.count_in_window += u64::from(ended <= self.end);
        if let Some(code) = &outcome.error {
            self.errors += 1;
            current.errors += 1;
            match label.errors.get_mut(code) {
                Some(count) => *count += 1,
                None => drop(label.errors.insert(code.clone(), 1)),
            }
        }
    }

    /// Returns the last whole second in which something ended.
    pub(super) fn last_slice(&self) -> Option<Slice> {
        self.series.last().copied()
    }

    /// Ends the current second.
    fn close_slice(&mut self) {
        let mut all = Histogram::new(Precision::Slice);
        let (mut count, mut errors) = (0, 0);
        for (label, current) in self.labels.iter_mut().zip(&mut self.current).filter(|(_, current)| current.count > 0) {
            label.series.push(slice(self.second, current.count, current.errors, &current.response));
            all.merge(&current.response);
            count += current.count;
            errors += current.errors;
            current.count = 0;
            current.errors = 0;
            current.response.clear();
        }
        if count > 0 {
            self.series.push(slice(self.second, count, errors, &all));
        }
    }

    /// Ends the recording. `never` names the labels of calls that were due and did not end.
    pub(super) fn finish(mut self, never: impl Iterator<Item = usize>) -> (Vec<LabelRecording>, Vec<Slice>, Histogram) {
        self.close_slice();
        if !self.open {
            for label in &mut self.labels {
                label.response = label.service.clone();
            }
        }
        never.for_each(|label| self.labels[label].response.record_infinite(1));
        (self.labels, self.series, self.late)
    }
}

fn slice(second: u64, count: u64, errors: u64, response: &Histogram) -> Slice {
    let at = |p| response.percentile(p);
    Slice { second, count, errors, p50_us: at(0.5), p95_us: at(0.95), p99_us: at(0.99) }
}
