//! Most common combinations of extended statistics, in the binary form of `mcv.c`.
//!
//! The form holds values as the server holds them in memory. They are made from text by the types' own input functions and
//! taken from their send functions where these show the same bytes; other types are not modelled.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::error::said;
use crate::catalog::{ExtendedFound, Oid};

/// `STATS_MCV_MAGIC` and its only layout.
const MAGIC: u32 = 0xE1A6_51C2;
const BASIC: u32 = 1;

/// Send functions whose answer is the value's bytes after its header.
const PLAIN: &[&str] = &["textsend", "varcharsend", "bpcharsend", "byteasend", "citextsend"];

/// How the server holds values of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Layout {
    type_oid: Oid,
    length: i16,
    by_value: bool,
    /// The expression over `v`, of the column's type, that gives the bytes.
    bytes: String,
    /// Whether those come most significant first, unlike in memory.
    reversed: bool,
    type_name: String,
}

/// One column's different values and where each is among them.
struct Dimension {
    layout: Layout,
    values: Vec<Vec<u8>>,
    places: BTreeMap<String, u16>,
}

/// Returns the list as the server stores it, for columns of these types.
pub(super) async fn stored(client: &Client, found: &ExtendedFound, types: &[Oid]) -> Result<Vec<u8>, String> {
    let mut dimensions = Vec::with_capacity(types.len());
    for (at, type_oid) in types.iter().enumerate() {
        let layout = layout(client, *type_oid).await?;
        let texts: Vec<&str> = found.common_values.iter().filter_map(|row| row.get(at)?.as_deref()).collect();
        dimensions.push(dimension(client, layout, &texts).await?);
    }
    serialised(found, &dimensions).ok_or_else(|| "most common combinations have another number of columns".to_owned())
}

async fn layout(client: &Client, type_oid: Oid) -> Result<Layout, String> {
    let sql = "with recursive base as (
            select t.oid, t.typbasetype from pg_catalog.pg_type t where t.oid = $1
            union all
            select t.oid, t.typbasetype from base join pg_catalog.pg_type t on t.oid = base.typbasetype
        )
        select t.typlen, t.typbyval, t.typtype::text, p.proname::text, pg_catalog.format_type($1, null)
        from base
        join pg_catalog.pg_type t on t.oid = base.oid
        join pg_catalog.pg_proc p on p.oid = t.typsend
        where base.typbasetype = 0";
    let row = client.query_one(sql, &[&type_oid]).await.map_err(|error| said(&error))?;
    let (length, by_value, kind, send, type_name): (i16, bool, String, String, String) =
        (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
    let bytes = match (kind.as_str(), send.as_str()) {
        ("e", _) => {
            "(select pg_catalog.oidsend(e.oid) from pg_catalog.pg_enum e where e.enumtypid = $2 and e.enumlabel = v::text)".to_owned()
        }
        // The cast without a function is there while extended statistics are written.
        ("b", "numeric_send") => "v::bytea".to_owned(),
        ("b", send) if by_value || PLAIN.contains(&send) || send == "uuid_send" => format!("{send}(v)"),
        _ => return Err(format!("most common combinations of type {type_name} are not modelled")),
    };
    Ok(Layout { type_oid, length, by_value, bytes, reversed: by_value, type_name })
}

async fn dimension(client: &Client, layout: Layout, texts: &[&str]) -> Result<Dimension, String> {
    let mut distinct: Vec<&str> = texts.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let sql = format!(
        "select {} from pg_catalog.unnest($1::text[]) with ordinality as u (value, place) cross join lateral (select u.value::{} as v) as one order by u.place",
        layout.bytes, layout.type_name
    );
    let parameters: [&(dyn ToSql + Sync); 2] = [&distinct, &layout.type_oid];
    let rows = client.query(&sql, &parameters[..if sql.contains("$2") { 2 } else { 1 }]).await.map_err(|error| said(&error))?;
    let mut values = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut bytes: Vec<u8> = row.try_get(0).map_err(|error| said(&error))?;
        if layout.reversed {
            bytes.reverse();
        }
        values.push(bytes);
    }
    let places = distinct.into_iter().map(str::to_owned).zip(0..).collect();
    Ok(Dimension { layout, values, places })
}

