//! Statistics of a candidate's expressions, worked out from those of the column they read.
//!
//! ANALYZE keeps statistics of an index's expressions once the index is there, and the planner uses them. The twin has no
//! rows to look at, but it has the column's common values and histogram: the expression over these is what ANALYZE would
//! find, as far as they stand for all values.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::error::said;
use super::runs;
use crate::catalog::name::quoted;
use crate::catalog::{Column, ColumnStatistics, Table};

/// How many combinations of known values of several columns are looked at.
const COMBINATIONS: usize = 200;

/// Returns what ANALYZE would find in the values of an expression over columns of the table; `None` when nothing is known of one.
pub(super) async fn derived(client: &Client, expression: &str, table: &Table) -> Result<Option<ColumnStatistics>, String> {
    let read: Vec<&Column> = table.columns.iter().filter(|column| names(expression, &quoted(&column.name))).collect();
    match read.as_slice() {
        [] => Ok(None),
        [only] => of_one(client, expression, only, table.rows_now()).await,
        several => of_several(client, expression, several, table.rows_now()).await,
    }
}

/// Returns whether the text holds the name as a whole word outside string literals.
fn names(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
    let found = |piece: &str| {
        piece
            .match_indices(name)
            .any(|(at, _)| !piece[..at].ends_with(part) && !piece[at + name.len()..].starts_with(|c| part(c) || c == '('))
    };
    text.split('\'').step_by(2).any(found)
}

async fn of_one(client: &Client, expression: &str, column: &Column, rows: f64) -> Result<Option<ColumnStatistics>, String> {
    let Some(of_column) = &column.statistics else { return Ok(None) };
    if of_column.common_values.is_empty() && of_column.histogram.is_empty() {
        return Ok(None);
    }
    let common = evaluated(client, expression, column, &of_column.common_values, "u.place").await?;
    let histogram = evaluated(client, expression, column, &of_column.histogram, &format!("({expression})")).await?;
    let mut found = merged(of_column, &common, &histogram, rows);
    let spread = rows * (1.0 - of_column.null_fraction - of_column.common_frequencies.iter().sum::<f64>()).max(0.0);
    if let Some(run) = runs::mean_length(client, expression, column, &of_column.histogram, spread).await? {
        let results = spread / run + found.common_values.len() as f64;
        let known = if found.distinct < 0.0 { -found.distinct * rows } else { found.distinct };
        if results < known {
            found.distinct = results;
        }
    }
    Ok(Some(found))
}

/// Several columns have no common order, and nothing is known of which values meet: how many results there are is all that
/// combinations at random can tell.
async fn of_several(client: &Client, expression: &str, columns: &[&Column], rows: f64) -> Result<Option<ColumnStatistics>, String> {
    let mut known: Vec<Vec<&str>> = Vec::new();
    let mut distinct: f64 = 1.0;
    for column in columns {
        let Some(statistics) = &column.statistics else { return Ok(None) };
        let values: Vec<&str> = statistics.common_values.iter().chain(&statistics.histogram).map(String::as_str).collect();
        if values.is_empty() {
            return Ok(None);
        }
        distinct *= statistics.distinct_values(rows);
        known.push(values);
    }
    // Every list is walked at a pace of its own, so that the same values seldom meet twice.
    let pick = |at: usize, of: usize| known[of][(at * (2 * of + 1) + at / known[of].len() * of) % known[of].len()].to_owned();
    let lists: Vec<Vec<String>> = (0..columns.len()).map(|of| (0..COMBINATIONS).map(|at| pick(at, of)).collect()).collect();
    let unnested: Vec<String> = (1..=columns.len()).map(|number| format!("${number}::text[]")).collect();
    let named: Vec<String> = (1..=columns.len()).map(|number| format!("v{number}")).collect();
    let typed: Vec<String> =
        columns.iter().zip(&named).map(|(column, value)| format!("u.{value}::{} as {}", column.type_name, quoted(&column.name))).collect();
    let sql = format!(
        "select ({expression})::text, coalesce(pg_catalog.pg_column_size({expression}), 0)::int4, u.place \
         from rows from ({}) with ordinality as u ({}, place) cross join lateral (select {}) as one order by u.place",
        unnested.iter().map(|list| format!("pg_catalog.unnest({list})")).collect::<Vec<_>>().join(", "),
        named.join(", "),
        typed.join(", ")
    );
    let parameters: Vec<&(dyn ToSql + Sync)> = lists.iter().map(|list| list as &(dyn ToSql + Sync)).collect();
    let answer = client.query(&sql, &parameters).await.map_err(|error| said(&error))?;
    let mut values: Vec<Value> = answer.iter().map(|row: &Row| (row.get(0), row.get(1), row.get(2))).collect();
    let (count, nulls) = (values.len().max(1) as f64, values.iter().filter(|value| value.0.is_none()).count() as f64);
    let width = values.iter().map(|value| f64::from(value.1)).sum::<f64>() / count;
    // The same combination twice says nothing.
    let mut seen = BTreeSet::new();
    values.retain(|value| {
        let at = usize::try_from(value.2).unwrap_or_default().saturating_sub(1);
        seen.insert(lists.iter().map(|list| list.get(at).cloned()).collect::<Vec<_>>())
    });
    let inputs = ColumnStatistics { distinct: distinct.min(rows), ..ColumnStatistics::default() };
    let (distinct, _) = self::distinct(&inputs, values.iter(), rows);
    Ok(Some(ColumnStatistics { null_fraction: nulls / count, width: width.round() as u32, distinct, ..ColumnStatistics::default() }))
}

