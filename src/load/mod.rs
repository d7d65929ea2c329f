//! The engine: sends calls at their time and records what they took. Knows neither SQL nor HTTP.
//!
//! ```text
//! Arrival ──▶ driver ──▶ Session::call(number) ──▶ Recorder ──▶ Recording
//! (when)      (who)      (SQL, HTTP, a test's fake)  (how long)
//! ```
//!
//! One worker: the driver, its sessions and its recorder live on one thread and share nothing with others but [`Stop`].
//! A call is named by its number; the target derives from it what to do, so that the same number is the same call in
//! every run.

pub mod arrival;
pub mod clock;
pub mod driver;
mod open;
pub mod recorder;
pub mod stop;

use std::future::Future;

pub use arrival::{Arrival, Spacing};
pub use clock::Clock;
pub use driver::{Ended, Plan, Progress, drive};
pub use recorder::{LabelRecording, Recording, Slice};
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
    fn call(&mut self, call: u64) -> impl Future<Output = Outcome>;
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which label it belongs to; the same as [`Target::label`].
    pub label: usize,
    /// Rows or items it returned or changed.
    pub rows: u64,
    /// Its error's code; `None` when it succeeded.
    pub error: Option<String>,
    /// Whether the session cannot make further calls.
    pub lost: bool,
}

impl Outcome {
    /// A call that succeeded.
    pub fn done(label: usize, rows: u64) -> Self {
        Self { label, rows, error: None, lost: false }
    }

    /// A call that failed with a code, on a session that goes on.
    pub fn failed(label: usize, code: impl Into<String>) -> Self {
        Self { label, rows: 0, error: Some(code.into()), lost: false }
    }
}
