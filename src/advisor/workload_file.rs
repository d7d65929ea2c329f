//! Statements a person gives: a file of SQL with names and weights in its comments.
//!
//! A semicolon ends a statement. `-- query: NAME weight=N` before one names it and says how often it runs; other comments say
//! nothing. No server has run them, so their times are 0 and their calls are their weights.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::catalog::Statement;
use crate::sql::pieces::{Kind, pieces};
use crate::sql::split::spans;

/// What begins the comment that names a statement, after its dashes.
const MARK: &str = "query:";

/// The search path of a server's default, under which the statements are read.
const SEARCH_PATH: &str = "\"$user\", public";

/// 6: a millionth of the heaviest statement's calls is nothing.
const WEIGHT_DECIMALS_MAX: usize = 6;

/// 10^12: with all decimals it still is an exact number of calls.
const WEIGHT_MAX: f64 = 1e12;

/// A file that is no list of statements.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}:{line}:{column}: {found}: expected {expected}")]
pub struct WorkloadFileError {
    /// The file, as given.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

/// A statement's name and weight, as its comment has them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    at: usize,
    name: String,
    weight: Weight,
}

/// A decimal number, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weight {
    digits: u64,
    decimals: usize,
}

/// Returns the file's statements in its order; `path` is for errors and for names of those that have none.
///
/// # Errors
/// [`WorkloadFileError`] for a psql command, data, an unfinished quote or bracket, a weight that is no number above 0, a name
/// given twice, a file without statements.
pub fn parse(text: &str, path: &str) -> Result<Vec<Statement>, WorkloadFileError> {
    let error = |(at, found, expected): Refusal| {
        let (line, column) = place(text, at);
        WorkloadFileError { path: path.to_owned(), line, column, found, expected: expected.to_owned() }
    };
    check(text).map_err(error)?;
    let mut read: Vec<(usize, String, Weight, &str)> = Vec::new();
    let mut names = BTreeMap::new();
    let mut before = 0;
    for (from, to) in spans(text) {
        check_statement(text, from, to).map_err(error)?;
        let header = header(text, before, from).map_err(error)?;
        before = to;
        let (at, name, weight) = match header {
            Some(Header { at, name, weight }) => (at, name, weight),
            None => (from, format!("{path}:{}", place(text, from).0), Weight { digits: 1, decimals: 0 }),
        };
        if let Some(first) = names.insert(name.clone(), at) {
            let found = format!("query {name:?}, which stands at line {} already", place(text, first).0);
            return Err(error((at, found, "another name")));
        }
        read.push((at, name, weight, &text[from..to]));
    }
    if let Some(header) = header(text, before, text.len()).map_err(error)? {
        return Err(error((header.at, format!("query {:?} without a statement", header.name), "a statement after it")));
    }
    if read.is_empty() {
        return Err(error((text.len(), "the file's end".to_owned(), "a statement")));
    }
    let calls = calls(&read.iter().map(|(_, _, weight, _)| *weight).collect::<Vec<_>>());
    Ok(read.into_iter().zip(calls).map(|((_, name, _, query), calls)| statement(name, query, calls)).collect())
}

