//! Captured time: each session has calls of its own, due at times of their own.
//!
//! A session that is free puts the time of its next call on the agenda and waits; the dispatcher sleeps until the
//! earliest of them. One precise timer so serves all sessions of a worker.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::load::{Clock, Stop};

/// The times at which the waiting sessions of a worker go on.
#[derive(Debug)]
pub(super) struct Agenda {
    due: RefCell<BinaryHeap<Reverse<(Instant, usize)>>>,
    slots: Vec<RefCell<Slot>>,
    changed: Notify,
    closed: Cell<bool>,
}

#[derive(Debug, Default)]
struct Slot {
    is_due: bool,
    waker: Option<Waker>,
}

impl Agenda {
    pub(super) fn new(sessions: usize) -> Self {
        Self {
            due: RefCell::new(BinaryHeap::with_capacity(sessions)),
            slots: (0..sessions).map(|_| RefCell::default()).collect(),
            changed: Notify::new(),
            closed: Cell::new(false),
        }
    }

    /// Waits until `due`; false when the run ended before.
    pub(super) async fn wait(&self, slot: usize, due: Instant) -> bool {
        if self.closed.get() {
            return false;
        }
        let is_first = self.due.borrow().peek().is_none_or(|Reverse((first, _))| due < *first);
        self.due.borrow_mut().push(Reverse((due, slot)));
        if is_first {
            self.changed.notify_one();
        }
        poll_fn(|context| {
            let mut own = self.slots[slot].borrow_mut();
            if std::mem::take(&mut own.is_due) {
                return Poll::Ready(true);
            }
            if self.closed.get() {
                return Poll::Ready(false);
            }
            own.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Lets sessions go on at their time, until a stop.
    pub(super) async fn dispatch(&self, clock: &Clock, stop: &Stop) {
        while !stop.is_requested() {
            let first = self.due.borrow().peek().map(|Reverse((due, _))| *due);
            match first {
                None => tokio::select! {
                    () = self.changed.notified() => {}
                    () = stop.requested() => {}
                },
                Some(due) if due > Instant::now() => tokio::select! {
                    () = clock.sleep_until(due) => {}
                    () = self.changed.notified() => {}
                    () = stop.requested() => {}
                },
                Some(_) => {
                    if let Some(Reverse((_, slot))) = self.due.borrow_mut().pop() {
                        self.wake(slot, true);
                    }
                }
            }
        }
        self.closed.set(true);
        (0..self.slots.len()).for_each(|slot| self.wake(slot, false));
    }

    fn wake(&self, slot: usize, is_due: bool) {
        let mut slot = self.slots[slot].borrow_mut();
        slot.is_due |= is_due;
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}
