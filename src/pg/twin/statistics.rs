//! Writes the snapshot's statistics where the planner reads them: `pg_class` and `pg_statistic`.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt};
use tokio_postgres::{Client, Statement};

use super::Unmodelled;
use super::build::RelationsHere;
use super::error::{TwinError, said, while_doing};
use crate::catalog::{ColumnStatistics, KeyTarget, Oid, QualifiedName, Snapshot};
use crate::pg::rows::Fields;

/// Rows on their way to the server at once.
const IN_FLIGHT: usize = 64;
/// `STATISTIC_NUM_SLOTS`.
const SLOTS: usize = 5;
/// `float8` and its `<`.
const FLOAT8: Oid = 701;
const FLOAT8_LESS: Oid = 672;

/// Kinds of slots, from `pg_statistic.h`.
mod kind {
    pub(super) const COMMON_VALUES: i16 = 1;
    pub(super) const HISTOGRAM: i16 = 2;
    pub(super) const CORRELATION: i16 = 3;
    pub(super) const COMMON_ELEMENTS: i16 = 4;
    pub(super) const ELEMENT_COUNTS: i16 = 5;
    pub(super) const RANGE_LENGTHS: i16 = 6;
    pub(super) const RANGE_BOUNDS: i16 = 7;
}

/// How ANALYZE compares the values of one column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    /// The relation's oid here.
    pub(super) relation: Oid,
    /// `attnum` here.
    pub(super) number: i16,
    /// The type here.
    pub(super) type_oid: Oid,
    collation: Oid,
    equal: Oid,
    less: Oid,
    element: Oid,
    element_equal: Oid,
    element_collation: Oid,
    range: Oid,
}

/// Columns of the local relations by relation and name; index columns are found by number.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    by_name: HashMap<(QualifiedName, String), Attribute>,
    by_number: HashMap<(QualifiedName, i16), Attribute>,
}

impl Attributes {
    /// Returns a column by its name.
    pub(super) fn named(&self, relation: &QualifiedName, column: &str) -> Option<&Attribute> {
        self.by_name.get(&(relation.clone(), column.to_owned()))
    }

    /// Returns a column by its number.
    pub(super) fn numbered(&self, relation: &QualifiedName, number: i16) -> Option<&Attribute> {
        self.by_number.get(&(relation.clone(), number))
    }
}

/// Reads the columns of the connected database.
pub(super) async fn attributes(client: &Client) -> Result<Attributes, TwinError> {
    let query = "twin_attributes.sql";
    let rows = client.query(include_str!("../queries/twin_attributes.sql"), &[]).await.map_err(while_doing("list columns"))?;
    let mut found = Attributes::default();
    for row in &rows {
        let fields = Fields { row, query };
        let relation = QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("relation")?);
        let attribute = Attribute {
            relation: fields.get("relation_oid")?,
            number: fields.get("number")?,
            type_oid: fields.get("type_oid")?,
            collation: fields.get("collation_oid")?,
            equal: fields.get("equal")?,
            less: fields.get("less")?,
            element: fields.get("element_oid")?,
            element_equal: fields.get("element_equal")?,
            element_collation: fields.get("element_collation")?,
            range: fields.get("range_oid")?,
        };
        found.by_number.insert((relation.clone(), attribute.number), attribute);
        found.by_name.insert((relation, fields.get("name")?), attribute);
    }
    Ok(found)
}

/// One row of `pg_statistic` to be written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    attribute: Attribute,
    inherited: bool,
    null_fraction: f32,
    width: i32,
    distinct: f32,
    slots: Vec<Slot>,
    /// What it describes, for messages.
    name: String,
    table: Oid,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    kind: i16,
    operator: Oid,
    collation: Oid,
    numbers: Option<Vec<f32>>,
    values: Option<Vec<String>>,
    value_type: Oid,
}

/// Collects the rows for every column and index expression; those whose relation was not built are left out.
pub(super) fn entries(snapshot: &Snapshot, attributes: &Attributes, unknown: &dyn Fn(&str) -> bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    for table in &snapshot.tables {
        for column in table.columns.iter().filter(|column| !unknown(&column.type_name)) {
            let Some(attribute) = attributes.named(&table.name, &column.name) else { continue };
            let name = format!("{}.{}", table.name, column.name);
            for (statistics, inherited) in [(&column.statistics, false), (&column.statistics_inherited, true)] {
                entries.extend(statistics.as_ref().map(|found| entry(attribute, found, inherited, name.clone(), table.oid)));
            }
        }
    }
    for index in &snapshot.indexes {
        let expressions = index.keys.iter().enumerate().filter(|(_, key)| matches!(key.target, KeyTarget::Expression(_)));
        for ((at, _), statistics) in expressions.zip(&index.expression_statistics) {
            let (Some(found), Some(attribute)) = (statistics, attributes.numbered(&index.name, at as i16 + 1)) else { continue };
            entries.push(entry(attribute, found, false, format!("{} ({})", index.name, at + 1), index.table));
        }
    }
    entries
}

