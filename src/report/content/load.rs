//! What a run says.

use serde::Serialize;

use super::phrase::{DASH, counted, micros, number, percent, quantity};
use super::{Cell, Fact, Grid, ProfileContent, Tone};
use crate::profile::{Profile, Sort};
use crate::replay::fidelity::Likeness;
use crate::replay::{Blocks, LabelResult, Run, StatementPlan};
use crate::units::{grouped, human_ms};

/// Statements of a profile shown with a run: those that take most of the time. The run's file has all.
const PROFILED_SHOWN: usize = 10;

/// A run as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunContent {
    /// Its kind, name and side: `replay leads, before`.
    pub title: String,
    /// What makes its numbers doubtful, first: an overloaded load generator, an early end.
    pub warnings: Vec<String>,
    /// All statements together.
    pub totals: Vec<Fact>,
    /// Statement by statement.
    pub statements: Grid,
    /// How the calls compare with those recorded; without rows when nothing was recorded of them.
    pub fidelity: Grid,
    /// Thresholds; without rows when there were none.
    pub thresholds: Grid,
    /// What the server's own views showed meanwhile; `None` when nobody looked.
    pub profile: Option<ProfileContent>,
    /// What limits the result.
    pub caveats: Vec<String>,
    /// Versions and settings.
    pub about: Vec<Fact>,
}

impl RunContent {
    /// Says what a run measured.
    pub fn of(run: &Run) -> Self {
        let profile = run.profile.as_ref().map(|profile| serde_json::from_value::<Profile>(profile.clone()));
        let mut caveats = run.caveats.clone();
        if let Some(Err(error)) = &profile {
            caveats.push(format!("The run's profile is not as this pgload writes it and is not shown: {error}."));
        }
        Self {
            title: title(run),
            warnings: warnings(run),
            totals: totals(run),
            statements: statements(run),
            fidelity: fidelity(run),
            thresholds: thresholds(run),
            profile: profile.and_then(Result::ok).map(|profile| ProfileContent::of(&profile, PROFILED_SHOWN, Sort::Total)),
            caveats,
            about: about(run),
        }
    }
}

/// Names a run: `replay leads, before`.
pub fn title(run: &Run) -> String {
    let side = run.side.as_ref().map_or_else(String::new, |side| format!(", {side}"));
    format!("{} {}{side}", run.kind, run.name)
}

fn warnings(run: &Run) -> Vec<String> {
    let mut warnings = Vec::new();
    if !run.health.valid {
        warnings.push("The load generator did not keep up; these latencies are not to be trusted.".to_owned());
        warnings.extend(run.health.reasons.iter().cloned());
    }
    if run.partial {
        warnings.push(format!("The run ended early, after {}.", human_ms(run.duration_ms)));
    }
    warnings
}

fn totals(run: &Run) -> Vec<Fact> {
    let totals = &run.totals;
    let share = if totals.count > 0 { format!(" ({})", percent(totals.errors as f64 / totals.count as f64)) } else { String::new() };
    let mut facts = vec![
        Fact::new("Calls", format!("{} in {}", grouped(totals.count), human_ms(run.duration_ms))),
        Fact::new("Throughput", quantity(Some(totals.throughput), "calls/s")),
        Fact::new("Errors", if totals.errors == 0 { "none".to_owned() } else { format!("{}{share}", grouped(totals.errors)) }),
    ];
    if totals.not_started > 0 {
        facts.push(Fact::new("Due and never started", counted(totals.not_started, "call", "calls")));
    }
    let response = &totals.response_us;
    let percentiles = [("p50", response.p50), ("p95", response.p95), ("p99", response.p99), ("max", response.max)];
    let told = percentiles.map(|(name, value)| format!("{name} {}", micros(value)));
    facts.push(Fact::new("Response time", told.join(" · ")));
    if totals.lag_us.p99.is_some_and(|lag| lag > 0) {
        facts.push(Fact::new("Late starts (p99)", micros(totals.lag_us.p99)));
    }
    facts
}

