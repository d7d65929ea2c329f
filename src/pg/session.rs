//! Sessions that make the calls of a script: own connection, statements prepared once, parameters as text.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::Error;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use crate::load::{Outcome, Part, Session, Target};
use crate::pg::connect::connect_bare;
use crate::pg::wire::answer::{self, Kept};
pub use crate::pg::wire::answer::{CONNECTION, Failure};
use crate::pg::wire::{self, Wants, Wire};
use crate::pg::{ConnectError, Source};
use crate::replay::program::{self, Ending, Prepared, Program, Reply, Request, Sql, Step};
pub use crate::replay::writes::Writes;

/// How load sessions call themselves, so that monitors can tell them apart.
pub const APPLICATION_NAME: &str = "pgload/replay";

/// Waits before each further attempt to come back after a lost connection; a crashed server needs a second or two.
const RECONNECT_AFTER: [Duration; 5] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1000), Duration::from_millis(2000)];

/// A parameter in the server's text format, for whatever type the statement has there; `None` is null.
///
/// The driver sends typed values in binary. Text lets the server read it as it would read an untyped literal, so every
/// type works, also those of extensions.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(pub Option<&'a str>);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(text) = self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refused a setting of the session.
    #[error("set up a load session: {0}")]
    SetUp(#[source] Failure),
    /// The session is not read-only although it was told to be.
    #[error("set up a load session: default_transaction_read_only was set, but the server reports read-write transactions")]
    NotReadOnly,
    /// The server does not accept a statement of the workload.
    #[error("prepare statement {label:?}: {source}")]
    Statement {
        /// The statement's name.
        label: String,
        /// What the server said.
        #[source]
        source: Failure,
    },
}

impl OpenError {
    /// Returns the SQLSTATE, or `connection` where the server did not answer with one.
    pub fn code(&self) -> &str {
        match self {
            Self::Connect(error) => error.source.as_ref().and_then(Error::code).map_or(CONNECTION, |code| code.code()),
            Self::SetUp(failure) | Self::Statement { source: failure, .. } => &failure.code,
            Self::NotReadOnly => CONNECTION,
        }
    }
}

/// A database under the load of a program.
#[derive(Debug)]
pub struct SqlTarget<'a> {
    /// Where to connect.
    pub source: &'a Source,
    /// The calls.
    pub program: &'a dyn Program,
    /// What may be changed.
    pub writes: Writes,
}

impl<'a> Target for SqlTarget<'a> {
    type Session = SqlSession<'a>;

    fn labels(&self) -> usize {
        self.program.labels().len()
    }

    fn label(&self, call: u64) -> usize {
        self.program.label(call)
    }

    fn captured(&self, session: usize, last: Option<u64>) -> Option<(u64, Duration)> {
        self.program.captured(session, last)
    }
}

impl<'a> SqlTarget<'a> {
    /// Opens sessions that share one connection, so that their statements are sent without waiting for each other's
    /// answers. `numbers` are theirs over all workers. Connects, sets up, prepares every statement that is called.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&'a self, numbers: &[usize]) -> Result<Vec<SqlSession<'a>>, OpenError> {
        let link = Rc::new(self.link(numbers.len()).await?);
        let shared = Rc::new(Shared { link: RefCell::new(Some(Rc::clone(&link))), opening: Mutex::new(()), sessions: numbers.len() });
        let session = |number: &usize| SqlSession {
            target: self,
            shared: Rc::clone(&shared),
            line: Some(Line::on(&link)),
            sent: Vec::new(),
            client: self.program.client(*number),
        };
        Ok(numbers.iter().map(session).collect())
    }

    /// Opens a connection for so many sessions.
    async fn link(&self, sessions: usize) -> Result<Link, OpenError> {
        let wire = Wire::new(connect_bare(self.source).await?, sessions > 1);
        let seat = wire.sit_down();
        if self.writes == Writes::Readonly {
            wire.send(seat, &wire::Request::Simple("set default_transaction_read_only = on"), Wants::default());
            wire.send(seat, &wire::Request::Simple("show transaction_read_only"), Wants { row: true, ..Wants::default() });
            wire.wait(seat).await;
            while let Some(answer) = wire.take(seat) {
                if let Some(failure) = answer.failure {
                    return Err(OpenError::SetUp(failure));
                }
                let shown = answer.kept.as_deref().map(|kept| kept.columns().and_then(|columns| columns.first()?.1.as_deref()));
                if shown.is_some_and(|shown| shown != Some("on")) {
                    return Err(OpenError::NotReadOnly);
                }
            }
        }
        let prepared = prepare(&wire, seat, self.program.statements()).await?;
        wire.stand_up(seat);
        Ok(Link { wire, prepared })
    }
}

