//! Fills the staging schema with a year of data.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The most prospects a seed may ask for.
pub const PROSPECTS_MAX: u64 = 10_000_000;

/// Why the staging data could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A statement failed.
    #[error("seed the staging data: {doing}: {}", said(.source))]
    Statement {
        /// What was being done.
        doing: &'static str,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The planted duplicate profiles are not there.
    #[error(
        "seed the staging data: the unique index on prospects(linkedin_url) was built, so the data has no duplicate and is not the seeded data"
    )]
    NoDuplicates,
}

fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{}{}", db.message(), db.hint().map(|hint| format!(". {hint}")).unwrap_or_default()),
        None => error.to_string(),
    }
}

/// Fills the migrated, empty staging tables; other tables follow from the number of prospects.
///
/// Leaves one INVALID index behind, made the way it happens in life: a unique index built concurrently over duplicates.
/// Statistics are fresh and counters at zero afterwards. The same seed makes the same rows, up to their distance from now.
///
/// # Errors
/// [`SeedError`]; the tables are untouched when they were not empty.
pub async fn seed(client: &Client, prospects: u64, seed: u64) -> Result<(), SeedError> {
    let doing = |doing| move |source| SeedError::Statement { doing, source };
    let settings = [("pgload.prospects", prospects.to_string()), ("pgload.seed", seed.to_string())];
    for (name, value) in &settings {
        client.execute("select set_config($1, $2, false)", &[name, value]).await.map_err(doing("set its parameters"))?;
    }
    client.batch_execute(include_str!("seed.sql")).await.map_err(doing("fill the tables"))?;
    match client.batch_execute(include_str!("invalid_index.sql")).await {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
        Err(error) => return Err(doing("leave an invalid index")(error)),
        Ok(()) => return Err(SeedError::NoDuplicates),
    }
    settle(client).await
}

/// Sets visibility maps, refreshes statistics and forgets the counters of the seeding itself.
///
/// # Errors
/// [`SeedError`] when a statement fails.
pub async fn settle(client: &Client) -> Result<(), SeedError> {
    for statement in include_str!("settle.sql").split(";\n") {
        let doing = "settle the data";
        let answer: Result<Vec<SimpleQueryMessage>, _> = client.simple_query(statement).await;
        answer.map_err(|source| SeedError::Statement { doing, source })?;
    }
    Ok(())
}
