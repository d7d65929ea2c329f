//! What the server recorded of statements: `pg_stat_statements`, if it can be read.

use tokio_postgres::error::SqlState;

use super::{Query, Reader, SnapshotError, for_version, query, said};
use crate::catalog::{Server, Statement, StatementSource, name};
use crate::pg::rows::{Fields, RowError};

impl Reader<'_> {
    /// Reads what `pg_stat_statements` counted, or says why it cannot be read.
    pub(super) async fn statements(&self, server: &Server) -> Result<(Vec<Statement>, StatementSource), SnapshotError> {
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
        // The view raises an error when the library is not preloaded, and the rest must go on.
        match self.attempt(async || self.statement_rows(&schema, version).await).await? {
            Ok(found) => Ok(found),
            Err(refused) => {
                let remedy = match refused.code().map(SqlState::code) {
                    Some("42501") => format!("grant pg_monitor to {};", name::quoted(&server.user)),
                    _ => preloading(server),
                };
                missing(format!("pg_stat_statements cannot be read: {}", said(&refused)), &remedy)
            }
        }
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

/// Reads an extension's version as a number that orders: 1.10 as 10010.
fn extension_version(text: &str) -> u32 {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    parts.next().unwrap_or(0) * 10_000 + parts.next().unwrap_or(0)
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalog::Setting;

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
