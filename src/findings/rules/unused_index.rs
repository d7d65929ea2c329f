//! Indexes no scan has used for as long as the statistics reach.

use crate::catalog::{Index, KeyTarget, Oid, QualifiedName, Relations, Table, TableKind, UsageEverywhere};
use crate::findings::foreign_keys::is_only_support;
use crate::findings::redundancy::{is_bound, spares};
use crate::findings::usage::Everywhere;
use crate::findings::window::{LONG_ENOUGH_DAYS, Window};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "unused-index",
    summary: "An index was not scanned, or hardly ever, since statistics were reset, and every write maintains it.",
    check: Check::Catalog(check),
};

/// 1 MiB: dropping less is not worth the doubt.
const SMALL_BYTES: u64 = 1 << 20;

/// 7 days: an index scanned less than once in so long is rarely used. A rule of thumb.
const RARE_DAYS: f64 = 7.0;

/// 1000 rows written for each scan: below this even a rare scan may be worth its index. A rule of thumb.
const RARE_WRITES_PER_SCAN: u64 = 1000;

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let seen = Seen { everywhere: Everywhere::of(relations.snapshot), window: Window::of_every_node(relations.snapshot), relations };
    // Reported by another rule, or needed by that rule's advice: following both would leave neither index.
    let taken: Vec<Oid> = spares(relations).iter().flat_map(|spare| [spare.index.oid, spare.kept.oid]).collect();
    let mut findings = vec![];
    for index in relations.snapshot.indexes.iter().filter(|index| index.usable() && !taken.contains(&index.oid)) {
        let Some(table) = relations.table(index.table) else { continue };
        let usage = seen.everywhere.index(index);
        if may_be_dropped(index, table, relations)
            && seen.is_busy(table)
            && let Some(grade) = Grade::of(&usage, table, &seen)
        {
            findings.push(finding(index, table, &usage, grade, &seen));
        }
    }
    findings
}

/// What all nodes given have seen together.
struct Seen<'a> {
    everywhere: Everywhere<'a>,
    /// The time every one of them has counted.
    window: Window,
    relations: &'a Relations<'a>,
}

impl Seen<'_> {
    /// Returns whether anything happened to the table: where nothing did, an unused index is no news.
    fn is_busy(&self, table: &Table) -> bool {
        self.is_read(table) || self.everywhere.rows_written(table) > 0
    }

    fn is_read(&self, table: &Table) -> bool {
        self.everywhere.table_scans(table) != (0, 0)
    }
}

/// How sure it is that nobody needs the index. Grade B, "used, but nothing gets slower without it", takes a planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    /// No scan in a window that is long enough.
    A,
    /// Scanned, but rarely for what its writes cost.
    C,
    /// No scan, but too little was seen to say so.
    Unproven,
}

impl Grade {
    fn of(usage: &UsageEverywhere<'_>, table: &Table, seen: &Seen<'_>) -> Option<Self> {
        match usage.scans {
            // A standby counts its own scans only, and a table nobody reads says nothing of how it is read.
            0 if seen.window.long_enough() && seen.is_read(table) && seen.everywhere.primary_seen && usage.unread_nodes.is_empty() => {
                Some(Self::A)
            }
            0 => Some(Self::Unproven),
            _ if !seen.window.long_enough() => None,
            _ => is_rare(usage, table, seen).then_some(Self::C),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::C => "C",
            Self::Unproven => "unproven",
        }
    }
}

fn is_rare(usage: &UsageEverywhere<'_>, table: &Table, seen: &Seen<'_>) -> bool {
    let asleep = usage.last_scan_at.is_some_and(|last| {
        let idle_days = (seen.relations.snapshot.taken_at.as_second() - last.as_second()) as f64 / 86_400.0;
        idle_days >= LONG_ENOUGH_DAYS
    });
    let seldom = seen.window.days.is_some_and(|days| (usage.scans as f64) < days / RARE_DAYS);
    asleep || (seldom && seen.everywhere.rows_written(table) >= usage.scans.saturating_mul(RARE_WRITES_PER_SCAN))
}

