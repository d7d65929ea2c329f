//! What a capacity says.

use serde::Serialize;

use super::phrase::{DASH, micros, number, percent, quantity};
use super::{Cell, Fact, Grid, Tone};
use crate::replay::capacity::{Capacity, Outcome, Phase, Point, Searched, Step, Sweep, Wait};
use crate::units::{grouped, human_ms};

/// Wait events named in one place; the others are in the JSON document.
const WAITS_SHOWN: usize = 3;

/// A capacity as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CapacityContent {
    /// The answer: `Capacity of shop: 380 calls/s`.
    pub title: String,
    /// What makes it doubtful.
    pub warnings: Vec<String>,
    /// The bracket, what limits, the fit.
    pub facts: Vec<Fact>,
    /// The steps of the search; without rows when there was none.
    pub steps: Grid,
    /// Throughput by clients; without rows when there was no sweep.
    pub sweep: Grid,
    /// What limits the result.
    pub caveats: Vec<String>,
}

impl CapacityContent {
    /// Says what was found.
    pub fn of(capacity: &Capacity) -> Self {
        let mut facts = Vec::new();
        if let Some(search) = &capacity.search {
            facts.push(Fact::new("Objective", capacity.slo.join(", ")));
            facts.extend(search_facts(search));
        }
        if let Some(sweep) = &capacity.sweep {
            facts.extend(sweep_facts(sweep));
        }
        Self {
            title: title(capacity),
            warnings: warnings(capacity),
            facts,
            steps: steps(capacity.search.as_ref().map_or(&[], |search| &search.steps)),
            sweep: sweep(capacity.sweep.as_ref().map_or(&[], |sweep| &sweep.points)),
            caveats: capacity.caveats.clone(),
        }
    }
}

fn title(capacity: &Capacity) -> String {
    let name = &capacity.name;
    match (&capacity.search, capacity.outcome()) {
        (None, _) => format!("Scalability of {name}"),
        (Some(Searched { capacity: Some(rate), .. }), _) => format!("Capacity of {name}: {}", rate_text(*rate)),
        (Some(Searched { bad: Some(bad), .. }), Outcome::BelowMinimum) => format!("Capacity of {name}: below {}", rate_text(*bad)),
        (Some(_), Outcome::Partial) => format!("Capacity of {name}: not found yet"),
        (Some(_), _) => format!("Capacity of {name}: not confirmed"),
    }
}

fn warnings(capacity: &Capacity) -> Vec<String> {
    let told = match capacity.outcome() {
        Outcome::Found => None,
        Outcome::BelowMinimum => Some("The lowest rate was too much: begin with a lower --min-rate."),
        Outcome::Unconfirmed => Some("No rate was kept for as long as the confirmation takes: repeat with a longer --dwell."),
        Outcome::Partial => Some("It ended early: what is known is the bracket."),
    };
    told.map(str::to_owned).into_iter().collect()
}

fn search_facts(search: &Searched) -> Vec<Fact> {
    let bound = |rate: Option<f64>| rate.map_or_else(|| DASH.to_owned(), rate_text);
    let mut facts = vec![Fact::new("Highest good rate", bound(search.good)), Fact::new("Lowest bad rate", bound(search.bad))];
    match &search.limit {
        Some(limit) => {
            let violations = limit.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            facts.push(Fact::new("What limits", violations));
            facts.push(Fact::new("The server there", waits_text(&limit.waits)));
        }
        None if search.good.is_some() => facts.push(Fact::new("What limits", "nothing up to the highest rate tried")),
        None => {}
    }
    facts
}

fn sweep_facts(sweep: &Sweep) -> Vec<Fact> {
    let Some(fit) = &sweep.fit else {
        return vec![Fact::new("Scalability", "no fit: it takes three different numbers of clients")];
    };
    let law = format!(
        "λ {} calls/s a client, σ {:.4} (waiting in turn), κ {:.6} (agreeing), R² {:.3}",
        number(fit.lambda),
        fit.sigma,
        fit.kappa,
        fit.r_squared
    );
    let peak = match (sweep.peak_clients, sweep.peak_throughput) {
        (Some(clients), Some(throughput)) => format!("{} at {clients:.0} clients", rate_text(throughput)),
        _ => format!("none up to {:.0} clients, twice what was measured", fit.clients_max * 2.0),
    };
    vec![Fact::new("Scalability", law), Fact::new("Peak", peak)]
}

