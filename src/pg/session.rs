//! Sessions that make the calls of a script: own connection, statements prepared once, parameters as text.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio_postgres::error::Severity;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, Statement};

use crate::load::{Outcome, Session, Target};
use crate::pg::{ConnectError, Source, connect};
use crate::replay::Script;
use crate::replay::script::Args;
use crate::replay::workload::StatementSpec;

/// How load sessions call themselves, so that monitors can tell them apart.
pub const APPLICATION_NAME: &str = "pgload/replay";

/// Waits before each further attempt to come back after a lost connection; a crashed server needs a second or two.
const RECONNECT_AFTER: [Duration; 5] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1000), Duration::from_millis(2000)];

/// The error code of a connection that broke; SQLSTATEs stand for everything the server says.
pub const CONNECTION: &str = "connection";

/// What may be changed by a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Nothing, enforced by the server; statements that write are left out.
    Readonly,
    /// Each writing call is rolled back. Leaves dead rows, and leaves out what a commit costs.
    Rollback,
    /// Everything.
    Live,
}

impl Writes {
    /// Returns the mode as the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Readonly => "readonly",
            Self::Rollback => "rollback",
            Self::Live => "live",
        }
    }
}

/// A parameter in the server's text format, for whatever type the statement has there; `None` is null.
///
/// The driver sends typed values in binary. Text lets the server read it as it would read an untyped literal, so every
/// type works, also those of extensions.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(pub Option<&'a str>);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
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

/// A database under the load of a script.
#[derive(Debug)]
pub struct SqlTarget<'a> {
    /// Where to connect.
    pub source: &'a Source,
    /// The workload's statements; the labels of the calls.
    pub statements: &'a [StatementSpec],
    /// The calls.
    pub script: &'a Script,
    /// What may be changed.
    pub writes: Writes,
}

impl<'a> Target for SqlTarget<'a> {
    type Session = SqlSession<'a>;

    fn labels(&self) -> usize {
        self.statements.len()
    }

    fn label(&self, call: u64) -> usize {
        self.script.statement(call)
    }
}

impl<'a> SqlTarget<'a> {
    /// Opens a session: connects, sets it up, prepares every statement that is called.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&'a self) -> Result<SqlSession<'a>, OpenError> {
        Ok(SqlSession { target: self, link: Some(self.link().await?), args: Args::default() })
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
        let mut prepared = Vec::with_capacity(self.statements.len());
        for (index, spec) in self.statements.iter().enumerate() {
            prepared.push(if self.script.is_called(index) { Some(prepare(&client, spec).await?) } else { None });
        }
        Ok(Link { client, prepared })
    }
}

async fn prepare(client: &Client, spec: &StatementSpec) -> Result<Statement, OpenError> {
    client.prepare(&spec.sql).await.map_err(|source| {
        let said = source.as_db_error().map_or_else(|| source.to_string(), |db| format!("{} ({})", db.message(), db.code().code()));
        OpenError::Statement { label: spec.name.clone(), said, source }
    })
}

/// A connection and the statements prepared on it, by label.
#[derive(Debug)]
struct Link {
    client: Client,
    prepared: Vec<Option<Statement>>,
}

/// One client.
#[derive(Debug)]
pub struct SqlSession<'a> {
    target: &'a SqlTarget<'a>,
    link: Option<Link>,
    args: Args<'a>,
}

impl SqlSession<'_> {
    /// Returns the live connection, coming back after a loss; `None` when the server does not.
    async fn link(&mut self) -> Option<&Link> {
        if self.link.as_ref().is_none_or(|link| link.client.is_closed()) {
            self.link = None;
            for wait in RECONNECT_AFTER {
                tokio::time::sleep(wait).await;
                if let Ok(link) = self.target.link().await {
                    self.link = Some(link);
                    break;
                }
            }
        }
        self.link.as_ref()
    }
}

impl Session for SqlSession<'_> {
    async fn call(&mut self, call: u64) -> Outcome {
        let label = self.target.script.fill(call, &mut self.args);
        // The usual case must not go through the machinery of reconnecting.
        if self.link.as_ref().is_none_or(|link| link.client.is_closed()) && self.link().await.is_none() {
            return Outcome { label, rows: 0, error: Some(CONNECTION.to_owned()), lost: true };
        }
        let Some(Link { client, prepared }) = &self.link else {
            return Outcome { label, rows: 0, error: Some(CONNECTION.to_owned()), lost: true };
        };
        let Some(statement) = &prepared[label] else {
            unreachable!("every statement that is called was prepared");
        };
        // `execute_raw` reads every row and decodes none; for a select the count it returns is that of its rows.
        let execute = client.execute_raw(statement, self.args.iter().map(Text));
        let answer = if self.target.writes == Writes::Rollback && self.target.statements[label].writes {
            rolled_back(client, execute).await
        } else {
            execute.await
        };
        match answer {
            Ok(rows) => Outcome::done(label, rows),
            Err(error) => {
                let severity = error.as_db_error().map(|db| db.parsed_severity());
                // After FATAL the server hangs up: another call on this connection would fail for nothing.
                if matches!(severity, None | Some(Some(Severity::Fatal | Severity::Panic))) {
                    self.link = None;
                }
                Outcome::failed(label, error.code().map_or(CONNECTION, |code| code.code()))
            }
        }
    }
}

/// Makes a call between BEGIN and ROLLBACK; the three are sent together, so it takes one round trip as without them.
async fn rolled_back(
    client: &Client,
    call: impl Future<Output = Result<u64, tokio_postgres::Error>>,
) -> Result<u64, tokio_postgres::Error> {
    // `join` polls in the order written, which is the order in which the driver then sends.
    let (began, answer, ended) = futures_util::future::join3(client.batch_execute("begin"), call, client.batch_execute("rollback")).await;
    began?;
    let rows = answer?;
    ended.map(|()| rows)
}
