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
mod tests {
    use super::*;
    use crate::load::WARM_UP_CALLS;

    const SHOP: &str = r#"
name: shop
samples:
  order: { table: orders, columns: [id, customer, placed_at] }
statements:
  - { name: find, weight: 3, sql: "select $1 $2 $3", args: [order.id, order.customer, { shift: order.placed_at, by: "+1 day" }] }
  - name: add
    sql: insert into orders values ($1, $2, $3, $4, $5, $6)
    args: [{ uuid: true }, { text: 8 }, { int: [-2, 2] }, { choice: [a, b, null] }, { now: "-1 hour" }, null]
  - { name: never, weight: 0, sql: select 1 }
"#;

    fn samples() -> Samples {
        let row = |i: u32| {
            let placed = format!("2024-01-{:02} 10:00:00.5+00", i % 28 + 1);
            vec![Some(i.to_string()), (i % 5 != 0).then(|| format!("customer-{i}")), Some(placed)]
        };
        let columns = ["id", "customer", "placed_at"].map(str::to_owned).to_vec();
        let order = Sample { name: "order".to_owned(), columns, rows: (0..100).map(row).collect() };
        Samples { taken_at: "2024-06-01T12:00:00Z".parse().unwrap(), samples: vec![order] }
    }

    fn script(seed: u64) -> Script {
        Script::new(&Workload::parse(SHOP, "shop.yaml").unwrap(), &samples(), seed, false).unwrap()
    }

    #[test]
    fn the_same_seed_makes_the_same_calls_in_any_order() {
        let list = |seed, numbers: &[u64]| numbers.iter().map(|n| script(seed).call(*n)).collect::<Vec<_>>();
        let forward: Vec<u64> = (0..300).collect();
        let backward: Vec<u64> = (0..300).rev().collect();
        let mut reversed = list(1, &backward);
        reversed.reverse();
        assert_eq!(list(1, &forward), reversed);
        assert_ne!(list(1, &forward), list(2, &forward));
        let warm_up: Vec<u64> = (0..300).map(|n| WARM_UP_CALLS + n).collect();
        assert_ne!(list(1, &forward), list(1, &warm_up));
    }

    #[test]
    fn statements_come_by_their_weights() {
        let script = script(1);
        let finds = (0..40_000).filter(|call| script.statement(*call) == 0).count();
        assert!((29_500..30_500).contains(&finds), "{finds}");
        assert!((0..40_000).all(|call| script.statement(call) != 2));
        assert!(script.is_called(0) && script.is_called(1) && !script.is_called(2));
        assert_eq!(script.first_call_of(2, 0), None);
        let first = script.first_call_of(1, 0).unwrap();
        assert_eq!(script.statement(first), 1);
        assert!((0..first).all(|call| script.statement(call) == 0));
    }

    #[test]
    fn the_columns_of_a_call_come_from_one_row() {
        let script = script(1);
        let mut seen = std::collections::BTreeSet::new();
        for call in (0..1000).filter(|call| script.statement(*call) == 0) {
            let (_, args) = script.call(call);
            let id: u32 = args[0].as_deref().unwrap().parse().unwrap();
            assert_eq!(args[1], (id % 5 != 0).then(|| format!("customer-{id}")));
            assert_eq!(args[2].as_deref().unwrap()[..10], format!("2024-{:02}-{:02}", 1, id % 28 + 2)[..10]);
            seen.insert(id);
        }
        assert!(seen.len() > 95, "{} of 100 rows used", seen.len());
    }

    #[test]
    fn generated_values_keep_their_form() {
        let script = script(1);
        let (mut ints, mut choices) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        let mut uuids = std::collections::BTreeSet::new();
        for call in (0..2000).filter(|call| script.statement(*call) == 1) {
            let (_, args) = script.call(call);
            let uuid = args[0].clone().unwrap();
            assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
            assert!(uuids.insert(uuid));
            let text = args[1].as_deref().unwrap();
            assert!(text.len() == 8 && text.bytes().all(|b| b.is_ascii_lowercase()), "{text}");
            ints.insert(args[2].clone().unwrap());
            choices.insert(args[3].clone());
            assert_eq!(args[4].as_deref(), Some("2024-06-01T11:00:00Z"));
            assert_eq!(args[5], None);
        }
        assert_eq!(ints.iter().map(String::as_str).collect::<Vec<_>>(), ["-1", "-2", "0", "1", "2"]);
        assert_eq!(choices.len(), 3);
    }

    #[test]
    fn writes_can_be_left_out() {
        let workload = Workload::parse(SHOP, "shop.yaml").unwrap();
        let script = Script::new(&workload, &samples(), 1, true).unwrap();
        assert!((0..1000).all(|call| script.statement(call) == 0));
        let only = Workload::parse("name: w\nstatements: [{ name: a, sql: delete from t }]\n", "w.yaml").unwrap();
        let refused = Script::new(&only, &Samples::none(Timestamp::UNIX_EPOCH), 1, true).unwrap_err();
        assert_eq!(refused, ScriptError::OnlyWrites("w".to_owned()));
    }

    #[test]
    fn samples_that_do_not_fit_are_refused() {
        let workload = Workload::parse(SHOP, "shop.yaml").unwrap();
        let with = |change: fn(&mut Sample)| {
            let mut samples = samples();
            change(&mut samples.samples[0]);
            Script::new(&workload, &samples, 1, false).unwrap_err()
        };
        assert_eq!(with(|s| s.rows.clear()), ScriptError::Empty("order".to_owned()));
        assert_eq!(with(|s| s.columns[0] = "no".to_owned()), ScriptError::SamplesDiffer("order".to_owned()));
        assert_eq!(with(|s| s.name = "other".to_owned()), ScriptError::SamplesDiffer("order".to_owned()));
        assert!(with(|s| s.rows[7][2] = Some("soon".to_owned())).to_string().contains("\"soon\" is not a date or timestamp"));
    }

    #[test]
    fn times_are_shifted_as_the_server_writes_them() {
        let week: Span = "+7 days".parse().unwrap();
        let month: Span = "-1 month".parse().unwrap();
        assert_eq!(shifted("2024-02-25 10:00:00.123456+00", week).unwrap(), "2024-03-03T10:00:00.123456Z");
        assert_eq!(shifted("2024-02-25 10:00:00+05:30", week).unwrap(), "2024-03-03T04:30:00Z");
        assert_eq!(shifted("2024-02-25 10:00:00", week).unwrap(), "2024-03-03T10:00:00");
        assert_eq!(shifted("2024-03-31", month).unwrap(), "2024-02-29");
        assert_eq!(shifted("infinity", week).unwrap(), "infinity");
        assert_eq!(shifted("12", week), None);
    }
}
