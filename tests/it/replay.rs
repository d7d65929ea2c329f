//! A workload against a real server: what the client counts is what the server counted.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use pgload::load::{Arrival, Spacing, Stop};
use pgload::pg::binaries::Binaries;
use pgload::pg::cluster::Options;
use pgload::pg::replay::{Fault, ReplayError, Replayed, Settings, run};
use pgload::pg::sample;
use pgload::pg::session::Writes;
use pgload::pg::{Cluster, Source, connect};
use pgload::replay::{Samples, Script, Workload, compare};
use pgload::stats::Verdict;

const SCHEMA: &str = "
create type status as enum ('new', 'contacted', 'won');
create table users (id int primary key, name text not null);
create table prospects (
    id int primary key, user_id int not null, status status not null, created_at timestamptz not null, tags text[], facts jsonb, score numeric
);
create table visits (user_id int, note text, at timestamptz, token uuid, tags text[], facts jsonb, score numeric, status status);
create table nothing (id int);
insert into users select i, 'user ' || i from generate_series(1, 40) i;
insert into prospects
    select i, i % 40 + 1, (array['new', 'contacted', 'won'])[i % 3 + 1]::status, timestamptz '2024-01-01' + i * interval '1 hour',
        array['a', 'it''s, \"b\"'], jsonb_build_object('i', i), i / 7.0
    from generate_series(1, 8000) i;
analyze;
create function visit(u int) returns int language sql as $$ insert into visits (user_id) values (u) returning user_id $$;
";

const WORKLOAD: &str = r#"
name: prospects
samples:
  prospect: { table: prospects, columns: [user_id, status, created_at, tags, facts, score], rows: 300 }
  user: { table: public.users, columns: [id] }
statements:
  - name: by_user_and_status
    weight: 6
    sql: select * from prospects where user_id = $1 and status = $2 order by created_at desc limit 5
    args: [prospect.user_id, prospect.status]
  - name: user
    weight: 3
    sql: select name from users where id = $1
    args: [user.id]
  - name: add_visit
    weight: 1
    sql: insert into visits values ($1, $2, $3, $4, $5, $6, $7, $8)
    args: [user.id, { text: 12 }, { shift: prospect.created_at, by: "+7 days" }, { uuid: true }, prospect.tags, prospect.facts, prospect.score,
      { choice: [new, won, null] }]
"#;

/// One server for all tests of this file; its watchdog removes it when the test process ends.
fn server() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(start)
}

pub(crate) fn start() -> Cluster {
    let explicit = std::env::var_os("PGLOAD_PG_BIN").map(PathBuf::from);
    let search_path: Vec<PathBuf> = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let binaries = Binaries::find(explicit.as_deref(), &search_path).expect("PostgreSQL's server programs");
    Cluster::start(&Options::new(binaries)).expect("a throwaway server")
}

/// Runs SQL and returns the first column of its last result as text.
pub(crate) fn sql(source: &Source, text: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = connect(source).await.expect("a connection");
        let messages = client.simple_query(text).await.expect(text);
        let value = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        messages.into_iter().filter_map(value).collect()
    })
}

