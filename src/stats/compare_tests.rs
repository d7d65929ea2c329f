//! Simulated slices with known noise: A/A pairs, drift, real changes.

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
fn what_the_work_does_not_explain_must_be_beyond_a_factor_of_two() {
    let mut noise = Noise(7);
    let mut verdict = |work, after: f64| {
        let (before, after) = (noise.series(1000.0, 0.05, 0.3, 30), noise.series(after, 0.05, 0.3, 30));
        compared("p50", work, &before, &after).verdict
    };
    // Seen: the same statements by the same plans over the same blocks, 25 to 77 % slower a few minutes later.
    assert_eq!((verdict(Work::Same, 1770.0), verdict(Work::Less, 1770.0)), (Verdict::Inconclusive, Verdict::Inconclusive));
    assert_eq!((verdict(Work::Unknown, 1770.0), verdict(Work::OtherPlan, 1770.0)), (Verdict::Worse, Verdict::Worse));
    assert_eq!((verdict(Work::More, 1770.0), verdict(Work::Same, 3000.0)), (Verdict::Worse, Verdict::Worse));
    assert_eq!((verdict(Work::Same, 600.0), verdict(Work::Same, 300.0)), (Verdict::Inconclusive, Verdict::Better));
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
    Exact { label: "x".to_owned(), blocks_per_call: Diff { before, after }, plan_changed, ..Exact::default() }
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
