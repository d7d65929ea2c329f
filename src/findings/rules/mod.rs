//! The rules, one file each.

mod bloated_index;
mod collation_version_mismatch;
mod deep_offset;
mod duplicate_index;
mod hot_update_blocker;
mod implicit_cast;
mod invalid_index;
mod leading_wildcard;
mod low_selectivity_index;
mod missing_primary_key;
mod mostly_null_index;
mod non_sargable_predicate;
mod oversized_indexes;
mod range_before_equality;
mod redundant_index;
mod sequential_scans;
mod slow_statement;
mod stale_statistics;
mod temp_spill;
mod unindexed_foreign_key;
mod unused_index;

use super::Rule;

/// Every rule, in the order of their ids.
pub const RULES: &[Rule] = &[
    bloated_index::RULE,
    collation_version_mismatch::RULE,
    deep_offset::RULE,
    duplicate_index::RULE,
    hot_update_blocker::RULE,
    implicit_cast::RULE,
    invalid_index::RULE,
    leading_wildcard::RULE,
    low_selectivity_index::RULE,
    missing_primary_key::RULE,
    mostly_null_index::RULE,
    non_sargable_predicate::RULE,
    oversized_indexes::RULE,
    range_before_equality::RULE,
    redundant_index::RULE,
    sequential_scans::RULE,
    slow_statement::RULE,
    stale_statistics::RULE,
    temp_spill::RULE,
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
