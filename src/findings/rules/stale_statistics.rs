//! Tables the planner knows too little of, or knows as they were.

use crate::catalog::{Relations, Table, TableKind};
use crate::findings::family::Family;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity};
use crate::units::grouped;

pub(super) const RULE: Rule = Rule {
    id: "stale-statistics",
    summary: "A table was never analysed, or changed much since, so the planner guesses.",
    check: Check::Catalog(check),
};

/// 1000 rows: plans over smaller tables are quick whatever the planner believes.
const FEW_ROWS: u64 = 1000;

/// 10 % of the rows: the server's own default for when to analyse.
const CHANGED_SHARE: f64 = 0.1;

/// Half of the rows: the histogram can no longer be right.
const MOSTLY_CHANGED: f64 = 0.5;

/// 50 rows: the server's default for `autovacuum_analyze_threshold`.
const DEFAULT_THRESHOLD: f64 = 50.0;

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let tables = relations.snapshot.tables.iter().filter(|table| table.persistence != "t" && table.extension.is_none());
    tables.filter_map(|table| finding(table, relations)).collect()
}

/// What is wrong with a table's statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Staleness {
    /// There are none.
    Never,
    /// Partitions have theirs, the whole has none: autovacuum analyses partitions only.
    NeverAsAWhole,
    /// So many rows changed since.
    Changed { modified: u64, share: f64 },
}

impl Staleness {
    fn of(table: &Table, rows: u64) -> Option<Self> {
        let modified = modified_since_analyze(table);
        let share = modified as f64 / rows.max(1) as f64;
        let known = table.columns.iter().any(|column| column.statistics.is_some()) || table.usage.last_analyze_at.is_some();
        match table.kind {
            _ if rows < FEW_ROWS => None,
            TableKind::Partitioned => (table.rows.is_none() && !known).then_some(Self::NeverAsAWhole),
            _ if table.rows.is_none() && !known => Some(Self::Never),
            _ => (modified > FEW_ROWS && share > CHANGED_SHARE).then_some(Self::Changed { modified, share }),
        }
    }
}

/// Returns the rows changed since the last ANALYZE, and no more than the other counters can explain.
///
/// A session that fills a table and analyses it at once reports its inserts only after the ANALYZE, which then count as made
/// since. Inserts make the heap grow beyond the size it was analysed at, unless they refill what deletes left; updates may
/// make it grow as well, so the two are not added.
fn modified_since_analyze(table: &Table) -> u64 {
    let usage = &table.usage;
    if usage.last_analyze_at.is_none() || usage.last_vacuum_at > usage.last_analyze_at {
        return usage.modified_since_analyze;
    }
    let grown = (table.rows_now() - table.rows.unwrap_or(0.0)).max(0.0) as u64;
    usage.modified_since_analyze.min(grown.max(usage.rows_updated + 2 * usage.rows_deleted))
}

fn finding(table: &Table, relations: &Relations<'_>) -> Option<Finding> {
    let live = live_rows(table, relations);
    let staleness = Staleness::of(table, live)?;
    let autovacuum = Autovacuum::of(table, relations, live);
    let when = table
        .usage
        .last_analyze_at
        .map_or("by no ANALYZE the server remembers".to_owned(), |at| format!("on {}", at.strftime("%Y-%m-%d at %H:%M UTC")));
    let what = match staleness {
        Staleness::Never => format!("Table {} (about {} rows) was never analysed, so the planner guesses.", table.name, grouped(live)),
        Staleness::NeverAsAWhole => format!(
            "Partitioned table {} (about {} rows) was never analysed as a whole: autovacuum analyses its partitions only.",
            table.name,
            grouped(live)
        ),
        Staleness::Changed { modified, share } => format!(
            "Table {}: {} of about {} rows ({:.0} %) changed since it was last analysed ({when}).",
            table.name,
            grouped(modified),
            grouped(live),
            share * 100.0
        ),
    };
    let partitioned = staleness == Staleness::NeverAsAWhole;
    let message = if partitioned { what } else { format!("{what} {}", autovacuum.told()) };
    let mut evidence = vec![
        Evidence::new("rows", live, "rows", "pg_stat_user_tables"),
        Evidence::new("modified_since_analyze", table.usage.modified_since_analyze, "rows", "pg_stat_user_tables"),
        Evidence::new("last_analyze_at", table.usage.last_analyze_at.map(|at| at.to_string()), "", "pg_stat_user_tables"),
    ];
    if !partitioned {
        evidence.push(Evidence::new("autovacuum", autovacuum.enabled, "", "pg_settings"));
        evidence.push(Evidence::new("autovacuum_analyzes_after", autovacuum.threshold as u64, "rows", "pg_settings"));
    }
    Some(Finding {
        rule: RULE.id.to_owned(),
        severity: severity(staleness, autovacuum),
        object: Object::table(&table.name),
        message,
        evidence,
        help: help(staleness, autovacuum, table),
    })
}

