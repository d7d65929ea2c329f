//! Columns of a sample, rearranged: without nulls, by rank, cut to patterns.

use std::cmp::Ordering;

use crate::replay::workload::Cut;

/// Letters of a pattern: what people type before they look at the list.
const PATTERN_LETTERS: usize = 3;

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

/// Returns what a pattern keeps of a value; wild cards within it are escaped.
pub fn cut(value: &str, cut: Cut) -> String {
    let letters = value.chars().count();
    let skipped = match cut {
        Cut::Begins => 0,
        Cut::Part => letters.saturating_sub(PATTERN_LETTERS) / 2,
    };
    let mut pattern = String::with_capacity(2 * PATTERN_LETTERS + 1);
    for letter in value.chars().skip(skipped).take(PATTERN_LETTERS) {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    if cut == Cut::Begins {
        pattern.push('%');
    }
    pattern
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
        assert_eq!(cut("a%bcd", Cut::Begins), "a\\%b%");
        assert_eq!(cut("abcdefg", Cut::Part), "cde");
        assert_eq!((cut("", Cut::Begins).as_str(), cut("é", Cut::Part).as_str()), ("%", "é"));
    }

    #[test]
    fn arrays_quote_their_elements() {
        assert_eq!(array(["a", "b\"c\\", ""].into_iter()).collect::<String>(), r#"{"a","b\"c\\",""}"#);
        assert_eq!(array(std::iter::empty()).collect::<String>(), "{}");
    }
}
