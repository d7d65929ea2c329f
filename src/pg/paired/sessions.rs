//! Sessions that time both sides: a duet makes each call on both, a solo is one side's turn.

use futures_util::future::try_join;
use tokio::time::Instant;

use crate::diff::Diff;
use crate::load::{Outcome, Session, Target};
use crate::pg::session::{OpenError, SqlSession, SqlTarget};
use crate::replay::observed::{Pair, Single};
use crate::replay::paired::Failures;
use crate::stats::random;

/// The stream of random numbers that tosses the coin.
const COIN: u64 = 0x636f_696e;

/// Makes a call and says what it took: microseconds from sent to answered, `None` when it failed.
async fn timed(session: &mut SqlSession<'_>, call: u64) -> (Outcome, Option<f32>) {
    let sent = Instant::now();
    let outcome = session.call(call).await;
    // In floating point: a call of 50 µs rounded to whole ones would be off by 1 %.
    let took = sent.elapsed().as_secs_f64() * 1e6;
    let took = outcome.error.is_none().then_some(took as f32);
    (outcome, took)
}

fn count(failures: &mut Failures, took: Option<f32>) {
    failures.count += 1;
    failures.failed += u64::from(took.is_none());
}

/// Both sides under one load.
pub(super) struct Duet<'a> {
    pub sides: Diff<&'a SqlTarget<'a>>,
    pub seed: u64,
}

impl<'a> Duet<'a> {
    /// Opens a session on each side.
    pub(super) async fn open(&self) -> Result<DuetSession<'a>, OpenError> {
        let (before, after) = try_join(self.sides.before.open(), self.sides.after.open()).await?;
        let sides = Diff { before, after };
        Ok(DuetSession { sides, seed: self.seed, start: Instant::now(), pairs: Vec::new(), failures: Diff::default() })
    }
}

impl<'a> Target for Duet<'a> {
    type Session = DuetSession<'a>;

    fn labels(&self) -> usize {
        self.sides.before.labels()
    }

    fn label(&self, call: u64) -> usize {
        self.sides.before.label(call)
    }
}

/// One client that makes each call on both sides back to back; a coin says where first.
pub(super) struct DuetSession<'a> {
    sides: Diff<SqlSession<'a>>,
    seed: u64,
    start: Instant,
    pairs: Vec<Pair>,
    failures: Diff<Failures>,
}

impl DuetSession<'_> {
    /// Forgets what was timed and counts from now.
    pub(super) fn begin(&mut self, start: Instant) {
        self.start = start;
        self.take();
    }

    /// Hands out what was timed.
    pub(super) fn take(&mut self) -> (Vec<Pair>, Diff<Failures>) {
        (std::mem::take(&mut self.pairs), std::mem::take(&mut self.failures))
    }
}

impl Session for DuetSession<'_> {
    async fn call(&mut self, call: u64) -> Outcome {
        let at_s = self.start.elapsed().as_secs_f32();
        let before_first = random::bits(self.seed, COIN, call, 0) & 1 == 0;
        let ((outcome, before), (other, after)) = if before_first {
            let first = timed(&mut self.sides.before, call).await;
            (first, timed(&mut self.sides.after, call).await)
        } else {
            let first = timed(&mut self.sides.after, call).await;
            (timed(&mut self.sides.before, call).await, first)
        };
        count(&mut self.failures.before, before);
        count(&mut self.failures.after, after);
        self.pairs.push(Pair { at_s, label: outcome.label as u32, took_us: Diff { before, after } });
        let lost = outcome.lost || other.lost;
        let error = outcome.error.or(other.error);
        Outcome { error, lost, ..Outcome::done(outcome.label, outcome.rows + other.rows) }
    }
}

/// One side under load.
pub(super) struct Solo<'a>(pub &'a SqlTarget<'a>);

impl<'a> Solo<'a> {
    /// Opens a session.
    pub(super) async fn open(&self) -> Result<SoloSession<'a>, OpenError> {
        Ok(SoloSession { session: self.0.open().await?, calls: Vec::new(), failures: Failures::default() })
    }
}

impl<'a> Target for Solo<'a> {
    type Session = SoloSession<'a>;

    fn labels(&self) -> usize {
        self.0.labels()
    }

    fn label(&self, call: u64) -> usize {
        self.0.label(call)
    }
}

/// One client of one side.
pub(super) struct SoloSession<'a> {
    session: SqlSession<'a>,
    calls: Vec<Single>,
    failures: Failures,
}

impl SoloSession<'_> {
    /// Hands out what was timed.
    pub(super) fn take(&mut self) -> (Vec<Single>, Failures) {
        (std::mem::take(&mut self.calls), std::mem::take(&mut self.failures))
    }
}

impl Session for SoloSession<'_> {
    async fn call(&mut self, call: u64) -> Outcome {
        let (outcome, took_us) = timed(&mut self.session, call).await;
        count(&mut self.failures, took_us);
        self.calls.push(Single { label: outcome.label as u32, took_us });
        outcome
    }
}
