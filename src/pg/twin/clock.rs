//! A clock that stands still: on the twin it is always the moment of the snapshot.
//!
//! The planner calls `now()` to estimate `created_at > now() - interval '1 day'`. By this machine's clock, the price of such a
//! statement would change while it is asked for, and a snapshot of last week would have nothing but values beyond its
//! histograms. Not covered: `CURRENT_TIMESTAMP` and its like, which are no functions, and views, whose `now()` is bound.

use jiff::Timestamp;
use tokio_postgres::Client;

use super::error::{TwinError, while_doing};
use crate::catalog::name::literal;

/// The schema of the functions; first on every search path, so that an unqualified call finds them.
pub(super) const SCHEMA: &str = "pgload_clock";

/// Makes `now()` and its synonyms say this moment.
///
/// With a `SET` clause they are not inlined: a constant in their place would let the planner prune partitions, which it
/// does not do for `now()`.
pub(super) async fn stop(client: &Client, at: Timestamp) -> Result<(), TwinError> {
    let moment = literal(&at.to_string());
    let functions = ["now", "transaction_timestamp", "statement_timestamp"].map(|name| {
        format!(
            "create function {SCHEMA}.{name}() returns timestamptz stable strict parallel safe cost 1 language sql \
             set search_path = pg_catalog as $$ select {moment}::timestamptz $$;"
        )
    });
    let sql = format!("create schema {SCHEMA}; grant usage on schema {SCHEMA} to public; {}", functions.concat());
    client.batch_execute(&sql).await.map_err(while_doing("stop the clock"))
}
