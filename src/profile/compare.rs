//! What is different between two profiles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::Profile;
use crate::diff::Diff;
use crate::sql::fingerprint;

/// 20 calls: below it a mean is the accident of a few calls. Convention, not theory.
pub const CALLS_MIN: u64 = 20;

/// 25 %: the two windows were at different times, so smaller changes are the traffic's or the machine's as likely as the
/// statement's.
pub const MARGIN: f64 = 0.25;

/// 1 % of a window's execution time: a statement that takes it is worth naming however seldom it is called.
const SHARE_MIN: f64 = 0.01;

/// What changed since an earlier profile. The windows were one after the other, so this indicates and proves nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// When the earlier window began, as text.
    pub since: String,
    /// The lengths of both windows, in milliseconds.
    pub duration_ms: Diff<f64>,
    /// A mean that differs by less than this share is no change.
    pub margin: f64,
    /// Statements with fewer calls are not compared.
    pub calls_min: u64,
    /// Statements whose calls take longer, most time lost first.
    pub slower: Vec<Change>,
    /// Statements whose calls take less time, most time won first.
    pub faster: Vec<Change>,
    /// Statements that were not called in the earlier window, most time first.
    pub new: Vec<Change>,
    /// Statements that were called in the earlier window only, most time first.
    pub gone: Vec<Change>,
    /// Statements compared and found no different.
    pub alike: u64,
    /// Statements with too few calls to compare.
    pub too_few: u64,
}

/// A statement in both windows, its roles together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its text; `None` when neither profile has it.
    pub query: Option<String>,
    /// Its numbers, of both windows.
    pub query_ids: Vec<String>,
    /// Calls.
    pub calls: Diff<u64>,
    /// Execution time of a call, in milliseconds; `None` where there was none.
    pub exec_ms_mean: Diff<Option<f64>>,
    /// How many times as long a call takes; `None` unless both are known.
    pub ratio: Option<f64>,
}

/// One statement of one profile, its roles together.
#[derive(Debug, Clone, Default)]
struct Total {
    query: Option<String>,
    query_ids: Vec<String>,
    calls: u64,
    exec_ms_total: f64,
    share: f64,
}

/// Compares two profiles, statement by statement.
///
/// Statements are the same when their texts are, but for parameters' numbers and lists' lengths; or, without a text, when
/// their numbers are.
pub fn compare(before: &Profile, after: &Profile) -> Changes {
    let known = texts([before, after]);
    let (mut earlier, later) = (totals(before, &known), totals(after, &known));
    let mut changes = Changes {
        since: before.started_at.to_string(),
        duration_ms: Diff { before: before.duration_ms, after: after.duration_ms },
        margin: MARGIN,
        calls_min: CALLS_MIN,
        slower: Vec::new(),
        faster: Vec::new(),
        new: Vec::new(),
        gone: Vec::new(),
        alike: 0,
        too_few: 0,
    };
    let matters = |total: &Total| total.calls >= CALLS_MIN || total.share >= SHARE_MIN;
    for (key, now) in later {
        let then = earlier.remove(&key).unwrap_or_default();
        let both = then.calls >= CALLS_MIN && now.calls >= CALLS_MIN;
        let (appeared, vanished) = (then.calls == 0 && matters(&now), now.calls == 0 && matters(&then));
        let change = change(then, now);
        match change.ratio {
            _ if appeared => changes.new.push(change),
            _ if vanished => changes.gone.push(change),
            Some(ratio) if both && ratio >= 1.0 + MARGIN => changes.slower.push(change),
            Some(ratio) if both && ratio <= 1.0 / (1.0 + MARGIN) => changes.faster.push(change),
            Some(_) if both => changes.alike += 1,
            _ if both => changes.alike += 1,
            _ => changes.too_few += 1,
        }
    }
    for then in earlier.into_values() {
        if matters(&then) {
            changes.gone.push(change(then, Total::default()));
        } else {
            changes.too_few += 1;
        }
    }
    // The time at stake: the change of a call, as often as it is called now.
    let at_stake = |change: &Change| match (change.exec_ms_mean.before, change.exec_ms_mean.after) {
        (Some(before), Some(after)) => (after - before).abs() * change.calls.after as f64,
        (None, Some(mean)) => mean * change.calls.after as f64,
        (Some(mean), None) => mean * change.calls.before as f64,
        (None, None) => 0.0,
    };
    for list in [&mut changes.slower, &mut changes.faster, &mut changes.new, &mut changes.gone] {
        list.sort_by(|one, other| at_stake(other).total_cmp(&at_stake(one)));
    }
    changes
}

/// Returns the fingerprint of each number whose text either profile has: the other may have lost it.
fn texts(profiles: [&Profile; 2]) -> BTreeMap<&str, String> {
    let all = profiles.into_iter().flat_map(|profile| &profile.statements);
    all.filter_map(|statement| Some((statement.query_id.as_deref()?, fingerprint(statement.query.as_deref()?)))).collect()
}

fn totals(profile: &Profile, texts: &BTreeMap<&str, String>) -> BTreeMap<String, Total> {
    let mut totals: BTreeMap<String, Total> = BTreeMap::new();
    for statement in &profile.statements {
        let by_text = statement.query.as_deref().map(fingerprint);
        let id = statement.query_id.as_deref();
        let Some(key) = by_text.or_else(|| texts.get(id?).cloned()).or_else(|| id.map(|id| format!("query_id {id}"))) else { continue };
        let total = totals.entry(key).or_default();
        total.query = total.query.take().or_else(|| statement.query.clone());
        total.query_ids.extend(id.filter(|id| !total.query_ids.iter().any(|known| known == id)).map(str::to_owned));
        total.calls = total.calls.saturating_add(statement.counters.calls);
        total.exec_ms_total += statement.counters.exec_ms_total;
        total.share += statement.exec_time_share.unwrap_or(0.0);
    }
    totals
}

fn change(then: Total, now: Total) -> Change {
    let mean = |total: &Total| (total.calls > 0).then(|| total.exec_ms_total / total.calls as f64);
    let exec_ms_mean = Diff { before: mean(&then), after: mean(&now) };
    let ratio = match (exec_ms_mean.before, exec_ms_mean.after) {
        (Some(before), Some(after)) => Diff { before, after }.ratio(),
        _ => None,
    };
    let mut query_ids = now.query_ids;
    query_ids.extend(then.query_ids.into_iter().filter(|id| !query_ids.contains(id)).collect::<Vec<_>>());
    Change { query: now.query.or(then.query), query_ids, calls: Diff { before: then.calls, after: now.calls }, exec_ms_mean, ratio }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
