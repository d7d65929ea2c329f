//! What a comparison says.

use serde::Serialize;

use super::phrase::{DASH, both, change, number, quantity, times, tone, verdict};
use super::{Cell, Grid, Tone};
use crate::diff::Diff;
use crate::stats::{Comparison, Design, Exact, Metric, Verdict};

/// The label under which [`Comparison`] holds all statements together.
pub const TOTAL: &str = "total";

/// A comparison as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparisonContent {
    /// The workload's name.
    pub title: String,
    /// The verdict over all.
    pub verdict: String,
    /// How the verdict is to be taken.
    pub tone: Tone,
    /// How the two sides were measured, in one sentence.
    pub design: String,
    /// All statements together, a row a metric.
    pub totals: Grid,
    /// Response times, statement by statement.
    pub statements: Grid,
    /// What the server counted and planned, statement by statement: next to noiseless.
    pub exact: Grid,
    /// What limits the comparison.
    pub caveats: Vec<String>,
}

impl ComparisonContent {
    /// Says what a comparison showed.
    pub fn of(name: &str, comparison: &Comparison) -> Self {
        Self {
            title: name.to_owned(),
            verdict: verdict(comparison.verdict).to_owned(),
            tone: tone(comparison.verdict),
            design: design(comparison),
            totals: totals(comparison),
            statements: statements(comparison),
            exact: exact(comparison),
            caveats: comparison.caveats.clone(),
        }
    }
}

fn design(comparison: &Comparison) -> String {
    let rounds = comparison.rounds;
    let mut told = match comparison.design {
        Design::Duet => format!("Each call was made on both sides, back to back; {rounds} rounds."),
        Design::Abba => format!("Both sides were measured in blocks in the order A B B A; {rounds} rounds."),
        Design::Sequential => {
            "One side was measured after the other, so whatever else changed in between is part of the difference.".to_owned()
        }
    };
    if !comparison.calibration.note.is_empty() {
        told = format!("{told} {}", comparison.calibration.note);
    }
    told
}

fn totals(comparison: &Comparison) -> Grid {
    let mut grid = Grid::new("All statements together", &["Metric", "#Before", "#After", "Change", "Verdict"]);
    for metric in comparison.metrics.iter().filter(|metric| metric.label == TOTAL) {
        grid.rows.push(vec![
            Cell::text(&metric.metric),
            Cell::text(quantity(metric.before, &metric.unit)),
            Cell::text(quantity(metric.after, &metric.unit)),
            Cell::text(change(metric)),
            Cell::text(verdict(metric.verdict)).toned(tone(metric.verdict)),
        ]);
    }
    grid
}

fn statements(comparison: &Comparison) -> Grid {
    let titles = ["Statement", "#p50", "#p95", "#p99", "#Throughput", "Verdict"];
    let mut grid = Grid::new("Response time by statement, before → after", &titles);
    for label in labels(comparison) {
        let decided = decisive(comparison, label);
        let seen = decided.map_or(Verdict::Inconclusive, |metric| metric.verdict);
        let cell = |name| metric_of(comparison, label, name).map_or_else(|| Cell::text(DASH), metric_cell);
        grid.rows.push(vec![
            Cell::code(label),
            cell("p50"),
            cell("p95"),
            cell("p99"),
            cell("throughput"),
            Cell::text(verdict(seen)).toned(tone(seen)).with_note(doubt(decided)),
        ]);
    }
    // Most comparisons know throughput for all statements together only.
    grid.drop_if_empty("Throughput");
    grid
}

/// Returns the statements' labels in the order they were compared; not the total.
pub fn labels(comparison: &Comparison) -> Vec<&str> {
    let mut labels = Vec::new();
    let all = comparison.metrics.iter().map(|metric| &metric.label).chain(comparison.exact.iter().map(|exact| &exact.label));
    for label in all.map(String::as_str).filter(|label| *label != TOTAL) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

/// Returns a statement's metric by name.
pub fn metric_of<'a>(comparison: &'a Comparison, label: &str, name: &str) -> Option<&'a Metric> {
    comparison.metrics.iter().find(|metric| metric.label == label && metric.metric == name)
}

