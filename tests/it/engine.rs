//! The load engine against real servers: transactions, workers, copies, and servers that freeze, die or refuse.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pgload::load::events::Events;
use pgload::load::{Arrival, Overflow, Progress, Spacing, Stop};
use pgload::pg::replay::{Fault, Phase, Replayed, Settings, Watch, run, run_watched};
use pgload::pg::session::Writes;
use pgload::pg::{Cluster, Source};
use pgload::replay::{Run, Workload};

use crate::replay::{calls, database, database_on, sql, start};

fn parsed(text: &str) -> Workload {
    Workload::parse(text, "w.yaml").expect("a workload")
}

fn replayed(source: &Source, text: &str, settings: &Settings) -> Replayed {
    run(source, &parsed(text), settings, None, &|_, _| {}, &Stop::default()).expect("a run")
}

fn live(count: u64) -> Settings {
    Settings { writes: Writes::Live, ..calls(count) }
}

fn open(rate: f64, sessions: usize, seconds: u64) -> Settings {
    let arrival = Arrival::Open { rate, spacing: Spacing::Uniform, sessions };
    Settings::new(arrival, Duration::from_secs(seconds), Duration::ZERO, 7)
}

#[test]
fn serialization_failures_are_tried_again_and_counted() {
    let source = database();
    sql(&source, "create table counter (id int primary key, n bigint not null); insert into counter values (1, 0)");
    let text = "
name: counter
statements:
  - { name: read, sql: select n from counter where id = 1 }
  - { name: raise, sql: update counter set n = n + 1 where id = 1 }
transactions:
  - { name: raise_it, isolation: serializable, retry: 1000, steps: [read, { think: 1ms }, raise] }
";
    let run = replayed(&source, text, &live(200)).run;
    assert_eq!((run.totals.count, run.totals.errors, run.partial), (200, 0, false), "{run:#?}");
    assert_eq!(sql(&source, "select n from counter"), ["200"], "every call took effect once");
    let (whole, read, raise) = (&run.labels["raise_it"], &run.labels["read"], &run.labels["raise"]);
    assert!(whole.retries > 0, "four clients on one row: {whole:?}");
    assert_eq!(run.totals.retries, whole.retries);
    assert_eq!((whole.count, whole.errors.len()), (200, 0));
    assert_eq!(read.count, 200 + whole.retries, "each attempt reads once");
    assert!(raise.errors.get("40001").is_some_and(|count| *count > 0), "{raise:?}");
    assert!(whole.service_us.p50 > read.service_us.p50, "{whole:?} {read:?}");
    assert!(whole.sql.starts_with("begin isolation level serializable;\nselect n"), "{}", whole.sql);
}

#[test]
fn an_error_rolls_the_transaction_back_and_skips_the_rest() {
    let source = database();
    sql(&source, "create table marks (id int primary key); insert into marks values (7)");
    let text = "
name: marks
transactions:
  - name: mark
    steps:
      - { name: first, sql: insert into visits (user_id) values (1) }
      - { name: second, sql: insert into marks values (7) }
      - { name: third, sql: insert into visits (user_id) values (2) }
      - { name: fourth, sql: select 1 }
statements: [{ name: alone, sql: select 1 }]
";
    let run = replayed(&source, text, &live(100)).run;
    let mark = &run.labels["mark"];
    assert!(mark.count > 20, "{run:#?}");
    assert_eq!((mark.errors.get("23505"), mark.skipped), (Some(&mark.count), 2 * mark.count));
    assert_eq!((run.totals.count, run.totals.errors), (100, mark.count));
    assert_eq!((run.labels["first"].count, run.labels["second"].count), (mark.count, mark.count));
    assert_eq!((run.labels["third"].count, run.labels["fourth"].count), (0, 0), "what was skipped is in no latency");
    assert_eq!(run.labels["alone"].errors.len(), 0, "the next call does not suffer");
    assert_eq!(sql(&source, "select count(*) from visits"), ["0"]);
    assert!(run.caveats.iter().any(|caveat| caveat.contains("were not sent because an earlier one")), "{:?}", run.caveats);
}

