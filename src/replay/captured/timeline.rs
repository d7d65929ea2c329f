//! A capture made ready to be played by its own times: which connection makes which transaction when.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::time::Duration;

use super::call::{Call, Deed, Run};
use super::calls::CallsError;
use super::labels::Labels;
use super::pool::{PoolStats, Pooled, pooled};
use super::sift::{Block, LeftOut, Manner, sift};
use super::store::{Store, Stored, StoredStep, Writer};
use super::{Captured, WireProtocol};
use crate::replay::program::Label;
use crate::replay::writes::Writes;

/// A capture in the order it is played.
#[derive(Debug)]
pub struct Timeline {
    pub(super) store: Store,
    /// By connection: the place of its first transaction, and when that is due.
    pub(super) first: Vec<Option<(u64, u64)>>,
    pub(super) labels: Vec<Label>,
    /// What is sent on a session's behalf counts under this label.
    pub(super) session_label: u32,
    /// By statement.
    pub(super) texts: Vec<String>,
    pub(super) last_due_us: u64,
    pub(super) has_transactions: bool,
    /// What was counted while it was made.
    pub counts: TimelineCounts,
}

/// What becomes of a capture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimelineCounts {
    /// Statements that are sent.
    pub statements: u64,
    /// Transactions they are in.
    pub transactions: u64,
    /// Statements that are not sent, by the reason.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// What sharing connections did; `None` where each session has its own.
    pub pool: Option<PoolStats>,
}

/// Why a capture cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum TimelineError {
    /// Its calls cannot be read.
    #[error("read the calls {0}")]
    Calls(#[from] CallsError),
    /// The temporary file cannot be written.
    #[error("write the capture into a temporary file: {0}")]
    Scratch(#[from] io::Error),
    /// Nothing would be sent.
    #[error("replay the capture: {0}")]
    Nothing(String),
}

impl Timeline {
    /// Makes a capture ready; `scratch` is an empty file, which takes about as much room as the calls.
    ///
    /// Each session has a connection of its own while it lasts, and passes it on; or there are `pool` of them, lent for a
    /// transaction.
    ///
    /// # Errors
    /// [`TimelineError`].
    pub fn new(
        captured: &Captured,
        calls: impl Iterator<Item = Result<Call, CallsError>>,
        pool: Option<usize>,
        writes: Writes,
        scratch: File,
    ) -> Result<Self, TimelineError> {
        let mut building = Building::new(captured, writes, scratch);
        match pool {
            Some(connections) => {
                let mut calls = pooled(calls, connections);
                for call in calls.by_ref() {
                    let (connection, Call { offset_us, session, deed }): Pooled = call?;
                    if let Deed::Run(run) = deed {
                        building.run(connection, session, offset_us, run)?;
                    }
                }
                building.counts.pool = Some(calls.stats());
            }
            None => {
                let mut lent = Lent::default();
                for call in calls {
                    let Call { offset_us, session, deed } = call?;
                    match deed {
                        Deed::Connect { .. } => {
                            let (connection, is_used) = lent.to(session);
                            if is_used {
                                building.session(connection, offset_us)?;
                            }
                        }
                        Deed::Run(run) => {
                            let (connection, is_used) = lent.to(session);
                            if is_used {
                                building.session(connection, offset_us)?;
                            }
                            building.run(connection, session, offset_us, run)?;
                        }
                        Deed::Disconnect => {
                            if let Some(connection) = lent.back(session) {
                                building.close(connection)?;
                            }
                        }
                    }
                }
            }
        }
        building.finish()
    }

    /// Returns how many connections it needs.
    pub fn connections(&self) -> usize {
        self.first.len()
    }

    /// Returns how long it takes until its last transaction begins, at the speed of the capture.
    pub fn length(&self) -> Duration {
        Duration::from_micros(self.last_due_us)
    }
}

/// Connections of sessions that last at the same time; one that ended passes its connection on.
#[derive(Debug, Default)]
struct Lent {
    by_session: HashMap<u64, usize>,
    /// The lowest first, so that as few as possible are used.
    free: BTreeSet<usize>,
    all: usize,
}

impl Lent {
    /// Returns a session's connection, and whether it just took it over from another session.
    fn to(&mut self, session: u64) -> (usize, bool) {
        if let Some(connection) = self.by_session.get(&session) {
            return (*connection, false);
        }
        let (connection, is_used) = match self.free.pop_first() {
            Some(connection) => (connection, true),
            None => {
                self.all += 1;
                (self.all - 1, false)
            }
        };
        self.by_session.insert(session, connection);
        (connection, is_used)
    }

    fn back(&mut self, session: u64) -> Option<usize> {
        let connection = self.by_session.remove(&session)?;
        self.free.insert(connection);
        Some(connection)
    }
}

/// A transaction that has begun.
#[derive(Debug)]
struct Open {
    session: u64,
    transaction: u64,
    due_us: u64,
    /// When its last statement ended.
    ended_us: u64,
    stored: Stored,
    left_out: bool,
}

/// What is known of a connection while the calls go by.
#[derive(Debug, Default)]
struct Connection {
    open: Option<Open>,
    /// The place of its last transaction.
    last: Option<u64>,
    /// The texts of what was prepared by PREPARE.
    prepared: HashSet<String>,
}

struct Building<'c> {
    captured: &'c Captured,
    writes: Writes,
    /// By number.
    statements: HashMap<u64, u32>,
    /// By statement, where all its calls go the same way.
    manners: HashMap<u32, Result<Manner, LeftOut>>,
    connections: Vec<Connection>,
    first: Vec<Option<(u64, u64)>>,
    writer: Writer,
    labels: Labels,
    session_label: Option<u32>,
    last_due_us: u64,
    has_transactions: bool,
    counts: TimelineCounts,
}

