//! Makes the local planner count costs as the audited one does.

use tokio_postgres::Client;

use super::error::{TwinError, while_doing};
use crate::catalog::Snapshot;
use crate::catalog::name::{literal, quoted};
use crate::pg::cluster::SUPERUSER;

/// Settings the planner reads that the server does not file under "Query Tuning".
const FURTHER: &[&str] = &[
    "work_mem",
    "hash_mem_multiplier",
    "max_parallel_workers_per_gather",
    "parallel_leader_participation",
    "max_parallel_workers",
    "standard_conforming_strings",
];

/// Sets every planner setting for the role the twin plans as; returns those this server does not know or accept.
///
/// They are the role's and not the server's configuration: a setting that is refused there would keep the server from starting.
pub(super) async fn apply(client: &Client, snapshot: &Snapshot) -> Result<Vec<String>, TwinError> {
    let sql = "select name::text from pg_catalog.pg_settings where category like 'Query Tuning%' or name = any ($1::text[])";
    let rows = client.query(sql, &[&FURTHER]).await.map_err(while_doing("read settings"))?;
    let known: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut refused = Vec::new();
    for (name, setting) in &snapshot.server.settings {
        if known.contains(name) {
            // A plain number is in the setting's own unit, which is the one the snapshot has it in.
            let sql = format!("alter role {SUPERUSER} set {} = {}", quoted(name), literal(&setting.value));
            if client.batch_execute(&sql).await.is_err() {
                refused.push(name.clone());
            }
        } else if name.starts_with("enable_") && setting.source != "default" {
            refused.push(name.clone());
        }
    }
    Ok(refused)
}
