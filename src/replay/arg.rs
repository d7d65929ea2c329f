//! What a workload may bind to a parameter.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// What an argument may look like, for error messages.
pub const EXPECTED: &str = "`sample.column`, null, or one of { value: x }, { text: length }, { choice: [a, b] }, { int: [low, high] }, \
     { now: \"-7 days\" }, { shift: sample.column, by: \"+7 days\" }, { uuid: true }, { present: sample.column, row: 1 }, \
     { any: sample.column, of: 5 }, { rank: sample.column, from: 0.9, to: 1 }, { begins: sample.column, share: 0.01 }, { part: sample.column }";

/// The most values of `any`, and the most rows a call looks beyond its own.
pub const OTHERS_MAX: u32 = 10_000;

/// An argument as a workload file spells it.
#[derive(Debug, Clone, PartialEq)]
pub enum ArgSpec {
    /// A column of the call's row of a sample, as `sample.column`.
    Column(String),
    /// The same with a span added: `sample.column`, span.
    Shift(String, String),
    /// The run's time plus a span.
    Now(String),
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
    /// A value of `sample.column` that is not null, so many rows behind the call's own.
    Present(String, u32),
    /// An array of so many such values.
    Any(String, u32),
    /// A value whose rank among those of `sample.column`, 0 to 1, lies between these.
    Rank(String, f64, f64),
    /// A pattern for values that begin as one of `sample.column` does, and the share of the rows it finds.
    Begins(String, Option<f64>),
    /// A part of a value of `sample.column`, for a pattern that brings its own wild cards.
    Part(String),
}

/// A value in the server's text format; `None` is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, number, boolean or null")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(Some(text.to_owned())))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }

            fn visit_none<E: de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl<'de> Deserialize<'de> for ArgSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ArgVisitor)
    }
}

struct ArgVisitor;

impl<'de> Visitor<'de> for ArgVisitor {
    type Value = ArgSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_unit<E: de::Error>(self) -> Result<ArgSpec, E> {
        Ok(ArgSpec::Value(Scalar(None)))
    }

    fn visit_none<E: de::Error>(self) -> Result<ArgSpec, E> {
        self.visit_unit()
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ArgSpec, E> {
        Ok(ArgSpec::Column(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ArgSpec, A::Error> {
        let unknown = |key: &str| de::Error::custom(format!("unknown argument `{key}`, expected {EXPECTED}"));
        let Some(kind) = map.next_key::<String>()? else { return Err(de::Error::custom(format!("expected {EXPECTED}"))) };
        let spec = match kind.as_str() {
            "value" => ArgSpec::Value(map.next_value()?),
            "text" => ArgSpec::Text(map.next_value()?),
            "now" => ArgSpec::Now(map.next_value()?),
            "choice" => {
                let choices: Vec<Scalar> = map.next_value()?;
                if choices.is_empty() {
                    return Err(de::Error::custom("choice: expected at least one value"));
                }
                ArgSpec::Choice(choices)
            }
            "int" => {
                let [low, high]: [i64; 2] = map.next_value()?;
                if low > high {
                    return Err(de::Error::custom(format!("int: the low bound {low} is above the high bound {high}")));
                }
                ArgSpec::Int(low, high)
            }
            "uuid" => {
                let yes: bool = map.next_value()?;
                if !yes {
                    return Err(de::Error::custom("uuid: expected true"));
                }
                ArgSpec::Uuid
            }
            "present" => {
                let column = map.next_value()?;
                return match map.next_key::<String>()?.as_deref() {
                    None => Ok(ArgSpec::Present(column, 0)),
                    Some("row") => {
                        let row = others(map.next_value()?, "row")?;
                        last(&mut map, kind)?;
                        Ok(ArgSpec::Present(column, row))
                    }
                    Some(other) => Err(unknown(other)),
                };
            }
            "any" => {
                let column = map.next_value()?;
                match map.next_key::<String>()?.as_deref() {
                    Some("of") => ArgSpec::Any(column, others(map.next_value()?, "of")?),
                    Some(other) => return Err(unknown(other)),
                    None => return Err(de::Error::custom("any: expected `of` after it, as in { any: sample.column, of: 5 }")),
                }
            }
            "rank" => {
                let column = map.next_value()?;
                let (mut from, mut to) = (0.0, 1.0);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "from" => from = map.next_value()?,
                        "to" => to = map.next_value()?,
                        other => return Err(unknown(other)),
                    }
                }
                if !(0.0 <= from && from <= to && to <= 1.0) {
                    return Err(de::Error::custom(format!("rank: expected 0 <= from <= to <= 1, found {from} and {to}")));
                }
                return Ok(ArgSpec::Rank(column, from, to));
            }
            "begins" => {
                let column = map.next_value()?;
                return match map.next_key::<String>()?.as_deref() {
                    None => Ok(ArgSpec::Begins(column, None)),
                    Some("share") => {
                        let share: f64 = map.next_value()?;
                        if !(share > 0.0 && share <= 1.0) {
                            return Err(de::Error::custom(format!("share: expected more than 0 and up to 1, found {share}")));
                        }
                        last(&mut map, kind)?;
                        Ok(ArgSpec::Begins(column, Some(share)))
                    }
                    Some(other) => Err(unknown(other)),
                };
            }
            "part" => ArgSpec::Part(map.next_value()?),
            "shift" => {
                let column = map.next_value()?;
                match map.next_key::<String>()?.as_deref() {
                    Some("by") => ArgSpec::Shift(column, map.next_value()?),
                    Some(other) => return Err(unknown(other)),
                    None => {
                        return Err(de::Error::custom("shift: expected `by` after it, as in { shift: sample.column, by: \"+7 days\" }"));
                    }
                }
            }
            other => return Err(unknown(other)),
        };
        last(&mut map, kind)?;
        Ok(spec)
    }
}

/// Refuses whatever else stands in an argument.
fn last<'de, A: MapAccess<'de>>(map: &mut A, kind: String) -> Result<(), A::Error> {
    match map.next_key::<String>()? {
        Some(extra) => Err(de::Error::custom(format!("`{extra}` has no place beside `{kind}`, expected {EXPECTED}"))),
        None => Ok(()),
    }
}

fn others<E: de::Error>(number: u32, key: &str) -> Result<u32, E> {
    if number > OTHERS_MAX || key == "of" && number == 0 {
        return Err(E::custom(format!("{key}: expected {} to {OTHERS_MAX}, found {number}", u32::from(key == "of"))));
    }
    Ok(number)
}
