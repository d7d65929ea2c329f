//! Judges two systems measured in turn: call by call (duet) or block by block (abba).
//!
//! The observation is one round's ln(after / before); what both sides share in a round (the machine's mood, a slow drift)
//! is gone from it. The same is measured first with the system against itself: that mean is the bias, which is taken out,
//! and its noise is added. See docs/statistics.md#paired.

use crate::stats::autocorrelation::{Mean, shared, without_order};
use crate::stats::compare::limits;
use crate::stats::{Better, Metric, Rounds, Verdict, bootstrap, multiplicity, permutation, rank, student};

/// 5 %: the share of false discoveries accepted among statements, and the chance of one among the headline numbers.
const ALPHA: f64 = 0.05;

/// 0.5 %: what a difference in time must stay below where the work done does not explain it, instead of [`ALPHA`]. Nothing
/// of the change does, so the machine must be ruled out with more than the usual confidence.
const ALPHA_UNEXPLAINED: f64 = 0.005;

/// The label of all statements together: its metrics are the headline.
pub const TOTAL: &str = "total";

/// The rounds of one metric.
#[derive(Debug, Clone)]
pub struct Paired {
    /// The statement, or `total`.
    pub label: String,
    /// `p50`, `p95`, `p99`, `mean`, `throughput`.
    pub metric: &'static str,
    /// `us`, `calls/s`.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Which differences in time the work that the server counted would explain; any other is a surprise.
    pub explained: Explained,
    /// The value before over all rounds; `None` without enough samples.
    pub before: Option<f64>,
    /// The value after over all rounds.
    pub after: Option<f64>,
    /// ln(after / before), round by round in the order of time.
    pub rounds: Series,
    /// The same of the system against itself, before the change; empty when it was not measured.
    pub calibration: Series,
}

/// Which differences in time follow from the work done: fewer blocks explain a better one, more blocks or more log a worse one,
/// another plan either, and the same work by the same plan none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// Less work, or another or an unknown one.
    pub better: bool,
    /// More work, or another or an unknown one.
    pub worse: bool,
}

impl Explained {
    /// Nothing is known of the work, so nothing contradicts the clock.
    pub const BOTH: Self = Self { better: true, worse: true };
    /// The same work by the same plan.
    pub const NEITHER: Self = Self { better: false, worse: false };
}

/// Values of rounds, and which side came first in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// ln(after / before), in the order of time.
    pub values: Vec<f64>,
    /// +1 where the side before came first and −1 where it came second, one a round; empty where both took turns within
    /// each round.
    pub order: Vec<f64>,
}

impl Series {
    /// Returns the values of rounds within which both sides took turns.
    pub fn of(values: Vec<f64>) -> Self {
        Self { values, order: Vec::new() }
    }

    /// Returns the values without what the order within rounds added, and how many numbers were fitted for that.
    fn settled(&self) -> (Vec<f64>, usize) {
        if self.order.len() == self.values.len() && !self.values.is_empty() {
            (without_order(&self.values, &self.order), 1)
        } else {
            (self.values.clone(), 0)
        }
    }
}

/// What the rounds of one metric say before the number of metrics is taken into account.
#[derive(Debug, Clone, Copy)]
struct Effect {
    /// mean(rounds) − mean(calibration).
    value: f64,
    /// Half the width of the 95 % interval.
    spread: f64,
    /// How certain a difference of this sign must be: a chance of at most this.
    alpha: f64,
    /// Half the width of the interval a difference must stay out of, 1 − alpha.
    doubt: f64,
    /// The smallest effect shown in four of five such experiments.
    detectable: f64,
    /// The variance one more round on each side takes part in, autocorrelation included.
    variance_of_round: f64,
    rounds: Rounds,
}

/// Judges the metrics of one experiment together.
///
/// A difference is called one when the 95 % t interval excludes none, the point lies beyond the metric's margin, and the
/// permutation test's p-value, adjusted for the number of metrics (Holm over the headline, Benjamini–Hochberg over the
/// statements), is at most 5 %. Where the work that the server counted does not explain a difference of this direction, both must
/// hold at 0.5 %. The block bootstrap's interval and the ranks stand beside it as a cross-check. Any difference is ruled out
/// when the whole interval lies within the margin. Everything else is inconclusive, with the number of rounds that would
/// settle it.
pub fn judge(pairs: &[Paired], seed: u64) -> Vec<Metric> {
    let effects: Vec<Option<Effect>> = pairs.iter().map(|pair| effect(pair, seed)).collect();
    let mut adjusted = vec![None; pairs.len()];
    let family = |headline: bool| (0..pairs.len()).filter(move |at| (pairs[*at].label == TOTAL) == headline);
    for (headline, adjust) in [(true, multiplicity::holm as fn(&[f64]) -> Vec<f64>), (false, multiplicity::benjamini_hochberg)] {
        let (at, p): (Vec<usize>, Vec<f64>) = family(headline).filter_map(|at| Some((at, effects[at].as_ref()?.rounds.p?))).unzip();
        at.into_iter().zip(adjust(&p)).for_each(|(at, p)| adjusted[at] = Some(p));
    }
    pairs.iter().zip(effects).zip(adjusted).map(|((pair, effect), p)| metric(pair, effect, p)).collect()
}

