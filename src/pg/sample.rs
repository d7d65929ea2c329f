//! Draws the rows a workload takes its parameters from.

use tokio_postgres::{Client, Transaction};

use crate::catalog::name::{QualifiedName, quoted};
use crate::catalog::statement::OWN_MARK;
use crate::pg::rows::{Fields, RowError};
use crate::replay::workload::SampleSpec;
use crate::replay::{Sample, Samples, Workload};

/// Tables up to this many rows are read whole: below it a page sample would be a handful of pages.
const SMALL_TABLE_ROWS: f64 = 50_000.0;

/// A page sample reads this many times the rows wanted, so that they come from many pages.
const SPREAD: f64 = 10.0;

/// A page sample reads at least so many rows: at 100 to 200 rows a page, 100 pages or more.
const READ_AT_LEAST: f64 = 20_000.0;

/// Why a sample could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// No such table, for this role's search path.
    #[error("draw sample {sample:?}: there is no table {table:?}. Write its schema too if it is not on the search path.")]
    NoTable {
        /// The sample.
        sample: String,
        /// The table as the workload spells it.
        table: String,
    },
    /// The table lacks a column.
    #[error("draw sample {sample:?}: table {table} has no column {column:?}, it has: {known}")]
    NoColumn {
        /// The sample.
        sample: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its columns.
        known: String,
    },
    /// The table has no rows.
    #[error("draw sample {sample:?}: table {table} is empty. Fill it first.")]
    Empty {
        /// The sample.
        sample: String,
        /// The table.
        table: String,
    },
    /// The server refused a query.
    #[error("draw sample {sample:?}: {said}")]
    Query {
        /// The sample.
        sample: String,
        /// What the server said.
        said: String,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A row was not as expected.
    #[error(transparent)]
    Row(#[from] RowError),
}

/// Draws every sample of a workload in one read-only transaction.
///
/// The same seed over the same rows draws the same: rows are ordered by a hash of their content and the seed. Large
/// tables are sampled by pages (`tablesample system`) instead of read whole.
///
/// # Errors
/// [`SampleError`]; an unknown table or column and an empty table are told apart.
pub async fn draw(client: &mut Client, workload: &Workload, seed: u64) -> Result<Samples, SampleError> {
    let failed = |source| query_error("now", source);
    let transaction = client.build_transaction().read_only(true).start().await.map_err(failed)?;
    // Text that any session reads back as the same value.
    let settings = "set local datestyle = 'ISO, YMD'; set local timezone = 'UTC'; set local intervalstyle = 'postgres'; \
                    set local bytea_output = 'hex'; set local extra_float_digits = 1";
    transaction.batch_execute(settings).await.map_err(failed)?;
    let now = "select /* pgload */ pg_catalog.to_char(pg_catalog.now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as now";
    let row = transaction.query_one(now, &[]).await.map_err(failed)?;
    let text: String = Fields { row: &row, query: "now" }.get("now")?;
    let taken_at = text.parse().expect("the format asked for is RFC 3339");
    let mut samples = Vec::with_capacity(workload.samples.len());
    for spec in &workload.samples {
        samples.push(draw_one(&transaction, spec, seed).await?);
    }
    transaction.rollback().await.map_err(failed)?;
    Ok(Samples { taken_at, samples })
}

async fn draw_one(transaction: &Transaction<'_>, spec: &SampleSpec, seed: u64) -> Result<Sample, SampleError> {
    let failed = |source| query_error(&spec.name, source);
    let found = transaction.query_opt(include_str!("queries/sample_table.sql"), &[&spec.table]).await.map_err(failed)?;
    let Some(row) = found else { return Err(SampleError::NoTable { sample: spec.name.clone(), table: spec.table.clone() }) };
    let fields = Fields { row: &row, query: "sample_table" };
    let table = QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?);
    let known: Vec<String> = fields.list("columns")?;
    if let Some(column) = spec.columns.iter().find(|column| !known.contains(column)) {
        let (sample, column) = (spec.name.clone(), column.clone());
        return Err(SampleError::NoColumn { sample, table: table.to_string(), column, known: known.join(", ") });
    }
    let pages: bool = matches!(fields.get::<String>("kind")?.as_str(), "r" | "m" | "p");
    let estimated: f64 = fields.get("rows_estimated")?;
    let mut rows = Vec::new();
    for percent in percentages(estimated, spec.rows, pages) {
        rows = read(transaction, spec, &table, percent, seed).await?;
        if rows.len() >= spec.rows {
            break;
        }
    }
    if rows.is_empty() {
        return Err(SampleError::Empty { sample: spec.name.clone(), table: table.to_string() });
    }
    Ok(Sample { name: spec.name.clone(), columns: spec.columns.clone(), rows })
}

/// Returns the shares of the table to try in turn, in per cent, until enough rows come; `None` is the whole table.
fn percentages(estimated: f64, wanted: usize, pages: bool) -> Vec<Option<f64>> {
    let share = 100.0 * (SPREAD * wanted as f64).max(READ_AT_LEAST) / estimated.max(1.0);
    if !pages || estimated <= SMALL_TABLE_ROWS || share >= 100.0 {
        return vec![None];
    }
    let mut shares = vec![Some(share)];
    if share * SPREAD < 100.0 {
        shares.push(Some(share * SPREAD));
    }
    shares.push(None);
    shares
}

async fn read(
    transaction: &Transaction<'_>,
    spec: &SampleSpec,
    table: &QualifiedName,
    percent: Option<f64>,
    seed: u64,
) -> Result<Vec<Vec<Option<String>>>, SampleError> {
    let list = |form: fn(String) -> String| spec.columns.iter().map(|column| form(quoted(column))).collect::<Vec<_>>().join(", ");
    let columns = list(|name| format!("t.{name}::text"));
    let sampled = percent.map_or_else(String::new, |percent| {
        // The seed of a sample is a float8; 31 bits survive every way of writing one.
        format!(" tablesample system ({percent:.6}) repeatable ({})", seed % (1 << 31))
    });
    let sql = format!(
        "select {OWN_MARK} {columns} from {table} t{sampled} \
         order by pg_catalog.md5(pg_catalog.concat_ws('|', {columns}, {seed}::text)), {columns} limit {}",
        spec.rows
    );
    let rows = transaction.query(&sql, &[]).await.map_err(|source| query_error(&spec.name, source))?;
    let read = rows.iter().map(|row| {
        let value = |column| row.try_get::<_, Option<String>>(column).map_err(|source| query_error(&spec.name, source));
        (0..spec.columns.len()).map(value).collect()
    });
    read.collect()
}

fn query_error(sample: &str, source: tokio_postgres::Error) -> SampleError {
    let said = source.as_db_error().map_or_else(|| source.to_string(), |db| format!("{} ({})", db.message(), db.code().code()));
    SampleError::Query { sample: sample.to_owned(), said, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tables_and_views_are_read_whole() {
        assert_eq!(percentages(50_000.0, 1000, true), [None]);
        assert_eq!(percentages(1e9, 1000, false), [None]);
        assert_eq!(percentages(60_000.0, 10_000, true), [None]);
    }

    #[test]
    fn large_tables_are_sampled_by_pages_and_more_of_them_when_short() {
        assert_eq!(percentages(1e6, 10, true), [Some(2.0), Some(20.0), None]);
        assert_eq!(percentages(1e6, 5000, true), [Some(5.0), Some(50.0), None]);
        assert_eq!(percentages(1e5, 1000, true), [Some(20.0), None]);
    }
}
