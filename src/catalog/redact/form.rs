//! How the server writes values: read apart and put together again.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

/// 86 400 s in microseconds.
pub(super) const DAY_US: i128 = 86_400_000_000;

/// Reads `2024-01-31` as days since 1970.
pub(super) fn days(text: &str) -> Option<i128> {
    let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
    let since = Date::constant(1970, 1, 1).until((Unit::Day, date)).ok()?;
    Some(i128::from(since.get_days()))
}

/// Writes days since 1970 as the server does.
pub(super) fn date(days: i128) -> Option<String> {
    let at = Timestamp::from_microsecond(i64::try_from(days * DAY_US).ok()?).ok()?;
    Some(TimeZone::UTC.to_datetime(at).date().to_string())
}

/// Reads a moment as microseconds since 1970 (without a zone: as if in UTC), and whether it had a zone.
pub(super) fn moment(text: &str) -> Option<(i128, bool)> {
    if text.len() < 16 || !text.contains(':') {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some((i128::from(at.as_microsecond()), true));
    }
    // A zone may follow the time only: the date has hyphens of its own.
    let zoned = text.get(11..)?.contains(['+', '-', 'Z', 'z', '[']);
    let at: DateTime = text.parse().ok().filter(|_| !zoned)?;
    Some((i128::from(at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond()), false))
}

/// Writes a moment as the server does.
pub(super) fn timestamp(us: i128, zoned: bool) -> Option<String> {
    let at = TimeZone::UTC.to_datetime(Timestamp::from_microsecond(i64::try_from(us).ok()?).ok()?);
    let zone = if zoned { "+00" } else { "" };
    Some(format!("{} {}{zone}", at.date(), clock_text(us.rem_euclid(DAY_US))))
}

/// Reads `09:30:00.5` as microseconds.
pub(super) fn clock(text: &str) -> Option<i128> {
    if text == "24:00:00" {
        return Some(DAY_US);
    }
    let time: Time = text.parse().ok().filter(|_| text.contains(':'))?;
    let seconds = i128::from(time.hour()) * 3600 + i128::from(time.minute()) * 60 + i128::from(time.second());
    Some(seconds * 1_000_000 + i128::from(time.subsec_nanosecond() / 1000))
}

/// Writes a time of day as the server does.
pub(super) fn clock_text(us: i128) -> String {
    let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 { whole } else { format!("{whole}.{fraction:06}").trim_end_matches('0').to_owned() }
}

/// Returns whether the text is a length of time (`7 days`, `1 mon 02:00:00`), which says nothing of a row.
pub(super) fn is_interval(text: &str) -> bool {
    const UNITS: [&str; 12] =
        ["microsecond", "millisecond", "second", "sec", "minute", "min", "hour", "day", "week", "mon", "month", "year"];
    let mut units = 0;
    let fits = text.split_whitespace().all(|word| {
        let unit = UNITS.contains(&word.to_ascii_lowercase().trim_end_matches('s'));
        units += usize::from(unit);
        unit || word.parse::<f64>().is_ok() || clock(word.trim_start_matches('-')).is_some()
    });
    fits && units > 0
}

/// An array read from its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// `NULL`.
    Null,
    /// An element.
    Value(String),
    /// An array, or an inner one.
    List(Vec<Item>),
}

/// Reads `{a,"b c",{NULL}}`; bounds (`[2:3]=`) are not read.
pub(super) fn array(text: &str) -> Option<Item> {
    let mut letters = text.chars().peekable();
    let item = list(&mut letters, 0)?;
    letters.next().is_none().then_some(item)
}

fn list(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, depth: u8) -> Option<Item> {
    if depth > 6 || letters.next()? != '{' {
        return None;
    }
    let mut items = Vec::new();
    if letters.next_if_eq(&'}').is_some() {
        return Some(Item::List(items));
    }
    loop {
        items.push(if letters.peek() == Some(&'{') { list(letters, depth + 1)? } else { element(letters)? });
        match letters.next()? {
            ',' => {}
            '}' => return Some(Item::List(items)),
            _ => return None,
        }
    }
}

