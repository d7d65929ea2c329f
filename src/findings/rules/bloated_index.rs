//! B-trees more than half of whose space is empty.

use crate::catalog::{Index, Relations, Table};
use crate::findings::index_size::rebuilt_bytes;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "bloated-index",
    summary: "A large B-tree takes more than twice the space a rebuilt one would, so scans read and memory holds empty pages.",
    check: Check::Catalog(check),
};

/// 8 MiB: below this the space is not worth the rebuild.
const LARGE_BYTES: u64 = 8 << 20;

/// Half: pages of an index filled at random are about two thirds full, and the estimate may be some percent off.
const WASTED_SHARE: f64 = 0.5;

/// 100 MiB: from here on the waste is felt in memory and in backups. A rule of thumb.
const MUCH_BYTES: f64 = (100 << 20) as f64;

/// A fifth of the rows changed since they were counted: then nobody knows how many there are.
const STALE_SHARE: f64 = 0.2;

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let large =
        relations.snapshot.indexes.iter().filter(|index| index.usable() && index.size_bytes >= LARGE_BYTES && index.extension.is_none());
    let mut findings = vec![];
    for index in large {
        if let Some(table) = relations.table(index.table).filter(|table| well_counted(table))
            && let Some(rebuilt) = rebuilt_bytes(index, table, relations.snapshot.server.major())
            && rebuilt < index.size_bytes as f64 * (1.0 - WASTED_SHARE)
        {
            findings.push(finding(index, table, rebuilt, relations));
        }
    }
    findings
}

fn well_counted(table: &Table) -> bool {
    table.persistence != "t" && table.usage.modified_since_analyze as f64 <= STALE_SHARE * table.rows_now()
}

fn finding(index: &Index, table: &Table, rebuilt: f64, relations: &Relations<'_>) -> Finding {
    let size = index.size_bytes as f64;
    let share = 1.0 - rebuilt / size;
    let rows = index.predicate.as_ref().and(index.rows).unwrap_or_else(|| table.rows_now());
    let mut help = remedy::reindex(index, relations.snapshot.server.major());
    if relations.snapshot.server.has_extension("pgstattuple") {
        help.push_str(&format!(
            " -- to measure it first: SELECT avg_leaf_density FROM pgstatindex('{}');",
            index.name.to_string().replace('\'', "''")
        ));
    }
    Finding {
        rule: RULE.id.to_owned(),
        severity: if size - rebuilt >= MUCH_BYTES { Severity::Warning } else { Severity::Info },
        object: Object::index(index, table),
        message: format!(
            "Index {} takes {}; built anew for the {} rows it covers it would take about {}, so about {:.0} % of it is empty. \
             This is an estimate from the width and number of its keys, as of the last ANALYZE.",
            index.name,
            Bytes(index.size_bytes),
            grouped(rows as u64),
            Bytes(rebuilt as u64),
            share * 100.0,
        ),
        evidence: vec![
            Evidence::new("size", index.size_bytes, "bytes", "pg_relation_size"),
            Evidence::new("size_rebuilt", rebuilt as u64, "bytes", "pgload"),
            Evidence::new("wasted_share", (share * 1000.0).round() / 1000.0, "", "pgload"),
            Evidence::new("rows", rows as u64, "rows", "pg_class"),
            Evidence::new("rows_deleted", table.usage.rows_deleted, "rows", "pg_stat_user_tables"),
            Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"),
        ],
        help,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    fn reported(sketch: Sketch) -> Vec<String> {
        Sample::of([("x", sketch)]).named(RULE.check)
    }

    #[test]
    fn an_index_twice_as_large_as_it_need_be_is_reported() {
        // 1 000 000 integers take 21 MB.
        assert!(reported(index("a").size(42 << 20)).is_empty());
        assert_eq!(reported(index("a").size(44 << 20)), ["x"]);
    }

    #[test]
    fn the_message_gives_both_sizes_and_the_help_rebuilds_it() {
        let finding = Sample::of([("x", index("a").size(50 << 20))]).findings(RULE.check).remove(0);
        assert!(
            finding.message.starts_with("Index public.x takes 50 MB; built anew for the 1 000 000 rows it covers it would take about 21 MB, so about 57 % of it is empty."),
            "{}",
            finding.message
        );
        assert_eq!((finding.severity, finding.help.as_str()), (Severity::Info, "REINDEX INDEX CONCURRENTLY public.x;"));
        assert_eq!(Sample::of([("x", index("a").size(150 << 20))]).findings(RULE.check)[0].severity, Severity::Warning);
    }

    #[test]
    fn small_invalid_and_other_indexes_are_not() {
        let mut small = Sample::of([("x", index("a").size(LARGE_BYTES - 1))]);
        small.snapshot.tables[0].rows = Some(1000.0);
        assert!(small.named(RULE.check).is_empty());
        assert!(reported(index("a").size(900 << 20).invalid()).is_empty());
        assert!(reported(index("a").size(900 << 20).method("gin")).is_empty());
    }

    #[test]
    fn a_table_changed_since_it_was_counted_proves_nothing() {
        let mut sample = Sample::of([("x", index("a").size(50 << 20))]);
        sample.snapshot.tables[0].usage.modified_since_analyze = 200_001;
        assert!(sample.named(RULE.check).is_empty());
    }
}