#[test]
fn a_transaction_commits_and_in_rollback_mode_does_not() {
    let source = database();
    let text = "
name: visits
transactions:
  - name: visit
    steps: [{ sql: \"insert into visits (user_id) values ($1)\", args: [{ int: [1, 9] }] }, { think: 1ms }, { sql: select count(*) from visits }]
";
    let run = replayed(&source, text, &live(50)).run;
    assert_eq!((run.totals.count, run.totals.errors), (50, 0), "{run:?}");
    assert_eq!(sql(&source, "select count(*) from visits"), ["50"]);
    let run = replayed(&source, text, &Settings { writes: Writes::Rollback, ..live(50) }).run;
    assert_eq!((run.totals.count, run.totals.errors, run.labels["visit.1"].rows), (50, 0, 50), "{run:?}");
    assert_eq!(sql(&source, "select count(*) from visits"), ["50"]);
    let refused = pgload::pg::replay::run(&source, &parsed(text), &calls(5), None, &|_, _| {}, &Stop::default());
    assert_eq!(refused.expect_err("nothing to read").fault(), Fault::Workload);
}

const SINGLE: &str = "
name: single
samples: { user: { table: users, columns: [id] } }
statements:
  - { name: visit, sql: \"insert into visits (user_id, note) values ($1, $2)\", args: [user.id, { text: 6 }], weight: 1 }
  - { name: name, sql: \"select name from users where id = $1\", args: [user.id], weight: 3 }
";

#[test]
fn workers_and_shared_connections_make_the_same_calls() {
    let source = database();
    let mut seen = Vec::new();
    for (jobs, pipeline) in [(1, 1), (2, 1), (3, 1), (1, 4), (2, 2)] {
        sql(&source, "truncate visits");
        let run = replayed(&source, SINGLE, &Settings { jobs, pipeline, ..live(400) }).run;
        assert_eq!((run.totals.count, run.totals.errors), (400, 0), "{run:?}");
        assert_eq!(run.series.iter().map(|point| point.count).sum::<u64>(), 400);
        seen.push((sql(&source, "select user_id || ' ' || note from visits order by 1"), run.labels["name"].count));
    }
    assert!(seen[0].0.len() > 50);
    assert!(seen.iter().all(|other| *other == seen[0]), "{:?}", seen.iter().map(|(rows, count)| (rows.len(), count)).collect::<Vec<_>>());
    let connections = |settings: &Settings| {
        let count = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'pgload/replay'";
        let most = AtomicU32::new(0);
        let on_tick = |_: Phase, _: &Progress| {
            let found = sql(&source, count)[0].parse().expect("a count");
            most.fetch_max(found, Ordering::Relaxed);
        };
        let timed = Settings { max_calls: None, duration: Duration::from_millis(1300), ..settings.clone() };
        run(
            &source,
            &parsed(SINGLE),
            &timed,
            None,
            &|phase, said| std::thread::scope(|scope| scope.spawn(|| on_tick(phase, said)).join().expect("no panic")),
            &Stop::default(),
        )
        .expect("a run");
        most.into_inner()
    };
    assert_eq!(connections(&calls(0)), 4 + 1, "one more than the clients: for what is asked beside the load");
    assert_eq!(connections(&Settings { pipeline: 2, ..calls(0) }), 2 + 1);
    let transactions = "name: t\ntransactions: [{ name: t, steps: [{ sql: select 1 }, { sql: select 2 }] }]\n";
    let refused = run(&source, &parsed(transactions), &Settings { pipeline: 2, ..calls(5) }, None, &|_, _| {}, &Stop::default());
    assert!(refused.expect_err("refused").to_string().contains("--pipeline"));
}

#[test]
fn every_call_can_be_written_down() {
    let source = database();
    let mut bytes: Vec<u8> = Vec::new();
    let watch = Watch { progress: &|_, _| {}, stop: &Stop::default(), events: Some(&mut bytes) };
    let settings = Settings { jobs: 2, warm_up: Duration::from_millis(100), ..live(300) };
    let run = run_watched(&source, &parsed(SINGLE), &settings, None, watch).expect("a run").run;
    let events = Events::open(bytes.as_slice()).expect("a header");
    assert_eq!(events.header.labels, ["visit", "name"]);
    assert_eq!(events.header.started_at, run.started_at.to_string());
    let events = events.collect::<Result<Vec<_>, _>>().expect("events");
    let of = |label: usize| events.iter().filter(|event| event.label == label).count() as u64;
    assert_eq!((of(0), of(1)), (run.labels["visit"].count, run.labels["name"].count));
    let longest = events.iter().filter_map(|event| event.service).max().expect("some call");
    assert!(longest.as_micros() as u64 <= run.totals.service_us.max.expect("a maximum") + 1, "{longest:?} {:?}", run.totals);
}

#[test]
fn writes_to_a_copy_leave_the_original_as_it_was() {
    let cluster = start();
    let source = database_on(&cluster);
    sql(&source, &format!("alter database {} set search_path = \"$user\", other, public; create schema other", source.database()));
    sql(&source, "create table other.seen (path text)");
    let text = "
name: w
statements:
  - { name: add, sql: \"insert into visits (user_id) values ($1)\", args: [{ int: [1, 9] }] }
  - { name: path, sql: \"insert into seen values (current_setting('search_path'))\" }
";
    let settings = Settings { writes: Writes::Clone, ..calls(100) };
    let run = replayed(&source, text, &settings).run;
    assert_eq!((run.totals.count, run.totals.errors, run.about["writes"].as_str()), (100, 0, Some("clone")), "{run:?}");
    assert_eq!(run.about["database"], source.database());
    assert_eq!(sql(&source, "select count(*) from visits"), ["0"]);
    let left = "select datname::text from pg_database where datname like '%pgload%'";
    assert!(sql(&source, left).is_empty(), "the copy is gone");
    assert_eq!(sql(&source, "select count(*) from other.seen"), ["0"]);

    // Somebody is connected to the original: no copy, and the reason is said.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let other = source.clone().with_application_name("the shop");
    let held = runtime.block_on(pgload::pg::connect(&other)).expect("a connection");
    let error = pgload::pg::replay::run(&source, &parsed(text), &settings, None, &|_, _| {}, &Stop::default()).expect_err("refused");
    assert_eq!(error.fault(), Fault::Refused);
    assert!(error.to_string().contains("(postgres, the shop, idle). A template must have no connections"), "{error}");
    // Idle, it is in nobody's way in the other modes; at work, it is.
    let quiet = Settings { writes: Writes::Rollback, ..calls(20) };
    assert_eq!(replayed(&source, text, &quiet).run.totals.errors, 0);
    runtime.block_on(async { held.batch_execute("begin").await.expect("a transaction") });
    for writes in [Writes::Rollback, Writes::Live] {
        let refused = run_refused(&source, text, writes);
        assert!(refused.contains("other clients are at work there (the shop of postgres x 1)"), "{refused}");
    }
    let reads = "name: r\nstatements: [{ name: one, sql: select 1 }]\n";
    assert_eq!(replayed(&source, reads, &calls(20)).run.totals.errors, 0, "a read-only run asks nobody to leave");
}

fn run_refused(source: &Source, text: &str, writes: Writes) -> String {
    let settings = Settings { writes, ..calls(5) };
    let error = run(source, &parsed(text), &settings, None, &|_, _| {}, &Stop::default()).expect_err("refused");
    assert_eq!(error.fault(), Fault::Refused);
    error.to_string()
}

/// Returns the server's processes: its first one and those that it started.
fn processes(cluster: &Cluster) -> Vec<u32> {
    let file = std::fs::read_to_string(cluster.data_folder().join("postmaster.pid")).expect("a process file");
    let first: u32 = file.lines().next().and_then(|line| line.trim().parse().ok()).expect("a number");
    let parent = |stat: &Path| -> Option<u32> { std::fs::read_to_string(stat).ok()?.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok() };
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let children = all.filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        (parent(&entry.path().join("stat"))? == first).then_some(id)
    });
    std::iter::once(first).chain(children).collect()
}

/// Sends a signal to processes this test started.
fn signal(name: &str, ids: &[u32]) {
    // One that ended meanwhile makes the program complain; the others get theirs.
    let ids = ids.iter().map(u32::to_string);
    std::process::Command::new("kill").arg(format!("-{name}")).args(ids).stderr(std::process::Stdio::null()).status().expect("kill");
}

/// Does something once, some time after the measured part began, beside the run; returns what it returned.
fn during<T: Send>(source: &Source, text: &str, settings: &Settings, after: Duration, act: impl FnOnce() -> T + Send) -> (Run, T) {
    let act = Mutex::new(Some(act));
    let result = Mutex::new(None);
    let run = std::thread::scope(|scope| {
        let on_tick = |phase: Phase, said: &Progress| {
            if phase == Phase::Measured
                && let Some(act) = act.lock().expect("no panic").take()
            {
                let wait = after.saturating_sub(said.elapsed);
                let result = &result;
                scope.spawn(move || {
                    std::thread::sleep(wait);
                    *result.lock().expect("no panic") = Some(act());
                });
            }
        };
        run(source, &parsed(text), settings, None, &on_tick, &Stop::default()).expect("a run").run
    });
    (run, result.into_inner().expect("no panic").expect("the run lasted long enough"))
}

const QUICK: &str = "name: quick\nstatements: [{ name: one, sql: \"select $1::int\", args: [{ int: [1, 9] }] }]\n";

/// The case in which most load tools report a p99 of some 4 ms.
#[cfg(target_os = "linux")]
#[test]
fn a_frozen_server_shows_in_the_percentiles_as_arithmetic_says() {
    let cluster = start();
    let source = database_on(&cluster);
    let (rate, seconds) = (200.0, 10);
    for overflow in [Overflow::Queue, Overflow::Shed] {
        let settings = Settings { overflow, ..open(rate, 16, seconds) };
        let (run, frozen) = during(&source, QUICK, &settings, Duration::from_secs(3), || {
            let ids = processes(&cluster);
            let begun = Instant::now();
            signal("STOP", &ids);
            std::thread::sleep(Duration::from_secs(2));
            signal("CONT", &ids);
            begun.elapsed()
        });
        let due = rate * seconds as f64;
        assert_eq!(run.totals.count + run.totals.not_started, due as u64, "{run:?}");
        if overflow == Overflow::Queue {
            // The slowest hundredth came due at the beginning of the freeze, one every 1/rate: the first of them waited
            // for all of it, the last for that much less.
            let truth = frozen.as_secs_f64() - due * 0.01 / rate;
            let p99 = run.totals.response_us.p99.expect("2000 calls") as f64 / 1e6;
            assert!((p99 / truth - 1.0).abs() < 0.1, "p99 {p99} s, by arithmetic {truth} s: {:?}", run.totals);
            // On a busy machine the generator may be late as well, and says so; it shed nothing.
            assert!(run.health.reasons.iter().all(|reason| !reason.contains("shed")), "{:?}", run.health);
        } else {
            // 16 calls wait, the others of the freeze are given up: more than one in a hundred, so p99 is not met. A busy
            // machine can only add to them.
            let truth = frozen.as_secs_f64() * rate - 16.0;
            let shed = run.totals.not_started as f64;
            assert!((0.9 * truth..1.5 * truth).contains(&shed), "{shed} shed, by arithmetic {truth}");
            assert_eq!(run.totals.response_us.p99, None);
            assert!(!run.health.valid && run.health.reasons.iter().any(|reason| reason.contains("shed")), "{:?}", run.health);
        }
    }
}

#[test]
fn killed_backends_cost_their_calls_and_no_more() {
    let cluster = start();
    let source = database_on(&cluster);
    let settings = Settings { jobs: 2, ..open(300.0, 8, 4) };
    let (run, killed) = during(&source, QUICK, &settings, Duration::from_millis(1500), || {
        let other = cluster.source("postgres");
        let terminate =
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgload/replay' and query like 'select $1%'";
        sql(&other, terminate).len() as u64
    });
    assert!(killed >= 1, "{run:?}");
    assert!(!run.partial, "{:?}", run.caveats);
    assert_eq!(run.totals.count, 1200);
    assert!(run.totals.errors <= killed, "{} errors of {killed} killed", run.totals.errors);
    let codes: Vec<&str> = run.labels["one"].errors.keys().map(String::as_str).collect();
    assert!(codes.iter().all(|code| ["57P01", "connection"].contains(code)), "{codes:?}");
}

#[test]
fn a_killed_server_ends_the_run_with_what_was_measured() {
    let cluster = start();
    let source = database_on(&cluster);
    let settings = Settings { jobs: 2, ..open(300.0, 8, 60) };
    let begun = Instant::now();
    let (run, ()) = during(&source, QUICK, &settings, Duration::from_millis(1500), || signal("KILL", &processes(&cluster)));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(run.partial && run.totals.count >= 300, "{:?}", run.totals);
    assert!(run.caveats.iter().any(|caveat| caveat.contains("could no longer be reached")), "{:?}", run.caveats);
    assert!(run.labels["one"].errors.contains_key("connection"), "{:?}", run.labels["one"].errors);
}

#[test]
fn exhausted_connections_are_named_by_their_code() {
    let cluster = start();
    let source = database_on(&cluster);
    sql(&source, "create role loader login connection limit 6");
    let text = format!("host={} port={} user=loader dbname={}", cluster.socket_folder().display(), cluster.port(), source.database());
    let loader = Source::resolve(Some(&text), &Default::default()).expect("a source");
    let too_many = Settings { arrival: Arrival::Closed { clients: 20, think: Duration::ZERO }, ..calls(10) };
    let error = run(&loader, &parsed(QUICK), &too_many, None, &|_, _| {}, &Stop::default()).expect_err("no run");
    assert_eq!(error.fault(), Fault::Connection);
    assert!(error.to_string().contains("too many connections for role"), "{error}");

    let settings = open(100.0, 4, 60);
    let begun = Instant::now();
    let (run, ()) = during(&loader, QUICK, &settings, Duration::from_millis(1200), || {
        sql(&source, "alter role loader connection limit 0");
        sql(&source, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'loader'");
    });
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(run.partial && run.totals.count > 100, "{:?}", run.totals);
    assert!(run.labels["one"].errors.get("53300").is_some_and(|count| *count >= 1), "{:?}", run.labels["one"].errors);
}
