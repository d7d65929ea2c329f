//! Expressions and predicates as text: the same whoever wrote them.
//!
//! The server prints `((lower((email)::text)))` and `(status = ANY (ARRAY['a'::text]))` where people write `lower(email)` and
//! `status in ('a')`. Comparing such texts needs no grammar, only fewer brackets and casts. What is compared equal here is
//! never more than a hint: at worst a candidate is taken for one that exists.

use std::iter::Peekable;
use std::str::Chars;

use crate::catalog::Table;
use crate::catalog::name::quoted;

/// Casts that the server adds to text and that change no value.
const TEXT_TYPES: &[&str] = &["text", "varchar", "bpchar", "character varying", "character"];

/// Short names of types beside those `format_type` prints.
const TYPE_NAMES: &[(&str, &str)] = &[
    ("int", "integer"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("bool", "boolean"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("decimal", "numeric"),
    ("timestamptz", "timestamp with time zone"),
];

/// Words before a bracket that are no function's name.
const NO_FUNCTION: &[&str] = &["and", "or", "not", "in", "any", "all", "some", "is", "between", "when", "then", "else", "case", "like"];

/// Returns the expression in the form in which equal ones are equal texts.
pub(crate) fn canonical(expression: &str) -> String {
    normalised(expression).join(" ")
}

/// Returns the conjuncts of a predicate, each canonical, in order and each once.
pub(crate) fn conjuncts(predicate: &str) -> Vec<String> {
    let mut found = Vec::new();
    split(normalised(predicate), &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

/// Returns the table's columns that an expression or predicate names, in the table's order.
pub(crate) fn columns<'t>(text: &str, table: &'t Table) -> Vec<&'t str> {
    let words = words(text);
    table.columns.iter().map(|column| column.name.as_str()).filter(|name| words.contains(&quoted(name))).collect()
}

/// Splits a canonical text into its words.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut letters = text.chars().peekable();
    let mut words = Vec::new();
    while let Some(first) = letters.next() {
        match first {
            space if space.is_whitespace() => {}
            '\'' => words.push(format!("'{}'", until_quote(&mut letters, '\'').replace('\'', "''"))),
            '"' => words.push(quoted(&until_quote(&mut letters, '"'))),
            first if first.is_alphanumeric() || first == '_' || first == '$' => {
                let mut word = String::from(first);
                let number = first.is_ascii_digit();
                while let Some(next) = letters.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == '$' || (number && *c == '.')) {
                    word.push(next);
                }
                // E'…' is a literal like any other.
                if word.eq_ignore_ascii_case("e") && letters.peek() == Some(&'\'') {
                    continue;
                }
                words.push(word.to_lowercase());
            }
            ':' => {
                letters.next_if_eq(&':');
                words.push("::".to_owned());
            }
            operator if "+-*/<>=~!@#%^&|?".contains(operator) => {
                let mut word = String::from(operator);
                while let Some(next) = letters.next_if(|c| "+-*/<>=~!@#%^&|?".contains(*c)) {
                    word.push(next);
                }
                words.push(word);
            }
            other => words.push(other.to_string()),
        }
    }
    words
}

fn until_quote(letters: &mut Peekable<Chars<'_>>, quote: char) -> String {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        if letter == quote && letters.next_if_eq(&quote).is_none() {
            break;
        }
        text.push(letter);
    }
    text
}

fn normalised(text: &str) -> Vec<String> {
    let mut words: Vec<String> = words(text).into_iter().map(|word| spelled(&word).to_owned()).collect();
    loop {
        let before = words.len();
        drop_casts(&mut words);
        drop_brackets(&mut words);
        if words.len() == before {
            break;
        }
    }
    list_as_array(&mut words);
    words
}

fn spelled(word: &str) -> &str {
    match word {
        "!=" => "<>",
        "like" => "~~",
        "ilike" => "~~*",
        other => other,
    }
}

/// Drops `::text` and its like everywhere, and any cast of a quoted constant; spells the other types as the server does.
fn drop_casts(words: &mut Vec<String>) {
    let mut at = 0;
    while let Some(cast) = words[at.min(words.len())..].iter().position(|word| word == "::").map(|found| found + at) {
        let two = words.get(cast + 1..cast + 3).map(|pair| pair.join(" ")).unwrap_or_default();
        let one = words.get(cast + 1).cloned().unwrap_or_default();
        let (name, mut length) = match two.as_str() {
            "character varying" | "double precision" => (two, 2),
            _ if one == "timestamp" || one == "time" => {
                let zoned =
                    words.get(cast + 2..cast + 5).is_some_and(|rest| rest.concat() == "withtimezone" || rest.concat() == "withouttimezone");
                (one, if zoned { 4 } else { 1 })
            }
            _ => (one, 1),
        };
        if words.get(cast + 1 + length).is_some_and(|word| word == "(")
            && let Some(end) = words[cast..].iter().position(|word| word == ")")
        {
            length = end;
        }
        let constant = cast > 0 && words[cast - 1].starts_with('\'');
        let array = words.get(cast + 1 + length..cast + 3 + length).is_some_and(|pair| pair.concat() == "[]");
        let end = (cast + 1 + length + if array { 2 } else { 0 }).min(words.len());
        if constant || TEXT_TYPES.contains(&name.as_str()) {
            words.drain(cast..end);
        } else if let Some((_, long)) = TYPE_NAMES.iter().find(|(short, _)| *short == name) {
            words.splice(cast + 1..end, long.split(' ').map(str::to_owned));
        }
        at = if constant { cast } else { cast + 1 };
        if at >= words.len() {
            break;
        }
    }
}

