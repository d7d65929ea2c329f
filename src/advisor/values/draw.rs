//! Values for one parameter: by what it is compared with, by the text around it, by its type.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::SETS_MAX;
use super::captured::Call;
use super::constant::{self, bare, typed};
use super::context::{Hint, hints};
use super::distribution::{Distribution, moment};
use super::{element, pattern};
use crate::advisor::query::{Comparison, ParameterUse, Query};
use crate::catalog::{Oid, Snapshot};

/// Rows a page of results has: what list views and exports ask for.
const LIMITS: [&str; 2] = ["10", "50"];

/// The first page, and one further on.
const OFFSETS: [&str; 2] = ["0", "100"];

/// Lengths of time asked for when nothing is known of the column's: a week, a day, a month.
const AGES_DAYS: [f64; 3] = [7.0, 1.0, 30.0];

/// Shares of a time column's rows before the lower bound of a range: applications ask for the recent.
const RECENT: [f64; 3] = [0.9, 0.99, 0.999];

/// A value of a parameter and its share of the calls.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draw {
    pub(super) weight: f64,
    pub(super) literal: String,
}

/// Draws values for the parameters of one statement.
pub(super) struct Drawer<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query,
    hints: BTreeMap<u32, Hint>,
    columns: BTreeMap<(Oid, &'a str), Distribution>,
    /// Columns with a lower and an upper bound.
    ranged: BTreeSet<(Oid, &'a str)>,
    /// How many parameters were compared for equality with the column so far: those of an `IN` list all differ.
    drawn: BTreeMap<(Oid, &'a str), usize>,
}

impl<'a> Drawer<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, query: &'a Query) -> Self {
        let mut columns = BTreeMap::new();
        let (mut lower, mut upper) = (BTreeSet::new(), BTreeSet::new());
        for usage in query.parameters.values() {
            if let ParameterUse::Column { table, column, comparison } = usage {
                let key = (*table, column.as_str());
                columns.entry(key).or_insert_with(|| Distribution::of(snapshot, *table, column));
                match comparison {
                    Comparison::Above => _ = lower.insert(key),
                    Comparison::Below => _ = upper.insert(key),
                    _ => {}
                }
            }
        }
        let ranged = lower.intersection(&upper).copied().collect();
        Self { snapshot, query, hints: hints(&query.text), columns, ranged, drawn: BTreeMap::new() }
    }

    /// Returns a call's values as literals; parameters the capture left out get likely ones.
    pub(super) fn captured(&mut self, call: &Call, types: &[String]) -> Vec<String> {
        let mut literals = Vec::with_capacity(types.len());
        for (number, type_name) in (1..).zip(types) {
            literals.push(match (call.get(number as usize - 1), self.hints.get(&number)) {
                (Some(None), _) => format!("NULL::{type_name}"),
                // `interval $1 day` was repaired to an interval, of which 5 would be five seconds.
                (Some(Some(value)), Some(Hint::Unit(unit))) if value.parse::<f64>().is_ok() => typed(&format!("{value} {unit}"), type_name),
                (Some(Some(value)), _) => typed(value, type_name),
                (None, _) => self.draws(number, type_name).swap_remove(0).literal,
            });
        }
        literals
    }

    /// Returns values for `$number`, at least one: common, rare, then what lies between.
    pub(super) fn draws(&mut self, number: u32, type_name: &str) -> Vec<Draw> {
        let query = self.query;
        let hint = self.hints.get(&number).copied();
        let values = match (hint, query.parameters.get(&number)) {
            (Some(Hint::Value(value)), _) if !type_name.ends_with("[]") => vec![(value.to_owned(), 1.0)],
            (_, Some(ParameterUse::Limit)) | (Some(Hint::Limit), None) => evenly(LIMITS),
            (_, Some(ParameterUse::Offset)) | (Some(Hint::Offset), None) => evenly(OFFSETS),
            (_, Some(ParameterUse::Column { table, column, comparison })) => self.compared((*table, column), *comparison, hint, type_name),
            (Some(Hint::Unit(unit)), None) => vec![(format!("1 {unit}"), 1.0)],
            _ => Vec::new(),
        };
        let fitting: Vec<Draw> = values
            .into_iter()
            .filter(|(value, _)| constant::fits(value, type_name))
            .map(|(value, weight)| Draw { weight, literal: typed(&value, type_name) })
            .collect();
        if fitting.is_empty() { vec![Draw { weight: 1.0, literal: constant::of(self.snapshot, type_name) }] } else { fitting }
    }

    fn compared(&mut self, key: (Oid, &'a str), comparison: Comparison, hint: Option<Hint>, type_name: &str) -> Vec<(String, f64)> {
        let Some(distribution) = self.columns.get(&key) else { return Vec::new() };
        let (wanted, column) = (bare(type_name), bare(&distribution.type_name));
        let is_time = |name: &str| name == "date" || name.starts_with("timestamp");
        // `at > now() - $1`, `day > current_date - $1`, whatever it was taken for: the parameter's type knows better.
        if comparison == Comparison::Age || is_time(&column) && matches!(wanted.as_str(), "interval" | "integer" | "double precision") {
            return ages(distribution, self.snapshot.taken_at, &wanted, hint);
        }
        let array = wanted.ends_with("[]") && !column.ends_with("[]");
        match comparison {
            Comparison::Equal | Comparison::AnyOf if array => arrays(distribution),
            // `$1 = ANY (column)`.
            Comparison::Equal | Comparison::AnyOf if column.ends_with("[]") && !wanted.ends_with("[]") => {
                element::draws(distribution, &wanted)
            }
            Comparison::Equal | Comparison::AnyOf | Comparison::Age => {
                let before = self.drawn.entry(key).or_default();
                *before += 1;
                equal(distribution, *before - 1)
            }
            Comparison::Above | Comparison::Below => {
                let shares = shares(comparison == Comparison::Above, self.ranged.contains(&key), is_time(&column));
                evenly(shares.iter().filter_map(|share| distribution.quantile(*share)))
            }
            Comparison::Pattern => pattern::draws(distribution, hint),
            Comparison::Elements => element::draws(distribution, &wanted),
        }
    }
}

/// Gives each the same weight.
pub(super) fn evenly<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Vec<(String, f64)> {
    let values: Vec<String> = values.into_iter().map(Into::into).collect();
    let weight = 1.0 / values.len().max(1) as f64;
    values.into_iter().map(|value| (value, weight)).collect()
}

/// Values to be equal to. `skip` parameters were compared with the column before this one.
fn equal(distribution: &Distribution, skip: usize) -> Vec<(String, f64)> {
    if distribution.is_empty() {
        return Vec::new();
    }
    let value = |place: usize| -> String {
        // More of them than values known: numbers between the known ones are there too, most likely.
        match distribution.bounds.first().filter(|bound| skip >= distribution.len() && bound.parse::<i64>().is_ok()) {
            Some(_) => distribution.quantile(golden(skip)).unwrap_or_default(),
            None => distribution.known(place + skip).to_owned(),
        }
    };
    places(distribution).into_iter().map(|(place, weight)| (value(place), weight)).collect()
}

/// Which known values stand for all, with their shares: common, rare, middle.
fn places(distribution: &Distribution) -> Vec<(usize, f64)> {
    let share = |at: usize| distribution.common[at].1.max(0.0);
    let count = distribution.common.len();
    let outside = if distribution.bounds.is_empty() { 0.0 } else { 1.0 - distribution.common_share() };
    let middle = (distribution.place(0.5), outside);
    match count {
        // Unique, or no value more common than others.
        0 => [0.5, 0.05, 0.95].map(|share| (distribution.place(share), 1.0 / 3.0)).into(),
        // Few: each in its own set, so that every partial index can be met.
        1..SETS_MAX => {
            let mut places = vec![(0, share(0))];
            places.extend((outside > 0.0).then_some(middle));
            places.extend((1..count).rev().map(|at| (at, share(at))));
            places
        }
        SETS_MAX if outside == 0.0 => [0, 4, 2, 1, 3].map(|at| (at, share(at))).into(),
        _ => {
            // The first stands for the upper half of the common rows, the middle one for the rest.
            let half = distribution.common_share() / 2.0;
            let mut sum = 0.0;
            let upper: f64 = (0..count)
                .map(share)
                .take_while(|share| {
                    let first = sum == 0.0;
                    sum += share;
                    first || sum <= half
                })
                .sum();
            let rare = if outside > 0.0 { middle } else { (count - 1, share(count - 1)) };
            vec![(0, upper), rare, (count / 2, (distribution.common_share() - upper).max(0.0))]
        }
    }
}

/// 0 to 1, spread evenly however many are taken.
fn golden(at: usize) -> f64 {
    (at as f64 * 0.618_033_988_749_895).fract()
}

/// Arrays of values to be equal to any of: three common ones, five rare ones.
fn arrays(distribution: &Distribution) -> Vec<(String, f64)> {
    if distribution.is_empty() {
        return Vec::new();
    }
    let array = |(place, weight): (usize, f64), size: usize| {
        let mut values: Vec<&str> = Vec::new();
        for value in (place..place + size).map(|at| distribution.known(at)) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        (array_text(&values), weight)
    };
    places(distribution).into_iter().zip([3, 5, 4, 3, 5]).map(|(place, size)| array(place, size)).collect()
}

/// Returns an array's text: `{"a","b"}`.
pub(super) fn array_text(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", quoted.join(","))
}

/// Shares of the rows below a bound. Set by set, a lower bound is below the upper one.
fn shares(lower: bool, both: bool, time: bool) -> [f64; 3] {
    match (lower, both, time) {
        (true, _, true) => RECENT,
        (false, true, true) => [1.0, 1.0, 1.0],
        // Pages from the newest backwards, and old rows to be removed.
        (false, false, true) => [0.9, 0.05, 0.5],
        (true, true, false) => [0.45, 0.98, 0.2],
        (false, true, false) => [0.55, 0.99, 0.5],
        (true, false, false) => [0.9, 0.99, 0.5],
        (false, false, false) => [0.1, 0.01, 0.5],
    }
}

/// Lengths of time back from now that reach the recent end of the column.
fn ages(distribution: &Distribution, taken_at: Timestamp, type_name: &str, hint: Option<Hint>) -> Vec<(String, f64)> {
    let known = RECENT.map(|share| {
        let moment = moment(&distribution.quantile(share)?)?;
        Some((taken_at.as_second() - moment.as_second()) as f64 / 86_400.0).filter(|days| *days > 0.0)
    });
    let days = (0..3).map(|at| known[at].unwrap_or(AGES_DAYS[at]));
    let spelled = |days: f64| match (type_name, hint) {
        ("interval", Some(Hint::Unit(unit))) => format!("{} {unit}", (days * per_day(unit)).ceil()),
        ("interval" | "text", _) if days >= 2.0 => format!("{} days", days.round()),
        ("interval" | "text", _) if days >= 0.1 => format!("{} hours", (days * 24.0).ceil()),
        ("interval" | "text", _) => format!("{} minutes", (days * 1440.0).ceil()),
        // Subtracted as it is: a point in time after all.
        (name, _) if name.starts_with("timestamp") || name == "date" => {
            let moment = taken_at - jiff::SignedDuration::from_secs((days * 86_400.0) as i64);
            moment.strftime("%Y-%m-%d %H:%M:%S+00").to_string()
        }
        _ => format!("{}", days.ceil()),
    };
    evenly(days.map(spelled))
}

fn per_day(unit: &str) -> f64 {
    match unit {
        "year" => 1.0 / 365.0,
        "month" => 1.0 / 30.0,
        "hour" => 24.0,
        "minute" => 1440.0,
        "second" => 86_400.0,
        _ => 1.0,
    }
}
