//! Asks the statistics twin how statements are planned, and says what their plans show.

use std::collections::BTreeMap;

use crate::advisor::query::Query;
use crate::advisor::workload;
use crate::catalog::Snapshot;
use crate::pg::twin::{Options, Twin, TwinError};
use crate::profile::{Facts, Note, Observed, Profile, StatementProfile, estimate_note};
use crate::sql::fingerprint;
use crate::units::Bytes;

/// Statements whose plans are looked at: those with most of the time.
pub const STATEMENTS_MAX: usize = 20;

/// Sets of values a statement is planned with: the frequent ones.
const SETS_MAX: usize = 3;

/// 4 MB: what a server has for `work_mem` when nobody sets it, in kB.
const WORK_MEM_KB: f64 = 4096.0;

/// Adds what their plans show to the statements with most of the time; returns what could not be planned, as sentences.
///
/// Takes seconds and must not run on an async executor's thread.
///
/// # Errors
/// [`TwinError`] when the twin does not start.
pub fn plan_notes(profile: &mut Profile, mut snapshot: Snapshot, options: &Options) -> Result<Vec<String>, TwinError> {
    let wanted: Vec<String> = candidates(profile).map(fingerprint).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    snapshot.statements.retain(|statement| statement.query.as_deref().is_some_and(|text| wanted.contains(&fingerprint(text))));
    let queries = workload::read(&snapshot).queries;
    let mut twin = Twin::start(&snapshot, options)?;
    let mut refused = Vec::new();
    let mut by_text: BTreeMap<String, Vec<(f64, serde_json::Value)>> = BTreeMap::new();
    for query in &queries {
        match planned(&mut twin, query) {
            Ok(plans) => drop(by_text.insert(fingerprint(&query.text), plans)),
            Err(reason) => refused.push(reason),
        }
    }
    let work_mem = Bytes((snapshot.server.number("work_mem").unwrap_or(WORK_MEM_KB) * 1024.0) as u64);
    let rows = |schema: &str, name: &str| {
        snapshot.tables.iter().find(|table| table.name.schema == schema && table.name.name == name).map(|table| table.rows_now())
    };
    for statement in &mut profile.statements {
        let Some(plans) = statement.query.as_deref().and_then(|text| by_text.get(&fingerprint(text))) else { continue };
        statement.notes = notes(statement, plans, work_mem, &rows);
    }
    let mut caveats = Vec::new();
    if let Some(first) = refused.first() {
        caveats.push(format!("The twin could not plan {} of the statements; the first: {first}.", refused.len()));
    }
    Ok(caveats)
}

/// The texts of the statements with most of the time.
fn candidates(profile: &Profile) -> impl Iterator<Item = &str> {
    let timed = profile.statements.iter().filter(|statement| statement.counters.exec_ms_total > 0.0);
    timed.filter_map(|statement| statement.query.as_deref()).take(STATEMENTS_MAX)
}

fn planned(twin: &mut Twin, query: &Query) -> Result<Vec<(f64, serde_json::Value)>, String> {
    let mut sets = twin.texts(query).map_err(|refused| refused.reason)?;
    sets.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut plans = Vec::with_capacity(SETS_MAX);
    let mut last = "no values to plan it with".to_owned();
    for (weight, sql) in sets.iter().take(SETS_MAX) {
        match twin.document(sql, &query.search_path) {
            Ok(document) => plans.push((*weight, document)),
            Err(refused) => last = refused.reason,
        }
    }
    if plans.is_empty() { Err(last) } else { Ok(plans) }
}

/// What the plans of one statement show: each kind once, from the most frequent values that show it.
fn notes(
    statement: &StatementProfile,
    plans: &[(f64, serde_json::Value)],
    work_mem: Bytes,
    rows: &dyn Fn(&str, &str) -> Option<f64>,
) -> Vec<Note> {
    let counters = &statement.counters;
    let calls = counters.calls.max(1) as f64;
    let observed = Observed {
        calls: counters.calls,
        rows_mean: counters.rows_mean().unwrap_or(0.0),
        temp_blocks_mean: counters.temp_blocks_written as f64 / calls,
    };
    let mut notes: Vec<Note> = Vec::new();
    let (mut expected, mut weight) = (0.0, 0.0);
    for (share, document) in plans {
        let (found, rows) = crate::profile::plan_notes(document, &Facts { work_mem, rows, observed });
        // The same scan under other values says nothing new.
        let new = found.into_iter().filter(|note| !notes.iter().any(|known| known.kind == note.kind)).collect::<Vec<_>>();
        notes.extend(new);
        if let Some(rows) = rows {
            expected += share * rows;
            weight += share;
        }
    }
    if weight > 0.0 {
        notes.extend(estimate_note(expected / weight, &observed));
    }
    notes
}
