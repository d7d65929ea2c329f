//! Ending a run early, from any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// Calls under way are finished, no further ones are started.
const DRAIN: u8 = 1;
/// Calls under way are given up.
const ABORT: u8 = 2;

/// A request to end a run; clones ask for the same.
///
/// The first request lets calls under way finish, the second gives them up: what Ctrl-C and Ctrl-C again should do.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    level: AtomicU8,
    changed: Notify,
}

impl Stop {
    /// Asks the run to end; asked twice, to end at once.
    pub fn request(&self) {
        let raise = |level: u8| (level < ABORT).then_some(level + 1);
        // Failing to raise means that it was at its highest already.
        let _ = self.0.level.fetch_update(Ordering::Release, Ordering::Acquire, raise);
        self.0.changed.notify_waiters();
    }

    /// Returns whether the run was asked to end.
    #[inline]
    pub fn is_requested(&self) -> bool {
        self.0.level.load(Ordering::Acquire) >= DRAIN
    }

    /// Returns whether the run was asked to end at once.
    pub fn is_abort(&self) -> bool {
        self.0.level.load(Ordering::Acquire) >= ABORT
    }

    /// Waits until the run is asked to end.
    pub async fn requested(&self) {
        self.reached(DRAIN).await;
    }

    /// Waits until the run is asked to end at once.
    pub async fn aborted(&self) {
        self.reached(ABORT).await;
    }

    async fn reached(&self, level: u8) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Listen first, look second: a request in between is then heard.
            changed.as_mut().enable();
            if self.0.level.load(Ordering::Acquire) >= level {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_request_aborts() {
        let stop = Stop::default();
        assert!(!stop.is_requested());
        let clone = stop.clone();
        let waiting = tokio::spawn(async move { clone.aborted().await });
        stop.request();
        stop.requested().await;
        assert!(stop.is_requested() && !stop.is_abort() && !waiting.is_finished());
        stop.request();
        stop.request();
        waiting.await.unwrap();
        assert!(stop.is_abort());
    }
}
