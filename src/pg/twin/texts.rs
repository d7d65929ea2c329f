//! From a recorded statement to texts the planner takes: parameters typed, repaired where needed, values put in.

use tokio_postgres::error::ErrorPosition;
use tokio_postgres::{Client, Statement};

use super::ends;
use super::error::said;
use crate::advisor::query::Query;
use crate::advisor::repair::{Complaint, query_of, repair};
use crate::advisor::values;
use crate::catalog::{Oid, Snapshot};

/// How often a text is repaired before it is given up: each round answers one complaint of the server's.
const REPAIRS_MAX: usize = 8;

/// A statement, ready to be explained.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Texts {
    /// Complete texts with values, and how much each counts.
    pub(super) sets: Vec<Set>,
    /// The text with its parameters, for when none of the sets can be planned.
    pub(super) generic: Option<Generic>,
    /// The search path it runs under.
    pub(super) search_path: String,
    /// The role it runs as; `None` for the superuser.
    pub(super) role: Option<String>,
    /// Why its cost may differ from the server's.
    pub(super) approximate: Option<String>,
}

/// One set of values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Set {
    /// How much it counts.
    pub(super) weight: f64,
    /// The text with the values in it.
    pub(super) sql: String,
}

/// A text with `$n` and the number of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generic {
    /// The text.
    pub(super) sql: String,
    /// How many parameters it has.
    pub(super) parameters: usize,
}

/// Makes a statement's texts; the search path and the role are in force already.
pub(super) async fn of_query(client: &Client, snapshot: &Snapshot, query: &Query, role: Option<String>) -> Result<Texts, String> {
    let (text, statement) = prepared(client, query_of(query.text.trim().trim_end_matches(';')).to_owned()).await?;
    let base = Texts { search_path: query.search_path.clone(), role, ..Texts::default() };
    let types = type_names(client, &statement).await?;
    if types.is_empty() {
        let approximate = ends::beyond(client, snapshot, query, &[]).await;
        return Ok(Texts { sets: vec![Set { weight: 1.0, sql: text }], approximate, ..base });
    }
    let found = values::sets(snapshot, query, &types);
    let approximate = ends::beyond(client, snapshot, query, &found).await;
    let sets = found.iter().map(|set| Set { weight: set.weight, sql: values::bind(&text, &set.literals) }).collect();
    Ok(Texts { sets, generic: Some(Generic { sql: text, parameters: types.len() }), approximate, ..base })
}

/// Lets the server prepare the text, repairing it for as long as that helps.
pub(in crate::pg) async fn prepared(client: &Client, mut text: String) -> Result<(String, Statement), String> {
    let mut first = None;
    for _ in 0..=REPAIRS_MAX {
        let error = match client.prepare(&text).await {
            Ok(statement) => return Ok((text, statement)),
            Err(error) => error,
        };
        let reason = first.get_or_insert_with(|| said(&error)).clone();
        let complaint = error.as_db_error().map(|db| Complaint {
            sqlstate: db.code().code().to_owned(),
            position: match db.position() {
                Some(ErrorPosition::Original(at)) => Some(*at as usize),
                _ => None,
            },
            message: db.message().to_owned(),
        });
        text = complaint.and_then(|complaint| repair(&text, &complaint)).ok_or(reason)?;
    }
    Err(first.unwrap_or_else(|| "the server does not take it".to_owned()))
}

/// Returns the parameters' types as `format_type` prints them.
pub(in crate::pg) async fn type_names(client: &Client, statement: &Statement) -> Result<Vec<String>, String> {
    let oids: Vec<Oid> = statement.params().iter().map(tokio_postgres::types::Type::oid).collect();
    if oids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "select pg_catalog.format_type(u.oid, null) from pg_catalog.unnest($1::pg_catalog.oid[]) with ordinality as u (oid, place) order by u.place";
    let rows = client.query(sql, &[&oids]).await.map_err(|error| said(&error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
