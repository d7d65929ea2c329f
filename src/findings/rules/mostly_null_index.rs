//! Indexes most of whose entries are NULL.

use sqlparser::ast::Expr;

use crate::catalog::name::quoted;
use crate::catalog::{Column, Index, Oid, Relations, Table, TableKind};
use crate::findings::redundancy::{is_bound, spares};
use crate::findings::statements::level::bare;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, Statements, remedy};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "mostly-null-index",
    summary: "Nearly all entries of an index are NULLs nobody looks for; a partial index would be a fraction of its size.",
    check: Check::Workload(check),
};

/// 1 MiB: below this there is nothing to gain.
const SMALL_BYTES: u64 = 1 << 20;

/// 90 % NULLs: a partial index is a tenth of the size.
const NULL_SHARE: f64 = 0.9;

fn check(relations: &Relations<'_>, statements: &Statements<'_>) -> Vec<Finding> {
    let taken: Vec<Oid> = spares(relations).iter().flat_map(|spare| [spare.index.oid, spare.kept.oid]).collect();
    let mut findings = vec![];
    for index in relations.snapshot.indexes.iter().filter(|index| index.size_bytes >= SMALL_BYTES && !taken.contains(&index.oid)) {
        if let Some(table) = relations.table(index.table)
            && let Some((column, share)) = mostly_null(index, table)
            && !nulls_are_wanted(table, column, statements)
        {
            findings.push(finding(index, table, column, share));
        }
    }
    findings
}

/// Returns the leading column and its share of NULLs, when a partial index could take the index's place.
fn mostly_null<'a>(index: &'a Index, table: &'a Table) -> Option<(&'a Column, f64)> {
    // What is unique also stops `ON CONFLICT` from finding it once it is partial.
    let plain = index.usable() && index.access_method == "btree" && index.predicate.is_none() && !index.unique && !is_bound(index);
    let free = table.kind != TableKind::Partitioned && table.extension.is_none() && table.persistence != "t";
    let column = table.column(index.keys.first()?.target.column()?)?;
    let share = column.statistics.as_ref()?.null_fraction;
    (plain && free && share >= NULL_SHARE).then_some((column, share))
}

/// Returns whether a recorded statement looks for the NULLs or reads the table in the column's order, which the NULLs are part of.
fn nulls_are_wanted(table: &Table, column: &Column, statements: &Statements<'_>) -> bool {
    let is_it = |found: Option<(&Table, &Column)>| found.is_some_and(|(of, found)| of.oid == table.oid && found.number == column.number);
    statements.unread_naming(table)
        || statements.levels_on(table).any(|(_, level)| {
            let asks = |condition: &Expr| match bare(condition) {
                Expr::IsNull(inner) | Expr::IsNotDistinctFrom(inner, _) => is_it(level.column(inner)),
                Expr::BinaryOp { .. } if holds_null_test(condition) => true,
                _ => false,
            };
            level.conjuncts.iter().any(asks) || level.order.iter().any(|key| is_it(level.column(&key.expr)))
        })
}

/// Returns whether an `OR` has an arm that asks for NULLs of anything.
fn holds_null_test(condition: &Expr) -> bool {
    match bare(condition) {
        Expr::BinaryOp { left, right, .. } => holds_null_test(left) || holds_null_test(right),
        Expr::IsNull(_) => true,
        _ => false,
    }
}

fn finding(index: &Index, table: &Table, column: &Column, share: f64) -> Finding {
    let kept = index.size_bytes as f64 * (1.0 - share);
    let name = quoted(&column.name);
    Finding {
        rule: RULE.id.to_owned(),
        severity: Severity::Info,
        object: Object::index(index, table),
        message: format!(
            "{:.0} % of the entries of index {} ({}) are rows whose {} is NULL, and no recorded statement looks for these. Without them \
             the index would take about {}, and inserts that leave {} NULL would not touch it. It was scanned {} times.",
            share * 100.0,
            index.name,
            Bytes(index.size_bytes),
            column.name,
            Bytes(kept as u64),
            column.name,
            grouped(index.usage.scans),
        ),
        evidence: vec![
            Evidence::new("column", column.name.clone(), "", "pg_index"),
            Evidence::new("null_fraction", (share * 1000.0).round() / 1000.0, "", "pg_stats"),
            Evidence::new("size", index.size_bytes, "bytes", "pg_relation_size"),
            Evidence::new("scans", index.usage.scans, "", "pg_stat_user_indexes"),
            Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"),
        ],
        help: format!(
            "{} Then: {}",
            remedy::create_as(index, table, &index.keys, Some(&format!("{name} IS NOT NULL"))),
            remedy::drop_index(index, table)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    fn sample(sketch: Sketch, share: f64) -> Sample {
        let mut sample = Sample::of([("x", sketch)]);
        sample.snapshot.tables[0].columns[0].statistics.as_mut().unwrap().null_fraction = share;
        sample
    }

    fn reported(sketch: Sketch) -> Vec<String> {
        sample(sketch, 0.95).named(RULE.check)
    }

    #[test]
    fn nine_nulls_of_ten_are_reported_with_the_partial_index() {
        assert!(sample(index("a"), 0.89).named(RULE.check).is_empty());
        let finding = sample(index("a, b desc"), 0.9).findings(RULE.check).remove(0);
        assert_eq!(
            finding.help,
            "CREATE INDEX CONCURRENTLY ON public.t USING btree (a, b DESC) WHERE a IS NOT NULL; Then: DROP INDEX CONCURRENTLY public.x;"
        );
        assert!(finding.message.contains("the index would take about 1024 kB"), "{}", finding.message);
    }

    #[test]
    fn only_the_leading_column_of_a_plain_index_counts() {
        assert!(reported(index("b, a")).is_empty());
        assert!(reported(index("a").predicate("(a IS NOT NULL)")).is_empty());
        assert!(reported(index("a").unique()).is_empty());
        assert!(reported(index("a").method("gin")).is_empty());
        assert!(reported(index("a").size(SMALL_BYTES - 1)).is_empty());
    }

    #[test]
    fn statements_that_look_for_the_nulls_speak_for_them() {
        for query in [
            "select * from t where a is null",
            "select b from t x where x.b = $1 and x.a is null",
            "select b from t where a = $1 or a is null",
            "select * from t order by a limit $1",
            "select * from t where a $1 what is this",
        ] {
            let mut sample = sample(index("a"), 0.95);
            sample.statement("1", query, 5, 1.0);
            assert!(sample.named(RULE.check).is_empty(), "{query}");
        }
        let mut sample = sample(index("a"), 0.95);
        sample.statement("1", "select * from t where a = $1 and b is null order by c", 5, 1.0);
        assert_eq!(sample.named(RULE.check), ["x"]);
    }
}