/// Lays the list out; integers are in the machine's order, which is the server's.
fn serialised(found: &ExtendedFound, dimensions: &[Dimension]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for number in [MAGIC, BASIC, u32::try_from(found.common_values.len()).ok()?] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(i16::try_from(dimensions.len()).ok()?.to_ne_bytes());
    dimensions.iter().for_each(|dimension| bytes.extend(dimension.layout.type_oid.to_ne_bytes()));
    for Dimension { layout, values, .. } in dimensions {
        let data: usize = values.iter().map(Vec::len).sum();
        let (stored, aligned) = match (layout.by_value, layout.length) {
            (true, _) => (data, 0),
            (false, 0..) => (data, values.iter().map(|value| value.len().next_multiple_of(8)).sum()),
            // A length of four bytes before each when stored, a header of four when read.
            (false, _) => (data + 4 * values.len(), values.iter().map(|value| (4 + value.len()).next_multiple_of(8)).sum::<usize>()),
        };
        for number in [values.len(), stored, aligned] {
            bytes.extend(i32::try_from(number).ok()?.to_ne_bytes());
        }
        bytes.extend(i32::from(layout.length).to_ne_bytes());
        bytes.extend([u8::from(layout.by_value), 0, 0, 0]);
    }
    for Dimension { layout, values, .. } in dimensions {
        for value in values {
            if layout.length < 0 {
                bytes.extend(u32::try_from(value.len()).ok()?.to_ne_bytes());
            }
            bytes.extend(value);
        }
    }
    for (at, row) in found.common_values.iter().enumerate() {
        if row.len() != dimensions.len() {
            return None;
        }
        bytes.extend(row.iter().map(|value| u8::from(value.is_none())));
        bytes.extend(found.common_frequencies.get(at)?.to_ne_bytes());
        bytes.extend(found.common_base_frequencies.get(at)?.to_ne_bytes());
        for (value, dimension) in row.iter().zip(dimensions) {
            let place = value.as_ref().map_or(Some(0), |value| dimension.places.get(value).copied())?;
            bytes.extend(place.to_ne_bytes());
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimension(type_oid: Oid, length: i16, by_value: bool, values: &[(&str, &[u8])]) -> Dimension {
        let layout = Layout { type_oid, length, by_value, bytes: String::new(), reversed: by_value, type_name: String::new() };
        let places = values.iter().map(|(text, _)| (*text).to_owned()).zip(0..).collect();
        Dimension { layout, values: values.iter().map(|(_, bytes)| bytes.to_vec()).collect(), places }
    }

    #[test]
    fn a_list_is_header_columns_values_and_items() {
        let found = ExtendedFound {
            common_values: vec![vec![Some("7".into()), Some("abc".into())], vec![Some("7".into()), None]],
            common_frequencies: vec![0.5, 0.25],
            common_base_frequencies: vec![0.4, 0.2],
            ..ExtendedFound::default()
        };
        let numbers = dimension(23, 4, true, &[("7", &[7, 0, 0, 0])]);
        let texts = dimension(25, -1, false, &[("abc", b"abc")]);
        let bytes = serialised(&found, &[numbers, texts]).expect("bytes");
        let header = 12 + 2 + 2 * 4;
        assert_eq!(bytes.len(), header + 2 * 20 + 4 + (4 + 3) + 2 * (2 * 3 + 16));
        let second = header + 20;
        assert_eq!(bytes[second..second + 12], [1_i32, 7, 8].map(i32::to_ne_bytes).concat());
        assert_eq!(bytes[header + 40..header + 51], [7, 0, 0, 0, 3, 0, 0, 0, b'a', b'b', b'c']);
        let last = bytes.len() - 22;
        assert_eq!(bytes[last..last + 2], [0, 1], "the second value of the second item is NULL");
    }

    #[test]
    fn a_row_of_another_width_is_refused() {
        let found = ExtendedFound {
            common_values: vec![vec![None]],
            common_frequencies: vec![0.5],
            common_base_frequencies: vec![0.5],
            ..ExtendedFound::default()
        };
        assert_eq!(serialised(&found, &[]), None);
    }
}
