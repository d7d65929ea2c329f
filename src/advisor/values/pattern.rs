//! Patterns made of values a column has.

use super::context::Hint;
use super::distribution::Distribution;
use super::draw::evenly;

/// 3 letters: about what is typed before a search field begins to search, and what a trigram needs.
const LETTERS: usize = 3;

/// Returns patterns for `LIKE`, `ILIKE` and regular expressions: from the start of a value, or for a part of it.
///
/// A pattern given as a parameter may be either, and no statistics tell which: `LIKE` is taken mostly for a beginning, `ILIKE`
/// mostly for a part.
pub(super) fn draws(distribution: &Distribution, hint: Option<Hint>) -> Vec<(String, f64)> {
    if distribution.is_empty() {
        return Vec::new();
    }
    let rare = if distribution.bounds.is_empty() { distribution.len() - 1 } else { distribution.place(0.5) };
    let begins = |place: usize| beginning(distribution.known(place));
    let values = [begins(0), begins(rare), begins(distribution.len() / 3)];
    let [common, rare, middle] = match hint {
        Some(Hint::Fragment) => values,
        Some(Hint::Regular) => values.map(|text| format!("^{}", escaped(&text, "\\^$.[]()*+?{}|"))),
        Some(Hint::Ilike) => part_from(values, &[true, false, true]),
        _ => part_from(values, &[false, false, true]),
    };
    evenly([common, rare, middle])
}

fn part_from(values: [String; 3], parts: &[bool; 3]) -> [String; 3] {
    let mut parts = parts.iter();
    values.map(|text| {
        let text = escaped(&text, "\\%_");
        if parts.next() == Some(&true) { format!("%{text}%") } else { format!("{text}%") }
    })
}

/// Returns the first letters of a value; at least one is left away where there are several, since nobody types all.
fn beginning(value: &str) -> String {
    let count = value.chars().count();
    value.chars().take(LETTERS.min(count.saturating_sub(1)).max(1)).collect()
}

fn escaped(text: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if special.contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