/// A value as text, its size in bytes, and its place among the inputs from 1.
type Value = (Option<String>, i32, i64);

async fn evaluated(client: &Client, expression: &str, column: &Column, values: &[String], order: &str) -> Result<Vec<Value>, String> {
    let (name, type_name) = (quoted(&column.name), &column.type_name);
    // The expression calls what it names with its schema, or in pg_catalog: the search path does not matter here.
    let sql = format!(
        "select ({expression})::text, coalesce(pg_catalog.pg_column_size({expression}), 0)::int4, u.place \
         from pg_catalog.unnest($1::text[]) with ordinality as u (value, place) \
         cross join lateral (select u.value::{type_name} as {name}) as one order by {order}, u.place"
    );
    let rows = client.query(&sql, &[&values]).await.map_err(|error| said(&error))?;
    Ok(rows.iter().map(|row: &Row| (row.get(0), row.get(1), row.get(2))).collect())
}

/// Merges equal results: shares of common values add up, and a value that fills more buckets than chance explains is a common one.
fn merged(of_column: &ColumnStatistics, common: &[Value], histogram: &[Value], rows: f64) -> ColumnStatistics {
    let mut null_fraction = of_column.null_fraction;
    let mut shares: Vec<(String, f64)> = Vec::new();
    let mut add = |value: &Option<String>, share: f64, null_fraction: &mut f64| match value {
        None => *null_fraction += share,
        Some(value) => match shares.iter_mut().find(|(known, _)| known == value) {
            Some((_, total)) => *total += share,
            None => shares.push((value.clone(), share)),
        },
    };
    for (value, _, place) in common {
        let share = usize::try_from(*place).ok().and_then(|place| of_column.common_frequencies.get(place.checked_sub(1)?));
        add(value, share.copied().unwrap_or(0.0), &mut null_fraction);
    }
    let (distinct, common_run) = distinct(of_column, common.iter().chain(histogram), rows);
    let common_run = common_run * histogram.len() as f64 / (common.len() + histogram.len()).max(1) as f64;
    let rest = (1.0 - of_column.null_fraction - of_column.common_frequencies.iter().sum::<f64>()).max(0.0);
    let mut bounds = Vec::new();
    for run in histogram.chunk_by(|one, other| one.0 == other.0) {
        match &run[0].0 {
            Some(value) if run.len() == 1 || (run.len() as f64) < common_run => bounds.extend(run.iter().map(|_| value.clone())),
            value => add(value, rest * run.len() as f64 / histogram.len() as f64, &mut null_fraction),
        }
    }
    bounds.retain(|bound| !shares.iter().any(|(value, _)| value == bound));
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    let sizes: Vec<i32> = common.iter().chain(histogram).map(|(_, size, _)| *size).collect();
    let width = sizes.iter().map(|size| f64::from(*size)).sum::<f64>() / sizes.len().max(1) as f64;
    ColumnStatistics {
        null_fraction: null_fraction.min(1.0),
        width: width.round() as u32,
        distinct,
        common_frequencies: shares.iter().map(|(_, share)| *share).collect(),
        common_values: shares.into_iter().map(|(value, _)| value).collect(),
        histogram: if bounds.len() > 1 { bounds } else { Vec::new() },
        ..ColumnStatistics::default()
    }
}

