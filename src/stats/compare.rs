//! Judges two runs that were measured one after the other.
//!
//! The unit is the one-second slice, never the single call: calls of one second share the machine's mood, and a test
//! over calls finds "significant" differences between identical systems. The interval is that of batch means on the log
//! scale with a lag-1 correction. It holds the noise *within* each run; what drifts *between* two runs it cannot see, so
//! a difference in time alone must also exceed [`Limits::drift`] before it is called one. See docs/statistics.md#sequential.

use crate::stats::student;
use crate::stats::{Better, Exact, Metric, Rounds, Verdict};

/// Fewer slices than this on a side give no interval.
pub const MIN_SLICES: usize = 8;

/// A change of blocks a call below this share is not a change of the work done: hint bits and cache-dependent paths
/// move the count by a few per cent. A rule of thumb.
const WORK_CHANGED: f64 = 0.10;

/// A factor of two: where too few slices give no interval, or the work done does not explain the difference, only what nobody
/// would call noise is told. A rule of thumb; runs of the same statements, plans and blocks minutes apart were 1.8 times apart.
const UNMEASURED: f64 = 2.0;

/// What a metric must move by before one speaks of a difference, as shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The smallest difference that matters.
    pub margin: f64,
    /// How far identical systems were seen apart when all of one side was measured before all of the other.
    pub drift: f64,
}

/// Returns the limits of a metric by its name.
///
/// The margins are convention. The drifts are the upper ends of what identical template clones showed in rounds on a
/// shared two-core machine: p50 16 %, p95 48 %, p99 37 % (taken as no less than p95's).
pub fn limits(metric: &str) -> Limits {
    match metric {
        "p50" | "throughput" => Limits { margin: 0.05, drift: 0.16 },
        "p95" => Limits { margin: 0.10, drift: 0.48 },
        "p99" => Limits { margin: 0.15, drift: 0.48 },
        _ => Limits { margin: 0.10, drift: 0.48 },
    }
}

/// What the server counted of the work done a call, which is next to noiseless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Fewer blocks a call.
    Less,
    /// As many blocks a call, by the same plan.
    Same,
    /// More blocks a call.
    More,
    /// Another plan over as many blocks.
    OtherPlan,
    /// Not counted, or not comparable.
    Unknown,
}

/// Returns how the work of a statement changed.
pub fn work(exact: &Exact) -> Work {
    let (Some(before), Some(after)) = (exact.blocks_per_call.before, exact.blocks_per_call.after) else { return Work::Unknown };
    // Less than one block apart is the same work, whatever the ratio: 0.1 and 0.2 blocks a call are caching.
    if (after - before).abs() >= 1.0 && (after / before.max(1e-9)).ln().abs() > WORK_CHANGED.ln_1p() {
        return if after < before { Work::Less } else { Work::More };
    }
    match exact.plan_changed {
        Some(true) => Work::OtherPlan,
        Some(false) => Work::Same,
        None => Work::Unknown,
    }
}

/// One side of a metric.
#[derive(Debug, Clone, Copy, Default)]
pub struct Side<'a> {
    /// The value over the whole run; `None` without enough samples.
    pub value: Option<f64>,
    /// The value of each whole second that has one, in order.
    pub slices: &'a [f64],
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The statement, or `total`.
    pub label: &'a str,
    /// `p50`, `p95`, `p99`, `throughput`.
    pub metric: &'a str,
    /// `us`, `calls/s`.
    pub unit: &'a str,
    /// Which way is better.
    pub better: Better,
    /// What the server says of the work behind it.
    pub work: Work,
}

/// Compares one metric of two runs measured one after the other.
///
/// The ratio is that of the whole runs; its 95 % interval comes from the slices and is `None` with fewer than
/// [`MIN_SLICES`] on a side. Without an interval nothing is claimed, unless the ratio exceeds the drift and the work
/// done changed the same way. Where the work is known and does not explain the difference, it must be beyond a factor of two.
pub fn sequential(subject: Subject<'_>, before: Side<'_>, after: Side<'_>) -> Metric {
    let ratio = match (before.value, after.value) {
        (Some(before), Some(after)) if before > 0.0 && after > 0.0 => Some(after / before),
        _ => None,
    };
    let error = standard_error(before.slices, after.slices);
    let limits = limits(subject.metric);
    let spread = error.map(|error| error.deviation * student::quantile(0.975, error.df)).filter(|spread| spread.is_finite());
    let interval = ratio.zip(spread).map(|(ratio, spread)| [ratio * (-spread).exp(), ratio * spread.exp()]);
    let mde = error
        .map(|error| (error.deviation * (student::quantile(0.975, error.df) + student::quantile(0.8, error.df))).exp_m1())
        .filter(|mde| mde.is_finite() && ratio.is_some());
    let verdict = ratio.map_or(Verdict::Inconclusive, |ratio| judge(&subject, limits, ratio.ln(), spread));
    Metric {
        label: subject.label.to_owned(),
        metric: subject.metric.to_owned(),
        unit: subject.unit.to_owned(),
        better: subject.better,
        before: before.value,
        after: after.value,
        ratio,
        interval,
        mde,
        verdict,
        rounds: Rounds::default(),
    }
}

