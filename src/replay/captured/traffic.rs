//! Captured sessions as a program: each connection plays its transactions at the times they had.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::divergence::{Counted, Divergence};
use super::store::{Stored, StoredStep};
use super::timeline::Timeline;
use crate::load::WARM_UP_CALLS;
use crate::replay::args::Args;
use crate::replay::program::{Client, End, Ending, Label, Prepared, Program, Reply, Request, Sql, Step};
use crate::replay::writes::Writes;

/// Shorter pauses than this are below what the log's times and a sleeping client's clock can tell.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Makes a session read-only again after it was reset.
const READ_ONLY: &str = "set default_transaction_read_only = on";

/// A timeline that is played.
#[derive(Debug)]
pub struct Traffic {
    timeline: Timeline,
    speed: f64,
    writes: Writes,
    /// By connection: the transaction it makes next, read before it is due.
    ahead: Vec<Mutex<Option<Ahead>>>,
    counted: Counted,
    trouble: Mutex<Option<String>>,
}

impl Traffic {
    /// Plays a timeline `speed` times as fast as it was captured; pauses inside transactions shrink with it.
    pub fn new(timeline: Timeline, speed: f64, writes: Writes) -> Self {
        let ahead = timeline.first.iter().map(|_| Mutex::default()).collect();
        Self { timeline, speed, writes, ahead, counted: Counted::default(), trouble: Mutex::default() }
    }

    /// Returns what is played.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Returns where the calls so far went otherwise than those captured; those of a warm-up are not counted.
    pub fn divergence(&self) -> Divergence {
        self.counted.get()
    }

    /// Returns why the capture could not be read further, when that happened.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn noted<T>(&self, read: std::io::Result<T>) -> Option<T> {
        read.map_err(|error| *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string())).ok()
    }

    fn read(&self, place: u64) -> Option<Ahead> {
        self.noted(self.timeline.store.read(place)).map(|(head, stored)| Ahead { place, label: head.label as usize, stored })
    }
}

/// A transaction that was read before its time.
#[derive(Debug)]
struct Ahead {
    place: u64,
    label: usize,
    stored: Stored,
}

/// The place of a call in the store, and whether it is measured.
fn place(call: u64) -> (u64, bool) {
    (call & !WARM_UP_CALLS, call & WARM_UP_CALLS == 0)
}

impl Program for Traffic {
    fn labels(&self) -> &[Label] {
        &self.timeline.labels
    }

    fn label(&self, call: u64) -> usize {
        self.noted(self.timeline.store.head(place(call).0)).map_or(0, |head| head.label as usize)
    }

    fn statements(&self) -> &[Prepared] {
        // A statement of the capture may be one that fails, and a connection has thousands: each is parsed when it is sent.
        &[]
    }

    fn example(&self, _: usize) -> Option<Vec<Option<String>>> {
        None
    }

    fn client(&self, number: usize) -> Box<dyn Client + '_> {
        Box::new(Player {
            traffic: self,
            number,
            stored: Stored::default(),
            is_measured: true,
            at: 0,
            phase: Phase::Pause,
            in_block: false,
            args: Args::default(),
            error: None,
            skipped: 0,
        })
    }

    fn captured(&self, number: usize, last: Option<u64>) -> Option<(u64, Duration)> {
        let (next, due_us) = match last {
            None => *self.timeline.first.get(number)?,
            Some(last) => self.noted(self.timeline.store.head(last)).and_then(|head| head.next),
        }?;
        // Read while the session has time, so that no call waits for it.
        let ahead = self.read(next)?;
        *self.ahead[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        Some((next, Duration::from_micros(due_us)))
    }

    fn has_transactions(&self) -> bool {
        self.timeline.has_transactions
    }
}

/// What a statement's turn comes to, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Pause,
    Prepare,
    Send,
    Judge,
    Next,
}

/// One connection's player.
struct Player<'t> {
    traffic: &'t Traffic,
    number: usize,
    stored: Stored,
    is_measured: bool,
    /// The statement whose turn it is.
    at: usize,
    phase: Phase,
    in_block: bool,
    args: Args<'static>,
    error: Option<String>,
    skipped: u32,
}

/// What is done next, before it is put into words.
enum Next {
    Sleep(Duration),
    Prepare,
    Send { wrapped: bool },
    ReadOnly,
    Rollback,
    Done,
}

