//! Workloads derived from what a server recorded, against servers whose traffic is known.

#![expect(clippy::unwrap_used, reason = "a test's own parts may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use pgload::load::Stop;
use pgload::pg::replay::{Replayed, Settings, run};
use pgload::pg::session::Writes;
use pgload::pg::statements::{DeriveError, derive};
use pgload::pg::{Cluster, Source, connect};
use pgload::replay::workload::StatementSpec;
use pgload::replay::{Script, Workload};

use crate::replay::{calls, database_on, sql, start};

const SCHEMA: &str = "
create table customers (id int primary key, email text not null unique, country text not null, nickname text);
create table orders (id bigint primary key, customer_id int not null, status text not null, total numeric(10, 2), placed_at timestamptz not null);
create index on orders (customer_id);
create index on orders (placed_at);
create table empty (id int primary key);
create table gone (id int primary key);
insert into customers
    select i, 'c' || i || '@example.org', (array['de', 'fr', 'it', 'es'])[i % 4 + 1], case when i % 3 = 0 then 'nick ' || i % 5 end
    from generate_series(1, 1000) i;
insert into orders
    select i, i % 1000 + 1, (array['new', 'paid', 'sent', 'done'])[i % 4 + 1], i % 500 / 3.0, timestamptz '2024-01-01' + i * interval '10 minutes'
    from generate_series(1, 20000) i;
analyze;
";

/// Traffic over uniform data: a statement, how often, and its text for the i-th time.
type Traffic = [(&'static str, u64, fn(u64) -> String)];

const TRAFFIC: &Traffic = &[
    ("by_id", 300, |i| format!("select * from orders where id = {}", i * 53 % 20_000 + 1)),
    ("page", 150, |i| format!("select id from orders where customer_id = {} order by placed_at desc limit 10", i * 7 % 1000 + 1)),
    ("window", 40, |i| {
        format!("select id from orders where placed_at >= '2024-02-{:02}' and placed_at < '2024-02-{:02}'", i % 27 + 1, i % 27 + 2)
    }),
    ("several", 50, |i| format!("select * from orders where id in ({0}, {0} + 1, {0} + 2, {0} + 3)", i * 13 + 1)),
    ("listed", 60, |i| format!("select * from orders where id in ({}, {}, {})", i + 1, i + 5000, i + 10_000)),
    ("any", 30, |i| format!("select * from customers where id = any('{{{},{},{},{}}}')", i + 1, i + 100, i + 300, i + 500)),
    ("joined", 70, |i| {
        format!("select c.email, o.total from customers c join orders o on o.customer_id = c.id where c.id = {}", i * 11 % 1000 + 1)
    }),
    ("counted", 20, |i| format!("select count(*) from customers where country = '{}'", ["de", "fr", "it", "es"][i as usize % 4])),
    ("nicknamed", 20, |i| format!("select id from customers where nickname = 'nick {}'", i % 5)),
    ("constant", 10, |i| format!("select 1 as a from customers where email = 'c{}@example.org' limit 1", i + 1)),
    ("begins", 10, |i| format!("select id from customers where email like 'c{}%'", 10 + i)),
    ("changed", 25, |i| format!("update orders set status = 'paid' where id = {}", i + 1)),
    ("added", 15, |i| format!("insert into customers (id, email, country) values ({}, 'new{i}@example.org', 'de')", 5000 + i)),
    ("of_the_empty", 12, |i| format!("select * from empty where id = {i}")),
    ("of_the_gone", 13, |i| format!("select * from gone where id = {i}")),
    ("unfathomable", 14, |i| format!("select id from orders where abs(id) % 1000 = {i}")),
];

/// Makes the traffic in a database of its own and forgets what was recorded before.
fn recorded(cluster: &Cluster) -> Source {
    let source = database_on(cluster);
    sql(&source, SCHEMA);
    let oid = "(select oid from pg_database where datname = current_database())";
    sql(&source, &format!("select pg_stat_statements_reset(0, {oid}, 0)"));
    for (_, count, text) in TRAFFIC {
        for i in 0..*count {
            sql_alone(&source, &text(i));
        }
    }
    sql(&source, "drop table gone");
    source
}

/// Runs one statement, on a connection that stays.
fn sql_alone(source: &Source, text: &str) {
    use std::cell::RefCell;
    thread_local! {
        static HELD: RefCell<Option<(String, tokio::runtime::Runtime, pgload::pg::Client)>> = const { RefCell::new(None) };
    }
    HELD.with_borrow_mut(|held| {
        if held.as_ref().is_none_or(|(database, ..)| database != source.database()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = runtime.block_on(connect(source)).unwrap();
            *held = Some((source.database().to_owned(), runtime, client));
        }
        let (_, runtime, client) = held.as_ref().unwrap();
        runtime.block_on(client.simple_query(text)).expect(text);
    });
}

fn derived(source: &Source) -> Result<Workload, DeriveError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(derive(source, "statements", ""))
}

fn with<'w>(workload: &'w Workload, part: &str) -> &'w StatementSpec {
    let found: Vec<&StatementSpec> = workload.statements.iter().filter(|one| one.sql.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part}: {:#?}", workload.text);
    found[0]
}

