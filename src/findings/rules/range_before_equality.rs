//! Indexes whose first key is only ever searched by range, with a later one that is searched by value.

use sqlparser::ast::Expr;

use crate::catalog::{Column, Index, Relations, Table, TableKind};
use crate::findings::redundancy::is_bound;
use crate::findings::statements::comparison::comparison;
use crate::findings::statements::{Level, MIN_CALLS, Recorded};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Statements, remedy};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "range-before-equality",
    summary: "An index leads with a column that is only searched by range, so the equality on its next column skips nothing.",
    check: Check::Workload(check),
};

/// 1 MiB: in a smaller index a scan of the range is quick either way.
const SMALL_BYTES: u64 = 1 << 20;

fn check(relations: &Relations<'_>, statements: &Statements<'_>) -> Vec<Finding> {
    let candidates = relations.snapshot.indexes.iter().filter(|index| may_be_turned(index));
    candidates.filter_map(|index| finding(index, relations.table(index.table)?, relations, statements)).collect()
}

fn may_be_turned(index: &Index) -> bool {
    let large = index.size_bytes >= SMALL_BYTES;
    // The order of a unique index's keys may be turned as well, but not that of a constraint's, short of making it anew.
    large && index.usable() && index.access_method == "btree" && index.keys.len() >= 2 && !index.unique && !is_bound(index)
}

/// How one level of a statement uses a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Not at all.
    No,
    /// Compared with `<`, `>`, `BETWEEN` alone.
    Range,
    /// Compared with whole values, and maybe by range as well.
    Equality,
    /// Anything else: joined, tested for NULL, inside an expression.
    Other,
}

/// Returns how a level's conditions use a column.
fn used(level: &Level<'_>, table: &Table, column: &Column) -> Use {
    let is_it = |expr: &Expr| level.column(expr).is_some_and(|(of, found)| of.oid == table.oid && found.number == column.number);
    let mut found = Use::No;
    for condition in &level.conjuncts {
        let this = match comparison(condition) {
            Some(comparison) if is_it(comparison.subject) => {
                if comparison.with.is_equality() {
                    Use::Equality
                } else {
                    Use::Range
                }
            }
            _ if names(condition, &column.name) => Use::Other,
            _ => continue,
        };
        found = match (found, this) {
            (Use::No, this) => this,
            (Use::Range | Use::Equality, Use::Range | Use::Equality) if found == Use::Equality || this == Use::Equality => Use::Equality,
            (Use::Range, Use::Range) => Use::Range,
            _ => Use::Other,
        };
    }
    found
}

/// Returns whether a condition names a column like this one, whosever it is.
fn names(condition: &Expr, column: &str) -> bool {
    crate::findings::statement_text::has_word(&condition.to_string(), column)
}

fn finding(index: &Index, table: &Table, relations: &Relations<'_>, statements: &Statements<'_>) -> Option<Finding> {
    let first = table.column(index.keys[0].target.column()?)?;
    if table.kind == TableKind::Partitioned || table.extension.is_some() || statements.unread_naming(table) {
        return None;
    }
    let mut second: Option<usize> = None;
    let mut witnesses: Vec<&Recorded<'_>> = vec![];
    for (recorded, level) in statements.levels_on(table) {
        match used(level, table, first) {
            Use::No if sorts_by(level, table, first) => return None,
            Use::No => continue,
            Use::Range => {}
            // Somebody needs it where it stands.
            Use::Equality | Use::Other => return None,
        }
        // The later key that is compared with a value; the same for all, or there is no one order that serves them all.
        let later = |position: &usize| {
            let column = index.keys[*position].target.column().and_then(|name| table.column(name));
            column.is_some_and(|column| used(level, table, column) == Use::Equality)
        };
        let position = (1..index.keys.len()).find(later)?;
        if second.is_some_and(|second| second != position) {
            return None;
        }
        second = Some(position);
        witnesses.push(recorded);
    }
    let second = second?;
    let calls: u64 = witnesses.iter().map(|recorded| recorded.totals.calls).sum();
    let mut keys = index.keys.clone();
    let moved = keys.remove(second);
    keys.insert(0, moved);
    // The better order is there already: then this index is another rule's matter.
    let exists = relations
        .indexes_of(table.oid)
        .iter()
        .any(|other| other.usable() && other.predicate == index.predicate && other.keys.len() >= 2 && other.keys[..2] == keys[..2]);
    if calls < MIN_CALLS || exists {
        return None;
    }
    let heaviest = witnesses.iter().max_by(|a, b| a.totals.exec_ms.total_cmp(&b.totals.exec_ms))?;
    let names = (first.name.as_str(), index.keys[second].target.column()?);
    Some(told(index, table, &keys, names, calls, heaviest))
}

