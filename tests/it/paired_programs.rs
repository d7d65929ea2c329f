//! The paired experiment under every kind of load: pgbench scripts and captured transactions make the same calls on both sides.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pgload::load::{Arrival, Stop};
use pgload::pg::captured::Capture;
use pgload::pg::clone::Clones;
use pgload::pg::paired::{Change, Load, PairedSettings, run};
use pgload::pg::replay::Settings;
use pgload::pg::session::Writes;
use pgload::pg::{Cluster, Source, connect};
use pgload::replay::captured::{CAPTURED_VERSION, Captured, CapturedStatement, WireProtocol};
use pgload::replay::paired::Experiment;
use pgload::replay::pgbench::{Mode, Options, Scripts, builtin};
use pgload::stats::compare::{Work, work};
use pgload::stats::{Design, Exact};
use serde_json::{Value, json};

/// One server for this file; its watchdog removes it when the test process ends.
fn cluster() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(super::server::start)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Runs SQL and returns the first column of its rows as text.
fn sql(source: &Source, text: &str) -> Vec<String> {
    block_on(async {
        let client = connect(source).await.unwrap();
        let messages = client.simple_query(text).await.expect(text);
        let value = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        messages.into_iter().filter_map(value).collect()
    })
}

fn number(source: &Source, text: &str) -> i64 {
    sql(source, text)[0].parse().unwrap()
}

fn database(schema: &str) -> Source {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("programs_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    sql(&cluster().source("postgres"), &format!("create database {name}"));
    let source = cluster().source(&name);
    sql(&source, schema);
    source
}

/// What `builtin:select-only` reads.
const ACCOUNTS: &str = "
create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84));
create table pgbench_branches (bid int primary key, bbalance int, filler char(88));
insert into pgbench_branches values (1, 0, '');
insert into pgbench_accounts select i, 1, 0, '' from generate_series(1, 100000) i;
analyze;
";

const ORDERS: &str = "
create table orders (id int primary key, amount int not null);
insert into orders select i, 0 from generate_series(1, 50) i;
create table journal (who int not null, amount int not null);
create table seen (who int not null);
analyze;
";

fn settings(design: Design) -> PairedSettings {
    let arrival = Arrival::Closed { clients: 1, think: Duration::ZERO };
    let load = Settings { writes: Writes::Live, ..Settings::new(arrival, Duration::from_secs(2), Duration::from_millis(300), 3) };
    PairedSettings { slice: Duration::from_millis(200), ..PairedSettings::new(design, load) }
}

fn scripts(text: &str, name: &str, mode: Mode) -> Scripts {
    let mut scripts = Scripts { scripts: Vec::new(), options: Options { mode, ..Options::default() } };
    scripts.add(text, name, 1).unwrap();
    scripts
}

/// Tries a change on two copies, and has them looked at before they are dropped.
fn tried<T>(
    source: &Source,
    load: Load<'_>,
    change: &str,
    settings: &PairedSettings,
    look: impl FnOnce(&Source, &Source) -> T,
) -> (Experiment, T) {
    let clones = block_on(Clones::make(source, &Stop::default())).expect("two copies");
    let change = Change::Sql { name: "change.sql".to_owned(), text: change.to_owned() };
    let experiment = run(&clones.sources, load, settings, Some(&change), &|_| {}, &Stop::default()).expect("an experiment");
    let looked = look(&clones.sources.before, &clones.sources.after);
    block_on(clones.remove()).expect("the copies are dropped");
    (experiment, looked)
}

fn exact<'a>(experiment: &'a Experiment, label: &str) -> &'a Exact {
    let found = experiment.comparison.exact.iter().find(|exact| exact.label == label);
    found.unwrap_or_else(|| panic!("{label}: {:#?}", experiment.comparison))
}

/// Whether both sides have a median.
fn has_both(experiment: &Experiment, label: &str) -> bool {
    let found = experiment.comparison.metrics.iter().find(|metric| metric.label == label && metric.metric == "p50");
    found.is_some_and(|metric| metric.before > Some(0.0) && metric.after > Some(0.0))
}

