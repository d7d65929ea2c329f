//! The paired experiment on a real server: two copies, one change, one verdict.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pgload::load::{Arrival, Stop};
use pgload::pg::clone::Clones;
use pgload::pg::copies::CloneError;
use pgload::pg::paired::{Change, PairedSettings, run};
use pgload::pg::replay::Settings;
use pgload::pg::session::Writes;
use pgload::pg::{Cluster, Source, connect};
use pgload::replay::Workload;
use pgload::replay::paired::Experiment;
use pgload::stats::compare::{Work, work};
use pgload::stats::{Design, Metric, Verdict};

use crate::server;

const SCHEMA: &str = "
create table orders (id int primary key, customer int not null, state text not null, note text not null, amount int not null);
insert into orders select i, i % 997, (array['open', 'paid', 'sent'])[i % 3 + 1], repeat('x', 60), i % 501 from generate_series(1, 20000) i;
create table events (id bigserial primary key, customer int not null, kind text not null, at timestamptz not null default now(), note text);
create sequence serial;
analyze;
";

const WORKLOAD: &str = r#"
name: shop
samples:
  order: { table: orders, columns: [id, customer], rows: 300 }
statements:
  - name: by_customer
    weight: 4
    sql: select id, state, amount from orders where customer = $1
    args: [order.customer]
  - name: by_id
    weight: 4
    sql: select state, note from orders where id = $1
    args: [order.id]
  - name: add_event
    weight: 2
    sql: insert into events (customer, kind, note) values ($1, $2, $3)
    args: [order.customer, { text: 8 }, { text: 40 }]
"#;

/// One server for this file; its watchdog removes it when the test process ends.
fn cluster() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(server::start)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Runs SQL and returns the first column of its last result as text.
fn sql(source: &Source, text: &str) -> Vec<String> {
    block_on(async {
        let client = connect(source).await.expect("a connection");
        let messages = client.simple_query(text).await.expect(text);
        let value = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        messages.into_iter().filter_map(value).collect()
    })
}

fn database() -> Source {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("shop_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    sql(&cluster().source("postgres"), &format!("create database {name}"));
    let source = cluster().source(&name);
    sql(&source, SCHEMA);
    source
}

fn copies_left(of: &Clones) -> Vec<String> {
    let names = format!("'{}', '{}'", of.sources.before.database(), of.sources.after.database());
    sql(&cluster().source("postgres"), &format!("select datname from pg_database where datname in ({names})"))
}

fn settings(design: Design, seconds: u64) -> PairedSettings {
    let arrival = Arrival::Closed { clients: 1, think: Duration::ZERO };
    let load = Settings { writes: Writes::Live, ..Settings::new(arrival, Duration::from_secs(seconds), Duration::from_millis(500), 3) };
    PairedSettings { slice: Duration::from_millis(200), ..PairedSettings::new(design, load) }
}

/// Copies the database, tries the change, drops the copies.
fn tried(source: &Source, change: &str, settings: &PairedSettings) -> Experiment {
    let clones = block_on(Clones::make(source, &Stop::default())).expect("two copies");
    assert_eq!(copies_left(&clones).len(), 2);
    let workload = Workload::parse(WORKLOAD, "shop.yaml").expect("a workload");
    let change = Change::Sql { name: "change.sql".to_owned(), text: change.to_owned() };
    let experiment = run(&clones.sources, &workload, settings, Some(&change), &|_| {}, &Stop::default()).expect("an experiment");
    let names = [clones.sources.before.database().to_owned(), clones.sources.after.database().to_owned()];
    block_on(clones.remove()).expect("the copies are dropped");
    let left =
        sql(&cluster().source("postgres"), &format!("select datname from pg_database where datname in ('{}', '{}')", names[0], names[1]));
    assert!(left.is_empty(), "{left:?}");
    experiment
}

fn metric<'a>(experiment: &'a Experiment, label: &str, name: &str) -> &'a Metric {
    let found = experiment.comparison.metrics.iter().find(|metric| metric.label == label && metric.metric == name);
    found.unwrap_or_else(|| panic!("{label} {name}: {:#?}", experiment.comparison))
}

#[test]
fn an_empty_change_is_neither_worse_nor_better() {
    let source = database();
    let experiment = tried(&source, "-- nothing\n", &settings(Design::Duet, 3));
    assert!(matches!(experiment.comparison.verdict, Verdict::NoDifference | Verdict::Inconclusive), "{experiment:#?}");
    assert!(experiment.comparison.calibration.done && !experiment.comparison.calibration.metrics.is_empty());
    assert!(experiment.settings.is_empty() && experiment.applied.as_ref().is_some_and(|applied| applied.steps.is_empty()));
    for exact in &experiment.comparison.exact {
        assert_eq!(exact.plan_changed, Some(false), "{exact:?}");
        assert_ne!(work(exact), Work::More, "{exact:?}");
    }
    assert_eq!(sql(&source, "select count(*) from events"), ["0"], "the copies were written to, the database was not");
    let text = serde_json::to_value(&experiment).expect("JSON");
    assert_eq!((text["design"].as_str(), text["schema_version"].as_u64()), (Some("duet"), Some(1)));
    assert!(text["metrics"][0]["n"].as_u64() >= Some(8), "{text:#}");
}