/// Returns the metric that decides a statement's verdict: the 95th percentile where both sides have one, else the median.
pub fn decisive<'a>(comparison: &'a Comparison, label: &str) -> Option<&'a Metric> {
    let measured = |metric: &&Metric| metric.before.is_some() && metric.after.is_some();
    let named = ["p95", "p50", "mean", "p99"];
    named.iter().find_map(|name| metric_of(comparison, label, name).filter(measured))
}

/// Lists the statements whose plan changed.
pub fn changed(comparison: Option<&Comparison>) -> Grid {
    let mut grid =
        Grid::new("Statements whose plan changed, before → after", &["Statement", "#p50", "#p95", "#Blocks a call", "Index after"]);
    let Some(comparison) = comparison else { return grid };
    for exact in comparison.exact.iter().filter(|exact| exact.plan_changed == Some(true)) {
        let cell = |name| metric_of(comparison, &exact.label, name).map_or_else(|| Cell::text(DASH), metric_cell);
        grid.rows.push(vec![Cell::code(&exact.label), cell("p50"), cell("p95"), blocks_cell(exact), index_cell(&exact.indexes.after)]);
    }
    grid
}

fn exact(comparison: &Comparison) -> Grid {
    let titles = [
        "Statement",
        "#Blocks a call",
        "#Rows a call",
        "#Log bytes a call",
        "#Temporary blocks a call",
        "Plan",
        "Index before",
        "Index after",
    ];
    let mut grid = Grid::new("What the server counted and planned, before → after", &titles);
    for exact in &comparison.exact {
        grid.rows.push(vec![
            Cell::code(&exact.label),
            blocks_cell(exact),
            Cell::text(per_call(exact.rows_per_call)),
            Cell::text(per_call(exact.wal_bytes_per_call)),
            Cell::text(per_call(exact.temp_blocks_per_call)),
            plan_cell(exact),
            index_cell(&exact.indexes.before),
            index_cell(&exact.indexes.after),
        ]);
    }
    grid.drop_if_empty("Log bytes a call");
    grid.drop_if_empty("Temporary blocks a call");
    grid
}

fn metric_cell(metric: &Metric) -> Cell {
    let states = Diff { before: quantity(metric.before, &metric.unit), after: quantity(metric.after, &metric.unit) };
    let note = change(metric);
    Cell::text(both(&states)).with_note(if note == DASH { String::new() } else { note }).toned(tone(metric.verdict))
}

fn blocks_cell(exact: &Exact) -> Cell {
    let told = |blocks: Option<f64>| blocks.map_or_else(|| DASH.to_owned(), number);
    let states = Diff { before: told(exact.blocks_per_call.before), after: told(exact.blocks_per_call.after) };
    let cell = Cell::text(both(&states));
    let (Some(before), Some(after)) = (exact.blocks_per_call.before, exact.blocks_per_call.after) else {
        return cell;
    };
    // 2 %: below this the count differs by which rows the parameters hit, not by the plan; a rule of thumb.
    match (Diff { before, after }).times_less() {
        Some(less) if less > 1.02 => cell.with_note(format!("{} fewer", times(less))).toned(Tone::Good),
        Some(less) if less > 0.0 && less < 0.98 => cell.with_note(format!("{} more", times(1.0 / less))).toned(Tone::Bad),
        _ => cell,
    }
}

fn per_call(counted: Diff<Option<f64>>) -> String {
    let told = counted.map(|count| count.map_or_else(|| DASH.to_owned(), number));
    if told.before == told.after { told.before } else { both(&told) }
}

fn plan_cell(exact: &Exact) -> Cell {
    Cell::text(match exact.plan_changed {
        Some(true) => "changed",
        Some(false) => "same",
        None => "not compared",
    })
}

fn index_cell(indexes: &[String]) -> Cell {
    if indexes.is_empty() { Cell::text("none") } else { Cell::code(indexes.join(", ")) }
}

/// "No difference" means little where the data could not have shown one; say how large it would have had to be.
fn doubt(metric: Option<&Metric>) -> String {
    let hidden = metric.filter(|metric| matches!(metric.verdict, Verdict::NoDifference | Verdict::Inconclusive));
    hidden.and_then(|metric| metric.mde).map_or_else(String::new, |mde| format!("could show ≥ {:.0} %", (mde * 100.0).ceil()))
}