fn nothing_failed(experiment: &Experiment) {
    let errors: Vec<_> = experiment.comparison.metrics.iter().filter(|metric| metric.metric == "errors").collect();
    assert!(errors.is_empty(), "{errors:#?} {:?}", experiment.comparison.caveats);
}

/// How often the server counted a statement in a database.
fn counted(source: &Source, like: &str) -> i64 {
    let by = "join pg_database d on d.oid = s.dbid where d.datname = current_database()";
    number(source, &format!("select coalesce(sum(s.calls), 0) from pg_stat_statements s {by} and s.query like '{like}'"))
}

#[test]
fn select_only_does_the_same_work_on_both_sides_of_an_empty_change() {
    let source = database(ACCOUNTS);
    let select = builtin("select-only").unwrap();
    let scripts = scripts(select.text, select.name, Mode::Prepared);
    for design in [Design::Duet, Design::Abba] {
        let calls = |before: &Source, after: &Source| [before, after].map(|side| counted(side, "SELECT abalance FROM%"));
        let (experiment, [before, after]) = tried(&source, (&scripts).into(), "-- nothing\n", &settings(design), calls);
        assert_eq!((experiment.name.as_str(), experiment.comparison.design), ("select-only", design));
        assert!(experiment.comparison.calibration.done && !experiment.comparison.calibration.metrics.is_empty());
        let line = exact(&experiment, "select-only");
        assert_eq!((line.plan_changed, work(line)), (Some(false), Work::Same), "{line:?}");
        assert_eq!((line.rows_per_call.before, line.rows_per_call.after), (Some(1.0), Some(1.0)), "{line:?}");
        assert_eq!(line.indexes.before, ["pgbench_accounts_pkey"]);
        assert!(has_both(&experiment, "select-only") && has_both(&experiment, "total"), "{experiment:#?}");
        nothing_failed(&experiment);
        assert!(before > 20 && after > 20, "{before} and {after} calls");
        if design == Design::Duet {
            assert_eq!(before, after, "each call is made on both sides");
        }
        assert_eq!((&experiment.about["mode"], &experiment.about["scale"]), (&json!("prepared"), &json!(1)));
    }
}

#[test]
fn a_transaction_with_gset_is_whole_on_both_sides_and_reads_its_own() {
    let script = r"
\set who random(1, 50)
begin;
select amount from orders where id = :who \gset
update orders set amount = :amount + 1 where id = :who;
\if :amount >= 1000
insert into journal values (:who, :amount);
\endif
insert into seen values (:who);
end;
";
    let source = database(ORDERS);
    let scripts = scripts(script, "transfer", Mode::Prepared);
    let look = |before: &Source, after: &Source| {
        [before, after].map(|side| {
            let made: Vec<String> = sql(side, "select who || ': ' || count(*) from seen group by who order by who");
            (
                made,
                number(side, "select sum(amount) from orders"),
                number(side, "select count(*) from journal"),
                counted(side, "update orders%"),
            )
        })
    };
    // From the change on the two sides answer differently: a value of one side that got to the other would end that.
    let change = "update orders set amount = amount + 1000;";
    let (experiment, [before, after]) = tried(&source, (&scripts).into(), change, &settings(Design::Duet), look);
    nothing_failed(&experiment);
    assert_eq!(before.0, after.0, "the same transactions with the same values on both sides");
    let transactions = number_of(&before.0);
    assert!(transactions > 20, "{transactions}");
    assert_eq!((before.1, after.1), (transactions, transactions + 50 * 1000), "each adds 1 to what it read, on its own side");
    assert_eq!(before.2, 0, "no amount comes near 1000 on the side without the change");
    assert!(after.2 > 0 && after.2 <= transactions, "{} of {transactions}", after.2);
    assert_eq!((before.3, after.3), (transactions, transactions + 1), "one more on the side with the change, which is an update as well");
    // The script as a whole, and its statements.
    let labels: Vec<&str> = experiment.comparison.exact.iter().map(|exact| exact.label.as_str()).collect();
    assert!(has_both(&experiment, "transfer") && has_both(&experiment, "total"), "{labels:?}");
    let update =
        experiment.comparison.exact.iter().find(|exact| exact.wal_records_per_call.before > Some(0.0)).expect("a write was counted");
    assert!(update.label.starts_with("transfer.") && has_both(&experiment, &update.label), "{labels:?}");
    assert_eq!(sql(&source, "select count(*) from seen"), ["0"], "the copies were written to, the database was not");
}

