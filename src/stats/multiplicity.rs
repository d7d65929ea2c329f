//! Many questions at once: what chance finds among them is taken back.

/// Returns the p-values adjusted so that, of all that are below a level, at most that share is expected to be chance.
///
/// Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995); assumes independent or positively dependent tests, as the
/// percentiles of one run are. For the statements of a workload.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let m = p.len() as f64;
    adjusted(p, true, |rank, p| p * m / (rank + 1) as f64)
}

/// Returns the p-values adjusted so that the chance of even one false alarm stays below a level.
///
/// Holm, Scand. J. Stat. 6 (1979); assumes nothing of the tests' dependence. For the few headline numbers.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let m = p.len();
    adjusted(p, false, |rank, p| p * (m - rank) as f64)
}

/// Adjusts each p by its rank, and keeps their order: from the largest down (`falling`) or from the smallest up.
fn adjusted(p: &[f64], falling: bool, adjust: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut ranks: Vec<(usize, usize)> = order.into_iter().enumerate().collect();
    if falling {
        ranks.reverse();
    }
    let mut out = vec![1.0; p.len()];
    let mut bound: f64 = if falling { 1.0 } else { 0.0 };
    for (rank, index) in ranks {
        let value = adjust(rank, p[index]).min(1.0);
        bound = if falling { bound.min(value) } else { bound.max(value) };
        out[index] = bound;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: &[f64], expected: &[f64]) {
        assert!(
            actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-9),
            "{actual:?} {expected:?}"
        );
    }

    #[test]
    fn adjusted_values_agree_with_those_of_r() {
        // p.adjust(c(0.01, 0.04, 0.03, 0.005), "BH") and "holm".
        let p = [0.01, 0.04, 0.03, 0.005];
        close(&benjamini_hochberg(&p), &[0.02, 0.04, 0.04, 0.02]);
        close(&holm(&p), &[0.03, 0.06, 0.06, 0.02]);
    }

    #[test]
    fn one_question_needs_no_adjustment_and_none_is_no_panic() {
        close(&benjamini_hochberg(&[0.03]), &[0.03]);
        close(&holm(&[0.03]), &[0.03]);
        assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
    }
}