#[test]
fn a_helpful_index_is_better_for_the_right_statement() {
    let experiment = tried(&database(), "create index orders_customer_idx on orders (customer);", &settings(Design::Duet, 3));
    assert_eq!(experiment.comparison.verdict, Verdict::Better, "{experiment:#?}");
    let p50 = metric(&experiment, "by_customer", "p50");
    assert_eq!(p50.verdict, Verdict::Better, "{p50:#?} {:#?}", experiment.comparison.calibration);
    assert_ne!(metric(&experiment, "by_id", "p50").verdict, Verdict::Better, "{:?}", metric(&experiment, "by_id", "p50"));
    let exact = experiment.comparison.exact.iter().find(|exact| exact.label == "by_customer").expect("counted");
    assert_eq!((work(exact), exact.plan_changed), (Work::Less, Some(true)), "{exact:?}");
    assert_eq!(exact.indexes.after, ["orders_customer_idx"]);
    let applied = experiment.applied.expect("a change");
    assert_eq!(applied.indexes.len(), 1);
    assert!(applied.indexes[0].size_bytes >= 16384 && applied.elapsed_ms > 0.0 && applied.size_bytes.after > applied.size_bytes.before);
    assert_eq!(applied.steps.len(), 1, "{applied:?}");
}

#[test]
fn an_index_that_only_slows_writes_is_seen_in_the_work_of_the_writes() {
    let change = "
        create index events_note_idx on events (note);
        create index events_kind_note_idx on events (kind, note);
        create index events_at_idx on events (at, customer);
        create index concurrently events_customer_idx on events (customer);";
    let experiment = tried(&database(), change, &settings(Design::Abba, 4));
    let exact = experiment.comparison.exact.iter().find(|exact| exact.label == "add_event").expect("counted");
    let records = (exact.wal_records_per_call.before.expect("counted"), exact.wal_records_per_call.after.expect("counted"));
    assert!(records.1 > records.0 + 3.5, "four more index entries are four more records: {exact:?}");
    assert_eq!(work(exact), Work::More, "{exact:?}");
    assert!(exact.wal_bytes_per_call.after > exact.wal_bytes_per_call.before, "{exact:?}");
    assert_ne!(metric(&experiment, "add_event", "p50").verdict, Verdict::Better);
    assert_ne!(experiment.comparison.verdict, Verdict::Better, "{experiment:#?}");
    assert!(experiment.comparison.caveats.iter().any(|caveat| caveat.contains("add_event writes more log a call")), "{experiment:#?}");
    assert!(metric(&experiment, "total", "throughput").before.is_some());
    assert_eq!(experiment.applied.expect("a change").steps.len(), 4);
}

#[test]
fn a_database_in_use_is_not_copied_and_its_users_are_named() {
    let source = database().with_application_name("the_shop");
    block_on(async {
        let user = connect(&source).await.expect("a connection");
        let error = Clones::make(&source, &Stop::default()).await.expect_err("in use");
        let CloneError::Busy { sessions, .. } = &error else { panic!("{error}") };
        assert!(sessions.len() == 1 && sessions[0].contains("the_shop"), "{error}");
        assert!(error.to_string().contains("close them"), "{error}");
        drop(user);
    });
}

#[test]
fn copies_have_the_settings_of_the_database_and_go_with_what_held_them() {
    let source = database();
    let name = source.database();
    sql(
        &source,
        &format!(
            "alter database {name} set work_mem = '7MB'; alter database {name} set search_path = 'a b', public; alter database {name} set pgload.environment = 'staging'"
        ),
    );
    let names = block_on(async {
        let clones = Clones::make(&source, &Stop::default()).await.expect("two copies");
        for side in [&clones.sources.before, &clones.sources.after] {
            let client = connect(side).await.expect("a connection");
            for (setting, expected) in [("work_mem", "7MB"), ("search_path", "\"a b\", public"), ("pgload.environment", "staging")] {
                let value: String = client.query_one(&format!("show {setting}"), &[]).await.expect("a setting").get(0);
                assert_eq!(value, expected);
            }
        }
        assert!(clones.notes.is_empty() && clones.size_bytes > 0);
        // No call of remove(): what an error or a panic would leave.
        [clones.sources.before.database().to_owned(), clones.sources.after.database().to_owned()]
    });
    let left =
        sql(&cluster().source("postgres"), &format!("select datname from pg_database where datname in ('{}', '{}')", names[0], names[1]));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_change_that_fails_says_where_and_leaves_nothing() {
    let source = database();
    let clones = block_on(Clones::make(&source, &Stop::default())).expect("two copies");
    let workload = Workload::parse(WORKLOAD, "shop.yaml").expect("a workload");
    let change =
        Change::Sql { name: "x.sql".to_owned(), text: "create index a on orders (amount); create index b on orders (nothing);".to_owned() };
    let mut settings = settings(Design::Duet, 1);
    settings.calibrate = false;
    let error = run(&clones.sources, &workload, &settings, Some(&change), &|_| {}, &Stop::default()).expect_err("no such column");
    let told = error.to_string();
    assert!(told.contains("x.sql") && told.contains("nothing"), "{told}");
    block_on(clones.remove()).expect("the copies are dropped");
}

#[test]
#[ignore = "four minutes: cargo test --test it twenty_empty_changes -- --ignored --nocapture"]
fn twenty_empty_changes_are_neither_worse_nor_better() {
    let mut called = Vec::new();
    for (number, design) in (0..20).map(|number| (number, if number % 2 == 0 { Design::Duet } else { Design::Abba })) {
        let experiment = tried(&database(), "", &settings(design, 4));
        eprintln!("{number}: {design:?} {:?}", experiment.comparison.verdict);
        for metric in experiment.comparison.metrics.iter().filter(|metric| metric.label == "total") {
            eprintln!("    {} {:?} {:?} {:?}", metric.metric, metric.ratio, metric.interval, metric.verdict);
        }
        let verdict = experiment.comparison.verdict;
        called.extend(matches!(verdict, Verdict::Worse | Verdict::Better).then(|| format!("{number}: {:#?}", experiment.comparison)));
    }
    assert!(called.is_empty(), "{}", called.join("\n"));
}
