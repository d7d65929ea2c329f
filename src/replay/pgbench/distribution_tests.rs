use super::*;

const CALLS: u64 = 200_000;

/// Counts how often each of the values 1 to `count` is drawn.
fn counts(count: usize, draw: impl Fn(&mut Draws) -> i64) -> Vec<f64> {
    let mut counts = vec![0.0; count];
    for call in 0..CALLS {
        let value = draw(&mut Draws::new(11, 5, call, 3));
        counts[usize::try_from(value - 1).expect("a value of 1 and up")] += 1.0;
    }
    counts
}

/// Fails when the counts do not fit the probabilities: chi-squared above its 99.9 % point (Wilson and Hilferty's approximation).
fn fits(name: &str, counts: &[f64], probability: impl Fn(usize) -> f64) {
    // Cells too rare for the test are put together with their neighbours.
    let (mut chi, mut cells, mut seen, mut expected) = (0.0, 0u32, 0.0, 0.0);
    for (index, count) in counts.iter().enumerate() {
        seen += count;
        expected += probability(index + 1) * CALLS as f64;
        if expected >= 20.0 {
            chi += (seen - expected).powi(2) / expected;
            cells += 1;
            (seen, expected) = (0.0, 0.0);
        }
    }
    let freedom = f64::from(cells - 1);
    let spread = 2.0 / (9.0 * freedom);
    let limit = freedom * (1.0 - spread + 3.09 * spread.sqrt()).powi(3);
    assert!(cells > 5 && chi < limit, "{name}: chi-squared {chi} of {freedom} degrees, limit {limit}");
}

/// The normal distribution's share below `x`: Simpson's rule from 0.
fn phi(x: f64) -> f64 {
    let density = |at: f64| (-at * at / 2.0).exp() / (2.0 * PI).sqrt();
    let width = x / 2000.0;
    let inner: f64 = (1..2000).map(|step| density(f64::from(step) * width) * if step % 2 == 1 { 4.0 } else { 2.0 }).sum();
    0.5 + (density(0.0) + inner + density(x)) * width / 3.0
}

#[test]
fn uniform_values_are_even() {
    fits("uniform", &counts(37, |draws| draws.uniform(1, 37)), |_| 1.0 / 37.0);
}

#[test]
fn exponential_values_follow_the_manuals_formula() {
    // f(x) = exp(-parameter * (x - min) / (max - min + 1)) / (1 - exp(-parameter)); value i: f(i) - f(i + 1).
    for parameter in [0.5, 2.5, 9.0] {
        let f = |i: usize| (-parameter * (i as f64 - 1.0) / 50.0f64).exp() / (1.0 - (-parameter).exp());
        fits("exponential", &counts(50, |draws| draws.exponential(1, 50, parameter)), |i| f(i) - f(i + 1));
    }
}

#[test]
fn gaussian_values_follow_the_manuals_formula() {
    // f(x) = PHI(2.0 * parameter * (x - mu) / (max - min + 1)) / (2.0 * PHI(parameter) - 1); value i: f(i + 0.5) - f(i - 0.5).
    for parameter in [2.0, 4.0] {
        let mu = (1.0 + 51.0) / 2.0;
        let f = |x: f64| phi(2.0 * parameter * (x - mu) / 51.0) / (2.0 * phi(parameter) - 1.0);
        fits("gaussian", &counts(51, |draws| draws.gaussian(1, 51, parameter)), |i| f(i as f64 + 0.5) - f(i as f64 - 0.5));
    }
}

#[test]
fn the_gaussian_middle_holds_what_the_manual_says() {
    // "67 % of values are drawn from the middle 1.0 / parameter, and 95 % in the middle 2.0 / parameter."
    let drawn = counts(1000, |draws| draws.gaussian(1, 1000, 4.0));
    let middle = |share: f64| {
        let (from, to) = ((500.0 - 500.0 * share) as usize, (500.0 + 500.0 * share) as usize);
        drawn[from..to].iter().sum::<f64>() / CALLS as f64
    };
    assert!((middle(0.25) - 0.68).abs() < 0.02 && (middle(0.5) - 0.95).abs() < 0.01, "{} {}", middle(0.25), middle(0.5));
}

#[test]
fn zipfian_values_follow_their_law() {
    for exponent in [1.001, 1.2, 2.5] {
        let sum: f64 = (1..=40).map(|k| f64::from(k).powf(-exponent)).sum();
        fits("zipfian", &counts(40, |draws| draws.zipfian(1, 40, exponent)), |k| (k as f64).powf(-exponent) / sum);
    }
    // "With random_zipfian(1, 100, 2.5), 1 is drawn (2/1)^2.5 = 5.66 times more frequently than 2."
    let drawn = counts(100, |draws| draws.zipfian(1, 100, 2.5));
    assert!((drawn[0] / drawn[1] - 5.66).abs() < 0.15, "{}", drawn[0] / drawn[1]);
}

#[test]
fn bounds_hold_for_every_distribution() {
    for call in 0..20_000 {
        let draws = || Draws::new(1, 2, call, 0);
        for (low, high) in [(0, 0), (-3, -1), (i64::MIN, -2), (1, i64::MAX), (-1, i64::MAX - 2)] {
            let drawn = [
                draws().uniform(low, high),
                draws().exponential(low, high, 0.001),
                draws().exponential(low, high, 700.0),
                draws().gaussian(low, high, 2.0),
                draws().zipfian(low, high, 1.001),
            ];
            assert!(drawn.iter().all(|value| (low..=high).contains(value)), "{low} to {high}: {drawn:?}");
        }
    }
}

#[test]
fn a_value_depends_on_its_coordinates_alone() {
    let value = |seed, stream, call, site| Draws::new(seed, stream, call, site).uniform(0, i64::MAX - 1);
    let base = value(1, 2, 3, 4);
    assert_eq!(base, value(1, 2, 3, 4));
    for other in [value(2, 2, 3, 4), value(1, 3, 3, 4), value(1, 2, 4, 4), value(1, 2, 3, 5)] {
        assert_ne!(base, other);
    }
}
