//! Reads what the server has counted, and the names that go with its numbers.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{MonitorError, failed, said};
use crate::catalog::{Oid, name};
use crate::diff::Diff;
use crate::pg::rows::{Fields, RowError};
use crate::pg::snapshot::for_version;
use crate::profile::{Counters, Database, Entry, Running, ServerFacts, StatementKey, Statements, Tally, Unavailable, masked};

/// Where statements are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension {
    /// Its schema, quoted.
    schema: String,
    /// Its version, 1.11 as 10011.
    version: u32,
    /// What to do when its library is not loaded.
    preloading: String,
}

/// The server's counters at one moment.
#[derive(Debug)]
pub(super) struct Counted {
    /// `None` when they cannot be read.
    pub(super) statements: Option<Statements>,
    pub(super) database: Database,
}

/// Reads the server's facts, and where it counts statements.
pub(super) async fn server(client: &Client) -> Result<(ServerFacts, Result<Extension, Unavailable>), MonitorError> {
    let row = client.query_one(include_str!("../queries/profile_server.sql"), &[]).await.map_err(failed("profile_server"))?;
    let fields = Fields { row: &row, query: "profile_server" };
    let facts = ServerFacts {
        version: fields.get("version")?,
        version_num: fields.get::<i32>("version_num")?.unsigned_abs(),
        database: fields.get("database")?,
        database_oid: fields.get("database_oid")?,
        user: fields.get("role")?,
        reads_all_stats: fields.get("reads_all_stats")?,
        times_io: fields.get("times_io")?,
    };
    let preloaded: Option<String> = fields.get("preloaded")?;
    let preloading = preloading(preloaded.as_deref(), &facts.user);
    let (version, schema): (Option<String>, Option<String>) = (fields.get("statements_version")?, fields.get("statements_schema")?);
    let extension = match (version, schema) {
        (Some(version), Some(schema)) => {
            let number = extension_version(&version);
            if number >= 10_008 {
                Ok(Extension { schema: name::quoted(&schema), version: number, preloading })
            } else {
                Err(Unavailable {
                    reason: format!("pg_stat_statements is version {version}; 1.8 or later is needed"),
                    remedy: "alter extension pg_stat_statements update;".to_owned(),
                })
            }
        }
        _ => {
            let create = "create extension pg_stat_statements;";
            let loaded = preloaded.as_deref().is_none_or(|libraries| libraries.contains("pg_stat_statements"));
            Err(Unavailable {
                reason: "pg_stat_statements is not created in this database".to_owned(),
                remedy: if loaded { create.to_owned() } else { format!("{preloading} {create}") },
            })
        }
    };
    Ok((facts, extension))
}

/// Says how to preload the library beside those that are: the setting is replaced as a whole.
fn preloading(preloaded: Option<&str>, user: &str) -> String {
    let Some(preloaded) = preloaded else {
        return format!(
            "-- this role may not see shared_preload_libraries (grant pg_monitor to {}); pg_stat_statements must be added to it",
            name::quoted(user)
        );
    };
    let present = preloaded.split(',').map(|library| library.trim().trim_matches('"')).filter(|library| !library.is_empty());
    let libraries: Vec<String> =
        present.filter(|library| *library != "pg_stat_statements").chain(["pg_stat_statements"]).map(name::literal).collect();
    format!("alter system set shared_preload_libraries = {}; /* then restart the server */", libraries.join(", "))
}

/// Reads an extension's version as a number that orders: 1.10 as 10010.
fn extension_version(text: &str) -> u32 {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    parts.next().unwrap_or(0) * 10_000 + parts.next().unwrap_or(0)
}

/// Reads all counters; an extension whose view raises an error comes back as the reason.
pub(super) async fn counters(
    client: &Client,
    facts: &ServerFacts,
    extension: Result<Extension, Unavailable>,
) -> Result<(Counted, Result<Extension, Unavailable>), MonitorError> {
    let row = client.query_one(include_str!("../queries/profile_database.sql"), &[&facts.database_oid]).await;
    let row = row.map_err(failed("profile_database"))?;
    let fields = Fields { row: &row, query: "profile_database" };
    let database = Database {
        commits: fields.count("commits")?,
        rollbacks: fields.count("rollbacks")?,
        blocks_hit: fields.count("blocks_hit")?,
        blocks_read: fields.count("blocks_read")?,
        temp_files: fields.count("temp_files")?,
        temp_bytes: fields.count("temp_bytes")?,
        deadlocks: fields.count("deadlocks")?,
        reset_at: fields.get("reset_at")?,
    };
    let (statements, extension) = match extension {
        Ok(extension) => match statements(client, &extension).await {
            Ok(statements) => (Some(statements), Ok(extension)),
            Err(MonitorError::Query { source, .. }) if source.code().is_some() => {
                let remedy = match source.code() {
                    Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                        format!("grant pg_monitor to {};", name::quoted(&facts.user))
                    }
                    _ => extension.preloading,
                };
                (None, Err(Unavailable { reason: format!("pg_stat_statements cannot be read: {}", said(&source)), remedy }))
            }
            Err(error) => return Err(error),
        },
        Err(unavailable) => (None, Err(unavailable)),
    };
    Ok((Counted { statements, database }, extension))
}

