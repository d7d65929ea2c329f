//! Watches a server for a while: counters at both ends, and samples of what its sessions wait for in between.
//!
//! One connection, read-only, catalog views alone: nothing is installed, explained or written.

mod plans;
mod reading;

use std::time::{Duration, Instant};

use futures_util::future::join;
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};

use self::reading::{Counted, Extension};
use super::connect::{ConnectError, connect, execute};
use super::rows::{Fields, RowError};
use super::snapshot::for_version;
use super::source::Source;
use crate::catalog::Oid;
use crate::diff::Diff;
use crate::load::Stop;
use crate::profile::{Observation, Overhead, Running, Seen, ServerFacts, Tally, Unavailable, Wait, masked};

pub use plans::{STATEMENTS_MAX, plan_notes};

/// 10 Hz: a second holds ten looks, and a look takes the server a fraction of a millisecond.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// The oldest server whose views the queries know.
const OLDEST_VERSION_NUM: u32 = 130_000;

/// By this the queries know the profile's own session.
const APPLICATION_NAME: &str = "pgload profile";

/// 35 s: a server that answers nothing for so long is given up. It ends a statement of ours by itself after 30.
const PATIENCE: Duration = Duration::from_secs(35);

/// 30 s: reading five thousand statements takes milliseconds; longer means that something is wrong with the server.
const SET_UP: &str = "set default_transaction_read_only = on; set statement_timeout = '30s'; set lock_timeout = '2s'";

/// Why a server could not be watched.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server is older than the views that are read.
    #[error("profile a server of version {0}: PostgreSQL 13 or later is needed")]
    TooOld(u32),
    /// The server refused a query.
    #[error("run {query}: {}", said(.source))]
    Query {
        /// The query's file.
        query: &'static str,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A row was not as expected.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The server took a connection or a query and did not answer.
    #[error("profile the server: it did not answer within {} s", PATIENCE.as_secs())]
    Silent,
}

impl MonitorError {
    /// Returns whether the server could not be reached, or was lost.
    pub fn is_connection(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Silent => true,
            Self::Query { source, .. } => source.code().is_none() || source.is_closed(),
            _ => false,
        }
    }
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| format!("{} (SQLSTATE {})", db.message(), db.code().code()))
}

/// Watches a server; [`Sampler::start`], [`Sampler::run`], [`Sampler::finish`].
#[derive(Debug)]
pub struct Sampler {
    client: Client,
    source: Source,
    facts: ServerFacts,
    extension: Result<Extension, Unavailable>,
    activity: Statement,
    before: Counted,
    started_at: Timestamp,
    begun: Instant,
    waits: Tally,
    overhead: Overhead,
    cut_short: Option<String>,
}

impl Sampler {
    /// Connects, and reads the counters for the first time: the window begins.
    ///
    /// # Errors
    /// [`MonitorError`]; statements that cannot be read are no error but a part of the observation.
    pub async fn start(source: &Source, interval: Duration) -> Result<Self, MonitorError> {
        let source = source.clone().with_application_name(APPLICATION_NAME);
        let client = open(&source).await?;
        let (facts, extension) = reading::server(&client).await?;
        if facts.version_num < OLDEST_VERSION_NUM {
            return Err(MonitorError::TooOld(facts.version_num / 10_000));
        }
        let sql = for_version(include_str!("queries/profile_activity.sql"), facts.version_num);
        let activity = client.prepare(&sql).await.map_err(failed("profile_activity"))?;
        let asked = Instant::now();
        let (before, extension) = reading::counters(&client, &facts, extension).await?;
        let begun = Instant::now();
        let overhead = Overhead {
            interval_ms: interval.as_secs_f64() * 1000.0,
            counters_ms_total: begun.duration_since(asked).as_secs_f64() * 1000.0,
            ..Overhead::default()
        };
        let (started_at, waits) = (Timestamp::now(), Tally::default());
        Ok(Self { client, source, facts, extension, activity, before, started_at, begun, waits, overhead, cut_short: None })
    }

