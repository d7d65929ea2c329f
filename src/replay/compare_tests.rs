//! Simulated pairs of runs: the same system twice, an index that helps, and pairs that must not be compared.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::replay::{Blocks, Health, StatementPlan, Totals};
use crate::stats::random::{bits, unit};

/// What one simulated run is like.
#[derive(Clone, Copy)]
struct System {
    p50_us: f64,
    blocks: u64,
    index: Option<&'static str>,
    noise: u64,
}

const SLOW: System = System { p50_us: 9_000.0, blocks: 900, index: None, noise: 1 };
const FAST: System = System { p50_us: 300.0, blocks: 4, index: Some("prospects_user_idx"), noise: 2 };

/// A 30 s run of one statement with 5 % noise a second.
fn run(system: System) -> Run {
    let noisy = |second: u64, stream: u64| 0.95 + 0.1 * unit(bits(system.noise, stream, second, 0));
    let us = |factor: f64, second, stream| Some((system.p50_us * factor * noisy(second, stream)) as u64);
    let series: Vec<SeriesPoint> = (0..30)
        .map(|second| SeriesPoint {
            second,
            count: (8.0e6 / system.p50_us * noisy(second, 0)) as u64,
            errors: 0,
            p50_us: us(1.0, second, 1),
            p95_us: us(2.0, second, 2),
            p99_us: us(3.0, second, 3),
        })
        .collect();
    let count = series.iter().map(|point| point.count).sum();
    let whole = |factor: f64| Some((system.p50_us * factor) as u64);
    let response_us = Percentiles { p50: whole(1.0), p95: whole(2.0), p99: whole(3.0), ..Percentiles::default() };
    let label = LabelResult {
        count,
        response_us,
        rows: count * 50,
        blocks: Some(Blocks { hit: count * system.blocks, read: 0, calls: count }),
        plan: Some(StatementPlan {
            shape: if system.index.is_some() { "Limit > Index Scan prospects" } else { "Limit > Sort > Seq Scan prospects" }.to_owned(),
            indexes: system.index.iter().map(|name| (*name).to_owned()).collect(),
            sequential: Vec::new(),
        }),
        sql: "select 1".to_owned(),
        series: series.clone(),
        ..LabelResult::default()
    };
    Run {
        schema_version: 1,
        kind: "replay".to_owned(),
        name: "prospects".to_owned(),
        side: None,
        about: [("workload", "name: prospects"), ("writes", "readonly"), ("samples", "a")].map(|(k, v)| (k.to_owned(), json!(v))).into(),
        started_at: Timestamp::UNIX_EPOCH,
        seed: 1,
        arrival: json!({"closed": {"clients": 8}}),
        duration_ms: 30_000.0,
        partial: false,
        health: Health { valid: true, reasons: Vec::new() },
        totals: Totals { count, throughput: count as f64 / 30.0, response_us, ..Totals::default() },
        series,
        labels: BTreeMap::from([("by_user".to_owned(), label)]),
        server: BTreeMap::new(),
        fidelity: None,
        thresholds: Vec::new(),
        profile: None,
        caveats: Vec::new(),
    }
}

#[test]
fn a_system_compared_with_itself_shows_no_difference() {
    for noise in 10..110 {
        let comparison = compare(&run(SLOW), &run(System { noise, ..SLOW })).unwrap();
        assert_eq!(comparison.verdict, Verdict::NoDifference, "{comparison:#?}");
        assert!(comparison.metrics.iter().all(|metric| !matches!(metric.verdict, Verdict::Better | Verdict::Worse)));
        assert_eq!(comparison.exact[0].plan_changed, Some(false));
    }
}

#[test]
fn a_drift_of_the_machine_is_not_a_difference_of_the_system() {
    let drifted = System { p50_us: SLOW.p50_us * 1.12, noise: 5, ..SLOW };
    let comparison = compare(&run(SLOW), &run(drifted)).unwrap();
    assert_eq!(comparison.verdict, Verdict::NoDifference, "same plans and blocks: {comparison:#?}");
}

#[test]
fn an_index_that_helps_is_seen_in_every_metric_and_in_the_blocks() {
    let comparison = compare(&run(SLOW), &run(FAST)).unwrap();
    assert_eq!((comparison.design, comparison.verdict), (Design::Sequential, Verdict::Better));
    let names: Vec<_> = comparison.metrics.iter().map(|m| (m.label.as_str(), m.metric.as_str())).collect();
    let expected = [
        ("total", "throughput"),
        ("total", "p50"),
        ("total", "p95"),
        ("total", "p99"),
        ("by_user", "p50"),
        ("by_user", "p95"),
        ("by_user", "p99"),
    ];
    assert_eq!(names, expected);
    for metric in &comparison.metrics {
        assert_eq!(metric.verdict, Verdict::Better, "{metric:?}");
        let [low, high] = metric.interval.expect("30 slices");
        assert!(low < metric.ratio.unwrap() && metric.ratio.unwrap() < high);
    }
    let exact = &comparison.exact[0];
    assert_eq!((exact.blocks_per_call.before, exact.blocks_per_call.after, exact.plan_changed), (Some(900.0), Some(4.0), Some(true)));
    assert_eq!(exact.indexes.after, ["prospects_user_idx"]);
    assert_eq!(compare(&run(FAST), &run(SLOW)).unwrap().verdict, Verdict::Worse, "and the other way round it is worse");
    assert!(comparison.caveats[0].contains("indicative"));
}

