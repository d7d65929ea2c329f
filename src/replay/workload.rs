//! A workload file: which statements, how often, with which parameters.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use crate::replay::arg::{ArgSpec, Scalar};
use crate::replay::derived::{Derived, Recorded};
use crate::replay::statement;
use crate::replay::transaction::{self, RawInline, RawTransaction, TransactionSpec};

/// Rows of a sample when the file names no number.
const DEFAULT_ROWS: usize = 1000;

/// Statements with weights and parameters.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name; runs of the same name are compared.
    pub name: String,
    /// What it stands for.
    pub description: String,
    /// The rows parameters come from, in order of name.
    pub samples: Vec<SampleSpec>,
    /// The statements, in the file's order; those written inside transactions follow.
    pub statements: Vec<StatementSpec>,
    /// The transactions, in the file's order.
    pub transactions: Vec<TransactionSpec>,
    /// What it was derived from; `None` when a person wrote it.
    pub derived: Option<Derived>,
    /// The file's text, kept with every run.
    pub text: String,
}

/// Rows to draw from a table once, before the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleSpec {
    /// Its name within the workload.
    pub name: String,
    /// The table, as SQL would spell it.
    pub table: String,
    /// The columns, as the catalog stores their names.
    pub columns: Vec<String>,
    /// How many rows at most.
    pub rows: usize,
}

/// A statement of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementSpec {
    /// Its name in the results.
    pub name: String,
    /// How often it is called on its own, relative to the others and to the transactions.
    pub weight: f64,
    /// Its text with `$1`, `$2`, …
    pub sql: String,
    /// One argument per parameter.
    pub args: Vec<Arg>,
    /// Whether a read-only transaction would refuse it.
    pub writes: bool,
    /// What the server it was derived from recorded of it.
    pub recorded: Option<Recorded>,
}

/// An argument whose names have been resolved.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// A column of the call's row of a sample, both by position.
    Column {
        /// Index in [`Workload::samples`].
        sample: usize,
        /// Index in [`SampleSpec::columns`].
        column: usize,
    },
    /// Such a column with a span added.
    Shift {
        /// Index in [`Workload::samples`].
        sample: usize,
        /// Index in [`SampleSpec::columns`].
        column: usize,
        /// What is added.
        by: jiff::SpanFieldwise,
    },
    /// The time the samples were taken plus a span.
    Now(jiff::SpanFieldwise),
    /// Random lower-case letters, this many.
    Text(usize),
    /// One of these, evenly.
    Choice(Vec<Scalar>),
    /// A whole number within these bounds, evenly.
    Int(i64, i64),
    /// A random version 4 UUID.
    Uuid,
    /// Always this.
    Value(Scalar),
    /// A column's value that is not null, of a row behind the call's own.
    Present {
        /// Index in [`Workload::samples`].
        sample: usize,
        /// Index in [`SampleSpec::columns`].
        column: usize,
        /// How many rows behind.
        row: u32,
    },
    /// An array of values of a column that are not null, from the call's row on.
    Any {
        /// Index in [`Workload::samples`].
        sample: usize,
        /// Index in [`SampleSpec::columns`].
        column: usize,
        /// How many.
        of: u32,
    },
    /// A value whose rank among those of a column lies between these, 0 to 1.
    Rank {
        /// Index in [`Workload::samples`].
        sample: usize,
        /// Index in [`SampleSpec::columns`].
        column: usize,
        /// The lowest rank.
        from: f64,
        /// The highest.
        to: f64,
    },
    /// A pattern for values that begin as a column's value does.
    Begins {
        /// Index in [`Workload::samples`].
        sample: usize,
        /// Index in [`SampleSpec::columns`].
        column: usize,
        /// The share of the rows it is to find, 0 to 1.
        share: Option<f64>,
    },
    /// A part of a column's value, without wild cards.
    Part {
        /// Index in [`Workload::samples`].
        sample: usize,
        /// Index in [`SampleSpec::columns`].
        column: usize,
    },
}

