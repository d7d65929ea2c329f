//! What every finding about a statement says of it.

use super::{Recorded, SLOW_MS};
use crate::findings::{Evidence, Severity, statement_text};
use crate::units::{grouped, human_ms};

/// 10 % of all execution time: worth a look even when each call is quick.
pub(crate) const LARGE_SHARE: f64 = 0.1;

/// 200 characters of a statement are enough to know it by.
pub(crate) const SHOWN_CHARACTERS: usize = 200;

/// Returns how much a bad habit of the statement's text matters: by the time it takes.
pub(crate) fn severity(recorded: &Recorded<'_>) -> Severity {
    let felt = recorded.totals.mean_ms() >= SLOW_MS || recorded.share >= LARGE_SHARE;
    if felt { Severity::Warning } else { Severity::Info }
}

/// Returns `Statement 42 (1 500 calls, 120 ms on average, 12.5 % of all recorded execution time)`.
pub(crate) fn named(recorded: &Recorded<'_>) -> String {
    let calls = grouped(recorded.totals.calls);
    if recorded.totals.exec_ms == 0.0 {
        return format!("Statement {} ({calls} calls)", recorded.id);
    }
    let (mean, percent) = (human_ms(recorded.totals.mean_ms()), recorded.share * 100.0);
    format!("Statement {} ({calls} calls, {mean} on average, {percent:.1} % of all recorded execution time)", recorded.id)
}

/// Returns the text in one line, cut.
pub(crate) fn text(recorded: &Recorded<'_>) -> String {
    statement_text::shortened(recorded.query, SHOWN_CHARACTERS)
}

/// Returns the counters a finding rests on, and the text.
pub(crate) fn evidence(recorded: &Recorded<'_>) -> Vec<Evidence> {
    let totals = &recorded.totals;
    vec![
        counter("calls", totals.calls as f64, "calls"),
        counter("exec_ms_mean", totals.mean_ms(), "ms"),
        counter("exec_ms_total", totals.exec_ms, "ms"),
        counter("exec_time_share", recorded.share, ""),
        counter("rows_per_call", totals.rows_per_call(), "rows"),
        counter("blocks_per_call", totals.blocks_per_call(), "blocks"),
        Evidence::new("query", recorded.query, "", "pg_stat_statements"),
    ]
}

/// Records a counter, rounded to three decimals.
pub(crate) fn counter(name: &str, value: f64, unit: &str) -> Evidence {
    let rounded = (value * 1000.0).round() / 1000.0;
    let value = if rounded.fract() == 0.0 { serde_json::json!(rounded as i64) } else { serde_json::json!(rounded) };
    Evidence::new(name, value, unit, "pg_stat_statements")
}
