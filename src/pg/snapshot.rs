//! Reads a [`Snapshot`] in one read-only transaction: catalog reads only, no EXPLAIN, nothing written.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use super::hidden;
use super::rows::{Fields, RowError};
use crate::catalog::{
    Column, ColumnStatistics, Constraint, ConstraintKind, ElementStatistics, Extension, ForeignKey, Index, IndexUsage, Key, KeyTarget, Oid,
    QualifiedName, SNAPSHOT_SCHEMA_VERSION, Server, Setting, Snapshot, Statement, StatementSource, Table, TableKind, TableUsage, name,
};

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

macro_rules! query {
    ($name:literal) => {
        Query { name: $name, text: include_str!(concat!("queries/", $name)) }
    };
}

/// Reads everything an audit needs.
///
/// # Errors
/// [`SnapshotError`]; a missing right is no error but an entry in [`Snapshot::hidden`].
pub async fn capture(client: &mut Client, scope: &Scope) -> Result<Snapshot, SnapshotError> {
    match read_only(client, scope).await {
        Err(SnapshotError::Query { source, .. }) if source.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            Err(SnapshotError::Locked { holders: lock_holders(client).await?, source })
        }
        answer => answer,
    }
}

async fn read_only(client: &mut Client, scope: &Scope) -> Result<Snapshot, SnapshotError> {
    let begin = |source| SnapshotError::Query { query: "begin", source };
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await.map_err(begin)?;
    // With this search path the server prints every name outside pg_catalog with its schema, whatever the role's own path.
    let settings = format!(
        "set local statement_timeout = '{STATEMENT_TIMEOUT}'; set local lock_timeout = '{LOCK_TIMEOUT}'; set local search_path = pg_catalog; \
         set local jit = off"
    );
    transaction.batch_execute(&settings).await.map_err(begin)?;
    let mut reader = Reader { transaction, version: 0 };
    let answer = reader.read(scope).await;
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

struct Reader<'a> {
    transaction: Transaction<'a>,
    version: u32,
}

