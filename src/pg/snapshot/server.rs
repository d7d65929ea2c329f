//! The server itself: version, locale, settings, extensions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Reader, SnapshotError, query};
use crate::catalog::{CollationMismatch, Extension, Hidden, Server, Setting};
use crate::pg::hidden;
use crate::pg::rows::Fields;

impl Reader<'_> {
    /// Reads facts of the server, its clock, and whether this role sees what others do; without settings and extensions.
    pub(super) async fn server(&self) -> Result<(Server, Timestamp, bool), SnapshotError> {
        let query = query!("server.sql");
        let rows = self.rows(query, &[]).await?;
        let fields = Fields { row: rows.first().expect("the database connected to is in pg_database"), query: query.name };
        let server = Server {
            version_num: self.version,
            database: fields.get("database")?,
            user: fields.get("role")?,
            in_recovery: fields.get("in_recovery")?,
            stats_reset_at: fields.get("stats_reset_at")?,
            started_at: fields.get("started_at")?,
            collate: fields.get("collate")?,
            ctype: fields.get("ctype")?,
            encoding: fields.get("encoding")?,
            locale_provider: fields.get("locale_provider")?,
            locale: fields.get("locale")?,
            collation_mismatches: Vec::new(),
            database_bytes: fields.count("database_bytes")?,
            settings: BTreeMap::new(),
            extensions: Vec::new(),
        };
        Ok((server, fields.get("taken_at")?, fields.get("reads_all_stats")?))
    }

    /// Reads settings as this session has them now.
    pub(super) async fn settings(&self) -> Result<BTreeMap<String, Setting>, SnapshotError> {
        let query = query!("settings.sql");
        let mut settings = BTreeMap::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            let setting = Setting { value: fields.get("value")?, unit: fields.get("unit")?, source: fields.get("source")? };
            settings.insert(fields.get("name")?, setting);
        }
        Ok(settings)
    }

    /// Reads the installed extensions.
    pub(super) async fn extensions(&self) -> Result<Vec<Extension>, SnapshotError> {
        let query = query!("extensions.sql");
        let mut extensions = Vec::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            extensions.push(Extension { name: fields.get("name")?, version: fields.get("version")?, schema: fields.get("schema")? });
        }
        Ok(extensions)
    }

    /// Reads which collations in use have another version now than when they were made.
    pub(super) async fn collation_mismatches(&self) -> Result<Vec<CollationMismatch>, SnapshotError> {
        let query = query!("collation_mismatches.sql");
        let mut mismatches = Vec::new();
        for row in &self.rows(query, &[]).await? {
            let fields = Fields { row, query: query.name };
            mismatches.push(CollationMismatch {
                collation: fields.get("collation")?,
                recorded: fields.get("recorded")?,
                actual: fields.get("actual")?,
            });
        }
        Ok(mismatches)
    }

    /// Says what bears on plans and is not in a snapshot.
    pub(super) async fn left_out(&self) -> Result<Vec<Hidden>, SnapshotError> {
        let query = query!("left_out.sql");
        let rows = self.rows(query, &[]).await?;
        let fields = Fields { row: rows.first().expect("a select without FROM answers one row"), query: query.name };
        Ok(hidden::left_out(&fields.list("foreign_tables")?, &fields.list("several_parents")?, &fields.list("tablespaces")?))
    }
}
