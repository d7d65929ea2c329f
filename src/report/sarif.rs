//! Findings as SARIF 2.1.0, for code-scanning dashboards.
//!
//! See <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>. A finding is about a database object and not a
//! file, so results carry logical locations only.

use serde_json::{Value, json};

use crate::findings::rules::RULES;
use crate::findings::{Finding, Object, ObjectKind, Severity};

/// Returns a SARIF log with one run that holds every finding.
///
/// Rules are all that pgload knows, whether they found something or not, so that a dashboard can tell "clean" from
/// "not looked for". A finding of a rule that is not among them still gets its own entry.
pub fn log(findings: &[Finding]) -> Value {
    let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    for finding in findings {
        if !ids.contains(&finding.rule.as_str()) {
            ids.push(&finding.rule);
        }
    }
    let rules: Vec<Value> = ids.iter().map(|id| rule(id)).collect();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, &ids)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "pgload", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results,
        }],
    })
}

fn rule(id: &str) -> Value {
    match RULES.iter().find(|rule| rule.id == id) {
        Some(rule) => json!({ "id": id, "shortDescription": { "text": rule.summary } }),
        None => json!({ "id": id }),
    }
}

fn result(finding: &Finding, rules: &[&str]) -> Value {
    let name = qualified(&finding.object);
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rules.iter().position(|id| *id == finding.rule),
        "level": level(finding.severity),
        "message": { "text": message(finding) },
        "locations": [{
            "logicalLocations": [{ "name": finding.object.name, "fullyQualifiedName": name, "kind": kind(finding.object.kind) }],
        }],
        // The same object under the same rule is the same problem, whatever the numbers in the message have become.
        "partialFingerprints": { "ruleAndObject/v1": format!("{}:{}:{name}", finding.rule, kind(finding.object.kind)) },
        "properties": { "evidence": finding.evidence },
    })
}

fn message(finding: &Finding) -> String {
    if finding.help.is_empty() { finding.message.clone() } else { format!("{}\n\n{}", finding.message, finding.help) }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Critical => "error",
    }
}

fn kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Table => "table",
        ObjectKind::Index => "index",
        ObjectKind::Statement => "statement",
        ObjectKind::Constraint => "constraint",
    }
}

/// A constraint's name is unique within its table only, an index's within its schema.
fn qualified(object: &Object) -> String {
    let table = object.table.as_deref().filter(|_| object.kind == ObjectKind::Constraint);
    [object.schema.as_deref(), table, Some(object.name.as_str())].into_iter().flatten().collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn findings_become_results_with_level_and_place() {
        let log = log(&sample::findings()[..1]);
        insta::assert_snapshot!(serde_json::to_string_pretty(&log["runs"][0]["results"]).unwrap());
    }

    #[test]
    fn each_result_points_at_its_rule() {
        let findings = sample::findings();
        let log = log(&findings);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["results"].as_array().unwrap().len(), findings.len());
        for result in run["results"].as_array().unwrap() {
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
        }
    }

    #[test]
    fn no_findings_make_an_empty_result_list_and_still_name_the_rules() {
        let log = log(&[]);
        assert_eq!(log["runs"][0]["results"], json!([]));
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().len(), RULES.len());
    }
}