fn replayed(source: &Source, workload: &Workload, settings: &Settings) -> Replayed {
    run(source, workload, settings, None, &|_, _| {}, &Stop::default()).unwrap()
}

fn database() -> (&'static Cluster, Source) {
    static SERVER: std::sync::OnceLock<Cluster> = std::sync::OnceLock::new();
    let cluster = SERVER.get_or_init(start);
    (cluster, recorded(cluster))
}

#[test]
fn known_traffic_is_derived_with_its_weights_and_replayed_alike() {
    let (_, source) = database();
    let workload = derived(&source).unwrap();
    // What was recorded is what is weighed.
    for (part, calls) in [
        ("from orders where id = $1", 300),
        ("order by placed_at desc", 150),
        ("placed_at >=", 40),
        ("id in ($1, $2, $3)", 60),
        ("any(", 30),
        ("join orders", 70),
        ("count(*)", 20),
        ("nickname", 20),
        ("as a from customers", 10),
        ("like", 10),
        ("update", 25),
        ("insert", 15),
    ] {
        let statement = with(&workload, part);
        assert_eq!((statement.weight, statement.recorded.unwrap().calls), (calls as f64, calls), "{part}");
        assert_eq!(statement.writes, ["update", "insert"].contains(&part), "{part}");
    }
    // The file says the same when it is read again.
    let again = Workload::parse(&workload.text, "statements.yaml").unwrap();
    assert_eq!((&again.statements, &again.samples, &again.derived), (&workload.statements, &workload.samples, &workload.derived));

    let Replayed { run, samples, .. } = replayed(&source, &workload, &calls(4000));
    assert_eq!((run.totals.count, run.totals.errors), (4000, 0), "{:#?}", run.labels);
    let script = Script::new(&workload, &samples, 7, Writes::Readonly).unwrap();
    let mut sent: BTreeMap<usize, Vec<Vec<Option<String>>>> = BTreeMap::new();
    for call in 0..4000 {
        for one in script.call(call).1 {
            sent.entry(one.statement).or_default().push(one.args);
        }
    }
    // Every value is one that its column holds.
    let client_side = |part: &str, slot: usize| {
        let index = workload.statements.iter().position(|one| one.sql.contains(part)).unwrap();
        let values = sent[&index].iter().map(|args| args[slot].clone().expect("a value that is not null"));
        values.map(|value| format!("'{}'", value.replace('\'', "''"))).collect::<Vec<_>>().join(", ")
    };
    for (part, slot, column) in [
        ("from orders where id = $1", 0, "orders.id"),
        ("order by placed_at desc", 0, "orders.customer_id"),
        ("placed_at >=", 0, "orders.placed_at"),
        ("placed_at >=", 1, "orders.placed_at"),
        ("id in ($1, $2, $3)", 0, "orders.id"),
        ("id in ($1, $2, $3)", 2, "orders.id"),
        ("join orders", 0, "customers.id"),
        ("count(*)", 0, "customers.country"),
        ("nickname", 0, "customers.nickname"),
        ("as a from customers", 1, "customers.email"),
    ] {
        let table = column.split('.').next().unwrap();
        let strays = format!("select v from unnest(array[{}]) v except select {column}::text from {table}", client_side(part, slot));
        assert_eq!(sql(&source, &strays), Vec::<String>::new(), "{part} ${}", slot + 1);
    }
    // Uniform data, so the calls are worth what the recorded ones were.
    let fidelity = run.fidelity.as_ref().unwrap();
    assert!(fidelity.representative && fidelity.calls_share > 0.99, "{fidelity:#?}");
    for (name, one) in &fidelity.statements {
        let rows = one.rows.ratio.unwrap();
        assert!((0.7..1.4).contains(&rows), "{name}: {one:#?}");
        let blocks = one.blocks.unwrap_or_else(|| panic!("{name} has no blocks: {:?}", run.caveats)).ratio.unwrap();
        assert!((0.7..1.4).contains(&blocks), "{name}: {one:#?}");
    }
    let rows = fidelity.rows.ratio.unwrap();
    assert!((0.9..1.1).contains(&rows), "{fidelity:#?}");
    let share = |part: &str| run.labels[&with(&workload, part).name].count as f64 / 4000.0;
    let all: u64 = workload.statements.iter().filter(|one| !one.writes).map(|one| one.recorded.unwrap().calls).sum();
    assert!((share("from orders where id = $1") - 300.0 / all as f64).abs() < 0.05, "{:#?}", run.labels);
    assert!(
        run.caveats.iter().any(|caveat| caveat.starts_with("Read-only run: ") && caveat.contains("update_orders")),
        "{:?}",
        run.caveats
    );
}

