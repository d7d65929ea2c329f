//! Numbers and changes as people read them.

use crate::diff::Diff;
use crate::stats::{Better, Metric, Verdict};
use crate::units::{grouped, human_ms};

use super::Tone;

/// Stands where there is no value: too few samples, not counted, not visible.
pub const DASH: &str = "—";

/// Writes a duration in microseconds; [`DASH`] for none.
pub fn micros(duration_us: Option<u64>) -> String {
    duration_us.map_or_else(|| DASH.to_owned(), |us| human_ms(us as f64 / 1000.0))
}

/// Writes a duration in milliseconds that may be long: `84.2 ms`, `12.5 min`, `4.6 h`.
pub fn elapsed(milliseconds: f64) -> String {
    match milliseconds / 60_000.0 {
        minutes if minutes >= 120.0 => format!("{:.1} h", minutes / 60.0),
        minutes if minutes >= 2.0 => format!("{minutes:.1} min"),
        _ => human_ms(milliseconds),
    }
}

/// Writes a share of 0 to 1 as `97.2 %`.
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        DASH.to_owned()
    } else if share > 0.0 && share < 0.0005 {
        // Three errors in a million calls are not "0.0 %".
        "< 0.1 %".to_owned()
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

/// Writes a number with three significant digits, and all digits of the whole part.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        DASH.to_owned()
    } else if size >= 99.95 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", unbroken(&grouped(size.round() as u64)))
    } else if value == value.trunc() {
        format!("{value:.0}")
    } else if size >= 9.95 {
        format!("{value:.1}")
    } else if size >= 0.01 {
        format!("{value:.2}")
    } else {
        format!("{value:.1e}")
    }
}

/// Writes how many times: `68×`, `1.4×`, `1.04×`.
pub fn times(factor: f64) -> String {
    format!("{}×", bare_times(factor))
}

fn bare_times(factor: f64) -> String {
    if !factor.is_finite() {
        DASH.to_owned()
    } else if factor >= 9.95 {
        grouped(factor.round() as u64)
    } else if factor >= 1.095 {
        format!("{factor:.1}")
    } else {
        format!("{factor:.2}")
    }
}

/// Writes a metric's value in its unit; [`DASH`] for none.
pub fn quantity(value: Option<f64>, unit: &str) -> String {
    match (value, unit) {
        (None, _) => DASH.to_owned(),
        (Some(value), "us") => human_ms(value / 1000.0),
        (Some(value), "share") => percent(value),
        (Some(value), "") => number(value),
        (Some(value), unit) => format!("{} {unit}", number(value)),
    }
}

/// Writes two states as `84 ms → 1.2 ms`; a number keeps its unit when the line is wrapped.
pub fn both(states: &Diff<String>) -> String {
    if states.before == DASH && states.after == DASH {
        DASH.to_owned()
    } else {
        format!("{} → {}", unbroken(&states.before), unbroken(&states.after))
    }
}

/// Returns the text with spaces that no format wraps at.
pub fn unbroken(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

/// Writes how planner cost changed: `12 345 → 8.44 (1 463× less)`.
pub fn cost(cost: &Diff<f64>) -> String {
    let states = both(&cost.map(number));
    match cost.times_less() {
        Some(factor) if factor > 1.005 => format!("{states} ({} less)", times(factor)),
        Some(factor) if factor > 0.0 && factor < 0.995 => format!("{states} ({} more)", times(1.0 / factor)),
        _ => states,
    }
}

/// Says what a verdict means.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoDifference => "no difference seen",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// Returns how a verdict is to be shown.
pub fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Better => Tone::Good,
        Verdict::Worse => Tone::Bad,
        Verdict::NoDifference => Tone::Plain,
        Verdict::Inconclusive => Tone::Muted,
    }
}

/// Says how a metric changed, with the interval and never beyond the verdict: `68× faster (61–75)`, `no difference seen`.
pub fn change(metric: &Metric) -> String {
    let Some(ratio) = metric.ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0) else {
        return if metric.before.is_some() && metric.after.is_some() { verdict(metric.verdict).to_owned() } else { DASH.to_owned() };
    };
    if metric.verdict == Verdict::NoDifference {
        // Two decimals on both sides of 1, where the whole interval lies.
        let around_one = metric.interval.map_or_else(String::new, |[low, high]| format!(" ({low:.2}–{high:.2})"));
        return format!("{}{around_one}", verdict(metric.verdict));
    }
    let smaller = ratio < 1.0;
    let factor = if smaller { 1.0 / ratio } else { ratio };
    let ends = metric.interval.map(|[low, high]| if smaller { [inverse(high), inverse(low)] } else { [Some(low), Some(high)] });
    let told = format!("{} {}{}", times(factor), comparative(metric, smaller), between(ends));
    if metric.verdict == Verdict::Inconclusive { format!("{told}, {}", verdict(metric.verdict)) } else { told }
}