impl Player<'_> {
    fn decide(&mut self, reply: &Reply<'_>) -> Next {
        loop {
            let Some(step) = self.stored.steps.get(self.at) else { return self.finish() };
            match self.phase {
                Phase::Pause => {
                    self.phase = Phase::Prepare;
                    let pause = Duration::from_micros(step.pause_us).div_f64(self.traffic.speed);
                    if pause >= PAUSE_MIN {
                        return Next::Sleep(pause);
                    }
                }
                Phase::Prepare => {
                    self.phase = Phase::Send;
                    if step.prepare.is_some() {
                        return Next::Prepare;
                    }
                }
                Phase::Send => {
                    self.phase = Phase::Judge;
                    self.args.clear();
                    for value in &step.parameters {
                        match value {
                            Some(text) => self.args.push_made(format_args!("{text}")),
                            None => self.args.push_kept(None),
                        }
                    }
                    return Next::Send { wrapped: step.wrapped && !self.in_block };
                }
                Phase::Judge => {
                    let resets = step.resets;
                    if !self.judge(reply) {
                        // The rest would fail for nothing.
                        self.skipped = (self.stored.steps.len() - self.at - 1) as u32;
                        self.at = self.stored.steps.len();
                        continue;
                    }
                    self.phase = Phase::Next;
                    if resets && self.traffic.writes == Writes::Readonly {
                        return Next::ReadOnly;
                    }
                }
                Phase::Next => {
                    self.phase = Phase::Pause;
                    self.at += 1;
                }
            }
        }
    }

    /// Takes in how a statement went; false when the transaction cannot go on as it had.
    fn judge(&mut self, reply: &Reply<'_>) -> bool {
        let step = &self.stored.steps[self.at];
        let name = &self.traffic.timeline.labels[step.label as usize].name;
        let as_expected = self.traffic.counted.take(name, step.failed.as_deref(), reply.error, self.is_measured);
        match (step.block, reply.error) {
            (1, None) => self.in_block = true,
            // A COMMIT that fails ends the block as well.
            (2, _) => self.in_block = false,
            _ => {}
        }
        if let Some(code) = reply.error.filter(|_| !as_expected)
            && self.error.is_none()
        {
            self.error = Some(code.to_owned());
        }
        // What had failed there was dealt with there: ROLLBACK or ROLLBACK TO follows.
        reply.error.is_none() || step.failed.is_some()
    }

    fn finish(&mut self) -> Next {
        // The session ended, the log did, or the transaction failed here: in any case no call may inherit the block.
        if std::mem::take(&mut self.in_block) { Next::Rollback } else { Next::Done }
    }

    fn text<'s>(&'s self, step: &'s StoredStep) -> &'s str {
        step.text.as_deref().unwrap_or_else(|| self.traffic.timeline.texts.get(step.statement as usize).map_or("", String::as_str))
    }
}

/// No arguments.
static NONE: std::sync::LazyLock<Args<'static>> = std::sync::LazyLock::new(Args::default);

impl Client for Player<'_> {
    fn begin(&mut self, call: u64) -> usize {
        let (place, is_measured) = place(call);
        let ahead = self.traffic.ahead[self.number].lock().unwrap_or_else(PoisonError::into_inner).take();
        let ahead = ahead.filter(|ahead| ahead.place == place).or_else(|| self.traffic.read(place));
        let (label, stored) = ahead.map_or_else(Default::default, |ahead| (ahead.label, ahead.stored));
        self.stored = stored;
        self.is_measured = is_measured;
        (self.at, self.phase, self.in_block, self.error, self.skipped) = (0, Phase::Pause, false, None, 0);
        label
    }

    fn next(&mut self, reply: &Reply<'_>) -> Step<'_> {
        let next = self.decide(reply);
        let request = |label: u32, sql, args| Request { label: label as usize, sql, args, begin: None, end: None, wants_row: false };
        let (step, session) = (self.stored.steps.get(self.at), self.traffic.timeline.session_label);
        match (next, step) {
            (Next::Sleep(pause), _) => Step::Sleep(pause),
            (Next::Prepare, Some(step)) => Step::Run(request(session, Sql::Simple(step.prepare.as_deref().unwrap_or_default()), &NONE)),
            (Next::Send { wrapped }, Some(step)) => {
                let text = self.text(step);
                let sql = if step.simple { Sql::Simple(text) } else { Sql::Once(text) };
                let (begin, end) = if wrapped { (Some("begin"), Some(End::Rollback)) } else { (None, None) };
                Step::Run(Request { begin, end, ..request(step.label, sql, &self.args) })
            }
            (Next::ReadOnly, Some(_)) => Step::Run(request(session, Sql::Simple(READ_ONLY), &NONE)),
            (Next::Rollback, _) => Step::End(End::Rollback),
            (Next::Done, _) | (_, None) => Step::Done(Ending { error: self.error.as_deref(), retries: 0, skipped: self.skipped }),
        }
    }
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
