//! The mean of a series whose neighbours resemble each other, and how well it is known.

/// Fewer values than this give no interval: the variance itself would be a guess.
pub const MIN_VALUES: usize = 8;

/// 0.9: beyond it a series this short holds no two independent values, whatever is computed from it.
const RHO_MAX: f64 = 0.9;

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Its variance, autocorrelation included.
    pub variance: f64,
    /// Degrees of freedom of the variance.
    pub df: f64,
    /// How many values there were.
    pub count: usize,
    /// The lag-1 autocorrelation it was given.
    pub rho: f64,
}

/// Returns the lag-1 autocorrelation that several series of one kind share; 0 where it came out negative.
///
/// Estimated around a mean of its own, ρ comes out too small by about (1+4ρ)/n (Kendall, Biometrika 41, 1954), which is put
/// right. One estimate over all series is much steadier than one for each, and so are the intervals made of it. A negative
/// ρ counts as none, since it would promise more than there is.
pub fn shared(series: &[&[f64]]) -> f64 {
    let series: Vec<&&[f64]> = series.iter().filter(|series| series.len() >= MIN_VALUES).collect();
    let (mut squares, mut products, mut count) = (0.0, 0.0, 0.0);
    for values in &series {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        squares += values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        products += values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>();
        count += values.len() as f64;
    }
    if squares <= 0.0 {
        return 0.0;
    }
    let n = count / series.len() as f64;
    ((products / squares + 1.0 / n) / (1.0 - 4.0 / n)).clamp(0.0, RHO_MAX)
}

impl Mean {
    /// Estimates the mean of a series in the order of time, its values autocorrelated by `rho` (see [`shared`]); `None` with
    /// fewer than [`MIN_VALUES`].
    ///
    /// `fitted` counts what was fitted to the series beside its mean. A first-order series of n values is worth
    /// n(1−ρ)/(1+ρ) independent ones; the variance of the values around their own mean is too small by as many as one of
    /// those, which is put right. Without these corrections the interval is too short at 10 to 60 values. See
    /// docs/statistics.md#paired.
    pub fn of(series: &[f64], rho: f64, fitted: usize) -> Option<Self> {
        let count = series.len();
        if count < MIN_VALUES + fitted {
            return None;
        }
        let n = count as f64;
        let value = series.iter().sum::<f64>() / n;
        let squares: f64 = series.iter().map(|x| (x - value).powi(2)).sum();
        let effective = (n * (1.0 - rho) / (1.0 + rho)).max(2.0);
        let free = n - n / effective - fitted as f64;
        let spread = squares / if free > 1.0 { free } else { n };
        let df = (effective - 1.0 - fitted as f64).max(1.0);
        Some(Self { value, variance: spread / effective, df, count, rho })
    }

    /// Returns how many neighbours to keep together so that the groups are about independent; 1 without autocorrelation.
    ///
    /// The block length that is best for a variance of a first-order series, (6·ρ²/(1−ρ²)²)^⅓·n^⅓ (Carlstein 1986), but
    /// never so long that fewer than fifteen groups are left: the signs of ten have 1 024 patterns, too few to stand out
    /// among forty statements.
    pub fn block(&self) -> usize {
        let n = self.count as f64;
        let best = (6.0 * self.rho.powi(2) / (1.0 - self.rho.powi(2)).powi(2) * n).cbrt().round();
        (best as usize).clamp(1, (self.count / 15).max(1))
    }
}

/// Takes out what the order within a round adds: the drift between the first and the second half of each.
///
/// `order` is +1 where the side before came first and −1 where it came second, one a value. Fitted by least squares
/// (value = mean + shift · order), so the mean of what is returned is the mean with the drift removed.
pub fn without_order(series: &[f64], order: &[f64]) -> Vec<f64> {
    let n = series.len().min(order.len()) as f64;
    let (mean, middle) = (series.iter().sum::<f64>() / n, order.iter().sum::<f64>() / n);
    let spread: f64 = order.iter().map(|o| (o - middle).powi(2)).sum();
    if n < 3.0 || spread <= 0.0 {
        return series.to_vec();
    }
    let shift = series.iter().zip(order).map(|(x, o)| (x - mean) * (o - middle)).sum::<f64>() / spread;
    series.iter().zip(order).map(|(x, o)| x - shift * o).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_values_count_in_full_and_repeated_ones_do_not() {
        let alternating: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let stairs: Vec<f64> = (0..40).map(|i| f64::from(i / 10 % 2)).collect();
        assert_eq!(shared(&[&alternating]), 0.0);
        assert!(shared(&[&stairs]) > 0.8 && shared(&[&stairs, &stairs]) == shared(&[&stairs]));
        let mean = |rho| Mean::of(&stairs, rho, 0).unwrap();
        assert_eq!((mean(0.0).df, mean(0.0).block()), (39.0, 1));
        assert_eq!((mean(0.6).df, mean(0.6).block()), (9.0, 2));
        assert!(mean(0.6).variance > 4.0 * mean(0.0).variance);
    }

    #[test]
    fn few_values_and_values_without_spread_are_no_panic() {
        assert_eq!((shared(&[]), shared(&[&[1.0; 7]]), shared(&[&[1.0; 9]])), (0.0, 0.0, 0.0));
        assert_eq!((Mean::of(&[1.0; 7], 0.0, 0), Mean::of(&[1.0; 8], 0.0, 1)), (None, None));
        let still = Mean::of(&[2.0; 8], 0.0, 0).unwrap();
        assert_eq!((still.value, still.variance, still.df), (2.0, 0.0, 7.0));
        assert_eq!(Mean::of(&[2.0; 8], 0.9, 0).unwrap().df, 1.0);
    }

    #[test]
    fn a_drift_within_rounds_is_taken_out_and_the_mean_stays() {
        let order: Vec<f64> = (0..12).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let series: Vec<f64> = order.iter().map(|o| 0.1 + 0.3 * o).collect();
        let still = without_order(&series, &order);
        assert!(still.iter().all(|x| (x - 0.1).abs() < 1e-12), "{still:?}");
        assert_eq!(without_order(&[1.0, 2.0], &[1.0, -1.0]), [1.0, 2.0]);
    }
}
