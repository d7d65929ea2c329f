//! The run second by second, put together from what the workers report.
//!
//! A worker hands out the histograms of each second once it is over. When all workers are past a second, its percentiles
//! are taken from the sum and the histograms are dropped: the memory does not grow with the run but for one small
//! [`Slice`] a second and label.

use std::collections::BTreeMap;
use std::time::Duration;

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

/// What ended in one second.
#[derive(Debug, Clone)]
pub(super) struct Count {
    count: u64,
    errors: u64,
    response: Histogram,
}

impl Count {
    pub(super) fn new() -> Self {
        Self { count: 0, errors: 0, response: Histogram::new(Precision::Slice) }
    }

    #[inline]
    pub(super) fn record(&mut self, response: Duration, failed: bool) {
        self.count += 1;
        self.errors += u64::from(failed);
        self.response.record(response);
    }

    /// Counts a call that will not end.
    pub(super) fn never(&mut self) {
        self.response.record_infinite(1);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.response.count() == 0
    }

    /// Takes out what was counted and starts from nothing, with the room it has.
    pub(super) fn take(&mut self) -> Self {
        let taken = self.clone();
        (self.count, self.errors) = (0, 0);
        self.response.clear();
        taken
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.response.merge(&other.response);
    }

    fn slice(&self, second: u64) -> Slice {
        let at = |p| self.response.percentile(p);
        Slice { second, count: self.count, errors: self.errors, p50_us: at(0.5), p95_us: at(0.95), p99_us: at(0.99) }
    }
}

/// One worker's second: by label, whole calls and pieces of calls.
#[derive(Debug, Clone)]
pub(super) struct Second {
    pub(super) second: u64,
    pub(super) calls: Vec<(usize, Count)>,
    pub(super) parts: Vec<(usize, Count)>,
}

/// The seconds of all workers.
#[derive(Debug)]
pub(super) struct Series {
    /// By worker: the second it is in.
    under_way: Vec<u64>,
    pending: BTreeMap<u64, Vec<Second>>,
    total: Vec<Slice>,
    labels: Vec<Vec<Slice>>,
}

impl Series {
    pub(super) fn new(workers: usize, labels: usize) -> Self {
        Self { under_way: vec![0; workers], pending: BTreeMap::new(), total: Vec::new(), labels: vec![Vec::new(); labels] }
    }

    /// Takes in seconds of a worker that is now in second `under_way`.
    pub(super) fn take(&mut self, worker: usize, seconds: Vec<Second>, under_way: u64) {
        for second in seconds {
            self.pending.entry(second.second).or_default().push(second);
        }
        self.under_way[worker] = under_way;
        let over = self.under_way.iter().copied().min().unwrap_or(0);
        while let Some(entry) = self.pending.first_entry().filter(|entry| *entry.key() < over) {
            let (second, reports) = entry.remove_entry();
            self.close(second, &reports);
        }
    }

    /// Returns the last second that is over for all workers and in which something ended.
    pub(super) fn last(&self) -> Option<Slice> {
        self.total.last().copied()
    }

    /// Returns the whole: all calls, then label by label.
    pub(super) fn finish(mut self) -> (Vec<Slice>, Vec<Vec<Slice>>) {
        for (second, reports) in std::mem::take(&mut self.pending) {
            self.close(second, &reports);
        }
        (self.total, self.labels)
    }

    fn close(&mut self, second: u64, reports: &[Second]) {
        let (mut all, mut by_label) = (Count::new(), BTreeMap::<usize, Count>::new());
        for report in reports {
            report.calls.iter().for_each(|(_, count)| all.merge(count));
            for (label, count) in report.calls.iter().chain(&report.parts) {
                by_label.entry(*label).or_insert_with(Count::new).merge(count);
            }
        }
        if !all.is_empty() {
            self.total.push(all.slice(second));
        }
        for (label, count) in by_label {
            self.labels[label].push(count.slice(second));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64, label: usize, us: &[u64]) -> Second {
        let mut count = Count::new();
        us.iter().for_each(|us| count.record(Duration::from_micros(*us), false));
        Second { second, calls: vec![(label, count)], parts: Vec::new() }
    }

    #[test]
    fn a_second_is_closed_when_all_workers_are_past_it_whatever_their_order() {
        let reports = [(0, second(0, 0, &[10; 30])), (1, second(0, 1, &[30; 10])), (0, second(1, 0, &[5])), (1, second(3, 1, &[7]))];
        let mut results = Vec::new();
        for order in [[0, 1, 2, 3], [0, 2, 1, 3], [1, 3, 0, 2]] {
            let mut series = Series::new(2, 2);
            for index in order {
                let (worker, report) = &reports[index];
                series.take(*worker, vec![report.clone()], report.second + 1);
            }
            assert!(series.pending.len() <= 2);
            assert_eq!(series.last().unwrap().second, 1, "worker 0 is in second 2");
            results.push(series.finish());
        }
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
        let (total, labels) = &results[0];
        assert_eq!(
            total.iter().map(|s| (s.second, s.count, s.p50_us)).collect::<Vec<_>>(),
            [(0, 40, Some(10)), (1, 1, None), (3, 1, None)]
        );
        assert_eq!(labels[1].iter().map(|s| (s.second, s.count)).collect::<Vec<_>>(), [(0, 10), (3, 1)]);
    }

    #[test]
    fn pieces_count_for_their_label_and_not_for_the_calls() {
        let mut piece = second(0, 1, &[3; 5]);
        piece.parts = std::mem::take(&mut piece.calls);
        let mut series = Series::new(1, 2);
        series.take(0, vec![second(0, 0, &[9]), piece], 1);
        let (total, labels) = series.finish();
        assert_eq!((total[0].count, labels[0][0].count, labels[1][0].count), (1, 1, 5));
    }
}
