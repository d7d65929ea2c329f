//! Foreign keys whose referencing rows can only be found by reading the whole table.

use crate::catalog::{Constraint, ForeignKey, Relations, Table};
use crate::findings::family::Family;
use crate::findings::foreign_keys::served;
use crate::findings::window::Window;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "unindexed-foreign-key",
    summary: "No index leads with a foreign key's columns, so each delete of a referenced row reads the whole referencing table.",
    check: Check::Catalog(check),
};

/// 128 pages (1 MiB): below this reading the whole table costs about as little as a look-up. A rule of thumb.
const TINY_PAGES: u64 = 128;

/// 10 000 000 pages (76 GiB) that deletes may have read since the reset: the foreign key alone can then be felt.
const HEAVY_PAGES: u64 = 10_000_000;

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    // A constraint with a parent is a partition's share of one that is reported at the root.
    let roots = relations.snapshot.constraints.iter().filter(|constraint| constraint.parent.is_none());
    roots.filter_map(|constraint| finding(constraint, relations)).collect()
}

fn finding(constraint: &Constraint, relations: &Relations<'_>) -> Option<Finding> {
    let foreign = constraint.foreign.as_ref()?;
    let table = relations.table(constraint.table).filter(|table| table.extension.is_none())?;
    if served(relations, table, &constraint.columns, None) {
        return None;
    }
    let child = Family::of(table, relations);
    let window = Window::of(relations.snapshot);
    let changes = relations.table(foreign.table).map(|parent| Changes::of(parent, relations));
    let severity = severity(child.pages(), changes, window)?;
    let columns = remedy::column_list(&constraint.columns);
    let changed = changes.map_or("How often its rows are deleted was not seen".to_owned(), |changes| changes.told(window));
    Some(Finding {
        rule: RULE.id.to_owned(),
        severity,
        object: Object::constraint(&constraint.name, table),
        message: format!(
            "Foreign key {} has no index on {} ({columns}): each delete of a row of {}{} reads all of the table ({}, about {} rows) \
             and holds its locks meanwhile. {changed}.",
            constraint.name,
            table.name,
            foreign.table_name,
            on_delete(foreign),
            Bytes::of_pages(child.pages()),
            grouped(child.rows() as u64),
        ),
        evidence: evidence(&columns, foreign, &child, changes),
        help: remedy::create_index(table, &constraint.columns),
    })
}

/// What happened to the referenced table's rows since the statistics were reset.
#[derive(Debug, Clone, Copy)]
struct Changes {
    deleted: u64,
    updated: u64,
}

impl Changes {
    fn of(parent: &Table, relations: &Relations<'_>) -> Self {
        let family = Family::of(parent, relations);
        Self { deleted: family.total(|usage| usage.rows_deleted), updated: family.total(|usage| usage.rows_updated) }
    }

    fn told(self, window: Window) -> String {
        let Self { deleted, updated } = self;
        format!(
            "There, {} rows were deleted and {} updated in {window} (updates count only when they change the key)",
            grouped(deleted),
            grouped(updated)
        )
    }
}

/// Weighs the size of what is read against how often; `None` where a person would not act.
fn severity(pages: u64, changes: Option<Changes>, window: Window) -> Option<Severity> {
    let quiet = changes.is_some_and(|changes| changes.deleted == 0 && changes.updated == 0);
    match changes {
        _ if pages < TINY_PAGES && quiet => None,
        _ if pages < TINY_PAGES => Some(Severity::Info),
        Some(Changes { deleted, .. }) if deleted.saturating_mul(pages) >= HEAVY_PAGES => Some(Severity::Critical),
        // In a short window "never" proves nothing, and the first delete will be slow.
        _ if quiet && window.long_enough() => Some(Severity::Info),
        _ => Some(Severity::Warning),
    }
}

fn on_delete(foreign: &ForeignKey) -> &'static str {
    match foreign.on_delete.as_str() {
        "c" => " (ON DELETE CASCADE)",
        "n" => " (ON DELETE SET NULL)",
        "d" => " (ON DELETE SET DEFAULT)",
        _ => "",
    }
}

