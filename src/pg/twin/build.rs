//! Builds the schema on the local server; an object that cannot be made is noted and never stops the rest.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::Client;

use super::Unmodelled;
use super::error::{TwinError, said, while_doing};
use super::schema::{self, Local, Step};
use crate::catalog::name::quoted;
use crate::catalog::{Oid, QualifiedName, Snapshot};
use crate::pg::rows::Fields;

/// Statements sent at once: enough that round trips do not count, few enough that one failure repeats little.
const BATCH: usize = 200;

/// A relation of the local server.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// Its oid there.
    pub(super) oid: Oid,
    /// `pg_class.relkind`.
    pub(super) kind: String,
    /// `btree`, `gin`, … of an index.
    pub(super) access_method: String,
    /// Its file from the data folder; `None` for a partitioned relation.
    pub(super) path: Option<String>,
    /// The oid there of an index's table.
    pub(super) table: Option<Oid>,
    /// The oid there of the partitioned relation it belongs to.
    pub(super) parent: Option<Oid>,
}

/// The relations of one local database by schema and name.
pub(super) type RelationsHere = HashMap<QualifiedName, Relation>;

/// Builds everything planning looks at; returns what could not be built.
pub(super) async fn schema(client: &Client, snapshot: &Snapshot, major: u32) -> Result<Vec<Unmodelled>, TwinError> {
    // Definitions in the snapshot name everything outside pg_catalog with its schema.
    let settings = "set search_path = pg_catalog; set check_function_bodies = off; set client_min_messages = error";
    client.batch_execute(settings).await.map_err(while_doing("prepare a session"))?;
    let (pending, mut failed) = extensions(client, schema::foundations(snapshot)).await?;
    failed.extend(until_stuck(client, pending).await?);
    let mut local = Local { major, ..Local::default() };
    local.extensions = names(client, "select extname::text from pg_catalog.pg_extension").await?;
    local.collations = names(client, "select collname::text from pg_catalog.pg_collation where collencoding in (-1, 6)").await?;
    // A function may need a table and a table may need a function: what fails now is tried again with the tables.
    let later = until_stuck(client, schema::types_and_functions(snapshot)).await?;
    local.unknown_types = unknown_types(client, snapshot).await?;
    let secured = snapshot.tables.iter().any(|table| table.row_security);
    for role in schema::roles(snapshot).into_iter().chain([schema::APPLICATION]).filter(|_| secured) {
        // It may be there already: the superuser has a name, too.
        let _ = client.batch_execute(&format!("create role {} nologin", quoted(role))).await;
    }
    let mut steps: Vec<Step> = later.into_iter().map(|(step, _)| step).collect();
    steps.extend(schema::relations(snapshot, &local));
    failed.extend(until_stuck(client, steps).await?);
    if secured {
        failed.extend(until_stuck(client, schema::grants(snapshot)).await?);
    }
    let mut unmodelled: Vec<Unmodelled> = failed
        .into_iter()
        .map(|(step, reason)| Unmodelled { kind: step.kind.to_owned(), name: step.name, reason, tables: step.tables.into_iter().collect() })
        .collect();
    for ((kind, name), tables) in schema::replaced(snapshot, &local) {
        let reason = match kind {
            "type" => "this server does not know it; its columns are text here, without statistics".to_owned(),
            _ => "this server does not have it; the database's own takes its place".to_owned(),
        };
        unmodelled.push(Unmodelled { kind: kind.to_owned(), name, reason, tables });
    }
    Ok(unmodelled)
}

/// Makes schemas and extensions one by one: an extension that has a schema of its own is made without naming one.
async fn extensions(client: &Client, steps: Vec<Step>) -> Result<(Vec<Step>, Vec<(Step, String)>), TwinError> {
    let mut failed = Vec::new();
    let (extensions, rest): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| step.kind == "extension");
    let schemas = until_stuck(client, rest).await?;
    for step in extensions {
        let Err(error) = client.batch_execute(&step.sql).await else { continue };
        let bare = format!("create extension if not exists {} cascade", quoted(&step.name));
        if client.batch_execute(&bare).await.is_err() {
            failed.push((step, said(&error)));
        }
    }
    Ok((schemas.into_iter().map(|(step, _)| step).collect(), failed))
}

/// Runs the steps, then those that failed again for as long as that makes any of them succeed; returns the rest with the reason.
pub(super) async fn until_stuck(client: &Client, mut steps: Vec<Step>) -> Result<Vec<(Step, String)>, TwinError> {
    loop {
        let tried = steps.len();
        let failed = batches(client, steps).await?;
        if failed.is_empty() || failed.len() == tried {
            return Ok(failed);
        }
        steps = failed.into_iter().map(|(step, _)| step).collect();
    }
}

/// Runs the steps in batches, halving a batch that fails until the step to blame stands alone.
async fn batches(client: &Client, steps: Vec<Step>) -> Result<Vec<(Step, String)>, TwinError> {
    let mut failed = Vec::new();
    let mut open: Vec<&[Step]> = steps.chunks(BATCH).rev().collect();
    while let Some(batch) = open.pop() {
        let sql: Vec<&str> = batch.iter().map(|step| step.sql.as_str()).collect();
        let Err(error) = client.batch_execute(&sql.join(";\n")).await else { continue };
        if client.is_closed() {
            return Err(TwinError::Query { what: format!("make {} {}", batch[0].kind, batch[0].name), source: error });
        }
        if let [step] = batch {
            failed.push((step.clone(), said(&error)));
        } else {
            let (first, second) = batch.split_at(batch.len() / 2);
            open.extend([second, first]);
        }
    }
    Ok(failed)
}

async fn names(client: &Client, sql: &str) -> Result<BTreeSet<String>, TwinError> {
    let rows = client.query(sql, &[]).await.map_err(while_doing("read names"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn unknown_types(client: &Client, snapshot: &Snapshot) -> Result<BTreeSet<String>, TwinError> {
    let wanted: BTreeSet<&str> =
        snapshot.tables.iter().flat_map(|table| table.columns.iter().map(|column| column.type_name.as_str())).collect();
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let sql = "select name from unnest($1::text[]) as name where pg_catalog.to_regtype(name) is null";
    let rows = client.query(sql, &[&wanted]).await.map_err(while_doing("look for types"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Reads the relations of the connected database.
pub(super) async fn relations(client: &Client) -> Result<RelationsHere, TwinError> {
    let query = "twin_relations.sql";
    let rows = client.query(include_str!("../queries/twin_relations.sql"), &[]).await.map_err(while_doing("list relations"))?;
    let mut found = RelationsHere::new();
    for row in &rows {
        let fields = Fields { row, query };
        let relation = Relation {
            oid: fields.get("oid")?,
            kind: fields.get("kind")?,
            access_method: fields.get("access_method")?,
            path: fields.get("path")?,
            table: fields.get("table_oid")?,
            parent: fields.get("parent")?,
        };
        found.insert(QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?), relation);
    }
    Ok(found)
}
