//! What speaks against an index because of its kind.

use super::super::facts::Facts;
use super::super::{Candidate, expression};
use crate::catalog::KeyTarget;

/// Returns what a person should know before building the index, as sentences.
pub(crate) fn risks(candidate: &Candidate, facts: &Facts<'_>) -> Vec<String> {
    let mut risks = Vec::new();
    if let Some(predicate) = &candidate.predicate
        && expression::conjuncts(predicate)
            .iter()
            .any(|conjunct| expression::words(conjunct).iter().any(|word| matches!(word.as_str(), "=" | "<>")))
    {
        risks.push(format!(
            "A generic plan cannot use it: where the value of `{predicate}` is a parameter of a prepared statement, the planner may stop using the index after five executions (plan_cache_mode)."
        ));
    }
    if candidate.keys.iter().any(|key| matches!(key.target, KeyTarget::Expression(_))) {
        risks.push(format!(
            "It serves only conditions written with the very same expression, and the planner knows its values only after ANALYZE {}.",
            facts.table.name
        ));
    }
    if !candidate.included.is_empty() {
        risks.push(format!(
            "Scans that read only the index need a visibility map kept current by VACUUM: {:.0} % of the pages of {} are all-visible now.",
            facts.all_visible * 100.0,
            facts.table.name.name
        ));
    }
    if candidate.keys.iter().any(|key| key.opclass.as_deref().is_some_and(|opclass| opclass.ends_with("pattern_ops"))) {
        risks.push("It serves LIKE and equality, but neither ORDER BY nor < and > under the column's collation.".to_owned());
    }
    match candidate.method.as_str() {
        "gin" => {
            risks.push("Inserts collect in a pending list that reads have to scan until it is merged (gin_pending_list_limit).".to_owned())
        }
        "brin" => risks.push(
            "It finds ranges only as long as rows are written in the order of the values: updates and refilled pages spoil it.".to_owned(),
        ),
        "hash" => risks.push("It serves equality alone: no order, no range, no second column.".to_owned()),
        _ => {}
    }
    risks
}
