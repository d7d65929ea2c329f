//! The statistics twin against the server whose statistics it has: the same plans at the same costs, without a row of data.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use pgload::advisor::{Ask, Candidate, CandidateKey, Configuration, CostModel, UsedIndex};
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
    "select * from shop.orders where id between 50000 and 50500",
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
    "select * from shop.customers where mood = 'ok' and city = 'city 1' and rating = 1.5",
    "select mood, city, count(*) from shop.customers group by mood, city",
    "select * from shop.events_2024 where kind = 4 and zone = 1",
    "select kind, zone, count(*) from shop.events_2024 group by kind, zone",
    "select * from shop.events where kind = 4 and at > '2024-06-01 00:00+00'",
    "select count(*) from shop.events",
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
async fn a_hidden_index_is_not_there() {
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
}

/// Candidates, the statement each is for, and what builds the same index on the source.
const CANDIDATES: &[(&str, &[&str], &str)] = &[
    ("orders", &["total", "status"], "select * from shop.orders where total = 5.5 and status = 'paid'"),
    ("orders", &["note"], "select count(*) from shop.orders where note = 'xxx'"),
    ("customers", &["created_at"], "select * from shop.customers where created_at between '2024-03-05' and '2024-03-07'"),
    ("lines", &["quantity", "sku"], "select * from shop.lines where sku = 'sku9' and quantity = 3"),
    ("lines", &["sku"], "select count(*) from shop.lines where sku between 'sku2' and 'sku21'"),
    ("events", &["zone", "at"], "select * from shop.events where zone = 3 and at > '2024-05-01 00:00+00'"),
];

#[tokio::test]
async fn a_candidate_costs_what_the_built_index_costs() {
    let source = source().await;
    let mut twin = twin(&source.snapshot, 2);
    let mut candidates: Vec<Candidate> = CANDIDATES.iter().map(|(table, columns, _)| candidate(&source.snapshot, table, columns)).collect();
    let mut statements: Vec<&str> = CANDIDATES.iter().map(|(_, _, sql)| *sql).collect();
    candidates.push(Candidate { predicate: Some("status = 'lost'".to_owned()), ..candidate(&source.snapshot, "orders", &["customer_id"]) });
    statements.push("select * from shop.orders where customer_id < 500 and status = 'lost'");
    let mut initial = candidate(&source.snapshot, "customers", &["name"]);
    initial.keys[0].target = KeyTarget::Expression("upper(city)".to_owned());
    candidates.push(initial);
    statements.push("select * from shop.customers where upper(city) = 'CITY 7'");
    candidates.push(Candidate { method: "gin".to_owned(), ..candidate(&source.snapshot, "orders", &["payload"]) });
    statements.push("select * from shop.orders where payload ? 'kind' and payload @> '{\"ref\": 77}'");
    let candidates: Vec<Arc<Candidate>> = candidates.into_iter().map(Arc::new).collect();
    assert_eq!(twin.prepare(&candidates), []);
    for (candidate, sql) in candidates.iter().zip(statements) {
        let here = twin.explain(sql, "public", &Configuration::with([Arc::clone(candidate)])).unwrap();
        let keys: Vec<String> = candidate.keys.iter().map(ToString::to_string).collect();
        let predicate = candidate.predicate.as_ref().map(|predicate| format!(" where {predicate}")).unwrap_or_default();
        let create = format!("create index real on {} using {} ({}){predicate}", candidate.table_name, candidate.method, keys.join(", "));
        // Only an expression has statistics to gather; otherwise another sample would be another source.
        let expression = candidate.keys.iter().any(|key| key.target.column().is_none());
        let analyze = if expression { format!("; analyze {}", candidate.table_name) } else { String::new() };
        let build = format!("begin; {create}{analyze}");
        source.client.batch_execute(&build).await.unwrap();
        let (cost, shape) = source.plan(sql).await;
        let size =
            "select sum(pg_relation_size(relid))::int8 from pg_partition_tree('shop.real') union all select pg_relation_size('shop.real')";
        let real = source.client.query(size, &[]).await.unwrap().iter().filter_map(|row| row.get::<_, Option<i64>>(0)).max().unwrap();
        source.client.batch_execute("rollback").await.unwrap();
        let own_names = shape.lines().zip(here.shape.lines()).all(|(real, twin)| real.split(' ').take(4).eq(twin.split(' ').take(4)));
        println!("{sql}\n  cost {cost} here {} size {real} here {}", here.cost, twin.size(candidate).0);
        assert!(own_names && shape.lines().count() == here.shape.lines().count(), "{sql}\n{shape}---\n{}", here.shape);
        assert!((here.cost / cost - 1.0).abs() < 0.1, "{sql}: {} on the twin, {cost} on the source\n{shape}", here.cost);
    }
    twin.retain(&candidates[..2]);
    let gone = Configuration::with([Arc::clone(&candidates[3])]);
    assert!(twin.explain(CANDIDATES[3].2, "public", &gone).unwrap().shape.contains("pgload_c"), "it is built again when it is asked for");
    let mut impossible = candidate(&source.snapshot, "orders", &["id"]);
    impossible.keys[0].target = KeyTarget::Expression("now()".to_owned());
    let refused = twin.prepare(&[Arc::new(impossible)]);
    assert!(refused.len() == 1 && refused[0].1.reason.contains("IMMUTABLE"), "{refused:?}");
}

