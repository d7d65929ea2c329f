//! What a database says of itself, for the guard that keeps load away from production.

use tokio_postgres::Client;

/// How a database is named and marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// `current_database()`.
    pub database: String,
    /// `pgload.environment`, set by `ALTER DATABASE … SET`; `None` when unset or empty.
    pub environment: Option<String>,
}

/// Reads a database's marks.
///
/// # Errors
/// The driver's, when the server does not answer.
pub async fn marks(client: &Client) -> Result<Marks, tokio_postgres::Error> {
    let row = client
        .query_one(
            "select /* pgload */ pg_catalog.current_database()::text as database, nullif(pg_catalog.current_setting('pgload.environment', true), '') as environment",
            &[],
        )
        .await?;
    Ok(Marks { database: row.try_get("database")?, environment: row.try_get("environment")? })
}
