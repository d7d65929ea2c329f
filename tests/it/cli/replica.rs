//! `--replica`: what another node counted is counted too, and a node that has to be seen and cannot be ends the audit.

use serde_json::{Value, json};

use super::audited::proposed;
use super::{Shop, stderr};

const INDEX: &str = "create index prospects_title on prospects (job_title, last_name, first_name, location, linkedin_url)";

/// A server whose statistics are said to be old, as a file; the index has no scan there.
fn primary() -> (Shop, Value) {
    let shop = Shop::new(20_000);
    shop.sql("shop", INDEX);
    shop.sql("shop", "select count(*) from prospects where lead_score > 3");
    shop.run(&["snapshot", "-o", "young.json"]).success();
    let mut snapshot: Value = serde_json::from_str(&std::fs::read_to_string(shop.path("young.json")).unwrap()).unwrap();
    let title = snapshot["indexes"].as_array().unwrap().iter().find(|index| index["name"]["name"] == "prospects_title").unwrap();
    assert!(title["size_bytes"].as_u64().unwrap() > 1 << 20 && title["usage"]["scans"] == 0, "{title}");
    // Nobody can wait 35 days for a test.
    snapshot["server"]["stats_reset_at"] = json!("2020-01-01T00:00:00Z");
    shop.write("old.json", &snapshot.to_string());
    (shop, snapshot)
}

/// The other node as its own snapshot, of the given age.
fn node(snapshot: &Value, since: &str) -> Value {
    let usage = |part: &str| snapshot[part].as_array().unwrap().iter().map(|one| json!([one["name"], one["usage"]])).collect::<Vec<_>>();
    json!({
        "name": "standby:5432", "in_recovery": true, "taken_at": snapshot["taken_at"], "stats_reset_at": since, "started_at": null,
        "indexes": usage("indexes"), "tables": usage("tables"),
    })
}

/// What the rule says of the index, by grade; `None` when it says nothing.
fn grade(audit: &Value) -> Option<String> {
    let mut findings = audit["findings"].as_array().unwrap().iter();
    let finding = findings.find(|finding| finding["rule"] == "unused-index" && finding["object"]["name"] == "prospects_title")?;
    Some(
        finding["evidence"].as_array().unwrap().iter().find(|evidence| evidence["name"] == "grade").unwrap()["value"]
            .as_str()
            .unwrap()
            .to_owned(),
    )
}

#[test]
fn an_index_is_unused_only_where_no_node_uses_it() {
    let (shop, mut snapshot) = primary();
    let standby = Shop::new(20_000);
    standby.sql("shop", INDEX);
    let url = standby.cluster.url("shop");
    let audit = |file: &str, more: &[&str]| shop.json(&[&["audit", "--format", "json", "--snapshot", file], more].concat());
    let dropped = |audit: &Value| proposed(audit, "drop").contains(&"prospects_title".to_owned());
    let nodes = |audit: &Value| audit["server"]["nodes"].as_array().unwrap().len();

    let alone = audit("old.json", &[]);
    assert_eq!((grade(&alone).as_deref(), dropped(&alone), nodes(&alone)), (Some("A"), true, 1), "{:#}", alone["proposals"]);
    let drop = alone["proposals"].as_array().unwrap().iter().find(|proposal| proposal["name"] == "prospects_title").unwrap().clone();
    assert!(drop["risks"].to_string().contains("Replicas were not seen"), "{drop:#}");

    // The node is idle, but was reset a moment ago: it proves nothing.
    let young = audit("old.json", &["--replica", &url]);
    assert_eq!((grade(&young).as_deref(), dropped(&young), nodes(&young)), (Some("unproven"), false, 2));

    // As idle for as long as the primary: now it is sure.
    snapshot["nodes"] = json!([node(&snapshot, "2020-01-01T00:00:00Z")]);
    shop.write("both.json", &snapshot.to_string());
    let idle = audit("both.json", &[]);
    assert_eq!((grade(&idle).as_deref(), dropped(&idle), nodes(&idle)), (Some("A"), true, 2));
    let drop = idle["proposals"].as_array().unwrap().iter().find(|proposal| proposal["name"] == "prospects_title").unwrap().clone();
    assert!(!drop["risks"].to_string().contains("Replicas were not seen"), "{drop:#}");

    standby.sql("shop", "set enable_seqscan = off; select count(*) from prospects where job_title = 'CTO'");
    let used = audit("old.json", &["--replica", &url]);
    assert_eq!((grade(&used), dropped(&used)), (None, false), "{:#}", used["findings"]);

    // Both nodes are counted, the one in the file and the one asked.
    let all = audit("both.json", &["--replica", &url]);
    assert_eq!((grade(&all), dropped(&all), nodes(&all)), (None, false, 3));
}

#[test]
fn a_node_that_is_another_database_is_noted_and_proves_nothing() {
    let (shop, _) = primary();
    let other = shop.cluster.url("postgres");
    let audit = shop.json(&["audit", "--snapshot", "old.json", "--replica", &other, "--format", "json"]);
    let hidden = audit["hidden"].to_string();
    assert!(hidden.contains("indexes were not found there") && hidden.contains("is the node a copy of this database?"), "{hidden}");
    assert_eq!(grade(&audit).as_deref(), Some("unproven"));
    assert!(!proposed(&audit, "drop").contains(&"prospects_title".to_owned()), "{:#}", audit["proposals"]);
}

#[test]
fn a_node_that_cannot_be_reached_ends_the_audit_with_what_to_do() {
    let shop = super::shared();
    for arguments in [&["audit", "--format", "json"][..], &["audit", "--snapshot", "here.json", "--format", "json"]] {
        shop.run(&["snapshot", "-o", "here.json"]).success();
        let lost = shop.run(&[arguments, &["--replica", "postgresql://me:s3cret@127.0.0.1:1/shop"]].concat()).code(5);
        let said = stderr(&lost);
        for part in ["--replica", "127.0.0.1:1", "Check that the server runs", "Nothing was audited"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("s3cret") && lost.get_output().stdout.is_empty(), "{said}");
    }
    let wrong = shop.run(&["audit", "--replica", "mysql://me:s3cret@somewhere/shop"]).code(2);
    assert!(stderr(&wrong).contains("--replica") && !stderr(&wrong).contains("s3cret"), "{}", stderr(&wrong));
}