/// Makes a database of its own with the schema.
pub(crate) fn database_on(cluster: &Cluster) -> Source {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("replay_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    sql(&cluster.source("postgres"), &format!("create database {name}"));
    let source = cluster.source(&name);
    sql(&source, SCHEMA);
    source
}

pub(crate) fn database() -> Source {
    database_on(server())
}

fn workload() -> Workload {
    Workload::parse(WORKLOAD, "prospects.yaml").expect("a workload")
}

/// Four clients making exactly this many calls.
pub(crate) fn calls(count: u64) -> Settings {
    let arrival = Arrival::Closed { clients: 4, think: Duration::ZERO };
    Settings { max_calls: Some(count), ..Settings::new(arrival, Duration::from_secs(120), Duration::ZERO, 7) }
}

fn replay(source: &Source, workload: &Workload, settings: &Settings) -> Replayed {
    run(source, workload, settings, None, &|_, _| {}, &Stop::default()).expect("a run")
}

fn refused(source: &Source, workload: &str) -> ReplayError {
    let workload = Workload::parse(workload, "w.yaml").expect("a workload");
    run(source, &workload, &calls(10), None, &|_, _| {}, &Stop::default()).expect_err("no run")
}

#[test]
fn what_was_counted_is_what_the_server_counted() {
    let source = database();
    let settings = Settings { writes: Writes::Live, warm_up: Duration::from_millis(200), ..calls(600) };
    let Replayed { run, samples, histograms } = replay(&source, &workload(), &settings);
    assert_eq!((run.totals.count, run.totals.errors, run.partial), (600, 0, false), "{run:#?}");
    for (name, label) in &run.labels {
        let blocks = label.blocks.unwrap_or_else(|| panic!("{name}: {run:#?}"));
        assert_eq!(blocks.calls, label.count, "{name}");
        assert!(blocks.hit + blocks.read > 0, "{name}");
        assert!(label.service_us.p50.is_some(), "{name}");
    }
    let by_user = &run.labels["by_user_and_status"];
    assert_eq!(by_user.rows, by_user.count * 5, "each user has more than 5 prospects of each status he has");
    let plan = by_user.plan.as_ref().expect("a plan");
    assert_eq!(
        (plan.shape.as_str(), plan.sequential.as_slice()),
        ("Limit > Sort > Seq Scan prospects", ["prospects".to_owned()].as_slice())
    );
    assert_eq!(run.labels["user"].rows, run.labels["user"].count);
    assert_eq!(run.labels["add_visit"].rows, run.labels["add_visit"].count);
    assert_eq!((samples.samples[0].rows.len(), samples.samples[1].rows.len()), (300, 40));
    assert_eq!(histograms[0].tag, "total.response");
    assert_eq!(histograms[0].histogram.count(), 600);
    assert_eq!(run.about["database"], source.database());
    assert!(run.series.iter().map(|point| point.count).sum::<u64>() == 600);
    let visits: u64 = sql(&source, "select count(*) from visits")[0].parse().expect("a count");
    assert!(visits > run.labels["add_visit"].count, "the warm-up wrote too, and was not counted");
}

#[test]
fn the_same_seed_sends_the_same_values() {
    let source = database();
    let settings = Settings { writes: Writes::Live, ..calls(400) };
    let content = "select v::text from visits v order by 1";
    let first = replay(&source, &workload(), &settings);
    let sent = sql(&source, content);
    sql(&source, "truncate visits");
    let samples = Some(first.samples.clone());
    let second = run(&source, &workload(), &settings, samples, &|_, _| {}, &Stop::default()).expect("a run");
    assert_eq!(sent, sql(&source, content));
    assert!(sent.len() > 20, "{}", sent.len());
    let counts = |replayed: &Replayed| replayed.run.labels.values().map(|label| (label.count, label.rows)).collect::<Vec<_>>();
    assert_eq!(counts(&first), counts(&second));
    let script = Script::new(&workload(), &first.samples, 7, Writes::Live).expect("a script");
    let written = (0..400).filter(|call| script.statement(*call) == 2).count();
    assert_eq!(written, sent.len(), "the server got what the script says");

    let drawn_again = replay(&source, &workload(), &settings).samples;
    assert_eq!(drawn_again.samples, first.samples.samples, "the same seed over the same rows");
    sql(&source, "truncate visits");
    replay(&source, &workload(), &Settings { seed: 8, ..settings });
    assert_ne!(sent, sql(&source, content));
}

#[test]
fn a_readonly_run_leaves_writes_out_and_the_server_enforces_it() {
    let source = database();
    let text = WORKLOAD.replace("select name from users where id = $1", "select visit($1)");
    let workload = Workload::parse(&text, "w.yaml").expect("a workload");
    let run = replay(&source, &workload, &calls(200)).run;
    assert_eq!(run.labels.keys().collect::<Vec<_>>(), ["by_user_and_status", "user"]);
    let sneaky = &run.labels["user"];
    assert!(sneaky.count > 20);
    assert_eq!(sneaky.errors.get("25006"), Some(&sneaky.count), "{sneaky:?}");
    assert!(run.labels["by_user_and_status"].errors.is_empty());
    assert_eq!(run.totals.errors, sneaky.count);
    assert!(run.caveats.iter().any(|caveat| caveat.contains("add_visit (10 %")), "{:?}", run.caveats);
    assert_eq!(sql(&source, "select count(*) from visits"), ["0"]);
}

#[test]
fn rolled_back_writes_happen_and_leave_nothing() {
    let source = database();
    let settings = Settings { writes: Writes::Rollback, ..calls(300) };
    let run = replay(&source, &workload(), &settings).run;
    let added = &run.labels["add_visit"];
    assert!(added.count > 10 && added.errors.is_empty(), "{added:?}");
    assert_eq!((added.rows, added.blocks.map(|blocks| blocks.calls)), (added.count, Some(added.count)));
    assert_eq!(sql(&source, "select count(*) from visits"), ["0"]);
    assert_ne!(sql(&source, "select pg_relation_size('visits')"), ["0"], "the rows had been there");
    assert!(run.caveats.iter().any(|caveat| caveat.contains("rolled back")));
}

#[test]
fn a_failing_write_in_rollback_mode_does_not_spoil_the_next_call() {
    let source = database();
    let text = "name: w\nstatements:\n  - { name: bad, sql: insert into users values (1), weight: 1 }\n  - { name: good, sql: select 1, weight: 1 }\n";
    let workload = Workload::parse(text, "w.yaml").expect("a workload");
    let run = replay(&source, &workload, &Settings { writes: Writes::Rollback, ..calls(100) }).run;
    assert_eq!(run.labels["bad"].errors.get("23502"), Some(&run.labels["bad"].count), "{run:?}");
    assert!(run.labels["good"].count > 20 && run.labels["good"].errors.is_empty());
}

#[test]
fn an_open_loop_keeps_its_rate_on_a_real_server() {
    let source = database();
    let arrival = Arrival::Open { rate: 200.0, spacing: Spacing::Uniform, sessions: 8 };
    let run = replay(&source, &workload(), &Settings::new(arrival, Duration::from_millis(1500), Duration::ZERO, 7)).run;
    assert_eq!(run.totals.count + run.totals.not_started, 300, "{run:?}");
    assert_eq!(run.arrival["open"]["rate"], 200.0);
    assert!(run.totals.not_started == 0 && (150.0..=200.0).contains(&run.totals.throughput), "{:?}", run.totals);
    assert!(run.totals.lag_us.p50.is_some());
}

#[test]
fn what_does_not_fit_the_database_is_named() {
    let source = database();
    let with =
        |sample: &str| format!("name: w\nsamples:\n  s: {sample}\nstatements:\n  - {{ name: a, sql: \"select $1::int\", args: [s.id] }}\n");
    for (text, part) in [
        (with("{ table: prospekts, columns: [id] }"), "there is no table \"prospekts\""),
        (with("{ table: users, columns: [id, nick] }"), "table public.users has no column \"nick\", it has: id, name"),
        (with("{ table: nothing, columns: [id] }"), "table public.nothing is empty"),
        (
            "name: w\nstatements: [{ name: a, sql: select nonsense from users }]\n".to_owned(),
            "prepare statement \"a\": column \"nonsense\" does not exist (42703)",
        ),
        ("name: w\nstatements: [{ name: a, sql: delete from users }]\n".to_owned(), "--writes"),
    ] {
        let error = refused(&source, &text);
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.fault(), Fault::Workload, "{error}");
    }
    let nowhere = Source::resolve(Some("host=/nonexistent user=nobody"), &Default::default()).expect("a source");
    assert_eq!(refused(&nowhere, "name: w\nstatements: [{ name: a, sql: select 1 }]\n").fault(), Fault::Connection);
}

