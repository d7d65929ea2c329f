//! How often chance alone would show a mean this large: the sign-flip permutation test.

use crate::stats::random;

/// Up to so many groups every pattern of signs is tried; 2²⁰ is a moment's work, twice that is two.
const EXACT_UP_TO: usize = 20;

/// 9 999 random patterns beyond that: the p-value is then known to a tenth at 1 % and is never 0.
const DRAWS: u64 = 9_999;

/// So many patterns as extreme as the observed one settle that it is nothing special (Besag and Clifford, Biometrika 78, 1991).
const SETTLED: u64 = 200;

/// Fewer groups than this cannot show anything beyond 1 in 128.
pub const MIN_GROUPS: usize = 8;

/// The stream of random numbers that flips signs.
const FLIPS: u64 = 0x666c_6970;

/// Returns the two-sided p-value of a mean other than 0; `None` with fewer than [`MIN_GROUPS`] groups.
///
/// Assumes that without an effect each group is as likely to be positive as negative, and independent of the others.
/// Neighbours that resemble each other must therefore be put into one group: `block` values each. Exact up to 20
/// groups; beyond, 9 999 draws of the seed.
pub fn sign_flip(series: &[f64], block: usize, seed: u64) -> Option<f64> {
    let block = block.max(1);
    // What is left over at the end joins the last group: a shorter one would weigh less than it seems.
    let count = series.len() / block;
    if count < MIN_GROUPS {
        return None;
    }
    let groups: Vec<f64> = (0..count)
        .map(|group| {
            let end = if group + 1 == count { series.len() } else { (group + 1) * block };
            series[group * block..end].iter().sum()
        })
        .collect();
    let observed: f64 = groups.iter().sum::<f64>().abs();
    // Sums that are equal but for the order of additions must compare as equal.
    let bound = observed - 1e-9 * groups.iter().map(|group| group.abs()).sum::<f64>();
    Some(if count <= EXACT_UP_TO { exact(&groups, bound) } else { drawn(&groups, bound, seed) })
}

/// Tries all patterns. In the order of Gray codes each differs from the last by one sign.
fn exact(groups: &[f64], bound: f64) -> f64 {
    let mut signs = vec![1.0; groups.len()];
    let mut sum: f64 = groups.iter().sum();
    let patterns = 1u64 << (groups.len() - 1);
    let mut extreme = u64::from(sum.abs() >= bound);
    // The last sign stays: the mirror image of each pattern has the same size.
    for step in 1..patterns {
        let flipped = step.trailing_zeros() as usize;
        signs[flipped] = -signs[flipped];
        sum += 2.0 * signs[flipped] * groups[flipped];
        extreme += u64::from(sum.abs() >= bound);
    }
    extreme as f64 / patterns as f64
}

fn drawn(groups: &[f64], bound: f64, seed: u64) -> f64 {
    let mut extreme = 0;
    for draw in 0..DRAWS {
        let mut sum = 0.0;
        for (word, part) in groups.chunks(64).enumerate() {
            let bits = random::bits(seed, FLIPS, draw, word as u64);
            for (bit, group) in part.iter().enumerate() {
                sum += if bits >> bit & 1 == 1 { *group } else { -group };
            }
        }
        extreme += u64::from(sum.abs() >= bound);
        if extreme == SETTLED {
            return SETTLED as f64 / (draw + 1) as f64;
        }
    }
    // What was observed is itself one of the patterns.
    (extreme + 1) as f64 / (DRAWS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_p_is_that_of_two_patterns_in_all() {
        assert_eq!(sign_flip(&[1.0; 8], 1, 1), Some(2.0 / 256.0));
        assert_eq!(sign_flip(&[1.0; 16], 2, 1), Some(2.0 / 256.0));
        assert_eq!(sign_flip(&[1.0; 17], 2, 1), Some(2.0 / 256.0), "the odd one joins the last group");
        assert_eq!(sign_flip(&[1.0; 7], 1, 1), None);
    }

    #[test]
    fn all_patterns_are_tried() {
        // 1, 2, 4, …, 128: all 256 sums differ, and those at least as large as the observed 255 − 2·1 are 255 and 253.
        let mut series: Vec<f64> = (0..8).map(|i| f64::from(1 << i)).collect();
        series[0] = -1.0;
        assert_eq!(sign_flip(&series, 1, 1), Some(4.0 / 256.0));
    }

    #[test]
    fn drawn_and_tried_patterns_agree() {
        let series: Vec<f64> = (0..20).map(|i| f64::from(i % 7) - 2.0).collect();
        let bound = series.iter().sum::<f64>().abs() - 1e-9;
        let (tried, drew) = (exact(&series, bound), drawn(&series, bound, 5));
        assert!((tried / drew).ln().abs() < 0.25, "{tried} {drew}");
        assert_eq!(drawn(&series, bound, 5), drew, "the seed decides");
    }
}
