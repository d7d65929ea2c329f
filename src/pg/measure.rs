//! What the server knows of a replayed statement: its plan, and the blocks it touched.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use tokio_postgres::Client;

use crate::catalog::name::quoted;
use crate::catalog::statement::OWN_MARK;
use crate::pg::rows::{Fields, RowError};
use crate::pg::session::Text;
use crate::replay::{Blocks, StatementPlan};

/// Facts of the server a run is made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `15.18`.
    pub version: String,
    /// `150018`.
    pub version_num: i32,
    /// The database.
    pub database: String,
    /// `128MB`.
    pub shared_buffers: String,
    /// Where pg_stat_statements lives; `None` when this database does not have it.
    pub statements_schema: Option<String>,
}

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The server refused a query.
    #[error("measure the run: {0}")]
    Query(#[from] tokio_postgres::Error),
    /// A row was not as expected.
    #[error(transparent)]
    Row(#[from] RowError),
}

/// A statement's plan and the number the server counts it under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explained {
    /// Its plan.
    pub plan: StatementPlan,
    /// Its number in pg_stat_statements; `None` when the server computes none.
    pub query_id: Option<i64>,
}

/// Counts of statements by their number, at one moment.
pub type Counts = HashMap<i64, Blocks>;

/// Reads the server's facts.
///
/// # Errors
/// [`MeasureError`].
pub async fn server(client: &Client) -> Result<Server, MeasureError> {
    let row = client.query_one(include_str!("queries/replay_server.sql"), &[]).await?;
    let fields = Fields { row: &row, query: "replay_server" };
    Ok(Server {
        version: fields.get("version")?,
        version_num: fields.get("version_num")?,
        database: fields.get("database")?,
        shared_buffers: fields.get("shared_buffers")?,
        statements_schema: fields.get("statements_schema")?,
    })
}

/// Plans a statement with the given parameters, without running it.
///
/// The parameters are bound, as the calls bind them: a statement with its values written in would be another statement
/// to pg_stat_statements, and a generic plan another plan.
///
/// # Errors
/// [`MeasureError`] when the server cannot plan it.
pub async fn explain(client: &Client, sql: &str, args: &[Option<String>]) -> Result<Explained, MeasureError> {
    let statement = client.prepare(&format!("explain {OWN_MARK} (verbose, format json) {sql}")).await?;
    let texts: Vec<Text<'_>> = args.iter().map(|value| Text(value.as_deref())).collect();
    let bound: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = texts.iter().map(|text| text as _).collect();
    let row = client.query_one(&statement, &bound).await?;
    let document: Value = row.try_get(0)?;
    Ok(explained(&document))
}

/// Reads the counts of these statements; those that have not run are missing.
///
/// # Errors
/// [`MeasureError`]; with SQLSTATE 55000 when the extension's library is not loaded.
pub async fn counts(client: &Client, schema: &str, query_ids: &[i64]) -> Result<Counts, MeasureError> {
    let sql = include_str!("queries/statement_blocks.sql").replace("{schema}", &quoted(schema));
    let rows = client.query(&sql, &[&query_ids]).await?;
    let mut counts = Counts::new();
    for row in &rows {
        let fields = Fields { row, query: "statement_blocks" };
        let blocks = Blocks { hit: fields.count("hit")?, read: fields.count("read")?, calls: fields.count("calls")? };
        counts.insert(fields.get("query_id")?, blocks);
    }
    Ok(counts)
}

/// Returns what was counted between two moments; `None` when the statement was not called or the counts were reset.
pub fn between(before: &Counts, after: &Counts, query_id: i64) -> Option<Blocks> {
    let end = after.get(&query_id)?;
    let start = before.get(&query_id).copied().unwrap_or_default();
    let blocks = Blocks {
        hit: end.hit.checked_sub(start.hit)?,
        read: end.read.checked_sub(start.read)?,
        calls: end.calls.checked_sub(start.calls)?,
    };
    (blocks.calls > 0).then_some(blocks)
}

