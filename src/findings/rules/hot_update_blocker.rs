//! Indexes on columns that updates change, which makes each of those updates write to every index of the table.

use std::collections::BTreeSet;

use crate::catalog::{Index, KeyTarget, Relations, Table, TableUsage};
use crate::findings::redundancy::is_bound;
use crate::findings::statements::Recorded;
use crate::findings::usage::Everywhere;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, Statements, remedy, statement_text};
use crate::units::grouped;

pub(super) const RULE: Rule = Rule {
    id: "hot-update-blocker",
    summary: "Recorded updates set a column of an index, so they cannot be heap-only and write to every index of the table.",
    check: Check::Workload(check),
};

/// 10 000 rows updated: fewer cost nothing worth a change.
const MANY_UPDATES: u64 = 10_000;

/// A tenth of the table: rarer updates are soon forgotten.
const UPDATED_SHARE: f64 = 0.1;

/// Half of the updates heap-only: above it the table does well.
const LOW_HOT_SHARE: f64 = 0.5;

/// A tenth of the recorded updates: an index blamed for less is not the reason.
const BLAMED_SHARE: f64 = 0.1;

fn check(relations: &Relations<'_>, statements: &Statements<'_>) -> Vec<Finding> {
    let everywhere = Everywhere::of(relations.snapshot);
    let suffering: Vec<&Table> = relations.snapshot.tables.iter().filter(|table| is_suffering(table)).collect();
    if suffering.is_empty() {
        return vec![];
    }
    let updates = updates(statements);
    let mut findings = vec![];
    for table in suffering {
        let recorded: Vec<&Update<'_, '_>> = updates.iter().filter(|update| of_table(update.table, table, relations)).collect();
        let rows: u64 = recorded.iter().map(|update| update.recorded.totals.rows).sum();
        for index in relations.indexes_of(table.oid).iter().filter(|index| blocks(index, table, relations)) {
            let columns = columns(index, table);
            let guilty: Vec<&Update<'_, '_>> =
                recorded.iter().copied().filter(|update| update.changes_one_of(&columns, table, relations)).collect();
            let blamed: u64 = guilty.iter().map(|update| update.recorded.totals.rows).sum();
            if blamed > 0 && blamed as f64 >= BLAMED_SHARE * rows as f64 {
                let case = Case { table, index, guilty: &guilty, blamed, rows, scans: everywhere.index(index).scans };
                findings.push(finding(&case, &columns, relations));
            }
        }
    }
    findings
}

/// Returns whether many rows were updated, and most of them not in place.
fn is_suffering(table: &Table) -> bool {
    let usage = &table.usage;
    table.extension.is_none()
        && table.persistence != "t"
        && usage.rows_updated >= MANY_UPDATES
        && usage.rows_updated as f64 >= UPDATED_SHARE * table.rows_now()
        && hot_share(usage) < LOW_HOT_SHARE
}

fn hot_share(usage: &TableUsage) -> f64 {
    usage.rows_hot_updated as f64 / usage.rows_updated.max(1) as f64
}

/// Returns whether a statement's table is this one, or the partitioned one it belongs to.
fn of_table(named: &Table, table: &Table, relations: &Relations<'_>) -> bool {
    let mut current = Some(table);
    while let Some(table) = current {
        if table.oid == named.oid {
            return true;
        }
        current = table.parent.filter(|_| table.is_partition).and_then(|parent| relations.table(parent));
    }
    false
}

/// Returns whether only queries need the index, and a change of its columns stops an update from being heap-only.
fn blocks(index: &Index, table: &Table, relations: &Relations<'_>) -> bool {
    // 16: from here on block ranges are summarised anew instead.
    let harmless = index.access_method == "brin" && relations.snapshot.server.major() >= 16;
    let partitioned = table.kind == crate::catalog::TableKind::Partitioned;
    let droppable = !index.unique && (!is_bound(index) || index.parent.is_some());
    index.live && !harmless && !partitioned && droppable
}

/// Returns the columns whose change the index notices: keys, included ones, those of expressions and of the predicate.
fn columns(index: &Index, table: &Table) -> BTreeSet<String> {
    let mut columns: BTreeSet<String> = index.included.iter().cloned().collect();
    let mut texts: Vec<&str> = index.predicate.as_deref().into_iter().collect();
    for key in &index.keys {
        match &key.target {
            KeyTarget::Column(name) => drop(columns.insert(name.clone())),
            KeyTarget::Expression(text) => texts.push(text),
        }
    }
    let named = |name: &&str| texts.iter().any(|text| statement_text::has_word(text, name));
    columns.extend(table.columns.iter().map(|column| column.name.as_str()).filter(named).map(str::to_owned));
    columns
}

/// An `UPDATE` that was run.
struct Update<'s, 'a> {
    recorded: &'s Recorded<'a>,
    table: &'a Table,
    sets: &'s [String],
}

