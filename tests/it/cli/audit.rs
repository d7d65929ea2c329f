//! What `pgload audit` takes: statements from files, other nodes, parts of a snapshot; where it writes.

use serde_json::Value;

use super::{Shop, pgload, shared, stderr};

/// Names of what is proposed, as `action table(keys)`.
fn proposed(audit: &Value) -> Vec<String> {
    let keys = |proposal: &Value| {
        let names = proposal["keys"].as_array().unwrap().iter().map(|key| key["column"].as_str().unwrap_or("?").to_owned());
        names.collect::<Vec<_>>().join(",")
    };
    let one =
        |proposal: &Value| format!("{} {}({})", proposal["action"].as_str().unwrap(), proposal["table"].as_str().unwrap(), keys(proposal));
    audit["proposals"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn statements_of_a_file_are_advised_on_without_any_server() {
    let shop = Shop::new(20_000);
    shop.sql("shop", "drop extension pg_stat_statements");
    shop.run(&["snapshot", "-o", "bare.json"]).success();
    let file = shop.write(
        "queries.sql",
        "-- query: newest weight=50\nselect id, status, 'a; b' from prospects\n where user_id = $1 and status = $2\n order by created_at desc limit 20;\n\
         -- just a remark\nselect count(*) from users;\n",
    );
    let folder = shop.folder.path();
    let audit = |arguments: &[&str]| -> Value {
        let all = [&["audit", "--snapshot", "bare.json", "--format", "json"], arguments].concat();
        let output = pgload().current_dir(folder).args(all).timeout(super::LIMIT).assert().success();
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    };
    let without = audit(&[]);
    assert_eq!(without["statement_source"]["state"], "missing", "{without:#}");
    // What another index covers needs no statement to be so.
    assert_eq!(proposed(&without), ["drop meetings(user_id)"]);

    let with = audit(&["--workload", &file]);
    assert_eq!(with["statement_source"], serde_json::json!({ "state": "file", "paths": ["queries.sql"] }));
    assert_eq!(with["coverage"]["statements"], 2, "{with:#}");
    assert!(proposed(&with).contains(&"create prospects(user_id,status,created_at)".to_owned()), "{:?}", proposed(&with));
    let effect = &with["proposals"][0]["statements"][0];
    assert_eq!((effect["calls"].as_u64(), &effect["ms"]), (Some(50), &Value::Null), "nothing was measured: {effect}");

    let yaml = shop.write("lists.yaml", super::WORKLOAD);
    let both = audit(&["--workload", &yaml, "--workload", &file, "--model", "estimate"]);
    assert_eq!(both["coverage"]["statements"], 4, "{both:#}");
    assert_eq!(both["model"], "arithmetic on pg_stats");
    assert_eq!(both["caveats"], serde_json::json!([]), "asked for, so nothing to excuse");
}

#[test]
fn a_workload_that_cannot_be_read_is_refused_with_its_place() {
    let shop = shared();
    shop.run(&["snapshot", "-o", "for-workloads.json"]).success();
    let refused = |name: &str, said: &str| {
        let output = shop.run(&["audit", "--snapshot", "for-workloads.json", "--workload", name]).code(2);
        assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
    };
    refused("nowhere.sql", "nowhere.sql");
    refused(&shop.write("bad.sql", "select 1;\n-- query: x weight=heavy\nselect 2;\n"), "bad.sql:2:");
    refused(&shop.write("empty.sql", "-- nothing\n"), "empty.sql");
    refused(&shop.write("bad.yaml", &super::WORKLOAD.replace("weight: 9", "wieght: 9")), "bad.yaml:6:");
    refused(
        &shop.write("what.txt", "select 1"),
        "expected statements (.sql), a workload (.yaml), a log (.csv, .json, .log) or a saved run (run.json)",
    );
}

#[test]
fn a_named_folder_without_a_server_is_refused_and_the_estimate_needs_none() {
    let shop = shared();
    shop.run(&["snapshot", "-o", "for-models.json"]).success();
    let empty = tempfile::tempdir().unwrap();
    let mut command = pgload();
    command.current_dir(shop.folder.path()).args(["audit", "--snapshot", "for-models.json"]).timeout(super::LIMIT);
    // A named folder is never replaced by another.
    command.arg("--pg-bin").arg(empty.path()).assert().code(6).stderr(predicates::str::contains("install"));
    let mut command = pgload();
    command.current_dir(shop.folder.path()).args(["audit", "--snapshot", "for-models.json", "--pg-bin"]).arg(empty.path());
    command.args(["--model", "estimate"]).timeout(super::LIMIT).assert().success();
    let wrong = shop.run(&["audit", "--snapshot", "for-models.json", "--model", "guess"]).code(2);
    assert!(stderr(&wrong).contains("twin") && stderr(&wrong).contains("estimate"), "{}", stderr(&wrong));
    for arguments in [["--time", "soon"], ["--max-write-overhead", "lots"], ["--jobs", "0"]] {
        shop.run(&[&["audit", "--snapshot", "for-models.json"], &arguments[..]].concat()).code(2);
    }
}

#[test]
fn a_standby_or_any_other_node_is_listed_with_what_it_counted() {
    let shop = shared();
    let url = shop.cluster.url("shop");
    let audit = shop.json(&["audit", "--replica", &url, "--format", "json"]);
    let nodes = audit["server"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    assert!(nodes[0]["name"].is_null() && nodes[1]["name"].as_str().unwrap().contains(&shop.cluster.port().to_string()), "{nodes:?}");
    let lost = shop.run(&["audit", "--replica", "postgresql://postgres:s3cret@127.0.0.1:1/shop"]).code(5);
    assert!(!stderr(&lost).contains("s3cret"), "{}", stderr(&lost));
}

#[test]
fn a_part_of_a_snapshot_keeps_the_partitions_of_what_was_asked_for() {
    let shop = Shop::new(0);
    shop.sql(
        "shop",
        "create schema old; create table events (id bigint, made date) partition by range (made);
         create table old.events_1 partition of events for values from ('2025-01-01') to ('2026-01-01');
         insert into events select n, '2025-05-05' from generate_series(1, 60000) n; create table other (id int); analyze",
    );
    shop.run(&["snapshot", "-o", "events.json"]).success();
    let file = shop.write("events.sql", "select * from events where id = 77;\n");
    let arguments =
        ["audit", "--snapshot", "events.json", "--schema", "public", "--table", "events", "--workload", &file, "--format", "json"];
    let audit = shop.json(&[&arguments[..], &["--out", "files", "--timestamp", "2026-11-23T09:45:00Z"]].concat());
    assert_eq!(audit["about"]["tables"], 2, "{audit:#}");
    for proposal in audit["proposals"].as_array().unwrap().iter().filter(|proposal| proposal["table"] == "events") {
        let sql = proposal["sql"].as_str().unwrap();
        assert!(sql.contains("ON ONLY public.events") && sql.contains("ON old.events_1") && sql.contains("ATTACH PARTITION"), "{sql}");
    }
}
