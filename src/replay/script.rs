//! The calls a seed makes of a workload.
//!
//! A call is a function of (workload, samples, seed, number): which statement, which rows, which values. Nothing of it
//! depends on threads, timing or earlier calls, so the run before a change and the run after it make the same calls.

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::replay::arg::Scalar;
use crate::replay::args::Args;
use crate::replay::player::Player;
use crate::replay::program::{Client, Label, Prepared, Program};
use crate::replay::samples::{Sample, Samples};
use crate::replay::transaction::{StepSpec, TransactionSpec};
use crate::replay::values;
use crate::replay::workload::{Arg, Workload};
use crate::replay::writes::Writes;
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
///
/// Its labels are the workload's statements, then its transactions, in the workload's order.
#[derive(Debug, Clone)]
pub struct Script {
    seed: u64,
    /// Labels of calls in order, each with the sum of the weights up to and including its own, ending at 1.
    picks: Vec<(f64, usize)>,
    /// By statement index; statements that are never sent have no sources.
    statements: Vec<Compiled>,
    transactions: Vec<TransactionSpec>,
    samples: Vec<Rows>,
    labels: Vec<Label>,
    prepared: Vec<Prepared>,
    writes: Writes,
}

#[derive(Debug, Clone)]
struct Compiled {
    stream: u64,
    sources: Vec<Source>,
    writes: bool,
}

/// A statement of a call, written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Which statement, as an index into the workload's.
    pub statement: usize,
    /// Its arguments; `None` is null.
    pub args: Vec<Option<String>>,
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
    Column {
        sample: usize,
        column: usize,
    },
    Fixed(Option<String>),
    Choice(Vec<Option<String>>),
    Int {
        low: i64,
        span: u64,
    },
    Text(usize),
    Uuid,
    /// A column of the row so many behind the call's own.
    Behind {
        sample: usize,
        column: usize,
        row: u64,
    },
    /// An array from the call's row on.
    Array {
        sample: usize,
        column: usize,
        of: u64,
    },
    /// A place in a column sorted by value.
    Rank {
        sample: usize,
        column: usize,
        from: f64,
        to: f64,
    },
}

impl Script {
    /// Prepares the calls of a workload; in a read-only run what writes is left out.
    ///
    /// # Errors
    /// [`ScriptError`] when the samples do not fit the workload, or nothing is left to call.
    pub fn new(workload: &Workload, samples: &Samples, seed: u64, writes: Writes) -> Result<Self, ScriptError> {
        let mut rows = Vec::with_capacity(workload.samples.len());
        for spec in &workload.samples {
            let fits = |sample: &&Sample| {
                let columns = spec.columns.len();
                sample.name == spec.name && sample.columns == spec.columns && sample.rows.iter().all(|row| row.len() == columns)
            };
            let sample = samples.samples.iter().find(fits).ok_or_else(|| ScriptError::SamplesDiffer(spec.name.clone()))?;
            rows.push(Rows::of(sample));
        }
        let reads_only = writes == Writes::Readonly;
        let total = workload.weight(reads_only);
        if total <= 0.0 {
            return Err(ScriptError::OnlyWrites(workload.name.clone()));
        }
        let alone = workload.statements.iter().map(|statement| (statement.weight, statement.writes));
        let together = workload.transactions.iter().map(|transaction| (transaction.weight, transaction.writes(&workload.statements)));
        let (mut picks, mut sum) = (Vec::new(), 0.0);
        for (label, (weight, writing)) in alone.chain(together).enumerate() {
            if weight > 0.0 && !(reads_only && writing) {
                sum += weight;
                picks.push((sum / total, label));
            }
        }
        let count = workload.statements.len();
        let is_picked = |label: usize| picks.iter().any(|(_, picked)| *picked == label);
        let is_sent = |index: usize| {
            let within = |(number, transaction): (usize, &TransactionSpec)| {
                is_picked(count + number) && transaction.statements().any(|statement| statement == index)
            };
            is_picked(index) || workload.transactions.iter().enumerate().any(within)
        };
        let (mut statements, mut labels, mut prepared) = (Vec::new(), Vec::new(), Vec::new());
        for (index, spec) in workload.statements.iter().enumerate() {
            let called = is_sent(index);
            let mut compiled = Compiled { stream: random::stream(&spec.name), sources: Vec::new(), writes: spec.writes };
            if called {
                for arg in &spec.args {
                    compiled.sources.push(compile(arg, workload, samples.taken_at, &mut rows)?);
                }
            }
            statements.push(compiled);
            labels.push(Label { name: spec.name.clone(), sql: spec.sql.clone(), statement: Some(index), called });
            prepared.push(Prepared { name: spec.name.clone(), sql: spec.sql.clone(), called });
        }
        for (number, transaction) in workload.transactions.iter().enumerate() {
            let sql = transaction_text(transaction, workload);
            labels.push(Label { name: transaction.name.clone(), sql, statement: None, called: is_picked(count + number) });
        }
        Ok(Self { seed, picks, statements, transactions: workload.transactions.clone(), samples: rows, labels, prepared, writes })
    }

