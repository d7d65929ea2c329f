//! Writes a capture: events in, calls sorted by time and the statements' counts out.

use std::collections::BTreeMap;
use std::io::Write;

use super::call::{CallLine, ConnectLine};
use super::sort::{Scratch, Sorter};
use super::statements::Statements;
use super::{CAPTURED_VERSION, Captured, CapturedStatement, ClientCount, Source};
use crate::replay::log::{Counts, Deed, Event, Reason};

/// 64 MiB of calls are sorted in memory at a time.
const BUDGET: usize = 64 << 20;

/// Different clients told apart; some applications put a number into their name.
const CLIENTS_MAX: usize = 200;

/// How every line begins before its time is known.
const HEAD: &str = "{\"offset_us\":0,";

/// A parameter that was cut keeps `log_parameter_max_length` bytes, or up to three fewer: characters are not cut in half.
const CHARACTER_SLACK: usize = 3;

/// A capture in the making.
pub struct Recording {
    sorter: Sorter,
    statements: Statements,
    clients: BTreeMap<(String, String, String), u64>,
    last_us: i64,
}

/// What a finished capture holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The statements, the most frequent first.
    pub statements: Vec<CapturedStatement>,
    /// What was counted, what could not be kept after all taken off.
    pub counts: Counts,
    /// When the first thing happened, in microseconds since 1970.
    pub began_us: i64,
    /// From then to the last.
    pub length_us: u64,
    /// Who was there, the most sessions first.
    pub clients: Vec<ClientCount>,
}

/// What of a call is needed when it is written, beside its line.
struct Note {
    statement: u64,
    cut: Option<usize>,
    failed: bool,
    timed: bool,
}

impl Recording {
    /// Begins a capture; `scratch` makes the files it sorts with when memory is not enough.
    pub fn new(scratch: Scratch) -> Self {
        Self { sorter: Sorter::new(scratch, BUDGET), statements: Statements::default(), clients: BTreeMap::new(), last_us: i64::MIN }
    }

    /// Adds an event; those of a session in their order.
    ///
    /// # Errors
    /// When a temporary file cannot be made or written.
    pub fn add(&mut self, event: Event) -> std::io::Result<()> {
        let Event { session, at_us, deed } = event;
        self.last_us = self.last_us.max(at_us);
        let mut line = CallLine { session, ..CallLine::default() };
        let mut note = Note { statement: 0, cut: None, failed: false, timed: false };
        match deed {
            Deed::Connect(client) => {
                let mut key = (client.user.clone(), client.database.clone(), client.application.clone());
                if self.clients.len() >= CLIENTS_MAX && !self.clients.contains_key(&key) {
                    key.2 = "other".to_owned();
                }
                *self.clients.entry(key).or_default() += 1;
                line.connect = Some(ConnectLine { user: client.user, database: client.database, application: client.application });
            }
            Deed::Disconnect => line.disconnect = true,
            Deed::Run(statement) => {
                let place = self.statements.add(&statement);
                note = Note {
                    statement: place.number,
                    cut: statement.cut,
                    failed: statement.failure.is_some(),
                    timed: statement.duration_us.is_some(),
                };
                line.transaction = Some(statement.transaction);
                line.last = statement.last;
                line.statement = Some(place.number);
                line.protocol = (!place.same_protocol).then(|| statement.protocol.into());
                line.sql = (!place.same_text).then_some(statement.text);
                line.parameters = statement.parameters;
                line.duration_us = statement.duration_us;
                line.prepared = statement.prepared;
                line.failed = statement.failure.map(|failure| failure.sqlstate.unwrap_or_default());
            }
        }
        let text = serde_json::to_string(&line)?;
        let fields = text.strip_prefix(HEAD).unwrap_or(&text);
        let mut record = Vec::with_capacity(note_size() + fields.len());
        note.write(&mut record);
        record.extend_from_slice(fields.as_bytes());
        self.sorter.push(at_us, record)
    }

    /// Writes the calls in the order of their times, and returns what the workload file says of them.
    ///
    /// `longest` is the longest parameter that was logged whole: it shows which values that end in `...` were sent so.
    ///
    /// # Errors
    /// When the calls cannot be written, or a temporary file not be read.
    pub fn finish(self, mut counts: Counts, longest: usize, calls: &mut dyn Write) -> std::io::Result<Summary> {
        let Self { sorter, mut statements, clients, last_us } = self;
        let mut began_us = None;
        for record in sorter.finish()? {
            let (at_us, _, record) = record?;
            let began_us = *began_us.get_or_insert(at_us);
            let (note, fields) = Note::read(&record);
            if note.cut.is_some_and(|kept| longest <= kept + CHARACTER_SLACK) {
                counts.skip(Reason::CutParameters);
                counts.statements = counts.statements.saturating_sub(1);
                counts.failed = counts.failed.saturating_sub(u64::from(note.failed));
                counts.timed = counts.timed.saturating_sub(u64::from(note.timed));
                statements.remove(note.statement);
                continue;
            }
            write!(calls, "{{\"offset_us\":{},", at_us.saturating_sub(began_us))?;
            calls.write_all(fields)?;
            calls.write_all(b"\n")?;
        }
        calls.flush()?;
        let began_us = began_us.unwrap_or(0);
        let mut clients: Vec<ClientCount> = clients
            .into_iter()
            .map(|((user, database, application), sessions)| ClientCount { user, database, application, sessions })
            .collect();
        clients.sort_by_key(|client| std::cmp::Reverse(client.sessions));
        let length_us = u64::try_from(last_us.saturating_sub(began_us)).unwrap_or(0);
        Ok(Summary { statements: statements.finish(), counts, began_us, length_us, clients })
    }
}

impl Summary {
    /// Returns the workload file; `source` brings files, format and prefix.
    pub fn into_captured(self, name: String, description: String, calls: String, source: Source) -> Captured {
        let began_at = jiff::Timestamp::from_microsecond(self.began_us).map(|at| at.to_string()).unwrap_or_default();
        Captured {
            captured: CAPTURED_VERSION,
            name,
            description,
            source: Source { began_at, length_us: self.length_us, clients: self.clients, ..source },
            counts: self.counts,
            calls,
            statements: self.statements,
        }
    }
}

fn note_size() -> usize {
    17
}

impl Note {
    fn write(&self, record: &mut Vec<u8>) {
        record.extend_from_slice(&self.statement.to_le_bytes());
        record.extend_from_slice(&self.cut.map_or(u64::MAX, |cut| cut as u64).to_le_bytes());
        record.push(u8::from(self.failed) | u8::from(self.timed) << 1);
    }

    fn read(record: &[u8]) -> (Self, &[u8]) {
        let (note, fields) = record.split_at(note_size().min(record.len()));
        let number = |at: usize| note.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes);
        let flags = note.get(16).copied().unwrap_or(0);
        let cut = Some(number(8)).filter(|cut| *cut != u64::MAX).and_then(|cut| usize::try_from(cut).ok());
        (Self { statement: number(0), cut, failed: flags & 1 != 0, timed: flags & 2 != 0 }, fields)
    }
}
