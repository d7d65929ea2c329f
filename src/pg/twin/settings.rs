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

/// Begins a call that reads an application's own setting and fails where it is not set.
const READ: &str = "current_setting('";

/// Gives every setting that policies, views and functions read without a way out a value: the planner calls them to estimate.
pub(super) async fn apply_application(client: &Client, snapshot: &Snapshot) {
    let policies = snapshot.policies.iter().flat_map(|policy| [&policy.using, &policy.check]).flatten();
    let texts = policies.chain(snapshot.views.iter().map(|view| &view.definition));
    let texts = texts.chain(snapshot.functions.iter().map(|function| &function.definition));
    for (name, value) in texts.flat_map(|text| application_settings(text)) {
        let name: Vec<String> = name.split('.').map(quoted).collect();
        // One that is refused makes its statements unplannable, with the server's own words.
        let _ = client.batch_execute(&format!("alter role {SUPERUSER} set {} = '{value}'", name.join("."))).await;
    }
}

/// Finds the settings a text reads, and a value of the type it casts them to.
fn application_settings(text: &str) -> Vec<(&str, &'static str)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(READ) {
        let Some((name, after)) = text[at + READ.len()..].split_once('\'') else { continue };
        let call_end = after.find(')').unwrap_or(after.len());
        let near: String = after.chars().take(40).collect();
        // With `true`, an unset setting is NULL.
        if name.contains('.') && !after[..call_end].contains("true") {
            found.push((name, if near.contains("::uuid") { "00000000-0000-0000-0000-000000000000" } else { "1" }));
        }
    }
    found
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_application_get_a_value_of_their_type() {
        let text = "(tenant = (current_setting('app.tenant'::text))::uuid) AND (kind = current_setting('app.kind'::text)) \
                    AND (who = current_setting('app.user'::text, true)) AND current_setting('TimeZone') = 'UTC'";
        assert_eq!(application_settings(text), [("app.tenant", "00000000-0000-0000-0000-000000000000"), ("app.kind", "1")]);
    }
}
