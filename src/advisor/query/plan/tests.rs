//! Plans as PostgreSQL 15 printed them, and the statements they are written back as.

use serde_json::{Value, json};

use super::super::summary;
use super::*;
use crate::advisor::sample::{self, Col};
use crate::catalog::{Relations, Snapshot, TableKind};

/// The sales application with a partitioned table.
fn snapshot() -> Snapshot {
    let columns = [Col("id", "bigint", -1.0, 1.0), Col("day", "date", 300.0, 1.0), Col("v", "integer", 9.0, 0.0)];
    let mut snapshot = sample::crm();
    let mut whole = sample::table(90, "parted", 0.0, 0, &columns);
    whole.kind = TableKind::Partitioned;
    let parts = [(91, "parted_1"), (92, "parted_2")].map(|(oid, name)| {
        let mut part = sample::table(oid, name, 1e6, 9000, &columns);
        (part.parent, part.is_partition) = (Some(90), true);
        part
    });
    snapshot.tables.push(whole);
    snapshot.tables.extend(parts);
    snapshot
}

fn scan(table: &str, alias: &str, output: &[&str], filter: &str) -> Value {
    let filter = if filter.is_empty() { Value::Null } else { filter.into() };
    json!({"Node Type": "Seq Scan", "Relation Name": table, "Schema": "public", "Alias": alias, "Output": output, "Filter": filter})
}

fn written_back(text: &str, plan: Value) -> String {
    let snapshot = snapshot();
    let relations = Relations::new(&snapshot);
    statement(&Names::new(&relations), text, &json!([{ "Plan": plan }])).expect("a statement").0
}

