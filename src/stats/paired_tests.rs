//! Simulated experiments with known truth: nothing changed, 10 % slower, with noise that lingers and drift both sides share.

use super::*;
use crate::stats::random;

/// A stream of normal values with first-order autocorrelation and standard deviation 1.
struct Noise {
    seed: u64,
    drawn: u64,
    rho: f64,
    state: f64,
}

impl Noise {
    fn new(seed: u64, rho: f64) -> Self {
        let mut noise = Self { seed, drawn: 0, rho, state: 0.0 };
        noise.state = noise.normal();
        noise
    }

    fn normal(&mut self) -> f64 {
        self.drawn += 1;
        student::normal_quantile(random::unit(random::bits(self.seed, 0, self.drawn, 0)).clamp(1e-12, 1.0 - 1e-12))
    }

    fn next(&mut self) -> f64 {
        let now = self.state;
        self.state = self.rho * now + (1.0 - self.rho * self.rho).sqrt() * self.normal();
        now
    }
}

/// How experiments are simulated.
#[derive(Debug, Clone, Copy)]
struct World {
    rounds: usize,
    /// The standard deviation of a round's ln(after / before).
    sigma: f64,
    rho: f64,
    /// How much both sides slow down from the first round to the last, as a log.
    drift: f64,
    blocks: bool,
}

const DUET: World = World { rounds: 40, sigma: 0.05, rho: 0.0, drift: 0.0, blocks: false };

impl World {
    /// Simulates the levels of both sides and returns the rounds' log ratios.
    ///
    /// In blocks the sides are measured one after the other, A B B A, so drift and lingering noise are not shared within a
    /// round; otherwise both are.
    fn series(&self, seed: u64, effect: f64) -> Series {
        let own = self.sigma / 2f64.sqrt();
        let mut shared = Noise::new(seed ^ 0x5555, self.rho);
        let (mut a, mut b) = (Noise::new(seed, self.rho), Noise::new(seed ^ 0xaaaa, self.rho));
        let mut series = Series::default();
        let steps = 2 * self.rounds;
        for round in 0..self.rounds {
            let level = |step: usize| 7.0 + self.drift * step as f64 / steps as f64;
            if self.blocks {
                let a_first = round % 2 == 0;
                let (first, second) = (level(2 * round) + shared.next() * own, level(2 * round + 1) + shared.next() * own);
                let (before, after) = if a_first { (first, second) } else { (second, first) };
                series.values.push(after + effect - before);
                series.order.push(if a_first { 1.0 } else { -1.0 });
            } else {
                let mood = level(2 * round) + shared.next() * 0.3;
                series.values.push((mood + effect + b.next() * own) - (mood + a.next() * own));
            }
        }
        series
    }

    /// An experiment with its calibration; the clones differ by a bias of 3 % from the start.
    fn experiment(&self, seed: u64, effect: f64) -> Paired {
        let bias = 0.03;
        Paired {
            label: TOTAL.to_owned(),
            metric: "p50",
            unit: "us",
            better: Better::Lower,
            explained: Explained::BOTH,
            before: Some(1000.0),
            after: Some(1000.0 * effect.exp()),
            rounds: self.series(random::bits(seed, 1, 0, 0), bias + effect),
            calibration: self.series(random::bits(seed, 2, 0, 0), bias),
        }
    }

    fn metric(&self, seed: u64, effect: f64) -> Metric {
        judge(&[self.experiment(seed, effect)], seed).remove(0)
    }
}

fn worlds() -> [World; 4] {
    [
        DUET,
        World { rho: 0.5, drift: 1.0, ..DUET },
        World { blocks: true, drift: 1.0, ..DUET },
        World { blocks: true, rho: 0.5, drift: 1.0, ..DUET },
    ]
}

