//! The rules, one file each.

mod duplicate_index;
mod invalid_index;
mod missing_primary_key;
mod redundant_index;
mod sequential_scans;
mod slow_statement;
mod stale_statistics;
mod unindexed_foreign_key;
mod unused_index;

use super::Rule;

/// Every rule, in the order of their ids.
pub const RULES: &[Rule] = &[
    duplicate_index::RULE,
    invalid_index::RULE,
    missing_primary_key::RULE,
    redundant_index::RULE,
    sequential_scans::RULE,
    slow_statement::RULE,
    stale_statistics::RULE,
    unindexed_foreign_key::RULE,
    unused_index::RULE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, index};

    #[test]
    fn rules_are_ordered_by_id() {
        assert!(RULES.is_sorted_by_key(|rule| rule.id));
    }

    #[test]
    fn every_rule_has_a_page_that_names_it() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules");
        for rule in RULES {
            let page = std::fs::read_to_string(folder.join(rule.id).with_extension("md"));
            let page = page.unwrap_or_else(|error| panic!("docs/rules/{}.md: {error}", rule.id));
            assert!(page.starts_with(&format!("# {}\n", rule.id)), "docs/rules/{}.md must open with its id", rule.id);
        }
    }

    #[test]
    fn an_index_is_reported_by_one_rule_only() {
        let keys = ["a", "a", "a, b", "c", "d"];
        let mut sample = Sample::of(["x1", "x2", "wide", "broken", "idle"].into_iter().zip(keys.map(index)));
        sample.snapshot.indexes[3].valid = false;
        let reported: Vec<(String, String)> = crate::findings::audit(&sample.snapshot)
            .into_iter()
            .filter(|finding| finding.rule.ends_with("-index"))
            .map(|finding| (finding.object.name, finding.rule))
            .collect();
        let pair = |name: &str, rule: &str| (name.to_owned(), rule.to_owned());
        let mut reported_by_name = reported.clone();
        reported_by_name.sort();
        assert_eq!(
            reported_by_name,
            [pair("broken", "invalid-index"), pair("idle", "unused-index"), pair("x1", "redundant-index"), pair("x2", "duplicate-index")]
        );
    }
}
