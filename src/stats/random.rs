//! Random numbers that depend on their coordinates and on nothing else.
//!
//! A value is a function of (seed, stream, index, slot), never of threads, timing or what was drawn before. The same
//! coordinates give the same value in the run before a change and in the run after it.

/// Returns 64 evenly distributed bits for the coordinates.
///
/// SplitMix64's finaliser (Steele, Lea, Flood 2014) over each coordinate in turn.
#[inline]
pub fn bits(seed: u64, stream: u64, index: u64, slot: u64) -> u64 {
    mix(mix(mix(mix(seed) ^ stream) ^ index) ^ slot)
}

/// Returns a number from 0 up to, but not including, 1.
#[inline]
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a whole number below `n`, evenly but for 1 part in 2⁶⁴ / n; 0 when `n` is 0.
#[inline]
pub fn below(bits: u64, n: u64) -> u64 {
    ((u128::from(bits) * u128::from(n)) >> 64) as u64
}

/// Returns the stream of a name: FNV-1a, 64 bits. Order and number of other names do not change it.
pub fn stream(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[inline]
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coordinate_matters_and_nothing_else_does() {
        let base = bits(1, 2, 3, 4);
        assert_eq!(base, bits(1, 2, 3, 4));
        for other in [bits(2, 2, 3, 4), bits(1, 3, 3, 4), bits(1, 2, 4, 4), bits(1, 2, 3, 5), bits(2, 1, 3, 4)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn consecutive_indexes_are_evenly_spread() {
        let mut counts = [0u32; 10];
        for index in 0..100_000 {
            counts[below(bits(7, 0, index, 0), 10) as usize] += 1;
        }
        // Chi-squared with 9 degrees of freedom: 27.9 is its 99.9 % point.
        let chi: f64 = counts.iter().map(|count| (f64::from(*count) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 27.9, "{counts:?}");
    }

    #[test]
    fn bounds_hold_at_the_ends() {
        assert_eq!((unit(0), below(0, 5), below(u64::MAX, 5), below(u64::MAX, 0)), (0.0, 0, 4, 0));
        assert!(unit(u64::MAX) < 1.0);
    }
}
