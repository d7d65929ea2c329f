//! From what was recorded to the saved run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::load::{Arrival, Ended, Recording, Slice, Tally};
use crate::replay::program::Program;
use crate::replay::{Blocks, Health, LabelResult, Run, SeriesPoint, StatementPlan, Totals};
use crate::stats::histogram::Tagged;

/// A generator that used more than this share of its processor delayed the calls itself. A rule of thumb.
const CPU_LIMIT: f64 = 0.8;

/// 2 ms, or a tenth of the median response: calls sent later than this blur what is measured.
const LATE_LIMIT_US: u64 = 2_000;

/// A generator that gave up more than this share of the calls itself did not offer the load it was asked for.
const SHED_LIMIT: f64 = 0.001;

/// What surrounds the recording.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// The workload's name.
    pub name: &'a str,
    /// The workload's text.
    pub text: &'a str,
    /// The calls made of it.
    pub program: &'a dyn Program,
    /// How they were spaced.
    pub arrival: Arrival,
    /// The seed.
    pub seed: u64,
    /// When the measured part began.
    pub started_at: Timestamp,
    /// Versions and settings, never a password.
    pub about: BTreeMap<String, Value>,
    /// Facts of the server.
    pub server: BTreeMap<String, Value>,
    /// By prepared statement: the shared blocks, where counted.
    pub blocks: Vec<Option<Blocks>>,
    /// By prepared statement: its plan, where known.
    pub plans: Vec<Option<StatementPlan>>,
    /// What limits the result so far.
    pub caveats: Vec<String>,
}

/// Puts a run together.
pub fn run_of(setting: Setting<'_>, recording: &Recording) -> Run {
    let calls = &recording.calls;
    let window_s = recording.window.as_secs_f64();
    let mut caveats = setting.caveats;
    caveats.extend(caveats_of(recording, &setting.arrival));
    let mut about = setting.about;
    about.insert("workload".to_owned(), json!(setting.text));
    let labels = setting.program.labels().iter().zip(&recording.labels).filter(|(label, _)| label.called);
    let labels = labels.map(|(label, recorded)| {
        let whole = &recorded.whole;
        let result = LabelResult {
            count: whole.count,
            errors: whole.errors.clone(),
            retries: whole.retries,
            skipped: whole.skipped,
            response_us: whole.response.percentiles(),
            service_us: whole.service.percentiles(),
            lag_us: whole.lag.percentiles(),
            rows: whole.rows,
            blocks: label.statement.and_then(|number| setting.blocks.get(number).copied().flatten()),
            plan: label.statement.and_then(|number| setting.plans.get(number).cloned().flatten()),
            sql: label.sql.clone(),
            series: recorded.series.iter().map(point).collect(),
        };
        (label.name.clone(), result)
    });
    Run {
        schema_version: 1,
        kind: "replay".to_owned(),
        name: setting.name.to_owned(),
        side: None,
        about,
        started_at: setting.started_at,
        seed: setting.seed,
        arrival: json!(setting.arrival),
        duration_ms: window_s * 1000.0,
        partial: recording.ended != Ended::Complete,
        health: health(recording),
        totals: Totals {
            count: recording.count(),
            errors: recording.errors(),
            retries: calls.retries,
            not_started: recording.not_started,
            throughput: if window_s > 0.0 { recording.count_in_window as f64 / window_s } else { 0.0 },
            response_us: calls.response.percentiles(),
            service_us: calls.service.percentiles(),
            lag_us: calls.lag.percentiles(),
        },
        series: recording.series.iter().map(point).collect(),
        labels: labels.collect(),
        server: setting.server,
        fidelity: None,
        thresholds: Vec::new(),
        profile: None,
        caveats,
    }
}

/// Returns the histograms of a run, named `total.response`, `<statement>.service` and so on, for its `.hlog`.
pub fn histograms(program: &dyn Program, recording: &Recording) -> Vec<Tagged> {
    let labels = program.labels().iter().zip(&recording.labels).map(|(label, recorded)| (label.name.as_str(), &recorded.whole));
    let of = |(name, tally): (&str, &Tally)| {
        let kinds = [("response", &tally.response), ("service", &tally.service), ("lag", &tally.lag)];
        kinds.map(|(kind, histogram)| Tagged { tag: format!("{name}.{kind}"), histogram: histogram.clone() })
    };
    let all = std::iter::once(("total", &recording.calls)).chain(labels).flat_map(of);
    all.filter(|entry| entry.histogram.count() > 0).collect()
}

fn point(slice: &Slice) -> SeriesPoint {
    let Slice { second, count, errors, p50_us, p95_us, p99_us } = *slice;
    SeriesPoint { second, count, errors, p50_us, p95_us, p99_us }
}

/// Judges the generator, not the server: a call that waits for a session is late because the server is slow.
pub fn health(recording: &Recording) -> Health {
    let mut reasons = Vec::new();
    if let Some(share) = recording.cpu_share.filter(|share| *share > CPU_LIMIT) {
        reasons.push(format!("The load generator used {:.0} % of its processor, so it delayed calls itself.", share * 100.0));
    }
    let limit = LATE_LIMIT_US.max(recording.calls.response.percentile(0.5).unwrap_or(0) / 10);
    if let Some(late) = recording.late.percentile(0.99).filter(|late| *late > limit) {
        reasons.push(format!("1 % of the calls were sent {late} us late or later although a session was free."));
    }
    let shed = recording.shed as f64 / due(recording).max(1) as f64;
    if shed > SHED_LIMIT {
        reasons.push(format!("{:.1} % of the calls were shed because as many as allowed were under way.", shed * 100.0));
    }
    Health { valid: reasons.is_empty(), reasons }
}

/// Returns how many calls were due.
fn due(recording: &Recording) -> u64 {
    recording.count() + recording.unfinished + recording.not_started
}

fn caveats_of(recording: &Recording, arrival: &Arrival) -> Vec<String> {
    let mut caveats = Vec::new();
    match recording.ended {
        Ended::Complete => {}
        Ended::Stopped => caveats.push("The run was ended early on request.".to_owned()),
        Ended::Lost => caveats.push("The run ended early: the server could no longer be reached.".to_owned()),
        Ended::Stuck => caveats.push("The run was cut: calls did not end in time.".to_owned()),
    }
    if recording.unfinished > 0 {
        caveats.push(format!("{} calls had not ended when the run was cut; they count as infinitely slow.", recording.unfinished));
    }
    let share = |count: u64| 100.0 * count as f64 / due(recording).max(1) as f64;
    if recording.not_started > 0 {
        let (count, percent) = (recording.not_started, share(recording.not_started));
        caveats.push(format!("{count} calls ({percent:.1} %) were due and never sent; they count as infinitely slow."));
    }
    if recording.calls.skipped > 0 {
        let count = recording.calls.skipped;
        caveats
            .push(format!("{count} statements were not sent because an earlier one of their transaction failed; they are in no latency."));
    }
    match arrival {
        Arrival::Open { sessions, .. } | Arrival::Stages { sessions, .. } if share(recording.queued) >= 1.0 => {
            caveats.push(format!("{:.1} % of the calls waited because all {sessions} sessions were busy.", share(recording.queued)));
        }
        Arrival::Closed { .. } => {
            caveats.push("Closed loop: a slow server was asked less often, so latencies at a given rate may be worse.".to_owned());
        }
        Arrival::Open { .. } | Arrival::Stages { .. } | Arrival::Captured { .. } => {}
    }
    caveats
}