impl Reader<'_> {
    async fn read(&mut self, scope: &Scope) -> Result<Snapshot, SnapshotError> {
        let (mut server, taken_at, reads_all_stats) = self.server().await?;
        server.settings = self.settings().await?;
        server.extensions = self.extensions().await?;
        let (mut tables, unreadable) = self.tables(scope).await?;
        let table_oids: Vec<Oid> = tables.iter().map(|table| table.oid).collect();
        let (mut indexes, unreadable_expressions) = self.indexes(&table_oids).await?;
        let constraints = self.constraints(&table_oids).await?;
        self.columns(&table_oids, &mut tables).await?;
        self.statistics(&table_oids, &mut tables, &mut indexes).await?;
        let (statements, statement_source) = self.statements(&server).await?;
        let mut hidden = Vec::new();
        hidden.extend(hidden::statements(&statements, reads_all_stats, &server.user));
        hidden.extend(hidden::tables(&unreadable, &server.user));
        hidden.extend(hidden::expressions(unreadable_expressions, &server.user));
        Ok(Snapshot {
            schema_version: SNAPSHOT_SCHEMA_VERSION,
            taken_at,
            server,
            tables,
            indexes,
            constraints,
            views: Vec::new(),
            functions: Vec::new(),
            types: Vec::new(),
            extended_statistics: Vec::new(),
            policies: Vec::new(),
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

    async fn server(&mut self) -> Result<(Server, Timestamp, bool), SnapshotError> {
        let query = query!("server.sql");
        let rows = self.rows(query, &[]).await?;
        let fields = Fields { row: rows.first().expect("a select without FROM answers one row"), query: query.name };
        self.version = fields.get::<i32>("version_num")?.unsigned_abs();
        if self.version < OLDEST_VERSION_NUM {
            return Err(SnapshotError::TooOld(self.version / 10_000));
        }
        let server = Server {
            version_num: self.version,
            database: fields.get("database")?,
            user: fields.get("role")?,
            in_recovery: fields.get("in_recovery")?,
            stats_reset_at: fields.get("stats_reset_at")?,
            started_at: fields.get("started_at")?,
            collate: String::new(),
            ctype: String::new(),
            encoding: String::new(),
            locale_provider: String::new(),
            locale: None,
            collation_mismatches: Vec::new(),
            database_bytes: fields.count("database_bytes")?,
            settings: BTreeMap::new(),
            extensions: Vec::new(),
        };
        Ok((server, fields.get("taken_at")?, fields.get("reads_all_stats")?))
    }

    async fn settings(&self) -> Result<BTreeMap<String, Setting>, SnapshotError> {
        let query = query!("settings.sql");
        let mut settings = BTreeMap::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            let setting = Setting { value: fields.get("value")?, unit: fields.get("unit")?, source: fields.get("source")? };
            settings.insert(fields.get("name")?, setting);
        }
        Ok(settings)
    }

    async fn extensions(&self) -> Result<Vec<Extension>, SnapshotError> {
        let query = query!("extensions.sql");
        let mut extensions = Vec::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            extensions.push(Extension { name: fields.get("name")?, version: fields.get("version")?, schema: fields.get("schema")? });
        }
        Ok(extensions)
    }

    /// Reads tables without their columns, and names those whose statistics this role may not see.
    async fn tables(&self, scope: &Scope) -> Result<(Vec<Table>, Vec<hidden::Unreadable>), SnapshotError> {
        let query = query!("tables.sql");
        let mut tables = Vec::new();
        let mut unreadable = Vec::new();
        for row in &self.rows(query, &[&scope.schemas, &scope.tables]).await? {
            let fields = Fields { row, query: query.name };
            // Sizes are null for a relation dropped since the snapshot: it is gone.
            if fields.get::<Option<i64>>("heap_bytes")?.is_none() {
                continue;
            }
            let table = table(&fields)?;
            if let Some(by) = fields.get::<Option<String>>("statistics_hidden_by")? {
                unreadable.push(hidden::Unreadable { table: table.name.clone(), row_security: by == "row security" });
            }
            tables.push(table);
        }
        let missing = |what, wanted: &[String], present: &dyn Fn(&str) -> bool| match wanted.iter().find(|name| !present(name)) {
            Some(name) => Err(SnapshotError::Unknown { what, name: name.clone() }),
            None => Ok(()),
        };
        missing("schema", &scope.schemas, &|wanted| tables.iter().any(|table| table.name.schema == wanted))?;
        missing("table", &scope.tables, &|wanted| {
            tables.iter().any(|table| table.name.name == wanted || format!("{}.{}", table.name.schema, table.name.name) == wanted)
        })?;
        Ok((tables, unreadable))
    }

    async fn columns(&self, table_oids: &[Oid], tables: &mut [Table]) -> Result<(), SnapshotError> {
        let query = query!("columns.sql");
        let mut position: HashMap<Oid, &mut Table> = tables.iter_mut().map(|table| (table.oid, table)).collect();
        for row in &self.rows(query, &[&table_oids]).await? {
            let fields = Fields { row, query: query.name };
            let Some(table) = position.get_mut(&fields.get("table_oid")?) else { continue };
            table.columns.push(Column {
                number: fields.get("number")?,
                name: fields.get("name")?,
                type_name: fields.get("type_name")?,
                type_category: fields.get("type_category")?,
                type_length: fields.get("type_length")?,
                type_alignment: fields.get("type_alignment")?,
                btree: fields.get("btree")?,
                not_null: fields.get("not_null")?,
                collation: fields.get("collation")?,
                default: fields.get("default_expression")?,
                generated: fields.get("generated")?,
                generated_virtual: false,
                statistics_inherited: None,
                statistics: None,
            });
        }
        Ok(())
    }

    async fn statistics(&self, table_oids: &[Oid], tables: &mut [Table], indexes: &mut [Index]) -> Result<(), SnapshotError> {
        let query = query!("column_statistics.sql");
        let with_expressions = indexes.iter().filter(|index| index.keys.iter().any(|key| key.target.column().is_none()));
        let relations: Vec<Oid> = table_oids.iter().copied().chain(with_expressions.map(|index| index.oid)).collect();
        let mut found: HashMap<(Oid, i16), ColumnStatistics> = HashMap::new();
        for row in &self.rows(query, &[&relations]).await? {
            let fields = Fields { row, query: query.name };
            found.insert((fields.get("relation_oid")?, fields.get("number")?), column_statistics(&fields)?);
        }
        for table in tables {
            for column in &mut table.columns {
                column.statistics = found.remove(&(table.oid, column.number));
            }
        }
        for index in indexes {
            let expressions = index.keys.iter().enumerate().filter(|(_, key)| key.target.column().is_none());
            index.expression_statistics = expressions.map(|(at, _)| found.remove(&(index.oid, at as i16 + 1))).collect();
        }
        Ok(())
    }

    /// Reads indexes without their expressions' statistics, and counts those with statistics this role may not see.
    async fn indexes(&self, table_oids: &[Oid]) -> Result<(Vec<Index>, usize), SnapshotError> {
        let query = query!("indexes.sql");
        let mut indexes = Vec::new();
        let mut unreadable = 0;
        for row in &self.rows(query, &[&table_oids]).await? {
            let fields = Fields { row, query: query.name };
            if fields.get::<Option<String>>("definition")?.is_some() {
                let index = index(&fields)?;
                let has_expression = index.keys.iter().any(|key| key.target.column().is_none());
                unreadable += usize::from(has_expression && !fields.get::<bool>("statistics_readable")?);
                indexes.push(index);
            }
        }
        Ok((indexes, unreadable))
    }

    async fn constraints(&self, table_oids: &[Oid]) -> Result<Vec<Constraint>, SnapshotError> {
        let query = query!("constraints.sql");
        let mut constraints = Vec::new();
        for row in &self.rows(query, &[&table_oids]).await? {
            constraints.push(constraint(&Fields { row, query: query.name })?);
        }
        Ok(constraints)
    }

    async fn statements(&self, server: &Server) -> Result<(Vec<Statement>, StatementSource), SnapshotError> {
        let missing = |reason: String, remedy: &str| Ok((Vec::new(), StatementSource::Missing { reason, remedy: remedy.to_owned() }));
        let Some(extension) = server.extensions.iter().find(|extension| extension.name == "pg_stat_statements") else {
            return missing("pg_stat_statements is not created in this database".to_owned(), &enabling(server));
        };
        let version = extension_version(&extension.version);
        if version < 10_009 {
            let reason = format!("pg_stat_statements is version {}; 1.9 or later is needed", extension.version);
            return missing(reason, "alter extension pg_stat_statements update;");
        }
        let schema = name::quoted(&extension.schema);
        // A savepoint: the view raises an error when the library is not preloaded, and the rest must go on.
        self.batch("savepoint statements").await?;
        let answer = self.statement_rows(&schema, version).await;
        match answer {
            Ok(found) => Ok(found),
            Err(SnapshotError::Query { source, .. }) if source.code().is_some() => {
                self.batch("rollback to savepoint statements").await?;
                let remedy = match source.code().map(SqlState::code) {
                    Some("42501") => format!("grant pg_monitor to {};", name::quoted(&server.user)),
                    _ => preloading(server),
                };
                missing(format!("pg_stat_statements cannot be read: {}", said(&source)), &remedy)
            }
            Err(other) => Err(other),
        }
    }

    async fn batch(&self, sql: &str) -> Result<(), SnapshotError> {
        self.transaction.batch_execute(sql).await.map_err(|source| SnapshotError::Query { query: "savepoint", source })
    }

    async fn statement_rows(&self, schema: &str, version: u32) -> Result<(Vec<Statement>, StatementSource), SnapshotError> {
        let run = async |query: Query| {
            let text = for_version(query.text, version).replace("{schema}", schema);
            self.transaction.query(&text, &[]).await.map_err(|source| SnapshotError::Query { query: query.name, source })
        };
        let query = query!("statements_info.sql");
        let rows = run(query).await?;
        let (evicted, reset_at) = match rows.first() {
            Some(row) => {
                let fields = Fields { row, query: query.name };
                (fields.count("evicted")?, fields.get("reset_at")?)
            }
            None => (0, None),
        };
        let query = query!("statements.sql");
        let mut statements = Vec::new();
        for row in &run(query).await? {
            statements.push(statement(&Fields { row, query: query.name })?);
        }
        // Sampling and the audit itself are not the application's workload.
        statements.retain(|statement| !statement.is_own());
        Ok((statements, StatementSource::Available { evicted, reset_at }))
    }
}