    /// Samples until the time is over or a stop is asked for; a lost connection ends it, too.
    ///
    /// Samples are due at even times from the begin: one that takes longer than an interval leaves out those it overlaps.
    pub async fn run(&mut self, length: Option<Duration>, stop: &Stop, progress: &(dyn Fn(Duration) + Sync)) {
        let interval = Duration::from_secs_f64(self.overhead.interval_ms / 1000.0);
        let mut due = interval;
        loop {
            if length.is_some_and(|length| due > length) {
                due = length.unwrap_or_default();
            }
            tokio::select! {
                () = stop.requested() => {
                    if length.is_some() {
                        self.cut_short = Some("it was interrupted".to_owned());
                    }
                    return;
                }
                () = tokio::time::sleep_until((self.begun + due).into()) => {}
            }
            if length.is_some_and(|length| due >= length) {
                return;
            }
            let started = self.begun.elapsed();
            if let Err(error) = self.sample().await {
                self.cut_short = Some(format!("a sample failed: {error}"));
                return;
            }
            let ended = self.begun.elapsed();
            let took_ms = ended.saturating_sub(started).as_secs_f64() * 1000.0;
            self.overhead.samples += 1;
            self.overhead.late += u64::from(started.saturating_sub(due) > interval / 2);
            self.overhead.sample_ms_total += took_ms;
            self.overhead.sample_ms_max = self.overhead.sample_ms_max.max(took_ms);
            due += interval;
            while due < ended {
                due += interval;
                self.overhead.missed += 1;
            }
            progress(ended);
        }
    }

    /// Takes one sample.
    async fn sample(&mut self) -> Result<(), MonitorError> {
        let rows = self.client.query(&self.activity, &[&self.facts.database_oid]).await.map_err(failed("profile_activity"))?;
        let mut sessions = Vec::with_capacity(rows.len());
        for row in &rows {
            sessions.push(seen(&Fields { row, query: "profile_activity" })?);
        }
        self.waits.add(sessions);
        Ok(())
    }

    /// Reads the counters for the last time: the window ends.
    ///
    /// A connection that was lost is made anew for this; where that fails, the samples stand alone.
    ///
    /// # Errors
    /// [`MonitorError`] when the server refuses what it answered at the begin.
    pub async fn finish(mut self) -> Result<Observation, MonitorError> {
        let asked = Instant::now();
        if self.client.is_closed() {
            match open(&self.source).await {
                Ok(client) => self.client = client,
                Err(error) => return Ok(self.without_end(&error.to_string())),
            }
        }
        let counters = reading::counters(&self.client, &self.facts, self.extension.clone());
        let (counted, extension) = match timeout(PATIENCE, counters).await.unwrap_or(Err(MonitorError::Silent)) {
            Err(error) if error.is_connection() => return Ok(self.without_end(&error.to_string())),
            counted => counted?,
        };
        let length = self.begun.elapsed();
        self.overhead.counters_ms_total += asked.elapsed().as_secs_f64() * 1000.0;
        // A sample is one transaction; each other question is two, since it is parsed in one of its own.
        self.overhead.transactions = self.overhead.samples + 4;
        let users = reading::users(&self.client).await?;
        let Counted { statements: before, database: database_before } = self.before;
        let statements = match (extension, before, counted.statements) {
            (Ok(extension), Some(before), Some(after)) => Ok((extension, Diff { before, after })),
            (Err(unavailable), _, _) => Err(unavailable),
            _ => Err(Unavailable { reason: "pg_stat_statements could not be read at both ends".to_owned(), remedy: String::new() }),
        };
        let readings = statements.as_ref().ok().map(|(_, readings)| readings);
        let wanted = reading::wanted(readings, &self.waits, &self.facts);
        let texts = reading::texts(&self.client, statements.as_ref().ok().map(|(extension, _)| extension), &self.facts, &wanted).await?;
        let statements = statements.map(|(_, readings)| readings);
        Ok(Observation {
            server: self.facts,
            started_at: self.started_at,
            length,
            cut_short: self.cut_short,
            statements,
            texts,
            database: Some(Diff { before: database_before, after: counted.database }),
            users,
            waits: self.waits,
            overhead: self.overhead,
        })
    }