/// Lays a column's statistics out in slots, as ANALYZE of its type does.
pub(super) fn entry(attribute: &Attribute, found: &ColumnStatistics, inherited: bool, name: String, table: Oid) -> Entry {
    let Attribute { collation, equal, less, .. } = *attribute;
    let slot = |kind, operator| Slot { kind, operator, collation, numbers: None, values: None, value_type: attribute.type_oid };
    let real = |numbers: &[f64]| Some(numbers.iter().map(|number| *number as f32).collect::<Vec<f32>>());
    let mut slots = Vec::new();
    if !found.common_values.is_empty() && equal != 0 {
        let (values, numbers) = (Some(found.common_values.clone()), real(&found.common_frequencies));
        slots.push(Slot { values, numbers, ..slot(kind::COMMON_VALUES, equal) });
    }
    if !found.histogram.is_empty() && less != 0 {
        slots.push(Slot { values: Some(found.histogram.clone()), ..slot(kind::HISTOGRAM, less) });
    }
    if let (Some(correlation), true) = (found.correlation, less != 0) {
        slots.push(Slot { numbers: real(&[correlation]), ..slot(kind::CORRELATION, less) });
    }
    if let Some(elements) = found.elements.as_ref().filter(|_| attribute.element_equal != 0) {
        let common = slot(kind::COMMON_ELEMENTS, attribute.element_equal);
        let common = Slot { value_type: attribute.element, collation: attribute.element_collation, ..common };
        if !elements.common_values.is_empty() {
            slots.push(Slot {
                values: Some(elements.common_values.clone()),
                numbers: real(&elements.common_frequencies),
                ..common.clone()
            });
        }
        if !elements.count_histogram.is_empty() {
            slots.push(Slot { kind: kind::ELEMENT_COUNTS, numbers: real(&elements.count_histogram), ..common });
        }
    }
    if let Some(ranges) = &found.ranges {
        if !ranges.length_histogram.is_empty() {
            let values = Some(ranges.length_histogram.iter().map(f64::to_string).collect());
            let numbers = real(ranges.empty_fraction.as_slice());
            slots.push(Slot { values, numbers, value_type: FLOAT8, collation: 0, ..slot(kind::RANGE_LENGTHS, FLOAT8_LESS) });
        }
        if !ranges.bounds_histogram.is_empty() {
            let values = Some(ranges.bounds_histogram.clone());
            slots.push(Slot { values, value_type: attribute.range, collation: 0, ..slot(kind::RANGE_BOUNDS, 0) });
        }
    }
    slots.truncate(SLOTS);
    Entry {
        attribute: *attribute,
        inherited,
        null_fraction: found.null_fraction as f32,
        width: i32::try_from(found.width).unwrap_or(i32::MAX),
        distinct: found.distinct as f32,
        slots,
        name,
        table,
    }
}

/// Writes the rows; values that the local type does not accept lose their slot and are noted.
pub(super) async fn write(client: &Client, entries: Vec<Entry>) -> Result<Vec<Unmodelled>, TwinError> {
    let statement = client.prepare(&insertion()).await.map_err(while_doing("prepare statistics"))?;
    let answers: Vec<(Entry, Result<u64, tokio_postgres::Error>)> = stream::iter(entries)
        .map(|entry| async {
            let answer = insert(client, &statement, &entry).await;
            (entry, answer)
        })
        .buffered(IN_FLIGHT)
        .collect()
        .await;
    let mut notes = Vec::new();
    for (entry, answer) in answers {
        let Err(error) = answer else { continue };
        if client.is_closed() {
            return Err(TwinError::Query { what: format!("write statistics of {}", entry.name), source: error });
        }
        notes.push(Unmodelled {
            kind: "statistics".to_owned(),
            name: entry.name.clone(),
            reason: said(&error),
            tables: [entry.table].into_iter().collect(),
        });
        // Once more without the slots whose values are to blame; frequencies without values mean nothing.
        let mut kept = Vec::new();
        for slot in &entry.slots {
            if accepted(client, slot).await {
                kept.push(slot.clone());
            }
        }
        let _ = insert(client, &statement, &Entry { slots: kept, ..entry }).await;
    }
    Ok(notes)
}