/// Says how to get `pg_stat_statements` into this database, preloaded or not.
fn enabling(server: &Server) -> String {
    let create = "create extension pg_stat_statements;";
    match server.settings.get("shared_preload_libraries") {
        Some(setting) if !setting.value.contains("pg_stat_statements") => format!("{} {create}", preloading(server)),
        // Loaded, or this role may not see whether; creating it does no harm and the server says if more is needed.
        _ => create.to_owned(),
    }
}

/// Says how to preload the library beside those that are preloaded already: the setting is replaced as a whole.
fn preloading(server: &Server) -> String {
    let Some(setting) = server.settings.get("shared_preload_libraries") else {
        return format!(
            "-- this role may not see shared_preload_libraries (grant pg_monitor to {}); pg_stat_statements must be added to it",
            name::quoted(&server.user)
        );
    };
    let present = setting.value.split(',').map(|library| library.trim().trim_matches('"')).filter(|library| !library.is_empty());
    let libraries: Vec<String> =
        present.filter(|library| *library != "pg_stat_statements").chain(["pg_stat_statements"]).map(name::literal).collect();
    format!("alter system set shared_preload_libraries = {}; /* then restart the server */", libraries.join(", "))
}

/// Keeps a query's lines that are for this version: `-- from N` and `-- before N` end a line that is for some only.
fn for_version(text: &str, version: u32) -> String {
    let applies = |line: &&str| {
        let mark = |word: &str| line.rsplit_once(word).and_then(|(_, number)| number.trim().parse::<u32>().ok());
        mark("-- from ").is_none_or(|from| version >= from) && mark("-- before ").is_none_or(|before| version < before)
    };
    text.lines().filter(applies).collect::<Vec<_>>().join("\n")
}