/// The sum of what stands behind the colons.
fn number_of(lines: &[String]) -> i64 {
    lines.iter().filter_map(|line| line.rsplit_once(": ")?.1.parse::<i64>().ok()).sum()
}

#[test]
fn statements_sent_as_text_are_timed_and_what_is_not_counted_is_told() {
    let source = database(ORDERS);
    let scripts = scripts("\\set who random(1, 50)\nselect amount from orders where id = :who;\n", "read", Mode::Simple);
    let settings = PairedSettings { calibrate: false, ..settings(Design::Duet) };
    let (experiment, ()) = tried(&source, (&scripts).into(), "", &settings, |_, _| ());
    assert!(has_both(&experiment, "read"), "{experiment:#?}");
    assert!(experiment.comparison.exact.is_empty());
    assert!(experiment.comparison.caveats.iter().any(|caveat| caveat.contains("-M prepared")), "{:?}", experiment.comparison.caveats);
}

const TEXTS: &[(u64, &str, &str)] = &[
    (1, "begin", "begin"),
    (2, "read_order", "select amount from orders where id = $1"),
    (3, "change_order", "update orders set amount = amount + 1 where id = $1"),
    (4, "see", "insert into seen values ($1)"),
    (5, "commit", "commit"),
    (6, "settings", "set work_mem = '7MB'"),
];

/// Two sessions at the same time: one changes orders 1 to 10 in transactions, the other reads; the times span an hour.
fn capture() -> (Captured, File) {
    let statement = |(number, name, text): &(u64, &str, &str)| CapturedStatement {
        number: *number,
        name: (*name).to_owned(),
        weight: 10,
        sql: (*text).to_owned(),
        protocol: if *number == 6 { WireProtocol::Simple } else { WireProtocol::Extended },
        writes: matches!(number, 3 | 4),
        control: matches!(number, 1 | 5),
        failed: 0,
        mean_us: None,
        query_id: None,
    };
    let captured = Captured {
        captured: CAPTURED_VERSION,
        name: "shop".to_owned(),
        description: String::new(),
        source: Default::default(),
        counts: Default::default(),
        calls: "shop.calls.jsonl".to_owned(),
        statements: TEXTS.iter().map(statement).collect(),
    };
    let mut calls = tempfile::tempfile().unwrap();
    let mut say = |call: Value| writeln!(calls, "{call}").unwrap();
    for round in 0..10_u64 {
        let (at, order) = (round * 360_000_000, (round + 1).to_string());
        for (step, number) in [1_u64, 2, 3, 4, 5].into_iter().enumerate() {
            let parameters = if matches!(number, 2..=4) { json!([order]) } else { json!([]) };
            let offset = at + step as u64 * 1_000_000;
            say(json!({"offset_us": offset, "session": 1, "transaction": 2 * round, "statement": number, "parameters": parameters}));
        }
        let offset = at + 100_000_000;
        let (number, parameters) = if round == 0 { (6, json!([])) } else { (2, json!([order])) };
        say(
            json!({"offset_us": offset, "session": 2, "transaction": 2 * round + 1, "last": true, "statement": number, "parameters": parameters}),
        );
    }
    (captured, calls)
}