fn updates<'s, 'a>(statements: &'s Statements<'a>) -> Vec<Update<'s, 'a>> {
    let updates = |recorded: &&Recorded<'_>| statement_text::has_word(&recorded.query.to_lowercase(), "update");
    let mut found = vec![];
    for recorded in statements.all().iter().filter(|recorded| recorded.totals.rows > 0).filter(updates) {
        // More than one change in a statement: its rows cannot be told apart.
        if let Some(reading) = statements.reading(recorded)
            && let [(table, sets)] = reading.updates.as_slice()
        {
            found.push(Update { recorded, table, sets });
        }
    }
    found
}

impl Update<'_, '_> {
    /// Returns whether it changes one of these columns for all that is known.
    ///
    /// What sets the primary key as well writes back whole rows, as some mappers do, and most values stay as they were.
    fn changes_one_of(&self, columns: &BTreeSet<String>, table: &Table, relations: &Relations<'_>) -> bool {
        let primary = relations.indexes_of(table.oid).iter().find(|index| index.primary);
        let writes_back = primary.is_some_and(|index| index.leading_columns().any(|name| self.sets.iter().any(|set| set == name)));
        !writes_back && self.sets.iter().any(|set| columns.contains(set))
    }
}

/// An index with the updates it is blamed for.
struct Case<'c, 's, 'a> {
    table: &'c Table,
    index: &'c Index,
    guilty: &'c [&'c Update<'s, 'a>],
    /// Rows updated by these.
    blamed: u64,
    /// Rows updated by all recorded updates of the table.
    rows: u64,
    scans: u64,
}

fn finding(case: &Case<'_, '_, '_>, columns: &BTreeSet<String>, relations: &Relations<'_>) -> Finding {
    let (index, table, usage) = (case.index, case.table, &case.table.usage);
    let indexes = relations.indexes_of(table.oid).iter().filter(|index| index.live).count();
    let set: BTreeSet<&str> =
        case.guilty.iter().flat_map(|update| update.sets).filter(|set| columns.contains(*set)).map(String::as_str).collect();
    let set: Vec<&str> = set.into_iter().collect();
    let ids: Vec<&str> = case.guilty.iter().map(|update| update.recorded.id).collect();
    let share = case.blamed as f64 / case.rows.max(1) as f64;
    let message = format!(
        "Of {} rows updated in {} only {:.0} % were heap-only. Statements that set {} updated {} of the {} rows recorded ({:.0} %), and \
         index {} holds {}: where the value changes, each such update adds an entry to all {indexes} indexes instead of none. The index was \
         scanned {} times.",
        grouped(usage.rows_updated),
        table.name,
        hot_share(usage) * 100.0,
        set.join(", "),
        grouped(case.blamed),
        grouped(case.rows),
        share * 100.0,
        index.name,
        if set.len() == 1 { "it" } else { "them" },
        grouped(case.scans),
    );
    let mut evidence = vec![
        Evidence::new("rows_updated", usage.rows_updated, "rows", "pg_stat_user_tables"),
        Evidence::new("rows_hot_updated", usage.rows_hot_updated, "rows", "pg_stat_user_tables"),
        Evidence::new("hot_share", (hot_share(usage) * 1000.0).round() / 1000.0, "", "pg_stat_user_tables"),
        Evidence::new("columns_set", set.join(", "), "", "pg_stat_statements"),
        Evidence::new("rows_updated_by_them", case.blamed, "rows", "pg_stat_statements"),
        Evidence::new("indexes", indexes, "", "pg_index"),
        Evidence::new("scans", case.scans, "", "pg_stat_user_indexes"),
        Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"),
    ];
    for update in case.guilty.iter().take(3) {
        let (calls, mean) = (update.recorded.totals.calls, update.recorded.totals.mean_ms());
        let told = format!("{} ({} calls, {} on average)", update.recorded.id, grouped(calls), crate::units::human_ms(mean));
        evidence.push(Evidence::new("statement", told, "", "pg_stat_statements"));
    }
    let drop = remedy::drop_index(index, table);
    let others = others_blame(case, relations);
    let mut help = match index.parent {
        Some(_) => format!("Weigh the scans against statements {}: it goes with the index of the partitioned table.", ids.join(", ")),
        None if case.scans < case.blamed => {
            format!("Its scans are fewer than the updates it burdens (statements {}). If they can do without: {drop}", ids.join(", "))
        }
        None => format!(
            "It is used more than it burdens (statements {}); keep it, or move {} to a table of its own.",
            ids.join(", "),
            set.join(", ")
        ),
    };
    if !others.is_empty() {
        help.push_str(&format!(" Updates become heap-only when {} no longer hold these columns either.", others.join(", ")));
    }
    Finding {
        rule: RULE.id.to_owned(),
        severity: if case.scans < case.blamed { Severity::Warning } else { Severity::Info },
        object: Object::index(index, table),
        message,
        evidence,
        help,
    }
}

