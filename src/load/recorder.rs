//! What the calls of one worker took: histograms, errors and one-second slices, label by label.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::load::events::{self, Event};
use crate::load::series::{Count, Second};
use crate::load::{Outcome, Part, Plan};
use crate::stats::Histogram;
use crate::stats::histogram::Precision;

/// What calls, or pieces of calls, did.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Those that ended, with and without error.
    pub count: u64,
    /// Rows or items, over all of them.
    pub rows: u64,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// How often they were begun again.
    pub retries: u64,
    /// Pieces they did not get to, after an error; these are in no histogram.
    pub skipped: u64,
    /// From when a call was due (open loop) or sent (closed loop) to its end; calls that never ended are infinite. A
    /// piece of a call is due when it is sent.
    pub response: Histogram,
    /// From when it was sent to its end.
    pub service: Histogram,
    /// From when a call was due to when it was sent; empty in a closed loop, and for pieces.
    pub lag: Histogram,
}

impl Tally {
    pub(super) fn new() -> Self {
        let empty = || Histogram::new(Precision::Whole);
        Self { count: 0, rows: 0, errors: BTreeMap::new(), retries: 0, skipped: 0, response: empty(), service: empty(), lag: empty() }
    }

    /// Returns how many failed.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Adds what another one counted; the order of adding does not matter.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.rows += other.rows;
        self.retries += other.retries;
        self.skipped += other.skipped;
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.lag.merge(&other.lag);
    }

    fn fail(&mut self, code: &str) {
        match self.errors.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(self.errors.insert(code.to_owned(), 1)),
        }
    }
}

/// One kind of thing counted: whole calls, or pieces of them. By label; what never occurred takes no room.
#[derive(Debug)]
struct Counted {
    whole: Vec<Tally>,
    current: Vec<Count>,
}

impl Counted {
    fn new(labels: usize) -> Self {
        Self { whole: (0..labels).map(|_| Tally::new()).collect(), current: (0..labels).map(|_| Count::new()).collect() }
    }

    /// Takes out the counts of the second that ends.
    fn close(&mut self) -> Vec<(usize, Count)> {
        let used = |(_, count): &(usize, &mut Count)| !count.is_empty();
        self.current.iter_mut().enumerate().filter(used).map(|(label, count)| (label, count.take())).collect()
    }
}

/// Takes in calls as they end.
#[derive(Debug)]
pub(super) struct Recorder {
    start: Instant,
    end: Instant,
    open: bool,
    calls: Counted,
    /// Made when the first piece arrives.
    parts: Option<Counted>,
    second: u64,
    closed: Vec<Second>,
    /// By label: calls that were due and did not end.
    never: Vec<u64>,
    /// Packed, where every call is wanted on its own.
    events: Option<Vec<u8>>,
    pub(super) count: u64,
    pub(super) errors: u64,
    pub(super) count_in_window: u64,
    pub(super) late: Histogram,
    pub(super) queued: u64,
}

/// What one worker recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Whole calls, by label.
    pub(super) calls: Vec<Tally>,
    /// Pieces of calls, by label; empty when there were none.
    pub(super) parts: Vec<Tally>,
    /// The seconds not yet handed out.
    pub(super) seconds: Vec<Second>,
}

impl Recorder {
    /// Starts recording; in an open loop the time a call waited counts, in a closed one there is none.
    pub(super) fn new(labels: usize, start: Instant, end: Instant, plan: &Plan) -> Self {
        Self {
            start,
            end,
            open: plan.arrival.is_open(),
            events: plan.events.then(Vec::new),
            calls: Counted::new(labels),
            parts: None,
            second: 0,
            closed: Vec::new(),
            never: vec![0; labels],
            count: 0,
            errors: 0,
            count_in_window: 0,
            late: Histogram::new(Precision::Whole),
            queued: 0,
        }
    }