#[tokio::test]
async fn ten_terabytes_are_planned_on_an_empty_disk() {
    let source = source().await;
    let mut snapshot = source.snapshot.clone();
    let table = snapshot.tables.iter_mut().find(|table| table.name.name == "orders").unwrap();
    let bytes = 10_u64 << 40;
    let orders = table.oid;
    let times = bytes as f64 / table.heap_bytes as f64;
    (table.heap_bytes, table.pages, table.rows) = (bytes, bytes / 8192, table.rows.map(|rows| rows * times));
    for index in snapshot.indexes.iter_mut().filter(|index| index.name.name.starts_with("orders_")) {
        (index.size_bytes, index.pages) = ((index.size_bytes as f64 * times) as u64 / 8192 * 8192, (index.pages as f64 * times) as u64);
        index.rows = index.rows.map(|rows| rows * times);
    }
    snapshot.indexes.retain(|index| index.table != orders || index.primary);
    let begun = Instant::now();
    let mut twin = twin(&snapshot, 1);
    println!("started in {:?}", begun.elapsed());
    let plain = Configuration::default();
    let all = twin.explain("select * from shop.orders where note = 'y'", "public", &plain).unwrap();
    assert!(all.cost > bytes as f64 / 8192.0 / 4.0, "{}", all.cost);
    let one = twin.explain("select * from shop.orders where id = 4711", "public", &plain).unwrap();
    assert!(one.cost < 10.0 && one.shape.starts_with("Index Scan"), "{} {}", one.cost, one.shape);
    let candidate = Arc::new(candidate(&snapshot, "orders", &["note"]));
    assert_eq!(twin.prepare(&[Arc::clone(&candidate)]), []);
    assert!(twin.size(&candidate).0 > 1 << 37, "{}", twin.size(&candidate));
    let with = twin.explain("select * from shop.orders where note = 'y'", "public", &Configuration::with([candidate])).unwrap();
    println!("{} {} {}", all.cost, with.cost, with.shape);
    assert!(with.cost < all.cost);
}

