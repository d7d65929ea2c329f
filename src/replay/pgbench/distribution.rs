//! Random whole numbers between two bounds, in the distributions of pgbench's manual.
//!
//! pgbench draws from one sequence a thread; here each number follows from its coordinates (seed, script, call, place in
//! the script) and from nothing else, so the same call gets the same numbers whoever makes it and whatever ran before.

use std::f64::consts::PI;

use crate::stats::random;

/// Below this, too little of the bell is left for the manual's claims; pgbench refuses it.
pub const LEAST_GAUSSIAN: f64 = 2.0;
/// The exponents pgbench takes: nearer to 1 the rejection method is slow, beyond 1000 everything is the first value.
pub const ZIPFIAN: std::ops::RangeInclusive<f64> = 1.001..=1000.0;

/// The random numbers of one place in one call.
#[derive(Debug, Clone)]
pub struct Draws {
    seed: u64,
    stream: u64,
    call: u64,
    slot: u64,
}

impl Draws {
    /// Returns the numbers of a place (`site`) of a script (`stream`) in a call.
    pub fn new(seed: u64, stream: u64, call: u64, site: u32) -> Self {
        Self { seed, stream, call, slot: u64::from(site) << 32 }
    }

    #[inline]
    fn bits(&mut self) -> u64 {
        let bits = random::bits(self.seed, self.stream, self.call, self.slot);
        self.slot += 1;
        bits
    }

    /// Returns a number from 0 up to, but not including, 1.
    #[inline]
    fn unit(&mut self) -> f64 {
        random::unit(self.bits())
    }

    /// Evenly from `low` to `high`, both included.
    #[inline]
    pub fn uniform(&mut self, low: i64, high: i64) -> i64 {
        low.wrapping_add_unsigned(random::below(self.bits(), width(low, high)))
    }

    /// Exponentially: the first value is the likeliest, the more so the larger the parameter, which is above 0.
    pub fn exponential(&mut self, low: i64, high: i64, parameter: f64) -> i64 {
        let cut = (-parameter).exp();
        // From above 0 to 1 included, so that the result stays below the upper bound.
        let uniform = 1.0 - self.unit();
        let share = -(cut + (1.0 - cut) * uniform).ln() / parameter;
        within(low, high, share)
    }

    /// As a bell over the interval, cut off at `parameter` standard deviations (at least [`LEAST_GAUSSIAN`]).
    pub fn gaussian(&mut self, low: i64, high: i64, parameter: f64) -> i64 {
        let deviation = loop {
            // Box and Muller's transform; the first number must not be 0.
            let (first, second) = (1.0 - self.unit(), 1.0 - self.unit());
            let deviation = (-2.0 * first.ln()).sqrt() * (2.0 * PI * second).sin();
            if (-parameter..parameter).contains(&deviation) {
                break deviation;
            }
        };
        within(low, high, (deviation + parameter) / (parameter * 2.0))
    }

    /// By Zipf's law: the k-th value is drawn in proportion to k to the power of minus `exponent` (one of [`ZIPFIAN`]).
    ///
    /// Devroye, "Non-Uniform Random Variate Generation" (1986), page 551.
    pub fn zipfian(&mut self, low: i64, high: i64, exponent: f64) -> i64 {
        let count = width(low, high);
        if count <= 1 {
            return low;
        }
        let b = 2f64.powf(exponent - 1.0);
        loop {
            let (u, v) = (self.unit(), self.unit());
            let x = u.powf(-1.0 / (exponent - 1.0)).floor();
            let t = (1.0 + 1.0 / x).powf(exponent - 1.0);
            if v * x * (t - 1.0) / (b - 1.0) <= t / b && x <= count as f64 {
                return low + (x as i64 - 1);
            }
        }
    }
}

/// How many values there are; callers have checked that it fits an int64.
#[inline]
fn width(low: i64, high: i64) -> u64 {
    high.wrapping_sub(low).wrapping_add(1) as u64
}

fn within(low: i64, high: i64, share: f64) -> i64 {
    low.wrapping_add((width(low, high) as f64 * share) as i64).min(high)
}

#[cfg(test)]
#[path = "distribution_tests.rs"]
mod tests;
