//! The statistics twin against the server whose statistics it has: the same plans at the same costs, without a row of data.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use pgload::advisor::{Candidate, CandidateKey, Configuration, CostModel};
use pgload::catalog::{KeyTarget, Snapshot};
use pgload::pg::snapshot::{self, Scope};
use pgload::pg::twin::{Options, Twin};
use pgload::pg::{Cluster, connect};
use tokio_postgres::Client;

const SCHEMA: &str = include_str!("twin.sql");

/// Statements of every kind of access, each with its values in it.
const STATEMENTS: &[&str] = &[
    "select * from shop.customers where id = 4711",
    "select * from shop.customers where lower(email) = 'user77@example.com'",
    "select * from shop.customers where city = 'city 5' and mood = 'ok'",
    "select * from shop.customers where name = 'Name 77'",
    "select count(*) from shop.customers where deleted_at is not null",
    "select city, count(*) from shop.customers group by city order by 2 desc limit 5",
    "select * from shop.customers where email = 'user5@example.com'",
    "select * from shop.orders where customer_id = 815",
    "select * from shop.orders where customer_id in (1, 2, 3, 4, 5)",
    "select * from shop.orders where status = 'lost' order by placed_at desc limit 20",
    "select * from shop.orders where status = 'paid' and placed_at > '2024-11-01 00:00+00'",
    "select sum(total) from shop.orders where placed_at between '2024-03-01 00:00+00' and '2024-03-08 00:00+00'",
    "select * from shop.orders where status = 'new' and placed_at < '2024-02-01 00:00+00' order by placed_at",
    "select * from shop.orders where tags @> array['t3']",
    "select * from shop.orders where payload @> '{\"kind\": 3}'",
    "select * from shop.orders where total > 95.5 and note = 'xxx'",
    "select status, count(*), sum(total) from shop.orders group by status",
    "select * from shop.orders where id between 1000 and 1500",
    "select * from shop.lines where sku = 'sku77'",
    "select * from shop.lines where shop.initial(sku) = 'a'",
    "select * from shop.lines where order_id = 5 and number = 1",
    "select c.name, o.total from shop.customers c join shop.orders o on o.customer_id = c.id where c.city = 'city 9'",
    "select c.city, sum(o.total) from shop.customers c join shop.orders o on o.customer_id = c.id group by c.city",
    "select o.id, l.sku from shop.orders o join shop.lines l on l.order_id = o.id where o.customer_id = 12",
    "select * from shop.orders o where exists (select from shop.lines l where l.order_id = o.id and l.quantity = 8) and o.status = 'lost'",
    "select * from shop.paid where customer_id = 99",
    "select * from shop.per_city where customers > 200",
    "update shop.orders set status = 'paid' where id = 7",
    "delete from shop.lines where order_id = 44",
    "insert into shop.lines select id, 7, 'x', 1 from shop.orders where customer_id = 3",
    "select distinct customer_id from shop.orders where placed_at > '2024-12-01 00:00+00'",
    "select * from shop.orders order by placed_at desc limit 10",
    "select * from shop.customers where created_at > '2024-08-01 00:00+00' order by created_at limit 50",
    "select row_number() over (partition by customer_id order by placed_at) from shop.orders where status = 'lost'",
];

struct Source {
    cluster: Cluster,
    client: Client,
    snapshot: Snapshot,
}