#[tokio::test]
async fn recorded_statements_are_priced_and_the_source_is_left_alone() {
    let source = source().await;
    source.client.batch_execute("select pg_stat_statements_reset()").await.unwrap();
    let texts = [
        "select * from shop.orders where customer_id = 7",
        "select * from shop.orders where status = 'lost' order by placed_at desc limit 20",
        "select * from shop.orders where placed_at > now() - interval '1 day'",
        "select o.id from shop.orders o join shop.customers c on c.id = o.customer_id where c.city = 'city 3' and o.total > 5",
        "update shop.customers set name = 'x' where id = 9",
        "select * from shop.orders where tags @> array['t3']",
    ];
    for text in texts {
        source.client.batch_execute(text).await.unwrap();
    }
    let snapshot = snapshot::capture(&mut connect(&source.cluster.source("shop")).await.unwrap(), &Scope::default()).await.unwrap();
    let used = "select (select sum(idx_scan) from pg_stat_user_indexes)::int8, (select sum(calls) from pg_stat_statements where query like '%shop.%' and query not like '%pg_stat%')::int8";
    let counted = async || {
        let row = source.client.query_one(used, &[]).await.unwrap();
        (row.get::<_, Option<i64>>(0), row.get::<_, Option<i64>>(1))
    };
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let before = counted().await;
    let workload = pgload::advisor::workload::read(&snapshot);
    let queries: Vec<_> = workload.queries.iter().filter(|query| !query.text.contains("pg_stat")).collect();
    assert!(queries.len() >= texts.len(), "{queries:#?}");
    let mut one = twin(&snapshot, 1);
    let mut two = twin(&snapshot, 2);
    let configurations = configurations(&snapshot);
    let asks: Vec<Ask<'_>> = configurations
        .iter()
        .flat_map(|configuration| queries.iter().map(|query| Ask { query, configuration: configuration.clone() }))
        .collect();
    let mut answers = Vec::new();
    for twin in [&mut one, &mut two] {
        answers.push(twin.plan_all(&asks));
        let begun = Instant::now();
        let mut plans = 0;
        while begun.elapsed().as_secs() < 2 {
            plans += twin.plan_all(&asks).len();
        }
        println!("{} statements a second", f64::from(u32::try_from(plans).unwrap()) / begun.elapsed().as_secs_f64());
    }
    for (ask, answer) in asks.iter().zip(&answers[0]).take(queries.len()) {
        println!("{:?}: {}", answer, ask.query.text);
    }
    assert!(answers[0].iter().all(Result::is_ok), "{answers:#?}");
    assert_eq!(answers[0], answers[1], "a price does not depend on the worker");
    assert_eq!(one.plan_all(&asks), answers[0], "nor on what was asked before");
    assert!(answers[0].iter().flatten().any(|plan| plan.used.iter().any(|used| matches!(used, UsedIndex::Created(_)))));
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(counted().await, before, "planning on the source would count as use of its indexes");
}

/// Nothing, one candidate, and an existing index hidden.
fn configurations(snapshot: &Snapshot) -> Vec<Configuration> {
    let hidden = snapshot.indexes.iter().filter(|index| index.name.name == "orders_customer").map(|index| index.oid).collect();
    let by_total = Arc::new(candidate(snapshot, "orders", &["total"]));
    let by_customer = Arc::new(candidate(snapshot, "orders", &["customer_id", "id"]));
    vec![Configuration::default(), Configuration::with([by_total]), Configuration { hidden, created: [by_customer].into_iter().collect() }]
}

/// Everything a local server may lack or see otherwise than the superuser.
const SECURED: &str = "
create schema shop;
create role clerk;
create table shop.notes (id bigint primary key, tenant uuid not null, body text not null);
insert into shop.notes select i, md5((i % 500)::text)::uuid, 'note ' || i from generate_series(1, 50000) as i;
create index notes_tenant on shop.notes (tenant);
alter table shop.notes enable row level security;
create policy own on shop.notes for select to clerk using (tenant = current_setting('app.tenant')::uuid);
vacuum analyze shop.notes;
";

