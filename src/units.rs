//! Quantities that carry their unit in the type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of bytes; prints as people write sizes (`412 MB`), serialises as the plain number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// Bytes in one heap or index page of every server pgload reads (`block_size` is 8192 unless compiled otherwise).
pub const PAGE_BYTES: u64 = 8192;

impl Bytes {
    /// Returns the size of `pages` pages of 8 KiB.
    pub fn of_pages(pages: u64) -> Self {
        Self(pages.saturating_mul(PAGE_BYTES))
    }

    /// Returns the sum, saturating at the largest number.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Bytes {
    /// Writes the size with a binary unit, as `pg_size_pretty` does: the number stays below 10 240.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0;
        let mut unit = "bytes";
        for next in ["kB", "MB", "GB", "TB", "PB"] {
            if value < 10 * 1024 {
                break;
            }
            value = (value + 512) / 1024;
            unit = next;
        }
        f.pad(&format!("{value} {unit}"))
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self(0), Self::plus)
    }
}

/// Writes a whole number with a space between groups of three digits: `1 234 567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Writes a duration given in milliseconds with three significant digits and a fitting unit: `84 µs`, `1.23 ms`, `4.50 s`.
pub fn human_ms(milliseconds: f64) -> String {
    if !milliseconds.is_finite() {
        return "—".to_owned();
    }
    let (value, unit) = if milliseconds < 1.0 {
        (milliseconds * 1000.0, "µs")
    } else if milliseconds < 1000.0 {
        (milliseconds, "ms")
    } else {
        (milliseconds / 1000.0, "s")
    };
    let decimals = if value >= 100.0 || (unit == "µs" && value >= 10.0) {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_as_pg_size_pretty_does() {
        let printed = [0, 8192, 10_239, 10_240, 1_048_576, 432_013_312].map(|n| Bytes(n).to_string());
        assert_eq!(printed, ["0 bytes", "8192 bytes", "10239 bytes", "10 kB", "1024 kB", "412 MB"]);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn durations_take_a_unit_that_fits() {
        assert_eq!(human_ms(0.0843), "84 µs");
        assert_eq!(human_ms(1.234), "1.23 ms");
        assert_eq!(human_ms(4500.0), "4.50 s");
        assert_eq!(human_ms(f64::NAN), "—");
    }
}
