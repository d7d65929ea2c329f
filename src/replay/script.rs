//! The calls a seed makes of a workload.
//!
//! A call is a function of (workload, samples, seed, number): which statement, which rows, which values. Nothing of it
//! depends on threads, timing or earlier calls, so the run before a change and the run after it make the same calls.

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::replay::arg::Scalar;
use crate::replay::samples::{Sample, Samples};
use crate::replay::workload::{Arg, Workload};
use crate::stats::random;

/// The stream of random numbers that picks statements.
const PICK: u64 = 0x7069_636b;

/// Why a workload cannot be turned into calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The samples are those of another workload.
    #[error("use the saved samples: they lack sample {0:?} with the workload's columns; draw new ones")]
    SamplesDiffer(String),
    /// A sample has no rows.
    #[error("draw parameters for sample {0:?}: its table is empty")]
    Empty(String),
    /// A shifted column holds something other than a time.
    #[error("shift {column} of sample {sample:?}: {value:?} is not a date or timestamp")]
    NotATime {
        /// The sample.
        sample: String,
        /// The column.
        column: String,
        /// The first such value.
        value: String,
    },
    /// Every statement writes and writes are not allowed.
    #[error("make calls of {0:?}: all its statements write; run them with --writes rollback, clone or live")]
    OnlyWrites(String),
}

/// A workload, its samples and a seed, prepared for making calls quickly.
#[derive(Debug, Clone)]
pub struct Script {
    seed: u64,
    /// Statements in the order of their weights' sums, with the sum up to and including each, ending at 1.
    picks: Vec<(f64, usize)>,
    /// By statement index; statements left out have no sources.
    statements: Vec<Compiled>,
    samples: Vec<Rows>,
}

#[derive(Debug, Clone)]
struct Compiled {
    stream: u64,
    sources: Vec<Source>,
}

/// A sample's rows, in row-major order, and the columns shifted copies of which follow its own.
#[derive(Debug, Clone)]
struct Rows {
    stream: u64,
    rows: u64,
    columns: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Clone)]
enum Source {
    Column { sample: usize, column: usize },
    Fixed(Option<String>),
    Choice(Vec<Option<String>>),
    Int { low: i64, span: u64 },
    Text(usize),
    Uuid,
}

/// The arguments of one call; reused from call to call so that a call allocates nothing.
#[derive(Debug, Default)]
pub struct Args<'s> {
    made: String,
    values: Vec<Value<'s>>,
}

#[derive(Debug, Clone, Copy)]
enum Value<'s> {
    Kept(Option<&'s str>),
    Made { from: usize, to: usize },
}

impl Args<'_> {
    /// Returns the arguments in order, in the server's text format; `None` is null.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&str>> {
        self.values.iter().map(|value| match *value {
            Value::Kept(text) => text,
            Value::Made { from, to } => Some(&self.made[from..to]),
        })
    }
}

impl Script {
    /// Prepares the calls of a workload; with `reads_only` statements that write are left out.
    ///
    /// # Errors
    /// [`ScriptError`] when the samples do not fit the workload, or nothing is left to call.
    pub fn new(workload: &Workload, samples: &Samples, seed: u64, reads_only: bool) -> Result<Self, ScriptError> {
        let mut rows = Vec::with_capacity(workload.samples.len());
        for spec in &workload.samples {
            let fits = |sample: &&Sample| {
                let columns = spec.columns.len();
                sample.name == spec.name && sample.columns == spec.columns && sample.rows.iter().all(|row| row.len() == columns)
            };
            let sample = samples.samples.iter().find(fits).ok_or_else(|| ScriptError::SamplesDiffer(spec.name.clone()))?;
            rows.push(Rows::of(sample));
        }
        let total = workload.weight(reads_only);
        if total <= 0.0 {
            return Err(ScriptError::OnlyWrites(workload.name.clone()));
        }
        let (mut picks, mut statements, mut sum) = (Vec::new(), Vec::new(), 0.0);
        for (index, statement) in workload.statements.iter().enumerate() {
            let stream = random::stream(&statement.name);
            let mut compiled = Compiled { stream, sources: Vec::new() };
            if statement.weight > 0.0 && !(reads_only && statement.writes) {
                sum += statement.weight;
                picks.push((sum / total, index));
                for arg in &statement.args {
                    compiled.sources.push(compile(arg, workload, samples.taken_at, &mut rows)?);
                }
            }
            statements.push(compiled);
        }
        Ok(Self { seed, picks, statements, samples: rows })
    }

    /// Returns the statement of a call, as an index into the workload's.
    #[inline]
    pub fn statement(&self, call: u64) -> usize {
        let at = random::unit(random::bits(self.seed, PICK, call, 0));
        let position = self.picks.partition_point(|(sum, _)| *sum <= at);
        // Rounding can leave the last sum a hair below 1.
        self.picks[position.min(self.picks.len() - 1)].1
    }

    /// Returns whether a statement is called at all.
    pub fn is_called(&self, statement: usize) -> bool {
        self.picks.iter().any(|(_, index)| *index == statement)
    }