#[tokio::test]
async fn policies_bind_the_role_and_what_is_lacking_is_said() {
    let cluster = super::server::start();
    connect(&cluster.source("postgres")).await.unwrap().batch_execute("create database shop").await.unwrap();
    let client = connect(&cluster.source("shop")).await.unwrap();
    for statement in SECURED.split(";\n").filter(|statement| !statement.trim().is_empty()) {
        client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    client.batch_execute("grant all on schema shop to clerk; grant all on shop.notes to clerk").await.unwrap();
    client
        .batch_execute("set role clerk; set app.tenant = '00000000-0000-0000-0000-000000000001'; select * from shop.notes where body = 'x'")
        .await
        .unwrap();
    let mut snapshot = snapshot::capture(&mut connect(&cluster.source("shop")).await.unwrap(), &Scope::default()).await.unwrap();
    snapshot.server.extensions.push(pgload::catalog::Extension { name: "nowhere".into(), version: "1".into(), schema: "shop".into() });
    let mut foreign = snapshot.tables[0].clone();
    foreign.oid = 999_999;
    foreign.name.name = "shapes".to_owned();
    foreign.row_security = false;
    foreign.columns[2].type_name = "shop.geometry(Point,4326)".to_owned();
    snapshot.tables.push(foreign);
    let mut twin = twin(&snapshot, 1);
    let lacking: Vec<(&str, &str)> = twin.unmodelled().iter().map(|lack| (lack.kind.as_str(), lack.name.as_str())).collect();
    assert_eq!(lacking, [("extension", "nowhere"), ("type", "shop.geometry(Point,4326)")], "{:#?}", twin.unmodelled());
    assert!(twin.unmodelled()[1].tables.contains(&999_999));
    assert!(twin.caveats().iter().any(|caveat| caveat.contains("nowhere")), "{:?}", twin.caveats());
    assert!(twin.explain("select body from shop.shapes where id = 5", "public", &Configuration::default()).is_ok());
    let workload = pgload::advisor::workload::read(&snapshot);
    let query = workload.queries.iter().find(|query| query.text.contains("body =")).unwrap();
    let plan = twin.plan(query, &Configuration::default()).unwrap();
    let tenant = snapshot.indexes.iter().find(|index| index.name.name == "notes_tenant").unwrap().oid;
    assert_eq!(plan.used, [UsedIndex::Existing(tenant)], "the policy's condition is served by the index");
    let broken = pgload::advisor::query::Query { text: "select nonsense from shop.notes".into(), ..query.clone() };
    assert!(twin.plan(&broken, &Configuration::default()).unwrap_err().reason.contains("nonsense"));
    assert!(twin.name().starts_with("statistics twin on PostgreSQL 1"), "{}", twin.name());
}

#[tokio::test]
async fn a_statement_that_fails_spoils_none_asked_with_it() {
    let source = source().await;
    let mut snapshot = source.snapshot.clone();
    // The second is sound to a parser, and fails when its constant is worked out.
    let texts = "select * from shop.orders where customer_id = 7; select * from shop.orders where total = 1 / 0; \
                 select * from shop.customers where city = 'city 3' -- the end\n;";
    snapshot.statements = pgload::advisor::workload_file::parse(texts, "three").unwrap();
    let queries = pgload::advisor::workload::read(&snapshot).queries;
    let mut twin = twin(&snapshot, 1);
    let asks: Vec<Ask<'_>> = queries.iter().map(|query| Ask { query, configuration: Configuration::default() }).collect();
    let together = twin.plan_all(&asks);
    let alone: Vec<_> = queries.iter().map(|query| twin.plan(query, &Configuration::default())).collect();
    assert_eq!(together, alone);
    for (query, answer) in queries.iter().zip(together) {
        let failing = query.text.contains("1 / 0");
        assert_eq!(answer.is_err(), failing, "{}: {answer:?}", query.text);
        assert!(!failing || answer.unwrap_err().reason.contains("division by zero"));
    }
    assert_eq!(queries.len(), 3);
}