/// Prepares what is called, all in one flight, and returns the names by number.
async fn prepare(wire: &Wire, seat: usize, statements: &[Prepared]) -> Result<Vec<String>, OpenError> {
    let names: Vec<String> = (0..statements.len()).map(|number| format!("s{number}")).collect();
    let called = || statements.iter().zip(&names).filter(|(spec, _)| spec.called);
    for (spec, name) in called() {
        wire.send(seat, &wire::Request::Prepare(name, &spec.sql), Wants::default());
        wire.relieve().await;
    }
    wire.wait(seat).await;
    for (spec, _) in called() {
        if let Some(source) = wire.take(seat).and_then(|answer| answer.failure) {
            return Err(OpenError::Statement { label: spec.name.clone(), source });
        }
    }
    Ok(names)
}

/// A connection and the names of the statements prepared on it, as the program numbers them.
struct Link {
    wire: Wire,
    prepared: Vec<String>,
}

/// What sessions on one connection share.
struct Shared {
    link: RefCell<Option<Rc<Link>>>,
    /// Held by the session that connects again, so that the others wait for it and do not do the same.
    opening: Mutex<()>,
    /// How many they are.
    sessions: usize,
}

/// A session's place on a connection.
struct Line {
    link: Rc<Link>,
    seat: usize,
}

/// One client.
pub struct SqlSession<'a> {
    target: &'a SqlTarget<'a>,
    shared: Rc<Shared>,
    line: Option<Line>,
    /// Of the requests whose answers nobody has waited for yet: the label, and when it was sent.
    sent: Vec<(usize, Instant)>,
    client: Box<dyn program::Client + 'a>,
}

impl SqlSession<'_> {
    /// Comes back after a loss.
    ///
    /// # Errors
    /// The SQLSTATE (or `connection`) of the last attempt when the server does not let it.
    async fn reconnect(&mut self) -> Result<(), String> {
        let _one_at_a_time = self.shared.opening.lock().await;
        let shared = self.shared.link.borrow().clone();
        if let Some(link) = shared.filter(|link| !link.wire.is_over()) {
            self.line = Some(Line::on(&link));
            return Ok(());
        }
        let mut said = CONNECTION.to_owned();
        for wait in RECONNECT_AFTER {
            tokio::time::sleep(wait).await;
            match self.target.link(self.shared.sessions).await {
                Ok(link) => {
                    let link = Rc::new(link);
                    *self.shared.link.borrow_mut() = Some(Rc::clone(&link));
                    self.line = Some(Line::on(&link));
                    return Ok(());
                }
                Err(error) => said = error.code().to_owned(),
            }
        }
        Err(said)
    }

    /// Forgets a connection on which another call would fail for nothing.
    fn hang_up(&mut self) {
        let gone = self.line.take();
        let mut shared = self.shared.link.borrow_mut();
        if shared.as_ref().zip(gone.as_ref()).is_some_and(|(shared, gone)| Rc::ptr_eq(shared, &gone.link)) {
            *shared = None;
        }
    }
}

impl Session for SqlSession<'_> {
    async fn call(&mut self, call: u64, parts: &mut Vec<Part>) -> Outcome {
        let label = self.client.begin(call);
        // The usual case must not go through the machinery of reconnecting.
        if self.line.as_ref().is_none_or(|line| line.link.wire.is_over())
            && let Err(code) = self.reconnect().await
        {
            return Outcome { lost: true, ..Outcome::failed(label, code) };
        }
        let Some(line) = &self.line else { unreachable!("a session that was not lost has a connection") };
        line.link.wire.begin(line.seat);
        let sent = &mut self.sent;
        sent.clear();
        let mut answer = Answer::default();
        let mut rows = 0;
        let outcome = loop {
            match self.client.next(&answer.reply()) {
                Step::Run(request) => {
                    // A call that is this one statement is timed by its caller.
                    let part = (request.label != label).then(|| (request.label, Instant::now()));
                    let (statement, ended) = line.run(&request, part.is_some(), &mut answer).await;
                    rows += answer.rows;
                    if let Some((label, sent)) = part {
                        let ended = ended.unwrap_or_else(Instant::now);
                        parts.push(Part { label, sent, ended, rows: answer.rows, error: statement });
                    }
                }
                Step::Send(request) => {
                    sent.push((request.label, Instant::now()));
                    line.send(&request, Wants { row: false, time: true });
                    line.link.wire.relieve().await;
                    answer = Answer::default();
                }
                Step::Sync => {
                    answer = line.finish(sent, parts).await;
                    rows += answer.rows;
                }
                Step::End(end) => {
                    let mut left = line.finish(sent, parts).await;
                    left.rows = 0;
                    line.query(end.sql());
                    line.link.wire.wait(line.seat).await;
                    answer = left.and(line.take());
                }
                Step::Shell(command) => answer = shell(command).await,
                Step::Sleep(pause) => {
                    answer = Answer::default();
                    tokio::time::sleep(pause).await;
                }
                Step::Done(Ending { error, retries, skipped }) => {
                    let error = error.map(str::to_owned);
                    if !sent.is_empty() {
                        // What was given up half-way still has answers on the way.
                        answer = line.finish(sent, parts).await;
                    }
                    break Outcome { label, rows, error, retries, skipped, lost: false };
                }
            }
            if answer.lost {
                break Outcome { rows, ..Outcome::failed(label, answer.error.as_deref().unwrap_or(CONNECTION)) };
            }
        };
        if answer.lost {
            self.hang_up();
        }
        outcome
    }
}