/// Reads an extension's version as a number that orders: 1.10 as 10010.
fn extension_version(text: &str) -> u32 {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    parts.next().unwrap_or(0) * 10_000 + parts.next().unwrap_or(0)
}

fn table(fields: &Fields<'_>) -> Result<Table, RowError> {
    let kind: String = fields.get("kind")?;
    Ok(Table {
        oid: fields.get("oid")?,
        name: QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?),
        kind: match kind.as_str() {
            "p" => TableKind::Partitioned,
            "m" => TableKind::MaterializedView,
            _ => TableKind::Table,
        },
        parent: fields.get("parent")?,
        is_partition: fields.get("is_partition")?,
        rows: Some(fields.get::<f64>("rows")?).filter(|rows| *rows >= 0.0),
        pages: fields.count("pages")?,
        pages_all_visible: fields.count("pages_all_visible")?,
        heap_bytes: fields.count("heap_bytes")?,
        total_bytes: fields.count("total_bytes")?,
        persistence: fields.get("persistence")?,
        options: fields.list("options")?,
        replica_identity: fields.get("replica_identity")?,
        partition_key: None,
        partition_bound: None,
        row_security: false,
        extension: fields.get("extension")?,
        columns: Vec::new(),
        usage: TableUsage {
            seq_scans: fields.count("seq_scans")?,
            seq_rows_read: fields.count("seq_rows_read")?,
            index_scans: fields.count("index_scans")?,
            index_rows_fetched: fields.count("index_rows_fetched")?,
            rows_inserted: fields.count("rows_inserted")?,
            rows_updated: fields.count("rows_updated")?,
            rows_hot_updated: fields.count("rows_hot_updated")?,
            rows_deleted: fields.count("rows_deleted")?,
            live_rows: fields.count("live_rows")?,
            dead_rows: fields.count("dead_rows")?,
            modified_since_analyze: fields.count("modified_since_analyze")?,
            last_vacuum_at: fields.get("last_vacuum_at")?,
            last_analyze_at: fields.get("last_analyze_at")?,
            heap_blocks_read: fields.count("heap_blocks_read")?,
            heap_blocks_hit: fields.count("heap_blocks_hit")?,
        },
    })
}