    /// Returns the label of a call: the statement it consists of, as an index into the workload's, or from their number
    /// on the transaction.
    #[inline]
    pub fn statement(&self, call: u64) -> usize {
        let at = random::unit(random::bits(self.seed, PICK, call, 0));
        let position = self.picks.partition_point(|(sum, _)| *sum <= at);
        // Rounding can leave the last sum a hair below 1.
        self.picks[position.min(self.picks.len() - 1)].1
    }

    /// Returns whether a statement is sent, or a transaction made, at all.
    pub fn is_called(&self, label: usize) -> bool {
        self.labels[label].called
    }

    /// Returns the transaction a label stands for; `None` for that of a statement.
    pub(super) fn transaction(&self, label: usize) -> Option<&TransactionSpec> {
        self.transactions.get(label.checked_sub(self.statements.len())?)
    }

    /// Returns whether what a label stands for writes and is to be rolled back.
    pub(super) fn is_rolled_back(&self, label: usize) -> bool {
        let writes = |index: usize| self.statements[index].writes;
        self.writes == Writes::Rollback
            && self.transaction(label).map_or_else(|| writes(label), |transaction| transaction.statements().any(writes))
    }

    /// Fills in the arguments of a statement of a call; `step` is its place within the call, from 0.
    #[inline]
    pub fn fill<'s>(&'s self, call: u64, statement: usize, step: usize, args: &mut Args<'s>) {
        let compiled = &self.statements[statement];
        args.clear();
        for (slot, source) in compiled.sources.iter().enumerate() {
            let bits = |part: u64| random::bits(self.seed, compiled.stream, call, ((step as u64) << 48) | ((slot as u64) << 32) | part);
            match source {
                Source::Column { sample, column } => {
                    let sample = &self.samples[*sample];
                    args.push_kept(sample.value(*column, self.row(sample, call)));
                }
                Source::Behind { sample, column, row } => {
                    let sample = &self.samples[*sample];
                    args.push_kept(sample.value(*column, self.row(sample, call) + row));
                }
                Source::Array { sample, column, of } => {
                    let sample = &self.samples[*sample];
                    let first = self.row(sample, call);
                    args.push_letters(values::array((first..first + of).filter_map(|row| sample.value(*column, row))));
                }
                Source::Rank { sample, column, from, to } => {
                    let sample = &self.samples[*sample];
                    // The same draw for all: the bounds of a range keep their distance.
                    let at = from + random::unit(self.row_bits(sample, call)) * (to - from);
                    let last = sample.rows.saturating_sub(1);
                    args.push_kept(sample.value(*column, ((at * sample.rows as f64) as u64).min(last)));
                }
                Source::Fixed(value) => args.push_kept(value.as_deref()),
                Source::Choice(values) => args.push_kept(values[random::below(bits(0), values.len() as u64) as usize].as_deref()),
                Source::Int { low, span } => {
                    let number = low.wrapping_add_unsigned(if *span == u64::MAX { bits(0) } else { random::below(bits(0), span + 1) });
                    args.push_made(format_args!("{number}"));
                }
                Source::Text(length) => {
                    let letter = |part: usize| char::from(b'a' + random::below(bits(part as u64), 26) as u8);
                    args.push_letters((0..*length).map(letter));
                }
                Source::Uuid => push_uuid(args, bits(0), bits(1)),
            }
        }
    }

    #[inline]
    fn row_bits(&self, sample: &Rows, call: u64) -> u64 {
        // The slot is 0 for all: the arguments of a call share one row.
        random::bits(self.seed, sample.stream, call, 0)
    }

    /// Returns the call's row of a sample.
    #[inline]
    fn row(&self, sample: &Rows, call: u64) -> u64 {
        random::below(self.row_bits(sample, call), sample.rows)
    }

    /// Returns a call written out: its label, and the statements it sends with their arguments.
    pub fn call(&self, call: u64) -> (usize, Vec<Sent>) {
        let label = self.statement(call);
        let mut args = Args::default();
        let mut filled = |(step, statement): (usize, usize)| {
            self.fill(call, statement, step, &mut args);
            Sent { statement, args: args.to_vec() }
        };
        let sent = match self.transaction(label) {
            Some(transaction) => transaction.statements().enumerate().map(filled).collect(),
            None => vec![filled((0, label))],
        };
        (label, sent)
    }

    /// Returns the first call of a label from `from` on, looking at no more than a million.
    pub fn first_call_of(&self, label: usize, from: u64) -> Option<u64> {
        (from..from.saturating_add(1_000_000)).find(|call| self.statement(*call) == label)
    }
}

