//! Indexes that writes maintain and no query may use.

use crate::catalog::{Index, Relations, Table, TableKind};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    id: "invalid-index",
    summary: "An index was left unfinished by a failed build or drop: queries ignore it, writes may still maintain it.",
    check: Check::Catalog(check),
};

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let mut findings = vec![];
    for index in relations.snapshot.indexes.iter().filter(|index| !index.usable() && !index.building) {
        let Some(table) = relations.table(index.table) else { continue };
        let leftover = Leftover::of(&index.name.name);
        // A running REINDEX CONCURRENTLY reports the index it builds; the one it is about to drop looks abandoned meanwhile.
        let busy = relations.indexes_of(table.oid).iter().any(|other| other.building);
        if !(busy && leftover.is_some()) {
            findings.push(finding(index, table, leftover, relations));
        }
    }
    findings
}

/// What REINDEX CONCURRENTLY leaves behind when it is interrupted, told by the suffix it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leftover {
    /// `…_ccnew`: the copy that was being built; the original still serves.
    New,
    /// `…_ccold`: the original, after its copy took its place.
    Old,
}

impl Leftover {
    /// Reads a name; a number follows the suffix where the plain name was taken.
    fn of(name: &str) -> Option<Self> {
        let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        match stem {
            _ if stem.ends_with("_ccnew") => Some(Self::New),
            _ if stem.ends_with("_ccold") => Some(Self::Old),
            _ => None,
        }
    }
}

fn finding(index: &Index, table: &Table, leftover: Option<Leftover>, relations: &Relations<'_>) -> Finding {
    let partitioned = table.kind == TableKind::Partitioned;
    let cause = match leftover {
        _ if partitioned => "no valid index of some partition is attached to it".to_owned(),
        Some(leftover) => {
            let copy = if leftover == Leftover::New { "copy" } else { "old copy" };
            let serving = serving(index, relations).map_or(String::new(), |serving| format!(", and {} serves", serving.name));
            format!("an interrupted REINDEX CONCURRENTLY left this {copy} behind{serving}")
        }
        None if !index.live => "a DROP INDEX CONCURRENTLY of it was interrupted".to_owned(),
        None => "a CREATE INDEX CONCURRENTLY or REINDEX CONCURRENTLY of it failed or was interrupted".to_owned(),
    };
    let mut message = format!("Index {} ({}) on {} is invalid: {cause}. No query uses it", index.name, Bytes(index.size_bytes), table.name);
    message.push_str(match (partitioned, index.ready && index.live) {
        (true, _) => " as the index of the whole table.",
        (false, true) => ", and every write maintains it all the same.",
        (false, false) => ", and it is incomplete.",
    });
    if index.unique && leftover.is_none() && !partitioned {
        message.push_str(" It is unique: rows that break the uniqueness may be why the build failed, and may still be there.");
    }
    if index.constraint.is_some() && !partitioned {
        message.push_str(" A constraint relies on it.");
    }
    Finding {
        rule: RULE.id.to_owned(),
        severity: Severity::Warning,
        object: Object::index(index, table),
        message,
        evidence: vec![
            Evidence::new("valid", index.valid, "", "pg_index"),
            Evidence::new("ready", index.ready, "", "pg_index"),
            Evidence::new("live", index.live, "", "pg_index"),
            Evidence::new("size", index.size_bytes, "bytes", "pg_relation_size"),
            Evidence::new("definition", index.definition.clone(), "", "pg_get_indexdef"),
        ],
        help: help(index, table, leftover, relations.snapshot.server.major()),
    }
}

/// Returns the usable index under the name the leftover's suffix was added to.
fn serving<'a>(leftover: &Index, relations: &Relations<'a>) -> Option<&'a Index> {
    let (stem, _) = leftover.name.name.rsplit_once("_cc")?;
    relations.indexes_of(leftover.table).iter().copied().find(|index| index.name.name == stem && index.usable())
}

fn help(index: &Index, table: &Table, leftover: Option<Leftover>, major: u32) -> String {
    let drop = remedy::drop_index(index, table);
    if table.kind == TableKind::Partitioned {
        return format!(
            "Build the index on each partition that lacks it (CREATE INDEX CONCURRENTLY), then ALTER INDEX {} ATTACH PARTITION each.",
            index.name
        );
    }
    let bound = index.constraint.is_some() || index.parent.is_some();
    match leftover {
        Some(_) if !bound => drop,
        None if !index.live && !bound => drop,
        // 12: the first server with REINDEX CONCURRENTLY.
        _ if major >= 12 => match bound {
            true => format!("REINDEX INDEX CONCURRENTLY {};", index.name),
            false => format!("REINDEX INDEX CONCURRENTLY {}; -- or, when it is not wanted: {drop}", index.name),
        },
        _ if bound => format!("REINDEX INDEX {}; -- locks the table against writes meanwhile", index.name),
        _ => format!("{drop} -- then, when it is wanted, build it again concurrently: {};", index.definition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, index};

    #[test]
    fn an_index_not_valid_ready_or_live_is_reported() {
        let broken: [fn(&mut Index); 3] = [|index| index.valid = false, |index| index.ready = false, |index| index.live = false];
        for change in broken {
            assert_eq!(Sample::of([("x", index("a").with(change)), ("good", index("b"))]).named(RULE.check), ["x"]);
        }
    }

    #[test]
    fn an_index_being_built_is_left_alone() {
        let sample = Sample::of([("x", index("a").invalid().with(|index| index.building = true))]);
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn leftovers_are_named_as_such_and_dropped() {
        for (name, part) in
            [("x_ccnew", "left this copy behind, and public.x serves."), ("x_ccold2", "this old copy behind, and public.x serves.")]
        {
            let finding = Sample::of([("x", index("a")), (name, index("a").invalid())]).findings(RULE.check).remove(0);
            assert!(finding.message.contains(part), "{}", finding.message);
            assert_eq!(finding.help, format!("DROP INDEX CONCURRENTLY public.{name};"));
        }
    }

    #[test]
    fn a_leftover_of_an_index_that_is_invalid_too_does_not_claim_that_it_serves() {
        let sample = Sample::of([("x", index("a").invalid()), ("x_ccnew", index("a").invalid())]);
        assert!(sample.findings(RULE.check).iter().all(|finding| !finding.message.contains("serves")));
    }

    #[test]
    fn leftovers_wait_while_a_build_is_in_progress_on_the_table() {
        let building = index("a").invalid().with(|index| index.building = true);
        let sample = Sample::of([("x_ccnew", building), ("x_ccold", index("a").invalid()), ("y", index("b").invalid())]);
        assert_eq!(sample.named(RULE.check), ["y"]);
    }

    #[test]
    fn a_valid_index_may_bear_any_name() {
        assert!(Sample::of([("x_ccnew", index("a"))]).named(RULE.check).is_empty());
    }

    #[test]
    fn a_partitioned_index_wants_its_partitions_attached() {
        let mut sample = Sample::of([("x", index("a").invalid())]);
        sample.snapshot.tables[0].kind = TableKind::Partitioned;
        assert!(sample.findings(RULE.check)[0].help.contains("ALTER INDEX public.x ATTACH PARTITION"));
    }

    #[test]
    fn servers_without_concurrent_reindex_get_another_way() {
        let mut sample = Sample::of([("x", index("a").invalid())]);
        assert!(sample.findings(RULE.check)[0].help.starts_with("REINDEX INDEX CONCURRENTLY public.x;"));
        sample.snapshot.server.version_num = 110_022;
        assert!(sample.findings(RULE.check)[0].help.starts_with("DROP INDEX CONCURRENTLY public.x; -- then"));
    }
}