    /// Fills in the arguments of a call and returns its statement.
    #[inline]
    pub fn fill<'s>(&'s self, call: u64, args: &mut Args<'s>) -> usize {
        let statement = self.statement(call);
        let compiled = &self.statements[statement];
        args.made.clear();
        args.values.clear();
        for (slot, source) in compiled.sources.iter().enumerate() {
            let bits = |part: u64| random::bits(self.seed, compiled.stream, call, ((slot as u64) << 32) | part);
            let from = args.made.len();
            let value = match source {
                Source::Column { sample, column } => {
                    let sample = &self.samples[*sample];
                    // The slot is 0 for all: the arguments of a call share one row.
                    let row = random::below(random::bits(self.seed, sample.stream, call, 0), sample.rows);
                    Value::Kept(sample.columns[*column][row as usize].as_deref())
                }
                Source::Fixed(value) => Value::Kept(value.as_deref()),
                Source::Choice(values) => Value::Kept(values[random::below(bits(0), values.len() as u64) as usize].as_deref()),
                Source::Int { low, span } => {
                    let number = low.wrapping_add_unsigned(if *span == u64::MAX { bits(0) } else { random::below(bits(0), span + 1) });
                    push(&mut args.made, format_args!("{number}"));
                    Value::Made { from, to: args.made.len() }
                }
                Source::Text(length) => {
                    let letter = |part: usize| char::from(b'a' + random::below(bits(part as u64), 26) as u8);
                    args.made.extend((0..*length).map(letter));
                    Value::Made { from, to: args.made.len() }
                }
                Source::Uuid => {
                    push_uuid(&mut args.made, bits(0), bits(1));
                    Value::Made { from, to: args.made.len() }
                }
            };
            args.values.push(value);
        }
        statement
    }

    /// Returns a call written out: its statement and its arguments.
    pub fn call(&self, call: u64) -> (usize, Vec<Option<String>>) {
        let mut args = Args::default();
        let statement = self.fill(call, &mut args);
        (statement, args.iter().map(|value| value.map(str::to_owned)).collect())
    }

    /// Returns the first call of a statement from `from` on, looking at no more than a million.
    pub fn first_call_of(&self, statement: usize, from: u64) -> Option<u64> {
        (from..from.saturating_add(1_000_000)).find(|call| self.statement(*call) == statement)
    }
}

impl Rows {
    /// Turns rows into columns, which is how calls read them.
    fn of(sample: &Sample) -> Self {
        let columns = (0..sample.columns.len()).map(|column| sample.rows.iter().map(|row| row[column].clone()).collect());
        Self { stream: random::stream(&sample.name), rows: sample.rows.len() as u64, columns: columns.collect() }
    }
}

fn compile(arg: &Arg, workload: &Workload, now: Timestamp, rows: &mut [Rows]) -> Result<Source, ScriptError> {
    let check = |sample: usize, rows: &[Rows]| match rows[sample].rows {
        0 => Err(ScriptError::Empty(workload.samples[sample].name.clone())),
        _ => Ok(()),
    };
    Ok(match arg {
        Arg::Column { sample, column } => {
            check(*sample, rows)?;
            Source::Column { sample: *sample, column: *column }
        }
        Arg::Shift { sample, column, by } => {
            check(*sample, rows)?;
            let spec = &workload.samples[*sample];
            let shift = |value: &Option<String>| match value {
                None => Ok(None),
                Some(text) => shifted(text, by.0).map(Some).ok_or_else(|| ScriptError::NotATime {
                    sample: spec.name.clone(),
                    column: spec.columns[*column].clone(),
                    value: text.clone(),
                }),
            };
            let moved = rows[*sample].columns[*column].iter().map(shift).collect::<Result<Vec<_>, _>>()?;
            rows[*sample].columns.push(moved);
            Source::Column { sample: *sample, column: rows[*sample].columns.len() - 1 }
        }
        Arg::Now(by) => {
            let moved = now.to_zoned(TimeZone::UTC).checked_add(by.0).map(|time| time.timestamp());
            Source::Fixed(Some(moved.unwrap_or(now).to_string()))
        }
        Arg::Text(length) => Source::Text(*length),
        Arg::Choice(values) => Source::Choice(values.iter().map(|Scalar(value)| value.clone()).collect()),
        Arg::Int(low, high) => Source::Int { low: *low, span: high.abs_diff(*low) },
        Arg::Uuid => Source::Uuid,
        Arg::Value(Scalar(value)) => Source::Fixed(value.clone()),
    })
}

/// Adds a span to a date or timestamp in the server's ISO format, with or without zone.
fn shifted(text: &str, by: Span) -> Option<String> {
    // Infinity plus anything is infinity, as in the server.
    if matches!(text, "infinity" | "-infinity") {
        return Some(text.to_owned());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.to_zoned(TimeZone::UTC).checked_add(by).ok()?.timestamp().to_string());
    }
    if text.contains(':') {
        return Some(text.parse::<civil::DateTime>().ok()?.checked_add(by).ok()?.to_string());
    }
    Some(text.parse::<civil::Date>().ok()?.checked_add(by).ok()?.to_string())
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    use std::fmt::Write;
    // Writing to a String does not fail.
    let _ = text.write_fmt(arguments);
}

/// Appends a version 4, variant 1 UUID of these bits.
fn push_uuid(text: &mut String, high: u64, low: u64) {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    push(
        text,
        format_args!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        ),
    );
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
