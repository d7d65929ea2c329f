//! A difference by ranks: what single wild rounds cannot pull away.

use crate::stats::student;

/// Returns the Hodges–Lehmann shift of `series` against `base`: the median of all differences; `None` without values.
///
/// Without a `base`, the median of the means of all pairs. Hodges and Lehmann, Ann. Math. Stat. 34 (1963).
pub fn shift(series: &[f64], base: &[f64]) -> Option<f64> {
    let mut differences: Vec<f64> = if base.is_empty() {
        series.iter().enumerate().flat_map(|(at, x)| series[at..].iter().map(move |y| (x + y) / 2.0)).collect()
    } else {
        series.iter().flat_map(|x| base.iter().map(move |y| x - y)).collect()
    };
    if differences.is_empty() {
        return None;
    }
    differences.sort_by(f64::total_cmp);
    let middle = differences.len() / 2;
    Some(if differences.len() % 2 == 1 { differences[middle] } else { (differences[middle - 1] + differences[middle]) / 2.0 })
}

/// Returns the two-sided p-value of the Mann–Whitney test on the values of rounds; `None` with fewer than 8 on a side.
///
/// By the normal approximation with its corrections for continuity and ties. Assumes independent rounds, which
/// neighbouring ones are not quite: a robustness line, not a verdict. Mann and Whitney, Ann. Math. Stat. 18 (1947).
pub fn mann_whitney(series: &[f64], base: &[f64]) -> Option<f64> {
    let (m, n) = (series.len() as f64, base.len() as f64);
    if m < 8.0 || n < 8.0 {
        return None;
    }
    let wins: f64 = series
        .iter()
        .flat_map(|x| {
            base.iter().map(move |y| {
                if x > y {
                    1.0
                } else if x == y {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    let mut all: Vec<f64> = series.iter().chain(base).copied().collect();
    all.sort_by(f64::total_cmp);
    let ties: f64 = all.chunk_by(|a, b| a == b).map(|tied| (tied.len() as f64).powi(3) - tied.len() as f64).sum();
    let total = m + n;
    let variance = m * n / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance <= 0.0 {
        return Some(1.0);
    }
    let z = ((wins - m * n / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    Some(2.0 * student::normal_tail(z))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wild_value_does_not_move_the_shift_far() {
        assert_eq!(shift(&[1.0, 2.0, 3.0], &[]), Some(2.0));
        assert_eq!(shift(&[1.0, 2.0, 1000.0], &[0.0, 0.0, 0.0]), Some(2.0));
        assert_eq!(shift(&[], &[]), None);
    }

    #[test]
    fn the_test_agrees_with_the_formula_by_hand() {
        // 1..10 against 4..13: U = 24.5, seven ties of two, z = 1.8948.
        let (x, y): (Vec<f64>, Vec<f64>) = ((1..=10).map(f64::from).collect(), (4..=13).map(f64::from).collect());
        let p = mann_whitney(&x, &y).unwrap();
        assert!((p - 0.058_117).abs() < 1e-5, "{p}");
        assert_eq!(mann_whitney(&[1.0; 8], &[1.0; 8]), Some(1.0));
        assert_eq!(mann_whitney(&[1.0; 7], &[1.0; 8]), None);
    }
}