#[test]
fn captured_transactions_are_compared_in_their_order() {
    let source = database(ORDERS);
    let (captured, calls) = capture();
    for design in [Design::Duet, Design::Abba] {
        let capture = Capture {
            captured: &captured,
            text: "",
            calls: &calls,
            calls_name: "shop.calls.jsonl",
            pool: None,
            scratch: Box::new(tempfile::tempfile),
        };
        let look = |before: &Source, after: &Source| {
            [before, after].map(|side| {
                let whole = number(side, "select (select sum(amount) from orders) - (select count(*) from seen)");
                (whole, sql(side, "select who || ': ' || count(*) from seen group by who order by who"))
            })
        };
        let (experiment, [before, after]) = tried(&source, capture.into(), "", &settings(design), look);
        assert_eq!(experiment.name, "shop");
        nothing_failed(&experiment);
        assert_eq!((before.0, after.0), (0, 0), "transactions are whole");
        assert_eq!((before.1.len(), after.1.len()), (10, 10), "{before:?} {after:?}");
        if design == Design::Duet {
            assert_eq!(before.1, after.1, "the same on both sides");
        }
        // In order, each is made about as often as any other: once more or less a round, of which there are few.
        for label in ["read_order", "change_order", "see"] {
            let line = exact(&experiment, label);
            assert_eq!(line.plan_changed, Some(false), "{line:?}");
            assert_eq!((line.rows_per_call.before, line.rows_per_call.after), (Some(1.0), Some(1.0)), "{line:?}");
            assert!(has_both(&experiment, label), "{label}: {experiment:#?}");
        }
        assert!(has_both(&experiment, "transaction read_order"), "{experiment:#?}");
        assert_eq!(experiment.about["captured"]["transactions"], 19);
        let told = |text: &str| experiment.comparison.caveats.iter().any(|caveat| caveat.contains(text));
        assert!(told("1 of 20 transactions (5 %) were left out"), "{:?}", experiment.comparison.caveats);
        assert!(!told("failed"), "{:?}", experiment.comparison.caveats);
    }
}

fn pgload(source: &str, folder: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgload"));
    command.env("DATABASE_URL", source).current_dir(folder).args(["replay", "--paired"]).args(arguments);
    command.output().unwrap()
}

#[test]
fn the_command_compares_under_a_script_and_refuses_what_cannot_be_paired() {
    let source = database(ORDERS);
    let url = cluster().url(source.database());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("read.sql"), "\\set who random(1, 50)\nselect amount from orders where id = :who;\n").unwrap();
    std::fs::write(folder.path().join("server.csv"), LOG).unwrap();
    let usual = ["--duration", "2s", "--warm-up", "0s", "--no-calibration", "--format", "json"];
    for (file, name) in [("read.sql", "read"), ("server.csv", "server")] {
        let output = pgload(&url, folder.path(), &[&["-w", file], &usual[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        // What the clock says of two alike copies is not at issue here.
        assert!(matches!(output.status.code(), Some(0 | 4 | 8)), "{:?} {said}", output.status);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&document["name"], &document["design"]), (&json!(name), &json!("duet")));
        assert_eq!(document["exact"][0]["plan_changed"], false, "{document:#}");
    }
    let copies =
        sql(&cluster().source("postgres"), &format!("select datname from pg_database where datname like '{}\\_%'", source.database()));
    assert!(copies.is_empty(), "{copies:?}");

    for (arguments, reason) in [
        (&["-w", "read.sql", "--allow-shell"][..], "leave --allow-shell out"),
        (&["-w", "server.csv", "--speed", "2"], "compare with --speed"),
        (&["-w", "server.csv", "--pool", "2"], "compare with --pool"),
        (&["-w", "read.sql", "--stages", "1s:10"], "compare both sides with --stages"),
    ] {
        let output = pgload(&url, folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

/// One statement in a csvlog of PostgreSQL 15.
const LOG: &str = "2026-11-23 09:00:00.000 UTC,\"a\",\"shop\",10,\"[local]\",6560d0a0.a,1,\"SELECT\",2026-11-23 09:00:00 UTC,3/1,0,LOG,00000,\
\"duration: 0.040 ms  statement: select 1\",,,,,,,,,\"psql\",\"client backend\",,0\n";