/// Returns whether only queries could need the index, and it is large enough to matter.
fn may_be_dropped(index: &Index, table: &Table, relations: &Relations<'_>) -> bool {
    index.size_bytes >= SMALL_BYTES
        && !index.unique
        && !is_bound(index)
        && table.kind != TableKind::Partitioned
        && table.extension.is_none()
        && table.persistence != "t"
        && !is_only_support(index, table, relations)
}

/// Returns the expressions whose statistics would go with the index: the planner uses those also when no scan does.
fn analysed_expressions(index: &Index) -> Vec<&str> {
    let expressions = index.keys.iter().filter_map(|key| match &key.target {
        KeyTarget::Expression(text) => Some(text.as_str()),
        KeyTarget::Column(_) => None,
    });
    expressions.zip(&index.expression_statistics).filter(|(_, statistics)| statistics.is_some()).map(|(text, _)| text).collect()
}

fn finding(index: &Index, table: &Table, usage: &UsageEverywhere<'_>, grade: Grade, seen: &Seen<'_>) -> Finding {
    let expressions = analysed_expressions(index);
    let severity = if grade == Grade::A && expressions.is_empty() { Severity::Warning } else { Severity::Info };
    let mut evidence = vec![
        Evidence::new("grade", grade.name(), "", "pgload"),
        Evidence::new("scans", usage.scans, "", "pg_stat_user_indexes"),
        Evidence::new("nodes", seen.everywhere.other_nodes + 1, "", "pgload"),
        Evidence::new("size", index.size_bytes, "bytes", "pg_relation_size"),
        Evidence::new("rows_written", seen.everywhere.rows_written(table), "rows", "pg_stat_user_tables"),
        Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"),
    ];
    if let Some(days) = seen.window.days {
        evidence.push(Evidence::new("statistics_window", (days * 100.0).round() / 100.0, "days", "pg_stat_database"));
    }
    if let Some(last) = usage.last_scan_at {
        evidence.push(Evidence::new("last_scan_at", last.to_string(), "", "pg_stat_user_indexes"));
    }
    if usage.scans > 0 {
        let per_scan = (usage.entries_read as f64 / usage.scans as f64 * 10.0).round() / 10.0;
        evidence.push(Evidence::new("entries_read_per_scan", per_scan, "rows", "pg_stat_user_indexes"));
    }
    Finding {
        rule: RULE.id.to_owned(),
        severity,
        object: Object::index(index, table),
        message: message(index, table, usage, grade, seen, &expressions),
        evidence,
        help: help(index, table, grade, seen, &expressions),
    }
}

fn message(index: &Index, table: &Table, usage: &UsageEverywhere<'_>, grade: Grade, seen: &Seen<'_>, expressions: &[&str]) -> String {
    let (name, size, table_name, window) = (&index.name, Bytes(index.size_bytes), &table.name, seen.window);
    let nodes = match seen.everywhere.other_nodes {
        0 => String::new(),
        others => format!(" on any of {} nodes", others + 1),
    };
    let mut message = match usage.scans {
        0 => format!("Index {name} ({size}) had no scan{nodes} in {window}"),
        scans => format!("Index {name} ({size}) had only {} scans{nodes} in {window}", grouped(scans)),
    };
    if let Some(last) = usage.last_scan_at {
        message.push_str(&format!(", the last on {}", last.strftime("%Y-%m-%d at %H:%M UTC")));
    }
    message.push_str(&format!("; {} rows of {table_name} were written meanwhile.", grouped(seen.everywhere.rows_written(table))));
    if grade == Grade::Unproven {
        message.push_str(match () {
            () if !seen.everywhere.primary_seen => " This server is a standby: scans on the primary were not seen.",
            () if !window.long_enough() => " That is too short to prove much: jobs that run weekly or monthly may need it.",
            () if !usage.unread_nodes.is_empty() => " Not every node given has an index of this name: what it does there is not known.",
            () => " Nothing read the table at all, so this says little of the index.",
        });
    }
    message.push_str(match seen.everywhere.other_nodes {
        0 => " Replicas were not seen, and the server does not tell when the index was made.",
        _ => " Replicas other than these were not seen, and the server does not tell when the index was made.",
    });
    if !expressions.is_empty() {
        message.push_str(" The planner uses the statistics of its expression, also where it does not scan the index.");
    }
    if index.clustered {
        message.push_str(" CLUSTER remembers this index.");
    }
    message
}

