//! Large tables that are read whole, again and again.

use crate::catalog::{Relations, Table};
use crate::findings::family::Family;
use crate::findings::window::Window;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, statement_text};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "sequential-scans",
    summary: "Most rows read from a large table were read by scans of all of it.",
    check: Check::Catalog(check),
};

/// 1000 pages (8 MB): from here on a scan is felt also when the table is in memory. A rule of thumb.
const LARGE_PAGES: u64 = 1000;

/// 10 000 rows: narrow tables are slow to filter before they are large.
const LARGE_ROWS: f64 = 10_000.0;

/// 10 scans, whatever the window: someone looked around, a dump, a few index builds.
const HANDFUL: f64 = 10.0;

/// 2 scans a day: a nightly dump and a nightly report read all of a table and should.
const NIGHTLY: f64 = 2.0;

/// Half of the rows read: below this the indexes do most of the work.
const ROWS_SHARE: f64 = 0.5;

/// A tenth of the table a scan: the leader and each worker of a parallel scan count as one, and up to nine may share one table.
/// Scans that stop early (`limit 1`) stay below it.
const PART_READ: f64 = 0.1;

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    // Partitions are judged together, at their root.
    let roots = relations.snapshot.tables.iter().filter(|table| !table.is_partition && table.extension.is_none());
    roots.filter_map(|table| finding(table, relations)).collect()
}

/// How a table's rows were read.
struct Reading {
    pages: u64,
    rows: f64,
    /// Of the partition scanned most: a query over all partitions is one scan of each.
    scans: u64,
    rows_by_scan: u64,
    rows_by_index: u64,
    /// Rows there would have been to read if every scan had read all of its partition.
    rows_in_scanned: f64,
}

impl Reading {
    fn of(table: &Table, relations: &Relations<'_>) -> Self {
        let family = Family::of(table, relations);
        Self {
            pages: family.pages(),
            rows: family.rows(),
            scans: family.leaves.iter().map(|leaf| leaf.usage.seq_scans).max().unwrap_or(0),
            rows_by_scan: family.total(|usage| usage.seq_rows_read),
            rows_by_index: family.total(|usage| usage.index_rows_fetched),
            rows_in_scanned: family.leaves.iter().map(|leaf| leaf.usage.seq_scans as f64 * leaf.rows_now()).sum(),
        }
    }

    fn share(&self) -> f64 {
        self.rows_by_scan as f64 / (self.rows_by_scan + self.rows_by_index).max(1) as f64
    }

    fn is_wasteful(&self, window: Window) -> bool {
        let large = self.pages >= LARGE_PAGES || self.rows >= LARGE_ROWS;
        let often = self.scans as f64 > HANDFUL + NIGHTLY * window.days.unwrap_or(0.0);
        let whole = self.rows_by_scan as f64 >= PART_READ * self.rows_in_scanned;
        large && often && whole && self.rows_by_scan > 0 && self.share() >= ROWS_SHARE
    }
}

fn finding(table: &Table, relations: &Relations<'_>) -> Option<Finding> {
    let window = Window::of(relations.snapshot);
    let reading = Reading::of(table, relations);
    if !reading.is_wasteful(window) {
        return None;
    }
    let statements = statements_naming(table, relations);
    let mut evidence = vec![
        Evidence::new("sequential_scans", reading.scans, "", "pg_stat_user_tables"),
        Evidence::new("rows_read_by_them", reading.rows_by_scan, "rows", "pg_stat_user_tables"),
        Evidence::new("share_of_rows_read", (reading.share() * 1000.0).round() / 1000.0, "", "pg_stat_user_tables"),
        Evidence::new("table_rows", reading.rows as u64, "rows", "pg_class"),
        Evidence::new("table_size", Bytes::of_pages(reading.pages).0, "bytes", "pg_relation_size"),
    ];
    evidence.extend(statements.iter().map(|&id| Evidence::new("statement_naming_it", id, "", "pg_stat_statements")));
    let help = match statements.as_slice() {
        [] => "Find the statements that filter or sort it and give them an index.".to_owned(),
        ids => format!("Look first at the statements that name it and take the most time: {}. Index what they filter by.", ids.join(", ")),
    };
    Some(Finding {
        rule: RULE.id.to_owned(),
        severity: if reading.pages >= LARGE_PAGES { Severity::Warning } else { Severity::Info },
        object: Object::table(&table.name),
        message: format!(
            "Table {} ({}, about {} rows) was scanned sequentially {} times in {window}; those scans read {} rows, {:.0} % of all rows \
             read from it. Reports that need every row are rightly among them.",
            table.name,
            Bytes::of_pages(reading.pages),
            grouped(reading.rows as u64),
            grouped(reading.scans),
            grouped(reading.rows_by_scan),
            reading.share() * 100.0,
        ),
        evidence,
        help,
    })
}