/// Reads EXPLAIN's JSON document.
fn explained(document: &Value) -> Explained {
    let root = document.get(0).unwrap_or(document);
    let (mut indexes, mut sequential) = (BTreeSet::new(), BTreeSet::new());
    let shape = root.get("Plan").map(|plan| walk(plan, &mut indexes, &mut sequential)).unwrap_or_default();
    let plan = StatementPlan { shape, indexes: indexes.into_iter().collect(), sequential: sequential.into_iter().collect() };
    Explained { plan, query_id: root.get("Query Identifier").and_then(Value::as_i64).filter(|id| *id != 0) }
}

/// Writes a node and what is below it: `Limit > Index Scan prospects`, several children in brackets.
fn walk(node: &Value, indexes: &mut BTreeSet<String>, sequential: &mut BTreeSet<String>) -> String {
    let text = |key: &str| node.get(key).and_then(Value::as_str);
    let kind = match (text("Node Type").unwrap_or("?"), text("Operation")) {
        ("ModifyTable", Some(operation)) => operation,
        (kind, _) => kind,
    };
    let relation = text("Relation Name");
    indexes.extend(text("Index Name").map(str::to_owned));
    if let ("Seq Scan", Some(relation)) = (kind, relation) {
        sequential.insert(relation.to_owned());
    }
    // The shape leaves index names out: they stand in their own list, and a rebuilt index is no other shape.
    let mut shape = relation.map_or_else(|| kind.to_owned(), |relation| format!("{kind} {relation}"));
    let children = node.get("Plans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let below: Vec<String> = children.iter().map(|child| walk(child, indexes, sequential)).collect();
    match below.as_slice() {
        [] => {}
        [only] => shape = format!("{shape} > {only}"),
        several => shape = format!("{shape} > ({})", several.join(", ")),
    }
    shape
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_becomes_a_shape_and_the_indexes_and_tables_it_uses() {
        let document = json!([{
            "Plan": {
                "Node Type": "Nested Loop",
                "Plans": [
                    {"Node Type": "Seq Scan", "Relation Name": "users"},
                    {"Node Type": "Bitmap Heap Scan", "Relation Name": "prospects", "Plans": [
                        {"Node Type": "Bitmap Index Scan", "Index Name": "prospects_user_idx"}
                    ]}
                ]
            },
            "Query Identifier": -42
        }]);
        let explained = explained(&document);
        assert_eq!(explained.query_id, Some(-42));
        assert_eq!(explained.plan.shape, "Nested Loop > (Seq Scan users, Bitmap Heap Scan prospects > Bitmap Index Scan)");
        assert_eq!(explained.plan.indexes, ["prospects_user_idx"]);
        assert_eq!(explained.plan.sequential, ["users"]);
    }

    #[test]
    fn writes_are_named_by_what_they_do() {
        let document = json!([{"Plan": {"Node Type": "ModifyTable", "Operation": "Insert", "Relation Name": "prospects", "Plans": [{"Node Type": "Result"}]}}]);
        let explained = explained(&document);
        assert_eq!((explained.plan.shape.as_str(), explained.query_id), ("Insert prospects > Result", None));
    }

    #[test]
    fn counts_are_differences_and_a_reset_leaves_none() {
        let counts = |calls, hit| Counts::from([(1, Blocks { hit, read: 2, calls })]);
        assert_eq!(between(&counts(10, 100), &counts(15, 160), 1), Some(Blocks { hit: 60, read: 0, calls: 5 }));
        assert_eq!(between(&Counts::new(), &counts(15, 160), 1), Some(Blocks { hit: 160, read: 2, calls: 15 }));
        assert_eq!(between(&counts(10, 100), &counts(3, 20), 1), None);
        assert_eq!(between(&counts(10, 100), &counts(10, 100), 1), None);
        assert_eq!(between(&counts(10, 100), &Counts::new(), 1), None);
    }
}
