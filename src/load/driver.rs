//! Drives sessions at the times an [`Arrival`] asks for.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::load::clock::thread_cpu;
use crate::load::open::Queue;
use crate::load::recorder::Recorder;
use crate::load::recording::{Share, merged};
use crate::load::series::{Second, Series};
use crate::load::{Arrival, Clock, Overflow, Part, Recording, Schedule, Session, Stop, Target};
use crate::stats::Histogram;
use crate::stats::histogram::Precision;

/// 1 ms: a session that ends its call just as the next one comes due did not keep it waiting.
pub(super) const QUEUED: Duration = Duration::from_millis(1);

/// How long and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How calls are spaced.
    pub arrival: Arrival,
    /// The seed of Poisson arrivals.
    pub seed: u64,
    /// The number of the first call.
    pub first_call: u64,
    /// Calls are started for this long.
    pub duration: Duration,
    /// What becomes of calls that are due while all sessions are busy (open loop).
    pub overflow: Overflow,
    /// At most this many calls are made.
    pub max_calls: Option<u64>,
    /// Whether every call is reported on its own (see [`crate::load::events`]).
    pub events: bool,
    /// Calls under way when the time is over, or the run is asked to end, may take this long; then they are given up.
    pub drain: Duration,
    /// Events still queued when the time is over may be started for this long; then they count as never started.
    pub grace: Duration,
}

impl Plan {
    /// Plans calls from number 0 on for `duration`, with 30 s to drain and 1 s for the rest of the queue.
    pub fn new(arrival: Arrival, seed: u64, duration: Duration) -> Self {
        Self {
            arrival,
            seed,
            first_call: 0,
            duration,
            overflow: Overflow::Queue,
            max_calls: None,
            events: false,
            drain: Duration::from_secs(30),
            grace: Duration::from_secs(1),
        }
    }
}

/// How a run ended; the later ones outweigh the earlier where workers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Its time was over or its calls were made.
    Complete,
    /// Calls were given up because they did not end in time.
    Stuck,
    /// No session could go on.
    Lost,
    /// It was asked to end.
    Stopped,
}

/// What is known while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Since the start of this part.
    pub elapsed: Duration,
    /// Calls that ended.
    pub calls: u64,
    /// Of them with an error.
    pub errors: u64,
    /// Calls that ended in the last whole second.
    pub rate: u64,
    /// The 95th percentile of the last whole second's response times, in microseconds.
    pub p95_us: Option<u64>,
}

/// One worker among those that share a plan.
///
/// Worker w of W owns the sessions and, in an open loop, the events whose number modulo W is w; so workers share nothing,
/// and all of them together make the same calls whatever their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 0.
    pub worker: usize,
    /// How many there are.
    pub workers: usize,
    /// When all of them start.
    pub start: Instant,
}

impl Place {
    /// Returns how many of `all` sessions are its own.
    pub fn sessions(&self, all: usize) -> usize {
        (all + self.workers - 1 - self.worker) / self.workers
    }
}

/// What a worker reports about once a second.
#[derive(Debug)]
pub struct Tick {
    worker: usize,
    elapsed: Duration,
    calls: u64,
    errors: u64,
    seconds: Vec<Second>,
    under_way: u64,
    /// The calls that ended since the last report, packed as [`crate::load::events`] has them.
    pub events: Vec<u8>,
}

/// Puts the reports of all workers together while they run, and their shares in the end.
#[derive(Debug)]
pub struct Gathering {
    series: Series,
    /// By worker: calls, errors.
    counts: Vec<(u64, u64)>,
}

impl Gathering {
    /// Expects reports of so many workers about a target with so many labels.
    pub fn new(workers: usize, labels: usize) -> Self {
        Self { series: Series::new(workers, labels), counts: vec![(0, 0); workers] }
    }

    /// Takes in a report and returns what is known then.
    pub fn take(&mut self, tick: Tick) -> Progress {
        self.counts[tick.worker] = (tick.calls, tick.errors);
        self.series.take(tick.worker, tick.seconds, tick.under_way);
        let last = self.series.last();
        Progress {
            elapsed: tick.elapsed,
            calls: self.counts.iter().map(|(calls, _)| calls).sum(),
            errors: self.counts.iter().map(|(_, errors)| errors).sum(),
            rate: last.map_or(0, |slice| slice.count),
            p95_us: last.and_then(|slice| slice.p95_us),
        }
    }

    /// Returns the whole recording.
    pub fn finish(self, shares: Vec<Share>) -> Recording {
        merged(shares, self.series)
    }
}