fn help(index: &Index, table: &Table, grade: Grade, seen: &Seen<'_>, expressions: &[&str]) -> String {
    let drop = remedy::drop_index(index, table);
    if grade == Grade::Unproven {
        return format!("Look again when statistics are {LONG_ENOUGH_DAYS} days old, on every replica; do not drop it on this evidence.");
    }
    match expressions {
        [] if grade == Grade::C => format!("Find out what scans it; when that may be slower: {drop}"),
        [] if seen.everywhere.other_nodes > 0 => drop,
        [] => format!("Look at the replicas' statistics (--replica URL adds them to the audit), then: {drop}"),
        expressions => format!(
            "Keep its statistics before you drop it (14 and later): {} ANALYZE {}; {drop}",
            create_statistics(index, table, expressions),
            table.name
        ),
    }
}

/// Returns one statement for each expression: alone, it gets the statistics an expression index had.
fn create_statistics(index: &Index, table: &Table, expressions: &[&str]) -> String {
    let create = |(number, expression): (usize, &&str)| {
        let suffix = if number == 0 { String::new() } else { (number + 1).to_string() };
        let name = QualifiedName::new(index.name.schema.as_str(), format!("{}_stats{suffix}", index.name.name));
        format!("CREATE STATISTICS {name} ON ({expression}) FROM {};", table.name)
    };
    expressions.iter().enumerate().map(create).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index, node, statistics};

    fn reported(sketch: Sketch) -> Vec<String> {
        Sample::of([("x", sketch)]).named(RULE.check)
    }

    #[test]
    fn an_index_without_a_scan_in_a_long_window_is_a_warning() {
        let finding = Sample::of([("x", index("a"))]).findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(
            finding.message,
            "Index public.x (10 MB) had no scan in the 40 days since statistics were reset; 15 100 rows of public.t were written \
             meanwhile. Replicas were not seen, and the server does not tell when the index was made."
        );
    }

    #[test]
    fn a_short_window_proves_little_and_says_so() {
        let finding = Sample::of([("x", index("a"))]).window_hours(7).findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.message.contains("no scan in the 7 hours"), "{}", finding.message);
        assert!(finding.message.contains("too short to prove much"), "{}", finding.message);
        assert!(!finding.help.contains("DROP"), "{}", finding.help);
        assert!(Sample::of([("x", index("a").scans(1))]).window_hours(7).named(RULE.check).is_empty());
    }

    #[test]
    fn what_something_besides_queries_needs_is_vetoed() {
        assert!(reported(index("a").constraint("t_pkey")).is_empty());
        assert!(reported(index("a").unique()).is_empty());
        assert!(reported(index("a").with(|index| index.replica_identity = true)).is_empty());
        assert!(reported(index("a").with(|index| index.extension = Some("postgis".to_owned()))).is_empty());
        assert!(reported(index("a").with(|index| index.parent = Some(7))).is_empty());
        assert!(reported(index("a").with(|index| index.exclusion = true)).is_empty());
    }

    #[test]
    fn a_partitioned_index_is_vetoed() {
        let mut sample = Sample::of([("x", index("a"))]);
        sample.snapshot.tables[0].kind = TableKind::Partitioned;
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn a_small_index_and_an_idle_table_are_not_reported() {
        assert!(reported(index("a").size(SMALL_BYTES - 1)).is_empty());
        let mut sample = Sample::of([("x", index("a"))]);
        sample.snapshot.tables[0].usage = Default::default();
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn a_table_nobody_reads_and_a_standby_prove_little() {
        let mut sample = Sample::of([("x", index("a"))]);
        sample.snapshot.server.in_recovery = true;
        assert!(sample.findings(RULE.check)[0].message.contains("scans on the primary were not seen"));
        sample.snapshot.server.in_recovery = false;
        sample.snapshot.tables[0].usage.index_scans = 0;
        assert_eq!(sample.findings(RULE.check)[0].severity, Severity::Info);
    }

    #[test]
    fn the_only_index_of_a_foreign_key_is_vetoed() {
        let mut sample = Sample::of([("x", index("b, a, c"))]);
        sample.foreign_key("t_fkey", 1, &["a", "b"], 2);
        assert!(sample.named(RULE.check).is_empty());
        sample.index("other", index("a, b, d").scans(900));
        assert_eq!(sample.named(RULE.check), ["x"]);
    }

    #[test]
    fn expression_statistics_are_offered_a_new_home() {
        let sketch = index("lower(a)").with(|index| index.expression_statistics = vec![Some(statistics())]);
        let finding = Sample::of([("x", sketch)]).findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Info);
        assert!(
            finding.help.contains("CREATE STATISTICS public.x_stats ON (lower(a)) FROM public.t; ANALYZE public.t;"),
            "{}",
            finding.help
        );
        assert_eq!(Sample::of([("x", index("lower(a)"))]).findings(RULE.check)[0].severity, Severity::Warning);
    }

    #[test]
    fn a_rarely_scanned_index_is_grade_c() {
        let finding = Sample::of([("x", index("a").scans(5))]).findings(RULE.check).remove(0);
        assert_eq!((finding.severity, &finding.evidence[0].value), (Severity::Info, &serde_json::json!("C")));
        assert!(reported(index("a").scans(6)).is_empty());
        let mut sample = Sample::of([("x", index("a").scans(9_000))]);
        assert!(sample.named(RULE.check).is_empty());
        sample.snapshot.indexes[0].usage.last_scan_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(sample.named(RULE.check), ["x"]);
    }

    #[test]
    fn both_sides_of_a_redundant_pair_and_invalid_indexes_are_left_to_their_rules() {
        let sample = Sample::of([("x", index("a").scans(10)), ("y", index("a, b")), ("z", index("c").invalid())]);
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn a_scan_on_a_replica_speaks_for_the_index() {
        let mut sample = Sample::of([("x", index("a"))]);
        let mut replica = node(&sample.snapshot, "replica:5432");
        sample.snapshot.nodes = vec![replica.clone()];
        let finding = sample.findings(RULE.check).remove(0);
        assert!(finding.message.contains("no scan on any of 2 nodes in the 40 days"), "{}", finding.message);
        assert!(finding.message.contains("Replicas other than these were not seen"), "{}", finding.message);
        assert_eq!(finding.help, "DROP INDEX CONCURRENTLY public.x;");
        replica.indexes[0].1.scans = 9_000;
        sample.snapshot.nodes = vec![replica];
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn a_node_that_says_nothing_of_the_index_leaves_it_unproven() {
        let mut sample = Sample::of([("x", index("a"))]);
        let mut replica = node(&sample.snapshot, "replica:5432");
        replica.indexes.clear();
        sample.snapshot.nodes = vec![replica];
        let finding = sample.findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.message.contains("Not every node given has an index of this name"), "{}", finding.message);
    }

    #[test]
    fn the_node_that_counted_least_sets_the_window() {
        let mut sample = Sample::of([("x", index("a"))]);
        let mut replica = node(&sample.snapshot, "replica:5432");
        replica.stats_reset_at = Some(sample.snapshot.taken_at - jiff::SignedDuration::from_hours(30));
        sample.snapshot.nodes = vec![replica.clone()];
        assert!(sample.findings(RULE.check)[0].message.contains("in the 30 hours"));
        (replica.stats_reset_at, replica.started_at) = (None, None);
        sample.snapshot.nodes = vec![replica];
        assert_eq!(sample.findings(RULE.check)[0].evidence[0].value, serde_json::json!("unproven"));
    }

    #[test]
    fn a_standby_with_its_primary_proves_as_much_as_the_primary() {
        let mut sample = Sample::of([("x", index("a"))]);
        sample.snapshot.server.in_recovery = true;
        let mut primary = node(&sample.snapshot, "primary:5432");
        primary.in_recovery = false;
        sample.snapshot.nodes = vec![primary];
        assert_eq!(sample.findings(RULE.check)[0].severity, Severity::Warning);
    }
}
