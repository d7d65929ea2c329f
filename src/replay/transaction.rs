//! Transactions of a workload file: several statements that belong together.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_saphyr::{Location, Spanned};

use crate::replay::arg::ArgSpec;
use crate::replay::workload::StatementSpec;

/// The most retries a transaction may ask for; one that needs more does not work.
const MOST_RETRIES: u32 = 1000;

/// A transaction of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionSpec {
    /// Its name in the results.
    pub name: String,
    /// How often it is called, relative to the other transactions and the statements called on their own.
    pub weight: f64,
    /// What it does, in order.
    pub steps: Vec<StepSpec>,
    /// How often it is begun again, with the same arguments, after SQLSTATE 40001 or 40P01.
    pub retry: u32,
    /// How it begins.
    pub isolation: Isolation,
}

/// One step of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepSpec {
    /// A statement, as an index into the workload's.
    Run(usize),
    /// A pause with the transaction open, as of a client that computes.
    Think(Duration),
}

/// The isolation level a transaction asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// The database's own.
    #[default]
    Default,
    /// Read committed.
    #[serde(rename = "read committed")]
    ReadCommitted,
    /// Repeatable read.
    #[serde(rename = "repeatable read")]
    RepeatableRead,
    /// Serializable.
    Serializable,
}

impl Isolation {
    /// Returns the command that begins such a transaction.
    pub fn begin(self) -> &'static str {
        match self {
            Self::Default => "begin",
            Self::ReadCommitted => "begin isolation level read committed",
            Self::RepeatableRead => "begin isolation level repeatable read",
            Self::Serializable => "begin isolation level serializable",
        }
    }
}

impl TransactionSpec {
    /// Returns its statements, in order, as indexes into the workload's.
    pub fn statements(&self) -> impl Iterator<Item = usize> + '_ {
        self.steps.iter().filter_map(|step| match step {
            StepSpec::Run(index) => Some(*index),
            StepSpec::Think(_) => None,
        })
    }

    /// Returns whether any of its statements writes.
    pub fn writes(&self, statements: &[StatementSpec]) -> bool {
        self.statements().any(|index| statements[index].writes)
    }
}

/// A transaction as the file spells it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTransaction {
    pub(super) name: Spanned<String>,
    weight: Option<Spanned<f64>>,
    steps: Spanned<Vec<Spanned<RawStep>>>,
    retry: Option<Spanned<u32>>,
    #[serde(default)]
    isolation: Isolation,
}

/// A step as the file spells it.
#[derive(Debug)]
pub(super) enum RawStep {
    Name(String),
    Inline(RawInline),
    Think(Duration),
}

/// A statement written where it is used.
#[derive(Debug)]
pub(super) struct RawInline {
    pub(super) name: Option<String>,
    pub(super) sql: String,
    pub(super) args: Vec<Spanned<ArgSpec>>,
}

const STEP: &str = "a statement's name, { sql: text, args: [...] } or { think: 50ms }";

impl<'de> Deserialize<'de> for RawStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StepVisitor;
        impl<'de> de::Visitor<'de> for StepVisitor {
            type Value = RawStep;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(STEP)
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<RawStep, E> {
                Ok(RawStep::Name(name.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<RawStep, A::Error> {
                let (mut name, mut sql, mut args, mut think) = (None, None, None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "name" => name = Some(map.next_value()?),
                        "sql" => sql = Some(map.next_value()?),
                        "args" => args = Some(map.next_value()?),
                        "think" => think = Some(map.next_value::<String>()?),
                        other => return Err(de::Error::custom(format!("unknown step `{other}`, expected {STEP}"))),
                    }
                }
                match (sql, think) {
                    (Some(sql), None) => Ok(RawStep::Inline(RawInline { name, sql, args: args.unwrap_or_default() })),
                    (None, Some(think)) if name.is_none() && args.is_none() => pause(&think).map(RawStep::Think).map_err(de::Error::custom),
                    _ => Err(de::Error::custom(format!("expected {STEP}"))),
                }
            }
        }
        deserializer.deserialize_any(StepVisitor)
    }
}

/// Reads a pause such as `50ms` or `1.5s`.
fn pause(text: &str) -> Result<Duration, String> {
    let read = text.trim().parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    read.ok_or_else(|| format!("think: {text:?}: expected a time such as 50ms or 1.5s"))
}

/// A message and where it belongs.
type Located = (Location, String);

/// Checks a transaction. `add` takes in a statement written in place and returns its index.
pub(super) fn check(
    raw: RawTransaction,
    find: impl Fn(&str) -> Option<usize>,
    mut add: impl FnMut(RawInline, String, Location) -> Result<usize, Located>,
) -> Result<TransactionSpec, Located> {
    let RawTransaction { name, weight, steps, retry, isolation } = raw;
    if name.value.trim().is_empty() || name.value == "total" {
        return Err((name.referenced, format!("name: expected a word other than `total`, found {:?}", name.value)));
    }
    if let Some(weight) = weight.as_ref().filter(|weight| !(weight.value.is_finite() && weight.value >= 0.0)) {
        return Err((weight.referenced, format!("weight: expected a number from 0 up, found {}", weight.value)));
    }
    if let Some(retry) = retry.as_ref().filter(|retry| retry.value > MOST_RETRIES) {
        return Err((retry.referenced, format!("retry: expected 0 to {MOST_RETRIES}, found {}", retry.value)));
    }
    let mut checked = Vec::with_capacity(steps.value.len());
    for (position, step) in steps.value.into_iter().enumerate() {
        let place = step.referenced;
        checked.push(match step.value {
            RawStep::Name(statement) => StepSpec::Run(find(&statement).ok_or_else(|| {
                (place, format!("transaction {:?}: unknown statement {statement:?}; one written in place is {{ sql: … }}", name.value))
            })?),
            RawStep::Inline(inline) => {
                let own = inline.name.clone().unwrap_or_else(|| format!("{}.{}", name.value, position + 1));
                StepSpec::Run(add(inline, own, place)?)
            }
            RawStep::Think(pause) => StepSpec::Think(pause),
        });
    }
    if !checked.iter().any(|step| matches!(step, StepSpec::Run(_))) {
        return Err((steps.referenced, format!("transaction {:?}: expected at least one statement", name.value)));
    }
    Ok(TransactionSpec {
        name: name.value,
        weight: weight.map_or(1.0, |weight| weight.value),
        steps: checked,
        retry: retry.map_or(0, |retry| retry.value),
        isolation,
    })
}