/// A call under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    call: u64,
    intended: Instant,
}

/// What the sessions of one worker share; all on one thread.
struct Worker<'a> {
    plan: &'a Plan,
    stop: &'a Stop,
    start: Instant,
    end: Instant,
    recorder: RefCell<Recorder>,
    flights: Vec<Cell<Option<Flight>>>,
    lost: Cell<usize>,
}

impl Worker<'_> {
    /// Makes one call and records it; returns its end, and whether the session can go on.
    #[inline]
    async fn call<S: Session>(
        &self,
        session: &mut S,
        slot: usize,
        flight: Flight,
        sent: Instant,
        parts: &mut Vec<Part>,
    ) -> (Instant, bool) {
        self.flights[slot].set(Some(flight));
        let outcome = session.call(flight.call, parts).await;
        let ended = Instant::now();
        self.flights[slot].set(None);
        self.recorder.borrow_mut().record(flight.intended, sent, ended, &outcome, parts);
        if outcome.lost {
            self.lost.set(self.lost.get() + 1);
        }
        (ended, !outcome.lost)
    }

    /// Client `number` of `clients` makes the calls `number`, `number + clients`, `number + 2·clients`, …
    async fn closed<S: Session>(&self, session: &mut S, slot: usize, number: usize, clients: usize, think: Duration) {
        let (mut index, mut parts) = (number as u64, Vec::new());
        self.begins().await;
        let mut sent = Instant::now();
        while sent < self.end && !self.stop.is_requested() && self.plan.max_calls.is_none_or(|max| index < max) {
            let flight = Flight { call: self.plan.first_call + index, intended: sent };
            let (ended, goes_on) = self.call(session, slot, flight, sent, &mut parts).await;
            if !goes_on {
                return;
            }
            index += clients as u64;
            sent = ended;
            if !think.is_zero() {
                let rested = (ended + think).min(self.end);
                tokio::select! {
                    () = tokio::time::sleep_until(rested) => {}
                    () = self.stop.requested() => {}
                }
                sent = Instant::now();
            }
        }
    }

    /// Waits for the common start, when it lies ahead.
    async fn begins(&self) {
        if Instant::now() < self.start {
            tokio::time::sleep_until(self.start).await;
        }
    }

    /// Makes the calls the queue hands out.
    async fn open<S: Session>(&self, session: &mut S, slot: usize, queue: &Queue<'_>) {
        let mut parts = Vec::new();
        while !self.stop.is_requested() {
            let Some(event) = queue.next(slot).await else { return };
            let sent = Instant::now();
            {
                let mut recorder = self.recorder.borrow_mut();
                let waited = sent.saturating_duration_since(event.intended);
                if event.was_free {
                    recorder.late.record(waited);
                } else if waited > QUEUED {
                    recorder.queued += 1;
                }
            }
            let flight = Flight { call: self.plan.first_call + event.index, intended: event.intended };
            if !self.call(session, slot, flight, sent, &mut parts).await.1 {
                return;
            }
        }
    }

    /// Reports once a second, for ever.
    async fn report(&self, worker: usize, tell: &dyn Fn(Tick)) {
        let mut due = self.start;
        loop {
            due += Duration::from_secs(1);
            tokio::time::sleep_until(due).await;
            let tick = {
                let mut recorder = self.recorder.borrow_mut();
                let (seconds, under_way) = recorder.take_seconds(Instant::now());
                let (calls, errors) = (recorder.count, recorder.errors);
                let events = recorder.take_events();
                Tick { worker, elapsed: self.start.elapsed(), calls, errors, seconds, under_way, events }
            };
            tell(tick);
        }
    }

    /// Waits until calls under way have had their time.
    async fn patience_ends(&self) {
        tokio::select! {
            () = tokio::time::sleep_until(self.end) => {}
            () = self.stop.requested() => {}
        }
        tokio::time::sleep(self.plan.drain).await;
    }
}

/// Makes the calls of a plan and returns what they took.
///
/// Must run on one thread: every session is polled by this future. `sessions` are as many as the arrival asks for.
/// `progress` is called about once a second. A stop, a lost target or calls that do not end cut the run short; what was
/// measured until then is returned.
pub async fn drive<T: Target>(
    target: &T,
    sessions: &mut [T::Session],
    plan: &Plan,
    clock: &Clock,
    stop: &Stop,
    progress: &dyn Fn(&Progress),
) -> Recording {
    let gathering = RefCell::new(Gathering::new(1, target.labels()));
    let place = Place { worker: 0, workers: 1, start: Instant::now() };
    let tell = |tick: Tick| {
        let said = gathering.borrow_mut().take(tick);
        progress(&said);
    };
    let share = drive_share(target, sessions, plan, place, clock, stop, &tell).await;
    gathering.into_inner().finish(vec![share])
}

