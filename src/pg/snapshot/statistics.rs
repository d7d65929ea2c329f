//! What ANALYZE found: in columns, in expressions of indexes, and in extended statistics.

use std::collections::HashMap;

use super::{Reader, SnapshotError, query};
use crate::catalog::{
    ColumnStatistics, ElementStatistics, ExtendedFound, ExtendedStatistics, Index, Oid, QualifiedName, RangeStatistics, Table,
};
use crate::pg::hidden;
use crate::pg::rows::{Fields, RowError};

/// From this version on `pg_stats` shows histograms of ranges.
const RANGES_SHOWN_VERSION_NUM: u32 = 170_000;

impl Reader<'_> {
    /// Fills in the statistics of columns and of index expressions.
    pub(super) async fn statistics(&self, table_oids: &[Oid], tables: &mut [Table], indexes: &mut [Index]) -> Result<(), SnapshotError> {
        let query = query!("column_statistics.sql");
        let with_expressions = indexes.iter().filter(|index| index.keys.iter().any(|key| key.target.column().is_none()));
        let relations: Vec<Oid> = table_oids.iter().copied().chain(with_expressions.map(|index| index.oid)).collect();
        let mut found: HashMap<(Oid, i16, bool), ColumnStatistics> = HashMap::new();
        for row in &self.rows(query, &[&relations]).await? {
            let fields = Fields { row, query: query.name };
            let of = (fields.get("relation_oid")?, fields.get("number")?, fields.get("inherited")?);
            found.insert(of, column_statistics(&fields)?);
        }
        if self.version < RANGES_SHOWN_VERSION_NUM {
            self.range_statistics(&relations, &mut found).await?;
        }
        for table in tables {
            for column in &mut table.columns {
                column.statistics = found.remove(&(table.oid, column.number, false));
                column.statistics_inherited = found.remove(&(table.oid, column.number, true));
            }
        }
        for index in indexes {
            let expressions = index.keys.iter().enumerate().filter(|(_, key)| key.target.column().is_none());
            index.expression_statistics = expressions.map(|(at, _)| found.remove(&(index.oid, at as i16 + 1, false))).collect();
        }
        Ok(())
    }

    /// Adds the statistics of ranges where the role may read them, though no view shows them.
    async fn range_statistics(
        &self,
        relations: &[Oid],
        found: &mut HashMap<(Oid, i16, bool), ColumnStatistics>,
    ) -> Result<(), SnapshotError> {
        let query = query!("range_statistics_readable.sql");
        let rows = self.rows(query, &[]).await?;
        let fields = Fields { row: rows.first().expect("a select without FROM answers one row"), query: query.name };
        if !fields.get::<bool>("readable")? {
            return Ok(());
        }
        let query = query!("range_statistics.sql");
        for row in &self.rows(query, &[&relations]).await? {
            let fields = Fields { row, query: query.name };
            // What the views hide of a table stays hidden: its other statistics are not there either.
            let of = (fields.get("relation_oid")?, fields.get("number")?, fields.get("inherited")?);
            if let Some(statistics) = found.get_mut(&of) {
                statistics.ranges = range_statistics(&fields)?;
            }
        }
        Ok(())
    }

    /// Reads extended statistics, and names those whose contents this role may not see.
    pub(super) async fn extended_statistics(
        &self,
        table_oids: &[Oid],
    ) -> Result<(Vec<ExtendedStatistics>, Vec<hidden::Owned>), SnapshotError> {
        let query = query!("extended_expressions.sql");
        let mut expressions: HashMap<(Oid, String), ColumnStatistics> = HashMap::new();
        for row in &self.rows(query, &[&table_oids]).await? {
            let fields = Fields { row, query: query.name };
            // Inherited rows come first, so that the table's own replace them.
            expressions.insert((fields.get("statistics_oid")?, fields.get("expression")?), column_statistics(&fields)?);
        }
        let query = query!("extended_statistics.sql");
        let mut all = Vec::new();
        let mut unreadable = Vec::new();
        for row in &self.rows(query, &[&table_oids]).await? {
            let fields = Fields { row, query: query.name };
            let Some(definition) = fields.get::<Option<String>>("definition")? else { continue };
            let oid = fields.get("oid")?;
            let texts: Vec<String> = fields.list("expressions")?;
            let statistics = ExtendedStatistics {
                oid,
                name: QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?),
                table: fields.get("table_oid")?,
                definition,
                columns: fields.list("columns")?,
                found: fields.get::<bool>("found")?.then(|| extended_found(&fields)).transpose()?,
                expression_statistics: texts.iter().map(|text| expressions.remove(&(oid, text.clone()))).collect(),
                expressions: texts,
            };
            if statistics.found.is_none() && !fields.get::<bool>("readable")? {
                unreadable.push(hidden::Owned {
                    name: statistics.name.clone(),
                    owner: fields.get("owner")?,
                    superuser: fields.get("owner_is_superuser")?,
                });
            }
            all.push(statistics);
        }
        Ok((all, unreadable))
    }
}

fn extended_found(fields: &Fields<'_>) -> Result<ExtendedFound, RowError> {
    let width = fields.get::<Option<i32>>("row_width")?.unwrap_or(1).max(1).unsigned_abs() as usize;
    let values: Vec<Option<String>> = fields.list("common_values")?;
    Ok(ExtendedFound {
        inherited: fields.get("inherited")?,
        distinct: fields.get("distinct_counts")?,
        dependencies: fields.get("dependencies")?,
        common_values: values.chunks(width).map(<[_]>::to_vec).collect(),
        common_frequencies: fields.list("common_frequencies")?,
        common_base_frequencies: fields.list("common_base_frequencies")?,
    })
}

fn column_statistics(fields: &Fields<'_>) -> Result<ColumnStatistics, RowError> {
    let element_values: Vec<String> = fields.list("element_common_values")?;
    let counts: Vec<f64> = fields.list("element_count_histogram")?;
    let elements = (!element_values.is_empty() || !counts.is_empty()).then(|| -> Result<_, RowError> {
        Ok(ElementStatistics {
            common_values: element_values,
            common_frequencies: fields.list("element_common_frequencies")?,
            count_histogram: counts,
        })
    });
    Ok(ColumnStatistics {
        type_name: fields.get("type_name")?,
        null_fraction: fields.get("null_fraction")?,
        width: fields.get::<i32>("width")?.unsigned_abs(),
        distinct: fields.get("distinct_values")?,
        common_values: fields.list("common_values")?,
        common_frequencies: fields.list("common_frequencies")?,
        histogram: fields.list("histogram")?,
        correlation: fields.get("correlation")?,
        elements: elements.transpose()?,
        ranges: range_statistics(fields)?,
    })
}

fn range_statistics(fields: &Fields<'_>) -> Result<Option<RangeStatistics>, RowError> {
    let bounds_histogram: Vec<String> = fields.list("range_bounds")?;
    let length_histogram: Vec<f64> = fields.list("range_lengths")?;
    let empty_fraction: Option<f64> = fields.get("range_empty_fraction")?;
    let any = !bounds_histogram.is_empty() || !length_histogram.is_empty() || empty_fraction.is_some();
    Ok(any.then_some(RangeStatistics { length_histogram, empty_fraction, bounds_histogram }))
}