#[test]
fn a_server_that_goes_away_ends_the_run_with_what_was_measured() {
    let cluster = start();
    let source = database_on(&cluster);
    let (told, ticks) = mpsc::channel();
    let stopper = std::thread::spawn(move || {
        ticks.recv().expect("the run makes progress");
        drop(cluster);
    });
    let settings = Settings { max_calls: None, ..calls(0) };
    let progress = |_, _: &pgload::load::Progress| {
        // The first word is enough; later ones find nobody listening.
        let _ = told.send(());
    };
    let told_sync = std::sync::Mutex::new(progress);
    let run =
        run(&source, &workload(), &settings, None, &|phase, said| (told_sync.lock().expect("no panic"))(phase, said), &Stop::default());
    let run = run.expect("a run").run;
    stopper.join().expect("the server stopped");
    assert!(run.partial && run.totals.count > 100, "{:?}", run.totals);
    assert!(run.duration_ms < 60_000.0);
    assert!(run.caveats.iter().any(|caveat| caveat.contains("could no longer be reached")), "{:?}", run.caveats);
    assert!(run.labels.values().any(|label| label.errors.contains_key("connection")));
    assert!(run.labels.values().all(|label| label.plan.is_some()), "what was known stays");
}

#[test]
fn a_terminated_session_comes_back() {
    let source = database();
    let terminate = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                     where application_name = 'pgload/replay' and datname = current_database() and query ilike '%prospects%' and pid <> pg_backend_pid()";
    let settings = Settings { max_calls: None, duration: Duration::from_millis(1800), ..calls(0) };
    let killed = AtomicU32::new(0);
    let on_tick = |_, _: &pgload::load::Progress| {
        // The driver waits for this callback, on another thread than the server.
        let other = source.clone().with_application_name("test");
        let count = std::thread::spawn(move || sql(&other, terminate)[0].parse::<u32>().expect("a count"));
        killed.fetch_add(count.join().expect("no panic"), Ordering::Relaxed);
    };
    let run = run(&source, &workload(), &settings, None, &on_tick, &Stop::default()).expect("a run").run;
    assert!(killed.load(Ordering::Relaxed) >= 1);
    assert!(!run.partial, "{:?}", run.caveats);
    assert!(run.totals.errors <= u64::from(killed.load(Ordering::Relaxed)), "{run:?}");
    let after = run.series.iter().find(|point| point.second == 1).map_or(0, |point| point.count);
    assert!(after > 50, "calls go on after the loss: {:?}", run.series);
}

