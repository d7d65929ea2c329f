//! Indexes whose work another one does along with its own.

use crate::catalog::Relations;
use crate::findings::cover::Cover;
use crate::findings::redundancy::{Spare, spares};
use crate::findings::window::Window;
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};
use crate::units::{Bytes, grouped};

pub(super) const RULE: Rule = Rule {
    id: "redundant-index",
    summary: "Another index of the table serves every scan of this one, as the first keys of a wider index do.",
    check: Check::Catalog(check),
};

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let window = Window::of(relations.snapshot);
    // One with a twin is reported as a duplicate.
    spares(relations).iter().filter(|spare| spare.twin.is_none()).map(|spare| finding(spare, window)).collect()
}

fn finding(spare: &Spare<'_>, window: Window) -> Finding {
    let (index, table, kept) = (spare.index, spare.table, spare.kept);
    let much_wider = spare.cover == Cover::CoveredMuchWider;
    let mut message = format!(
        "Index {} ({}) is covered by {} ({}), which serves all of its scans ({} in {window}); every write to {} maintains both.",
        index.name,
        Bytes(spare.size_bytes),
        kept.name,
        Bytes(spare.kept_size_bytes),
        grouped(spare.scans),
        table.name,
    );
    if much_wider {
        message.push_str(" The other is much larger, so scans of many rows would read more pages: compare before you drop.");
    }
    if index.predicate.is_some() && kept.predicate.is_none() {
        message.push_str(" The covered one is partial and the other is not.");
    }
    if index.clustered {
        message.push_str(" CLUSTER remembers this index: name the other to it before the drop.");
    }
    Finding {
        rule: RULE.id.to_owned(),
        severity: if much_wider { Severity::Info } else { Severity::Warning },
        object: Object::index(index, table),
        message,
        evidence: vec![
            Evidence::new("covered_by", kept.name.to_string(), "", "pg_index"),
            Evidence::new("grade", if much_wider { "covered but much wider" } else { "covered" }, "", "pg_index"),
            Evidence::new("size", spare.size_bytes, "bytes", "pg_relation_size"),
            Evidence::new("cover_size", spare.kept_size_bytes, "bytes", "pg_relation_size"),
            Evidence::new("scans", spare.scans, "", "pg_stat_user_indexes"),
            Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"),
        ],
        help: remedy::drop_index(index, table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    fn reported(x: Sketch, y: Sketch) -> Vec<String> {
        Sample::of([("x", x), ("y", y)]).named(RULE.check)
    }

    #[test]
    fn covered_indexes_are_reported_once() {
        assert_eq!(reported(index("a"), index("a, b")), ["x"]);
        assert_eq!(reported(index("a"), index("a, b").constraint("t_pkey")), ["x"]);
        assert_eq!(reported(index("a").include(&["c"]), index("a, b").include(&["c"])), ["x"]);
        assert_eq!(reported(index("a").predicate("(b = 1)"), index("a")), ["x"]);
        assert_eq!(reported(index("lower(a)"), index("lower(a), b")), ["x"]);
        assert_eq!(reported(index("a, b").method("gin"), index("b, a").method("gin")), ["y"]);
    }

    #[test]
    fn a_is_covered_by_a_desc_and_one_of_the_two_is_reported() {
        assert_eq!(reported(index("a"), index("a desc")), ["y"]);
    }

    #[test]
    fn a_prefix_that_is_unique_or_the_replica_identity_is_not_redundant() {
        assert!(reported(index("a").unique(), index("a, b").constraint("t_pkey")).is_empty());
        assert!(reported(index("a").with(|index| index.replica_identity = true), index("a, b")).is_empty());
    }

    #[test]
    fn what_only_resembles_is_not_reported() {
        let pairs = [
            (index("a, b"), index("a, b desc")),
            (index("a"), index("a nulls first, b")),
            (index("a"), index("a text_pattern_ops, b")),
            (index("a"), index("a collate C, b")),
            (index("a").method("gin"), index("a, b")),
            (index("a").method("hash"), index("a, b")),
            (index("a").method("gin"), index("a, b").method("gin")),
            (index("lower(a)"), index("upper(a), b")),
            (index("lower(a), upper(b)"), index("lower(a), lower(b), c")),
            (index("a").predicate("(b = 1)"), index("a, b").predicate("(b = 2)")),
            (index("a"), index("a, b").predicate("(b = 2)")),
            (index("a, b"), index("b, a")),
            (index("a"), index("a, b").invalid()),
            (index("a").include(&["c"]), index("a, b")),
        ];
        for (x, y) in pairs {
            assert!(reported(x.clone(), y.clone()).is_empty(), "{x:?} against {y:?}");
        }
    }

    #[test]
    fn a_much_wider_cover_is_worth_knowing_and_no_more() {
        let sample = Sample::of([("x", index("a").size(20 << 20)), ("y", index("a, b").size(90 << 20))]);
        let finding = sample.findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.message.contains("(20 MB) is covered by public.y (90 MB)"), "{}", finding.message);
    }

    #[test]
    fn the_cluster_mark_is_mentioned() {
        let sample = Sample::of([("x", index("a").with(|index| index.clustered = true)), ("y", index("a, b"))]);
        assert!(sample.findings(RULE.check)[0].message.contains("CLUSTER remembers this index"));
    }
}
