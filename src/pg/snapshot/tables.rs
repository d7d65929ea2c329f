//! Tables and their columns.

use std::collections::HashMap;

use super::{Reader, Scope, SnapshotError, query};
use crate::catalog::{Column, Oid, QualifiedName, Table, TableKind, TableUsage};
use crate::pg::hidden;
use crate::pg::rows::{Fields, RowError};

impl Reader<'_> {
    /// Reads tables without their columns, and names those whose statistics this role may not see.
    pub(super) async fn tables(&self, scope: &Scope) -> Result<(Vec<Table>, Vec<hidden::Unreadable>), SnapshotError> {
        let query = query!("tables.sql");
        let mut tables = Vec::new();
        let mut unreadable = Vec::new();
        for row in &self.rows(query, &[&scope.schemas, &scope.tables]).await? {
            let fields = Fields { row, query: query.name };
            // Sizes are null for a relation dropped since the snapshot: it is gone.
            if fields.get::<Option<i64>>("heap_bytes")?.is_none() {
                continue;
            }
            let table = table(&fields)?;
            if let Some(by) = fields.get::<Option<String>>("statistics_hidden_by")? {
                unreadable.push(hidden::Unreadable { table: table.name.clone(), row_security: by == "row security" });
            }
            tables.push(table);
        }
        let missing = |what, wanted: &[String], present: &dyn Fn(&str) -> bool| match wanted.iter().find(|name| !present(name)) {
            Some(name) => Err(SnapshotError::Unknown { what, name: name.clone() }),
            None => Ok(()),
        };
        missing("schema", &scope.schemas, &|wanted| tables.iter().any(|table| table.name.schema == wanted))?;
        missing("table", &scope.tables, &|wanted| {
            tables.iter().any(|table| table.name.name == wanted || format!("{}.{}", table.name.schema, table.name.name) == wanted)
        })?;
        Ok((tables, unreadable))
    }

    /// Fills in the tables' columns, without statistics.
    pub(super) async fn columns(&self, table_oids: &[Oid], tables: &mut [Table]) -> Result<(), SnapshotError> {
        let query = query!("columns.sql");
        let mut position: HashMap<Oid, &mut Table> = tables.iter_mut().map(|table| (table.oid, table)).collect();
        for row in &self.rows(query, &[&table_oids]).await? {
            let fields = Fields { row, query: query.name };
            let Some(table) = position.get_mut(&fields.get("table_oid")?) else { continue };
            table.columns.push(Column {
                number: fields.get("number")?,
                name: fields.get("name")?,
                type_name: fields.get("type_name")?,
                type_category: fields.get("type_category")?,
                type_length: fields.get("type_length")?,
                type_alignment: fields.get("type_alignment")?,
                btree: fields.get("btree")?,
                not_null: fields.get("not_null")?,
                collation: fields.get("collation")?,
                default: fields.get("default_expression")?,
                generated: fields.get("generated")?,
                generated_virtual: fields.get("generated_virtual")?,
                identity: fields.get("identity")?,
                statistics_inherited: None,
                statistics: None,
            });
        }
        Ok(())
    }
}

fn table(fields: &Fields<'_>) -> Result<Table, RowError> {
    let kind: String = fields.get("kind")?;
    Ok(Table {
        oid: fields.get("oid")?,
        name: QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?),
        kind: match kind.as_str() {
            "p" => TableKind::Partitioned,
            "m" => TableKind::MaterializedView,
            _ => TableKind::Table,
        },
        parent: fields.get("parent")?,
        is_partition: fields.get("is_partition")?,
        rows: Some(fields.get::<f64>("rows")?).filter(|rows| *rows >= 0.0),
        pages: fields.count("pages")?,
        pages_all_visible: fields.count("pages_all_visible")?,
        heap_bytes: fields.count("heap_bytes")?,
        total_bytes: fields.count("total_bytes")?,
        persistence: fields.get("persistence")?,
        options: fields.list("options")?,
        replica_identity: fields.get("replica_identity")?,
        partition_key: fields.get("partition_key")?,
        partition_bound: fields.get("partition_bound")?,
        row_security: fields.get("row_security")?,
        extension: fields.get("extension")?,
        columns: Vec::new(),
        usage: TableUsage {
            seq_scans: fields.count("seq_scans")?,
            seq_rows_read: fields.count("seq_rows_read")?,
            index_scans: fields.count("index_scans")?,
            index_rows_fetched: fields.count("index_rows_fetched")?,
            rows_inserted: fields.count("rows_inserted")?,
            rows_updated: fields.count("rows_updated")?,
            rows_hot_updated: fields.count("rows_hot_updated")?,
            rows_deleted: fields.count("rows_deleted")?,
            live_rows: fields.count("live_rows")?,
            dead_rows: fields.count("dead_rows")?,
            modified_since_analyze: fields.count("modified_since_analyze")?,
            last_vacuum_at: fields.get("last_vacuum_at")?,
            last_analyze_at: fields.get("last_analyze_at")?,
            heap_blocks_read: fields.count("heap_blocks_read")?,
            heap_blocks_hit: fields.count("heap_blocks_hit")?,
        },
    })
}
