//! Tables whose indexes are several times as large as the table.

use std::cmp::Reverse;

use crate::catalog::{Index, Relations, Table};
use crate::findings::family::{Family, index_leaves};
use crate::findings::usage::Everywhere;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "oversized-indexes",
    summary: "A table's indexes take more than three times the space of the table itself.",
    check: Check::Catalog(check),
};

/// 3: most tables have less index than data. A rule of thumb.
const TIMES: u64 = 3;

/// 10 MiB of indexes: below this all of it is in memory.
const LARGE_BYTES: u64 = 10 << 20;

/// 1 GiB of indexes: from here on it is felt in memory, backups and recovery. A rule of thumb.
const MUCH_BYTES: u64 = 1 << 30;

/// Three names are enough to begin with.
const NAMED: usize = 3;

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let usage = Everywhere::of(relations.snapshot);
    let roots =
        relations.snapshot.tables.iter().filter(|table| !table.is_partition && table.extension.is_none() && table.persistence != "t");
    roots.filter_map(|table| finding(table, relations, &usage)).collect()
}

fn finding(table: &Table, relations: &Relations<'_>, usage: &Everywhere<'_>) -> Option<Finding> {
    let leaves = Family::of(table, relations).leaves;
    let index_bytes: u64 = leaves.iter().flat_map(|leaf| relations.indexes_of(leaf.oid)).map(|index| index.size_bytes).sum();
    // With what is stored out of line: an index on a document is not large because the heap is small.
    let total: u64 = leaves.iter().map(|leaf| leaf.total_bytes).sum();
    let heap: u64 = leaves.iter().map(|leaf| leaf.heap_bytes).sum();
    let table_bytes = total.saturating_sub(index_bytes).max(heap);
    if index_bytes < LARGE_BYTES || index_bytes <= TIMES.saturating_mul(table_bytes) {
        return None;
    }
    let mut indexes: Vec<(&Index, u64)> = relations
        .indexes_of(table.oid)
        .iter()
        .map(|&index| (index, index_leaves(index, relations).iter().map(|leaf| leaf.size_bytes).sum()))
        .collect();
    indexes.sort_by_key(|&(index, bytes)| (Reverse(bytes), &index.name));
    let largest: Vec<String> = indexes.iter().take(NAMED).map(|&(index, bytes)| told(index, bytes, relations, usage)).collect();
    Some(Finding {
        rule: RULE.id.to_owned(),
        severity: if index_bytes >= MUCH_BYTES { Severity::Warning } else { Severity::Info },
        object: Object::table(&table.name),
        message: format!(
            "The {} indexes of {} take {}, {:.1} times the {} of the table. The largest: {}.",
            indexes.len(),
            table.name,
            Bytes(index_bytes),
            index_bytes as f64 / table_bytes.max(1) as f64,
            Bytes(table_bytes),
            largest.join("; "),
        ),
        evidence: vec![
            Evidence::new("index_size", index_bytes, "bytes", "pg_relation_size"),
            Evidence::new("table_size", table_bytes, "bytes", "pg_total_relation_size"),
            Evidence::new("indexes", indexes.len(), "", "pg_index"),
            Evidence::new("largest", largest.join("; "), "", "pg_stat_user_indexes"),
        ],
        help: "See what else is found about these indexes (unused, redundant, bloated) and begin with the largest; what remains may be needed."
            .to_owned(),
    })
}

fn told(index: &Index, bytes: u64, relations: &Relations<'_>, usage: &Everywhere<'_>) -> String {
    let scans: u64 = index_leaves(index, relations).iter().map(|leaf| usage.index(leaf).scans).sum();
    format!("{} ({}, {} scans)", index.name, Bytes(bytes), grouped(scans))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, index};

    fn sample(heap_bytes: u64, index_bytes: [u64; 2]) -> Sample {
        let mut sample = Sample::of([("x", index("a").size(index_bytes[0])), ("y", index("b").size(index_bytes[1]).scans(1234))]);
        let table = &mut sample.snapshot.tables[0];
        (table.heap_bytes, table.total_bytes) = (heap_bytes, heap_bytes + index_bytes.iter().sum::<u64>());
        sample
    }

    #[test]
    fn more_than_three_times_the_table_is_reported() {
        let mb = 1 << 20;
        assert!(sample(10 * mb, [10 * mb, 20 * mb]).named(RULE.check).is_empty());
        let finding = sample(10 * mb, [11 * mb, 20 * mb]).findings(RULE.check).remove(0);
        assert_eq!(
            finding.message,
            "The 2 indexes of public.t take 31 MB, 3.1 times the 10 MB of the table. The largest: public.y (20 MB, 1 234 scans); public.x \
             (11 MB, 0 scans)."
        );
    }

    #[test]
    fn small_indexes_and_rows_stored_out_of_line_are_not() {
        let mb = 1 << 20;
        assert!(sample(mb, [4 * mb, 5 * mb]).named(RULE.check).is_empty());
        let mut documents = sample(mb, [10 * mb, 10 * mb]);
        documents.snapshot.tables[0].total_bytes += 90 * mb;
        assert!(documents.named(RULE.check).is_empty());
    }

    #[test]
    fn severity_follows_the_space() {
        assert_eq!(sample(100 << 20, [1 << 30, 0]).findings(RULE.check)[0].severity, Severity::Warning);
        assert_eq!(sample(10 << 20, [100 << 20, 0]).findings(RULE.check)[0].severity, Severity::Info);
    }
}