/// Estimates the effect of one metric; `None` with too few rounds on a side.
fn effect(pair: &Paired, seed: u64) -> Option<Effect> {
    let (values, fitted) = pair.rounds.settled();
    let (base, base_fitted) = pair.calibration.settled();
    let rho = shared(&[&values, &base]);
    let own = Mean::of(&values, rho, fitted)?;
    let other = if base.is_empty() { None } else { Some(Mean::of(&base, rho, base_fitted)?) };
    let value = own.value - other.map_or(0.0, |other| other.value);
    let other_variance = other.map_or(0.0, |other| other.variance);
    let variance = own.variance + other_variance;
    // Welch's degrees of freedom: the two experiments may differ in noise.
    let df = if variance > 0.0 {
        let share = |mean: &Mean| mean.variance.powi(2) / mean.df;
        variance.powi(2) / (share(&own) + other.as_ref().map_or(0.0, share))
    } else {
        own.df
    };
    let deviation = variance.sqrt();
    let n = own.count as f64;
    // The experiments have the same length: round by round, one less the other is free of bias.
    let differences: Vec<f64> =
        if base.is_empty() { values.clone() } else { values.iter().zip(&base).map(|(own, other)| own - other).collect() };
    let block = Mean::of(&differences, rho, 0).map_or(1, |mean| mean.block());
    let ratio = |log: f64| log.exp();
    let rounds = Rounds {
        n: Some(own.count as u32),
        p: permutation::sign_flip(&differences, block, seed),
        bootstrap: bootstrap::interval(&values, &base, seed).map(|interval| interval.map(ratio)),
        rank_ratio: rank::shift(&values, &base).map(ratio),
        rank_p: rank::mann_whitney(&values, &base),
        ..Rounds::default()
    };
    let wide = student::quantile(0.975, df);
    let explained = if is_worse(pair.better, value) { pair.explained.worse } else { pair.explained.better };
    let alpha = if explained { ALPHA } else { ALPHA_UNEXPLAINED };
    // The next experiment's interval is as wide as its own estimate of the noise, which scatters too: by the variance of a
    // standard deviation, 1/(2·df), and that of ρ.
    let scatter = 0.5 / df + if rho > 0.0 { 1.0 / ((own.count + base.len()) as f64 * (1.0 - rho * rho)) } else { 0.0 };
    let power = student::quantile(0.8, df) * (1.0 + wide * wide * scatter).sqrt();
    Some(Effect {
        value,
        spread: deviation * wide,
        alpha,
        doubt: deviation * student::quantile(1.0 - alpha / 2.0, df),
        detectable: deviation * (wide + power),
        variance_of_round: n * own.variance + other.map_or(0.0, |other| other.count as f64 * other.variance),
        rounds,
    })
}

fn metric(pair: &Paired, effect: Option<Effect>, p_adjusted: Option<f64>) -> Metric {
    let mut metric = Metric {
        label: pair.label.clone(),
        metric: pair.metric.to_owned(),
        unit: pair.unit.to_owned(),
        better: pair.better,
        before: pair.before,
        after: pair.after,
        ratio: None,
        interval: None,
        mde: None,
        verdict: Verdict::Inconclusive,
        rounds: Rounds::default(),
    };
    let Some(effect) = effect.filter(|effect| effect.value.is_finite() && effect.spread.is_finite()) else {
        metric.ratio =
            pair.before.zip(pair.after).filter(|(before, after)| *before > 0.0 && *after > 0.0).map(|(before, after)| after / before);
        return metric;
    };
    let margin = limits(pair.metric).margin.ln_1p();
    metric.ratio = Some(effect.value.exp());
    metric.interval = Some([(effect.value - effect.spread).exp(), (effect.value + effect.spread).exp()]);
    metric.mde = Some(effect.detectable.exp_m1());
    metric.rounds = Rounds { p_adjusted, ..effect.rounds };
    metric.verdict = verdict(&metric, &effect, margin);
    let worst = match pair.better {
        Better::Lower => effect.value + effect.spread,
        Better::Higher => effect.spread - effect.value,
    };
    metric.rounds.no_worse = Some(worst < margin);
    metric.rounds.needed_more = (metric.verdict == Verdict::Inconclusive).then(|| needed_more(&effect, margin));
    metric
}

/// Whether a change by `value`, a logarithm of after / before, is for the worse.
fn is_worse(better: Better, value: f64) -> bool {
    match better {
        Better::Lower => value > 0.0,
        Better::Higher => value < 0.0,
    }
}

fn verdict(metric: &Metric, effect: &Effect, margin: f64) -> Verdict {
    let (low, high) = (effect.value - effect.spread, effect.value + effect.spread);
    let beyond = effect.value.abs() > effect.doubt && effect.value.abs() > margin;
    let chance = metric.rounds.p_adjusted.is_none_or(|p| p > effect.alpha);
    if beyond && !chance {
        return if is_worse(metric.better, effect.value) { Verdict::Worse } else { Verdict::Better };
    }
    if low > -margin && high < margin { Verdict::NoDifference } else { Verdict::Inconclusive }
}

/// Returns about how many rounds more would show an effect of the margin in four of five experiments; at least 1.
fn needed_more(effect: &Effect, margin: f64) -> u32 {
    let normal = student::normal_quantile(0.975) + student::normal_quantile(0.8);
    let needed = normal.powi(2) * effect.variance_of_round / margin.powi(2);
    let have = f64::from(effect.rounds.n.unwrap_or(0));
    (needed - have).ceil().clamp(1.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
#[path = "paired_tests.rs"]
mod tests;
