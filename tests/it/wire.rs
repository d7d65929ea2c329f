//! The connection of load sessions against real servers: how it opens, what it passes over, how it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use pgload::load::{Arrival, Progress, Stop};
use pgload::pg::replay::{Phase, Settings, run};
use pgload::pg::session::Writes;
use pgload::pg::{Cluster, Source};
use pgload::replay::{Run, Workload};

use crate::replay::{calls, database, database_on, sql, start};

fn live(count: u64) -> Settings {
    Settings { writes: Writes::Live, ..calls(count) }
}

fn watched(source: &Source, text: &str, settings: &Settings, watch: &(dyn Fn(Phase, &Progress) + Sync)) -> Run {
    let workload = Workload::parse(text, "w.yaml").expect("a workload");
    run(source, &workload, settings, None, watch, &Stop::default()).expect("a run").run
}

fn replayed(source: &Source, text: &str, settings: &Settings) -> Run {
    watched(source, text, settings, &|_, _| {})
}

fn errors(run: &Run, label: &str) -> BTreeMap<String, u64> {
    run.labels[label].errors.clone()
}

fn over_tcp(cluster: &Cluster, database: &str, options: &str) -> Source {
    Source::resolve(Some(&format!("{}{options}", cluster.url(database))), &Default::default()).expect("a source")
}

const NAMES: &str = "
name: names
statements: [{ name: name, sql: select name from users where id = $1, args: [{ int: [1, 40] }] }]
";

#[test]
fn passwords_are_given_over_tcp_as_the_server_asks_for_them() {
    let cluster = start();
    let socket = database_on(&cluster);
    for (method, encryption) in [("scram-sha-256", "scram-sha-256"), ("md5", "md5"), ("password", "md5")] {
        let hba = format!("local all all trust\nhost all all 127.0.0.1/32 {method}\n");
        std::fs::write(cluster.data_folder().join("pg_hba.conf"), hba).expect("a writable file");
        sql(&socket, "select pg_reload_conf()");
        sql(
            &socket,
            &format!(
                "set password_encryption = '{encryption}'; drop role if exists \"{method}\"; create role \"{method}\" login password 'pass word'; grant select on users to \"{method}\""
            ),
        );
        let url = format!("postgresql://{method}:pass%20word@127.0.0.1:{}/{}", cluster.port(), socket.database());
        let source = Source::resolve(Some(&url), &Default::default()).expect("a source");
        let run = replayed(&source, NAMES, &calls(120));
        assert_eq!((run.totals.count, run.totals.errors, run.labels["name"].rows), (120, 0, 120), "{method}: {run:?}");
        let wrong = Source::resolve(Some(&url.replace("pass%20", "no%20")), &Default::default()).expect("a source");
        let workload = Workload::parse(NAMES, "w.yaml").expect("a workload");
        let refused = pgload::pg::replay::run(&wrong, &workload, &calls(1), None, &|_, _| {}, &Stop::default()).expect_err("no run");
        assert!(refused.to_string().contains("password"), "{refused}");
    }
}

#[test]
fn calls_are_made_over_tls_with_channel_binding() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let authority = crate::connect::Authority::new();
    authority.sign(Some("subjectAltName=DNS:localhost"));
    let cluster = runtime.block_on(crate::connect::secured(authority.folder()));
    // A session without TLS divides by zero.
    let text = "