fn inverse(value: f64) -> Option<f64> {
    (value > 0.0).then(|| 1.0 / value)
}

/// An end that is infinite (the interval reaches down to zero) is left open.
fn between(ends: Option<[Option<f64>; 2]>) -> String {
    let end = |value: Option<f64>| value.map_or_else(|| "∞".to_owned(), bare_times);
    ends.map_or_else(String::new, |[low, high]| format!(" ({}–{})", end(low), end(high)))
}

fn comparative(metric: &Metric, smaller: bool) -> &'static str {
    match (metric.unit.as_str(), metric.better, smaller) {
        ("us" | "ms" | "s", Better::Lower, true) => "faster",
        ("us" | "ms" | "s", Better::Lower, false) => "slower",
        (_, _, true) => "less",
        (_, _, false) => "more",
    }
}

/// Returns the text with control and direction-changing characters made visible as `�`, but for line ends and tabs.
///
/// A name in a catalog may hold an escape sequence that would drive the reader's terminal.
pub fn printable(text: &str) -> String {
    let hostile = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hostile(c) { '\u{fffd}' } else { c }).collect()
}

/// Returns the text on one line, runs of white space made one space, and at most `length` characters long.
pub fn one_line(text: &str, length: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= length {
        line
    } else {
        let kept: String = line.chars().take(length.saturating_sub(1)).collect();
        format!("{}…", kept.trim_end())
    }
}

/// Returns the text with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the singular for one and the plural for any other count, with the count: `1 index`, `2 indexes`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", unbroken(&grouped(count)), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(before: f64, after: f64, interval: Option<[f64; 2]>, verdict: Verdict) -> Metric {
        Metric {
            label: "x".into(),
            metric: "p95".into(),
            unit: "us".into(),
            better: Better::Lower,
            before: Some(before),
            after: Some(after),
            ratio: Diff { before, after }.ratio(),
            interval,
            mde: None,
            verdict,
            rounds: crate::stats::Rounds::default(),
        }
    }

    #[test]
    fn a_change_tells_direction_interval_and_doubt() {
        assert_eq!(change(&metric(680.0, 10.0, Some([1.0 / 75.0, 1.0 / 61.0]), Verdict::Better)), "68× faster (61–75)");
        assert_eq!(change(&metric(10.0, 14.0, Some([1.2, 1.6]), Verdict::Worse)), "1.4× slower (1.2–1.6)");
        assert_eq!(change(&metric(100.0, 99.0, Some([0.96, 1.03]), Verdict::NoDifference)), "no difference seen (0.96–1.03)");
        assert_eq!(change(&metric(100.0, 102.0, Some([0.94, 1.1]), Verdict::NoDifference)), "no difference seen (0.94–1.10)");
        assert_eq!(change(&metric(680.0, 10.0, None, Verdict::Inconclusive)), "68× faster, inconclusive");
        assert_eq!(change(&metric(680.0, 10.0, Some([0.0, 0.1]), Verdict::Better)), "68× faster (10–∞)");
    }

    #[test]
    fn a_change_without_a_ratio_is_not_made_up() {
        assert_eq!(change(&metric(0.0, 5.0, None, Verdict::Worse)), "worse");
        assert_eq!(change(&Metric { before: None, ..metric(0.0, 5.0, None, Verdict::Inconclusive) }), DASH);
    }

    #[test]
    fn numbers_keep_three_digits_and_never_lose_whole_ones() {
        let printed = [0.0, 0.004, 0.5, 1.234, 12.34, 99.99, 1234.5, -2.0, f64::NAN].map(number);
        assert_eq!(printed, ["0", "4.0e-3", "0.50", "1.23", "12.3", "100", "1\u{a0}235", "-2", "—"]);
    }

    #[test]
    fn long_times_are_told_in_minutes_and_hours() {
        assert_eq!([84.2, 119_000.0, 750_000.0, 16_420_000.0].map(elapsed), ["84.2 ms", "119 s", "12.5 min", "4.6 h"]);
    }

    #[test]
    fn escape_sequences_and_direction_marks_cannot_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\nd"), "a\u{fffd}[31mb\u{fffd}c\nd");
    }

    #[test]
    fn long_text_is_cut_at_characters_and_not_bytes() {
        assert_eq!(one_line("select  é\n from t", 8), "select…");
        assert_eq!(one_line("ééé", 3), "ééé");
    }
}