#[test]
fn a_stop_ends_the_run_early() {
    let source = database();
    let stop = Stop::default();
    let settings = Settings { max_calls: None, ..calls(0) };
    let replayed = run(&source, &workload(), &settings, None, &|_, _| stop.request(), &stop).expect("a run");
    assert!(replayed.run.partial && replayed.run.totals.count > 0);
    assert!(replayed.run.duration_ms < 60_000.0);
}

#[test]
fn an_index_shows_in_plan_and_blocks_and_decides_the_comparison() {
    let source = database();
    let settings = calls(1500);
    let before = replay(&source, &workload(), &settings);
    let again = run(&source, &workload(), &settings, Some(before.samples.clone()), &|_, _| {}, &Stop::default()).expect("a run");
    let same = compare(&before.run, &again.run).expect("comparable");
    assert_eq!(same.verdict, Verdict::NoDifference, "{same:#?}");

    sql(&source, "create index prospects_user on prospects (user_id, status, created_at)");
    let samples: Samples = serde_json::from_str(&serde_json::to_string(&before.samples).expect("JSON")).expect("samples");
    let after = run(&source, &workload(), &settings, Some(samples), &|_, _| {}, &Stop::default()).expect("a run");
    let comparison = compare(&before.run, &after.run).expect("comparable");
    let exact = comparison.exact.iter().find(|exact| exact.label == "by_user_and_status").expect("the statement");
    assert_eq!(exact.plan_changed, Some(true));
    assert_eq!(exact.indexes.after, ["prospects_user"]);
    assert!(exact.blocks_per_call.after.expect("blocks") * 5.0 < exact.blocks_per_call.before.expect("blocks"), "{exact:?}");
    assert_eq!(comparison.verdict, Verdict::Better, "{comparison:#?}");
    let other_seed = replay(&source, &workload(), &Settings { seed: 9, ..settings });
    assert!(compare(&before.run, &other_seed.run).expect_err("refused").to_string().contains("seeds differ"));
}

#[test]
fn samples_come_from_large_tables_partitions_and_views_and_repeat_with_the_seed() {
    let source = database();
    sql(
        &source,
        "create table \"Big Table\" as select i as id, case when i % 10 = 0 then null else 'n' || i end as \"Name\" from generate_series(1, 120000) i;
         create table parts (id int) partition by range (id);
         create table parts_1 partition of parts for values from (0) to (60000);
         create table parts_2 partition of parts for values from (60000) to (200000);
         insert into parts select generate_series(1, 120000);
         create view seen as select id from parts where id < 100;
         analyze",
    );
    let text = r#"
name: large
samples:
  big: { table: '"Big Table"', columns: [id, Name], rows: 50 }
  part: { table: parts, columns: [id], rows: 50 }
  seen: { table: seen, columns: [id], rows: 50 }
statements:
  - { name: a, sql: select 1 }
"#;
    let workload = Workload::parse(text, "large.yaml").expect("a workload");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let draw = |seed| {
        runtime.block_on(async {
            let mut client = connect(&source).await.expect("a connection");
            sample::draw(&mut client, &workload, seed).await.expect("samples").samples
        })
    };
    let first = draw(1);
    assert_eq!(first, draw(1));
    assert_ne!(first, draw(2));
    for sample in &first {
        assert_eq!(sample.rows.len(), 50, "{}", sample.name);
    }
    let ids: Vec<u32> = first[0].rows.iter().map(|row| row[0].as_deref().expect("an id").parse().expect("a number")).collect();
    for (row, id) in first[0].rows.iter().zip(&ids) {
        assert_eq!(row[1], (!id.is_multiple_of(10)).then(|| format!("n{id}")), "the columns of a row stay together");
    }
    let pages: std::collections::BTreeSet<u32> = ids.iter().map(|id| id / 1000).collect();
    assert!(pages.len() > 10, "rows from several places of the table: {pages:?}");
}