async fn source() -> Source {
    let cluster = Cluster::start(&super::server::options().with("autovacuum", "off")).expect("the server starts");
    connect(&cluster.source("postgres")).await.unwrap().batch_execute("create database shop").await.unwrap();
    let client = connect(&cluster.source("shop")).await.unwrap();
    for statement in SCHEMA.split(";\n").filter(|statement| !statement.trim().is_empty()) {
        client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let snapshot = snapshot::capture(&mut connect(&cluster.source("shop")).await.unwrap(), &Scope::default()).await.unwrap();
    Source { cluster, client, snapshot }
}

impl Source {
    /// Returns cost and shape as the twin would say them.
    async fn plan(&self, sql: &str) -> (f64, String) {
        let row = self.client.query_one(&format!("explain (format json, verbose) {sql}"), &[]).await.unwrap();
        let json: serde_json::Value = row.get(0);
        let mut shape = String::new();
        walk(&json[0]["Plan"], 0, &mut shape);
        (json[0]["Plan"]["Total Cost"].as_f64().unwrap(), shape)
    }
}

fn walk(node: &serde_json::Value, depth: usize, shape: &mut String) {
    shape.push_str(&" ".repeat(depth * 2));
    let keys = ["Node Type", "Join Type", "Strategy", "Scan Direction", "Relation Name", "Alias", "Index Name"];
    let words: Vec<&str> = keys.iter().filter_map(|key| node[key].as_str()).collect();
    shape.push_str(&words.join(" "));
    shape.push('\n');
    for inner in node["Plans"].as_array().into_iter().flatten() {
        walk(inner, depth + 1, shape);
    }
}

fn twin(snapshot: &Snapshot, workers: usize) -> Twin {
    Twin::start(snapshot, &Options { binaries: super::server::options().binaries, workers, time_max: None }).unwrap()
}

fn candidate(snapshot: &Snapshot, table: &str, columns: &[&str]) -> Candidate {
    let table = snapshot.tables.iter().find(|found| found.name.name == table).unwrap();
    let key = |column: &&str| CandidateKey {
        target: KeyTarget::Column((*column).to_owned()),
        descending: false,
        nulls_first: false,
        opclass: None,
        collation: None,
    };
    Candidate {
        table: table.oid,
        table_name: table.name.clone(),
        method: "btree".to_owned(),
        keys: columns.iter().map(key).collect(),
        included: Vec::new(),
        predicate: None,
    }
}

/// Returns the statements whose cost differs by more than the share, and those with another plan, as text.
async fn differences(source: &Source, twin: &mut Twin, configuration: &Configuration, statements: &[&str], share: f64) -> Vec<String> {
    let mut found = Vec::new();
    for sql in statements {
        let (cost, shape) = source.plan(sql).await;
        match twin.explain(sql, "public", configuration) {
            Ok(plan) if (plan.cost / cost - 1.0).abs() <= share && plan.shape == shape => {}
            Ok(plan) => found.push(format!("{sql}: {} on the twin, {cost} on the source\n{}---\n{shape}", plan.cost, plan.shape)),
            Err(error) => found.push(format!("{sql}: {error}")),
        }
    }
    found
}

#[tokio::test]
async fn plans_and_costs_are_those_of_the_source() {
    let source = source().await;
    let begun = Instant::now();
    let mut twin = twin(&source.snapshot, 1);
    let started = begun.elapsed();
    let plain = Configuration::default();
    let found = differences(&source, &mut twin, &plain, STATEMENTS, 0.01).await;
    println!("started in {started:?}; {} of {} statements within 1 %", STATEMENTS.len() - found.len(), STATEMENTS.len());
    println!("{:#?}", twin.unmodelled());
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(twin.unmodelled().is_empty(), "{:#?}", twin.unmodelled());
    drop(source.cluster);
}

#[tokio::test]
async fn a_hidden_index_is_not_there_and_a_candidate_is() {
    let source = source().await;
    let mut twin = twin(&source.snapshot, 2);
    let hidden: BTreeSet<u32> =
        source.snapshot.indexes.iter().filter(|index| index.name.name == "orders_customer").map(|index| index.oid).collect();
    let hide = "update pg_index set indisvalid = false where indexrelid = 'shop.orders_customer'::regclass";
    source.client.batch_execute(&format!("begin; {hide}")).await.unwrap();
    let without = Configuration { hidden, ..Configuration::default() };
    let found = differences(&source, &mut twin, &without, STATEMENTS, 0.01).await;
    source.client.batch_execute("rollback").await.unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));

    let wanted = [("orders", &["total", "status"][..]), ("customers", &["created_at"]), ("lines", &["sku", "quantity"])];
    let candidates: Vec<Arc<Candidate>> =
        wanted.iter().map(|(table, columns)| Arc::new(candidate(&source.snapshot, table, columns))).collect();
    assert_eq!(twin.prepare(&candidates), []);
    let with = Configuration::with(candidates.iter().cloned());
    let sizes: Vec<u64> = candidates.iter().map(|candidate| twin.size(candidate).0).collect();
    for (table, columns) in &wanted {
        source.client.batch_execute(&format!("create index on shop.{table} ({})", columns.join(", "))).await.unwrap();
    }
    println!("{sizes:?}");
    for sql in [
        "select * from shop.orders where total = 5.5 and status = 'paid'",
        "select * from shop.customers where created_at = '2024-05-05'",
        "select * from shop.lines where sku = 'sku9' and quantity = 3",
    ] {
        let (cost, shape) = source.plan(sql).await;
        let plan = twin.explain(sql, "public", &with).unwrap();
        println!("{cost} {}\n{shape}{}", plan.cost, plan.shape);
    }
}
