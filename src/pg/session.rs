//! Sessions that make the calls of a script: own connection, statements prepared once, parameters as text.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::error::Severity;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, Error, Statement};

use crate::load::{Outcome, Part, Session, Target};
use crate::pg::answer::{last_row, simple};
use crate::pg::{ConnectError, Source, connect};
use crate::replay::program::{self, End, Ending, Prepared, Program, Reply, Request, Sql, Step};
pub use crate::replay::writes::Writes;

/// How load sessions call themselves, so that monitors can tell them apart.
pub const APPLICATION_NAME: &str = "pgload/replay";

/// Waits before each further attempt to come back after a lost connection; a crashed server needs a second or two.
const RECONNECT_AFTER: [Duration; 5] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1000), Duration::from_millis(2000)];

/// The error code of a connection that broke; SQLSTATEs stand for everything the server says.
pub const CONNECTION: &str = "connection";

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
    SetUp(#[source] tokio_postgres::Error),
    /// The session is not read-only although it was told to be.
    #[error("set up a load session: default_transaction_read_only was set, but the server reports read-write transactions")]
    NotReadOnly,
    /// The server does not accept a statement of the workload.
    #[error("prepare statement {label:?}: {said}")]
    Statement {
        /// The statement's name.
        label: String,
        /// What the server said.
        said: String,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
}

impl OpenError {
    /// Returns the SQLSTATE, or `connection` where the server did not answer with one.
    pub fn code(&self) -> &str {
        let source = match self {
            Self::Connect(error) => error.source.as_ref(),
            Self::SetUp(source) | Self::Statement { source, .. } => Some(source),
            Self::NotReadOnly => None,
        };
        source.and_then(Error::code).map_or(CONNECTION, |code| code.code())
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
}

impl<'a> SqlTarget<'a> {
    /// Opens sessions that share one connection, so that their statements are sent without waiting for each other's
    /// answers. `numbers` are theirs over all workers. Connects, sets up, prepares every statement that is called.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&'a self, numbers: &[usize]) -> Result<Vec<SqlSession<'a>>, OpenError> {
        let link = Rc::new(self.link().await?);
        let wire = Rc::new(Wire { link: RefCell::new(Some(Rc::clone(&link))), opening: Mutex::new(()) });
        let session = |number: &usize| SqlSession {
            target: self,
            wire: Rc::clone(&wire),
            link: Some(Rc::clone(&link)),
            client: self.program.client(*number),
        };
        Ok(numbers.iter().map(session).collect())
    }

    async fn link(&self) -> Result<Link, OpenError> {
        let client = connect(self.source).await?;
        if self.writes == Writes::Readonly {
            client.batch_execute("set default_transaction_read_only = on").await.map_err(OpenError::SetUp)?;
            let row = client.query_one("show transaction_read_only", &[]).await.map_err(OpenError::SetUp)?;
            if row.try_get::<_, &str>(0).map_err(OpenError::SetUp)? != "on" {
                return Err(OpenError::NotReadOnly);
            }
        }
        let mut prepared = Vec::with_capacity(self.program.statements().len());
        for spec in self.program.statements() {
            prepared.push(if spec.called { Some(prepare(&client, spec).await?) } else { None });
        }
        Ok(Link { client, prepared })
    }
}

async fn prepare(client: &Client, spec: &Prepared) -> Result<Statement, OpenError> {
    client.prepare(&spec.sql).await.map_err(|source| {
        let said = source.as_db_error().map_or_else(|| source.to_string(), |db| format!("{} ({})", db.message(), db.code().code()));
        OpenError::Statement { label: spec.name.clone(), said, source }
    })
}

/// A connection and the statements prepared on it, as the program numbers them.
#[derive(Debug)]
struct Link {
    client: Client,
    prepared: Vec<Option<Statement>>,
}

/// What sessions on one connection share.
#[derive(Debug)]
struct Wire {
    link: RefCell<Option<Rc<Link>>>,
    /// Held by the session that connects again, so that the others wait for it and do not do the same.
    opening: Mutex<()>,
}

/// One client.
pub struct SqlSession<'a> {
    target: &'a SqlTarget<'a>,
    wire: Rc<Wire>,
    link: Option<Rc<Link>>,
    client: Box<dyn program::Client + 'a>,
}

impl SqlSession<'_> {
    /// Comes back after a loss.
    ///
    /// # Errors
    /// The SQLSTATE (or `connection`) of the last attempt when the server does not let it.
    async fn reconnect(&mut self) -> Result<(), String> {
        let _one_at_a_time = self.wire.opening.lock().await;
        let shared = self.wire.link.borrow().clone();
        if let Some(link) = shared.filter(|link| !link.client.is_closed()) {
            self.link = Some(link);
            return Ok(());
        }
        let mut said = CONNECTION.to_owned();
        for wait in RECONNECT_AFTER {
            tokio::time::sleep(wait).await;
            match self.target.link().await {
                Ok(link) => {
                    let link = Rc::new(link);
                    *self.wire.link.borrow_mut() = Some(Rc::clone(&link));
                    self.link = Some(link);
                    return Ok(());
                }
                Err(error) => said = error.code().to_owned(),
            }
        }
        Err(said)
    }

    /// Forgets a connection on which another call would fail for nothing.
    fn hang_up(&mut self) {
        let gone = self.link.take();
        let mut shared = self.wire.link.borrow_mut();
        if shared.as_ref().zip(gone.as_ref()).is_some_and(|(shared, gone)| Rc::ptr_eq(shared, gone)) {
            *shared = None;
        }
    }
}

