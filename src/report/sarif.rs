//! Findings and proposals as SARIF 2.1.0, for code-scanning dashboards.
//!
//! See <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>. A finding is about a database object and not a
//! file, so it has a logical location only; a proposal also points at its migration where one was written.

use serde_json::{Value, json};

use super::audit::{AuditDocument, MigrationEntry, ProposalEntry};
use super::content::phrase::{cost, counted};
use crate::advisor::Action;
use crate::findings::rules::RULES;
use crate::findings::{Finding, Object, ObjectKind, Severity};

/// The rule id under which proposals are told.
pub const PROPOSAL_RULE: &str = "index-proposal";

/// Returns a SARIF log with one run that holds every finding, then every proposal as a note.
///
/// Rules are all that pgload knows, whether they found something or not, so that a dashboard can tell "clean" from
/// "not looked for". A finding of a rule that is not among them still gets its own entry.
pub fn log(audit: &AuditDocument) -> Value {
    let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.id).chain([PROPOSAL_RULE]).collect();
    for finding in &audit.findings {
        if !ids.contains(&finding.rule.as_str()) {
            ids.push(&finding.rule);
        }
    }
    let rules: Vec<Value> = ids.iter().map(|id| rule(id)).collect();
    let findings = audit.findings.iter().map(|finding| result(finding, &ids));
    let proposals = audit.proposals.iter().map(|entry| proposal(entry, migration_of(audit, entry), &ids));
    let results: Vec<Value> = findings.chain(proposals).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "pgload", "version": audit.tool.version, "rules": rules } },
            "results": results,
        }],
    })
}

fn rule(id: &str) -> Value {
    match RULES.iter().find(|rule| rule.id == id) {
        Some(rule) => json!({ "id": id, "shortDescription": { "text": rule.summary } }),
        None if id == PROPOSAL_RULE => {
            json!({ "id": id, "shortDescription": { "text": "An index worth building, dropping or rebuilding." } })
        }
        None => json!({ "id": id }),
    }
}

/// Finds the proposal's migration by what it does and to which index, as its slug says.
fn migration_of<'a>(audit: &'a AuditDocument, proposal: &ProposalEntry) -> Option<&'a MigrationEntry> {
    audit.migrations.iter().find(|entry| entry.action == proposal.action && entry.index == proposal.name && entry.schema == proposal.schema)
}

fn proposal(entry: &ProposalEntry, migration: Option<&MigrationEntry>, rules: &[&str]) -> Value {
    let verb = match entry.action {
        Action::Create => "Create",
        Action::Drop => "Drop",
        Action::Reindex => "Rebuild",
    };
    let name = format!("{}.{}", entry.schema, entry.name);
    let size = if entry.action == Action::Drop { "frees" } else { "expected size" };
    let mut text = format!(
        "{verb} index {name} on {}.{}: workload cost {}; {size} {}.",
        entry.schema,
        entry.table,
        cost(&entry.workload_cost),
        entry.size_bytes
    );
    let helped: Vec<u64> =
        entry.statements.iter().filter(|effect| effect.cost.after < effect.cost.before).map(|effect| effect.calls).collect();
    if !helped.is_empty() {
        let statements = counted(helped.len() as u64, "statement", "statements");
        text.push_str(&format!(" Helps {statements} ({}).", counted(helped.iter().sum(), "call", "calls")));
    }
    for risk in &entry.risks {
        text.push(' ');
        text.push_str(risk);
    }
    if let Some(sql) = &entry.sql {
        text.push_str(&format!("\n\n{sql};"));
    }
    let mut location = json!({ "logicalLocations": [{ "name": entry.name, "fullyQualifiedName": name, "kind": "index" }] });
    if let Some(file) = migration.and_then(file) {
        location["physicalLocation"] = json!({ "artifactLocation": { "uri": file }, "region": { "startLine": 1 } });
    }
    let mut made = json!({
        "ruleId": PROPOSAL_RULE,
        "ruleIndex": rules.iter().position(|id| *id == PROPOSAL_RULE),
        "level": "note",
        "message": { "text": text },
        "locations": [location],
        "partialFingerprints": { "actionAndIndex/v1": format!("{}:{name}", verb.to_lowercase()) },
        "properties": {
            "confidence": entry.confidence,
            "risks": entry.risks,
            "size_bytes": entry.size_bytes,
            "workload_cost": entry.workload_cost,
            "write_cost": entry.write_cost,
            "hot_loss": entry.hot_loss,
        },
    });
    if let Some(ms) = &entry.expected_ms {
        made["properties"]["expected_ms"] = json!(ms);
    }
    made
}

/// The written file as a URI reference: relative folders stay relative, as code review tools want them.
fn file(migration: &MigrationEntry) -> Option<String> {
    let (folder, file) = (migration.folder.as_deref()?, migration.file.as_deref()?);
    let path = format!("{}/{file}", folder.trim_end_matches('/'));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte);
    let encoded: String =
        path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect();
    Some(if encoded.starts_with('/') { format!("file://{encoded}") } else { encoded })
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

    fn audit() -> AuditDocument {
        let mut audit = sample::audit();
        for migration in &mut audit.migrations {
            migration.folder = Some(if migration.action == Action::Drop { "/srv/my app" } else { "migrations/" }.into());
        }
        audit
    }

    /// A result without its rule's place, which changes with each new rule.
    fn shown(result: &Value) -> String {
        let mut result = result.clone();
        result.as_object_mut().unwrap().remove("ruleIndex");
        serde_json::to_string_pretty(&result).unwrap()
    }

    #[test]
    fn findings_become_results_with_level_and_place() {
        let log = log(&audit());
        insta::assert_snapshot!(shown(&log["runs"][0]["results"][0]));
    }

    #[test]
    fn proposals_become_notes_at_their_migration() {
        let log = log(&audit());
        insta::assert_snapshot!(shown(&log["runs"][0]["results"][3]));
        let drop = &log["runs"][0]["results"][5]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(drop, "file:///srv/my%20app/V20261120090002__drop_orders_note_idx.sql");
        let unwritten = super::log(&sample::audit());
        assert!(unwritten["runs"][0]["results"][3]["locations"][0].get("physicalLocation").is_none());
    }

    /// What section 3 of the standard asks of every object written here.
    #[test]
    fn the_log_has_what_the_standard_requires() {
        let log = log(&audit());
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert!(run["tool"]["driver"]["name"].is_string());
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let mut ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), audit().findings.len() + audit().proposals.len());
        for result in results {
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[rule]["id"], result["ruleId"]);
            assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            for location in result["locations"].as_array().unwrap() {
                assert!(location["logicalLocations"][0]["fullyQualifiedName"].is_string());
                if let Some(place) = location.get("physicalLocation") {
                    let uri = place["artifactLocation"]["uri"].as_str().unwrap();
                    assert!(!uri.contains(' ') && place["region"]["startLine"].as_u64() >= Some(1), "{place}");
                }
            }
            assert!(result["partialFingerprints"].as_object().unwrap().values().all(Value::is_string));
        }
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "a rule is listed once: {ids:?}");
    }

    #[test]
    fn nothing_found_is_an_empty_result_list_and_still_names_the_rules() {
        let log = log(&sample::empty_audit());
        assert_eq!(log["runs"][0]["results"], json!([]));
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().len(), RULES.len() + 1);
    }
}
