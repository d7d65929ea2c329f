//! What the text around a parameter says of its value, where no column does.

use std::collections::BTreeMap;

use super::bind::number;
use crate::sql::pieces::{Kind, pieces};

/// What a parameter must look like for the statement to be plannable, or to mean what it meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// This text, whatever else is known.
    Value(&'static str),
    /// `interval $1 day`: a number of these.
    Unit(&'static str),
    /// `LIKE $1`: a pattern from the start of the value on.
    Like,
    /// `ILIKE $1`: mostly a pattern for a part.
    Ilike,
    /// `~ $1`: a regular expression.
    Regular,
    /// `LIKE '%' || $1`: a part of a pattern without wild cards.
    Fragment,
    /// `LIMIT $1`.
    Limit,
    /// `OFFSET $1`.
    Offset,
}

/// An open bracket: what was called, which argument this is.
struct Call {
    name: String,
    place: usize,
}

/// Returns what is said of each parameter.
pub(crate) fn hints(text: &str) -> BTreeMap<u32, Hint> {
    let tokens: Vec<(Kind, &str)> =
        pieces(text).into_iter().filter(|(kind, ..)| *kind != Kind::Blank).map(|(kind, start, end)| (kind, &text[start..end])).collect();
    let mut hints = BTreeMap::new();
    let mut calls: Vec<Call> = Vec::new();
    for (at, (kind, spelled)) in tokens.iter().enumerate() {
        match kind {
            Kind::Sign('(' | '[') => {
                let name = at.checked_sub(1).map_or("", |before| tokens[before].1).to_lowercase();
                calls.push(Call { name, place: 0 });
            }
            Kind::Sign(')' | ']') => _ = calls.pop(),
            Kind::Sign(',') => {
                if let Some(call) = calls.last_mut() {
                    call.place += 1;
                }
            }
            Kind::Parameter => {
                let call = calls.last().map(|call| (call.name.as_str(), call.place));
                if let Some(number) = number(spelled)
                    && let Some(hint) = around(&tokens, at).or_else(|| call.and_then(|(name, place)| argument(name, place)))
                {
                    hints.insert(number, hint);
                }
            }
            _ => {}
        }
    }
    hints
}

/// What the words and signs beside the parameter say.
fn around(tokens: &[(Kind, &str)], at: usize) -> Option<Hint> {
    let word =
        |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at)).map_or_else(String::new, |(_, spelled)| spelled.to_lowercase());
    let next = |ahead: usize| tokens.get(at + ahead).map_or_else(String::new, |(_, spelled)| spelled.to_lowercase());
    // `|` twice on either side is a concatenation.
    let joined = (word(1) == "|" && word(2) == "|") || (next(1) == "|" && next(2) == "|");
    let pattern = || (2..8).map(word).any(|word| word == "like" || word == "ilike");
    match word(1).as_str() {
        "like" | "ilike" if joined => Some(Hint::Fragment),
        _ if joined && pattern() => Some(Hint::Fragment),
        "like" => Some(Hint::Like),
        "ilike" => Some(Hint::Ilike),
        "~" => Some(Hint::Regular),
        "*" if word(2) == "~" => Some(Hint::Regular),
        "limit" => Some(Hint::Limit),
        "first" | "next" if word(2) == "fetch" => Some(Hint::Limit),
        "offset" => Some(Hint::Offset),
        "zone" if word(2) == "time" && word(3) == "at" => Some(Hint::Value("UTC")),
        "interval" => unit(&next(1)).map(Hint::Unit),
        "escape" => Some(Hint::Value("\\")),
        _ => None,
    }
}

fn unit(word: &str) -> Option<&'static str> {
    ["year", "month", "day", "hour", "minute", "second"].into_iter().find(|unit| *unit == word)
}

/// What the function says whose argument the parameter is.
fn argument(name: &str, place: usize) -> Option<Hint> {
    let value = match (name, place) {
        ("date_trunc" | "date_part" | "extract", 0) => "day",
        ("timezone", 0) | ("date_trunc", 2) => "UTC",
        ("encode" | "decode", 1) => "hex",
        ("convert_from" | "convert_to" | "convert", 1) => "UTF8",
        ("to_char", 1) | ("to_date" | "to_timestamp", 1) => "YYYY-MM-DD",
        ("to_date" | "to_timestamp", 0) => "2024-01-01",
        ("regexp_replace", 3) | ("regexp_matches" | "regexp_match" | "regexp_split_to_array" | "regexp_split_to_table", 2) => "g",
        ("percentile_cont" | "percentile_disc", _) => "0.5",
        ("digest", 1) => "md5",
        ("gen_salt", 0) => "bf",
        ("to_tsquery" | "plainto_tsquery" | "phraseto_tsquery" | "websearch_to_tsquery" | "to_tsvector", 0 | 1) => "simple",
        ("string_to_array" | "split_part" | "array_to_string", 1) => ",",
        _ => return None,
    };
    Some(Hint::Value(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_around_a_parameter_says_what_it_is() {
        let hints = hints(
            "select date_trunc($1, a), extract($2 from a), (f(g($3), $4)) from t where a > interval $5 day and a at time zone $6 > b \
             and c like $7 and c ilike $8 and c ~* $9 and c like $10 || $11 and c ilike $14 || c || $15 limit $12 offset $13",
        );
        let found: Vec<(u32, Hint)> = hints.into_iter().collect();
        assert_eq!(
            found,
            [
                (1, Hint::Value("day")),
                (2, Hint::Value("day")),
                (5, Hint::Unit("day")),
                (6, Hint::Value("UTC")),
                (7, Hint::Like),
                (8, Hint::Ilike),
                (9, Hint::Regular),
                (10, Hint::Fragment),
                (11, Hint::Fragment),
                (12, Hint::Limit),
                (13, Hint::Offset),
                (14, Hint::Fragment),
                (15, Hint::Fragment),
            ]
        );
    }

    #[test]
    fn brackets_without_partners_confuse_nothing() {
        assert_eq!(hints("))) date_trunc($1"), BTreeMap::from([(1, Hint::Value("day"))]));
        assert!(hints("((( $1 , ) ] $2").is_empty());
    }
}