fn element(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Item> {
    let mut value = String::new();
    if letters.next_if_eq(&'"').is_some() {
        loop {
            match letters.next()? {
                '"' => return Some(Item::Value(value)),
                '\\' => value.push(letters.next()?),
                letter => value.push(letter),
            }
        }
    }
    while let Some(letter) = letters.next_if(|letter| !matches!(letter, ',' | '}' | '{' | '"')) {
        if letter == '\\' { value.push(letters.next()?) } else { value.push(letter) }
    }
    Some(if value.eq_ignore_ascii_case("null") { Item::Null } else { Item::Value(value) })
}

/// Writes an array, every element in quotes.
pub(super) fn array_text(item: &Item) -> String {
    match item {
        Item::Null => "NULL".to_owned(),
        Item::Value(value) => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        Item::List(items) => format!("{{{}}}", items.iter().map(array_text).collect::<Vec<_>>().join(",")),
    }
}

/// A range read from its text: its bounds with their brackets; `None` for a bound without an end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// `[` or `(`.
    pub(super) open: char,
    /// The lower bound.
    pub(super) lower: Option<String>,
    /// The upper bound.
    pub(super) upper: Option<String>,
    /// `]` or `)`.
    pub(super) close: char,
}

/// Reads `[1,10)`; not `empty`.
pub(super) fn range(text: &str) -> Option<Range> {
    let open = text.chars().next().filter(|letter| matches!(letter, '[' | '('))?;
    let close = text.chars().next_back().filter(|letter| matches!(letter, ']' | ')'))?;
    let inside = text.get(1..text.len() - 1)?;
    // As an array's elements are written, so are bounds: quotes and backslashes are the same.
    let mut letters = inside.chars().peekable();
    let mut bound = || -> Option<Option<String>> {
        if matches!(letters.peek(), None | Some(',')) {
            letters.next();
            return Some(None);
        }
        let value = match element(&mut letters)? {
            Item::Value(value) => value,
            Item::Null | Item::List(_) => return None,
        };
        matches!(letters.next(), None | Some(',')).then_some(Some(value))
    };
    let (lower, upper) = (bound()?, bound()?);
    Some(Range { open, lower, upper, close })
}

/// Writes a range, its bounds in quotes.
pub(super) fn range_text(range: &Range) -> String {
    let bound = |value: &Option<String>| value.as_ref().map_or_else(String::new, |value| format!("\"{value}\""));
    format!("{}{},{}{}", range.open, bound(&range.lower), bound(&range.upper), range.close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_moments_and_clocks_are_read_and_written_alike() {
        for text in ["1969-12-31", "2024-02-29", "0001-01-01"] {
            assert_eq!(date(days(text).unwrap()).as_deref(), Some(text));
        }
        for text in ["2024-01-01 00:00:00", "1999-12-31 23:59:59.5", "2024-01-01 00:00:00+00", "1960-05-06 07:08:09.000001+00"] {
            let (us, zoned) = moment(text).unwrap();
            assert_eq!(timestamp(us, zoned).as_deref(), Some(text));
        }
        assert_eq!(moment("2024-01-01 02:00:00+02"), moment("2024-01-01 00:00:00+00"));
        for text in ["00:00:00", "09:30:00.25", "24:00:00"] {
            assert_eq!(clock_text(clock(text).unwrap()), text);
        }
        assert!(days("0044-03-15 BC").is_none() && moment("infinity").is_none() && moment("2024-01-01").is_none());
    }

    #[test]
    fn lengths_of_time_are_told_from_texts() {
        assert!(["7 days", "1 mon 02:00:00", "-3 hours", "1 year 2 mons"].into_iter().all(is_interval));
        assert!(!["days of thunder", "7", "12:00:00", "second hand 7", ""].into_iter().any(is_interval));
    }

    #[test]
    fn arrays_and_ranges_are_read_and_written_again() {
        let text = r#"{"a","b c","q\"\\",NULL,{"1"}}"#;
        assert_eq!(array_text(&array(text).unwrap()), text);
        assert_eq!(array_text(&array("{a,b c,null,{}}").unwrap()), r#"{"a","b c",NULL,{}}"#);
        assert!(["{", "{a", "a}", "{a}}", "[2:3]={1,2}", "{\"", ""].iter().all(|text| array(text).is_none()));
        for (text, wanted) in [("[1,10)", "[\"1\",\"10\")"), ("(,)", "(,)"), ("[\"a b\",)", "[\"a b\",)")] {
            assert_eq!(range(text).map(|range| range_text(&range)).as_deref(), Some(wanted));
        }
        assert!(range("empty").is_none() && range("").is_none());
    }
}
