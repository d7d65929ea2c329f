//! pgbench's hash functions, and its pseudorandom permutation: the same values for the same arguments.

/// FNV-1a over the eight bytes of `value`, lowest first.
pub fn fnv1a(value: i64, seed: i64) -> i64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ (seed as u64);
    let hash = value.to_le_bytes().iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash as i64
}

/// MurmurHash2, 64 bits, of one 8-byte block.
pub fn murmur2(value: i64, seed: i64) -> i64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    /// The multiplier times the length of the block.
    const LENGTH: u64 = 0x3525_3c9a_de8f_4ca8;
    let scrambled = (value as u64).wrapping_mul(MULTIPLIER);
    let scrambled = (scrambled ^ (scrambled >> 47)).wrapping_mul(MULTIPLIER);
    let hash = ((seed as u64) ^ LENGTH ^ scrambled).wrapping_mul(MULTIPLIER);
    let hash = (hash ^ (hash >> 47)).wrapping_mul(MULTIPLIER);
    (hash ^ (hash >> 47)) as i64
}

/// Returns where `value` modulo `size` goes in a permutation of 0 to `size` - 1 that depends on the seed.
///
/// Six rounds of multiplying, flipping and rotating the lower and the upper part and of adding an offset, each step a
/// bijection. The numbers come from PostgreSQL's own generator (xoroshiro128**), as they are part of the result.
pub fn permute(value: i64, size: i64, seed: i64) -> i64 {
    if size < 2 {
        return 0;
    }
    let size = size as u64;
    let mut random = Xoroshiro::new(seed as u64);
    let mut at = (value as u64) % size;
    let bits = size.ilog2();
    let mask = (1u64 << bits) - 1;
    let scramble = |at: u64, odd: u64, flips: u64| {
        let mixed = (at.wrapping_mul(odd) ^ flips) & mask;
        ((mixed << 1) & mask) | (mixed >> (bits - 1))
    };
    for _ in 0..6 {
        let (odd, flips) = (random.next() | 1, random.next() & mask);
        if at <= mask {
            at = scramble(at, odd, flips);
        }
        let (odd, flips) = (random.next() | 1, random.next() & mask);
        let from_top = size - 1 - at;
        if from_top <= mask {
            at = size - 1 - scramble(from_top, odd, flips);
        }
        at = (at + random.up_to(size - 1)) % size;
    }
    at as i64
}

/// The generator of PostgreSQL 15 and later.
struct Xoroshiro(u64, u64);

impl Xoroshiro {
    fn new(mut seed: u64) -> Self {
        let mut next = || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Self(next(), next())
    }

    fn next(&mut self) -> u64 {
        let mixed = self.1 ^ self.0;
        let value = self.0.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        self.0 = self.0.rotate_left(24) ^ mixed ^ (mixed << 16);
        self.1 = mixed.rotate_left(37);
        value
    }

    /// Returns a number from 0 to `most`, which is above 0: too large ones are drawn again.
    fn up_to(&mut self, most: u64) -> u64 {
        let shift = 63 - most.ilog2();
        loop {
            let value = self.next() >> shift;
            if value <= most {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected numbers were printed by pgbench 15.

    #[test]
    fn murmur2_is_pgbenchs() {
        for (value, seed, expected) in [
            (0, 0, 8217090173679840641),
            (1, 0, -8089716718896805586),
            (123456789, 42, -6824048790355813029),
            (-1, -1, 1317380444104773032),
            (i64::MAX, 5432, -4755676558467274251),
            (10, 5432, -5817877081768721676),
            (2, 1, -3163560438150112631),
        ] {
            assert_eq!(murmur2(value, seed), expected, "hash_murmur2({value}, {seed})");
        }
    }

    #[test]
    fn fnv1a_is_pgbenchs() {
        for (value, seed, expected) in [
            (0, 0, -6284781860667377211),
            (1, 0, -8517097267634966620),
            (10, 5432, -7793829335365542153),
            (123456789, 42, -1441609354036786589),
            (-1, -1, 9116541788052886162),
        ] {
            assert_eq!(fnv1a(value, seed), expected, "hash_fnv1a({value}, {seed})");
        }
    }

    #[test]
    fn permutations_are_pgbenchs() {
        for (value, size, seed, expected) in [
            (0, 1, 1, 0),
            (0, 2, 5432, 0),
            (1, 2, 5432, 1),
            (0, 100, 1, 0),
            (99, 100, 1, 21),
            (7, 10, 0, 4),
            (123, 1_000_000, 42, 317832),
            (-5, 10, 3, 8),
            (0, i64::MAX, 5432, 8941447457790205183),
            (9_999_999, 10_000_000, 5432, 2372819),
            (12345, 10_000_000, -1, 2314668),
            (5, 16, 7, 5),
            (20, 16, 7, 7),
            (1_000_000_007, 4611686018427387904, 77, 330457823506157673),
            (3, 3, 3, 0),
            (2, 3, 3, 2),
            (1, 3, 3, 1),
            (17, 100_000, 99, 24938),
        ] {
            assert_eq!(permute(value, size, seed), expected, "permute({value}, {size}, {seed})");
        }
    }

    #[test]
    fn every_size_is_permuted_without_loss() {
        for size in [2, 3, 7, 8, 9, 64, 100, 257] {
            for seed in [0, 1, -9] {
                let mut reached: Vec<i64> = (0..size).map(|value| permute(value, size, seed)).collect();
                reached.sort_unstable();
                assert_eq!(reached, (0..size).collect::<Vec<_>>(), "size {size}, seed {seed}");
            }
        }
    }
}