/// What is understood of a plan: its levels, one line each, and what it writes.
fn understood(text: &str, plan: Value) -> (Vec<String>, Vec<Write>, BTreeMap<u32, super::super::ParameterUse>) {
    let snapshot = snapshot();
    let relations = Relations::new(&snapshot);
    match from_plan(&Names::new(&relations), text, &json!([{ "Plan": plan }]), &[]) {
        Some(Reading::Understood { blocks, writes, parameters }) => {
            (blocks.iter().map(|block| summary::block(&snapshot, block)).collect(), writes, parameters)
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn table(name: &str) -> Oid {
    snapshot().tables.iter().find(|table| table.name.name == name).expect("a table").oid
}

#[test]
fn functions_in_from_join_like_tables() {
    let text = "select id from rows from (generate_series(1, 3)) as g (n) join prospects p on p.user_id = g.n where p.status = $1 order by p.created_at desc limit $2";
    let plan = json!({"Node Type": "Limit", "Plan Rows": 1, "Output": ["p.id", "p.created_at"], "Plans": [
        {"Node Type": "Sort", "Output": ["p.id", "p.created_at"], "Sort Key": ["p.created_at DESC"], "Plans": [
            {"Node Type": "Nested Loop", "Join Type": "Inner", "Output": ["p.id", "p.created_at"], "Join Filter": "(g.n = p.user_id)", "Plans": [
                {"Node Type": "Function Scan", "Schema": "pg_catalog", "Alias": "g", "Output": ["g.n"], "Function Call": "generate_series(1, 3)"},
                {"Node Type": "Materialize", "Plans": [scan("prospects", "p", &["p.id", "p.created_at", "p.user_id"], "(p.status = $1)")]},
            ]},
        ]},
    ]});
    let (blocks, _, parameters) = understood(text, plan);
    assert_eq!(blocks, ["prospects[status = $; user_id = rows] order created_at desc limit $"]);
    assert!(matches!(&parameters[&1], super::super::ParameterUse::Column { column, .. } if column == "status"));
    assert_eq!(parameters[&2], super::super::ParameterUse::Limit);
}

#[test]
fn of_grouping_sets_the_longest_is_the_group() {
    let plan = json!({"Node Type": "Aggregate", "Output": ["status", "email", "count(*)"],
        "Grouping Sets": [
            {"Hash Keys": [["prospects.status"]]}, {"Hash Keys": [["prospects.status", "prospects.email"]]}, {"Group Keys": [[]]}],
        "Plans": [scan("prospects", "prospects", &["id", "status", "score", "email"], "(prospects.score = $1)")]});
    let text = "select status, email, count(*) from prospects where score = $1 group by distinct rollup (status, email), rollup (email)";
    assert_eq!(understood(text, plan).0, ["prospects[score = $] group status, email"]);
}

#[test]
fn a_write_through_a_view_is_one_to_its_table() {
    let target = scan(
        "prospects",
        "prospects",
        &["$1", "(prospects.score + 1)", "prospects.ctid"],
        "((prospects.score > 90) AND (prospects.user_id = $2))",
    );
    let plan = json!({"Node Type": "ModifyTable", "Operation": "Update", "Relation Name": "prospects", "Schema": "public", "Alias": "prospects", "Plans": [target]});
    let (blocks, writes, _) = understood("update hot set (status, score) = ($1, score + 1) where user_id = $2", plan);
    assert_eq!(blocks, ["prospects[score > '90'; user_id = $; #score > 90]"]);
    assert_eq!(writes, [Write { table: table("prospects"), sets: vec!["status".into(), "score".into()], inserts: false }]);
}

#[test]
fn a_recursion_is_read_as_one() {
    let recursion = json!({"Node Type": "Recursive Union", "Parent Relationship": "InitPlan", "Subplan Name": "CTE t", "Plans": [
        {"Node Type": "Result", "Output": ["$1", "false", "ARRAY[ROW($1)]"]},
        {"Node Type": "Hash Join", "Join Type": "Inner", "Output": ["p.id", "array_cat(t_1.path, ARRAY[ROW(p.id)])"], "Hash Cond": "(p.user_id = t_1.id)", "Plans": [
            scan("prospects", "p", &["p.id", "p.user_id", "p.status", "p.score", "p.email", "p.created_at"], ""),
            {"Node Type": "Hash", "Plans": [
                {"Node Type": "WorkTable Scan", "CTE Name": "t", "Alias": "t_1", "Output": ["t_1.path", "t_1.id"], "Filter": "(NOT t_1.is_cycle)"}]},
        ]},
    ]});
    let plan = json!({"Node Type": "CTE Scan", "CTE Name": "t", "Alias": "t", "Output": ["t.id", "t.is_cycle"], "Plans": [recursion]});
    let (blocks, ..) = understood("with recursive t …", plan);
    assert!(blocks.contains(&"prospects[user_id = rows]".to_owned()), "{blocks:?}");
}

#[test]
fn what_runs_beside_the_plan_is_a_query_of_its_own() {
    let average = json!({"Node Type": "Aggregate", "Parent Relationship": "InitPlan", "Subplan Name": "InitPlan 2 (returns $3)", "Output": ["avg(prospects.score)"],
        "Plans": [scan("prospects", "prospects", &["prospects.id", "prospects.score"], "")]});
    let last = json!({"Node Type": "Aggregate", "Parent Relationship": "SubPlan", "Subplan Name": "SubPlan 1", "Output": ["count(m.scheduled_at)"],
        "Plans": [scan("meetings", "m", &["m.id", "m.prospect_id", "m.scheduled_at"], "(m.prospect_id = p.id)")]});
    let plan = json!({"Node Type": "Nested Loop", "Join Type": "Left", "Output": ["XMLELEMENT(NAME a, p.id)", "(SubPlan 1)"], "Join Filter": "(u.id = p.user_id)", "Plans": [
        average,
        scan("prospects", "p", &["p.id", "p.user_id"], "((p.status = $1) AND (p.email IS NFC NORMALIZED) AND ((p.score)::numeric > $3))"),
        scan("users", "u", &["u.id", "u.email"], "(u.email = 'x'::text)"),
        last,
    ]});
    let text = "select xmlelement(name a, p.id), (select …) from prospects p left join users u on …";
    let (blocks, _, parameters) = understood(text, plan);
    assert!(blocks[0].starts_with("prospects[status = $; {") && blocks[0].contains("users[id = 0.user_id; email = 'x'"), "{blocks:#?}");
    assert!(blocks.iter().any(|block| block == "prospects[] aggregate"), "{blocks:#?}");
    assert!(blocks.iter().any(|block| block == "meetings[prospect_id = outer] aggregate for each of 0"), "{blocks:#?}");
    assert_eq!(parameters.keys().copied().collect::<Vec<_>>(), [1], "what the plan computes is no parameter");
}

#[test]
fn partitions_are_their_whole() {
    let part = |at: usize| {
        scan(&format!("parted_{at}"), &format!("t_{at}"), &[&format!("t_{at}.id")], &format!("((t_{at}.id > $2) AND (t_{at}.v = $1))"))
    };
    let append = || json!({"Node Type": "Append", "Plans": [part(1), part(2)]});
    let text = "select id from rows from … parted t where v = $1 and id > $2";
    assert_eq!(written_back(text, append()), "SELECT \"t\".id FROM \"public\".\"parted\" AS \"t\" WHERE \"t\".id > $2 AND \"t\".v = $1");
    let named = written_back("select id from parted_1 t_1 union all select id from parted_2 t_2", append());
    assert!(named.contains("UNION ALL") && named.contains("\"parted_2\" AS \"t_2\""), "{named}");
}

#[test]
fn a_sample_is_drawn_without_an_index() {
    let mut sample = scan("prospects", "p", &["p.id"], "(p.score > 5)");
    sample["Node Type"] = "Sample Scan".into();
    assert_eq!(understood("select id from prospects p tablesample …", sample).0, ["prospects[]"]);
}

#[test]
fn rows_without_partners_are_looked_for_by_the_partner() {
    let plan = json!({"Node Type": "ModifyTable", "Operation": "Delete", "Relation Name": "meetings", "Schema": "public", "Alias": "m", "Plans": [
        {"Node Type": "Hash Join", "Join Type": "Anti", "Output": ["m.ctid", "p.ctid"], "Hash Cond": "(m.prospect_id = p.id)", "Plans": [
            scan("meetings", "m", &["m.ctid", "m.prospect_id"], ""),
            {"Node Type": "Hash", "Plans": [scan("prospects", "p", &["p.ctid", "p.id"], "(p.status = $1)")]},
        ]},
    ]});
    let (blocks, writes, _) = understood("delete from meetings m where not exists (select from prospects * p where …)", plan);
    assert_eq!(blocks, ["meetings[] prospects[id = 0.prospect_id; status = $]"]);
    assert_eq!(writes, [Write { table: table("meetings"), sets: Vec::new(), inserts: false }]);
}

#[test]
fn rows_given_by_value_are_written_and_nothing_is_read() {
    let plan = json!({"Node Type": "ModifyTable", "Operation": "Insert", "Relation Name": "users", "Schema": "public", "Alias": "u", "Conflict Resolution": "UPDATE",
        "Plans": [{"Node Type": "Result", "Output": ["$1", "$2"]}]});
    let (blocks, writes, _) = understood("insert into … on conflict (id) do update set email = excluded.email", plan);
    assert_eq!((blocks, writes), (Vec::new(), vec![Write { table: table("users"), sets: vec!["email".into()], inserts: true }]));
}

#[test]
fn what_is_no_plan_of_a_table_is_not_read() {
    let snapshot = snapshot();
    let relations = Relations::new(&snapshot);
    let names = Names::new(&relations);
    let elsewhere = scan("nowhere", "n", &["n.a"], "(n.a = 1)");
    for plan in [
        json!(null),
        json!([]),
        json!([{"Plan": 1}]),
        json!([{"Plan": {"Node Type": "Result", "Output": ["f(1)"]}}]),
        json!([{ "Plan": elsewhere }]),
    ] {
        assert!(from_plan(&names, "select f(1)", &plan, &[]).is_none(), "{plan}");
    }
    // Damaged nodes are passed over.
    for kind in ["Nested Loop", "Append", "Recursive Union", "Limit", "Subquery Scan", "CTE Scan", "Something New"] {
        let plan = json!([{"Plan": {"Node Type": kind, "Plans": [{"Node Type": kind, "Plans": [{}]}, {"Plans": 7}], "Filter": "((((", "Sort Key": [")"]}}]);
        assert!(from_plan(&names, "select (", &plan, &[]).is_none(), "{plan}");
    }
}
