//! Extended statistics in the server's own binary form: before 19 their types take no text.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::error::{TwinError, said, while_doing};
use super::statistics::Attributes;
use super::{Unmodelled, combinations};
use crate::catalog::{ExtendedStatistics, Oid, QualifiedName, Relations, Snapshot, Table};

/// `STATS_NDISTINCT_MAGIC`.
const DISTINCT_MAGIC: u32 = 0xA352_BFA4;
/// `STATS_DEPS_MAGIC`.
const DEPENDENCIES_MAGIC: u32 = 0xB454_9A2C;
/// Both layouts' `…_TYPE_BASIC`.
const BASIC: u32 = 1;

/// Casts between types of the same physical form.
const CASTS: &[&str] = &["bytea as pg_ndistinct", "bytea as pg_dependencies", "bytea as pg_mcv_list", "numeric as bytea"];

/// Writes what ANALYZE found for every extended statistics object; returns what could not be written.
pub(super) async fn write(
    client: &Client,
    snapshot: &Snapshot,
    attributes: &Attributes,
    local_major: u32,
) -> Result<Vec<Unmodelled>, TwinError> {
    let relations = Relations::new(snapshot);
    let mut notes = Vec::new();
    if snapshot.extended_statistics.is_empty() {
        return Ok(notes);
    }
    // These types take no text, and nothing else gives numeric's bytes: casts that change nothing, while they are needed.
    let casts: String = CASTS.iter().map(|cast| format!("create cast ({cast}) without function;")).collect();
    client.batch_execute(&casts).await.map_err(while_doing("prepare extended statistics"))?;
    let here = oids(client).await?;
    for statistics in &snapshot.extended_statistics {
        let (Some(found), Some(table), Some(oid)) = (&statistics.found, relations.table(statistics.table), here.get(&statistics.name))
        else {
            continue;
        };
        let number = |source: i16| local_number(source, table, attributes);
        let distinct = found.distinct.as_deref().map(|text| distinct(text, &number));
        let dependencies = found.dependencies.as_deref().map(|text| dependencies(text, &number));
        let note = |reason: String| note(statistics, reason);
        if matches!(distinct, Some(None)) || matches!(dependencies, Some(None)) {
            notes.push(note("its text is not understood".to_owned()));
        }
        let combinations = match found.common_values.is_empty() {
            true => None,
            false => match types_of(statistics, table, attributes) {
                Some(types) => combinations::stored(client, found, &types).await.map_err(|reason| notes.push(note(reason))).ok(),
                None => {
                    notes.push(note("most common combinations over expressions are not modelled".to_owned()));
                    None
                }
            },
        };
        let (distinct, dependencies) = (distinct.flatten(), dependencies.flatten());
        // Before 15 there is one row for a table with and without its children.
        let inherited = if local_major >= 15 { ("stxdinherit, ", "$5::bool, ") } else { ("", "") };
        let sql = format!(
            "insert into pg_catalog.pg_statistic_ext_data (stxoid, {}stxdndistinct, stxddependencies, stxdmcv) \
             values ($1::oid, {}($2::bytea)::pg_ndistinct, ($3::bytea)::pg_dependencies, ($4::bytea)::pg_mcv_list)",
            inherited.0, inherited.1
        );
        let answer = if local_major >= 15 {
            client.execute(&sql, &[oid, &distinct, &dependencies, &combinations, &found.inherited]).await
        } else {
            client
                .execute("delete from pg_catalog.pg_statistic_ext_data where stxoid = $1", &[oid])
                .await
                .map_err(while_doing("write extended statistics"))?;
            client.execute(&sql, &[oid, &distinct, &dependencies, &combinations]).await
        };
        if let Err(error) = answer {
            notes.push(note(said(&error)));
        }
    }
    let casts: String = CASTS.iter().map(|cast| format!("drop cast ({cast});")).collect();
    client.batch_execute(&casts).await.map_err(while_doing("finish extended statistics"))?;
    Ok(notes)
}

/// Returns the types of the columns; `None` when there are expressions among them or a column is not here.
fn types_of(statistics: &ExtendedStatistics, table: &Table, attributes: &Attributes) -> Option<Vec<Oid>> {
    let types = statistics.columns.iter().map(|column| attributes.named(&table.name, column).map(|found| found.type_oid));
    types.collect::<Option<Vec<Oid>>>().filter(|_| statistics.expressions.is_empty())
}