fn statements(run: &Run) -> Grid {
    let titles = ["Statement", "#Calls", "#Errors", "#p50", "#p95", "#p99", "#Rows", "#Blocks a call", "Index"];
    let mut grid = Grid::new("Response time by statement", &titles);
    for (label, result) in &run.labels {
        let index = result.plan.as_ref().map_or_else(|| Cell::text(DASH), index_cell);
        grid.rows.push(vec![
            Cell::code(label),
            Cell::text(grouped(result.count)),
            errors_cell(result),
            Cell::text(micros(result.response_us.p50)),
            Cell::text(micros(result.response_us.p95)),
            Cell::text(micros(result.response_us.p99)),
            Cell::text(grouped(result.rows)),
            Cell::text(blocks_per_call(result.blocks.as_ref()).map_or_else(|| DASH.to_owned(), number)),
            index,
        ]);
    }
    // An HTTP run has neither, nor has one on a server that does not count for us.
    grid.drop_if_empty("Blocks a call");
    grid.drop_if_empty("Index");
    grid
}

fn errors_cell(result: &LabelResult) -> Cell {
    let count: u64 = result.errors.values().sum();
    if count == 0 {
        return Cell::text("0");
    }
    let codes: Vec<String> = result.errors.iter().map(|(code, count)| format!("{code}: {}", grouped(*count))).collect();
    Cell::text(grouped(count)).with_note(codes.join(", ")).toned(Tone::Bad)
}

/// Returns the shared blocks a call touched, hit and read together.
pub fn blocks_per_call(blocks: Option<&Blocks>) -> Option<f64> {
    let blocks = blocks.filter(|blocks| blocks.calls > 0)?;
    Some(blocks.hit.saturating_add(blocks.read) as f64 / blocks.calls as f64)
}

fn index_cell(plan: &StatementPlan) -> Cell {
    let scans = plan.sequential.iter().map(|table| format!("sequential scan of {table}"));
    let scans = scans.collect::<Vec<_>>().join(", ");
    match (plan.indexes.is_empty(), scans.is_empty()) {
        (true, true) => Cell::text("none"),
        (true, false) => Cell::text(scans),
        (false, _) => Cell::code(plan.indexes.join(", ")).with_note(scans),
    }
}

fn fidelity(run: &Run) -> Grid {
    let titles = ["Statement", "#Share of calls", "#Rows a call", "#Blocks a call", "Representative"];
    let mut grid = Grid::new("Fidelity: replayed against recorded", &titles);
    let Some(fidelity) = &run.fidelity else { return grid };
    let cell = |likeness: Option<&Likeness>| {
        let Some(likeness) = likeness else { return Cell::text(DASH) };
        let ratio = likeness.ratio.map_or_else(|| DASH.to_owned(), |ratio| format!("{ratio:.2}x"));
        let tone = if likeness.is_representative() { Tone::Plain } else { Tone::Bad };
        Cell::text(ratio).with_note(format!("{} for {}", number(likeness.replayed), number(likeness.recorded))).toned(tone)
    };
    let yes = |representative: bool| {
        Cell::text(if representative { "yes" } else { "no" }).toned(if representative { Tone::Good } else { Tone::Bad })
    };
    let all = [Cell::text("all"), Cell::text(percent(fidelity.calls_share)).with_note("representative")];
    let figures = [cell(Some(&fidelity.rows)), cell(fidelity.blocks.as_ref()), yes(fidelity.representative)];
    grid.rows.push(all.into_iter().chain(figures).collect());
    for (name, one) in &fidelity.statements {
        let figures = [cell(Some(&one.rows)), cell(one.blocks.as_ref()), yes(one.representative)];
        grid.rows.push([Cell::code(name), Cell::text(percent(one.calls_share))].into_iter().chain(figures).collect());
    }
    grid.drop_if_empty("Blocks a call");
    grid
}

fn thresholds(run: &Run) -> Grid {
    let mut grid = Grid::new("Thresholds", &["Threshold", "#Observed", "Met"]);
    for threshold in &run.thresholds {
        let (word, tone) = match (threshold.ok, threshold.value) {
            (true, _) => ("yes", Tone::Good),
            (false, Some(_)) => ("no", Tone::Bad),
            (false, None) => ("not enough samples", Tone::Bad),
        };
        let observed = threshold.value.map_or_else(|| DASH.to_owned(), number);
        grid.rows.push(vec![Cell::code(&threshold.expression), Cell::text(observed), Cell::text(word).toned(tone)]);
    }
    grid
}

fn about(run: &Run) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("Started", run.started_at.to_string()),
        Fact::new("Seed", run.seed.to_string()),
        Fact::new("Arrival", super::page::value(&run.arrival)),
    ];
    // What a workload was derived from is told by its caveats.
    let told = run.about.iter().filter(|(name, _)| *name != "derived");
    facts.extend(told.map(|(name, value)| Fact::new(name, super::page::value(value))));
    facts
}
