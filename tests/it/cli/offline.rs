//! An audit elsewhere and later says what an audit of the server said, and reading a server leaves nothing on it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::audited::{audit, audited, proposed};

/// The paths at which two documents differ, with both sides.
fn differences(one: &Value, other: &Value, path: &str, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().for_each(|key| differences(&one[key], &other[key], &format!("{path}/{key}"), found));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(at, (a, b))| differences(a, b, &format!("{path}/{at}"), found));
        }
        _ if one == other => {}
        _ => found.push(format!("{path}: {one} against {other}")),
    }
}

#[test]
fn a_snapshot_taken_before_or_after_a_live_audit_gives_the_same_answer() {
    let shop = audited();
    let arguments = ["--format", "json", "--timestamp", "2026-11-23T09:45:00Z"];
    // The live audit reads at a moment of its own: one snapshot from before it and one from after it bracket that moment.
    shop.run(&["snapshot", "-o", "before.json"]).success();
    let live = shop.json(&[&["audit"], &arguments[..]].concat());
    shop.run(&["snapshot", "-o", "after.json"]).success();
    assert!(!proposed(&live, "create").is_empty() && !proposed(&live, "drop").is_empty(), "{:#}", live["proposals"]);
    assert!(live["refused"].as_array().unwrap().len() > 5 && live["findings"].as_array().unwrap().len() > 3, "{live:#}");
    for name in ["before.json", "after.json"] {
        let mut snapshot: Value = serde_json::from_str(&std::fs::read_to_string(shop.path(name)).unwrap()).unwrap();
        // The moment alone is put right: the age of the statistics is in messages, and writes are counted over it.
        snapshot["taken_at"] = live["about"]["taken_at"].clone();
        shop.write(name, &snapshot.to_string());
        let offline = shop.json(&[&["audit", "--snapshot", name], &arguments[..]].concat());
        let mut found = Vec::new();
        differences(&offline, &live, "", &mut found);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}

/// What is seen of a server in its counters, statements and catalogs. Left out are the looking itself, and the audit's own reading
/// of catalogs: questions that say what they are, in a read-only transaction with its own settings, that is rolled back.
fn traces(shop: &super::Shop) -> Vec<(&'static str, String)> {
    let looks = [
        (
            "scans of indexes",
            "select string_agg(indexrelname || ' ' || idx_scan || ' ' || idx_tup_read, ', ' order by indexrelname) from pg_stat_user_indexes",
        ),
        (
            "scans of tables",
            "select string_agg(relname || ' ' || seq_scan || ' ' || seq_tup_read || ' ' || coalesce(idx_tup_fetch, 0), ', ' order by relname) from pg_stat_user_tables",
        ),
        (
            "statements",
            "select string_agg(queryid || ' ' || calls || ' ' || query, E'\\n' order by queryid, userid, toplevel) from pg_stat_statements
             where query not like '/* the test looks%' and query not like '-- Question:%' and query not like '/* pgload%'
             and query not like 'set local %' and query not like '%savepoint attempt'
             and query not in ('START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY', 'ROLLBACK')",
        ),
        ("relations", "select md5(string_agg(c::text, ' ' order by oid)) from pg_class c"),
        ("indexes", "select md5(string_agg(i::text, ' ' order by indexrelid)) from pg_index i"),
        ("extensions", "select md5(string_agg(e::text, ' ' order by oid)) from pg_extension e"),
        ("statistics", "select md5(string_agg(s::text, ' ' order by starelid, staattnum, stainherit)) from pg_statistic s"),
        ("functions", "select md5(string_agg(p::text, ' ' order by oid)) from pg_proc p"),
        ("settings", "select md5(coalesce(string_agg(s::text, ' ' order by setdatabase, setrole), '')) from pg_db_role_setting s"),
        ("databases", "select string_agg(datname, ' ' order by datname) from pg_database"),
        ("roles", "select string_agg(rolname, ' ' order by rolname) from pg_roles"),
    ];
    looks.into_iter().map(|(what, sql)| (what, shop.sql("shop", &format!("/* the test looks */ {sql}")))).collect()
}

#[test]
fn an_audit_with_the_twin_leaves_no_trace_on_the_server() {
    let shop = super::Shop::new(20_000);
    shop.sql("shop", "alter system set autovacuum = off");
    shop.sql("shop", "select pg_reload_conf()");
    for user in 1..9 {
        shop.sql("shop", &format!("select id from prospects where user_id = {user} and status = 'new' order by created_at desc limit 9"));
        shop.sql("shop", &format!("select count(*) from meetings where user_id = {user}"));
    }
    let before = traces(&shop);
    let scans = &before[0].1;
    assert!(scans.contains("idx_meetings_user_id ") && before[2].1.contains("from meetings where user_id"), "{before:?}");
    let audit = shop.json(&["audit", "--format", "json"]);
    assert!(audit["model"].as_str().unwrap().contains("twin") && !proposed(&audit, "create").is_empty(), "{audit:#}");
    for ((what, was), (_, is)) in before.iter().zip(traces(&shop)) {
        assert_eq!(*was, is, "{what}");
    }
    // The opposite case: one EXPLAIN would have been seen.
    shop.sql("shop", "explain select count(*) from meetings where user_id = 3 and scheduled_at > now()");
    assert_ne!(before[2].1, traces(&shop)[2].1);
}

/// What a proposal or a refusal is about, without how much.
fn definitions(audit: &Value) -> Vec<Value> {
    let keys =
        ["action", "name", "schema", "table", "method", "keys", "include", "predicate", "sql", "confidence", "supersedes", "statistics"];
    let one = |proposal: &Value| Value::Object(keys.iter().map(|key| ((*key).to_owned(), proposal[*key].clone())).collect());
    audit["proposals"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_redacted_snapshot_has_no_secret_and_gives_the_same_proposals() {
    let shop = audited();
    let said = super::stderr(&shop.run(&["snapshot", "--redact", "-o", "redacted.json"]).success());
    assert!(said.contains("no value of a column but those that schema text spells"), "{said}");
    let (plain, redacted) =
        (std::fs::read_to_string(shop.path("audited.json")).unwrap(), std::fs::read_to_string(shop.path("redacted.json")).unwrap());
    // In statistics, in statements and in comments. The statements' own literals were replaced by the server.
    for secret in ["geheim: the note", "xenia", "prospects.example.com", "linkedin.example"] {
        assert!(plain.to_lowercase().contains(secret), "{secret} was planted");
        assert!(!redacted.to_lowercase().contains(secret), "{secret} is left");
    }
    assert!(!redacted.to_lowercase().contains("geheim"));

    let whole = audit(&[]);
    let without = shop.json(&["audit", "--snapshot", "redacted.json", "--format", "json", "--timestamp", "2026-11-23T09:45:00Z"]);
    assert_eq!(definitions(&without), definitions(&whole));
    for (with, without) in whole["proposals"].as_array().unwrap().iter().zip(without["proposals"].as_array().unwrap()) {
        assert_eq!(with["size_bytes"], without["size_bytes"], "{}", with["name"]);
        // Ranks stand in the same order and are as frequent; only where a value lies between two others has changed.
        for side in ["before", "after"] {
            let costs = [with, without].map(|proposal| proposal["workload_cost"][side].as_f64().unwrap());
            assert!((costs[0] / costs[1] - 1.0).abs() < 0.02, "{side} of {}: {costs:?}", with["name"]);
        }
    }
    // Their order is that of their reasons, and what just gains too little may just not be used.
    let refused = |audit: &Value| {
        audit["refused"].as_array().unwrap().iter().map(|refused| refused["candidate"].to_string()).collect::<BTreeSet<_>>()
    };
    assert_eq!(refused(&without), refused(&whole));
}

/// A file's literal is compared with what the snapshot knows: a value that was taken out is known no more.
#[test]
fn where_a_literal_decides_a_redacted_snapshot_knows_less_and_says_so() {
    let shop = audited();
    shop.run(&["snapshot", "--redact", "-o", "literals.json"]).success();
    let advised = |snapshot: &str, file: &str| {
        let audit = shop.json(&["audit", "--snapshot", snapshot, "--workload", file, "--format", "json"]);
        assert_eq!(audit["caveats"].to_string().contains("The snapshot is redacted"), snapshot == "literals.json", "{}", audit["caveats"]);
        let created = |proposal: &&Value| proposal["action"] == "create";
        let told = |proposal: &Value| {
            let definition = proposal["sql"].as_str().unwrap().split(" ON ").nth(1).unwrap().to_owned();
            (definition, proposal["size_bytes"].as_u64().unwrap())
        };
        audit["proposals"].as_array().unwrap().iter().filter(created).map(told).collect::<Vec<_>>()
    };
    let both = |name: &str, sql: &str| {
        let file = shop.write(name, sql);
        (advised("audited.json", &file), advised("literals.json", &file))
    };
    // No literal; one that the schema spells (a check lists it), which was kept.
    let (whole, redacted) = both("none.sql", "select id, notes from prospects where email = $1;");
    assert_eq!((whole.len(), &whole), (1, &redacted));
    let kept = "select id, notes from prospects where status = 'qualified' and last_contacted_at is null and user_id = $1;";
    let (whole, redacted) = both("kept.sql", kept);
    assert_eq!(whole, redacted);
    assert!(whole[0].0.contains("WHERE (status = 'qualified')"), "{whole:?}");
    // One that only the data had: how many rows it holds is known no more.
    let gone = "select id, notes from prospects where source = 'manual' and user_id = $1 order by created_at;";
    let (whole, redacted) = both("gone.sql", gone);
    assert!(redacted[0].0.contains("WHERE (source = 'manual')"), "{redacted:?}");
    assert!(whole[0].0.contains("WHERE (source = 'manual')"), "{whole:?}");
    assert!(redacted[0].1 < whole[0].1, "{redacted:?} against {whole:?}");
}