fn note(statistics: &ExtendedStatistics, reason: String) -> Unmodelled {
    let tables = [statistics.table].into_iter().collect();
    Unmodelled { kind: "extended statistics".to_owned(), name: statistics.name.to_string(), reason, tables }
}

async fn oids(client: &Client) -> Result<HashMap<QualifiedName, Oid>, TwinError> {
    let sql = "select n.nspname::text, s.stxname::text, s.oid from pg_catalog.pg_statistic_ext s \
               join pg_catalog.pg_namespace n on n.oid = s.stxnamespace";
    let rows = client.query(sql, &[]).await.map_err(while_doing("list extended statistics"))?;
    Ok(rows.iter().map(|row| (QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)), row.get(2))).collect())
}

/// Returns a column's number here; expressions are negative and the same everywhere.
fn local_number(source: i16, table: &Table, attributes: &Attributes) -> Option<i16> {
    if source < 0 {
        return Some(source);
    }
    let column = table.columns.iter().find(|column| column.number == source)?;
    Some(attributes.named(&table.name, &column.name)?.number)
}

/// Reads `{"1, 2": 150}` into `MVNDistinct` as the server stores it.
fn distinct(text: &str, number: &dyn Fn(i16) -> Option<i16>) -> Option<Vec<u8>> {
    let items: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let mut bytes = header(DISTINCT_MAGIC, items.len());
    for (columns, count) in &items {
        let numbers = columns.split(',').map(|column| number(column.trim().parse().ok()?)).collect::<Option<Vec<i16>>>()?;
        bytes.extend(count.as_f64()?.to_ne_bytes());
        bytes.extend(i32::try_from(numbers.len()).ok()?.to_ne_bytes());
        numbers.iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
    }
    Some(bytes)
}

/// Reads `{"1 => 2": 0.93, "1, 2 => 3": 1.0}` into `MVDependencies` as the server stores it.
fn dependencies(text: &str, number: &dyn Fn(i16) -> Option<i16>) -> Option<Vec<u8>> {
    let items: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let mut bytes = header(DEPENDENCIES_MAGIC, items.len());
    for (columns, degree) in &items {
        let (from, to) = columns.split_once("=>")?;
        let numbers = from.split(',').chain([to]).map(|column| number(column.trim().parse().ok()?)).collect::<Option<Vec<i16>>>()?;
        bytes.extend(degree.as_f64()?.to_ne_bytes());
        bytes.extend(i16::try_from(numbers.len()).ok()?.to_ne_bytes());
        numbers.iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
    }
    Some(bytes)
}

fn header(magic: u32, items: usize) -> Vec<u8> {
    [magic, BASIC, u32::try_from(items).unwrap_or(0)].into_iter().flat_map(u32::to_ne_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_counts_take_their_place_with_local_numbers() {
        let bytes = distinct(r#"{"1, 3": 150, "1, -1": 7}"#, &|number| Some(if number > 0 { number + 1 } else { number })).expect("bytes");
        assert_eq!(bytes.len(), 12 + 2 * (8 + 4 + 2 * 2));
        assert_eq!(bytes[8..12], 2_u32.to_ne_bytes());
        assert_eq!(bytes[12..20], 150_f64.to_ne_bytes());
        assert_eq!(
            (&bytes[20..24], &bytes[24..26], &bytes[26..28]),
            (&2_i32.to_ne_bytes()[..], &2_i16.to_ne_bytes()[..], &4_i16.to_ne_bytes()[..])
        );
        assert_eq!(bytes[42..44], (-1_i16).to_ne_bytes());
    }

    #[test]
    fn dependencies_end_with_what_is_implied() {
        let bytes = dependencies(r#"{"1, 2 => 3": 0.5}"#, &Some).expect("bytes");
        assert_eq!(bytes.len(), 12 + 8 + 2 + 3 * 2);
        assert_eq!(bytes[20..22], 3_i16.to_ne_bytes());
        assert_eq!(bytes[26..28], 3_i16.to_ne_bytes());
    }

    #[test]
    fn a_column_that_is_not_here_makes_it_unreadable() {
        assert_eq!(distinct(r#"{"1, 2": 150}"#, &|_| None), None);
        assert_eq!(dependencies("nonsense", &Some), None);
    }
}
