//! Columns of a sample, rearranged: without nulls, by rank, cut to patterns.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Letters of a pattern: what people type before they look at the list.
const PATTERN_LETTERS: usize = 3;

/// The longest pattern that is looked for: longer ones find hardly more than one value.
const PATTERN_LETTERS_MAX: usize = 16;

/// Returns the column with every null replaced by the next value there is, so that rows keep their places; nulls where there
/// is none at all.
pub fn present(column: &[Option<String>]) -> Vec<Option<String>> {
    let Some(first) = column.iter().flatten().next() else { return column.to_vec() };
    let mut next = first;
    let mut filled: Vec<Option<String>> = column
        .iter()
        .rev()
        .map(|value| {
            next = value.as_ref().unwrap_or(next);
            Some(next.clone())
        })
        .collect();
    filled.reverse();
    filled
}

/// Returns the column sorted by value: by number or by text, which for dates and times in ISO form is their order.
///
/// Nulls are replaced as [`present`] does. Texts are compared by their bytes, whatever the column's collation.
pub fn ranked(column: &[Option<String>]) -> Vec<Option<String>> {
    let mut sorted = present(column);
    let number = |value: &Option<String>| value.as_deref().and_then(|text| text.parse::<f64>().ok());
    if sorted.iter().all(|value| number(value).is_some()) {
        sorted.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
    } else {
        sorted.sort();
    }
    sorted
}

/// Returns a pattern for each value: its first letters and a `%`. With a `share` (0 to 1) so many letters that a pattern finds
/// nearest to that share of the column, else three.
pub fn beginnings(column: &[Option<String>], share: Option<f64>) -> Vec<Option<String>> {
    let values = present(column);
    let letters = share.map_or(PATTERN_LETTERS, |share| {
        let distance = |letters: usize| (found(&values, letters) / share).ln().abs();
        (1..=PATTERN_LETTERS_MAX).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(PATTERN_LETTERS)
    });
    let pattern = |value: String| escaped(value.chars().take(letters)) + "%";
    values.into_iter().map(|value| value.map(pattern)).collect()
}

/// Returns a few letters from the middle of each value.
pub fn parts(column: &[Option<String>]) -> Vec<Option<String>> {
    let part = |value: String| {
        let skipped = value.chars().count().saturating_sub(PATTERN_LETTERS) / 2;
        escaped(value.chars().skip(skipped).take(PATTERN_LETTERS))
    };
    present(column).into_iter().map(|value| value.map(part)).collect()
}

/// Returns the share of the values that begin as one of them does, on average over all of them.
fn found(values: &[Option<String>], letters: usize) -> f64 {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for value in values.iter().flatten() {
        let end = value.char_indices().nth(letters).map_or(value.len(), |(at, _)| at);
        *counts.entry(&value[..end]).or_default() += 1;
    }
    counts.values().map(|count| (*count as f64 / values.len() as f64).powi(2)).sum()
}

/// Takes the meaning off wild cards.
fn escaped(letters: impl Iterator<Item = char>) -> String {
    letters.flat_map(|letter| matches!(letter, '%' | '_' | '\\').then_some('\\').into_iter().chain([letter])).collect()
}

/// Returns the letters of an array of these values in the server's text format.
pub fn array<'a>(values: impl Iterator<Item = &'a str>) -> impl Iterator<Item = char> {
    let element = |(place, value): (usize, &'a str)| {
        let escaped = value.chars().flat_map(|letter| matches!(letter, '"' | '\\').then_some('\\').into_iter().chain([letter]));
        (place > 0).then_some(',').into_iter().chain(['"']).chain(escaped).chain(['"'])
    };
    std::iter::once('{').chain(values.enumerate().flat_map(element)).chain(['}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[Option<&str>]) -> Vec<Option<String>> {
        values.iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn nulls_give_way_to_the_next_value() {
        assert_eq!(
            present(&column(&[None, Some("a"), None, Some("b"), None])),
            column(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("a")])
        );
        assert_eq!(present(&column(&[None, None])), column(&[None, None]));
        assert!(present(&[]).is_empty());
    }

    #[test]
    fn numbers_are_ranked_as_numbers_and_times_as_times() {
        assert_eq!(
            ranked(&column(&[Some("10"), Some("9"), None, Some("-1.5")])),
            column(&[Some("-1.5"), Some("-1.5"), Some("9"), Some("10")])
        );
        let times = [Some("2024-02-01 00:00:00+00"), Some("2023-12-31 23:59:59+00")];
        assert_eq!(ranked(&column(&times)), column(&[times[1], times[0]]));
    }

    #[test]
    fn patterns_escape_what_the_value_holds_of_wild_cards() {
        assert_eq!(beginnings(&column(&[Some("a%bcd"), Some("")]), None), column(&[Some("a\\%b%"), Some("%")]));
        assert_eq!(parts(&column(&[Some("abcdefg"), Some("é"), None])), column(&[Some("cde"), Some("é"), Some("cde")]));
    }

    #[test]
    fn patterns_are_as_long_as_the_share_they_are_to_find_asks_for() {
        let numbers: Vec<Option<String>> = (100..1000).map(|number| Some(format!("c{number}@x.org"))).collect();
        let first = |share| beginnings(&numbers, Some(share))[0].clone().unwrap_or_default();
        assert_eq!((first(1.0), first(0.11), first(0.011), first(0.0011)), ("c%".into(), "c1%".into(), "c10%".into(), "c100%".into()));
    }

    #[test]
    fn arrays_quote_their_elements() {
        assert_eq!(array(["a", "b\"c\\", ""].into_iter()).collect::<String>(), r#"{"a","b\"c\\",""}"#);
        assert_eq!(array(std::iter::empty()).collect::<String>(), "{}");
    }
}