/// Where, what stands there, what should.
type Refusal = (usize, String, &'static str);

/// Refuses what is no SQL.
fn check(text: &str) -> Result<(), Refusal> {
    let pieces = pieces(text);
    for &(kind, start, _) in &pieces {
        if kind == Kind::Sign('\\') {
            let command: String = text[start..].chars().take_while(|c| !c.is_whitespace()).take(20).collect();
            return Err((
                start,
                format!("`{command}`, a psql command"),
                "SQL statements only; write variables out, split files with --workload twice",
            ));
        }
    }
    // What is unfinished swallows a word put behind it.
    let Some(&(kind, start, end)) = pieces.last() else { return Ok(()) };
    let tail = format!("{}\nx", &text[start..end]);
    let closed = crate::sql::pieces::pieces(&tail).last().is_some_and(|&(kind, start, _)| kind == Kind::Word && &tail[start..] == "x");
    match kind {
        Kind::Literal if !closed => Err((start, "a string without an end".to_owned(), "its closing quote")),
        Kind::Name if !closed => Err((start, "a quoted name without an end".to_owned(), "its closing quote")),
        Kind::Blank if !closed => Err((start, "a comment without an end".to_owned(), "`*/`")),
        _ => Ok(()),
    }
}

/// Refuses a stretch that must be several statements, or holds data.
fn check_statement(text: &str, from: usize, to: usize) -> Result<(), Refusal> {
    let mut open = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for (kind, start, end) in pieces(&text[from..to]) {
        match kind {
            Kind::Sign('(') => open.push(start),
            Kind::Sign(')') => _ = open.pop(),
            Kind::Sign(';') if !open.is_empty() => {
                return Err((from + open[0], "a bracket without an end".to_owned(), "`)` before the semicolon"));
            }
            Kind::Blank if mark(&text[from + start..from + end]).is_some() => {
                return Err((from + start, "a query that begins inside another".to_owned(), "`;` after the statement before it"));
            }
            Kind::Word if words.len() < 64 => words.push(text[from + start..from + end].to_lowercase()),
            _ => {}
        }
    }
    if words.first().is_some_and(|word| word == "copy") && words.ends_with(&["from".to_owned(), "stdin".to_owned()]) {
        return Err((from, "COPY … FROM STDIN".to_owned(), "a statement without data of its own"));
    }
    Ok(())
}

/// Returns the last of the comments between two statements that names a query.
fn header(text: &str, from: usize, to: usize) -> Result<Option<Header>, Refusal> {
    let mut header: Option<Header> = None;
    for (_, start, end) in pieces(&text[from..to]).into_iter().filter(|(kind, ..)| *kind == Kind::Blank) {
        let at = from + start;
        let Some(rest) = mark(&text[at..from + end]) else { continue };
        if let Some(first) = &header {
            return Err((first.at, format!("query {:?} without a statement", first.name), "a statement after it"));
        }
        header = Some(named(at, rest)?);
    }
    Ok(header)
}

/// Returns what follows `-- query:` in a comment.
fn mark(comment: &str) -> Option<&str> {
    let comment = comment.strip_prefix("--")?.trim_start_matches('-').trim();
    let (head, rest) = comment.split_at_checked(MARK.len())?;
    head.eq_ignore_ascii_case(MARK).then_some(rest.trim())
}

/// Reads `NAME weight=N`; words with an equals sign are no part of the name.
fn named(at: usize, rest: &str) -> Result<Header, Refusal> {
    let mut name: Vec<&str> = Vec::new();
    let mut weight = None;
    for word in rest.split_whitespace() {
        match word.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("weight") && weight.is_none() => {
                weight = Some(decimal(value).ok_or_else(|| (at, format!("weight={value}"), "a number above 0 with up to 6 decimals"))?);
            }
            Some(_) => return Err((at, format!("`{word}`"), "`-- query: NAME weight=N`")),
            None => name.push(word),
        }
    }
    if name.is_empty() {
        return Err((at, "a query without a name".to_owned(), "`-- query: NAME weight=N`"));
    }
    Ok(Header { at, name: name.join(" "), weight: weight.unwrap_or(Weight { digits: 1, decimals: 0 }) })
}

/// Reads `2`, `0.25`, `.5`.
fn decimal(text: &str) -> Option<Weight> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = part.trim_end_matches('0');
    let is_number = !(whole.is_empty() && part.is_empty()) && whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number || part.len() > WEIGHT_DECIMALS_MAX || text.parse::<f64>().ok()? > WEIGHT_MAX {
        return None;
    }
    let digits = format!("{whole}{part}").parse().ok().filter(|digits| *digits > 0)?;
    Some(Weight { digits, decimals: part.len() })
}

/// Returns whole numbers in the ratio of the weights; the weights themselves where they are whole.
fn calls(weights: &[Weight]) -> Vec<u64> {
    let decimals = weights.iter().map(|weight| weight.decimals).max().unwrap_or(0);
    let scaled = |weight: &Weight| weight.digits.saturating_mul(10u64.pow((decimals - weight.decimals) as u32));
    let common = if decimals == 0 { 1 } else { weights.iter().map(scaled).fold(0, divisor).max(1) };
    weights.iter().map(|weight| scaled(weight) / common).collect()
}

/// The greatest common divisor.
fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Returns line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}