name: tls
statements: [{ name: tls, sql: \"select repeat('x', 40000), 1 / ssl::int from pg_stat_ssl where pid = pg_backend_pid()\" }]
";
    for options in ["?sslmode=require&channel_binding=require", "?sslmode=prefer"] {
        let source = over_tcp(&cluster, "postgres", options);
        for pipeline in [1, 2] {
            let run = replayed(&source, text, &Settings { pipeline, ..calls(100) });
            assert_eq!((run.totals.count, run.totals.errors, run.labels["tls"].rows), (100, 0, 100), "{options}: {run:?}");
        }
    }
    // More than socket and cipher hold: what encryption keeps back must follow without another call.
    let large = format!("name: large\nstatements: [{{ name: large, sql: \"select length('{}')\" }}]\n", "x".repeat(8 << 20));
    let run = replayed(&over_tcp(&cluster, "postgres", "?sslmode=require"), &large, &calls(3));
    assert_eq!((run.totals.count, run.totals.errors), (3, 0));
    let run = replayed(&over_tcp(&cluster, "postgres", "?sslmode=disable"), text, &calls(8));
    assert_eq!(errors(&run, "tls"), BTreeMap::from([("22012".to_owned(), 8)]), "and without it there is none");
}

#[test]
fn rows_larger_than_any_buffer_are_counted_and_their_values_kept() {
    let source = database();
    let text = "
name: large
statements:
  - { name: one, sql: \"select repeat('x', 3000000)\" }
  - { name: many, sql: \"select repeat('y', 50000) from generate_series(1, 40)\" }
  - { name: small, sql: select id from users order by id }
";
    for pipeline in [1, 4] {
        let run = replayed(&source, text, &Settings { pipeline, ..calls(60) });
        assert_eq!((run.totals.count, run.totals.errors), (60, 0), "{run:?}");
        for (name, rows) in [("one", 1), ("many", 40), ("small", 40)] {
            let label = &run.labels[name];
            assert!(label.count > 0 && label.rows == rows * label.count, "{name}: {label:?}");
        }
    }
}

const MIXED: &str = "
name: mixed
statements:
  - { name: good, sql: \"select generate_series(1, 3)\" }
  - { name: bad, sql: \"select 1 / (id - id) from users\" }
  - { name: noisy, sql: \"do $$ begin raise warning 'a notice'; end $$\" }
";

#[test]
fn an_error_is_its_own_callers_also_on_a_shared_connection() {
    let source = database();
    for pipeline in [1, 4] {
        let run = replayed(&source, MIXED, &Settings { pipeline, ..live(300) });
        let good = &run.labels["good"];
        assert_eq!((run.totals.count, run.partial), (300, false), "{run:?}");
        assert!(good.count > 20 && good.rows == 3 * good.count && good.errors.is_empty(), "{good:?}");
        assert_eq!(errors(&run, "bad"), BTreeMap::from([("22012".to_owned(), run.labels["bad"].count)]));
        assert_eq!(errors(&run, "noisy").len(), 0, "{run:?}");
    }
}

#[test]
fn a_copy_without_data_fails_and_the_session_goes_on() {
    let source = database();
    let text = format!("{MIXED}  - {{ name: out, sql: copy users to stdout }}\n  - {{ name: in, sql: copy visits from stdin }}\n");
    let run = replayed(&source, &text, &live(300));
    assert_eq!(errors(&run, "in"), BTreeMap::from([("57014".to_owned(), run.labels["in"].count)]), "nobody has data for it");
    assert_eq!((run.labels["out"].rows, errors(&run, "out").len()), (40 * run.labels["out"].count, 0));
    assert_eq!((errors(&run, "good").len(), run.labels["good"].rows), (0, 3 * run.labels["good"].count));
}

#[test]
fn a_cancelled_statement_costs_its_call_and_no_more() {
    let source = database();
    let text = "name: slow\nstatements: [{ name: slow, sql: select pg_sleep(60) }]\n";
    let other = source.clone().with_application_name("test");
    let cancel = "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'pgload/replay' and state = 'active' \
                  and datname = current_database() and query like 'select pg_sleep%'";
    let on_tick = |_, _: &Progress| {
        let other = other.clone();
        std::thread::spawn(move || sql(&other, cancel)).join().expect("no panic");
    };
    let settings = Settings { arrival: Arrival::Closed { clients: 3, think: Duration::ZERO }, max_calls: Some(6), ..calls(6) };
    let run = watched(&source, text, &settings, &on_tick);
    assert_eq!((run.totals.count, errors(&run, "slow")), (6, BTreeMap::from([("57014".to_owned(), 6)])), "{run:?}");
    assert!(!run.partial && run.duration_ms < 50_000.0, "{run:?}");
}

#[test]
fn sessions_that_lose_a_shared_connection_come_back_together() {
    let source = database();
    let other = source.clone().with_application_name("test");
    let terminate = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgload/replay' and datname = current_database() \
                     and query like '%from users%'";
    let killed = std::sync::atomic::AtomicU64::new(0);
    let on_tick = |_, _: &Progress| {
        let other = other.clone();
        let count = std::thread::spawn(move || sql(&other, terminate).len() as u64).join().expect("no panic");
        killed.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
    };
    let settings = Settings { max_calls: None, pipeline: 2, duration: Duration::from_millis(2500), ..calls(0) };
    let run = watched(&source, NAMES, &settings, &on_tick);
    let killed = killed.into_inner();
    assert!(killed >= 1 && !run.partial, "{run:?}");
    assert!(run.totals.errors <= 2 * killed, "{} errors of {killed} connections of two sessions", run.totals.errors);
    assert!(errors(&run, "name").keys().all(|code| ["57P01", "connection"].contains(&code.as_str())), "{run:?}");
    assert!(run.series.iter().any(|point| point.second >= 1 && point.count > 10), "calls go on after the loss: {:?}", run.series);
}
