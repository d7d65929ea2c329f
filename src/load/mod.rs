//! The engine: sends calls at their time and records what they took. Knows neither SQL nor HTTP.
//!
//! ```text
//! Arrival ──▶ driver ──▶ Session::call(number) ──▶ Recorder ──▶ Recording
//! (when)      (who)      (SQL, HTTP, a test's fake)  (how long)
//! ```
//!
//! A worker's driver, sessions and recorder live on one thread and share nothing with others but [`Stop`]; several
//! workers divide a plan by number ([`Place`]), report about once a second, and a [`Gathering`] puts their reports together.
//! A call is named by its number; the target derives from it what to do, so that the same number is the same call in
//! every run.

pub mod arrival;
pub mod clock;
pub mod driver;
pub mod events;
mod open;
pub mod recorder;
pub mod recording;
pub mod schedule;
mod series;
pub mod stop;

use std::future::Future;

use tokio::time::Instant;

pub use arrival::{Arrival, Overflow, Spacing, Stage};
pub use clock::Clock;
pub use driver::{Ended, Gathering, Place, Plan, Progress, Tick, drive, drive_share};
pub use recorder::Tally;
pub use recording::{LabelRecording, Recording, Share};
pub use schedule::{Schedule, Times};
pub use series::Slice;
pub use stop::Stop;

/// Call numbers of the warm-up start here, so that no measured call repeats one of them.
pub const WARM_UP_CALLS: u64 = 1 << 63;

/// What is put under load.
pub trait Target {
    /// Carries calls out, one at a time.
    type Session: Session;

    /// Returns how many labels there are.
    fn labels(&self) -> usize;

    /// Returns the label of a call, also of one that is never made; a pure function.
    fn label(&self, call: u64) -> usize;
}

/// One client of the target.
pub trait Session {
    /// Makes the call and returns once its whole answer has arrived.
    ///
    /// A call that consists of several pieces, each with a label of its own, reports them in `parts`, which is empty; one
    /// that is itself its only piece reports none.
    fn call(&mut self, call: u64, parts: &mut Vec<Part>) -> impl Future<Output = Outcome>;
}

/// A piece of a call: one statement of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which label it belongs to.
    pub label: usize,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer had arrived.
    pub ended: Instant,
    /// Rows or items it returned or changed.
    pub rows: u64,
    /// Its error's code; `None` when it succeeded.
    pub error: Option<String>,
}

/// How a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Which label it belongs to; the same as [`Target::label`].
    pub label: usize,
    /// Rows or items it returned or changed.
    pub rows: u64,
    /// Its error's code; `None` when it succeeded.
    pub error: Option<String>,
    /// How often it was begun again before it ended.
    pub retries: u32,
    /// Pieces it did not get to.
    pub skipped: u32,
    /// Whether the session cannot make further calls.
    pub lost: bool,
}

impl Outcome {
    /// A call that succeeded.
    pub fn done(label: usize, rows: u64) -> Self {
        Self { label, rows, ..Self::default() }
    }

    /// A call that failed with a code, on a session that goes on.
    pub fn failed(label: usize, code: impl Into<String>) -> Self {
        Self { label, error: Some(code.into()), ..Self::default() }
    }
}
