//! The open loop's queue: which event is next, and which session takes it.
//!
//! Events are numbers in the order of their times, so the queue is the range from the next number to the last one due;
//! nothing is stored per event. A session that ends a call takes the next event if it is due, else it waits. The
//! dispatcher sleeps until the next event is due and hands every due event to a waiting session.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::load::driver::{Place, QUEUED};
use crate::load::{Clock, Overflow, Plan, Stop, Times};

/// An event handed to a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// Its number, from 0.
    pub(super) index: u64,
    /// When it was due.
    pub(super) intended: Instant,
    /// Whether a session was waiting for it when it came due.
    pub(super) was_free: bool,
}

/// The queue of one worker.
pub(super) struct Queue<'a> {
    start: Instant,
    /// Events due from here on do not belong to the run.
    duration: Duration,
    /// Nothing is started from here on.
    last_start: Instant,
    max_calls: u64,
    times: RefCell<Times>,
    place: Place,
    overflow: Overflow,
    /// Is told each event that is given up: its number, and when it was due.
    shed: &'a dyn Fn(u64, Instant),
    /// The next event of this worker, and when it is due since the start.
    next: Cell<Option<(u64, Duration)>>,
    waiting: RefCell<VecDeque<usize>>,
    slots: RefCell<Vec<Slot>>,
    became_free: Notify,
    closed: Cell<bool>,
}

#[derive(Debug, Default)]
struct Slot {
    event: Option<Event>,
    waker: Option<Waker>,
}

impl<'a> Queue<'a> {
    pub(super) fn new(times: Times, plan: &Plan, place: Place, sessions: usize, shed: &'a dyn Fn(u64, Instant)) -> Self {
        let queue = Self {
            start: place.start,
            duration: plan.duration,
            last_start: place.start + plan.duration + plan.grace,
            max_calls: plan.max_calls.unwrap_or(u64::MAX),
            times: RefCell::new(times),
            place,
            overflow: plan.overflow,
            shed,
            next: Cell::new(None),
            waiting: RefCell::new(VecDeque::with_capacity(sessions)),
            slots: RefCell::new((0..sessions).map(|_| Slot::default()).collect()),
            became_free: Notify::new(),
            closed: Cell::new(false),
        };
        queue.step();
        queue
    }

    /// Goes on to this worker's next event.
    fn step(&self) {
        let mut times = self.times.borrow_mut();
        let own = |index: u64| index % self.place.workers as u64 == self.place.worker as u64;
        let inside = |(index, due): &(u64, Duration)| *due < self.duration && *index < self.max_calls;
        // The others' events are walked past: some 20 ns each.
        self.next.set(times.by_ref().take_while(inside).find(|(index, _)| own(*index)));
    }

    /// Returns when the next event is due; `None` after the run's last.
    fn next_due(&self) -> Option<Instant> {
        self.next.get().map(|(_, due)| self.start + due)
    }

    /// Takes the next event if it is due by `now`.
    fn take(&self, now: Instant, was_free: bool) -> Option<Event> {
        loop {
            let (index, due) = self.next.get()?;
            let intended = self.start + due;
            if intended > now || now > self.last_start {
                return None;
            }
            self.step();
            if self.overflow == Overflow::Shed && !was_free && now - intended > QUEUED {
                // No session was free when it came due.
                (self.shed)(index, intended);
                continue;
            }
            return Some(Event { index, intended, was_free });
        }
    }

    /// Waits for the session's next event; `None` when there is none left.
    pub(super) async fn next(&self, session: usize) -> Option<Event> {
        let mut announced = false;
        poll_fn(|context| {
            if let Some(event) = self.slots.borrow_mut()[session].event.take() {
                return Poll::Ready(Some(event));
            }
            if self.closed.get() {
                return Poll::Ready(None);
            }
            if !announced {
                if let Some(event) = self.take(Instant::now(), false) {
                    return Poll::Ready(Some(event));
                }
                self.waiting.borrow_mut().push_back(session);
                self.became_free.notify_one();
                announced = true;
            }
            self.slots.borrow_mut()[session].waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Hands events to waiting sessions as they come due, until the last or a stop.
    pub(super) async fn dispatch(&self, clock: &Clock, stop: &Stop) {
        while let Some(due) = self.next_due() {
            let now = Instant::now();
            if stop.is_requested() || now > self.last_start {
                break;
            }
            if self.waiting.borrow().is_empty() {
                tokio::select! {
                    () = self.became_free.notified() => {}
                    () = stop.requested() => {}
                    () = tokio::time::sleep_until(self.last_start) => break,
                }
                continue;
            }
            if due > now {
                tokio::select! {
                    () = clock.sleep_until(due) => {}
                    () = stop.requested() => {}
                }
                continue;
            }
            // The session that waited longest: all are used, and none goes cold at a low rate.
            let Some(session) = self.waiting.borrow_mut().pop_front() else { continue };
            let event = self.take(now, true);
            let mut slots = self.slots.borrow_mut();
            slots[session].event = event;
            if let Some(waker) = slots[session].waker.take() {
                waker.wake();
            }
        }
        if self.max_calls == u64::MAX {
            // Nothing more is due, but the run lasts its time: a rate is calls over all of it.
            tokio::select! {
                () = tokio::time::sleep_until(self.start + self.duration) => {}
                () = stop.requested() => {}
            }
        }
        self.closed.set(true);
        for slot in self.slots.borrow_mut().iter_mut() {
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// Tells the events that were due by `until` and never started.
    pub(super) fn left_over(&self, until: Instant, mut tell: impl FnMut(u64, Instant)) {
        // A session that was dropped may not have seen what was handed to it.
        self.slots.borrow().iter().filter_map(|slot| slot.event).for_each(|event| tell(event.index, event.intended));
        while let Some((index, due)) = self.next.get().filter(|(_, due)| self.start + *due <= until) {
            tell(index, self.start + due);
            self.step();
        }
    }
}
