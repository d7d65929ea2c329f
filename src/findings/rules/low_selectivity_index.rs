//! Indexes on a single column that tells two kinds of rows apart, neither of them rare.

use crate::catalog::{Column, ColumnStatistics, Index, Oid, Relations, Table, UsageEverywhere};
use crate::findings::foreign_keys::is_only_support;
use crate::findings::redundancy::{is_bound, spares};
use crate::findings::usage::Everywhere;
use crate::findings::window::Window;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "low-selectivity-index",
    summary: "An index on one column with two values or fewer finds so many rows at once that reading the whole table is quicker.",
    check: Check::Catalog(check),
};

/// 1 MiB: dropping less is not worth the doubt.
const SMALL_BYTES: u64 = 1 << 20;

/// A fifth of the rows: a scan that returns this many visits nearly every page of the table.
const COMMON_SHARE: f64 = 0.2;

/// 0.9: where rows of one value lie together, an index finds their pages.
const ORDERED: f64 = 0.9;

/// A tenth of the table: scans that returned fewer rows than this found something rare.
const NARROW_SHARE: f64 = 0.1;

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let usage = Everywhere::of(relations.snapshot);
    // Needed by another rule's advice: following both would leave neither index.
    let taken: Vec<Oid> = spares(relations).iter().flat_map(|spare| [spare.index.oid, spare.kept.oid]).collect();
    let mut findings = vec![];
    for index in relations.snapshot.indexes.iter().filter(|index| index.size_bytes >= SMALL_BYTES && !taken.contains(&index.oid)) {
        if let Some(table) = relations.table(index.table)
            && let Some((column, statistics, rarest)) = two_valued(index, table)
            && !is_bound(index)
            && !is_only_support(index, table, relations)
            && !finds_few(&usage.index(index), table)
        {
            findings.push(finding(index, table, column, statistics, rarest, &usage, Window::of_every_node(relations.snapshot)));
        }
    }
    findings
}

/// Returns the only key column with its statistics and the share of its rarest value, when it has at most two values and neither is rare.
fn two_valued<'a>(index: &'a Index, table: &'a Table) -> Option<(&'a Column, &'a ColumnStatistics, f64)> {
    let plain = index.usable() && index.access_method == "btree" && !index.unique && index.predicate.is_none() && index.included.is_empty();
    let [key] = index.keys.as_slice() else { return None };
    let column = table.column(key.target.column()?)?;
    let statistics = column.statistics.as_ref()?;
    let distinct = statistics.distinct_values(table.rows_now());
    let known: f64 = statistics.common_frequencies.iter().sum::<f64>() + statistics.null_fraction;
    let nulls = Some(statistics.null_fraction).filter(|&share| share > 0.0);
    let rarest = statistics.common_frequencies.iter().copied().chain(nulls).fold(1.0, f64::min);
    // Every value is among the common ones, so that none is hidden.
    let all_known = distinct <= 2.0 && statistics.common_frequencies.len() as f64 == distinct && known > 0.99;
    let scattered = statistics.correlation.is_none_or(|correlation| correlation.abs() < ORDERED);
    (plain && table.persistence != "t" && all_known && scattered && rarest >= COMMON_SHARE).then_some((column, statistics, rarest))
}

/// Returns whether the scans there were found a small part of the table: then somebody asks for something rare after all.
fn finds_few(usage: &UsageEverywhere<'_>, table: &Table) -> bool {
    usage.scans > 0 && (usage.entries_read as f64 / usage.scans as f64) < NARROW_SHARE * table.rows_now()
}