#[test]
fn what_cannot_be_derived_is_counted_by_its_reason() {
    let (_, source) = database();
    let workload = derived(&source).unwrap();
    let account = workload.derived.as_ref().unwrap();
    let reason = |part: &str| {
        let found: Vec<_> = account.skipped.iter().filter(|skipped| skipped.reason.contains(part)).collect();
        assert_eq!(found.len(), 1, "{part}: {:#?}", account.skipped);
        (found[0].statements, found[0].calls)
    };
    assert_eq!(reason("table public.empty is empty"), (1, 12));
    assert_eq!(reason("relation gone is not in the snapshot"), (1, 13));
    assert_eq!(reason("compared with no column"), (2, 64), "the arithmetic, and the list of sums");
    let skipped: u64 = account.skipped.iter().map(|skipped| skipped.statements).sum();
    assert_eq!(account.usable + skipped, account.statements);
    let shares: f64 = account.skipped.iter().map(|skipped| skipped.exec_time_share).sum();
    assert!((account.exec_time_share.unwrap() + shares - 1.0).abs() < 1e-9, "{account:#?}");
    assert_eq!(account.by_type, [with(&workload, "as a from customers").name.clone()]);
    let Replayed { run, .. } = replayed(&source, &workload, &calls(100));
    assert!(run.caveats.iter().any(|caveat| caveat.contains("table public.empty is empty")), "{:?}", run.caveats);
    assert_eq!(run.about["derived"]["usable"], account.usable);
}

#[test]
fn the_same_seed_makes_the_same_calls_of_a_derived_workload() {
    let (_, source) = database();
    let workload = derived(&source).unwrap();
    let all = |seed: u64| {
        let samples = replayed(&source, &workload, &Settings { seed, ..calls(20) }).samples;
        let script = Script::new(&workload, &samples, seed, Writes::Live).unwrap();
        (0..500).map(|call| script.call(call)).collect::<Vec<_>>()
    };
    assert_eq!(all(3), all(3));
    assert_ne!(all(3), all(4));
}

#[test]
fn writes_are_made_where_they_are_allowed_and_rows_inserted_are_new() {
    let (_, source) = database();
    let workload = derived(&source).unwrap();
    let settings = Settings { writes: Writes::Rollback, ..calls(1500) };
    let Replayed { run, .. } = replayed(&source, &workload, &settings);
    let insert = &run.labels[&with(&workload, "insert").name];
    assert!(insert.count > 10 && insert.errors.is_empty(), "{insert:#?}");
    let update = &run.labels[&with(&workload, "update").name];
    assert_eq!(update.rows, update.count, "each finds its row: {update:#?}");
}