fn statement(name: String, query: &str, calls: u64) -> Statement {
    Statement { query_id: Some(name), ..Statement::given(query, calls, "", SEARCH_PATH) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, calls and text of each statement.
    fn read(text: &str) -> Vec<(String, u64, String)> {
        let statements = parse(text, "w.sql").unwrap_or_else(|error| panic!("{error}"));
        statements.into_iter().map(|read| (read.query_id.unwrap(), read.calls, read.query.unwrap())).collect()
    }

    fn refused(text: &str) -> String {
        parse(text, "w.sql").expect_err("this is refused").to_string()
    }

    #[test]
    fn statements_have_names_and_weights_from_their_comments() {
        let text = "-- A shop.\n-- query: top users weight=20\n/* the first page */\nselect ';', $$a;b$$ -- not; here\nfrom users;\n\n\
                    select E'\\';' ;\n--- Query: q2\nupdate t set a = '-- query: x';";
        let wanted = [
            ("top users", 20, "select ';', $$a;b$$ -- not; here\nfrom users"),
            ("w.sql:7", 1, "select E'\\';'"),
            ("q2", 1, "update t set a = '-- query: x'"),
        ];
        assert_eq!(read(text), wanted.map(|(name, calls, query)| (name.to_owned(), calls, query.to_owned())));
    }

    #[test]
    fn weights_become_calls_in_their_ratio() {
        let calls = |weights: &[&str]| -> Vec<u64> {
            let text: String =
                weights.iter().enumerate().map(|(at, weight)| format!("-- query: q{at} weight={weight}\nselect {at};")).collect();
            read(&text).into_iter().map(|(_, calls, _)| calls).collect()
        };
        assert_eq!(calls(&["10", "20"]), [10, 20]);
        assert_eq!(calls(&["0.5", "2", ".25"]), [2, 8, 1]);
        assert_eq!(calls(&["1.50", "1.000"]), [3, 2]);
    }

    #[test]
    fn what_is_no_list_of_statements_is_refused_with_its_place() {
        for (text, wanted) in [
            ("", "w.sql:1:1: the file's end: expected a statement"),
            ("-- only words\n", "w.sql:2:1: the file's end: expected a statement"),
            ("select 1;\n  \\set a 1\nselect 2;", "w.sql:2:3: `\\set`, a psql command"),
            ("select 'é', \\gset", "w.sql:1:13: `\\gset`, a psql command"),
            ("select 1;\nselect 'a;\n", "w.sql:2:8: a string without an end"),
            ("select \"a", "w.sql:1:8: a quoted name without an end"),
            ("select $x$ a", "w.sql:1:8: a string without an end"),
            ("select 1 /* a", "w.sql:1:10: a comment without an end"),
            ("select (1;\nselect 2);", "w.sql:1:8: a bracket without an end"),
            ("-- query: a\nselect 1\n-- query: b\nselect 2;", "w.sql:3:1: a query that begins inside another: expected `;`"),
            ("-- query: a\n-- query: b\nselect 2;", "w.sql:1:1: query \"a\" without a statement"),
            ("select 1; -- query: b", "w.sql:1:11: query \"b\" without a statement"),
            ("-- query: a\nselect 1;\n-- query: a\nselect 2;", "w.sql:3:1: query \"a\", which stands at line 1 already"),
            ("-- query: a weight=0\nselect 1;", "w.sql:1:1: weight=0: expected a number above 0"),
            ("-- query: a weight=1e3\nselect 1;", "w.sql:1:1: weight=1e3"),
            ("-- query: a weight=-1\nselect 1;", "w.sql:1:1: weight=-1"),
            ("-- query: a wieght=2\nselect 1;", "w.sql:1:1: `wieght=2`: expected `-- query: NAME weight=N`"),
            ("-- query: weight=2\nselect 1;", "w.sql:1:1: a query without a name"),
            ("copy t (a) from stdin;\n1\n", "w.sql:1:1: COPY … FROM STDIN"),
        ] {
            let said = refused(text);
            assert!(said.starts_with(wanted), "{text:?}: {said}");
        }
    }

    #[test]
    fn the_benchmarks_workload_is_read_whole() {
        let read = read(include_str!("../../benches/advisor/tpch.sql"));
        assert_eq!(read.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>(), (1..=22).map(|n| format!("q{n}")).collect::<Vec<_>>());
        assert!(read.iter().all(|(_, calls, query)| *calls == 1 && (query.starts_with("select") || query.starts_with("with"))));
    }

    #[test]
    fn the_last_statement_needs_no_semicolon() {
        assert_eq!(read("select 1;\r\nselect 2 -- end")[1].2, "select 2");
        assert_eq!(read("select 1;;;").len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(-- query: a|weight=1|select|[;'\"$(\\\\)é/*\n -])*") {
            if let Err(error) = parse(&text, "w") {
                proptest::prop_assert!(error.line >= 1 && error.column >= 1);
            }
        }
    }
}