fn column_statistics(fields: &Fields<'_>) -> Result<ColumnStatistics, RowError> {
    let element_values: Vec<String> = fields.list("element_common_values")?;
    let counts: Vec<f64> = fields.list("element_count_histogram")?;
    let elements = (!element_values.is_empty() || !counts.is_empty()).then(|| -> Result<_, RowError> {
        Ok(ElementStatistics {
            common_values: element_values,
            common_frequencies: fields.list("element_common_frequencies")?,
            count_histogram: counts,
        })
    });
    Ok(ColumnStatistics {
        null_fraction: fields.get("null_fraction")?,
        width: fields.get::<i32>("width")?.unsigned_abs(),
        distinct: fields.get("distinct_values")?,
        common_values: fields.list("common_values")?,
        common_frequencies: fields.list("common_frequencies")?,
        histogram: fields.list("histogram")?,
        correlation: fields.get("correlation")?,
        elements: elements.transpose()?,
        ranges: None,
    })
}

fn index(fields: &Fields<'_>) -> Result<Index, RowError> {
    Ok(Index {
        oid: fields.get("oid")?,
        name: QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?),
        table: fields.get("table_oid")?,
        access_method: fields.get("access_method")?,
        keys: keys(fields)?,
        included: fields.list("included")?,
        predicate: fields.get("predicate")?,
        unique: fields.get("is_unique")?,
        nulls_not_distinct: fields.get("nulls_not_distinct")?,
        primary: fields.get("is_primary")?,
        exclusion: fields.get("is_exclusion")?,
        constraint: fields.get("constraint_name")?,
        referenced: fields.get("referenced")?,
        valid: fields.get("valid")?,
        ready: fields.get("ready")?,
        live: fields.get("live")?,
        building: fields.get("building")?,
        clustered: fields.get("clustered")?,
        replica_identity: fields.get("replica_identity")?,
        extension: fields.get("extension")?,
        parent: fields.get("parent")?,
        size_bytes: fields.count("size_bytes")?,
        pages: 0,
        rows: Some(fields.get::<f64>("rows")?).filter(|rows| *rows >= 0.0),
        definition: fields.get("definition")?,
        options: fields.list("options")?,
        expression_statistics: Vec::new(),
        usage: IndexUsage {
            scans: fields.count("scans")?,
            entries_read: fields.count("entries_read")?,
            rows_fetched: fields.count("rows_fetched")?,
            last_scan_at: fields.get("last_scan_at")?,
        },
    })
}

/// Reads the parallel arrays of an index's keys.
fn keys(fields: &Fields<'_>) -> Result<Vec<Key>, RowError> {
    let columns: Vec<Option<String>> = fields.list("key_columns")?;
    let definitions: Vec<Option<String>> = fields.list("key_definitions")?;
    let opclasses: Vec<Option<String>> = fields.list("key_opclasses")?;
    let defaults: Vec<Option<bool>> = fields.list("key_opclass_defaults")?;
    let collations: Vec<Option<String>> = fields.list("key_collations")?;
    let descending: Vec<bool> = fields.list("key_descending")?;
    let nulls_first: Vec<bool> = fields.list("key_nulls_first")?;
    let key = |(at, column): (usize, Option<String>)| Key {
        target: match column {
            Some(column) => KeyTarget::Column(column),
            None => KeyTarget::Expression(definitions.get(at).cloned().flatten().unwrap_or_default()),
        },
        opclass: opclasses.get(at).cloned().flatten().unwrap_or_default(),
        opclass_is_default: defaults.get(at).copied().flatten().unwrap_or(true),
        collation: collations.get(at).cloned().flatten(),
        descending: descending.get(at).copied().unwrap_or(false),
        nulls_first: nulls_first.get(at).copied().unwrap_or(false),
    };
    Ok(columns.into_iter().enumerate().map(key).collect())
}