/// Returns the rows there are now, by the lower of two estimates: the size counts what dead rows take, the collector may count
/// rows twice (see [`modified_since_analyze`]), and knows none after a reset.
fn live_rows(table: &Table, relations: &Relations<'_>) -> u64 {
    let of_leaf = |leaf: &&Table| match (leaf.usage.live_rows, leaf.rows_now() as u64) {
        (0, by_size) => by_size,
        (counted, by_size) => counted.min(by_size),
    };
    Family::of(table, relations).leaves.iter().map(of_leaf).sum()
}

fn severity(staleness: Staleness, autovacuum: Autovacuum) -> Severity {
    match staleness {
        Staleness::Never => Severity::Warning,
        Staleness::NeverAsAWhole => Severity::Info,
        Staleness::Changed { share, .. } if share >= MOSTLY_CHANGED || !autovacuum.enabled => Severity::Warning,
        Staleness::Changed { .. } => Severity::Info,
    }
}

/// Whether and when the server would analyse the table by itself.
#[derive(Debug, Clone, Copy)]
struct Autovacuum {
    enabled: bool,
    threshold: f64,
}

impl Autovacuum {
    fn of(table: &Table, relations: &Relations<'_>, rows: u64) -> Self {
        let server = &relations.snapshot.server;
        let option = |name: &str| table.options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str, default| option(name).and_then(|text| text.parse().ok()).or(server.number(name)).unwrap_or(default);
        let off = |text: &str| matches!(text, "off" | "false" | "0" | "no");
        let disabled =
            option("autovacuum_enabled").is_some_and(off) || server.settings.get("autovacuum").is_some_and(|setting| off(&setting.value));
        let scale = number("autovacuum_analyze_scale_factor", CHANGED_SHARE);
        Self { enabled: !disabled, threshold: number("autovacuum_analyze_threshold", DEFAULT_THRESHOLD) + scale * rows as f64 }
    }

    fn told(self) -> String {
        match self.enabled {
            true => format!("Autovacuum analyses it after {} changes, at its next round.", grouped(self.threshold as u64)),
            false => "Autovacuum is off for it.".to_owned(),
        }
    }
}

