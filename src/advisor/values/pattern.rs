//! Patterns made of values a column has.

use super::context::Hint;
use super::distribution::Distribution;
use super::draw::evenly;

/// 3 letters: about what is typed before a search field begins to search, and what a trigram needs.
const LETTERS: usize = 3;

/// What nearly all values begin with says nothing: nobody types it to find one of them. `https://www.`, `INV-2024-`.
const SHARED_MIN: f64 = 0.9;

/// Returns patterns for `LIKE`, `ILIKE` and regular expressions: from the start of a value, or for a part of it.
///
/// A pattern given as a parameter may be either, and no statistics tell which: `LIKE` is taken mostly for a beginning, `ILIKE`
/// mostly for a part.
pub(super) fn draws(distribution: &Distribution, hint: Option<Hint>) -> Vec<(String, f64)> {
    if distribution.is_empty() {
        return Vec::new();
    }
    let rare = if distribution.bounds.is_empty() { distribution.len() - 1 } else { distribution.place(0.5) };
    let values = [0, rare, distribution.len() / 3].map(|place| Beginning::of(distribution, place));
    let [common, rare, middle] = match hint {
        Some(Hint::Fragment) => values.map(|value| value.whole()),
        Some(Hint::Regular) => values.map(|value| format!("^{}", escaped(&value.whole(), "\\^$.[]()*+?{}|"))),
        Some(Hint::Ilike) => part_from(values, &[true, false, true]),
        _ => part_from(values, &[false, false, true]),
    };
    evenly([common, rare, middle])
}

fn part_from(values: [Beginning; 3], parts: &[bool; 3]) -> [String; 3] {
    let mut parts = parts.iter();
    values.map(|value| match parts.next() {
        Some(true) => format!("%{}%", escaped(&value.own, "\\%_")),
        _ => format!("{}%", escaped(&value.whole(), "\\%_")),
    })
}

/// How a value begins.
#[derive(Debug)]
struct Beginning {
    /// As nearly all do.
    shared: String,
    /// The letters after that.
    own: String,
}

impl Beginning {
    /// Takes the first letters of a known value; at least one is left away where there are several, since nobody types all.
    fn of(distribution: &Distribution, place: usize) -> Self {
        let value = distribution.known(place);
        let many = |beginning: &str| {
            let alike = (0..distribution.len()).filter(|other| distribution.known(*other).starts_with(beginning)).count();
            distribution.len() > 1 && alike as f64 >= SHARED_MIN * distribution.len() as f64
        };
        let ends = value.char_indices().map(|(at, letter)| at + letter.len_utf8());
        let shared = ends.take_while(|end| many(&value[..*end])).last().unwrap_or(0);
        // The last letter of a value that is all shared is still its own.
        let shared = if shared == value.len() { 0 } else { shared };
        let rest = &value[shared..];
        let count = rest.chars().count();
        let own = rest.chars().take(LETTERS.min(count.saturating_sub(1)).max(1)).collect();
        Self { shared: value[..shared].to_owned(), own }
    }

    fn whole(&self) -> String {
        format!("{}{}", self.shared, self.own)
    }
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