    /// Counts a call that ended, and its pieces, which are taken out.
    #[inline]
    pub(super) fn record(&mut self, intended: Instant, sent: Instant, ended: Instant, outcome: &Outcome, parts: &mut Vec<Part>) {
        self.advance(ended);
        let response = ended.saturating_duration_since(intended);
        let tally = &mut self.calls.whole[outcome.label];
        tally.count += 1;
        tally.rows += outcome.rows;
        tally.retries += u64::from(outcome.retries);
        tally.skipped += u64::from(outcome.skipped);
        tally.service.record(ended.saturating_duration_since(sent));
        if self.open {
            // In a closed loop response is service; it is copied once, at the end.
            tally.response.record(response);
            tally.lag.record(sent.saturating_duration_since(intended));
        }
        if let Some(code) = &outcome.error {
            self.errors += 1;
            tally.fail(code);
        }
        self.calls.current[outcome.label].record(response, outcome.error.is_some());
        self.count += 1;
        self.count_in_window += u64::from(ended <= self.end);
        if let Some(events) = &mut self.events {
            let failed = outcome.error.is_some();
            let intended = intended.saturating_duration_since(self.start);
            let lag = sent.saturating_duration_since(self.start).saturating_sub(intended);
            events::pack(Event { label: outcome.label, intended, lag, service: Some(ended - sent), failed, part: false }, events);
        }
        if !parts.is_empty() {
            self.record_parts(parts);
        }
    }

    fn record_parts(&mut self, parts: &mut Vec<Part>) {
        let labels = self.never.len();
        let counted = self.parts.get_or_insert_with(|| Counted::new(labels));
        for part in parts.drain(..) {
            let took = part.ended.saturating_duration_since(part.sent);
            if let Some(events) = &mut self.events {
                let intended = part.sent.saturating_duration_since(self.start);
                let failed = part.error.is_some();
                events::pack(Event { label: part.label, intended, lag: Duration::ZERO, service: Some(took), failed, part: true }, events);
            }
            let tally = &mut counted.whole[part.label];
            tally.count += 1;
            tally.rows += part.rows;
            tally.service.record(took);
            if let Some(code) = &part.error {
                tally.fail(code);
            }
            counted.current[part.label].record(took, part.error.is_some());
        }
    }

    /// Counts a call that was due and will not end.
    pub(super) fn never(&mut self, label: usize, intended: Instant) {
        if let Some(events) = &mut self.events {
            let intended = intended.saturating_duration_since(self.start);
            events::pack(Event { label, intended, lag: Duration::ZERO, service: None, failed: false, part: false }, events);
        }
        self.never[label] += 1;
        self.calls.current[label].never();
    }

    /// Ends the current second when `now` lies behind it.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.start).as_secs();
        if second > self.second {
            self.close_second();
            self.second = second;
        }
    }

    fn close_second(&mut self) {
        let calls = self.calls.close();
        let parts = self.parts.as_mut().map_or_else(Vec::new, Counted::close);
        if !calls.is_empty() || !parts.is_empty() {
            self.closed.push(Second { second: self.second, calls, parts });
        }
    }

    /// Hands out the seconds that ended since it was asked last, and the second that is under way.
    pub(super) fn take_seconds(&mut self, now: Instant) -> (Vec<Second>, u64) {
        self.advance(now);
        (std::mem::take(&mut self.closed), self.second)
    }

    /// Hands out the packed calls since it was asked last.
    pub(super) fn take_events(&mut self) -> Vec<u8> {
        self.events.as_mut().map_or_else(Vec::new, std::mem::take)
    }

    /// Ends the recording.
    pub(super) fn finish(mut self) -> Recorded {
        self.close_second();
        if !self.open {
            self.calls.whole.iter_mut().for_each(|tally| tally.response = tally.service.clone());
        }
        for (tally, never) in self.calls.whole.iter_mut().zip(&self.never) {
            tally.response.record_infinite(*never);
        }
        let mut parts = self.parts.map_or_else(Vec::new, |counted| counted.whole);
        parts.iter_mut().for_each(|tally| tally.response = tally.service.clone());
        Recorded { calls: self.calls.whole, parts, seconds: self.closed }
    }
}