/// Returns the other indexes that hold a column the same statements set: without this one they would still be in the way.
fn others_blame(case: &Case<'_, '_, '_>, relations: &Relations<'_>) -> Vec<String> {
    let others = relations.indexes_of(case.table.oid).iter().filter(|other| other.oid != case.index.oid && other.live);
    let in_the_way = |other: &&&Index| {
        let columns = columns(other, case.table);
        let exempt = other.access_method == "brin" && relations.snapshot.server.major() >= 16;
        !exempt && case.guilty.iter().any(|update| update.changes_one_of(&columns, case.table, relations))
    };
    others.filter(in_the_way).map(|other| other.name.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    fn sample(indexes: &[(&'static str, Sketch)], updates: &[(&str, u64)]) -> Sample {
        let mut sample = Sample::of(indexes.iter().cloned());
        let usage = &mut sample.snapshot.tables[0].usage;
        (usage.rows_updated, usage.rows_hot_updated) = (900_000, 90_000);
        for (number, (query, rows)) in updates.iter().enumerate() {
            sample.statement(&number.to_string(), query, 9, 1.0).rows = *rows;
        }
        sample
    }

    const SET_B: &str = "update t set b = $1 where a = $2";

    #[test]
    fn the_index_of_a_column_that_updates_set_is_blamed_with_numbers() {
        let finding =
            sample(&[("on_a", index("a")), ("on_b", index("b, c").scans(12))], &[(SET_B, 600_000), ("update t set d = 1", 200_000)])
                .findings(RULE.check)
                .remove(0);
        assert_eq!(
            finding.message,
            "Of 900 000 rows updated in public.t only 10 % were heap-only. Statements that set b updated 600 000 of the 800 000 rows recorded \
             (75 %), and index public.on_b holds it: where the value changes, each such update adds an entry to all 2 indexes instead of \
             none. The index was scanned 12 times."
        );
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.help.ends_with("DROP INDEX CONCURRENTLY public.on_b;"), "{}", finding.help);
    }

    #[test]
    fn keys_included_columns_expressions_and_predicates_are_noticed() {
        for sketch in [index("b"), index("a").include(&["b"]), index("lower(b)"), index("a").predicate("(b > 1)")] {
            assert_eq!(sample(&[("x", sketch.clone())], &[(SET_B, 9)]).named(RULE.check), ["x"], "{sketch:?}");
        }
        assert!(sample(&[("x", index("a").predicate("(bb > 1)"))], &[(SET_B, 9)]).named(RULE.check).is_empty());
    }

    #[test]
    fn a_table_that_does_well_or_is_seldom_updated_is_not_reported() {
        let mut well = sample(&[("x", index("b"))], &[(SET_B, 9)]);
        well.snapshot.tables[0].usage.rows_hot_updated = 450_000;
        assert!(well.named(RULE.check).is_empty());
        let mut seldom = sample(&[("x", index("b"))], &[(SET_B, 9)]);
        seldom.snapshot.tables[0].usage.rows_updated = 99_999;
        seldom.snapshot.tables[0].usage.rows_hot_updated = 0;
        assert!(seldom.named(RULE.check).is_empty());
    }

    #[test]
    fn who_is_hardly_to_blame_or_cannot_go_is_not() {
        assert!(sample(&[("x", index("b"))], &[(SET_B, 9), ("update t set d = 1", 100)]).named(RULE.check).is_empty());
        assert!(sample(&[("x", index("b").unique())], &[(SET_B, 9)]).named(RULE.check).is_empty());
        assert!(sample(&[("t_b_key", index("b").constraint("t_b_key"))], &[(SET_B, 9)]).named(RULE.check).is_empty());
    }

    #[test]
    fn rows_written_back_whole_blame_nobody() {
        let indexes = [("t_pkey", index("a").constraint("t_pkey")), ("x", index("b"))];
        assert!(sample(&indexes, &[("update t set a = $1, b = $2, c = $3 where a = $1", 9)]).named(RULE.check).is_empty());
        assert_eq!(sample(&indexes, &[("update t set b = $2, c = $3 where a = $1", 9)]).named(RULE.check), ["x"]);
    }

    #[test]
    fn block_ranges_do_not_mind_from_16_on() {
        let mut sample = sample(&[("x", index("b").method("brin"))], &[(SET_B, 9)]);
        assert_eq!(sample.named(RULE.check), ["x"]);
        sample.snapshot.server.version_num = 160_001;
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn a_well_used_index_is_only_worth_knowing_and_its_accomplice_is_named() {
        let sample = sample(&[("x", index("b").scans(1_000)), ("y", index("c, b").unique())], &[(SET_B, 9)]);
        let finding = sample.findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.help.contains("when public.y no longer hold"), "{}", finding.help);
    }
}