    /// What was observed when the end could not be read.
    fn without_end(self, why: &str) -> Observation {
        Observation {
            server: self.facts,
            started_at: self.started_at,
            length: self.begun.elapsed(),
            cut_short: Some(self.cut_short.unwrap_or_else(|| "the server was lost".to_owned())),
            statements: Err(Unavailable { reason: format!("the counters could not be read at the end: {why}"), remedy: String::new() }),
            texts: Default::default(),
            database: None,
            users: Default::default(),
            waits: self.waits,
            overhead: self.overhead,
        }
    }
}

/// Watches a server for this long, or until a stop is asked for.
///
/// # Errors
/// [`MonitorError`]; statements that cannot be read are no error but a part of the observation.
pub async fn observe(
    source: &Source,
    length: Option<Duration>,
    stop: &Stop,
    progress: &(dyn Fn(Duration) + Sync),
) -> Result<Observation, MonitorError> {
    let mut sampler = Sampler::start(source, INTERVAL).await?;
    sampler.run(length, stop, progress).await;
    sampler.finish().await
}

/// Does some work and watches the server meanwhile, on a connection of its own: the window is as long as the work.
///
/// Whatever becomes of watching, the work is done and its answer returned. A connection that is lost ends the samples, which
/// the observation says; the counters are then read on a new one.
pub async fn during<T>(source: &Source, work: impl Future<Output = T>) -> (T, Result<Observation, MonitorError>) {
    let started = timeout(PATIENCE, Sampler::start(source, INTERVAL)).await.unwrap_or(Err(MonitorError::Silent));
    let mut sampler = match started {
        Ok(sampler) => sampler,
        Err(error) => return (work.await, Err(error)),
    };
    let over = Stop::default();
    let work = async {
        let answer = work.await;
        over.request();
        answer
    };
    let sampling = async {
        // A sample that a frozen server never answers must not outlive the work for ever.
        let given_up = async {
            over.requested().await;
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            () = sampler.run(None, &over, &|_| {}) => None,
            () = given_up => Some("a sample was not answered".to_owned()),
        }
    };
    let (answer, given_up) = join(work, sampling).await;
    sampler.cut_short = sampler.cut_short.take().or(given_up);
    (answer, sampler.finish().await)
}

async fn open(source: &Source) -> Result<Client, MonitorError> {
    let client = connect(source).await?;
    execute(&client, SET_UP).await.map_err(failed("set"))?;
    Ok(client)
}

/// Reads one session of a sample.
fn seen(fields: &Fields<'_>) -> Result<Seen, RowError> {
    let user: Option<Oid> = fields.get("user_oid")?;
    let running = if fields.get("hidden")? {
        None
    } else if fields.get("background")? {
        Some(Running::Background(fields.get::<Option<String>>("backend_type")?.unwrap_or_else(|| "unknown".to_owned())))
    } else {
        match (user, fields.get::<Option<i64>>("query_id")?) {
            (Some(user), Some(query_id)) => Some(Running::Statement { user, query_id }),
            _ => {
                let text = masked(&fields.get::<Option<String>>("query")?.unwrap_or_default());
                let kind = fields.get::<Option<String>>("backend_type")?.filter(|kind| kind != "client backend");
                let named = kind.filter(|kind| text.is_empty() || kind.starts_with("autovacuum"));
                Some(named.map_or(Running::Text { user, text }, Running::Background))
            }
        }
    };
    let wait = Wait::of(fields.get("wait_event_type")?, fields.get("wait_event")?);
    Ok(Seen { pid: fields.get("pid")?, running, wait })
}

fn failed(query: &'static str) -> impl Fn(tokio_postgres::Error) -> MonitorError {
    move |source| MonitorError::Query { query, source }
}