impl<'c> Building<'c> {
    fn new(captured: &'c Captured, writes: Writes, scratch: File) -> Self {
        Self {
            captured,
            writes,
            statements: captured.statements.iter().zip(0..).map(|(one, at)| (one.number, at)).collect(),
            manners: HashMap::new(),
            connections: Vec::new(),
            first: Vec::new(),
            writer: Writer::new(scratch),
            labels: Labels::new(),
            session_label: None,
            last_due_us: 0,
            has_transactions: false,
            counts: TimelineCounts::default(),
        }
    }

    fn connection(&mut self, number: usize) -> &mut Connection {
        if self.connections.len() <= number {
            self.connections.resize_with(number + 1, Connection::default);
            self.first.resize(number + 1, None);
        }
        &mut self.connections[number]
    }

    /// A statement goes to a connection.
    fn run(&mut self, number: usize, session: u64, offset_us: u64, run: Run) -> Result<(), TimelineError> {
        let transaction = run.transaction;
        if self.connection(number).open.as_ref().is_some_and(|open| (open.session, open.transaction) != (session, transaction)) {
            self.close(number)?;
        }
        let ended_us = offset_us + run.duration_us.unwrap_or(0);
        let is_last = run.last;
        let step = self.step(number, run);
        let open = self.connection(number).open.get_or_insert_with(|| Open {
            session,
            transaction,
            due_us: offset_us,
            ended_us: offset_us,
            stored: Stored::default(),
            left_out: false,
        });
        match step {
            Ok(mut step) => {
                if open.stored.steps.is_empty() {
                    open.due_us = offset_us;
                } else {
                    step.pause_us = offset_us.saturating_sub(open.ended_us);
                }
                open.ended_us = ended_us;
                open.stored.steps.push(step);
            }
            Err(reason) => {
                open.left_out = true;
                *self.counts.left_out.entry(reason).or_default() += 1;
            }
        }
        if is_last {
            self.close(number)?;
        }
        Ok(())
    }