#[test]
fn the_interval_covers_the_truth_at_its_nominal_rate() {
    let truth = 1.1f64.ln();
    for world in worlds() {
        let covered = (0..1000)
            .filter(|seed| {
                let pair = world.experiment(*seed, truth);
                let (values, fitted) = pair.rounds.settled();
                let (base, base_fitted) = pair.calibration.settled();
                let rho = shared(&[&values, &base]);
                let (own, other) = (Mean::of(&values, rho, fitted).unwrap(), Mean::of(&base, rho, base_fitted).unwrap());
                let variance = own.variance + other.variance;
                let df = variance.powi(2) / (own.variance.powi(2) / own.df + other.variance.powi(2) / other.df);
                (own.value - other.value - truth).abs() <= variance.sqrt() * student::quantile(0.975, df)
            })
            .count();
        eprintln!("{world:?}: {covered} of 1000 intervals cover the truth");
        assert!((920..=980).contains(&covered), "{world:?}: {covered} of 1000");
    }
}

#[test]
fn the_reported_interval_is_the_one_that_was_simulated() {
    let world = World { rho: 0.5, ..DUET };
    let pair = world.experiment(3, 0.1);
    let metric = world.metric(3, 0.1);
    let (values, base) = (&pair.rounds.values, &pair.calibration.values);
    let rho = shared(&[values, base]);
    let (own, other) = (Mean::of(values, rho, 0).unwrap(), Mean::of(base, rho, 0).unwrap());
    let variance = own.variance + other.variance;
    let df = variance.powi(2) / (own.variance.powi(2) / own.df + other.variance.powi(2) / other.df);
    let [low, high] = metric.interval.unwrap();
    let spread = variance.sqrt() * student::quantile(0.975, df);
    assert!((low.ln() - (own.value - other.value - spread)).abs() < 1e-12 && (high.ln() - low.ln() - 2.0 * spread).abs() < 1e-12);
}

#[test]
fn a_system_against_itself_is_called_different_in_at_most_one_of_twenty() {
    for world in worlds() {
        let metrics: Vec<Metric> = (0..200).map(|seed| world.metric(seed, 0.0)).collect();
        let count = |wanted: fn(Verdict) -> bool| metrics.iter().filter(|metric| wanted(metric.verdict)).count();
        let alarms = count(|verdict| matches!(verdict, Verdict::Better | Verdict::Worse));
        let still = count(|verdict| verdict == Verdict::NoDifference);
        eprintln!("{world:?}: {alarms} of 200 called different, {still} without difference");
        assert!(alarms <= 10, "{world:?}: {alarms} of 200");
    }
}

#[test]
fn without_a_margin_the_tests_themselves_keep_their_level() {
    // The margin hides small false alarms; here they are counted without it, by interval, bootstrap and permutation alike.
    for world in worlds() {
        let alarms = (0..200)
            .filter(|seed| {
                let metric = world.metric(10_000 + seed, 0.0);
                let excludes = |interval: [f64; 2]| interval[0] > 1.0 || interval[1] < 1.0;
                excludes(metric.interval.unwrap()) && metric.rounds.bootstrap.is_some_and(excludes) && metric.rounds.p.unwrap() <= ALPHA
            })
            .count();
        eprintln!("{world:?}: {alarms} of 200 beyond chance");
        assert!(alarms <= 14, "{world:?}: {alarms} of 200; 10 are expected, 16 are its 97.5 % point");
    }
}

#[test]
fn a_slowdown_of_one_tenth_is_found_with_the_power_the_mde_states() {
    let truth = 1.1f64.ln();
    let metrics = |world: World, seeds: std::ops::Range<u64>| seeds.map(move |seed| world.metric(seed, truth)).collect::<Vec<_>>();
    let median_mde = |metrics: &[Metric]| {
        let mut mdes: Vec<f64> = metrics.iter().filter_map(|metric| metric.mde).collect();
        mdes.sort_by(f64::total_cmp);
        mdes[mdes.len() / 2]
    };
    for world in worlds() {
        // The noise at which experiments typically state that they could just show 10 %: four in five then must.
        let pilot = median_mde(&metrics(World { sigma: 0.05, ..world }, 1000..1100));
        let world = World { sigma: 0.05 * truth / pilot.ln_1p(), ..world };
        let metrics = metrics(world, 0..200);
        let found = metrics.iter().filter(|metric| metric.verdict == Verdict::Worse).count();
        let mde = median_mde(&metrics);
        eprintln!("{world:?}: {found} of 200 found, median mde {:.1} %", mde * 100.0);
        assert!((0.085..0.115).contains(&mde), "{world:?}: {mde}");
        assert!(found >= 149, "{world:?}: {found} of 200; 160 are promised, 149 is the 2.5 % point of that");
        assert!(metrics.iter().all(|metric| metric.verdict != Verdict::Better), "{world:?}");
    }
}