#[test]
fn texts_of_other_roles_are_hidden_and_counted() {
    let (cluster, source) = database();
    let role = format!("other_{}", source.database());
    sql(&source, &format!("create role {role} login; grant select on customers to {role}"));
    let other = Source::resolve(Some(&format!("{} user={role}", conninfo(cluster, &source))), &pgload::pg::source::Environment::default());
    let other = other.unwrap();
    for _ in 0..3 {
        sql(&other, "select id from customers where country = 'de'");
    }
    let workload = derived(&other).unwrap();
    let account = workload.derived.as_ref().unwrap();
    assert!(
        account.skipped.iter().any(|skipped| skipped.reason.contains("grant pg_read_all_stats") && skipped.statements > 10),
        "{account:#?}"
    );
    assert_eq!((workload.statements.len(), workload.statements[0].weight), (1, 3.0), "{}", workload.text);
}

/// The server's address, without a user.
fn conninfo(cluster: &Cluster, source: &Source) -> String {
    format!("host={} port={} dbname={}", cluster.socket_folder().display(), cluster.port(), source.database())
}

#[test]
fn a_server_that_records_nothing_is_told_from_one_that_recorded_nothing() {
    let cluster = start();
    let source = database_on(&cluster);
    sql(&source, "select pg_stat_statements_reset()");
    let Err(DeriveError::Nothing(said)) = derived(&source) else { panic!("nothing was recorded") };
    assert!(said.contains("pg_stat_statements"), "{said}");
    sql(&source, "drop extension pg_stat_statements");
    let Err(DeriveError::Missing { reason, remedy }) = derived(&source) else { panic!("the extension is gone") };
    assert!(reason.contains("not created") && remedy.contains("create extension"), "{reason} {remedy}");
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["replay", "-w", "statements"][..], &["capture", "-o", "shop.yaml"]] {
        let output = pgload(folder.path(), &cluster.url(source.database())).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("create extension pg_stat_statements"), "{said}");
    }
    assert!(!folder.path().join("shop.yaml").exists());
}

fn pgload(folder: &Path, url: &str) -> Command {
    let mut command = Command::cargo_bin("pgload").unwrap();
    for name in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSERVICE"] {
        command.env_remove(name);
    }
    command.env("DATABASE_URL", url).current_dir(folder).timeout(Duration::from_secs(120));
    command
}

#[test]
fn the_command_line_derives_replays_repeats_and_captures() {
    let (cluster, source) = database();
    let folder = tempfile::tempdir().unwrap();
    let url = cluster.url(source.database());
    let ran = |arguments: &[&str]| {
        let output = pgload(folder.path(), &url).args(arguments).output().unwrap();
        let (said, printed) = (String::from_utf8_lossy(&output.stderr).into_owned(), String::from_utf8_lossy(&output.stdout).into_owned());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}\n{printed}");
        (said, printed)
    };
    let short = ["-c", "2", "--duration", "60s", "--warm-up", "0s", "--max-calls", "600"];
    let (said, printed) = ran(&[&["replay", "-w", "statements", "--before", "--format", "json"][..], &short].concat());
    assert!(said.contains("statements recorded since"), "{said}");
    let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["fidelity"]["representative"], true, "{:#}", document["fidelity"]);
    assert_eq!(document["totals"]["errors"], 0);
    // The run itself has been recorded by now; it is repeated as it was derived.
    let output = pgload(folder.path(), &url).args(["replay", "-w", "statements", "--after", "--format", "json"]).output().unwrap();
    let after: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(after["design"], "sequential", "{after:#}");

    ran(&["capture", "-o", "shop.yaml"]);
    let (_, table) = ran(&[&["replay", "-w", "shop.yaml"][..], &short].concat());
    assert!(table.contains("Fidelity: replayed against recorded"), "{table}");
    let (_, audit) = ran(&["audit", "--workload", "shop.yaml", "--model", "estimate", "--format", "json"]);
    let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
    assert!(audit["coverage"]["statements"].as_u64().unwrap() > 10, "{:#}", audit["coverage"]);
}