    /// Returns what is sent for a call.
    fn step(&mut self, number: usize, run: Run) -> Result<StoredStep, LeftOut> {
        let statement = self.statements[&run.statement];
        let known = &self.captured.statements[statement as usize];
        let manner = self.manner(statement, &run)?;
        let mut prepare = None;
        if run.sql.trim_start().get(..7).is_some_and(|word| word.eq_ignore_ascii_case("prepare")) {
            self.connection(number).prepared.insert(run.sql.trim().trim_end_matches(';').to_owned());
        } else if let Some(text) = run.prepared.filter(|text| !self.connection(number).prepared.contains(text.trim().trim_end_matches(';')))
        {
            self.connection(number).prepared.insert(text.trim().trim_end_matches(';').to_owned());
            prepare = Some(text);
        }
        if prepare.is_some() || manner.resets {
            self.session_label = Some(self.labels.session());
        }
        let label = self.labels.statement(self.captured, statement, run.failed.is_some());
        let text = manner.instead.or_else(|| (*run.sql != *known.sql).then(|| run.sql.to_string()));
        Ok(StoredStep {
            label,
            statement,
            text,
            simple: run.protocol == WireProtocol::Simple,
            parameters: run.parameters,
            pause_us: 0,
            failed: run.failed,
            prepare,
            block: match manner.block {
                Block::Keeps => 0,
                Block::Opens => 1,
                Block::Ends => 2,
            },
            wrapped: manner.wrapped,
            resets: manner.resets,
        })
    }

    /// Calls that differ in constants alone go the same way, unless what a setting is set to decides.
    fn manner(&mut self, statement: u32, run: &Run) -> Result<Manner, LeftOut> {
        let is_whole = !self.captured.statements[statement as usize].sql.is_empty();
        if !is_whole || run.prepared.is_some() || run.sql.to_lowercase().contains("set") {
            return sift(run, self.writes);
        }
        self.manners.entry(statement).or_insert_with(|| sift(run, self.writes)).clone()
    }

    /// A session begins on a connection which had another one.
    fn session(&mut self, number: usize, offset_us: u64) -> Result<(), TimelineError> {
        self.close(number)?;
        self.connection(number).prepared.clear();
        let label = self.labels.session();
        self.session_label = Some(label);
        let step = StoredStep { label, statement: u32::MAX, text: Some("discard all".to_owned()), simple: true, ..StoredStep::default() };
        let step = StoredStep { resets: true, ..step };
        self.write(number, offset_us, label, &Stored { steps: vec![step] })
    }

    /// A connection's transaction is over.
    fn close(&mut self, number: usize) -> Result<(), TimelineError> {
        let Some(open) = self.connection(number).open.take() else { return Ok(()) };
        let steps = &open.stored.steps;
        // What is left of a transaction without its statements would be a BEGIN and a COMMIT.
        let is_control = |step: &StoredStep| self.captured.statements[step.statement as usize].control;
        if steps.is_empty() || open.left_out && steps.iter().all(is_control) {
            return Ok(());
        }
        self.counts.transactions += 1;
        self.counts.statements += steps.len() as u64;
        let label = match steps.as_slice() {
            [only] => only.label,
            several => {
                let statements: Vec<u32> = several.iter().map(|step| step.statement).collect();
                self.labels.transaction(self.captured, &statements)
            }
        };
        self.has_transactions |= steps.len() > 1 || steps.iter().any(|step| step.wrapped || step.block != 0);
        self.write(number, open.due_us, label, &open.stored)
    }

    fn write(&mut self, number: usize, due_us: u64, label: u32, stored: &Stored) -> Result<(), TimelineError> {
        let place = self.writer.append(label, stored)?;
        match self.connection(number).last.replace(place) {
            Some(earlier) => self.writer.link(earlier, place, due_us)?,
            None => self.first[number] = Some((place, due_us)),
        }
        self.last_due_us = self.last_due_us.max(due_us);
        Ok(())
    }

    fn finish(mut self) -> Result<Timeline, TimelineError> {
        for number in 0..self.connections.len() {
            self.close(number)?;
        }
        if self.counts.transactions == 0 {
            let reasons: Vec<String> = self
                .counts
                .left_out
                .iter()
                .map(|(reason, count)| format!("{count} statements are left out because {}", reason.says()))
                .collect();
            return Err(TimelineError::Nothing(match reasons.as_slice() {
                [] => "it holds no statements".to_owned(),
                several => several.join("; "),
            }));
        }
        // A connection of which everything was left out is not opened.
        self.first.retain(Option::is_some);
        Ok(Timeline {
            store: self.writer.finish()?,
            first: self.first,
            labels: self.labels.finish(),
            session_label: self.session_label.unwrap_or(0),
            texts: self.captured.statements.iter().map(|one| one.sql.clone()).collect(),
            last_due_us: self.last_due_us,
            has_transactions: self.has_transactions,
            counts: self.counts,
        })
    }
}