fn constraint(fields: &Fields<'_>) -> Result<Constraint, RowError> {
    let kind: String = fields.get("kind")?;
    let foreign = match fields.get::<Option<Oid>>("foreign_oid")? {
        Some(table) => Some(ForeignKey {
            table,
            table_name: QualifiedName::new(fields.get::<String>("foreign_schema")?, fields.get::<String>("foreign_table")?),
            columns: fields.list("foreign_columns")?,
            on_delete: fields.get("on_delete")?,
            on_update: fields.get("on_update")?,
        }),
        None => None,
    };
    Ok(Constraint {
        oid: fields.get("oid")?,
        name: fields.get("name")?,
        table: fields.get("table_oid")?,
        kind: match kind.as_str() {
            "p" => ConstraintKind::Primary,
            "u" => ConstraintKind::Unique,
            "f" => ConstraintKind::Foreign,
            "x" => ConstraintKind::Exclusion,
            _ => ConstraintKind::Check,
        },
        columns: fields.list("columns")?,
        definition: fields.get("definition")?,
        parent: fields.get("parent")?,
        foreign,
    })
}

fn statement(fields: &Fields<'_>) -> Result<Statement, RowError> {
    // The server writes this in place of the text of other roles' statements, with a null query id.
    let visible = |text: &String| text != "<insufficient privilege>";
    Ok(Statement {
        query_id: fields.get("query_id")?,
        user: fields.get("role")?,
        query: fields.get::<Option<String>>("query")?.filter(visible),
        top_level: fields.get("top_level")?,
        calls: fields.count("calls")?,
        rows: fields.count("rows")?,
        exec_ms_total: fields.get("exec_ms_total")?,
        exec_ms_mean: fields.get("exec_ms_mean")?,
        exec_ms_min: fields.get("exec_ms_min")?,
        exec_ms_max: fields.get("exec_ms_max")?,
        exec_ms_deviation: fields.get("exec_ms_deviation")?,
        shared_blocks_hit: fields.count("shared_blocks_hit")?,
        shared_blocks_read: fields.count("shared_blocks_read")?,
        temp_blocks_read: fields.count("temp_blocks_read")?,
        temp_blocks_written: fields.count("temp_blocks_written")?,
        wal_bytes: fields.count("wal_bytes")?,
        stats_since: fields.get("stats_since")?,
        parameters: Vec::new(),
        search_path: fields.get::<Option<String>>("search_path")?.unwrap_or_else(|| "\"$user\", public".to_owned()),
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
    }

    #[test]
    fn preloading_keeps_the_libraries_that_are_there() {
        let setting = |value: &str| Setting { value: value.to_owned(), unit: None, source: "configuration file".to_owned() };
        let mut server = Server {
            version_num: 150_000,
            database: "shop".to_owned(),
            user: "app".to_owned(),
            in_recovery: false,
            stats_reset_at: None,
            started_at: None,
            collate: String::new(),
            ctype: String::new(),
            encoding: String::new(),
            locale_provider: String::new(),
            locale: None,
            collation_mismatches: Vec::new(),
            database_bytes: 0,
            settings: BTreeMap::from([("shared_preload_libraries".to_owned(), setting("timescaledb, auto_explain"))]),
            extensions: Vec::new(),
        };
        assert!(
            enabling(&server)
                .starts_with("alter system set shared_preload_libraries = 'timescaledb', 'auto_explain', 'pg_stat_statements'; ")
        );
        server.settings.insert("shared_preload_libraries".to_owned(), setting("auto_explain,pg_stat_statements"));
        assert_eq!(enabling(&server), "create extension pg_stat_statements;");
        server.settings.clear();
        assert_eq!(enabling(&server), "create extension pg_stat_statements;");
        assert!(preloading(&server).starts_with("--"), "a setting that is not seen is not replaced");
    }

    #[test]
    fn extension_versions_order_as_numbers() {
        assert!(extension_version("1.9") < extension_version("1.10"));
        assert_eq!(extension_version("1.11"), 10_011);
    }
}