/// Makes one worker's share of the calls of a plan; `sessions` are its own, [`Place::sessions`] of them.
///
/// As [`drive`], but what it measures is put together by a [`Gathering`], to which `tell` takes its reports.
pub async fn drive_share<T: Target>(
    target: &T,
    sessions: &mut [T::Session],
    plan: &Plan,
    place: Place,
    clock: &Clock,
    stop: &Stop,
    tell: &dyn Fn(Tick),
) -> Share {
    let start = place.start;
    let cpu_before = thread_cpu();
    let clients = sessions.len();
    let end = start + plan.duration;
    let worker = Worker {
        plan,
        stop,
        start,
        end,
        recorder: RefCell::new(Recorder::new(target.labels(), start, end, plan)),
        flights: (0..clients).map(|_| Cell::new(None)).collect(),
        lost: Cell::new(0),
    };

    let shed_count = Cell::new(0);
    let shed = |index: u64, intended: Instant| {
        shed_count.set(shed_count.get() + 1);
        worker.recorder.borrow_mut().never(target.label(plan.first_call + index), intended);
    };
    let queue =
        Schedule::of(&plan.arrival).map(|(schedule, spacing)| Queue::new(schedule.times(spacing, plan.seed), plan, place, clients, &shed));

    let mut given_up = false;
    {
        let all = plan.arrival.sessions();
        let think = if let Arrival::Closed { think, .. } = plan.arrival { think } else { Duration::ZERO };
        let mut running: FuturesUnordered<_> = sessions
            .iter_mut()
            .enumerate()
            .map(|(slot, session)| match &queue {
                Some(queue) => Either::Left(worker.open(session, slot, queue)),
                None => Either::Right(worker.closed(session, slot, place.worker + slot * place.workers, all, think)),
            })
            .collect();
        let all_sessions = async { while running.next().await.is_some() {} };
        let dispatcher = async {
            if let Some(queue) = &queue {
                queue.dispatch(clock, stop).await;
            }
            // The sessions decide when it is over, not the dispatcher.
            std::future::pending::<()>().await;
        };
        let housekeeping = async {
            tokio::select! {
                () = dispatcher => {}
                () = worker.report(place.worker, tell) => {}
                () = stop.aborted() => {}
                () = worker.patience_ends() => given_up = true,
            }
        };
        // A set of one is polled only when it was woken itself, not at the end of every call.
        let mut housekeeping: FuturesUnordered<_> = std::iter::once(housekeeping).collect();
        tokio::select! {
            biased;
            () = all_sessions => {}
            _ = housekeeping.next() => {}
        }
    }

    let finished = Instant::now();
    let elapsed = finished.saturating_duration_since(start);
    let cpu_share = cpu_before
        .zip(thread_cpu())
        .map(|(before, after)| (after.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64().max(1e-9)).min(1.0));
    let window = elapsed.min(plan.duration);
    let never = |call: u64, intended: Instant| worker.recorder.borrow_mut().never(target.label(call), intended);
    let (mut unfinished, mut not_started) = (0, shed_count.get());
    for flight in worker.flights.iter().filter_map(Cell::get) {
        never(flight.call, flight.intended);
        unfinished += 1;
    }
    if let Some(queue) = &queue {
        queue.left_over(start + window, |index, intended| {
            never(plan.first_call + index, intended);
            not_started += 1;
        });
    }
    let shed = if plan.overflow == Overflow::Shed { not_started } else { 0 };
    let ended = if stop.is_requested() {
        Ended::Stopped
    } else if clients > 0 && worker.lost.get() == clients {
        Ended::Lost
    } else if given_up {
        Ended::Stuck
    } else {
        Ended::Complete
    };
    let mut recorder = worker.recorder.into_inner();
    let (count_in_window, queued) = (recorder.count_in_window, recorder.queued);
    let late = std::mem::replace(&mut recorder.late, Histogram::new(Precision::Whole));
    let events = recorder.take_events();
    let recorded = recorder.finish();
    Share { recorded, events, window, count_in_window, not_started, shed, unfinished, queued, late, cpu_share, ended }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
