//! Sessions that time both sides: a duet makes each call on both, a solo is one side's turn.

use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use tokio::time::Instant;

use crate::diff::Diff;
use crate::load::{Outcome, Part, Session, Target};
use crate::pg::session::{OpenError, SqlSession, SqlTarget};
use crate::replay::observed::{Pair, Single};
use crate::replay::paired::Failures;
use crate::stats::random;

/// The stream of random numbers that tosses the coin.
const COIN: u64 = 0x636f_696e;

/// 4: a client of a duet takes turns on as many connections to each side, so that where the system's scheduler put one of
/// them weighs a quarter. Only one of them is at work at a time.
pub(super) const CONNECTIONS: usize = 4;

/// Microseconds from sent to answered; `None` when it failed. In floating point: a call of 50 µs rounded to whole ones
/// would be off by 1 %.
type Took = Option<f32>;

/// Makes a call and says what it took; its pieces, if any, are left in `parts`.
async fn timed(session: &mut SqlSession<'_>, call: u64, parts: &mut Vec<Part>) -> (Outcome, Took) {
    parts.clear();
    let sent = Instant::now();
    let outcome = session.call(call, parts).await;
    let took = took(sent.elapsed(), outcome.error.is_none());
    (outcome, took)
}

fn took(time: Duration, succeeded: bool) -> Took {
    succeeded.then_some((time.as_secs_f64() * 1e6) as f32)
}

fn took_of(part: &Part) -> Took {
    took(part.ended.saturating_duration_since(part.sent), part.error.is_none())
}

fn count(failures: &mut Failures, took: Took) {
    failures.count += 1;
    failures.failed += u64::from(took.is_none());
}

/// Opens a session with a connection of its own.
async fn one<'a>(target: &'a SqlTarget<'a>, number: usize) -> Result<SqlSession<'a>, OpenError> {
    let mut opened = target.open(&[number]).await?;
    Ok(opened.pop().expect("one number opens one session"))
}

/// Both sides under one load.
pub(super) struct Duet<'a> {
    pub sides: Diff<&'a SqlTarget<'a>>,
    pub seed: u64,
}

impl<'a> Duet<'a> {
    /// Opens session `number` on each side.
    pub(super) async fn open(&self, number: usize) -> Result<DuetSession<'a>, OpenError> {
        let pair = || async {
            let (before, after) = try_join(one(self.sides.before, number), one(self.sides.after, number)).await?;
            Ok::<_, OpenError>(Diff { before, after })
        };
        Ok(DuetSession {
            sides: try_join_all((0..CONNECTIONS).map(|_| pair())).await?,
            turn: 0,
            seed: self.seed,
            slice: 0,
            pairs: Vec::new(),
            failures: Diff::default(),
            parts: Diff::default(),
        })
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
    /// Its connections, which take turns.
    sides: Vec<Diff<SqlSession<'a>>>,
    turn: usize,
    seed: u64,
    slice: u32,
    pairs: Vec<Pair>,
    failures: Diff<Failures>,
    /// Pieces of the call under way.
    parts: Diff<Vec<Part>>,
}

impl DuetSession<'_> {
    /// Forgets what was timed; what comes belongs to this slice.
    pub(super) fn begin(&mut self, slice: u32) {
        self.slice = slice;
        self.take();
    }

    /// Hands out what was timed.
    pub(super) fn take(&mut self) -> (Vec<Pair>, Diff<Failures>) {
        (std::mem::take(&mut self.pairs), std::mem::take(&mut self.failures))
    }
}

impl Session for DuetSession<'_> {
    async fn call(&mut self, call: u64, _: &mut Vec<Part>) -> Outcome {
        self.turn = (self.turn + 1) % self.sides.len();
        let sides = &mut self.sides[self.turn];
        let before_first = random::bits(self.seed, COIN, call, 0) & 1 == 0;
        let ((outcome, before), (other, after)) = if before_first {
            let first = timed(&mut sides.before, call, &mut self.parts.before).await;
            (first, timed(&mut sides.after, call, &mut self.parts.after).await)
        } else {
            let first = timed(&mut sides.after, call, &mut self.parts.after).await;
            (timed(&mut sides.before, call, &mut self.parts.before).await, first)
        };
        count(&mut self.failures.before, before);
        count(&mut self.failures.after, after);
        self.pairs.push(Pair { slice: self.slice, label: outcome.label as u32, part: false, took_us: Diff { before, after } });
        // Both sides send the same pieces unless one of them fails or begins again.
        for (before, after) in self.parts.before.iter().zip(&self.parts.after).take_while(|(before, after)| before.label == after.label) {
            let took_us = Diff { before: took_of(before), after: took_of(after) };
            self.pairs.push(Pair { slice: self.slice, label: before.label as u32, part: true, took_us });
        }
        let lost = outcome.lost || other.lost;
        let error = outcome.error.or(other.error);
        Outcome { error, lost, ..Outcome::done(outcome.label, outcome.rows + other.rows) }
    }
}

/// One side under load.
pub(super) struct Solo<'a>(pub &'a SqlTarget<'a>);

impl<'a> Solo<'a> {
    /// Opens session `number`.
    pub(super) async fn open(&self, number: usize) -> Result<SoloSession<'a>, OpenError> {
        Ok(SoloSession { session: one(self.0, number).await?, calls: Vec::new(), failures: Failures::default() })
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
    async fn call(&mut self, call: u64, parts: &mut Vec<Part>) -> Outcome {
        let (outcome, took_us) = timed(&mut self.session, call, parts).await;
        count(&mut self.failures, took_us);
        self.calls.push(Single { label: outcome.label as u32, part: false, took_us });
        self.calls.extend(parts.iter().map(|part| Single { label: part.label as u32, part: true, took_us: took_of(part) }));
        outcome
    }
}
