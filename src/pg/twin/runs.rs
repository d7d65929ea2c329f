//! How many neighbouring rows of a column share the result of an expression.
//!
//! A histogram's bounds lie far apart, so an expression that only rounds (`at::date`, `date_trunc('hour', at)`) gives each of
//! them a result of its own, and they tell nothing of how many results there are. Two values a little apart do: the distance at
//! which every second pair still shares a result is half a run.

use tokio_postgres::Client;

use super::error::said;
use crate::catalog::Column;
use crate::catalog::name::quoted;

/// Types whose values can be added to a part of the distance between two others.
const MEASURED: &[&str] = &["timestamp", "smallint", "integer", "bigint", "numeric", "real", "double precision"];

/// Returns how many rows in a row have the same result, of a column whose `rows` lie evenly between the histogram's bounds;
/// `None` where that cannot be measured.
pub(super) async fn mean_length(
    client: &Client,
    expression: &str,
    column: &Column,
    histogram: &[String],
    rows: f64,
) -> Result<Option<f64>, String> {
    let bucket = rows / histogram.len().saturating_sub(1).max(1) as f64;
    let measured = MEASURED.iter().any(|name| column.type_name.starts_with(name));
    if !measured || histogram.len() < 2 || bucket < 2.0 {
        return Ok(None);
    }
    let distances: Vec<f64> = std::iter::successors(Some(1.0), |rows: &f64| Some(rows * 2.0)).take_while(|rows| *rows <= bucket).collect();
    let parts: Vec<f64> = distances.iter().map(|distance| distance / bucket).collect();
    let (name, type_name) = (quoted(&column.name), &column.type_name);
    let sql = format!(
        "with bounds as (select u.value::{type_name} as v, u.place from pg_catalog.unnest($1::text[]) with ordinality as u (value, place)), \
         pairs as (select b.v as lower, pg_catalog.lead(b.v) over (order by b.place) as upper from bounds as b) \
         select pg_catalog.avg((one.result is not distinct from two.result)::int4)::float8 \
         from pg_catalog.unnest($2::float8[]) with ordinality as s (part, place) cross join pairs as p \
         cross join lateral (select ({expression}) as result from (select p.lower as {name}) as x) as one \
         cross join lateral (select ({expression}) as result from (select (p.lower + (p.upper - p.lower) * s.part)::{type_name} as {name}) as x) as two \
         where p.upper is not null group by s.place order by s.place"
    );
    let rows = client.query(&sql, &[&histogram, &parts]).await.map_err(|error| said(&error))?;
    let shared: Vec<f64> = rows.iter().map(|row| row.get(0)).collect();
    Ok(length(&distances, &shared))
}

/// Returns the length of a run of which so many pairs at these distances share a result: `1 - distance / length`.
fn length(distances: &[f64], shared: &[f64]) -> Option<f64> {
    let middle = |share: f64| (share - 0.5).abs();
    let (distance, share) = distances.iter().zip(shared).min_by(|(_, one), (_, other)| middle(**one).total_cmp(&middle(**other)))?;
    (*share > 0.0 && *share < 1.0).then(|| distance / (1.0 - share))
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn a_run_is_twice_the_distance_at_which_every_second_pair_shares() {
        assert_eq!(length(&[1.0, 2.0, 4.0, 8.0], &[0.9, 0.8, 0.6, 0.2]), Some(10.0));
        assert_eq!(length(&[1.0, 2.0], &[0.0, 0.0]), None, "every row has a result of its own");
        assert_eq!(length(&[1.0, 2.0], &[1.0, 1.0]), None, "runs are longer than what was looked at");
    }
}
