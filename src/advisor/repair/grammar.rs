//! Places where the grammar takes a constant and no parameter: `interval $1`, `date $1`, `extract($1 from x)`.

use super::text::{Edit, Text};
use crate::catalog::name;
use crate::sql::pieces::Kind;

/// Types written before their constant.
#[rustfmt::skip]
const TYPES: &[&str] = &["date", "interval", "time", "timestamp", "timestamptz", "timetz"];

/// What may follow the constant of an interval.
const UNITS: &[&str] = &["year", "month", "day", "hour", "minute", "second"];

/// First words of statements that can be prepared.
const QUERIES: &[&str] = &["select", "with", "insert", "update", "delete", "merge", "values", "table"];

/// Returns the edits that make the whole text grammatical: none of the forms is valid anywhere, so all go at once.
pub(super) fn repair(text: &Text<'_>, at: Option<usize>) -> Vec<Edit> {
    let mut edits: Vec<Edit> = wrapping(text);
    for at in 0..text.tokens.len() {
        if text.is_any(at, TYPES) {
            edits.extend(typed(text, at));
        } else if text.is_word(at, "extract") && text.is_sign(at + 1, '(') && text.is_parameter(at + 2) && text.is_word(at + 3, "from") {
            edits.push(text.replace(at, at + 4, format!("date_part({},", text.spelled(at + 2))));
        } else {
            edits.extend(glued(text, at));
        }
    }
    if edits.is_empty() { at.and_then(|at| other_type(text, at)).into_iter().collect() } else { edits }
}

/// `interval $1`, `interval(3) $1`, `timestamp with time zone $1`, `interval $1 day to second`.
fn typed(text: &Text<'_>, at: usize) -> Option<Edit> {
    let mut parameter = at + 1;
    if text.is_sign(parameter, '(') {
        parameter = text.closing(parameter)? + 1;
    }
    if text.is_any(parameter, &["with", "without"]) && text.is_word(parameter + 1, "time") && text.is_word(parameter + 2, "zone") {
        parameter += 3;
    }
    if !text.is_parameter(parameter) {
        return None;
    }
    let mut end = parameter + 1;
    if text.is_word(at, "interval") && text.is_any(end, UNITS) {
        end += 1;
        if text.is_word(end, "to") && text.is_any(end + 1, UNITS) {
            end += 2;
        }
        // The precision of its seconds.
        if text.is_word(end - 1, "second") && text.is_sign(end, '(') {
            end = text.closing(end)? + 1;
        }
    }
    let name: Vec<&str> = (at..parameter).map(|at| text.spelled(at)).collect();
    Some(text.replace(at, end, format!("{}::{}", text.spelled(parameter), name.join(" "))))
}

/// `inet $1`, `double precision $1`, `app.state $1`: any type's name may stand before a constant, so only the one complained of.
fn other_type(text: &Text<'_>, at: usize) -> Option<Edit> {
    let last = at.checked_sub(1)?;
    if !text.is_parameter(at) || !is_type_name(text, last) {
        return None;
    }
    let mut first = last;
    if text.is_any(last, &["precision", "varying"]) {
        first = last.checked_sub(1)?;
    }
    while first >= 2 && text.is_sign(first - 1, '.') {
        first -= 2;
    }
    let name: String = (first..at).map(|at| text.spelled(at)).collect::<Vec<_>>().join(if first + 2 == at { " " } else { "" });
    Some(text.replace(first, at + 1, format!("{}::{name}", text.spelled(at))))
}

/// Types whose names are keywords, and names that are no keywords.
fn is_type_name(text: &Text<'_>, at: usize) -> bool {
    #[rustfmt::skip]
    const KEYWORDS: &[&str] = &[
        "bigint", "bit", "boolean", "char", "character", "dec", "decimal", "float", "int", "integer", "json", "nchar", "numeric", "precision", "real",
        "smallint", "varchar", "varying",
    ];
    match text.tokens[at].kind {
        Kind::Name => true,
        Kind::Word => text.is_any(at, KEYWORDS) || name::quoted(&text.spelled(at).to_lowercase()) == text.spelled(at).to_lowercase(),
        _ => false,
    }
}

/// `interval$1` was `interval'1 day'`, `like$1` was `like'x%'`, and `$1and` was `'x'and`.
fn glued(text: &Text<'_>, at: usize) -> Option<Edit> {
    let token = text.tokens[at];
    if token.kind == Kind::Parameter && text.is_glued(at) && text.tokens[at + 1].kind == Kind::Word {
        return Some(Edit { start: token.end, end: token.end, text: " ".into() });
    }
    let (word, rest) = text.spelled(at).split_once('$').filter(|_| token.kind == Kind::Word)?;
    let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    if number.is_empty() || !(after.is_empty() || is_keyword(after)) {
        return None;
    }
    if TYPES.contains(&word.to_lowercase().as_str()) {
        return Some(text.replace(at, at + 1, format!("${number}::{word} {after}")));
    }
    is_keyword(word).then(|| text.replace(at, at + 1, format!("{word} ${number} {after}")))
}

fn is_keyword(word: &str) -> bool {
    let lower = word.to_lowercase();
    !lower.is_empty() && name::quoted(&lower) != lower && lower.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// `DECLARE c CURSOR FOR …`, `EXPLAIN (…) …`, `CREATE TABLE t AS …`, `COPY (…) TO STDOUT`: what is around the query goes.
fn wrapping(text: &Text<'_>) -> Vec<Edit> {
    let end = text.tokens.len();
    let query = |wanted: &dyn Fn(usize) -> bool| {
        let mut at = 0;
        while at < end {
            if wanted(at) {
                return Some(at);
            }
            at = if text.is_sign(at, '(') { text.closing(at).unwrap_or(end) } else { at } + 1;
        }
        None
    };
    let found = match text.spelled(0).to_lowercase().as_str() {
        "declare" => query(&|at| text.is_word(at, "for")).map(|at| (at + 1, end)),
        "explain" | "prepare" => query(&|at| text.is_any(at, QUERIES)).map(|at| (at, end)),
        "create" => query(&|at| text.is_word(at, "as")).map(|at| (at + 1, end)),
        "copy" if text.is_sign(1, '(') => text.closing(1).map(|close| (2, close)),
        _ => None,
    };
    match found {
        Some((from, to)) if from < to && (text.is_any(from, QUERIES) || text.is_sign(from, '(')) => {
            let (begin, last) = (text.tokens[from].start, text.tokens[to - 1].end);
            let mut edits = vec![Edit { start: 0, end: begin, text: String::new() }];
            if to < end {
                edits.push(Edit { start: last, end: text.tokens[end - 1].end, text: String::new() });
            }
            edits
        }
        _ => Vec::new(),
    }
}
