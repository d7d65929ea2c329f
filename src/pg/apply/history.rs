//! The table refinery keeps, read without changing anything.

use std::time::SystemTime;

use jiff::Timestamp;
use refinery_core::Migration;
use tokio_postgres::{Client, Error};

use super::error::ApplyError;

/// One row of `refinery_schema_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The version.
    pub version: i64,
    /// The name.
    pub name: String,
    /// When it was applied, as refinery wrote it.
    pub applied_on: String,
    /// refinery's checksum of name, version and text, in decimal.
    pub checksum: String,
}

impl Row {
    /// Returns when it was applied; `None` where the row says nothing readable.
    pub(super) fn applied_at(&self) -> Option<Timestamp> {
        self.applied_on.parse().ok()
    }

    /// Makes refinery's own value of it.
    pub(super) fn into_migration(self) -> Result<Migration, ApplyError> {
        let wrong = |what: String| ApplyError::History { version: self.version, what };
        let applied_at = self.applied_at().ok_or_else(|| wrong(format!("no time in applied_on: \"{}\"", self.applied_on)))?;
        let checksum = self.checksum.parse().map_err(|_| wrong(format!("no number in checksum: \"{}\"", self.checksum)))?;
        Ok(Migration::applied(self.version, self.name, SystemTime::from(applied_at).into(), checksum))
    }
}

/// Returns the type of the history's versions; `None` when there is no history yet.
pub(super) async fn version_type(client: &Client) -> Result<Option<String>, Error> {
    let found = client.query_opt(include_str!("../queries/migration_history_type.sql"), &[]).await?;
    Ok(found.map(|row| row.get("version_type")))
}

/// Returns the history by version; empty when there is none yet.
pub(super) async fn rows(client: &Client) -> Result<Vec<Row>, Error> {
    if version_type(client).await?.is_none() {
        return Ok(Vec::new());
    }
    let rows = client.query(include_str!("../queries/migration_history.sql"), &[]).await?;
    let row = |row: &tokio_postgres::Row| Row {
        version: row.get("version"),
        name: row.get("name"),
        applied_on: row.get("applied_on"),
        checksum: row.get("checksum"),
    };
    Ok(rows.iter().map(row).collect())
}