async fn accepted(client: &Client, slot: &Slot) -> bool {
    let sql = "select pg_catalog.array_in(($1::text[])::text::cstring, $2::oid, -1) is null";
    match &slot.values {
        Some(values) => client.query(sql, &[values, &slot.value_type]).await.is_ok(),
        None => true,
    }
}

async fn insert(client: &Client, statement: &Statement, entry: &Entry) -> Result<u64, tokio_postgres::Error> {
    let mut slots = entry.slots.clone();
    slots.resize(SLOTS, Slot::default());
    let attribute = &entry.attribute;
    let mut parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        vec![&attribute.relation, &attribute.number, &entry.inherited, &entry.null_fraction, &entry.width, &entry.distinct];
    for slot in &slots {
        parameters.extend::<[&(dyn tokio_postgres::types::ToSql + Sync); 6]>([
            &slot.kind,
            &slot.operator,
            &slot.collation,
            &slot.numbers,
            &slot.values,
            &slot.value_type,
        ]);
    }
    client.execute(statement, &parameters).await
}

/// Builds the one `INSERT`, its slots spelt out.
fn insertion() -> String {
    let mut columns = "starelid, staattnum, stainherit, stanullfrac, stawidth, stadistinct".to_owned();
    let mut values = "$1::oid, $2::int2, $3::bool, $4::float4, $5::int4, $6::float4".to_owned();
    for slot in 0..SLOTS {
        let (at, first) = (slot + 1, slot * 6 + 7);
        columns.push_str(&format!(", stakind{at}, staop{at}, stacoll{at}, stanumbers{at}, stavalues{at}"));
        values.push_str(&format!(
            ", ${first}::int2, ${}::oid, ${}::oid, ${}::float4[], pg_catalog.array_in((${}::text[])::text::cstring, ${}::oid, -1)",
            first + 1,
            first + 2,
            first + 3,
            first + 4,
            first + 5
        ));
    }
    format!("insert into pg_catalog.pg_statistic ({columns}) values ({values})")
}

/// What `pg_class` says of one relation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    /// Its oid here.
    pub(super) oid: Oid,
    /// `relpages`.
    pub(super) pages: u64,
    /// `reltuples`; `None` when never counted.
    pub(super) rows: Option<f64>,
    /// `relallvisible`.
    pub(super) all_visible: u64,
}

/// Returns the snapshot's counts of the relations that are here.
pub(super) fn counts(snapshot: &Snapshot, here: &RelationsHere) -> Vec<Counts> {
    let tables = snapshot.tables.iter().filter_map(|table| {
        let oid = here.get(&table.name)?.oid;
        Some(Counts { oid, pages: table.pages, rows: table.rows, all_visible: table.pages_all_visible })
    });
    let indexes = snapshot.indexes.iter().filter_map(|index| {
        let oid = here.get(&index.name)?.oid;
        let pages = if index.pages > 0 { index.pages } else { index.size_bytes / crate::units::PAGE_BYTES };
        Some(Counts { oid, pages, rows: index.rows, all_visible: 0 })
    });
    tables.chain(indexes).collect()
}

/// Writes counts; the server itself resets them whenever an index is built.
pub(super) async fn write_counts(client: &Client, counts: &[Counts]) -> Result<(), TwinError> {
    let page = |pages: u64| i32::try_from(pages).unwrap_or(i32::MAX);
    let oids: Vec<Oid> = counts.iter().map(|found| found.oid).collect();
    let pages: Vec<i32> = counts.iter().map(|found| page(found.pages)).collect();
    let rows: Vec<f32> = counts.iter().map(|found| found.rows.map_or(-1.0, |rows| rows as f32)).collect();
    let visible: Vec<i32> = counts.iter().map(|found| page(found.all_visible)).collect();
    let sql = "update pg_catalog.pg_class c set relpages = v.pages, reltuples = v.rows, relallvisible = v.visible \
               from unnest($1::oid[], $2::int4[], $3::float4[], $4::int4[]) as v (oid, pages, rows, visible) where c.oid = v.oid";
    client.execute(sql, &[&oids, &pages, &rows, &visible]).await.map_err(while_doing("write row counts"))?;
    Ok(())
}
