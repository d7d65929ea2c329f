//! Rows read by column name; past this module a column is there and of its type.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// A column of a query's answer was missing or of another type than its query promises.
#[derive(Debug, thiserror::Error)]
#[error("read column {column} of {query}")]
pub struct RowError {
    /// The column.
    pub column: String,
    /// The query's file.
    pub query: &'static str,
    /// The driver's answer.
    #[source]
    pub source: tokio_postgres::Error,
}

/// One row and the query it answers.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// The row.
    pub row: &'a Row,
    /// The query's file, for messages.
    pub query: &'static str,
}

impl<'a> Fields<'a> {
    /// Reads a column; `Option` for one that may be null.
    pub fn get<T: FromSql<'a>>(&self, column: &str) -> Result<T, RowError> {
        self.row.try_get(column).map_err(|source| RowError { column: column.to_owned(), query: self.query, source })
    }

    /// Reads a counter (`bigint`); null and negative read as 0.
    pub fn count(&self, column: &str) -> Result<u64, RowError> {
        Ok(self.get::<Option<i64>>(column)?.unwrap_or(0).max(0).cast_unsigned())
    }

    /// Reads a list; null reads as empty.
    pub fn list<T: FromSql<'a>>(&self, column: &str) -> Result<Vec<T>, RowError> {
        Ok(self.get::<Option<Vec<T>>>(column)?.unwrap_or_default())
    }
}
