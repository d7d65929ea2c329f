//! Everything a run recorded, put together from its workers.

use std::time::Duration;

use crate::load::driver::Ended;
use crate::load::recorder::{Recorded, Tally};
use crate::load::series::{Series, Slice};
use crate::stats::Histogram;
use crate::stats::histogram::Precision;

/// What the calls, and pieces of calls, of one label did.
#[derive(Debug, Clone)]
pub struct LabelRecording {
    /// Over the whole run.
    pub whole: Tally,
    /// Second by second, without those in which nothing ended.
    pub series: Vec<Slice>,
}

/// Everything a run recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The length of the part in which calls were started.
    pub window: Duration,
    /// Calls that ended within it; those under way at its end are in `count` alone.
    pub count_in_window: u64,
    /// All calls together; pieces of calls count for their label alone.
    pub calls: Tally,
    /// All calls together, second by second.
    pub series: Vec<Slice>,
    /// By label, in the target's order.
    pub labels: Vec<LabelRecording>,
    /// Calls that were due and never started, those that were shed included.
    pub not_started: u64,
    /// Of them those given up at once because as many as allowed were under way.
    pub shed: u64,
    /// Calls that were started and had not ended when the run was cut.
    pub unfinished: u64,
    /// Calls that had to wait for a free session (open loop).
    pub queued: u64,
    /// How late calls with a free session were sent: the generator's own fault (open loop).
    pub late: Histogram,
    /// The largest share of a processor that a worker used, 0 to 1; `None` where the system does not tell.
    pub cpu_share: Option<f64>,
    /// How it ended.
    pub ended: Ended,
}

impl Recording {
    /// Returns how many calls ended, with and without error.
    pub fn count(&self) -> u64 {
        self.calls.count
    }

    /// Returns how many calls failed.
    pub fn errors(&self) -> u64 {
        self.calls.errors_total()
    }
}

/// What one worker did.
#[derive(Debug)]
pub struct Share {
    /// The calls that ended since the last report, packed as [`crate::load::events`] has them.
    pub events: Vec<u8>,
    pub(super) recorded: Recorded,
    pub(super) window: Duration,
    pub(super) count_in_window: u64,
    pub(super) not_started: u64,
    pub(super) shed: u64,
    pub(super) unfinished: u64,
    pub(super) queued: u64,
    pub(super) late: Histogram,
    pub(super) cpu_share: Option<f64>,
    pub(super) ended: Ended,
}

/// Puts the shares of all workers together; their order does not matter.
pub(super) fn merged(mut shares: Vec<Share>, mut series: Series) -> Recording {
    let labels = shares.first().map_or(0, |share| share.recorded.calls.len());
    let mut recording = Recording {
        window: shares.iter().map(|share| share.window).max().unwrap_or_default(),
        count_in_window: shares.iter().map(|share| share.count_in_window).sum(),
        calls: Tally::new(),
        series: Vec::new(),
        labels: Vec::with_capacity(labels),
        not_started: shares.iter().map(|share| share.not_started).sum(),
        shed: shares.iter().map(|share| share.shed).sum(),
        unfinished: shares.iter().map(|share| share.unfinished).sum(),
        queued: shares.iter().map(|share| share.queued).sum(),
        late: Histogram::new(Precision::Whole),
        cpu_share: shares.iter().filter_map(|share| share.cpu_share).reduce(f64::max),
        // The worst of them: a run is complete when all of it is.
        ended: shares.iter().map(|share| share.ended).max().unwrap_or(Ended::Complete),
    };
    for (worker, share) in shares.iter_mut().enumerate() {
        recording.late.merge(&share.late);
        series.take(worker, std::mem::take(&mut share.recorded.seconds), u64::MAX);
    }
    let (total, by_label) = series.finish();
    recording.series = total;
    for (label, series) in by_label.into_iter().enumerate() {
        let mut whole = Tally::new();
        for share in &shares {
            recording.calls.merge(&share.recorded.calls[label]);
            whole.merge(&share.recorded.calls[label]);
            if let Some(parts) = share.recorded.parts.get(label) {
                whole.merge(parts);
            }
        }
        recording.labels.push(LabelRecording { whole, series });
    }
    recording
}
