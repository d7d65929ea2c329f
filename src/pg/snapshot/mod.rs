//! Reads a [`Snapshot`] in one read-only transaction: catalog reads only, no EXPLAIN, nothing written.

mod indexes;
mod node;
mod objects;
mod server;
mod statements;
mod statistics;
mod tables;

use std::collections::BTreeMap;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use super::hidden;
use super::rows::{Fields, RowError};
use crate::catalog::{Oid, QualifiedName, SNAPSHOT_SCHEMA_VERSION, Setting, Snapshot};

pub use node::{NodeError, take_node};

/// The oldest server whose views the queries know.
pub const OLDEST_VERSION_NUM: u32 = 140_000;

/// 60 s: every query answers in under a second on 10 000 indexes; longer means that something is wrong with the server.
const STATEMENT_TIMEOUT: &str = "60s";

/// 2 s: catalog reads wait only for DDL in progress; the audit must not queue behind it, nor others behind the audit.
const LOCK_TIMEOUT: &str = "2s";

/// Which part of a database to read.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Schemas to read; empty for all but the system's.
    pub schemas: Vec<String>,
    /// Tables to read, as `name` or `schema.name`; empty for all.
    pub tables: Vec<String>,
}

/// Why a snapshot could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The server is older than [`OLDEST_VERSION_NUM`].
    #[error("audit a server of version {0}: PostgreSQL 14 or later is needed")]
    TooOld(u32),
    /// A query failed.
    #[error("run {query}: {}", said(.source))]
    Query {
        /// The query's file.
        query: &'static str,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
    /// DDL holds relations whose size or definition is asked for.
    #[error("read sizes: {holders}. Audit again when that is done, or leave the table out")]
    Locked {
        /// Which relations, held by whom.
        holders: String,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A schema or table that was asked for is not there.
    #[error("find {what} {name} in the database; check its spelling, or that it holds tables")]
    Unknown {
        /// `schema` or `table`.
        what: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// An answer was not as its query promises.
    #[error(transparent)]
    Row(#[from] RowError),
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| format!("{} (SQLSTATE {})", db.message(), db.code().code()))
}

/// One question, as a file in `queries/`.
#[derive(Debug, Clone, Copy)]
struct Query {
    name: &'static str,
    text: &'static str,
}

/// Names a question's file.
macro_rules! query {
    ($name:literal) => {
        $crate::pg::snapshot::Query { name: $name, text: include_str!(concat!("../queries/", $name)) }
    };
}
use query;

/// Reads everything an audit needs.
///
/// # Errors
/// [`SnapshotError`]; a missing right is no error but an entry in [`Snapshot::hidden`].
pub async fn capture(client: &mut Client, scope: &Scope) -> Result<Snapshot, SnapshotError> {
    read_only(client, async |reader| reader.read(scope).await).await
}

/// Lets a reader ask its questions in one read-only transaction, and names who holds a lock that stopped it.
async fn read_only<T>(
    client: &mut Client,
    questions: impl AsyncFnOnce(&Reader<'_>) -> Result<T, SnapshotError>,
) -> Result<T, SnapshotError> {
    match in_transaction(client, questions).await {
        Err(SnapshotError::Query { source, .. }) if source.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            Err(SnapshotError::Locked { holders: lock_holders(client).await?, source })
        }
        answer => answer,
    }
}

async fn in_transaction<T>(
    client: &mut Client,
    questions: impl AsyncFnOnce(&Reader<'_>) -> Result<T, SnapshotError>,
) -> Result<T, SnapshotError> {
    let begin = |source| SnapshotError::Query { query: "begin", source };
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await.map_err(begin)?;
    let mut reader = Reader { transaction, version: 0, settings: BTreeMap::new() };
    // First of all: what is set below is not what the application plans with.
    reader.begin().await?;
    // With this search path the server prints every name outside pg_catalog with its schema, whatever the role's own path;
    // and values in one way, whatever the role's own taste.
    let settings = format!(
        "set local statement_timeout = '{STATEMENT_TIMEOUT}'; set local lock_timeout = '{LOCK_TIMEOUT}'; set local search_path = pg_catalog; \
         set local jit = off; set local datestyle = 'ISO, YMD'; set local timezone = 'UTC'; set local intervalstyle = 'postgres'; \
         set local extra_float_digits = 1; set local bytea_output = 'hex'"
    );
    reader.transaction.batch_execute(&settings).await.map_err(begin)?;
    let answer = questions(&reader).await;
    reader.transaction.rollback().await.map_err(begin)?;
    answer
}

/// Says which relations are locked against reading, and by whom, after a wait for one of them was given up.
async fn lock_holders(client: &Client) -> Result<String, SnapshotError> {
    let query = query!("lock_holders.sql");
    let rows = client.query(query.text, &[]).await.map_err(|source| SnapshotError::Query { query: query.name, source })?;
    let mut holders = Vec::new();
    for row in &rows {
        let fields = Fields { row, query: query.name };
        let relation = QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?);
        let role = fields.get::<Option<String>>("role")?.unwrap_or_else(|| "unknown".to_owned());
        holders.push(format!("process {} (role {role}) holds {relation} exclusively", fields.get::<i32>("process_id")?));
    }
    Ok(if holders.is_empty() { "another session held a table exclusively".to_owned() } else { holders.join(", ") })
}

/// Asks questions inside one transaction; each file of this folder adds those of one kind.
struct Reader<'a> {
    transaction: Transaction<'a>,
    version: u32,
    settings: BTreeMap<String, Setting>,
}

impl Reader<'_> {
    /// Learns the version, refuses one that is too old, and reads the settings as the role has them.
    async fn begin(&mut self) -> Result<(), SnapshotError> {
        let query = query!("version.sql");
        let rows = self.rows(query, &[]).await?;
        let fields = Fields { row: rows.first().expect("a select without FROM answers one row"), query: query.name };
        self.version = fields.get::<i32>("version_num")?.unsigned_abs();
        if self.version < OLDEST_VERSION_NUM {
            return Err(SnapshotError::TooOld(self.version / 10_000));
        }
        self.settings = self.settings().await?;
        Ok(())
    }

    async fn read(&self, scope: &Scope) -> Result<Snapshot, SnapshotError> {
        let (mut server, taken_at, reads_all_stats) = self.server().await?;
        server.settings.clone_from(&self.settings);
        server.extensions = self.extensions().await?;
        server.collation_mismatches = self.collation_mismatches().await?;
        let (mut tables, unreadable) = self.tables(scope).await?;
        let table_oids: Vec<Oid> = tables.iter().map(|table| table.oid).collect();
        let (mut indexes, unreadable_expressions) = self.indexes(&table_oids).await?;
        let constraints = self.constraints(&table_oids).await?;
        self.columns(&table_oids, &mut tables).await?;
        self.statistics(&table_oids, &mut tables, &mut indexes).await?;
        let (extended_statistics, unreadable_extended) = self.extended_statistics(&table_oids).await?;
        let policies = self.policies(&table_oids).await?;
        let mut hidden = Vec::new();
        let objects = self.objects(&mut hidden).await?;
        let (statements, statement_source) = self.statements(&server).await?;
        hidden.extend(hidden::statements(&statements, reads_all_stats, &server.user));
        hidden.extend(hidden::tables(&unreadable, &server.user));
        hidden.extend(hidden::expressions(unreadable_expressions, &server.user));
        hidden.extend(hidden::extended(&unreadable_extended, &server.user));
        hidden.extend(self.left_out().await?);
        Ok(Snapshot {
            schema_version: SNAPSHOT_SCHEMA_VERSION,
            taken_at,
            server,
            tables,
            indexes,
            constraints,
            views: objects.views,
            functions: objects.functions,
            types: objects.types,
            extended_statistics,
            policies,
            nodes: Vec::new(),
            redacted: false,
            statements,
            statement_source,
            hidden,
        })
    }

    async fn rows(&self, query: Query, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<tokio_postgres::Row>, SnapshotError> {
        let text = for_version(query.text, self.version);
        self.transaction.query(&text, parameters).await.map_err(|source| SnapshotError::Query { query: query.name, source })
    }

    async fn batch(&self, sql: &str) -> Result<(), SnapshotError> {
        self.transaction.batch_execute(sql).await.map_err(|source| SnapshotError::Query { query: "savepoint", source })
    }

    /// Asks a question whose refusal by the server must not end the reading; gives the refusal as the inner error.
    async fn attempt<T>(
        &self,
        question: impl AsyncFnOnce() -> Result<T, SnapshotError>,
    ) -> Result<Result<T, tokio_postgres::Error>, SnapshotError> {
        self.batch("savepoint attempt").await?;
        match question().await {
            Ok(answer) => {
                self.batch("release savepoint attempt").await?;
                Ok(Ok(answer))
            }
            Err(SnapshotError::Query { source, .. }) if source.code().is_some() => {
                self.batch("rollback to savepoint attempt; release savepoint attempt").await?;
                Ok(Err(source))
            }
            Err(other) => Err(other),
        }
    }
}

/// Keeps a query's lines that are for this version: `-- from N`, `-- before N` or both end a line that is for some only.
pub(in crate::pg) fn for_version(text: &str, version: u32) -> String {
    text.lines().filter(|line| applies(line, version)).collect::<Vec<_>>().join("\n")
}

fn applies(line: &str, version: u32) -> bool {
    let words: Vec<&str> = line.rsplit_once("-- ").map_or_else(Vec::new, |(_, comment)| comment.split_whitespace().collect());
    let bounds: Option<Vec<(&str, u32)>> =
        words.chunks(2).map(|pair| pair.get(1).and_then(|number| number.parse().ok()).map(|number| (pair[0], number))).collect();
    // Words that are no bounds are a comment like any other.
    bounds.unwrap_or_default().iter().all(|(word, number)| match *word {
        "from" => version >= *number,
        "before" => version < *number,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_other_versions_are_left_out() {
        let text = "select\n    a, -- from 160000\n    null as a, -- before 160000\n    b -- from here\nfrom t";
        assert_eq!(for_version(text, 150_018), "select\n    null as a, -- before 160000\n    b -- from here\nfrom t");
        assert_eq!(for_version(text, 180_000), "select\n    a, -- from 160000\n    b -- from here\nfrom t");
        assert_eq!(["a -- from 15 before 17"; 4].iter().zip([14, 15, 16, 17]).filter(|(line, at)| applies(line, *at)).count(), 2);
    }
}
