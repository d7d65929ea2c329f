//! Indexes that exist twice.

use crate::catalog::Relations;
use crate::findings::redundancy::{Spare, spares};
use crate::findings::window::Window;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "duplicate-index",
    summary: "An index has the same definition as another of its table, so every write pays twice for one use.",
    check: Check::Catalog(check),
};

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let window = Window::of(relations.snapshot);
    spares(relations).iter().filter_map(|spare| finding(spare, window)).collect()
}

fn finding(spare: &Spare<'_>, window: Window) -> Option<Finding> {
    let (index, table, twin) = (spare.index, spare.table, spare.twin?);
    let mut message = format!(
        "Index {} ({}) has the same keys, included columns and predicate as {}{}; every write to {} maintains both. \
         It was scanned {} times in {window}; those scans can use the other.",
        index.name,
        Bytes(spare.size_bytes),
        twin.name,
        if twin.unique && !index.unique { ", which is unique as well" } else { "" },
        table.name,
        grouped(spare.scans),
    );
    if twin.oid != spare.kept.oid {
        message.push_str(&format!(" Both are covered by {}.", spare.kept.name));
    }
    if index.clustered {
        message.push_str(" CLUSTER remembers this index: name the other to it before the drop.");
    }
    Some(Finding {
        rule: RULE.id.to_owned(),
        severity: Severity::Warning,
        object: Object::index(index, table),
        message,
        evidence: vec![
            Evidence::new("duplicate_of", twin.name.to_string(), "", "pg_index"),
            Evidence::new("covered_by", spare.kept.name.to_string(), "", "pg_index"),
            Evidence::new("size", spare.size_bytes, "bytes", "pg_relation_size"),
            Evidence::new("scans", spare.scans, "", "pg_stat_user_indexes"),
            Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"),
        ],
        help: remedy::drop_index(index, table),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    fn reported(indexes: &[(&'static str, Sketch)]) -> Vec<String> {
        Sample::of(indexes.iter().cloned()).named(RULE.check)
    }

    #[test]
    fn of_three_copies_two_are_reported() {
        assert_eq!(reported(&[("x", index("a, b")), ("y", index("a, b")), ("z", index("a, b").scans(7))]), ["x", "y"]);
    }

    #[test]
    fn the_copy_behind_a_constraint_stays() {
        assert_eq!(reported(&[("plain", index("a").scans(900)), ("t_pkey", index("a").constraint("t_pkey"))]), ["plain"]);
        assert_eq!(reported(&[("unique", index("a").unique()), ("t_pkey", index("a").constraint("t_pkey"))]), ["unique"]);
    }

    #[test]
    fn names_prove_nothing() {
        assert!(reported(&[("a", index("b")), ("b", index("c"))]).is_empty());
    }

    #[test]
    fn what_only_resembles_is_not_reported() {
        let pairs = [
            (index("a, b"), index("a, b desc")),
            (index("a"), index("a nulls first")),
            (index("a"), index("a text_pattern_ops")),
            (index("a"), index("a collate C")),
            (index("a"), index("a").method("gin")),
            (index("a"), index("a").method("hash")),
            (index("lower(a)"), index("upper(a)")),
            (index("lower(a), upper(b)"), index("lower(a), lower(b)")),
            (index("a").predicate("(b = 1)"), index("a").predicate("(b = 2)")),
            (index("a, b"), index("b, a")),
            (index("a"), index("a").invalid()),
            (index("a"), index("a").include(&["b"])),
            (index("a").unique(), index("a").unique().with(|index| index.nulls_not_distinct = true)),
        ];
        for (x, y) in pairs {
            assert!(reported(&[("x", x.clone()), ("y", y.clone())]).is_empty(), "{x:?} against {y:?}");
        }
    }

    #[test]
    fn the_message_says_how_large_since_when_and_what_stays() {
        let sample = Sample::of([("old", index("a")), ("new", index("a").with(|index| index.clustered = true).scans(1234))]);
        let finding = sample.findings(RULE.check).remove(0);
        assert_eq!(
            finding.message,
            "Index public.old (10 MB) has the same keys, included columns and predicate as public.new; every write to public.t \
             maintains both. It was scanned 0 times in the 40 days since statistics were reset; those scans can use the other."
        );
        assert_eq!(finding.help, "DROP INDEX CONCURRENTLY public.old;");
    }
}