#[test]
fn too_few_rounds_say_nothing_but_the_ratio() {
    let world = World { rounds: 7, ..DUET };
    let metric = world.metric(1, 1.0);
    assert_eq!((metric.verdict, metric.interval, metric.rounds.n), (Verdict::Inconclusive, None, None));
    assert!((metric.ratio.unwrap() - 1f64.exp()).abs() < 1e-9);
}

#[test]
fn a_rate_that_falls_is_worse_and_one_that_rises_better() {
    let rate = |effect: f64| {
        let pair = Paired { metric: "throughput", unit: "calls/s", better: Better::Higher, ..DUET.experiment(1, effect) };
        judge(&[pair], 1).remove(0).verdict
    };
    assert_eq!((rate(-0.5), rate(0.5)), (Verdict::Worse, Verdict::Better));
}

#[test]
fn an_inconclusive_metric_says_how_many_rounds_would_settle_it() {
    let world = World { sigma: 0.15, ..DUET };
    let metric = (0..50).map(|seed| world.metric(seed, 0.0)).find(|metric| metric.verdict == Verdict::Inconclusive).unwrap();
    let needed = metric.rounds.needed_more.unwrap();
    // ((1.96 + 0.84)² · 2 · 0.15²) / ln(1.05)² = 148 rounds in all, by noise that is itself estimated.
    assert!((40..=300).contains(&needed), "{needed}");
    let longer = World { rounds: 148 + 40, ..world };
    let settled = (0..50).filter(|seed| longer.metric(*seed, 0.0).verdict == Verdict::NoDifference).count();
    assert!(settled >= 25, "{settled} of 50");
}

#[test]
fn one_difference_among_many_statements_is_found_and_the_others_are_not_made_up() {
    let mut pairs: Vec<Paired> = (0..40).map(|at| Paired { label: format!("s{at}"), ..DUET.experiment(at, 0.0) }).collect();
    pairs[7] = Paired { label: "s7".to_owned(), ..DUET.experiment(99, 0.2) };
    let metrics = judge(&pairs, 1);
    let told: Vec<&str> = metrics.iter().filter(|metric| metric.verdict == Verdict::Worse).map(|metric| metric.label.as_str()).collect();
    assert_eq!(told, ["s7"]);
    assert!(metrics.iter().all(|metric| metric.rounds.p_adjusted >= metric.rounds.p));
}

#[test]
fn identical_rounds_are_no_difference_and_no_panic() {
    let still = Series::of(vec![0.0; 40]);
    let pair = Paired { rounds: still.clone(), calibration: still, ..DUET.experiment(1, 0.0) };
    assert_eq!(judge(&[pair], 1)[0].verdict, Verdict::NoDifference);
}

#[test]
fn what_the_work_does_not_explain_must_be_beyond_more_doubt() {
    let world = World { sigma: 0.09, ..DUET };
    let found = |explained: Explained, effect: f64| {
        let pairs = (0..100).map(|seed| Paired { explained, ..world.experiment(seed, effect) });
        pairs.filter(|pair| judge(std::slice::from_ref(pair), 1)[0].verdict == Verdict::Worse).count()
    };
    let usual = found(Explained { better: false, worse: true }, 0.08);
    let strict = found(Explained { better: true, worse: false }, 0.08);
    assert!(usual > strict + 10 && strict > 20, "{usual} {strict}");
    assert_eq!((usual, strict), (found(Explained::BOTH, 0.08), found(Explained::NEITHER, 0.08)));
    assert!(found(Explained::NEITHER, 0.2) > 95);
}

#[test]
fn without_calibration_the_rounds_stand_alone() {
    let pair = Paired { rounds: DUET.series(4, 0.3), calibration: Series::default(), ..DUET.experiment(4, 0.3) };
    let metric = judge(&[pair], 1).remove(0);
    assert_eq!(metric.verdict, Verdict::Worse, "{metric:?}");
}
