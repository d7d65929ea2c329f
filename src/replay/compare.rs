//! Two saved runs of one workload, one measured after the other.

use std::collections::BTreeSet;

use crate::diff::Diff;
use crate::replay::{LabelResult, Run, SeriesPoint};
use crate::stats::compare::{Side, Subject, Work, limits, overall, sequential, work};
use crate::stats::{Better, Calibration, Comparison, Design, Exact, Metric, Percentiles, Rounds, Verdict};

/// One percentage point: a smaller change of the share of failing calls is not called one. Convention.
const ERROR_MARGIN: f64 = 0.01;

/// 5 %: a change of rows a call beyond it means that the two runs did not read the same data.
const ROWS_MARGIN: f64 = 0.05;

/// Why two runs cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("compare the runs: their {what} differ ({before} before, {after} after). Run both sides with the same {what}.")]
pub struct CompareError {
    /// `workloads`, `seeds`, `arrivals` …
    pub what: String,
    /// The first run's, shortened.
    pub before: String,
    /// The second run's, shortened.
    pub after: String,
}

/// Compares two runs of the same workload, seed and arrival.
///
/// # Errors
/// [`CompareError`] when they did not do the same thing, since then no number of theirs may be set against another.
pub fn compare(before: &Run, after: &Run) -> Result<Comparison, CompareError> {
    must_agree(before, after)?;
    let names: Vec<&String> = before.labels.keys().filter(|name| after.labels.contains_key(*name)).collect();
    let pairs = || names.iter().map(|name| (name.as_str(), &before.labels[*name], &after.labels[*name]));

    let exact: Vec<Exact> = pairs().map(|(name, before, after)| exact_of(name, before, after)).collect();
    let works: Vec<Work> = exact.iter().map(work).collect();
    let mut metrics = total_metrics(before, after, total_work(&pairs().collect::<Vec<_>>(), &works));
    for ((name, old, new), work) in pairs().zip(&works) {
        let sides = Diff { before: (&old.response_us, old.series.as_slice()), after: (&new.response_us, new.series.as_slice()) };
        metrics.extend(latency_metrics(name, &sides, *work, Diff { before, after }));
        metrics.extend(error_metric(name, [old, new].map(|label| (label.errors.values().sum(), label.count))));
    }
    Ok(Comparison {
        schema_version: 1,
        design: Design::Sequential,
        rounds: 1,
        calibration: Calibration {
            done: false,
            note: "No run of the system against itself; drift between the runs is not measured.".to_owned(),
            metrics: Vec::new(),
        },
        verdict: overall(&attributable(&metrics, &exact), &works),
        caveats: caveats(before, after, &exact, &metrics),
        metrics,
        exact,
    })
}

fn must_agree(before: &Run, after: &Run) -> Result<(), CompareError> {
    let about = |run: &Run, key: &str| run.about.get(key).map_or_else(|| "none".to_owned(), short);
    let differ = |what: &str, before: String, after: String| Err(CompareError { what: what.to_owned(), before, after });
    if before.kind != after.kind {
        return differ("kinds", before.kind.clone(), after.kind.clone());
    }
    if before.name != after.name {
        return differ("workload names", before.name.clone(), after.name.clone());
    }
    if before.about.get("workload") != after.about.get("workload") {
        let mark = |run: &Run| run.about.get("workload").map_or_else(|| "none".to_owned(), |text| digest(&text.to_string()));
        return differ("workload texts", mark(before), mark(after));
    }
    if before.seed != after.seed {
        return differ("seeds", before.seed.to_string(), after.seed.to_string());
    }
    if before.arrival != after.arrival {
        return differ("arrivals", before.arrival.to_string(), after.arrival.to_string());
    }
    if before.about.get("writes") != after.about.get("writes") {
        return differ("write modes", about(before, "writes"), about(after, "writes"));
    }
    Ok(())
}

