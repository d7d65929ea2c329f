//! Tables whose rows nothing identifies.

use crate::catalog::{ConstraintKind, Index, KeyTarget, Relations, Table, TableKind};
use crate::findings::family::Family;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};
use crate::units::grouped;

pub(super) const RULE: Rule = Rule {
    id: "missing-primary-key",
    summary: "A table has no primary key, so rows can be doubled and logical replication cannot tell them apart.",
    check: Check::Catalog(check),
};

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let tables = relations.snapshot.tables.iter().filter(|table| wants_a_key(table));
    tables.filter(|table| !has_primary_key(table, relations)).map(|table| finding(table, relations)).collect()
}

/// Returns whether a person would expect a key: not of partitions, which have their root's, nor of what another owns, nor of
/// temporary and unlogged tables, which hold rows on their way and are never replicated.
fn wants_a_key(table: &Table) -> bool {
    table.kind != TableKind::MaterializedView && !table.is_partition && table.extension.is_none() && table.persistence == "p"
}

fn has_primary_key(table: &Table, relations: &Relations<'_>) -> bool {
    relations.constraints_of(table.oid).iter().any(|constraint| constraint.kind == ConstraintKind::Primary)
        || relations.indexes_of(table.oid).iter().any(|index| index.primary)
}

/// Returns an index that already tells the rows apart: unique on columns that are never NULL.
fn key_in_all_but_name<'a>(table: &Table, relations: &Relations<'a>) -> Option<&'a Index> {
    let not_null = |target: &KeyTarget| target.column().and_then(|name| table.column(name)).is_some_and(|column| column.not_null);
    relations
        .indexes_of(table.oid)
        .iter()
        .copied()
        .find(|index| index.unique && index.usable() && index.predicate.is_none() && index.keys.iter().all(|key| not_null(&key.target)))
}

fn finding(table: &Table, relations: &Relations<'_>) -> Finding {
    let key = key_in_all_but_name(table, relations);
    let rows = Family::of(table, relations).rows() as u64;
    let identity = match table.replica_identity.as_str() {
        "f" => " Its replica identity is FULL: subscribers search the whole table for every changed row.",
        "i" => " It is replicated by another index.",
        _ => " Once it is published for logical replication, its updates and deletes fail.",
    };
    let told_apart = match key {
        Some(index) => format!(" Its rows are told apart by unique index {}.", index.name),
        None => " Nothing stops the same row from being stored twice.".to_owned(),
    };
    Finding {
        rule: RULE.id.to_owned(),
        severity: Severity::Warning,
        object: Object::table(&table.name),
        message: format!("Table {} (about {} rows) has no primary key.{told_apart}{identity}", table.name, grouped(rows)),
        evidence: vec![
            Evidence::new("rows", rows, "rows", "pg_class"),
            Evidence::new("replica_identity", table.replica_identity.clone(), "", "pg_class"),
            Evidence::new("unique_index", key.map(|index| index.name.to_string()), "", "pg_index"),
        ],
        help: help(table, key),
    }
}

fn help(table: &Table, key: Option<&Index>) -> String {
    let Some(index) = key else {
        let partitioned = if table.kind == TableKind::Partitioned { ", the partition key among them" } else { "" };
        return format!(
            "Add a primary key on the columns that identify a row{partitioned}. Where none do, add an identity column first: that \
             rewrites the table under a lock."
        );
    };
    let ascending = index.keys.iter().all(|key| !key.descending && !key.nulls_first && key.opclass_is_default);
    // A constraint's index cannot be given to another constraint, a partitioned table takes none.
    if index.constraint.is_none() && ascending && table.kind == TableKind::Table {
        return format!("ALTER TABLE {} ADD PRIMARY KEY USING INDEX {};", table.name, crate::catalog::name::quoted(&index.name.name));
    }
    let columns: Vec<String> = index.keys.iter().filter_map(|key| key.target.column()).map(str::to_owned).collect();
    format!("ALTER TABLE {} ADD PRIMARY KEY ({}); -- builds an index under a lock", table.name, remedy::column_list(&columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, index};

    #[test]
    fn ordinary_and_partitioned_tables_want_a_key() {
        let mut sample = Sample::of([]);
        assert_eq!(sample.named(RULE.check), ["t"]);
        sample.snapshot.tables[0].kind = TableKind::Partitioned;
        assert_eq!(sample.named(RULE.check), ["t"]);
        sample.own_constraint("t_pkey", 1, ConstraintKind::Primary, &["a"]);
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn partitions_extensions_temporary_unlogged_and_materialized_do_not() {
        let exempt: [fn(&mut Table); 5] = [
            |table| table.is_partition = true,
            |table| table.extension = Some("postgis".to_owned()),
            |table| table.persistence = "t".to_owned(),
            |table| table.persistence = "u".to_owned(),
            |table| table.kind = TableKind::MaterializedView,
        ];
        for change in exempt {
            let mut sample = Sample::of([]);
            change(&mut sample.snapshot.tables[0]);
            assert!(sample.named(RULE.check).is_empty());
        }
    }

    #[test]
    fn a_unique_index_on_columns_never_null_can_become_the_key() {
        let mut sample = Sample::of([("x", index("a").unique())]);
        assert!(sample.findings(RULE.check)[0].message.contains("Nothing stops the same row"), "a may be NULL");
        sample.snapshot.tables[0].columns[0].not_null = true;
        let finding = sample.findings(RULE.check).remove(0);
        assert!(finding.message.contains("told apart by unique index public.x"), "{}", finding.message);
        assert_eq!(finding.help, "ALTER TABLE public.t ADD PRIMARY KEY USING INDEX x;");
        sample.snapshot.indexes[0].constraint = Some("x".to_owned());
        assert!(sample.findings(RULE.check)[0].help.starts_with("ALTER TABLE public.t ADD PRIMARY KEY (a);"));
    }

    #[test]
    fn logical_replication_is_mentioned() {
        assert!(Sample::of([]).findings(RULE.check)[0].message.contains("logical replication"));
    }
}
