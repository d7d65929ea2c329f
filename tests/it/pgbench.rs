//! pgbench scripts against a real server: they do what pgbench itself does with them.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pgload::load::{Arrival, Stop};
use pgload::pg::replay::{Fault, ReplayError, Replayed, Settings, Watch};
use pgload::pg::scripts::run_scripts;
use pgload::pg::session::Writes;
use pgload::pg::{Cluster, Source, connect};
use pgload::replay::pgbench::{Mode, Options, Scripts, builtin};

/// One server for all tests of this file; its watchdog removes it when the test process ends.
fn server() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(super::server::start)
}

/// Runs SQL, one command after the other, and returns the first column of every row as text.
fn sql(source: &Source, text: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = connect(source).await.expect("a connection");
        let mut values = Vec::new();
        // VACUUM does not run beside other commands of a request.
        for command in text.split(";\n").filter(|command| !command.trim().is_empty()) {
            for message in client.simple_query(command).await.expect(command) {
                if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                    values.push(row.get(0).unwrap_or("null").to_owned());
                }
            }
        }
        values
    })
}

fn database() -> Source {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("pgbench_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    sql(&server().source("postgres"), &format!("create database {name}"));
    server().source(&name)
}

/// A database with pgbench's tables as the manual page makes them, at a scale.
fn bank(scale: &str) -> Source {
    let page = include_str!("../../docs/pgbench.md");
    let script = page.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of SQL in docs/pgbench.md");
    let script = script.replace("(1, 10)", &format!("(1, {scale})")).replace("* 10)", &format!("* {scale})"));
    let source = database();
    sql(&source, &script);
    source
}

fn scripts(texts: &[(&str, &str, u32)], options: Options) -> Scripts {
    let mut scripts = Scripts { scripts: Vec::new(), options };
    for (text, name, weight) in texts {
        scripts.add(text, name, *weight).expect("a script");
    }
    scripts
}

/// This many calls by this many clients.
fn calls(count: u64, clients: usize) -> Settings {
    let arrival = Arrival::Closed { clients, think: Duration::ZERO };
    let limits = Settings::new(arrival, Duration::from_secs(120), Duration::ZERO, 7);
    Settings { max_calls: Some(count), writes: Writes::Live, ..limits }
}

fn try_run(source: &Source, scripts: &Scripts, settings: &Settings) -> Result<Replayed, ReplayError> {
    run_scripts(source, scripts, settings, Watch { progress: &|_, _| {}, stop: &Stop::default(), events: None })
}

fn run(source: &Source, scripts: &Scripts, settings: &Settings) -> pgload::replay::Run {
    try_run(source, scripts, settings).expect("a run").run
}

/// Runs a script once with pgbench itself.
fn with_pgbench(source: &Source, script: &str, mode: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.sql");
    std::fs::write(&file, script).expect("a file");
    let output = Command::new(server().binaries().program("pgbench"))
        .args(["-n", "-t", "1", "-M", mode, "-D", "given=0.25", "-f"])
        .arg(&file)
        .arg(server().url(source.database()))
        .output()
        .expect("pgbench runs: it comes with PostgreSQL's server or contrib package");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// What ends up in a table the same whoever runs it: expressions, conditions, answers.
const SAME: &str = r"
\set h hash(:client_id + 5, 42)
\set f hash_fnv1a(-7, 99)
\set p permute(7, 100000, 99)
\set d 1.0 / 3
\set e 1e20 * :given
\set b :h < 0 and not :p is null
\set c case when :h % 2 = 0 then -7 / 2 else -7 % 4 end \
      + (~1 | 2 << 3)
select count(*) as n, 'a; b' as t, 1.5::numeric as num, true as yes -- not yet;
  from generate_series(1, 3) /* nor; here */ \gset g_
\if :g_n = 3 and :g_yes
insert into seen values (:h, :f, :p, :d, :e, :b);
insert into seen values (:c, :g_n, :g_num, :scale, 'x', $$;$$);
\if :g_num > 2
insert into seen values ('wrong');
\elif null
insert into seen values ('wrong too');
\else
insert into seen values ('right');
\endif
\else
insert into seen values ('wrong');
\endif
select x from generate_series(1, 4) x \aset
select x as y from generate_series(1, 0) x \aset
insert into seen values (:x);
\sleep 1 ms
begin;
insert into seen values ('in a transaction');
end
";

const SEEN: &str = "create table seen (a text, b text, c text, d text, e text, f text, at serial)";
const ALL_SEEN: &str = "select concat_ws('|', a, b, c, d, e, f) from seen order by at";

#[test]
fn a_script_does_what_it_does_in_pgbench() {
    for mode in [Mode::Simple, Mode::Extended, Mode::Prepared] {
        let (theirs, ours) = (database(), database());
        sql(&theirs, SEEN);
        with_pgbench(&theirs, SAME, &mode.to_string());
        let expected = sql(&theirs, ALL_SEEN);
        assert_eq!((expected.len(), expected[2].as_str()), (5, "right"), "{mode}: {expected:?}");
        sql(&ours, SEEN);
        let options = Options { mode, variables: vec![("given".to_owned(), "0.25".to_owned())], ..Options::default() };
        let run = run(&ours, &scripts(&[(SAME, "a.sql", 1)], options), &calls(1, 1));
        assert_eq!((run.totals.count, run.totals.errors), (1, 0), "{mode}: {run:#?}");
        assert_eq!(sql(&ours, ALL_SEEN), expected, "{mode}");
    }
}

#[test]
fn the_bank_balances_after_a_mix_of_built_in_scripts() {
    let source = bank("2");
    let text = |name| builtin(name).expect("a script").text;
    let mix =
        [(text("tpcb"), "tpcb-like", 2), (text("si"), "simple-update", 1), (text("se"), "select-only", 3), ("select 1/0;", "never.sql", 0)];
    let run = run(&source, &scripts(&mix, Options { retries: 100, ..Options::default() }), &calls(600, 4));
    assert_eq!((run.totals.count, run.totals.errors, run.partial), (600, 0, false), "{run:#?}");
    assert_eq!((run.name.as_str(), &run.about["scale"]), ("tpcb-like+simple-update+select-only", &serde_json::json!(2)));
    let count = |name: &str| run.labels[name].count;
    assert_eq!(count("tpcb-like") + count("simple-update") + count("select-only"), 600);
    assert_eq!((count("tpcb-like.2"), run.labels["select-only"].rows), (count("tpcb-like"), count("select-only")));
    assert!(!run.labels.contains_key("never.sql"));
    assert!(run.labels["select-only"].plan.as_ref().is_some_and(|plan| plan.indexes == ["pgbench_accounts_pkey"]), "{run:#?}");
    let sums = "select (select sum(delta) from pgbench_history) - (select sum(abalance) from pgbench_accounts)";
    assert_eq!(sql(&source, sums), ["0"]);
    assert_eq!(sql(&source, "select sum(tbalance) - (select sum(bbalance) from pgbench_branches) from pgbench_tellers"), ["0"]);
    assert_eq!(sql(&source, "select count(*) from pgbench_history"), [(count("tpcb-like") + count("simple-update")).to_string()]);
}

#[test]
fn the_same_seed_makes_the_same_calls_with_any_number_of_clients() {
    let script = "\\set a random(1, 1000000)\n\\set b random_gaussian(1, 1000000, 3)\ninsert into drawn values (:a, :b);";
    let drawn = |clients| {
        let source = database();
        sql(&source, "create table drawn (a int, b int)");
        let run = run(&source, &scripts(&[(script, "a.sql", 1)], Options::default()), &calls(200, clients));
        assert_eq!(run.totals.errors, 0, "{run:#?}");
        sql(&source, "select a || ' ' || b from drawn order by a, b")
    };
    let one = drawn(1);
    assert_eq!((one.len(), &one), (200, &drawn(5)));
}

#[test]
fn writes_are_left_out_or_rolled_back_where_they_are_not_allowed() {
    let source = bank("1");
    let text = |name| builtin(name).expect("a script").text;
    let both = scripts(&[(text("tpcb"), "tpcb-like", 1), (text("se"), "select-only", 1)], Options::default());
    let readonly = Settings { writes: Writes::Readonly, ..calls(50, 2) };
    let reads = run(&source, &both, &readonly);
    assert_eq!((reads.labels["select-only"].count, reads.totals.errors), (50, 0));
    assert!(reads.caveats.iter().any(|caveat| caveat.contains("tpcb-like (50 % of the calls) were left out")), "{:?}", reads.caveats);
    let rolled_back = run(&source, &both, &Settings { writes: Writes::Rollback, ..readonly.clone() });
    assert!(rolled_back.labels["tpcb-like"].count > 10 && rolled_back.totals.errors == 0, "{rolled_back:#?}");
    assert_eq!(sql(&source, "select count(*) from pgbench_history"), ["0"]);
    let refused = try_run(&source, &scripts(&[(text("tpcb"), "tpcb-like", 1)], Options::default()), &readonly).expect_err("no run");
    assert_eq!(refused.fault(), Fault::Workload);
    let unknown = try_run(&source, &scripts(&[("select * from nowhere;", "a.sql", 1)], Options::default()), &readonly).expect_err("no run");
    assert!(unknown.to_string().contains("nowhere") && unknown.fault() == Fault::Workload, "{unknown}");
}

#[test]
fn serialization_failures_are_tried_again_until_every_call_is_done() {
    let source = database();
    sql(&source, "create table counter (n int);\ninsert into counter values (0)");
    let script = "begin isolation level serializable;\nselect n from counter \\gset\nupdate counter set n = :n::int + 1;\nend;";
    let patient = scripts(&[(script, "count.sql", 1)], Options { retries: 1000, ..Options::default() });
    let done = run(&source, &patient, &calls(80, 4));
    assert_eq!((done.totals.count, done.totals.errors), (80, 0), "{done:#?}");
    assert_eq!(sql(&source, "select n from counter"), ["80"]);
    assert!(done.labels["count.sql"].retries > 0, "four clients never met: {done:#?}");
}

#[test]
fn an_error_ends_its_call_and_not_its_client() {
    let source = database();
    sql(&source, "create table once (n int primary key);\ninsert into once values (1)");
    let script =
        "\\set n random(1, 2)\nbegin;\n\\if :n = 1\ninsert into once values (:n);\n\\endif\nselect 1 as x where :n = 2 \\gset\nend;";
    let run = run(
        &source,
        &scripts(&[(script, "a.sql", 1), ("select 1 as x where false \\gset", "b.sql", 1)], Options::default()),
        &calls(100, 2),
    );
    let errors = |name: &str| run.labels[name].errors.clone();
    let (count, failed) = (run.labels["a.sql"].count, errors("a.sql"));
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["23505"], "{run:#?}");
    assert!(failed["23505"] > 5 && failed["23505"] < count, "{run:#?}");
    let b = errors("b.sql");
    assert_eq!(b, std::collections::BTreeMap::from([("b.sql:1:1: \\gset: expected one row".to_owned(), run.labels["b.sql"].count)]));
    assert_eq!(run.totals.count, 100);
}

#[test]
fn joined_commands_pipelines_and_programs_work() {
    let source = database();
    sql(&source, "create table seen (a text)");
    let script = "\\set one 1\nselect :one as a \\; select 7 as b, :one + 1 as a \\aset j_\nselect 5 as b, 6 as z \\; select :one as a \\gset k_\n\
        \\set k_b 0\n\\startpipeline\ninsert into seen values (:j_a);\ninsert into seen values (:j_b);\n\\syncpipeline\ninsert into seen values (:k_a);\n\
        insert into seen values (:k_b);\n\\endpipeline\n\\setshell n expr :one + 40\ninsert into seen values (:n);\n\\shell test :n = 41";
    let run = run(&source, &scripts(&[(script, "a.sql", 1)], Options { allow_shell: true, ..Options::default() }), &calls(1, 1));
    assert_eq!((run.totals.count, run.totals.errors), (1, 0), "{run:#?}");
    assert_eq!(sql(&source, "select a from seen"), ["2", "7", "1", "0", "41"]);
    let failing = "\\startpipeline\ninsert into seen values ('x');\nselect 1 / (:client_id - 0);\n\\endpipeline";
    let run = self::run(&source, &scripts(&[(failing, "a.sql", 1)], Options::default()), &calls(3, 1));
    assert_eq!(run.labels["a.sql"].errors, std::collections::BTreeMap::from([("22012".to_owned(), 3)]), "{run:#?}");
    assert_eq!(run.labels["a.sql.2"].errors["22012"], 3);
}

#[test]
fn a_value_larger_than_any_buffer_is_kept_for_the_next_statement() {
    let source = database();
    let script = "select repeat('x', 200000) as v, null as z from generate_series(1, 3) \\aset\nselect 1 as w \\; select 1.50::numeric(5, 2) as n \\gset\n\
        select 1 / (length(:v) = 200000)::int, 1 / (:n::text = '1.50')::int";
    let run = run(&source, &scripts(&[(script, "a.sql", 1)], Options::default()), &calls(20, 2));
    assert_eq!((run.totals.count, run.totals.errors), (20, 0), "{run:#?}");
}