#[test]
fn one_statement_that_got_worse_makes_the_whole_worse() {
    let (mut before, mut after) = (run(SLOW), run(FAST));
    before.labels.insert("add".to_owned(), run(System { noise: 3, ..FAST }).labels.remove("by_user").unwrap());
    after.labels.insert("add".to_owned(), run(System { noise: 4, ..SLOW }).labels.remove("by_user").unwrap());
    let comparison = compare(&before, &after).unwrap();
    assert_eq!(comparison.verdict, Verdict::Worse);
}

#[test]
fn a_statement_slower_by_the_same_work_does_not_turn_a_whole_that_got_better() {
    let with = |system: System, other: System| {
        let mut run = run(system);
        run.labels.insert("by_id".to_owned(), self::run(other).labels["by_user"].clone());
        run
    };
    // What runs beside the statement that was mended: as many blocks by the same plan, but on processors that sleep.
    let (awake, asleep) = (System { p50_us: 180.0, ..FAST }, System { p50_us: 390.0, noise: 3, ..FAST });
    let found = compare(&with(SLOW, awake), &with(FAST, asleep)).unwrap();
    let by_id = found.metrics.iter().find(|metric| metric.label == "by_id" && metric.metric == "p50").unwrap();
    assert_eq!((by_id.verdict, found.verdict), (Verdict::Worse, Verdict::Better), "{by_id:?}");
    assert!(found.caveats.iter().any(|caveat| caveat.contains("2.17 times as long (p50): the machine changed")), "{:?}", found.caveats);
    // By more blocks it is the change's doing, and where nothing got better it is told as well.
    let found = compare(&with(SLOW, awake), &with(FAST, System { blocks: 90, ..asleep })).unwrap();
    assert_eq!(found.verdict, Verdict::Worse);
    let found = compare(&with(FAST, awake), &with(FAST, asleep)).unwrap();
    assert_eq!(found.verdict, Verdict::Worse);
}

#[test]
fn new_errors_are_worse_however_fast() {
    let (before, mut after) = (run(SLOW), run(FAST));
    let label = after.labels.get_mut("by_user").unwrap();
    label.errors.insert("57014".to_owned(), label.count / 10);
    after.totals.errors = after.totals.count / 10;
    let comparison = compare(&before, &after).unwrap();
    assert_eq!(comparison.verdict, Verdict::Worse);
    let errors = comparison.metrics.iter().find(|m| m.metric == "errors").unwrap();
    assert_eq!((errors.before, errors.ratio, errors.verdict), (Some(0.0), None, Verdict::Worse));
}

#[test]
fn short_runs_give_no_interval_and_say_so() {
    let short = |system| {
        let mut run = run(system);
        run.duration_ms = 5_500.0;
        run
    };
    let comparison = compare(&short(SLOW), &short(System { noise: 9, blocks: 700, ..SLOW })).unwrap();
    assert!(comparison.metrics.iter().all(|metric| metric.interval.is_none() && metric.verdict == Verdict::Inconclusive));
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    assert!(comparison.caveats.iter().any(|caveat| caveat.contains("run longer")));
}

#[test]
fn runs_that_did_not_do_the_same_are_refused() {
    let refused = |change: fn(&mut Run)| {
        let mut after = run(SLOW);
        change(&mut after);
        compare(&run(SLOW), &after).unwrap_err().to_string()
    };
    assert!(refused(|run| run.seed = 2).contains("their seeds differ (1 before, 2 after)"));
    assert!(refused(|run| run.arrival = json!({"closed": {"clients": 9}})).contains("arrivals differ"));
    assert!(refused(|run| drop(run.about.insert("workload".to_owned(), json!("name: x")))).contains("workload texts differ"));
    assert!(refused(|run| run.name = "shop".to_owned()).contains("workload names differ"));
    assert!(refused(|run| drop(run.about.insert("writes".to_owned(), json!("live")))).contains("(readonly before, live after)"));
}

#[test]
fn what_weakens_the_comparison_is_said() {
    let (before, mut after) = (run(SLOW), run(FAST));
    after.partial = true;
    after.duration_ms = 20_000.0;
    after.totals.not_started = 7;
    after.health.reasons.push("It was slow.".to_owned());
    after.about.insert("samples".to_owned(), json!("b"));
    after.labels.get_mut("by_user").unwrap().rows /= 2;
    let said = compare(&before, &after).unwrap().caveats.join("\n");
    for part in
        ["ended early", "20.0 s after", "7 calls of the run after", "In the run after: It was slow.", "different rows", "not the same data"]
    {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
}