/// Returns whether a level reads the table in the order of the column, which an index led by another would not give.
fn sorts_by(level: &Level<'_>, table: &Table, column: &Column) -> bool {
    level.order.iter().any(|key| level.column(&key.expr).is_some_and(|(of, found)| of.oid == table.oid && found.number == column.number))
        || (level.grouped && level.order.is_empty())
}

fn told(index: &Index, table: &Table, keys: &[crate::catalog::Key], names: (&str, &str), calls: u64, heaviest: &Recorded<'_>) -> Finding {
    let (first, second) = names;
    let mut evidence = vec![
        Evidence::new("range_column", first, "", "pg_stat_statements"),
        Evidence::new("equality_column", second, "", "pg_stat_statements"),
        Evidence::new("query_id", heaviest.id, "", "pg_stat_statements"),
    ];
    evidence.extend(crate::findings::statements::tell::evidence(heaviest));
    evidence.push(Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"));
    Finding {
        rule: RULE.id.to_owned(),
        severity: crate::findings::statements::tell::severity(heaviest),
        object: Object::index(index, table),
        message: format!(
            "Index {} ({}) leads with {first}, which every recorded statement that uses it ({} calls) compares by range, and {second} by \
             value only after it: a scan reads the whole range of {first} to find one {second}. Led by {second}, it would read what it \
             returns. The heaviest is statement {}.",
            index.name,
            Bytes(index.size_bytes),
            grouped(calls),
            heaviest.id,
        ),
        evidence,
        help: format!("{} Then: {}", remedy::create_as(index, table, keys, index.predicate.as_deref()), remedy::drop_index(index, table)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    fn sample(sketch: Sketch, queries: &[&str]) -> Sample {
        let mut sample = Sample::of([("x", sketch)]);
        for (number, query) in queries.iter().enumerate() {
            sample.statement(&number.to_string(), query, 9, 10.0);
        }
        sample
    }

    fn reported(queries: &[&str]) -> bool {
        !sample(index("a, b"), queries).named(RULE.check).is_empty()
    }

    const BOTH: &str = "select * from t where a > $1 and b = $2 order by a";

    #[test]
    fn a_range_first_and_an_equality_later_are_turned() {
        let finding = sample(index("a desc, c, b").include(&["d"]), &[BOTH]).findings(RULE.check).remove(0);
        assert_eq!(
            finding.help,
            "CREATE INDEX CONCURRENTLY ON public.t USING btree (b, a DESC, c) INCLUDE (d); Then: DROP INDEX CONCURRENTLY public.x;"
        );
        assert!(finding.message.contains("(9 calls) compares by range, and b by value only after it"), "{}", finding.message);
        assert!(reported(&[BOTH, "select 1 from t where t.b in ($1, $2) and t.a between $3 and $4"]));
    }

    #[test]
    fn a_statement_that_needs_the_order_as_it_is_speaks_for_it() {
        for other in [
            "select * from t where a = $1",
            "select * from t where a > $1",
            "select * from t order by a limit $1",
            "select * from t join u on u.x = t.a",
            "select * from t where a is null",
            "select a, count(*) from t group by a",
            "select * from t where a >< $1",
        ] {
            assert!(!reported(&[BOTH, other]), "{other}");
        }
        assert!(reported(&[BOTH, "select * from t where c = $1", "select * from u where a = $1"]));
    }

    #[test]
    fn the_better_order_may_be_there_already() {
        let mut sample = sample(index("a, b"), &[BOTH]);
        sample.index("y", index("b, a, c"));
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn small_unique_and_rarely_used_indexes_are_not_reported() {
        assert!(sample(index("a, b").size(SMALL_BYTES - 1), &[BOTH]).named(RULE.check).is_empty());
        assert!(sample(index("a, b").unique(), &[BOTH]).named(RULE.check).is_empty());
        let mut rare = sample(index("a, b"), &[BOTH]);
        rare.snapshot.statements[0].calls = 4;
        assert!(rare.named(RULE.check).is_empty());
    }
}