impl Program for Script {
    fn labels(&self) -> &[Label] {
        &self.labels
    }

    #[inline]
    fn label(&self, call: u64) -> usize {
        self.statement(call)
    }

    fn statements(&self) -> &[Prepared] {
        &self.prepared
    }

    fn example(&self, statement: usize) -> Option<Vec<Option<String>>> {
        let count = self.statements.len();
        let sends = |transaction: &TransactionSpec| transaction.statements().any(|index| index == statement);
        let within = (0..self.transactions.len()).filter(|number| sends(&self.transactions[*number])).map(|number| count + number);
        let label = std::iter::once(statement).chain(within).find(|label| self.picks.iter().any(|(_, picked)| picked == label))?;
        let (_, sent) = self.call(self.first_call_of(label, 0)?);
        sent.into_iter().find(|sent| sent.statement == statement).map(|sent| sent.args)
    }

    fn client(&self, _number: usize) -> Box<dyn Client + '_> {
        Box::new(Player::new(self))
    }

    fn has_transactions(&self) -> bool {
        self.picks.iter().any(|(_, label)| self.transaction(*label).is_some() || self.is_rolled_back(*label))
    }
}

/// Writes a transaction out for a person.
fn transaction_text(transaction: &TransactionSpec, workload: &Workload) -> String {
    let line = |step: &StepSpec| match step {
        StepSpec::Run(index) => format!("{};\n", workload.statements[*index].sql.trim_end_matches(';')),
        StepSpec::Think(pause) => format!("-- think {pause:?}\n"),
    };
    let steps: String = transaction.steps.iter().map(line).collect();
    format!("{};\n{steps}commit;", transaction.isolation.begin())
}

impl Rows {
    /// Turns rows into columns, which is how calls read them.
    fn of(sample: &Sample) -> Self {
        let columns = (0..sample.columns.len()).map(|column| sample.rows.iter().map(|row| row[column].clone()).collect());
        Self { stream: random::stream(&sample.name), rows: sample.rows.len() as u64, columns: columns.collect() }
    }

    /// Returns a value; behind the last row comes the first again.
    #[inline]
    fn value(&self, column: usize, row: u64) -> Option<&str> {
        self.columns[column][(row % self.rows) as usize].as_deref()
    }

    /// Adds a column made of another and returns its place.
    fn add(&mut self, column: Vec<Option<String>>) -> usize {
        self.columns.push(column);
        self.columns.len() - 1
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
            Source::Column { sample: *sample, column: rows[*sample].add(moved) }
        }
        Arg::Present { sample, column, row } => {
            check(*sample, rows)?;
            let made = values::present(&rows[*sample].columns[*column]);
            Source::Behind { sample: *sample, column: rows[*sample].add(made), row: u64::from(*row) }
        }
        Arg::Any { sample, column, of } => {
            check(*sample, rows)?;
            let made = values::present(&rows[*sample].columns[*column]);
            Source::Array { sample: *sample, column: rows[*sample].add(made), of: u64::from(*of).min(rows[*sample].rows) }
        }
        Arg::Rank { sample, column, from, to } => {
            check(*sample, rows)?;
            let made = values::ranked(&rows[*sample].columns[*column]);
            Source::Rank { sample: *sample, column: rows[*sample].add(made), from: *from, to: *to }
        }
        Arg::Begins { sample, column, share } => {
            check(*sample, rows)?;
            let made = values::beginnings(&rows[*sample].columns[*column], *share);
            Source::Column { sample: *sample, column: rows[*sample].add(made) }
        }
        Arg::Part { sample, column } => {
            check(*sample, rows)?;
            let made = values::parts(&rows[*sample].columns[*column]);
            Source::Column { sample: *sample, column: rows[*sample].add(made) }
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

/// Appends a version 4, variant 1 UUID of these bits.
fn push_uuid(args: &mut Args<'_>, high: u64, low: u64) {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    args.push_made(format_args!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    ));
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