fn help(staleness: Staleness, autovacuum: Autovacuum, table: &Table) -> String {
    let analyze = format!("ANALYZE {};", table.name);
    match staleness {
        Staleness::NeverAsAWhole => format!("{analyze} -- repeat it after large changes, by a scheduled job"),
        _ if !autovacuum.enabled => format!("{analyze} -- and turn autovacuum on for it, or analyse it by a scheduled job"),
        Staleness::Changed { modified, .. } if (modified as f64) < autovacuum.threshold => {
            format!("{analyze} -- and lower its autovacuum_analyze_scale_factor")
        }
        _ => format!("{analyze} -- and, when this comes back, see whether autovacuum keeps up"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::Sample;

    fn sample(change: impl FnOnce(&mut Table)) -> Sample {
        let mut sample = Sample::of([]);
        sample.snapshot.tables[0].usage.rows_updated = 1_000_000;
        change(&mut sample.snapshot.tables[0]);
        sample
    }

    fn never(table: &mut Table) {
        table.rows = None;
        table.usage.last_analyze_at = None;
        table.columns.iter_mut().for_each(|column| column.statistics = None);
    }

    #[test]
    fn a_table_never_analysed_is_a_warning() {
        let finding = sample(never).findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.message.contains("(about 1 000 000 rows) was never analysed"), "{}", finding.message);
    }

    #[test]
    fn a_table_that_changed_much_is_reported() {
        assert!(sample(|table| table.usage.modified_since_analyze = 100_000).named(RULE.check).is_empty());
        let finding = sample(|table| table.usage.modified_since_analyze = 150_000).findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.message.contains("150 000 of about 1 000 000 rows (15 %) changed"), "{}", finding.message);
        assert!(finding.message.contains("after 100 050 changes"), "{}", finding.message);
        assert_eq!(sample(|table| table.usage.modified_since_analyze = 500_000).findings(RULE.check)[0].severity, Severity::Warning);
    }

    #[test]
    fn inserts_reported_after_the_analyze_of_the_same_session_are_not_changes() {
        let loaded = |table: &mut Table| {
            table.usage.modified_since_analyze = 1_000_000;
            (table.usage.rows_updated, table.usage.rows_deleted) = (0, 0);
        };
        let mut sample = sample(loaded);
        assert!(sample.named(RULE.check).is_empty());
        sample.snapshot.tables[0].heap_bytes *= 2;
        assert_eq!(sample.named(RULE.check), ["t"], "the heap grew, so they are");
    }

    #[test]
    fn an_index_build_that_counted_the_rows_is_no_analyze() {
        let sample = sample(|table| {
            never(table);
            table.rows = Some(1_000_000.0);
            table.usage.modified_since_analyze = 1_000_000;
        });
        assert!(sample.findings(RULE.check)[0].message.contains("by no ANALYZE the server remembers"));
    }

    #[test]
    fn small_and_temporary_tables_are_skipped() {
        let small = |table: &mut Table| {
            never(table);
            (table.pages, table.heap_bytes, table.usage.live_rows) = (0, 8 * 8192, FEW_ROWS - 1);
        };
        assert!(sample(small).named(RULE.check).is_empty());
        let temporary = |table: &mut Table| {
            never(table);
            table.persistence = "t".to_owned();
        };
        assert!(sample(temporary).named(RULE.check).is_empty());
    }

    #[test]
    fn autovacuum_turned_off_is_said_and_weighs_more() {
        let mut sample = sample(|table| {
            table.usage.modified_since_analyze = 150_000;
            table.options.push("autovacuum_enabled=false".to_owned());
        });
        assert_eq!(sample.findings(RULE.check)[0].severity, Severity::Warning);
        sample.snapshot.tables[0].options.clear();
        sample.setting("autovacuum", "off");
        assert!(sample.findings(RULE.check)[0].message.ends_with("Autovacuum is off for it."));
    }

    #[test]
    fn a_table_whose_own_setting_waits_too_long_is_told_to_lower_it() {
        let sample = sample(|table| {
            table.usage.modified_since_analyze = 150_000;
            table.options.push("autovacuum_analyze_scale_factor=0.5".to_owned());
        });
        assert!(sample.findings(RULE.check)[0].help.contains("lower its autovacuum_analyze_scale_factor"));
    }

    #[test]
    fn a_partitioned_table_wants_its_own_analyze() {
        let mut sample = sample(|table| {
            never(table);
            table.kind = TableKind::Partitioned;
        });
        assert!(sample.named(RULE.check).is_empty(), "it has no rows");
        let leaf = sample.table(2, "leaf");
        (leaf.parent, leaf.is_partition) = (Some(1), true);
        let findings = sample.findings(RULE.check);
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Info));
        assert!(findings[0].message.contains("never analysed as a whole"));
    }
}
