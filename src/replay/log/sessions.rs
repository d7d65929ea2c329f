//! All sessions of a log: lines in, events out.

use std::collections::{HashMap, VecDeque};

use super::event::{Deed, Event};
use super::language::foreign;
use super::line::{BadLine, Line, Severity};
use super::message::{Message, message, value_of};
use super::session::{Session, Sink};
use super::skip::Counts;

/// From how many open sessions on those that are silent are looked for.
const SESSIONS_MANY: usize = 20_000;

/// A session of which nothing was logged for an hour is taken for ended where there are many: without
/// `log_disconnections` the log never says so.
const IDLE_US: i64 = 3_600_000_000;

/// Examples of bad lines kept to show.
const BAD_MAX: usize = 20;

/// Turns the lines of a log, in the order they were logged, into events.
///
/// Events of a session are in their order. Those of different sessions are not: a statement's line is written when it ends,
/// its event is at its beginning.
pub struct Sessions<I> {
    lines: I,
    open: HashMap<String, Session>,
    events: VecDeque<Event>,
    counts: Counts,
    bad: Vec<BadLine>,
    next_session: u64,
    next_transaction: u64,
    longest: usize,
    databases: Vec<String>,
    log_start_us: Option<i64>,
    last_us: i64,
    /// The number of open sessions at which silent ones are looked for next.
    sweep_at: usize,
    ended: bool,
}

impl<I: Iterator<Item = Result<Line, BadLine>>> Sessions<I> {
    /// Reads these lines.
    pub fn new(lines: I) -> Self {
        Self {
            lines,
            open: HashMap::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
            bad: Vec::new(),
            next_session: 0,
            next_transaction: 0,
            longest: 0,
            databases: Vec::new(),
            log_start_us: None,
            last_us: i64::MIN,
            sweep_at: SESSIONS_MANY,
            ended: false,
        }
    }

    /// Keeps only the sessions of these databases; all when empty.
    #[must_use]
    pub fn of_databases(mut self, databases: Vec<String>) -> Self {
        self.databases = databases;
        self
    }

    /// Returns what was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the first bad lines.
    pub fn bad_lines(&self) -> &[BadLine] {
        &self.bad
    }

    /// Returns the longest parameter that was logged whole, in bytes: what tells a value that ends in `...` from one that was cut.
    pub fn longest_parameter(&self) -> usize {
        self.longest
    }

    /// Returns the lines it reads.
    pub fn lines(&self) -> &I {
        &self.lines
    }

    fn take(&mut self, line: &Line) {
        self.counts.lines += 1;
        self.counts.replaced_lines += u64::from(line.replaced);
        if line.severity == Severity::Foreign || (line.severity == Severity::Log && foreign(&line.message)) {
            self.counts.foreign_lines += 1;
            return;
        }
        let log_start_us = *self.log_start_us.get_or_insert(line.at_us);
        self.last_us = self.last_us.max(line.at_us);
        // Only these run clients' statements; a parallel worker's error comes from its leader too.
        if line.backend.as_deref().is_some_and(|kind| !matches!(kind, "client backend" | "not initialized" | "")) {
            return;
        }
        let meaning = match line.severity {
            Severity::Log => message(&line.message),
            Severity::Error | Severity::Fatal | Severity::Panic => Message::Other,
            Severity::Lesser | Severity::Foreign => return,
        };
        if meaning == Message::Other && !line.severity.is_failure() {
            return;
        }
        let Some(key) = line.session_key() else { return };
        let mut sink = Sink {
            events: &mut self.events,
            counts: &mut self.counts,
            next_transaction: &mut self.next_transaction,
            databases: &self.databases,
            longest: &mut self.longest,
        };
        // A process number comes back: whoever connects is a new session.
        let connects = matches!(meaning, Message::Received | Message::Authorized(_));
        if connects
            && self.open.get(&key).is_some_and(|session| session.busy)
            && let Some(mut old) = self.open.remove(&key)
        {
            old.close(Some(old.seen_us), &mut sink);
        }
        let next_session = &mut self.next_session;
        let session = self.open.entry(key.clone()).or_insert_with(|| {
            *next_session += 1;
            Session::new(*next_session, line, log_start_us)
        });
        session.seen_us = line.at_us;
        session.meet(&line.user, &line.database, &line.application);
        match meaning {
            Message::Statement(text) => session.begin_simple(line, text, &mut sink),
            Message::Execute(step) => session.begin_extended(line, step, &mut sink),
            Message::Duration(us) => session.end_bare(line, us, &mut sink),
            Message::Ran(us, text) => session.ran(line, us, text, &mut sink),
            Message::Handled(us, phase, step) => session.handled(line, us, phase, step, &mut sink),
            Message::Received => session.receive(line),
            Message::Authorized(text) => {
                session.receive(line);
                let of = |key: &str| value_of(text, key).unwrap_or_default();
                session.meet(of("user="), of("database="), of("application_name="));
            }
            Message::Disconnected => {
                session.close(Some(line.at_us), &mut sink);
                self.open.remove(&key);
            }
            Message::Other => {
                // A refused connection is an error without a statement, and no session.
                if line.severity == Severity::Error || line.query.is_some() || session.busy {
                    session.fail(line, &mut sink);
                }
                if line.severity != Severity::Error {
                    session.close(Some(line.at_us), &mut sink);
                    self.open.remove(&key);
                }
            }
        }
        if self.open.len() >= self.sweep_at {
            self.sweep();
        }
    }

    /// Ends sessions that are silent for long, so that memory does not grow with the number of sessions a log has.
    fn sweep(&mut self) {
        let limit = self.last_us - IDLE_US;
        let silent: Vec<String> = self.open.iter().filter(|(_, session)| session.seen_us < limit).map(|(key, _)| key.clone()).collect();
        self.counts.idle_sessions += silent.len() as u64;
        self.close_all(silent, true);
        self.sweep_at = (self.open.len() * 2).max(SESSIONS_MANY);
    }

    fn close_all(&mut self, keys: Vec<String>, disconnect: bool) {
        let mut sessions: Vec<Session> = keys.into_iter().filter_map(|key| self.open.remove(&key)).collect();
        sessions.sort_by_key(Session::number);
        let mut sink = Sink {
            events: &mut self.events,
            counts: &mut self.counts,
            next_transaction: &mut self.next_transaction,
            databases: &self.databases,
            longest: &mut self.longest,
        };
        for session in &mut sessions {
            let at_us = disconnect.then_some(session.seen_us);
            session.close(at_us, &mut sink);
        }
    }
}

impl<I: Iterator<Item = Result<Line, BadLine>>> Iterator for Sessions<I> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                if let Deed::Run(statement) = &event.deed {
                    self.counts.statements += 1;
                    self.counts.failed += u64::from(statement.failure.is_some());
                    self.counts.timed += u64::from(statement.duration_us.is_some());
                    self.counts.transactions += u64::from(statement.last);
                }
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.lines.next() {
                Some(Ok(line)) => self.take(&line),
                Some(Err(bad)) => {
                    self.counts.bad_lines += 1;
                    if self.bad.len() < BAD_MAX {
                        self.bad.push(bad);
                    }
                }
                None => {
                    self.ended = true;
                    // The log ends; the sessions do not.
                    let keys = self.open.keys().cloned().collect();
                    self.close_all(keys, false);
                }
            }
        }
    }
}
