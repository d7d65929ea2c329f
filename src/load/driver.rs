//! Drives sessions at the times an [`Arrival`] asks for.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::load::arrival::Times;
use crate::load::clock::thread_cpu;
use crate::load::open::Queue;
use crate::load::recorder::Recorder;
use crate::load::{Arrival, Clock, Recording, Session, Stop, Target};

/// 1 ms: a session that ends its call just as the next one comes due did not keep it waiting.
const QUEUED: Duration = Duration::from_millis(1);

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
    /// At most this many calls are made.
    pub max_calls: Option<u64>,
    /// Calls under way when the time is over, or the run is asked to end, may take this long; then they are given up.
    pub drain: Duration,
    /// Events still queued when the time is over may be started for this long; then they count as never started.
    pub grace: Duration,
}

impl Plan {
    /// Plans calls from number 0 on for `duration`, with 30 s to drain and 1 s for the rest of the queue.
    pub fn new(arrival: Arrival, seed: u64, duration: Duration) -> Self {
        Self { arrival, seed, first_call: 0, duration, max_calls: None, drain: Duration::from_secs(30), grace: Duration::from_secs(1) }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its time was over or its calls were made.
    Complete,
    /// It was asked to end.
    Stopped,
    /// No session could go on.
    Lost,
    /// Calls were given up because they did not end in time.
    Stuck,
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
    /// The 95th percentile of the last whole second's response times, in microseconds.
    pub p95_us: Option<u64>,
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
    end: Instant,
    recorder: RefCell<Recorder>,
    flights: Vec<Cell<Option<Flight>>>,
    lost: Cell<usize>,
}

impl Worker<'_> {
    /// Makes one call and records it; returns its end, and whether the session can go on.
    #[inline]
    async fn call<S: Session>(&self, session: &mut S, slot: usize, flight: Flight, sent: Instant) -> (Instant, bool) {
        self.flights[slot].set(Some(flight));
        let outcome = session.call(flight.call).await;
        let ended = Instant::now();
        self.flights[slot].set(None);
        self.recorder.borrow_mut().record(flight.intended, sent, ended, &outcome);
        if outcome.lost {
            self.lost.set(self.lost.get() + 1);
        }
        (ended, !outcome.lost)
    }

    /// Client `slot` of `clients` makes the calls `slot`, `slot + clients`, `slot + 2·clients`, …
    async fn closed<S: Session>(&self, session: &mut S, slot: usize, clients: usize, think: Duration) {
        let mut index = slot as u64;
        let mut sent = Instant::now();
        while sent < self.end && !self.stop.is_requested() && self.plan.max_calls.is_none_or(|max| index < max) {
            let flight = Flight { call: self.plan.first_call + index, intended: sent };
            let (ended, goes_on) = self.call(session, slot, flight, sent).await;
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

    /// Makes the calls the queue hands out.
    async fn open<S: Session>(&self, session: &mut S, slot: usize, queue: &Queue) {
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
            if !self.call(session, slot, flight, sent).await.1 {
                return;
            }
        }
    }

    /// Reports once a second, for ever.
    async fn report(&self, start: Instant, progress: &dyn Fn(&Progress)) {
        let mut due = start;
        loop {
            due += Duration::from_secs(1);
            tokio::time::sleep_until(due).await;
            let recorder = self.recorder.borrow();
            let p95_us = recorder.last_slice().and_then(|slice| slice.p95_us);
            let said = Progress { elapsed: start.elapsed(), calls: recorder.count, errors: recorder.errors, p95_us };
            drop(recorder);
            progress(&said);
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
    let start = Instant::now();
    let cpu_before = thread_cpu();
    let clients = sessions.len();
    let queue = match plan.arrival {
        Arrival::Open { rate, spacing, .. } => {
            let times = Times::new(rate, spacing, plan.seed);
            Some(Queue::new(times, start, plan.duration, plan.grace, plan.max_calls, clients))
        }
        Arrival::Closed { .. } => None,
    };
    let end = start + plan.duration;
    let worker = Worker {
        plan,
        stop,
        end,
        recorder: RefCell::new(Recorder::new(target.labels(), start, end, queue.is_some())),
        flights: (0..clients).map(|_| Cell::new(None)).collect(),
        lost: Cell::new(0),
    };

    let mut given_up = false;
    {
        let mut running: FuturesUnordered<_> = sessions
            .iter_mut()
            .enumerate()
            .map(|(slot, session)| match (&queue, plan.arrival) {
                (Some(queue), _) => Either::Left(worker.open(session, slot, queue)),
                (None, Arrival::Closed { think, .. }) => Either::Right(worker.closed(session, slot, clients, think)),
                (None, Arrival::Open { .. }) => unreachable!("an open loop has a queue"),
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
                () = worker.report(start, progress) => {}
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
    let cpu_share = cpu_before.zip(thread_cpu()).map(|(before, after)| {
        let elapsed = (finished - start).as_secs_f64().max(1e-9);
        (after.saturating_sub(before).as_secs_f64() / elapsed).min(1.0)
    });
    let window = (finished - start).min(plan.duration);
    let under_way: Vec<u64> = worker.flights.iter().filter_map(|flight| flight.get().map(|flight| flight.call)).collect();
    let left = queue.as_ref().map_or_else(Vec::new, |queue| queue.left_over(start + window));
    let (unfinished, not_started) = (under_way.len() as u64, left.len() as u64);
    let ended = if stop.is_requested() {
        Ended::Stopped
    } else if clients > 0 && worker.lost.get() == clients {
        Ended::Lost
    } else if given_up {
        Ended::Stuck
    } else {
        Ended::Complete
    };
    let recorder = worker.recorder.into_inner();
    let (count_in_window, queued) = (recorder.count_in_window, recorder.queued);
    let never = under_way.into_iter().chain(left.into_iter().map(|index| plan.first_call + index)).map(|call| target.label(call));
    let (labels, series, late) = recorder.finish(never);
    Recording { window, count_in_window, labels, series, not_started, unfinished, queued, late, cpu_share, ended }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