impl Session for SqlSession<'_> {
    async fn call(&mut self, call: u64, parts: &mut Vec<Part>) -> Outcome {
        let label = self.client.begin(call);
        // The usual case must not go through the machinery of reconnecting.
        if self.link.as_ref().is_none_or(|link| link.client.is_closed())
            && let Err(code) = self.reconnect().await
        {
            return Outcome { lost: true, ..Outcome::failed(label, code) };
        }
        let Some(link) = &self.link else { unreachable!("a session that was not lost has a connection") };
        let mut answer = Answer::default();
        let mut rows = 0;
        let outcome = loop {
            match self.client.next(&answer.reply()) {
                Step::Run(request) => {
                    // A call that is this one statement is timed by its caller.
                    let part = (request.label != label).then(|| (request.label, Instant::now()));
                    let (statement, ended) = link.run(&request, part.is_some(), &mut answer).await;
                    rows += answer.rows;
                    if let Some((label, sent)) = part {
                        let ended = ended.unwrap_or_else(Instant::now);
                        parts.push(Part { label, sent, ended, rows: answer.rows, error: statement });
                    }
                }
                Step::End(end) => answer = Answer::of(link.client.batch_execute(end.sql()).await.map(|()| 0)),
                Step::Sleep(pause) => {
                    answer = Answer::default();
                    tokio::time::sleep(pause).await;
                }
                Step::Done(Ending { error, retries, skipped }) => {
                    break Outcome { label, rows, error: error.map(str::to_owned), retries, skipped, lost: false };
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
    row: Option<Vec<(String, Option<String>)>>,
}

impl Answer {
    #[inline]
    fn reply(&self) -> Reply<'_> {
        Reply { rows: self.rows, error: self.error.as_deref(), lost: self.lost, row: self.row.as_deref() }
    }

    #[inline]
    fn of(answer: Result<u64, Error>) -> Self {
        match answer {
            Ok(rows) => Self { rows, ..Self::default() },
            Err(error) => Self { error: Some(code(&error)), lost: is_over(&error), ..Self::default() },
        }
    }
}

/// Returns the SQLSTATE, or that the connection broke.
fn code(error: &Error) -> String {
    error.code().map_or(CONNECTION, |code| code.code()).to_owned()
}

/// Returns whether the session ended with this error: after FATAL the server hangs up.
fn is_over(error: &Error) -> bool {
    let severity = error.as_db_error().map(|db| db.parsed_severity());
    matches!(severity, None | Some(Some(Severity::Fatal | Severity::Panic)))
}

impl Link {
    /// Sends a statement, with the begin and the end of its transaction where asked, and reads the whole answer.
    ///
    /// Returns the statement's own error, and when its answer had arrived if `timed`; the answer holds the first error of
    /// the whole flight.
    #[inline]
    async fn run(&self, request: &Request<'_>, timed: bool, answer: &mut Answer) -> (Option<String>, Option<Instant>) {
        if request.begin.is_none() && request.end.is_none() {
            let got = self.send(request, &mut answer.row).await;
            let ended = timed.then(Instant::now);
            let row = answer.row.take();
            *answer = Answer { row, ..Answer::of(got) };
            return (answer.error.clone(), ended);
        }
        let mut row = None;
        let statement = async {
            let got = self.send(request, &mut row).await;
            (got, Instant::now())
        };
        let control = |sql: Option<&str>| {
            let sql = sql.map(str::to_owned);
            async move {
                match sql {
                    Some(sql) => self.client.batch_execute(&sql).await,
                    None => Ok(()),
                }
            }
        };
        // `join` polls in the order written, which is the order in which the driver then sends: one round trip for all.
        let (began, (got, at), ended) =
            futures_util::future::join3(control(request.begin), statement, control(request.end.map(End::sql))).await;
        let own = got.as_ref().err().map(code);
        *answer = Answer { row, ..Answer::of(began.and(got).and_then(|rows| ended.map(|()| rows))) };
        (own, Some(at))
    }

    /// Sends the statement itself.
    #[inline]
    async fn send(&self, request: &Request<'_>, row: &mut Option<Vec<(String, Option<String>)>>) -> Result<u64, Error> {
        *row = None;
        match request.sql {
            Sql::Prepared(number) => {
                let Some(statement) = &self.prepared[number] else { unreachable!("every statement that is called was prepared") };
                if request.wants_row {
                    let rows = self.client.query_raw(statement, request.args.iter().map(Text)).await?;
                    return last_row(rows, row).await;
                }
                // `execute_raw` reads every row and decodes none; for a select the count it returns is that of its rows.
                self.client.execute_raw(statement, request.args.iter().map(Text)).await
            }
            Sql::Once(text) => {
                // A type of 0 would be "as the server sees fit"; `unknown` is taken the same way, as an untyped literal is.
                let typed = request.args.iter().map(|value| (Text(value), Type::UNKNOWN));
                if request.wants_row {
                    let rows = self.client.query_typed_raw(text, typed).await?;
                    return last_row(rows, row).await;
                }
                let values: Vec<Text<'_>> = request.args.iter().map(Text).collect();
                let typed: Vec<_> = values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::UNKNOWN)).collect();
                self.client.execute_typed(text, &typed).await
            }
            Sql::Simple(text) => simple(&self.client, text, request.wants_row, row).await,
        }
    }
}
