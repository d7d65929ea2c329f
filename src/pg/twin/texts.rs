//! From a recorded statement to texts the planner takes: parameters typed, repaired where needed, values put in.

use tokio_postgres::Client;

use super::error::said;
use crate::advisor::query::Query;

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
pub(super) async fn of_query(client: &Client, query: &Query, role: Option<String>) -> Result<Texts, String> {
    let text = query.text.trim().trim_end_matches(';').to_owned();
    let statement = client.prepare(&text).await.map_err(|error| said(&error))?;
    let parameters = statement.params().len();
    let base = Texts { search_path: query.search_path.clone(), role, ..Texts::default() };
    if parameters == 0 {
        return Ok(Texts { sets: vec![Set { weight: 1.0, sql: text }], ..base });
    }
    Ok(Texts { generic: Some(Generic { sql: text, parameters }), ..base })
}