fn short(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn digest(text: &str) -> String {
    format!("{:016x}", crate::stats::random::stream(text))
}

/// The blocks, rows and plans of one statement.
fn exact_of(label: &str, before: &LabelResult, after: &LabelResult) -> Exact {
    let blocks = |label: &LabelResult| {
        let blocks = label.blocks.filter(|blocks| blocks.calls > 0)?;
        Some((blocks.hit + blocks.read) as f64 / blocks.calls as f64)
    };
    let rows = |label: &LabelResult| {
        let succeeded = label.count - label.errors.values().sum::<u64>().min(label.count);
        (succeeded > 0).then(|| label.rows as f64 / succeeded as f64)
    };
    let indexes = |label: &LabelResult| label.plan.as_ref().map(|plan| plan.indexes.clone()).unwrap_or_default();
    Exact {
        label: label.to_owned(),
        blocks_per_call: Diff { before: blocks(before), after: blocks(after) },
        rows_per_call: Diff { before: rows(before), after: rows(after) },
        plan_changed: before.plan.as_ref().zip(after.plan.as_ref()).map(|(before, after)| before != after),
        indexes: Diff { before: indexes(before), after: indexes(after) },
        ..Exact::default()
    }
}

/// The work of all statements together: their blocks a call, unknown when one of them is.
fn total_work(pairs: &[(&str, &LabelResult, &LabelResult)], works: &[Work]) -> Work {
    if works.is_empty() || works.contains(&Work::Unknown) {
        return Work::Unknown;
    }
    let per_call = |side: fn(&(&str, &LabelResult, &LabelResult)) -> crate::replay::Blocks| {
        let (mut blocks, mut calls) = (0, 0);
        for counted in pairs.iter().map(side) {
            blocks += counted.hit + counted.read;
            calls += counted.calls;
        }
        (calls > 0).then(|| blocks as f64 / calls as f64)
    };
    work(&Exact {
        label: "total".to_owned(),
        blocks_per_call: Diff {
            before: per_call(|pair| pair.1.blocks.unwrap_or_default()),
            after: per_call(|pair| pair.2.blocks.unwrap_or_default()),
        },
        plan_changed: Some(works.iter().any(|work| *work != Work::Same)),
        ..Exact::default()
    })
}

fn total_metrics(before: &Run, after: &Run, work: Work) -> Vec<Metric> {
    let mut metrics = Vec::new();
    let sides = Diff {
        before: (&before.totals.response_us, before.series.as_slice()),
        after: (&after.totals.response_us, after.series.as_slice()),
    };
    // At a given rate the throughput is the rate; only a closed loop's says something.
    if before.arrival.get("closed").is_some() {
        let counts = |run: &Run| slices(&run.series, run, |point| Some(point.count));
        let (old, new) = (counts(before), counts(after));
        let value = |run: &Run| Some(run.totals.throughput).filter(|rate| *rate > 0.0);
        let subject = Subject { label: "total", metric: "throughput", unit: "calls/s", better: Better::Higher, work };
        metrics.push(sequential(subject, Side { value: value(before), slices: &old }, Side { value: value(after), slices: &new }));
    }
    metrics.extend(latency_metrics("total", &sides, work, Diff { before, after }));
    metrics.extend(error_metric("total", [before, after].map(|run| (run.totals.errors, run.totals.count))));
    metrics
}

/// p50, p95 and p99 of the response, those that at least one side has.
fn latency_metrics(label: &str, sides: &Diff<(&Percentiles, &[SeriesPoint])>, work: Work, runs: Diff<&Run>) -> Vec<Metric> {
    type Of<T> = fn(&T) -> Option<u64>;
    let kinds: [(&str, Of<Percentiles>, Of<SeriesPoint>); 3] =
        [("p50", |p| p.p50, |s| s.p50_us), ("p95", |p| p.p95, |s| s.p95_us), ("p99", |p| p.p99, |s| s.p99_us)];
    let mut metrics = Vec::new();
    for (metric, whole, part) in kinds {
        let value = |percentiles: &Percentiles| whole(percentiles).map(|us| us as f64);
        let (before, after) = (value(sides.before.0), value(sides.after.0));
        if before.is_none() && after.is_none() {
            continue;
        }
        let (old, new) = (slices(sides.before.1, runs.before, part), slices(sides.after.1, runs.after, part));
        let subject = Subject { label, metric, unit: "us", better: Better::Lower, work };
        metrics.push(sequential(subject, Side { value: before, slices: &old }, Side { value: after, slices: &new }));
    }
    metrics
}

/// Returns one number for each whole second of the run; what ended after it, or in its last broken second, is no slice.
fn slices(series: &[SeriesPoint], run: &Run, of: fn(&SeriesPoint) -> Option<u64>) -> Vec<f64> {
    let whole_seconds = (run.duration_ms / 1000.0 + 1e-6).floor() as u64;
    series.iter().filter(|point| point.second < whole_seconds).filter_map(of).map(|value| value as f64).collect()
}

/// The share of calls that failed, where any did.
pub(super) fn error_metric(label: &str, sides: [(u64, u64); 2]) -> Option<Metric> {
    if sides.iter().all(|(errors, _)| *errors == 0) {
        return None;
    }
    let [before, after] = sides.map(|(errors, count)| (count > 0).then(|| errors as f64 / count as f64));
    let verdict = match (before, after) {
        (Some(before), Some(after)) if after - before > ERROR_MARGIN => Verdict::Worse,
        (Some(before), Some(after)) if before - after > ERROR_MARGIN => Verdict::Better,
        (Some(_), Some(_)) => Verdict::NoDifference,
        _ => Verdict::Inconclusive,
    };
    let ratio = before.zip(after).filter(|(before, _)| *before > 0.0).map(|(before, after)| after / before);
    Some(Metric {
        label: label.to_owned(),
        metric: "errors".to_owned(),
        unit: "share".to_owned(),
        better: Better::Lower,
        before,
        after,
        ratio,
        interval: None,
        mde: None,
        verdict,
        rounds: Rounds::default(),
    })
}

fn caveats(before: &Run, after: &Run, exact: &[Exact], metrics: &[Metric]) -> Vec<String> {
    let mut caveats = vec!["Sequential runs: indicative only, since the machine may have changed between them.".to_owned()];
    if before.about.get("samples") != after.about.get("samples") {
        caveats.push("The parameters were drawn from different rows on the two sides.".to_owned());
    }
    if (before.duration_ms / after.duration_ms.max(1e-9)).ln().abs() > 0.05 {
        caveats.push(format!(
            "The runs differ in length: {:.1} s before, {:.1} s after.",
            before.duration_ms / 1e3,
            after.duration_ms / 1e3
        ));
    }
    for (side, run) in [("before", before), ("after", after)] {
        if run.partial {
            caveats.push(format!("The run {side} ended early."));
        }
        if run.totals.not_started > 0 {
            caveats.push(format!("{} calls of the run {side} were due and never sent.", run.totals.not_started));
        }
        caveats.extend(run.health.reasons.iter().map(|reason| format!("In the run {side}: {reason}")));
    }
    let only: BTreeSet<&String> = before
        .labels
        .keys()
        .filter(|k| !after.labels.contains_key(*k))
        .chain(after.labels.keys().filter(|k| !before.labels.contains_key(*k)))
        .collect();
    for name in only {
        caveats.push(format!("Statement {name} is in one run only and was not compared."));
    }
    for line in exact {
        if let (Some(old), Some(new)) = (line.rows_per_call.before, line.rows_per_call.after)
            && (new - old).abs() > ROWS_MARGIN * old.max(new).max(1.0)
        {
            caveats.push(format!("Statement {} returned {old:.1} rows a call before and {new:.1} after: not the same data.", line.label));
        }
    }
    for metric in metrics.iter().filter(|metric| metric.label != "total" && metric.verdict == Verdict::Worse) {
        let moved = metric.ratio.map_or_else(String::new, |ratio| format!(" ({:+.0} %)", (ratio - 1.0) * 100.0));
        caveats.push(format!("Statement {} got worse: {}{moved}.", metric.label, metric.metric));
    }
    caveats.extend(machine(exact, metrics));
    if metrics.iter().any(|metric| metric.interval.is_none() && metric.metric != "errors") {
        caveats.push("Where no interval is given there were fewer than 8 seconds with enough calls; run longer.".to_owned());
    }
    caveats
}

/// Returns the metrics that decide over the whole: where all together got better, a statement that did the same work by the same
/// plan in more time does not turn that round. A server with less to do lets its processors sleep, and waking takes longer than a
/// short call. It stays visible in its own line.
fn attributable(metrics: &[Metric], exact: &[Exact]) -> Vec<Metric> {
    let better = metrics.iter().any(|metric| metric.label == "total" && metric.verdict == Verdict::Better);
    let same = |metric: &Metric| exact.iter().any(|line| line.label == metric.label && work(line) == Work::Same);
    let turns = |metric: &&Metric| !(better && metric.verdict == Verdict::Worse && same(metric));
    metrics.iter().filter(turns).cloned().collect()
}

/// Tells of statements that did the same work by the same plans in another time: that was the machine.
fn machine(exact: &[Exact], metrics: &[Metric]) -> Option<String> {
    let same: BTreeSet<&str> = exact.iter().filter(|line| work(line) == Work::Same).map(|line| line.label.as_str()).collect();
    let drift = limits("p50").drift.ln_1p();
    let apart = |metric: &&Metric| {
        let excluded = metric.interval.is_some_and(|[low, high]| low > 1.0 || high < 1.0);
        metric.metric == "p50" && same.contains(metric.label.as_str()) && excluded
    };
    let mut ratios: Vec<f64> =
        metrics.iter().filter(apart).filter_map(|metric| metric.ratio).filter(|ratio| ratio.ln().abs() > drift).collect();
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (ratios.first()?, ratios.last()?);
    let (one, took) = if ratios.len() == 1 {
        ("1 statement".to_owned(), format!("{most:.2} times"))
    } else {
        (format!("{} statements", ratios.len()), format!("{least:.2} to {most:.2} times"))
    };
    Some(format!(
        "{one} did the same work by the same plan and took {took} as long (p50): the machine changed between the runs. --paired takes \
         that out."
    ))
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