fn steps(steps: &[Step]) -> Grid {
    let titles = ["Step", "#Offered", "#Counted", "#Ended", "#Errors", "#p50", "#p99", "#Under way", "Not kept", "The server"];
    let mut grid = Grid::new("Steps", &titles);
    for step in steps {
        let seen = &step.seen;
        let violations = step.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let verdict = if step.is_good() { Cell::text(DASH) } else { Cell::text(violations).toned(Tone::Bad) };
        grid.rows.push(vec![
            Cell::text(phase(step.phase)),
            Cell::text(rate_text(step.rate)),
            Cell::text(human_ms(step.dwell_ms)),
            Cell::text(share(seen.ended, seen.due)),
            Cell::text(grouped(seen.errors)),
            Cell::text(micros(seen.response_us.p50)),
            Cell::text(micros(seen.response_us.p99)),
            Cell::text(seen.under_way.to_string()),
            verdict,
            Cell::text(step.waits.first().map_or_else(|| DASH.to_owned(), wait_text)),
        ]);
    }
    grid
}

fn sweep(points: &[Point]) -> Grid {
    let mut grid = Grid::new("Throughput by clients", &["#Clients", "#Throughput", "#Errors", "#p50", "#p99", "The server"]);
    for point in points {
        grid.rows.push(vec![
            Cell::text(point.clients.to_string()),
            Cell::text(rate_text(point.throughput)),
            Cell::text(grouped(point.errors)),
            Cell::text(micros(point.response_us.p50)),
            Cell::text(micros(point.response_us.p99)),
            Cell::text(waits_text(&point.waits)),
        ]);
    }
    grid
}

/// Says a step in one line, for progress.
pub fn step_line(step: &Step) -> String {
    let violations = step.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let verdict = if step.is_good() { "kept".to_owned() } else { format!("too much ({violations})") };
    let p99 = step.seen.response_us.p99.map_or_else(String::new, |p99| format!(", p99 {}", micros(Some(p99))));
    format!("{}, {}: {verdict}{p99}", phase(step.phase), rate_text(step.rate))
}

/// Says a point in one line, for progress.
pub fn point_line(point: &Point) -> String {
    let clients = if point.clients == 1 { "client" } else { "clients" };
    format!("{} {clients}: {}", point.clients, rate_text(point.throughput))
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Doubling => "doubling",
        Phase::Bisection => "bisection",
        Phase::Confirmation => "confirmation",
    }
}

fn rate_text(rate: f64) -> String {
    quantity(Some(rate), "calls/s")
}

fn share(ended: u64, due: u64) -> String {
    if due == 0 { DASH.to_owned() } else { percent(ended as f64 / due as f64) }
}

fn waits_text(waits: &[Wait]) -> String {
    if waits.is_empty() {
        return "no session was seen in a call".to_owned();
    }
    waits.iter().take(WAITS_SHOWN).map(wait_text).collect::<Vec<_>>().join(", ")
}

fn wait_text(wait: &Wait) -> String {
    format!("{} {:.0} %", wait.event, wait.share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::capacity::{Observation, Violation};
    use crate::report::{markdown, terminal};

    fn step(phase: Phase, rate: f64, violations: Vec<Violation>) -> Step {
        let seen = Observation { due: 100, ended: 97, ..Observation::default() };
        let waits =
            vec![Wait { event: "Lock:tuple".into(), samples: 3, share: 0.75 }, Wait { event: "CPU".into(), samples: 1, share: 0.25 }];
        Step { phase, rate, dwell_ms: 5000.0, seen, violations, waits }
    }

    fn capacity(steps: Vec<Step>) -> Capacity {
        Capacity {
            schema_version: 1,
            kind: "capacity".into(),
            name: "shop".into(),
            about: std::collections::BTreeMap::new(),
            started_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            seed: 1,
            slo: vec!["p(99)<100".into()],
            search: Some(Searched::of(steps)),
            sweep: None,
            partial: false,
            caveats: vec!["Read-only run.".into()],
        }
    }

    #[test]
    fn the_answer_its_bracket_and_what_limits_stand_in_every_format() {
        let found = capacity(vec![
            step(Phase::Doubling, 10.0, Vec::new()),
            step(Phase::Doubling, 20.0, vec![Violation::Throughput { achieved: 0.5 }]),
            step(Phase::Confirmation, 10.0, Vec::new()),
        ]);
        for text in [terminal::capacity(&found, terminal::Layout::default()), markdown::capacity(&found)] {
            for part in ["Capacity of shop: 10 calls/s", "20 calls/s", "50.0 % of", "75 %", "Read-only run."] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        let read: Capacity = serde_json::from_str(&crate::report::json::to_string_pretty(&found)).unwrap();
        assert_eq!(read, found);
    }

    #[test]
    fn no_answer_says_why() {
        let below = CapacityContent::of(&capacity(vec![step(Phase::Doubling, 10.0, vec![Violation::Stuck])]));
        assert_eq!((below.title.as_str(), below.warnings.len()), ("Capacity of shop: below 10 calls/s", 1));
        let mut partial = capacity(vec![step(Phase::Doubling, 10.0, Vec::new())]);
        partial.partial = true;
        assert_eq!(CapacityContent::of(&partial).title, "Capacity of shop: not found yet");
    }
}