fn evidence(columns: &str, foreign: &ForeignKey, child: &Family<'_>, changes: Option<Changes>) -> Vec<Evidence> {
    let mut evidence = vec![
        Evidence::new("columns", columns, "", "pg_constraint"),
        Evidence::new("references", foreign.table_name.to_string(), "", "pg_constraint"),
        Evidence::new("table_size", child.leaves.iter().map(|leaf| leaf.heap_bytes).sum::<u64>(), "bytes", "pg_relation_size"),
        Evidence::new("table_rows", child.rows() as u64, "rows", "pg_class"),
    ];
    if let Some(Changes { deleted, updated }) = changes {
        evidence.push(Evidence::new("referenced_rows_deleted", deleted, "rows", "pg_stat_user_tables"));
        evidence.push(Evidence::new("referenced_rows_updated", updated, "rows", "pg_stat_user_tables"));
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::TableKind;
    use crate::findings::sample::{Sample, Sketch, index};

    /// Table `t` of 10 000 pages refers by (a) to table 2, from which 100 rows were deleted.
    fn sample(indexes: &[Sketch]) -> Sample {
        let mut sample = Sample::of([]);
        sample.table(2, "parent");
        for sketch in indexes {
            sample.index("i", sketch.clone());
        }
        sample.foreign_key("t_a_fkey", 1, &["a"], 2);
        sample
    }

    #[test]
    fn a_foreign_key_without_an_index_is_reported() {
        assert_eq!(sample(&[]).named(RULE.check), ["t_a_fkey"]);
        assert_eq!(sample(&[index("b, a")]).named(RULE.check), ["t_a_fkey"]);
        assert_eq!(sample(&[index("a").invalid()]).named(RULE.check), ["t_a_fkey"]);
        assert_eq!(sample(&[index("a").method("brin")]).named(RULE.check), ["t_a_fkey"]);
        assert_eq!(sample(&[index("b").include(&["a"])]).named(RULE.check), ["t_a_fkey"]);
        assert_eq!(sample(&[index("a").predicate("(b = 1)")]).named(RULE.check), ["t_a_fkey"]);
    }

    #[test]
    fn an_index_that_leads_with_the_columns_silences_it() {
        for serving in [index("a, b"), index("a").method("hash"), index("a").predicate("(a IS NOT NULL)"), index("a").constraint("t_pkey")]
        {
            assert!(sample(&[serving]).named(RULE.check).is_empty());
        }
    }

    #[test]
    fn a_partition_is_reported_at_its_root_only() {
        let mut sample = sample(&[]);
        sample.snapshot.tables[0].kind = TableKind::Partitioned;
        let partition = sample.table(3, "t_2026");
        (partition.parent, partition.is_partition) = (Some(1), true);
        sample.foreign_key("t_2026_a_fkey", 3, &["a"], 2).parent = Some(501);
        let findings = sample.findings(RULE.check);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].object.name, "t_a_fkey");
        assert!(findings[0].message.contains("78 MB, about 1 000 000 rows"), "{}", findings[0].message);
        assert!(findings[0].help.starts_with("CREATE INDEX ON ONLY public.t (a);"));
    }

    fn severity_of(pages: u64, deleted: u64, updated: u64, hours: i64) -> Option<Severity> {
        let mut sample = sample(&[]).window_hours(hours);
        sample.snapshot.tables[0].heap_bytes = pages * 8192;
        let usage = &mut sample.snapshot.tables[1].usage;
        (usage.rows_deleted, usage.rows_updated) = (deleted, updated);
        sample.findings(RULE.check).first().map(|finding| finding.severity)
    }

    #[test]
    fn severity_follows_size_and_deletes() {
        assert_eq!(severity_of(127, 0, 0, 960), None);
        assert_eq!(severity_of(127, 1, 0, 960), Some(Severity::Info));
        assert_eq!(severity_of(127, 0, 1, 960), Some(Severity::Info));
        assert_eq!(severity_of(128, 1, 0, 960), Some(Severity::Warning));
        assert_eq!(severity_of(128, 0, 0, 960), Some(Severity::Info));
        assert_eq!(severity_of(128, 0, 0, 24), Some(Severity::Warning));
        assert_eq!(severity_of(10_000, 1_000, 0, 960), Some(Severity::Critical));
    }

    #[test]
    fn a_referenced_table_out_of_sight_is_said_to_be() {
        let mut sample = sample(&[]);
        sample.snapshot.tables.truncate(1);
        let finding = sample.findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.message.ends_with("How often its rows are deleted was not seen."), "{}", finding.message);
    }
}
