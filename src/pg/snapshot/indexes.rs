//! Indexes and constraints.

use super::{Reader, SnapshotError, query};
use crate::catalog::{Constraint, ConstraintKind, ForeignKey, Index, IndexUsage, Key, KeyTarget, Oid, QualifiedName};
use crate::pg::rows::{Fields, RowError};

impl Reader<'_> {
    /// Reads indexes without their expressions' statistics, and counts those with statistics this role may not see.
    pub(super) async fn indexes(&self, table_oids: &[Oid]) -> Result<(Vec<Index>, usize), SnapshotError> {
        let query = query!("indexes.sql");
        let mut indexes = Vec::new();
        let mut unreadable = 0;
        for row in &self.rows(query, &[&table_oids]).await? {
            let fields = Fields { row, query: query.name };
            if fields.get::<Option<String>>("definition")?.is_some() {
                let index = index(&fields)?;
                let has_expression = index.keys.iter().any(|key| key.target.column().is_none());
                unreadable += usize::from(has_expression && !fields.get::<bool>("statistics_readable")?);
                indexes.push(index);
            }
        }
        Ok((indexes, unreadable))
    }

    /// Reads the tables' constraints.
    pub(super) async fn constraints(&self, table_oids: &[Oid]) -> Result<Vec<Constraint>, SnapshotError> {
        let query = query!("constraints.sql");
        let mut constraints = Vec::new();
        for row in &self.rows(query, &[&table_oids]).await? {
            constraints.push(constraint(&Fields { row, query: query.name })?);
        }
        Ok(constraints)
    }
}

fn index(fields: &Fields<'_>) -> Result<Index, RowError> {
    Ok(Index {
        oid: fields.get("oid")?,
        name: QualifiedName::new(fields.get::<String>("schema")?, fields.get::<String>("name")?),
        table: fields.get("table_oid")?,
        access_method: fields.get("access_method")?,
        keys: keys(fields)?,
        included: fields.list("included")?,
        predicate: fields.get("predicate")?,
        unique: fields.get("is_unique")?,
        nulls_not_distinct: fields.get("nulls_not_distinct")?,
        primary: fields.get("is_primary")?,
        exclusion: fields.get("is_exclusion")?,
        constraint: fields.get("constraint_name")?,
        referenced: fields.get("referenced")?,
        valid: fields.get("valid")?,
        ready: fields.get("ready")?,
        live: fields.get("live")?,
        building: fields.get("building")?,
        clustered: fields.get("clustered")?,
        replica_identity: fields.get("replica_identity")?,
        extension: fields.get("extension")?,
        parent: fields.get("parent")?,
        size_bytes: fields.count("size_bytes")?,
        pages: fields.count("pages")?,
        rows: Some(fields.get::<f64>("rows")?).filter(|rows| *rows >= 0.0),
        definition: fields.get("definition")?,
        options: fields.list("options")?,
        expression_statistics: Vec::new(),
        usage: IndexUsage {
            scans: fields.count("scans")?,
            entries_read: fields.count("entries_read")?,
            rows_fetched: fields.count("rows_fetched")?,
            last_scan_at: fields.get("last_scan_at")?,
        },
    })
}

/// Reads the parallel arrays of an index's keys.
fn keys(fields: &Fields<'_>) -> Result<Vec<Key>, RowError> {
    let columns: Vec<Option<String>> = fields.list("key_columns")?;
    let definitions: Vec<Option<String>> = fields.list("key_definitions")?;
    let opclasses: Vec<Option<String>> = fields.list("key_opclasses")?;
    let defaults: Vec<Option<bool>> = fields.list("key_opclass_defaults")?;
    let collations: Vec<Option<String>> = fields.list("key_collations")?;
    let descending: Vec<bool> = fields.list("key_descending")?;
    let nulls_first: Vec<bool> = fields.list("key_nulls_first")?;
    let key = |(at, column): (usize, Option<String>)| Key {
        target: match column {
            Some(column) => KeyTarget::Column(column),
            None => KeyTarget::Expression(definitions.get(at).cloned().flatten().unwrap_or_default()),
        },
        opclass: opclasses.get(at).cloned().flatten().unwrap_or_default(),
        opclass_is_default: defaults.get(at).copied().flatten().unwrap_or(true),
        collation: collations.get(at).cloned().flatten(),
        descending: descending.get(at).copied().unwrap_or(false),
        nulls_first: nulls_first.get(at).copied().unwrap_or(false),
    };
    Ok(columns.into_iter().enumerate().map(key).collect())
}

fn constraint(fields: &Fields<'_>) -> Result<Constraint, RowError> {
    let kind: String = fields.get("kind")?;
    let foreign = match fields.get::<Option<Oid>>("foreign_oid")? {
        Some(table) => Some(ForeignKey {
            table,
            table_name: QualifiedName::new(fields.get::<String>("foreign_schema")?, fields.get::<String>("foreign_table")?),
            columns: fields.list("foreign_columns")?,
            on_delete: fields.get("on_delete")?,
            on_update: fields.get("on_update")?,
        }),
        None => None,
    };
    Ok(Constraint {
        oid: fields.get("oid")?,
        name: fields.get("name")?,
        table: fields.get("table_oid")?,
        kind: match kind.as_str() {
            "p" => ConstraintKind::Primary,
            "u" => ConstraintKind::Unique,
            "f" => ConstraintKind::Foreign,
            "x" => ConstraintKind::Exclusion,
            _ => ConstraintKind::Check,
        },
        columns: fields.list("columns")?,
        definition: fields.get("definition")?,
        parent: fields.get("parent")?,
        foreign,
    })
}