fn finding(
    index: &Index,
    table: &Table,
    column: &Column,
    statistics: &ColumnStatistics,
    rarest: f64,
    usage: &Everywhere<'_>,
    window: Window,
) -> Finding {
    let scans = usage.index(index).scans;
    let distinct = statistics.distinct_values(table.rows_now());
    let values = match (distinct as u64, statistics.null_fraction > 0.0) {
        (1, false) => "the same value in every row".to_owned(),
        (1, true) => format!("one value and NULL, the rarer in {:.0} % of the rows", rarest * 100.0),
        (_, nulls) => {
            format!("two values{}, the rarest in {:.0} % of the rows", if nulls { " and NULL" } else { "" }, rarest * 100.0)
        }
    };
    let mut message = format!(
        "Index {} ({}) is on {} alone, which has {values}: looking one up reads nearly every page of {}, and the planner rather reads the \
         table. It was scanned {} times in {window}.",
        index.name,
        Bytes(index.size_bytes),
        column.name,
        table.name,
        grouped(scans),
    );
    if index.clustered {
        message.push_str(" CLUSTER remembers this index.");
    }
    let drop = remedy::drop_index(index, table);
    let help = match scans {
        0 => drop,
        _ => format!(
            "Find out what scans it (an index-only count, or an order): a partial index on what is looked for beside it, or one led by \
             another column, serves better. Then: {drop}"
        ),
    };
    Finding {
        rule: RULE.id.to_owned(),
        severity: if scans == 0 { Severity::Warning } else { Severity::Info },
        object: Object::index(index, table),
        message,
        evidence: vec![
            Evidence::new("column", column.name.clone(), "", "pg_index"),
            Evidence::new("distinct_values", distinct, "", "pg_stats"),
            Evidence::new("rarest_share", (rarest * 1000.0).round() / 1000.0, "", "pg_stats"),
            Evidence::new("scans", scans, "", "pg_stat_user_indexes"),
            Evidence::new("size", index.size_bytes, "bytes", "pg_relation_size"),
            Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"),
        ],
        help,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    /// Samples a column `a` with values of these shares.
    fn sample(sketch: Sketch, shares: &[f64]) -> Sample {
        let mut sample = Sample::of([("x", sketch)]);
        sample.snapshot.tables[0].columns[0].statistics = Some(ColumnStatistics {
            distinct: shares.len() as f64,
            common_values: shares.iter().map(|share| share.to_string()).collect(),
            common_frequencies: shares.to_vec(),
            correlation: Some(0.5),
            ..ColumnStatistics::default()
        });
        sample
    }

    fn reported(sketch: Sketch, shares: &[f64]) -> Vec<String> {
        sample(sketch, shares).named(RULE.check)
    }

    #[test]
    fn two_common_values_are_reported_and_a_rare_one_is_not() {
        assert_eq!(reported(index("a"), &[0.8, 0.2]), ["x"]);
        assert_eq!(reported(index("a"), &[1.0]), ["x"]);
        assert!(reported(index("a"), &[0.81, 0.19]).is_empty());
        assert!(reported(index("a"), &[0.4, 0.3, 0.3]).is_empty());
    }

    #[test]
    fn an_index_that_does_more_is_not() {
        assert!(reported(index("a, b"), &[0.5, 0.5]).is_empty());
        assert!(reported(index("a").include(&["b"]), &[0.5, 0.5]).is_empty());
        assert!(reported(index("a").predicate("(b > 1)"), &[0.5, 0.5]).is_empty());
        assert!(reported(index("a").unique(), &[0.5, 0.5]).is_empty());
        assert!(reported(index("a").method("brin"), &[0.5, 0.5]).is_empty());
    }

    #[test]
    fn values_that_lie_together_and_rare_nulls_are_worth_an_index() {
        let mut ordered = sample(index("a"), &[0.5, 0.5]);
        ordered.snapshot.tables[0].columns[0].statistics.as_mut().unwrap().correlation = Some(-0.95);
        assert!(ordered.named(RULE.check).is_empty());
        assert!(reported(index("a"), &[0.5, 0.45]).is_empty(), "a twentieth of the rows has values nobody knows");
        let mut nulls = sample(index("a"), &[0.5, 0.4]);
        nulls.snapshot.tables[0].columns[0].statistics.as_mut().unwrap().null_fraction = 0.1;
        assert!(nulls.named(RULE.check).is_empty());
    }

    #[test]
    fn scans_that_found_few_rows_speak_for_it() {
        let scanned = |entries: u64| index("a").scans(10).with(|index| index.usage.entries_read = entries);
        assert!(reported(scanned(10), &[0.5, 0.5]).is_empty());
        let finding = sample(scanned(5_000_000), &[0.5, 0.5]).findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.message.contains("was scanned 10 times in the 40 days"), "{}", finding.message);
    }

    #[test]
    fn what_a_foreign_key_or_another_rules_advice_needs_stays() {
        let mut foreign = sample(index("a"), &[0.5, 0.5]);
        foreign.foreign_key("t_fkey", 1, &["a"], 2);
        assert!(foreign.named(RULE.check).is_empty());
        let mut covered = sample(index("a"), &[0.5, 0.5]);
        covered.index("wide", index("a, b"));
        assert!(covered.named(RULE.check).is_empty());
    }
}