/// Estimates how many results there are, as `pg_stats.n_distinct` says it, from how often two known values have the same one; and
/// how often a result has to come among these values to be more common than others.
///
/// Of `n` values drawn at random among `d` equally frequent results, `n (n - 1) / 2d` pairs coincide on average: the birthday
/// problem turned round. Where nothing coincides there are as many results as values.
fn distinct<'v>(of_column: &ColumnStatistics, values: impl Iterator<Item = &'v Value>, rows: f64) -> (f64, f64) {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    values.filter_map(|(value, _, _)| value.as_deref()).for_each(|value| *counts.entry(value).or_default() += 1.0);
    let (inputs, results) = (counts.values().sum::<f64>(), counts.len() as f64);
    let pairs = |count: f64| count * (count - 1.0) / 2.0;
    let alike: f64 = counts.values().map(|count| pairs(*count)).sum();
    let of_values = if of_column.distinct < 0.0 { -of_column.distinct * rows } else { of_column.distinct };
    if of_values <= inputs {
        // Every value of the column is known, so every result is.
        return (results, 2.0);
    }
    let estimate = if alike > 0.0 { (pairs(inputs) / alike).max(results) } else { of_values };
    let mean = inputs / estimate.min(of_values);
    // Counts of equally frequent results scatter by the root of their mean; two more, since there are many that may.
    let chance = mean + 3.0 * mean.sqrt() + 2.0;
    (if estimate >= of_values { of_column.distinct } else { estimate }, chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, place: i64) -> Value {
        (Some(text.to_owned()), 4, place)
    }

    #[test]
    fn equal_results_share_their_frequency() {
        let of_column = ColumnStatistics {
            common_values: vec!["A".into(), "a".into(), "b".into()],
            common_frequencies: vec![0.3, 0.2, 0.1],
            histogram: vec!["c".into(), "d".into(), "D".into(), "e".into()],
            distinct: 7.0,
            ..ColumnStatistics::default()
        };
        let found = merged(
            &of_column,
            &[value("a", 1), value("a", 2), value("b", 3)],
            &[value("c", 1), value("d", 2), value("d", 3), value("e", 4)],
            1_000.0,
        );
        assert_eq!(found.common_values, ["a", "d", "b"]);
        let shares: Vec<i64> = found.common_frequencies.iter().map(|share| (share * 1000.0).round() as i64).collect();
        assert_eq!(shares, [500, 200, 100]);
        assert_eq!(found.histogram, ["c", "e"]);
        assert!((found.distinct - 5.0).abs() < 0.1, "{}", found.distinct);
    }

    #[test]
    fn coincidences_tell_how_many_results_there_are() {
        let unique = ColumnStatistics { distinct: -1.0, ..ColumnStatistics::default() };
        let of = |texts: Vec<u64>| {
            let values: Vec<Value> = texts.iter().zip(1..).map(|(text, place)| value(&text.to_string(), place)).collect();
            distinct(&unique, values.iter(), 60_000.0).0
        };
        let mut state = 1_u64;
        let mut drawn = |of: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % of
        };
        let [ten, many] = [10, 200].map(|results| of((0..501).map(|_| drawn(results)).collect()));
        assert!((ten / 10.0 - 1.0).abs() < 0.2 && (many / 200.0 - 1.0).abs() < 0.2, "{ten} {many}");
        assert_eq!(of((0..101).collect()), -1.0, "nothing coincides");
    }

    #[test]
    fn what_coincides_by_chance_is_not_common() {
        let unique = ColumnStatistics { distinct: -1.0, ..ColumnStatistics::default() };
        let with = |heavy: i64| {
            let mut texts: Vec<String> = (0..100 - heavy).map(|at| (at * at % 89).to_string()).collect();
            texts.extend((0..heavy).map(|_| "heavy".to_owned()));
            texts.sort();
            let values: Vec<Value> = texts.iter().zip(1..).map(|(text, place)| value(text, place)).collect();
            merged(&unique, &[], &values, 60_000.0)
        };
        assert_eq!((with(3).common_values, with(3).histogram.len()), (Vec::new(), 100));
        assert_eq!((with(30).common_values, with(30).common_frequencies), (vec!["heavy".to_owned()], vec![0.3]));
    }

    #[test]
    fn results_that_are_null_count_as_null() {
        let of_column = ColumnStatistics {
            common_values: vec!["".into()],
            common_frequencies: vec![0.25],
            null_fraction: 0.1,
            ..ColumnStatistics::default()
        };
        assert!((merged(&of_column, &[(None, 0, 1)], &[], 1_000.0).null_fraction - 0.35).abs() < 1e-9);
    }

    #[test]
    fn names_are_whole_words_outside_literals() {
        assert!(names("lower(email)", "email") && names("(doc ->> 'k'::text)", "doc"));
        assert!(!names("lower(email)", "mail") && !names("(doc ->> 'k'::text)", "k") && !names("lower(x)", "lower"));
    }
}