/// Returns the ids of up to three statements that look for rows and whose text names the table, most execution time first.
fn statements_naming<'a>(table: &Table, relations: &Relations<'a>) -> Vec<&'a str> {
    let names_it = |query: &str| {
        matches!(statement_text::verb(query).as_str(), "select" | "with" | "update" | "delete" | "merge")
            && statement_text::has_word(query, &table.name.name)
    };
    let mut naming: Vec<_> = relations.snapshot.statements.iter().filter(|found| found.query.as_deref().is_some_and(names_it)).collect();
    naming.sort_by(|a, b| b.exec_ms_total.total_cmp(&a.exec_ms_total));
    naming.iter().filter_map(|statement| statement.query_id.as_deref()).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::TableKind;
    use crate::findings::sample::Sample;

    fn sample(scans: u64, rows_per_scan: u64) -> Sample {
        let mut sample = Sample::of([]);
        let usage = &mut sample.snapshot.tables[0].usage;
        (usage.seq_scans, usage.seq_rows_read) = (scans, scans * rows_per_scan);
        sample
    }

    #[test]
    fn repeated_scans_of_a_large_table_are_reported() {
        let finding = sample(500, 1_000_000).findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.message.contains("500 times in the 40 days"), "{}", finding.message);
        assert!(finding.message.contains("read 500 000 000 rows, 100 % of all rows"), "{}", finding.message);
    }

    #[test]
    fn a_handful_of_scans_and_nightly_ones_are_not() {
        assert!(sample(90, 1_000_000).named(RULE.check).is_empty(), "two a day for 40 days, and ten");
        assert_eq!(sample(91, 1_000_000).named(RULE.check), ["t"]);
        assert!(sample(10, 1_000_000).window_hours(1).named(RULE.check).is_empty());
        assert_eq!(sample(11, 1_000_000).window_hours(1).named(RULE.check), ["t"]);
    }

    #[test]
    fn scans_that_stop_early_are_not() {
        assert!(sample(500, 99_000).named(RULE.check).is_empty());
        assert_eq!(sample(500, 100_000).named(RULE.check), ["t"], "ten participants of a parallel scan share the table");
    }

    #[test]
    fn small_tables_and_those_read_by_index_are_not() {
        let mut small = sample(500, 1_000);
        let table = &mut small.snapshot.tables[0];
        (table.rows, table.pages, table.heap_bytes) = (Some(1_000.0), 100, 100 * 8192);
        assert!(small.named(RULE.check).is_empty());
        let mut indexed = sample(100, 1_000_000);
        indexed.snapshot.tables[0].usage.index_rows_fetched = 100_000_001;
        assert!(indexed.named(RULE.check).is_empty());
    }

    #[test]
    fn partitions_are_judged_at_their_root() {
        let mut sample = Sample::of([]);
        sample.snapshot.tables[0].kind = TableKind::Partitioned;
        for oid in 2..=21 {
            let leaf = sample.table(oid, "leaf");
            (leaf.parent, leaf.is_partition) = (Some(1), true);
            (leaf.usage.seq_scans, leaf.usage.seq_rows_read) = (80, 80_000_000);
        }
        assert!(sample.named(RULE.check).is_empty(), "80 queries over twenty partitions are two a day");
        sample.snapshot.tables[1].usage.seq_scans = 200;
        assert_eq!(sample.named(RULE.check), ["t"]);
    }

    #[test]
    fn the_statements_that_name_it_are_listed_by_time() {
        let mut sample = sample(500, 1_000_000);
        sample.statement("1", "select * from other_t", 5, 9_000.0);
        sample.statement("2", "select * from t where b = $1", 5, 10.0);
        sample.statement("3", "select * from public.t", 5, 100.0);
        assert!(sample.findings(RULE.check)[0].help.contains("take the most time: 3, 2."), "{}", sample.findings(RULE.check)[0].help);
    }
}