/// What came back, kept for the program to look at.
#[derive(Debug, Default)]
struct Answer {
    rows: u64,
    error: Option<String>,
    lost: bool,
    kept: Option<Box<Kept>>,
    output: Option<String>,
}

impl Answer {
    #[inline]
    fn reply(&self) -> Reply<'_> {
        Reply {
            rows: self.rows,
            error: self.error.as_deref(),
            lost: self.lost,
            row: self.kept.as_deref().and_then(Kept::columns),
            last_from: self.kept.as_deref().map_or(0, Kept::last_from),
            output: self.output.as_deref(),
        }
    }

    #[inline]
    fn of(answer: answer::Answer) -> Self {
        let answer::Answer { rows, failure, kept, .. } = answer;
        match failure {
            None => Self { rows, kept, ..Self::default() },
            Some(failure) => Self { lost: failure.is_over, error: Some(failure.code), ..Self::default() },
        }
    }

    /// Adds what came after it; the first error counts, and an error has no rows.
    fn and(mut self, next: Self) -> Self {
        self.lost |= next.lost;
        if self.error.is_none() {
            self.error = next.error;
            self.rows += next.rows;
        }
        if self.error.is_some() {
            self.rows = 0;
        }
        self.kept = self.kept.or(next.kept);
        self
    }
}

/// Runs a command of this machine's shell; the worker's other sessions go on meanwhile.
async fn shell(command: &str) -> Answer {
    let ran = tokio::process::Command::new("sh").arg("-c").arg(command).stdin(std::process::Stdio::null()).output().await;
    let output = ran.ok().filter(|ran| ran.status.success()).map(|ran| String::from_utf8_lossy(&ran.stdout).into_owned());
    Answer { output, ..Answer::default() }
}

impl Line {
    fn on(link: &Rc<Link>) -> Self {
        Self { seat: link.wire.sit_down(), link: Rc::clone(link) }
    }

    /// Sends a statement, with the begin and the end of its transaction where asked, and reads the whole answer.
    ///
    /// Returns the statement's own error, and when its answer had arrived if `timed`; the answer holds the first error of
    /// the whole flight.
    #[inline]
    async fn run(&self, request: &Request<'_>, timed: bool, answer: &mut Answer) -> (Option<String>, Option<Instant>) {
        // One write and one round trip for all of them.
        if let Some(begin) = request.begin {
            self.query(begin);
        }
        self.send(request, Wants { row: request.wants_row, time: timed });
        if let Some(end) = request.end {
            self.query(end.sql());
        }
        self.link.wire.wait(self.seat).await;
        let began = request.begin.map(|_| self.take());
        let own = self.link.wire.take(self.seat).unwrap_or_default();
        let ended = own.ended;
        let own = Answer::of(own);
        let error = own.error.clone();
        *answer = match began {
            None => own,
            Some(began) => Answer { rows: 0, ..began }.and(own),
        };
        if request.end.is_some() {
            *answer = std::mem::take(answer).and(Answer { rows: 0, ..self.take() });
        }
        (error, ended)
    }

    #[inline]
    fn send(&self, request: &Request<'_>, wants: Wants) {
        let sent = match request.sql {
            Sql::Prepared(number) => wire::Request::Prepared(&self.link.prepared[number], request.args),
            Sql::Once(text) => wire::Request::Once(text, request.args),
            Sql::Simple(text) => wire::Request::Simple(text),
        };
        self.link.wire.send(self.seat, &sent, wants);
    }

    fn query(&self, sql: &str) {
        self.link.wire.send(self.seat, &wire::Request::Simple(sql), Wants::default());
    }

    fn take(&self) -> Answer {
        self.link.wire.take(self.seat).map_or_else(Answer::default, Answer::of)
    }

    /// Reads the answers to all that was sent, notes each as a part of the call, and returns the sum of the rows or the
    /// first error.
    async fn finish(&self, sent: &mut Vec<(usize, Instant)>, parts: &mut Vec<Part>) -> Answer {
        self.link.wire.wait(self.seat).await;
        let mut all = Answer::default();
        for (label, sent) in sent.drain(..) {
            let answer = self.link.wire.take(self.seat).unwrap_or_default();
            let ended = answer.ended.unwrap_or_else(Instant::now);
            let answer = Answer::of(answer);
            parts.push(Part { label, sent, ended, rows: answer.rows, error: answer.error.clone() });
            all = all.and(answer);
        }
        all
    }
}
