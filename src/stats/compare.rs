//! Judges two runs that were measured one after the other.
//!
//! The unit is the one-second slice, never the single call: calls of one second share the machine's mood, and a test
//! over calls finds "significant" differences between identical systems. The interval is that of batch means on the log
//! scale with a lag-1 correction. It holds the noise *within* each run; what drifts *between* two runs it cannot see, so
//! a difference in time alone must also exceed [`Limits::drift`] before it is called one. See docs/statistics.md#sequential.

use crate::stats::student;
use crate::stats::{Better, Exact, Metric, Verdict};

/// Fewer slices than this on a side give no interval.
pub const MIN_SLICES: usize = 8;

/// A change of blocks a call below this share is not a change of the work done: hint bits and cache-dependent paths
/// move the count by a few per cent. A rule of thumb.
const WORK_CHANGED: f64 = 0.10;

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
/// done changed the same way.
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
        return match (supported && effect.abs() > drift, effect > 0.0) {
            (false, _) => Verdict::Inconclusive,
            (true, true) => Verdict::Worse,
            (true, false) => Verdict::Better,
        };
    };
    let needed = if supported { margin } else { drift };
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
mod tests {
    use super::*;
    use crate::diff::Diff;

    /// SplitMix64, here only to make noise.
    struct Noise(u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }

        /// A series around `level` with log-normal noise `sigma` and autocorrelation `rho`.
        fn series(&mut self, level: f64, sigma: f64, rho: f64, n: usize) -> Vec<f64> {
            let mut state = 0.0;
            (0..n)
                .map(|_| {
                    let step = student::normal_quantile(self.uniform()) * sigma * (1.0 - rho * rho).sqrt();
                    state = rho * state + step;
                    level * f64::exp(state)
                })
                .collect()
        }
    }

    fn compared(metric: &str, work: Work, before: &[f64], after: &[f64]) -> Metric {
        let mean = |slices: &[f64]| Some((slices.iter().map(|v| v.ln()).sum::<f64>() / slices.len() as f64).exp());
        let subject = Subject { label: "total", metric, unit: "us", better: Better::Lower, work };
        sequential(subject, Side { value: mean(before), slices: before }, Side { value: mean(after), slices: after })
    }

    #[test]
    fn the_same_system_twice_is_never_called_different() {
        let mut noise = Noise(1);
        let mut still = 0;
        let mut covered = 0;
        for _ in 0..400 {
            let (before, after) = (noise.series(1000.0, 0.04, 0.4, 60), noise.series(1000.0, 0.04, 0.4, 60));
            let metric = compared("p50", Work::Unknown, &before, &after);
            assert!(!matches!(metric.verdict, Verdict::Better | Verdict::Worse), "{metric:?}");
            still += usize::from(metric.verdict == Verdict::NoDifference);
            let [low, high] = metric.interval.expect("60 slices give an interval");
            covered += usize::from(low <= 1.0 && 1.0 <= high);
        }
        assert!(still > 350, "{still} of 400 said no difference");
        // 95 % nominal; the estimated autocorrelation is a little low at 60 slices.
        assert!((360..=398).contains(&covered), "{covered} of 400 intervals cover the truth");
    }

    #[test]
    fn drift_between_identical_systems_is_not_a_difference() {
        let mut noise = Noise(2);
        for _ in 0..100 {
            let (before, after) = (noise.series(1000.0, 0.05, 0.3, 30), noise.series(1300.0, 0.05, 0.3, 30));
            assert_eq!(compared("p95", Work::Same, &before, &after).verdict, Verdict::Inconclusive);
        }
    }

    #[test]
    fn a_small_change_counts_when_the_work_done_agrees() {
        let mut noise = Noise(3);
        let (before, after) = (noise.series(1000.0, 0.03, 0.2, 30), noise.series(880.0, 0.03, 0.2, 30));
        assert_eq!(compared("p50", Work::Less, &before, &after).verdict, Verdict::Better);
        assert_eq!(compared("p50", Work::Same, &before, &after).verdict, Verdict::Inconclusive);
        assert_eq!(compared("p50", Work::More, &before, &after).verdict, Verdict::Inconclusive, "more blocks do not explain less time");
        assert_eq!(compared("p50", Work::More, &after, &before).verdict, Verdict::Worse);
    }

    #[test]
    fn a_large_change_is_seen_with_its_interval() {
        let mut noise = Noise(4);
        for _ in 0..100 {
            let (before, after) = (noise.series(1000.0, 0.1, 0.3, 20), noise.series(400.0, 0.1, 0.3, 20));
            let metric = compared("p95", Work::Unknown, &before, &after);
            assert_eq!(metric.verdict, Verdict::Better);
            let [low, high] = metric.interval.expect("an interval");
            assert!(low < metric.ratio.unwrap() && metric.ratio.unwrap() < high && high < 0.6, "{metric:?}");
            assert!(metric.mde.unwrap() > 0.0);
        }
    }

    #[test]
    fn more_throughput_is_better() {
        let mut noise = Noise(5);
        let (slow, fast) = (noise.series(100.0, 0.02, 0.0, 12), noise.series(200.0, 0.02, 0.0, 12));
        let subject = Subject { label: "total", metric: "throughput", unit: "calls/s", better: Better::Higher, work: Work::Unknown };
        let side = |slices| Side { value: Some(f64::from(100)), slices };
        let faster = sequential(subject, side(&slow), Side { value: Some(200.0), slices: &fast });
        assert_eq!(faster.verdict, Verdict::Better);
        let slower = sequential(subject, Side { value: Some(200.0), slices: &fast }, side(&slow));
        assert_eq!(slower.verdict, Verdict::Worse);
    }

    #[test]
    fn few_slices_give_no_interval_and_claim_only_what_the_work_supports() {
        let (before, after) = ([1000.0; 7], [100.0; 7]);
        let alone = compared("p50", Work::Unknown, &before, &after);
        assert_eq!((alone.interval, alone.mde, alone.verdict), (None, None, Verdict::Inconclusive));
        assert_eq!(compared("p50", Work::Less, &before, &after).verdict, Verdict::Better);
        assert_eq!(compared("p50", Work::More, &after, &before).verdict, Verdict::Worse);
        assert_eq!(compared("p50", Work::Less, &[1000.0; 7], &[950.0; 7]).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn autocorrelation_widens_the_interval() {
        let mut noise = Noise(6);
        let width = |noise: &mut Noise, rho| {
            let (before, after) = (noise.series(1000.0, 0.1, rho, 200), noise.series(1000.0, 0.1, rho, 200));
            let [low, high] = compared("p50", Work::Unknown, &before, &after).interval.unwrap();
            (high / low).ln()
        };
        let (free, tied) = (width(&mut noise, 0.0), width(&mut noise, 0.8));
        assert!(tied > 2.0 * free, "independent {free}, correlated {tied}");
    }

    #[test]
    fn a_missing_value_is_inconclusive() {
        let subject = Subject { label: "total", metric: "p99", unit: "us", better: Better::Lower, work: Work::Less };
        let metric = sequential(subject, Side { value: Some(5.0), slices: &[] }, Side::default());
        assert_eq!((metric.ratio, metric.verdict), (None, Verdict::Inconclusive));
    }

    fn exact(before: Option<f64>, after: Option<f64>, plan_changed: Option<bool>) -> Exact {
        Exact {
            label: "x".to_owned(),
            blocks_per_call: Diff { before, after },
            rows_per_call: Diff { before: None, after: None },
            plan_changed,
            indexes: Diff { before: Vec::new(), after: Vec::new() },
        }
    }

    #[test]
    fn the_work_done_is_judged_by_blocks_first_and_plan_second() {
        assert_eq!(work(&exact(Some(900.0), Some(4.0), Some(true))), Work::Less);
        assert_eq!(work(&exact(Some(4.0), Some(900.0), Some(false))), Work::More);
        assert_eq!(work(&exact(Some(100.0), Some(104.0), Some(false))), Work::Same);
        assert_eq!(work(&exact(Some(0.1), Some(0.9), Some(false))), Work::Same);
        assert_eq!(work(&exact(Some(100.0), Some(104.0), Some(true))), Work::OtherPlan);
        assert_eq!(work(&exact(Some(100.0), Some(104.0), None)), Work::Unknown);
        assert_eq!(work(&exact(None, Some(104.0), Some(true))), Work::Unknown);
    }

    #[test]
    fn worse_outweighs_better_and_equal_work_settles_noise() {
        let with = |verdicts: &[Verdict]| -> Vec<Metric> {
            let template = compared("p50", Work::Unknown, &[1.0; 9], &[1.0; 9]);
            verdicts.iter().map(|verdict| Metric { verdict: *verdict, ..template.clone() }).collect()
        };
        use Verdict::{Better, Inconclusive, NoDifference, Worse};
        assert_eq!(overall(&with(&[Better, Worse]), &[Work::Less]), Worse);
        assert_eq!(overall(&with(&[Better, Inconclusive]), &[Work::Less]), Better);
        assert_eq!(overall(&with(&[NoDifference, NoDifference]), &[Work::Unknown]), NoDifference);
        assert_eq!(overall(&with(&[NoDifference, Inconclusive]), &[Work::Unknown]), Inconclusive);
        assert_eq!(overall(&with(&[Inconclusive]), &[Work::Same, Work::Same]), NoDifference);
        assert_eq!(overall(&with(&[Inconclusive]), &[Work::Same, Work::Less]), Inconclusive);
        assert_eq!(overall(&[], &[]), Inconclusive);
    }

    #[test]
    fn the_slight_price_of_writes_does_not_outweigh_a_better_whole() {
        let metric = |label: &str, verdict, ratio| Metric {
            label: label.to_owned(),
            verdict,
            ratio: Some(ratio),
            ..compared("p50", Work::Unknown, &[1.0; 9], &[1.0; 9])
        };
        let (total, slight) = (metric("total", Verdict::Better, 0.1), metric("add", Verdict::Worse, 1.1));
        let still = metric("total", Verdict::NoDifference, 1.0);
        let heavy = metric("add", Verdict::Worse, 3.0);
        assert_eq!(overall(&[total.clone(), slight.clone()], &[Work::Less, Work::More]), Verdict::Better);
        assert_eq!(overall(&[total, heavy], &[Work::Less, Work::More]), Verdict::Worse);
        assert_eq!(overall(&[still, slight], &[Work::Same, Work::More]), Verdict::Worse);
    }
}