async fn statements(client: &Client, extension: &Extension) -> Result<Statements, MonitorError> {
    let sql = |text: &str| for_version(text, extension.version).replace("{schema}", &extension.schema);
    let mut statements = Statements::default();
    if extension.version >= 10_009 {
        let rows = client.query(&sql(include_str!("../queries/statements_info.sql")), &[]).await.map_err(failed("statements_info"))?;
        if let Some(row) = rows.first() {
            let fields = Fields { row, query: "statements_info" };
            statements.evicted = Some(fields.count("evicted")?);
            statements.reset_at = fields.get("reset_at")?;
        }
    }
    let rows = client.query(&sql(include_str!("../queries/profile_statements.sql")), &[]).await.map_err(failed("profile_statements"))?;
    for row in &rows {
        let (key, entry) = entry(&Fields { row, query: "profile_statements" })?;
        statements.add(key, entry);
    }
    Ok(statements)
}

fn entry(fields: &Fields<'_>) -> Result<(StatementKey, Entry), RowError> {
    let key = StatementKey {
        database: fields.get("database_oid")?,
        user: fields.get("user_oid")?,
        query_id: fields.get("query_id")?,
        top_level: fields.get("top_level")?,
    };
    let counters = Counters {
        calls: fields.count("calls")?,
        rows: fields.count("rows")?,
        exec_ms_total: fields.get("exec_ms_total")?,
        shared_blocks_hit: fields.count("shared_blocks_hit")?,
        shared_blocks_read: fields.count("shared_blocks_read")?,
        shared_blocks_dirtied: fields.count("shared_blocks_dirtied")?,
        shared_blocks_written: fields.count("shared_blocks_written")?,
        temp_blocks_read: fields.count("temp_blocks_read")?,
        temp_blocks_written: fields.count("temp_blocks_written")?,
        wal_bytes: fields.count("wal_bytes")?,
        io_ms_total: fields.get("io_ms_total")?,
    };
    Ok((key, Entry { counters, since: fields.get("stats_since")? }))
}

/// Returns the numbers whose texts are wanted: those that were counted here, and those that were seen.
pub(super) fn wanted(readings: Option<&Diff<Statements>>, waits: &Tally, facts: &ServerFacts) -> Vec<i64> {
    let grown = |key: &StatementKey, entry: &Entry| readings.is_some_and(|readings| readings.before.entries.get(key) != Some(entry));
    let counted = readings.into_iter().flat_map(|readings| &readings.after.entries);
    let counted = counted.filter(|(key, entry)| key.database == facts.database_oid && grown(key, entry));
    let seen = waits.running().filter_map(|running| match running {
        Running::Statement { query_id, .. } => Some(*query_id),
        _ => None,
    });
    let numbers: BTreeSet<i64> = counted.filter_map(|(key, _)| key.query_id).chain(seen).collect();
    numbers.into_iter().collect()
}

/// Reads the texts of statements; of those that were never counted, from the sessions that still run them.
pub(super) async fn texts(
    client: &Client,
    extension: Option<&Extension>,
    facts: &ServerFacts,
    numbers: &[i64],
) -> Result<HashMap<(Oid, i64), String>, MonitorError> {
    let mut texts = HashMap::new();
    if let Some(extension) = extension {
        let sql = include_str!("../queries/profile_texts.sql").replace("{schema}", &extension.schema);
        let rows = client.query(&sql, &[&facts.database_oid, &numbers]).await.map_err(failed("profile_texts"))?;
        for row in &rows {
            let fields = Fields { row, query: "profile_texts" };
            texts.insert((fields.get("user_oid")?, fields.get("query_id")?), fields.get("query")?);
        }
    }
    if facts.version_num >= 140_000 {
        let sql = include_str!("../queries/profile_running.sql");
        let rows = client.query(sql, &[&facts.database_oid, &numbers]).await.map_err(failed("profile_running"))?;
        for row in &rows {
            let fields = Fields { row, query: "profile_running" };
            if let Some(user) = fields.get::<Option<Oid>>("user_oid")? {
                let text = || Ok::<_, RowError>(masked(&fields.get::<String>("query")?));
                if let std::collections::hash_map::Entry::Vacant(place) = texts.entry((user, fields.get("query_id")?)) {
                    place.insert(text()?);
                }
            }
        }
    }
    Ok(texts)
}

/// Reads the names of roles.
pub(super) async fn users(client: &Client) -> Result<HashMap<Oid, String>, MonitorError> {
    let rows = client.query(include_str!("../queries/profile_users.sql"), &[]).await.map_err(failed("profile_users"))?;
    let mut users = HashMap::with_capacity(rows.len());
    for row in &rows {
        let fields = Fields { row, query: "profile_users" };
        users.insert(fields.get("user_oid")?, fields.get("name")?);
    }
    Ok(users)
}