/// Drops brackets around one word, around brackets, and around everything.
fn drop_brackets(words: &mut Vec<String>) {
    let mut open = Vec::new();
    let mut pairs = Vec::new();
    for (at, word) in words.iter().enumerate() {
        match word.as_str() {
            "(" => open.push(at),
            ")" => pairs.extend(open.pop().map(|from| (from, at))),
            _ => {}
        }
    }
    let call = |from: usize| {
        from > 0 && {
            let before = words[from - 1].as_str();
            let word = before.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"');
            word && (!NO_FUNCTION.contains(&before) || matches!(before, "in" | "any" | "all" | "some"))
        }
    };
    let needless = |&&(from, to): &&(usize, usize)| {
        !call(from)
            && (to == from + 2
                || (from == 0 && to + 1 == words.len())
                || (from > 0 && pairs.contains(&(from - 1, to + 1)))
                || is_call_alone(words, from, to))
    };
    if let Some(&(from, to)) = pairs.iter().find(needless) {
        words.remove(to);
        words.remove(from);
        drop_brackets(words);
    }
}

/// Returns whether the brackets hold a function call, or one word and its cast, and nothing else.
fn is_call_alone(words: &[String], from: usize, to: usize) -> bool {
    let inner = &words[from + 1..to];
    if inner.get(1).is_some_and(|word| word == "::")
        && inner[2..].iter().all(|word| !word.starts_with(|c: char| "+-*/<>=~!@#%^&|?:".contains(c)))
    {
        return true;
    }
    let [name, bracket, .., last] = inner else { return false };
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') || bracket != "(" || last != ")" || NO_FUNCTION.contains(&name.as_str()) {
        return false;
    }
    let mut depth = 0_i32;
    inner[1..].iter().enumerate().all(|(at, word)| {
        depth += i32::from(word == "(") - i32::from(word == ")");
        depth > 0 || at + 2 == inner.len()
    })
}

/// Writes `x in (1, 2)` as `x = any (array[1, 2])`, as the server prints it.
fn list_as_array(words: &mut Vec<String>) {
    let Some(at) = words.windows(2).position(|pair| pair[0] == "in" && pair[1] == "(") else { return };
    let Some(end) = words[at..].iter().position(|word| word == ")").map(|end| at + end) else { return };
    words.splice(end..=end, ["]".to_owned(), ")".to_owned()]);
    words.splice(at..=at + 1, ["=", "any", "(", "array", "["].map(str::to_owned));
}

fn split(words: Vec<String>, found: &mut Vec<String>) {
    let mut depth = 0_i32;
    let mut between = false;
    let mut from = 0;
    let mut parts: Vec<Vec<String>> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        depth += i32::from(word == "(" || word == "[") - i32::from(word == ")" || word == "]");
        match word.as_str() {
            "or" if depth == 0 => return found.push(words.join(" ")),
            "between" if depth == 0 => between = true,
            "and" if depth == 0 && between => between = false,
            "and" if depth == 0 => {
                parts.push(words[from..at].to_vec());
                from = at + 1;
            }
            _ => {}
        }
    }
    if from == 0 {
        return found.push(truth(words).join(" "));
    }
    parts.push(words[from..].to_vec());
    for mut part in parts {
        drop_brackets(&mut part);
        split(part, found);
    }
}

/// Writes `flag = true` as `flag`, as the planner reads it.
fn truth(words: Vec<String>) -> Vec<String> {
    match words.as_slice() {
        [flag, equals, value] if equals == "=" && value == "true" => vec![flag.clone()],
        [flag, equals, value] if equals == "=" && value == "false" => vec!["not".to_owned(), flag.clone()],
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_prints_equals_what_people_write() {
        for (server, person) in [
            ("lower((email)::text)", "lower(email)"),
            ("((doc ->> 'k'::text))::integer", "(doc ->> 'k')::int"),
            ("(deleted_at IS NULL)", "deleted_at is null"),
            ("((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))", "status in ('a','b')"),
            ("(NOT archived)", "NOT archived"),
            ("to_tsvector('english'::regconfig, body)", "to_tsvector('english', body)"),
            ("(created_at)::date", "created_at::date"),
            ("((a)::numeric(10,2) * b)", "(a::numeric(10, 2)) * b"),
        ] {
            assert_eq!(conjuncts(server), conjuncts(person));
        }
        assert_ne!(canonical("(a + b) * c"), canonical("a + (b * c)"));
        assert_ne!(canonical("lower(a)"), canonical("upper(a)"));
        assert_ne!(canonical("\"A\""), canonical("a"));
    }

    #[test]
    fn predicates_are_sets_of_conjuncts() {
        assert_eq!(conjuncts("((deleted_at IS NULL) AND (NOT archived))"), ["deleted_at is null", "not archived"]);
        assert_eq!(conjuncts("archived = false and deleted_at is null"), ["deleted_at is null", "not archived"]);
        assert_eq!(conjuncts("a between 1 and 2 and b"), ["a between 1 and 2", "b"]);
        assert_eq!(conjuncts("a or b and c").len(), 1);
    }

    #[test]
    fn odd_texts_end() {
        for text in ["", "::", "(", ")", "((", "a::", "'", "\"", "x in (", "and and", "a::numeric(", "()()", "in ("] {
            let _ = (canonical(text), conjuncts(text));
        }
    }
}
