//! Whether the number of calls under way grows: the mark of a rate the server cannot serve for ever.

use crate::stats::{autocorrelation, student};

/// One-sided; REPLAY's rule "growing at 95 %".
const CONFIDENCE: f64 = 0.95;

/// 0.9: beyond it a stretch this short holds no two independent values; as for means of such series.
const RHO_MAX: f64 = 0.9;

/// A trend of calls under way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trend {
    /// How many more are under way for each second.
    pub slope: f64,
    /// The lower end of its one-sided 95 % interval; above 0, it grows.
    pub slope_low: f64,
}

/// Fits a straight line through calls under way at even distances; `None` with fewer than
/// [`MIN_VALUES`](autocorrelation::MIN_VALUES).
///
/// A queue remembers: neighbouring values resemble each other, and a short stretch of a steady queue looks like a trend. The
/// residuals' lag-1 autocorrelation ρ widens the standard error by √((1+ρ)/(1−ρ)) and leaves n(1−ρ)/(1+ρ) − 2 degrees of freedom.
pub fn trend(under_way: &[f64], every_s: f64) -> Option<Trend> {
    let n = under_way.len() as f64;
    if under_way.len() < autocorrelation::MIN_VALUES {
        return None;
    }
    let time = |at: usize| (at as f64 - (n - 1.0) / 2.0) * every_s;
    let mean = under_way.iter().sum::<f64>() / n;
    let spread: f64 = (0..under_way.len()).map(|at| time(at).powi(2)).sum();
    let slope = under_way.iter().enumerate().map(|(at, value)| time(at) * (value - mean)).sum::<f64>() / spread;
    let residuals: Vec<f64> = under_way.iter().enumerate().map(|(at, value)| value - mean - slope * time(at)).collect();
    // What is left beside a line is less alike than what is left beside a mean, which `shared` puts right: by about 1/n more.
    let rho = (autocorrelation::shared(&[&residuals]) + 1.0 / (n - 4.0)).min(RHO_MAX);
    let variance = residuals.iter().map(|residual| residual.powi(2)).sum::<f64>() / (n - 2.0);
    let inflation = (1.0 + rho) / (1.0 - rho);
    let error = (variance * inflation / spread).sqrt();
    let df = (n / inflation - 2.0).max(1.0);
    Some(Trend { slope, slope_low: slope - student::quantile(CONFIDENCE, df) * error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random;

    #[test]
    fn a_line_is_found_and_a_flat_one_is_not_growth() {
        let rising: Vec<f64> = (0..50).map(|at| 3.0 + 2.0 * f64::from(at) * 0.1).collect();
        let found = trend(&rising, 0.1).unwrap();
        assert!((found.slope - 2.0).abs() < 1e-9 && found.slope_low > 1.99, "{found:?}");
        let flat = trend(&[4.0; 50], 0.1).unwrap();
        assert!(flat.slope.abs() < 1e-12 && flat.slope_low <= 1e-12, "{flat:?}");
        assert_eq!(trend(&[1.0, 2.0, 3.0], 1.0), None);
    }

    #[test]
    fn a_steady_queue_that_remembers_seldom_looks_like_growth() {
        let mut alarms = 0;
        for seed in 0..400 {
            let mut level = 0.0;
            let mut next = |at: u64| {
                level = 0.7 * level + random::unit(random::bits(seed, 1, at, 0)) - 0.5;
                level
            };
            // The first ones only let it forget where it began.
            let values: Vec<f64> = (0..150).map(|at| 20.0 + next(at)).skip(100).collect();
            alarms += u32::from(trend(&values, 0.1).unwrap().slope_low > 0.0);
        }
        assert!(alarms <= 400 * 8 / 100, "{alarms} of 400");
    }
}