/// Why a text is no workload, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct WorkloadError {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong and what was expected.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWorkload {
    name: Spanned<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    samples: BTreeMap<String, Spanned<RawSample>>,
    statements: Option<Spanned<Vec<Spanned<RawStatement>>>>,
    transactions: Option<Spanned<Vec<Spanned<RawTransaction>>>>,
    derived: Option<Derived>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSample {
    table: String,
    columns: Vec<String>,
    rows: Option<Spanned<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatement {
    name: Spanned<String>,
    weight: Option<Spanned<f64>>,
    sql: Spanned<String>,
    #[serde(default)]
    args: Vec<Spanned<ArgSpec>>,
    recorded: Option<Recorded>,
}

/// A message and where it belongs.
type Located = (Location, String);

impl Workload {
    /// Reads a workload; `file` is only for messages.
    ///
    /// # Errors
    /// [`WorkloadError`] with line, column, and what was expected.
    pub fn parse(text: &str, file: &str) -> Result<Self, WorkloadError> {
        let located = |location: Location, message: String| WorkloadError {
            file: file.to_owned(),
            line: location.line().max(1),
            column: location.column().max(1),
            message,
        };
        let raw: RawWorkload = serde_saphyr::from_str(text).map_err(|error| {
            let location = error.location().unwrap_or(Location::UNKNOWN);
            located(location, without_place(&error.without_snippet().to_string(), location))
        })?;
        Self::check(raw, text).map_err(|(location, message)| located(location, message))
    }

    /// Returns the sum of all weights, without those of what writes when `reads_only`.
    pub fn weight(&self, reads_only: bool) -> f64 {
        let statements = self.statements.iter().filter(|statement| !(reads_only && statement.writes)).map(|statement| statement.weight);
        let kept = |transaction: &&TransactionSpec| !(reads_only && transaction.writes(&self.statements));
        statements.sum::<f64>() + self.transactions.iter().filter(kept).map(|transaction| transaction.weight).sum::<f64>()
    }

    /// Returns how often a statement is sent, on its own and in transactions, relative to the others.
    pub fn frequency(&self, statement: usize) -> f64 {
        let within = |transaction: &TransactionSpec| {
            transaction.weight * transaction.statements().filter(|index| *index == statement).count() as f64
        };
        self.statements[statement].weight + self.transactions.iter().map(within).sum::<f64>()
    }

    fn check(raw: RawWorkload, text: &str) -> Result<Self, Located> {
        if raw.name.value.trim().is_empty() {
            return Err((raw.name.referenced, "name: expected a word".to_owned()));
        }
        let mut samples = Vec::with_capacity(raw.samples.len());
        for (name, spanned) in raw.samples {
            let place = spanned.referenced;
            let RawSample { table, columns, rows } = spanned.value;
            if name.contains('.') {
                return Err((place, format!("sample {name:?}: a sample's name cannot contain a dot")));
            }
            if columns.is_empty() {
                return Err((place, format!("sample {name:?}: expected at least one column")));
            }
            if let Some(rows) = rows.as_ref().filter(|rows| !(1..=1_000_000).contains(&rows.value)) {
                return Err((rows.referenced, format!("rows: expected 1 to 1000000, found {}", rows.value)));
            }
            samples.push(SampleSpec { name, table, columns, rows: rows.map_or(DEFAULT_ROWS, |rows| rows.value) });
        }
        let Some(place) = raw.statements.as_ref().map(|all| all.referenced).or(raw.transactions.as_ref().map(|all| all.referenced)) else {
            return Err((raw.name.referenced, "expected `statements` or `transactions`, found neither".to_owned()));
        };
        let raw_statements = raw.statements.map_or_else(Vec::new, |all| all.value);
        let raw_transactions = raw.transactions.map_or_else(Vec::new, |all| all.value);
        if raw_statements.is_empty() && raw_transactions.is_empty() {
            return Err((place, "statements: expected at least one".to_owned()));
        }
        let mut statements: Vec<StatementSpec> = Vec::with_capacity(raw_statements.len());
        let mut without_weight = Vec::new();
        for spanned in raw_statements {
            let place = spanned.value.name.referenced;
            if spanned.value.weight.is_none() {
                without_weight.push(statements.len());
            }
            add_statement(check_statement(spanned.value, &samples)?, place, &mut statements)?;
        }
        let written = statements.len();
        let mut transactions: Vec<TransactionSpec> = Vec::with_capacity(raw_transactions.len());
        for spanned in raw_transactions {
            let place = spanned.value.name.referenced;
            let named: BTreeMap<String, usize> =
                statements[..written].iter().enumerate().map(|(index, statement)| (statement.name.clone(), index)).collect();
            let add = |inline: RawInline, name: String, place: Location| {
                add_statement(check_inline(inline, name, place, &samples)?, place, &mut statements)
            };
            let transaction = transaction::check(spanned.value, |name| named.get(name).copied(), add)?;
            if transactions.iter().any(|other| other.name == transaction.name) {
                return Err((place, format!("transaction {:?} is there twice: give each its own name", transaction.name)));
            }
            transactions.push(transaction);
        }
        if let Some(both) = transactions.iter().find(|transaction| statements.iter().any(|statement| statement.name == transaction.name)) {
            return Err((place, format!("transaction {:?} has the name of a statement: results are told apart by name", both.name)));
        }
        // A statement that was written for a transaction is not also called on its own, unless it says how often.
        for index in without_weight {
            if transactions.iter().any(|transaction| transaction.statements().any(|used| used == index)) {
                statements[index].weight = 0.0;
            }
        }
        let workload = Self {
            name: raw.name.value,
            description: raw.description,
            samples,
            statements,
            transactions,
            derived: raw.derived,
            text: text.to_owned(),
        };
        if workload.weight(false) <= 0.0 {
            return Err((place, "statements: expected a weight above 0 on at least one".to_owned()));
        }
        Ok(workload)
    }
}

/// Takes a statement in and returns its index.
fn add_statement(statement: StatementSpec, place: Location, statements: &mut Vec<StatementSpec>) -> Result<usize, Located> {
    if statements.iter().any(|other| other.name == statement.name) {
        return Err((place, format!("statement {:?} is there twice: give each its own name", statement.name)));
    }
    statements.push(statement);
    Ok(statements.len() - 1)
}

/// Checks a statement written inside a transaction; it is never called on its own.
fn check_inline(inline: RawInline, name: String, place: Location, samples: &[SampleSpec]) -> Result<StatementSpec, Located> {
    let at = |value| Spanned { value, referenced: place, defined: place };
    let statement = RawStatement { name: at(name), weight: None, sql: at(inline.sql), args: inline.args, recorded: None };
    Ok(StatementSpec { weight: 0.0, ..check_statement(statement, samples)? })
}

fn check_statement(raw: RawStatement, samples: &[SampleSpec]) -> Result<StatementSpec, Located> {
    let RawStatement { name, weight, sql, args, recorded } = raw;
    if name.value.trim().is_empty() || name.value == "total" {
        return Err((name.referenced, format!("name: expected a word other than `total`, found {:?}", name.value)));
    }
    if let Some(weight) = weight.as_ref().filter(|weight| !(weight.value.is_finite() && weight.value >= 0.0)) {
        return Err((weight.referenced, format!("weight: expected a number from 0 up, found {}", weight.value)));
    }
    let facts = statement::facts(&sql.value).map_err(|message| (sql.referenced, format!("statement {:?}: {message}", name.value)))?;
    if facts.parameters != args.len() {
        let (wanted, given) = (facts.parameters, args.len());
        let message = format!("statement {:?}: its text has {wanted} parameters, but {given} args are given", name.value);
        return Err((args.last().map_or(name.referenced, |last| last.referenced), message));
    }
    let mut resolved = Vec::with_capacity(args.len());
    for arg in args {
        resolved.push(check_arg(arg.value, samples).map_err(|message| (arg.referenced, message))?);
    }
    let weight = weight.map_or(1.0, |weight| weight.value);
    Ok(StatementSpec { name: name.value, weight, sql: sql.value.trim().to_owned(), args: resolved, writes: facts.writes, recorded })
}

fn check_arg(spec: ArgSpec, samples: &[SampleSpec]) -> Result<Arg, String> {
    Ok(match spec {
        ArgSpec::Column(name) => {
            let (sample, column) = find_column(&name, samples)?;
            Arg::Column { sample, column }
        }
        ArgSpec::Shift(name, by) => {
            let (sample, column) = find_column(&name, samples)?;
            Arg::Shift { sample, column, by: span(&by)?.fieldwise() }
        }
        ArgSpec::Now(by) => Arg::Now(span(&by)?.fieldwise()),
        ArgSpec::Text(length) => Arg::Text(length),
        ArgSpec::Choice(values) => Arg::Choice(values),
        ArgSpec::Int(low, high) => Arg::Int(low, high),
        ArgSpec::Uuid => Arg::Uuid,
        ArgSpec::Value(value) => Arg::Value(value),
        ArgSpec::Present(name, row) => {
            let (sample, column) = find_column(&name, samples)?;
            Arg::Present { sample, column, row }
        }
        ArgSpec::Any(name, of) => {
            let (sample, column) = find_column(&name, samples)?;
            Arg::Any { sample, column, of }
        }
        ArgSpec::Rank(name, from, to) => {
            let (sample, column) = find_column(&name, samples)?;
            Arg::Rank { sample, column, from, to }
        }
        ArgSpec::Begins(name, share) => {
            let (sample, column) = find_column(&name, samples)?;
            Arg::Begins { sample, column, share }
        }
        ArgSpec::Part(name) => {
            let (sample, column) = find_column(&name, samples)?;
            Arg::Part { sample, column }
        }
    })
}

/// Finds `sample.column`.
fn find_column(name: &str, samples: &[SampleSpec]) -> Result<(usize, usize), String> {
    let Some((sample_name, column_name)) = name.split_once('.') else {
        return Err(format!("{name:?}: expected `sample.column`; a fixed value is written {{ value: {name:?} }}"));
    };
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let sample = samples.iter().position(|sample| sample.name == sample_name).ok_or_else(|| {
        let known = list(samples.iter().map(|sample| sample.name.as_str()).collect());
        format!("unknown sample {sample_name:?}, there is: {known}")
    })?;
    let columns = &samples[sample].columns;
    let column = columns.iter().position(|column| column == column_name).ok_or_else(|| {
        let known = list(columns.iter().map(String::as_str).collect());
        format!("sample {sample_name:?} has no column {column_name:?}, it has: {known}")
    })?;
    Ok((sample, column))
}

/// Reads a span such as `-7 days` or `+1 month 2 hours`; an empty one or `0` is none.
fn span(text: &str) -> Result<jiff::Span, String> {
    match text.trim() {
        "" | "0" => Ok(jiff::Span::new()),
        text => text.parse().map_err(|_| format!("{text:?}: expected a span such as \"-7 days\" or \"+1 month 2 hours\"")),
    }
}

/// Takes the position off the parser's message, since it stands before it already, and its hints to programmers.
fn without_place(message: &str, location: Location) -> String {
    let place = format!(" at line {}, column {}", location.line(), location.column());
    let plain = message.replace(&place, "");
    let plain = plain.strip_prefix("error: ").unwrap_or(&plain);
    let prefix = format!("line {} column {}: ", location.line(), location.column());
    let plain = plain.strip_prefix(&prefix).unwrap_or(plain);
    match plain.split(", set DuplicateKeyPolicy").next().unwrap_or(plain) {
        "invalid floating point" => "expected a number".to_owned(),
        "unexpected end of input" => "expected a workload with `name` and `statements`, found the end of the file".to_owned(),
        plain => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROSPECTS: &str = r#"
name: prospects
description: what the prospect list asks for
samples:
  prospect: { table: prospects, columns: [id, user_id, status, created_at], rows: 500 }
statements:
  - name: by_user_and_status
    weight: 30
    sql: |
      select * from prospects where user_id = $1 and status = $2 order by created_at desc limit 50
    args: [prospect.user_id, prospect.status]
  - name: add
    weight: 3
    sql: insert into prospects values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    args: [prospect.user_id, { text: 12 }, { choice: [new, 7, null] }, { int: [1, 100] }, { now: "-7 days" }, { value: x }, { uuid: true }, null,
      { shift: prospect.created_at, by: "+7 days" }]
"#;

    fn refused(text: &str) -> String {
        Workload::parse(text, "shop.yaml").expect_err("a bad workload").to_string()
    }

    /// PROSPECTS with one piece replaced.
    fn broken(from: &str, to: &str) -> String {
        assert!(PROSPECTS.contains(from), "{from}");
        refused(&PROSPECTS.replacen(from, to, 1))
    }

    #[test]
    fn every_form_of_argument_is_read() {
        let workload = Workload::parse(PROSPECTS, "shop.yaml").unwrap();
        assert_eq!((workload.name.as_str(), workload.samples[0].rows), ("prospects", 500));
        let [read, add] = workload.statements.as_slice() else { panic!("{workload:?}") };
        assert_eq!((read.weight, read.writes), (30.0, false));
        assert_eq!(read.args, [Arg::Column { sample: 0, column: 1 }, Arg::Column { sample: 0, column: 2 }]);
        assert!(add.writes);
        assert_eq!(
            add.args[1..4],
            [Arg::Text(12), Arg::Choice(vec![Scalar(Some("new".into())), Scalar(Some("7".into())), Scalar(None)]), Arg::Int(1, 100)]
        );
        assert_eq!(add.args[5..8], [Arg::Value(Scalar(Some("x".into()))), Arg::Uuid, Arg::Value(Scalar(None))]);
        assert!(matches!(add.args[4], Arg::Now(by) if by.0.get_days() == -7));
        assert!(matches!(add.args[8], Arg::Shift { sample: 0, column: 3, by } if by.0.get_days() == 7));
        assert_eq!((workload.weight(false), workload.weight(true)), (33.0, 30.0));
    }

    #[test]
    fn mistakes_are_named_with_their_place_and_what_was_expected() {
        let unknown_field = broken("weight: 30", "wieght: 30");
        assert!(
            unknown_field.starts_with("shop.yaml:8:5: ") && unknown_field.contains("wieght") && unknown_field.contains("weight"),
            "{unknown_field}"
        );
        let unknown_sample = broken("[prospect.user_id, prospect.status]", "[prospect.user_id, prospekt.status]");
        assert_eq!(unknown_sample, "shop.yaml:11:30: unknown sample \"prospekt\", there is: prospect");
        let unknown_column = broken("[prospect.user_id, prospect.status]", "[prospect.nope, prospect.status]");
        assert_eq!(unknown_column, "shop.yaml:11:12: sample \"prospect\" has no column \"nope\", it has: id, user_id, status, created_at");
        let count = broken("[prospect.user_id, prospect.status]", "[prospect.user_id]");
        assert_eq!(count, "shop.yaml:11:12: statement \"by_user_and_status\": its text has 2 parameters, but 1 args are given");
        let plain = broken("[prospect.user_id, prospect.status]", "[prospect.user_id, new]");
        assert!(plain.contains("{ value: \"new\" }"), "{plain}");
        let kind = broken("{ text: 12 }", "{ txt: 12 }");
        assert!(
            kind.starts_with("shop.yaml:15:") && kind.contains("unknown argument `txt`") && kind.contains("{ text: length }"),
            "{kind}"
        );
        let weight = broken("weight: 30", "weight: -1");
        assert_eq!(weight, "shop.yaml:8:13: weight: expected a number from 0 up, found -1");
        let word = broken("weight: 30", "weight: often");
        assert_eq!(word, "shop.yaml:8:13: expected a number");
        let by = broken("by: \"+7 days\"", "by: \"a while\"");
        assert!(by.contains("\"a while\"") && by.contains("-7 days"), "{by}");
        let without_by = broken(", by: \"+7 days\"", "");
        assert!(without_by.contains("expected `by`"), "{without_by}");
        let bounds = broken("[1, 100]", "[100, 1]");
        assert!(bounds.contains("low bound 100"), "{bounds}");
        let twice = broken("name: add", "name: by_user_and_status");
        assert!(twice.starts_with("shop.yaml:12:11: ") && twice.contains("twice"), "{twice}");
        let several = broken("limit 50", "limit 50; select 1");
        assert!(several.contains("found several"), "{several}");
        let rows = broken("rows: 500", "rows: 0");
        assert!(rows.starts_with("shop.yaml:5:") && rows.contains("1 to 1000000"), "{rows}");
    }

    #[test]
    fn a_text_that_is_no_workload_at_all_says_what_is_missing() {
        assert_eq!(refused(""), "shop.yaml:1:1: expected a workload with `name` and `statements`, found the end of the file");
        assert_eq!(refused("name: x\nname: y\n"), "shop.yaml:2:1: duplicate mapping key: name");
        assert!(refused("name: x\n").contains("statements"));
        assert!(refused("name: x\nstatements: []\n").contains("expected at least one"));
        assert!(refused("name: x\nstatements: [").starts_with("shop.yaml:"));
        assert!(refused("name: x\nstatements:\n  - { name: a, sql: select 1, weight: 0 }\n").contains("weight above 0"));
    }
}
