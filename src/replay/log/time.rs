//! Times as servers log them: `2026-11-23 09:45:00.123 UTC`, or seconds since 1970.

/// Zone abbreviations that `log_timezone` commonly gives, with their offset in minutes.
///
/// An abbreviation can mean several zones (`IST`, `CST`). One log has one meaning, and only differences of times count, so
/// what matters is that a zone's summer and winter time are an hour apart.
#[rustfmt::skip]
const ZONES: &[(&str, i64)] = &[
    ("UTC", 0), ("GMT", 0), ("Z", 0), ("UCT", 0), ("WET", 0), ("WEST", 60), ("BST", 60), ("CET", 60), ("CEST", 120), ("MET", 60), ("MEST", 120),
    ("EET", 120), ("EEST", 180), ("MSK", 180), ("MSD", 240), ("TRT", 180), ("SAST", 120), ("IST", 330), ("IDT", 390), ("PKT", 300),
    ("WIB", 420), ("SGT", 480), ("HKT", 480), ("AWST", 480), ("JST", 540), ("KST", 540), ("ACST", 570), ("ACDT", 630),
    ("AEST", 600), ("AEDT", 660), ("NZST", 720), ("NZDT", 780), ("NST", -210), ("NDT", -150), ("AST", -240), ("ADT", -180), ("EST", -300),
    ("EDT", -240), ("CST", -360), ("CDT", -300), ("MST", -420), ("MDT", -360), ("PST", -480), ("PDT", -420), ("AKST", -540), ("AKDT", -480),
    ("HST", -600), ("HDT", -540), ("BRT", -180), ("ART", -180),
];

/// Reads a time at the start of the text; returns it in microseconds since 1970 and how many bytes it took.
///
/// A zone that is not known counts as UTC.
pub(super) fn time(text: &[u8]) -> Option<(i64, usize)> {
    let number = |from: usize, length: usize| -> Option<i64> {
        text.get(from..from + length)?.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let sign = |at: usize, sign: u8| (text.get(at) == Some(&sign)).then_some(());
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    for (at, expected) in [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')] {
        sign(at, expected)?;
    }
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut fraction_us = 0;
    if text.get(at) == Some(&b'.') {
        let digits = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let known = digits.min(6);
        fraction_us = number(at + 1, known)? * 10_i64.pow(6 - known as u32);
        at += 1 + digits;
    }
    let mut offset_minutes = 0;
    if text.get(at) == Some(&b' ') {
        let name = text[at + 1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-')).count();
        if name > 0 {
            offset_minutes = zone(&text[at + 1..at + 1 + name]);
            at += 1 + name;
        }
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_minutes * 60;
    Some((seconds * 1_000_000 + fraction_us, at))
}

/// Reads `1700000000.123` at the start of the text, as `%n` writes it.
pub(super) fn epoch(text: &[u8]) -> Option<(i64, usize)> {
    let whole = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=12).contains(&whole) {
        return None;
    }
    let digits = |part: &[u8]| part.iter().fold(0_i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    let mut us = digits(&text[..whole]) * 1_000_000;
    let mut at = whole;
    if text.get(at) == Some(&b'.') {
        let fraction = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let known = fraction.min(6);
        us += digits(&text[at + 1..at + 1 + known]) * 10_i64.pow(6 - known as u32);
        at += 1 + fraction;
    }
    Some((us, at))
}

/// Whether a line begins as a record with its time in front does.
pub(super) fn begins_with_time(text: &[u8]) -> bool {
    text.len() >= 19 && time(&text[..19]).is_some()
}

/// The offset of a zone in minutes: an abbreviation, `+03`, `-0330` or `+05:30`.
fn zone(name: &[u8]) -> i64 {
    let Ok(name) = std::str::from_utf8(name) else { return 0 };
    let (sign, digits) = match name.as_bytes().first() {
        Some(b'+') => (1, &name[1..]),
        Some(b'-') => (-1, &name[1..]),
        _ => return ZONES.iter().find(|(known, _)| *known == name).map_or(0, |(_, minutes)| *minutes),
    };
    let part = |range: std::ops::Range<usize>| digits.get(range).and_then(|part| part.parse::<i64>().ok());
    match digits.len() {
        2 => sign * part(0..2).unwrap_or(0) * 60,
        4 => sign * (part(0..2).unwrap_or(0) * 60 + part(2..4).unwrap_or(0)),
        _ => 0,
    }
}

/// Days from 1970-01-01 to a date (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> Option<i64> {
        time(text.as_bytes()).map(|(us, _)| us)
    }

    #[test]
    fn times_are_the_calendars() {
        for text in ["1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2024-12-31T12:00:00Z", "2100-03-01T00:00:00Z", "1969-12-31T23:59:59Z"]
        {
            let timestamp: jiff::Timestamp = text.parse().unwrap();
            let logged = format!("{} {}.250 UTC", &text[..10], &text[11..19]);
            assert_eq!(us(&logged), Some(timestamp.as_microsecond() + 250_000), "{logged}");
        }
    }

    #[test]
    fn zones_move_the_clock() {
        let utc = us("2026-07-01 12:00:00 UTC").unwrap();
        let hour = 3_600_000_000;
        assert_eq!(us("2026-07-01 14:00:00.000 CEST"), Some(utc));
        assert_eq!(us("2026-07-01 15:00:00 +03"), Some(utc));
        assert_eq!(us("2026-07-01 08:30:00 -0330"), Some(utc));
        assert_eq!(us("2026-07-01 13:00:00 CET"), Some(utc));
        assert_eq!(us("2026-07-01 12:00:00 XYZ"), Some(utc), "an unknown zone counts as UTC");
        assert_eq!(us("2026-07-01 12:00:00 EST").unwrap() - us("2026-07-01 12:00:00 EDT").unwrap(), hour);
    }

    #[test]
    fn how_much_was_read_is_said() {
        assert_eq!(time(b"2026-07-01 12:00:00.123 UTC [7]").map(|(_, length)| length), Some(27));
        assert_eq!(time(b"2026-07-01 12:00:00,x").map(|(_, length)| length), Some(19));
        assert_eq!(epoch(b"1700000000.123 x"), Some((1_700_000_000_123_000, 14)));
        assert_eq!((epoch(b"x"), epoch(b"1234567890123")), (None, None));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "2026", "2026-13-01 00:00:00", "2026-01-01T00:00:00", "2026-01-01 00:61:00", "20x6-01-01 00:00:00"] {
            assert_eq!(us(text), None, "{text}");
        }
    }
}