/// Says what may be said of a difference `effect` (log ratio) known to `spread` either side.
fn judge(subject: &Subject<'_>, limits: Limits, effect: f64, spread: Option<f64>) -> Verdict {
    // From here on positive is worse.
    let effect = match subject.better {
        Better::Lower => effect,
        Better::Higher => -effect,
    };
    let (margin, drift) = (limits.margin.ln_1p(), limits.drift.ln_1p());
    let supported = matches!((subject.work, effect > 0.0), (Work::Less, false) | (Work::More, true));
    let Some(spread) = spread else {
        return match (supported && effect.abs() > drift.max(UNMEASURED.ln()), effect > 0.0) {
            (false, _) => Verdict::Inconclusive,
            (true, true) => Verdict::Worse,
            (true, false) => Verdict::Better,
        };
    };
    let needed = match subject.work {
        _ if supported => margin,
        Work::Unknown | Work::OtherPlan => drift,
        Work::Less | Work::Same | Work::More => drift.max(UNMEASURED.ln()),
    };
    if effect - spread > 0.0 && effect > needed {
        Verdict::Worse
    } else if effect + spread < 0.0 && -effect > needed {
        Verdict::Better
    } else if effect - spread > -margin && effect + spread < margin {
        Verdict::NoDifference
    } else {
        Verdict::Inconclusive
    }
}

/// Combines what was found into one verdict.
///
/// One thing that got worse makes the whole worse, with one exception: where all together got better, a single statement
/// that got slightly worse (within the drift, told only by its extra blocks) does not turn that round. It is the price of
/// an index in its writes, and stays visible in its own line. Where nothing got better or worse and the server counted
/// the same work by the same plans everywhere (`work`), nothing changed, however much the times moved.
pub fn overall(metrics: &[Metric], work: &[Work]) -> Verdict {
    let (totals, labels): (Vec<&Metric>, Vec<&Metric>) = metrics.iter().partition(|metric| metric.label == "total");
    let any = |metrics: &[&Metric], verdict: Verdict| metrics.iter().any(|metric| metric.verdict == verdict);
    let total_better = any(&totals, Verdict::Better);
    let headline: Vec<&&Metric> = totals.iter().filter(|metric| metric.ratio.is_some()).collect();
    let headline_still = !headline.is_empty() && headline.iter().all(|metric| metric.verdict == Verdict::NoDifference);
    let same_work = !work.is_empty() && work.iter().all(|work| *work == Work::Same);
    if any(&totals, Verdict::Worse) || labels.iter().any(|metric| metric.verdict == Verdict::Worse && !(total_better && is_slight(metric)))
    {
        Verdict::Worse
    } else if total_better || any(&labels, Verdict::Better) {
        Verdict::Better
    } else if headline_still || same_work {
        Verdict::NoDifference
    } else {
        Verdict::Inconclusive
    }
}

/// Returns whether a metric moved by no more than identical systems were seen apart.
fn is_slight(metric: &Metric) -> bool {
    metric.ratio.is_some_and(|ratio| ratio.ln().abs() <= limits(&metric.metric).drift.ln_1p())
}

/// The standard error of a difference of means, and its degrees of freedom.
#[derive(Debug, Clone, Copy)]
struct StandardError {
    deviation: f64,
    df: f64,
}

/// Returns the standard error of the difference between the mean logs of two series of slices.
///
/// Welch's formula on independent sides, each with its effective number of slices; `None` with too few.
fn standard_error(before: &[f64], after: &[f64]) -> Option<StandardError> {
    let (variance_a, n_a) = variance_of_mean(before)?;
    let (variance_b, n_b) = variance_of_mean(after)?;
    let variance = variance_a + variance_b;
    let df = if variance > 0.0 {
        variance * variance / (variance_a * variance_a / (n_a - 1.0) + variance_b * variance_b / (n_b - 1.0))
    } else {
        n_a + n_b - 2.0
    };
    Some(StandardError { deviation: variance.sqrt(), df })
}

/// Returns the variance of the mean of the logs and the effective number of slices, n(1−ρ)/(1+ρ).
///
/// ρ is the lag-1 autocorrelation; a negative one counts as none, since it would promise more than there is.
fn variance_of_mean(slices: &[f64]) -> Option<(f64, f64)> {
    let logs: Vec<f64> = slices.iter().filter(|value| **value > 0.0).map(|value| value.ln()).collect();
    if logs.len() < MIN_SLICES {
        return None;
    }
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let squares: f64 = logs.iter().map(|value| (value - mean).powi(2)).sum();
    let products: f64 = logs.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let rho = if squares > 0.0 { (products / squares).clamp(0.0, 0.99) } else { 0.0 };
    let effective = (n * (1.0 - rho) / (1.0 + rho)).max(2.0);
    Some((squares / (n - 1.0) / effective, effective))
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
