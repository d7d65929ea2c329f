//! Traffic is logged, captured and replayed with the real binary, and the copy ends where the original did.

use std::collections::BTreeMap;

use assert_cmd::Command;
use pgload::pg::{Client, Cluster, connect};
use serde_json::Value;

use super::start;

/// Sessions at the same time.
const SESSIONS: i32 = 3;

/// How often each says everything.
const ROUNDS: i32 = 10;

const READ: &str = "select v from items where id = $1";
const COUNT: &str = "select count(*) from items";
const ADD: &str = "update items set v = v + $1 where id = $2";
const DELETE: &str = "delete from items where id = $1";
const TWICE: &str = "insert into items values (1, 0)";

/// By statement, how often it is sent by all sessions together.
fn sent() -> BTreeMap<&'static str, u64> {
    let each = |times: i32| u64::try_from(times * SESSIONS * ROUNDS).unwrap();
    BTreeMap::from([
        (READ, each(1)),
        (COUNT, each(1)),
        (ADD, each(2)),
        (DELETE, each(1)),
        (TWICE, each(2)),
        ("begin", each(3)),
        ("commit", each(2)),
        ("rollback", each(1)),
        ("savepoint s", each(1)),
        ("rollback to savepoint s", each(1)),
    ])
}

async fn speak(client: Client, session: i32) {
    for round in 0..ROUNDS {
        // Rows of its own, so that the end is the same in whatever order sessions come.
        let id = 10 + session * 100 + round;
        client.query(READ, &[&id]).await.unwrap();
        client.batch_execute("begin").await.unwrap();
        client.execute(ADD, &[&(round + 1), &id]).await.unwrap();
        client.batch_execute(COUNT).await.unwrap();
        client.batch_execute("commit").await.unwrap();
        client.batch_execute("begin").await.unwrap();
        client.execute(DELETE, &[&id]).await.unwrap();
        client.batch_execute("rollback").await.unwrap();
        client.batch_execute(TWICE).await.unwrap_err();
        recovers(&client, id).await;
    }
}

/// A transaction that goes on after an error.
async fn recovers(client: &Client, id: i32) {
    client.batch_execute("begin").await.unwrap();
    client.batch_execute("savepoint s").await.unwrap();
    client.batch_execute(TWICE).await.unwrap_err();
    client.batch_execute("rollback to savepoint s").await.unwrap();
    client.execute(ADD, &[&1000, &id]).await.unwrap();
    client.batch_execute("commit").await.unwrap();
}

struct Place {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Place {
    fn sql(&self, database: &str, text: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = connect(&self.cluster.source(database)).await.unwrap();
            let messages = client.simple_query(text).await.unwrap();
            let value = |message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            };
            messages.into_iter().filter_map(value).next_back().unwrap_or_default()
        })
    }

    fn items(&self, database: &str) -> String {
        self.sql(database, "select string_agg(id || ':' || v, ' ' order by id) from items")
    }

    fn run(&self, database: &str, arguments: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = Command::cargo_bin("pgload").unwrap();
        command.env("DATABASE_URL", self.cluster.url(database)).current_dir(self.folder.path()).timeout(super::LIMIT);
        command.args(arguments).assert()
    }

    fn replay(&self, database: &str, arguments: &[&str]) -> Value {
        let done = self.run(database, &[&["replay", "--format", "json"], arguments].concat()).success();
        serde_json::from_slice(&done.get_output().stdout).unwrap()
    }
}

/// By text, how often statements were called; those of labels of their own because they fail are taken together.
fn counts(run: &Value) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (name, label) in run["labels"].as_object().unwrap() {
        // A session that begins on a connection of an earlier one is no statement that was sent.
        if !name.starts_with("transaction ") && name != "session" {
            *counts.entry(label["sql"].as_str().unwrap().to_owned()).or_default() += label["count"].as_u64().unwrap();
        }
    }
    counts
}

fn place() -> Place {
    let installed = super::super::server::options().binaries;
    let major = installed.major().unwrap();
    let place = Place { cluster: start(installed, major), folder: tempfile::tempdir().unwrap() };
    place.sql("postgres", "create database shop");
    place.sql(
        "shop",
        "create table items (id int primary key, v int not null); insert into items select i, i from generate_series(1, 400) i",
    );
    for copy in ["copied", "pooled"] {
        place.sql("postgres", &format!("create database {copy} template shop"));
    }
    place.sql("postgres", "alter database shop set log_min_duration_statement = 0");
    place
}

/// Lets the sessions speak, and returns where their log is.
fn traffic(place: &Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..SESSIONS {
            clients.push(connect(&place.cluster.source("shop")).await.unwrap());
        }
        futures_util::future::join_all((0..).zip(clients).map(|(session, client)| speak(client, session))).await
    });
    drop(runtime);
    let path = place.cluster.data_folder().join("log/server.csv");
    // The session that made the table is in the log too; those of other databases may end at any time.
    let ended = |text: &str| text.lines().filter(|line| line.contains("disconnection: ") && line.contains("database=shop ")).count();
    let begun = std::time::Instant::now();
    while ended(&std::fs::read_to_string(&path).unwrap()) < 1 + SESSIONS as usize {
        assert!(begun.elapsed() < super::LIMIT, "the sessions' ends are not in the log");
        std::thread::yield_now();
    }
    std::fs::copy(path, place.folder.path().join("traffic.csv")).unwrap();
}

#[test]
fn what_is_captured_is_replayed() {
    let place = place();
    let before = place.items("copied");
    traffic(&place);
    let after = place.items("shop");
    assert_ne!(before, after);
    place.run("shop", &["capture", "traffic.csv", "-o", "shop.yaml", "--database", "shop"]).success();
    let expected: BTreeMap<String, u64> = sent().into_iter().map(|(text, count)| (text.to_owned(), count)).collect();
    let failed = 2 * u64::try_from(SESSIONS * ROUNDS).unwrap();

    let live = place.replay("copied", &["-w", "shop.yaml", "--writes", "live", "--allow-writes", "copied"]);
    assert_eq!(counts(&live), expected, "{live:#}");
    assert_eq!(place.items("copied"), after);
    assert_eq!(live["totals"]["errors"], 0, "{live:#}");
    let divergence = &live["about"]["divergence"];
    assert_eq!(divergence["failed_as_captured"], failed, "{divergence:#}");
    assert_eq!((&divergence["failed_here_only"], &divergence["failed_there_only"]), (&0.into(), &0.into()), "{divergence:#}");
    assert_eq!(live["arrival"]["captured"]["sessions"], SESSIONS, "{live:#}");
    assert_eq!((&live["partial"], &live["name"]), (&false.into(), &"shop".into()));

    // A second time, what was inserted and deleted is as it was: only the sums differ. Sessions share two connections.
    let pooled = place.replay("pooled", &["-w", "shop.yaml", "--pool", "2", "--jobs", "2", "--writes", "live", "--allow-writes", "pooled"]);
    assert_eq!((counts(&pooled), place.items("pooled")), (expected.clone(), after.clone()), "{pooled:#}");
    assert_eq!(pooled["arrival"]["captured"]["sessions"], 2);

    for writes in ["rollback", "clone"] {
        let run = place.replay("copied", &["-w", "shop.yaml", "--writes", writes, "--speed", "3"]);
        assert_eq!((counts(&run), &run["totals"]["errors"]), (expected.clone(), &0.into()), "{writes}: {run:#}");
        assert_eq!(place.items("copied"), after, "{writes}");
        assert_eq!(run["arrival"]["captured"]["speed"], 3.0);
    }

    let read = place.replay("copied", &["-w", "shop.yaml"]);
    let found = counts(&read);
    assert_eq!((found.get(READ), found.get(COUNT), found.get(ADD)), (expected.get(READ), expected.get(COUNT), None), "{read:#}");
    let writes = expected[ADD] + expected[DELETE] + expected[TWICE];
    assert_eq!(read["about"]["divergence"]["left_out"]["writes"], writes, "{read:#}");
    assert_eq!(read["totals"]["errors"], 0);
    let caveats = read["caveats"].to_string();
    assert!(caveats.contains(&format!("{writes} statements")) && caveats.contains("they write and the run is read-only"), "{caveats}");
    assert_eq!(place.items("copied"), after);
}

#[test]
fn a_log_is_replayed_as_it_is_repeated_and_mixed() {
    let place = place();
    traffic(&place);
    // Whoever made the tables is in the log as well.
    let before = place.replay("copied", &["-w", "traffic.csv", "--database", "shop", "--before", "--speed", "2"]);
    let expected = sent();
    assert_eq!((counts(&before)[READ], counts(&before)[COUNT]), (expected[READ], expected[COUNT]), "{before:#}");
    assert_eq!((&before["name"], &before["side"]), (&"traffic".into(), &"before".into()));
    let compared = place.run("copied", &["replay", "-w", "traffic.csv", "--database", "shop", "--after", "--format", "json"]);
    let compared: Value = serde_json::from_slice(&compared.get_output().stdout).unwrap();
    assert!(compared["verdict"].is_string() && compared["design"] == "sequential", "{compared:#}");
    let refused = place.run("copied", &["replay", "-w", "traffic.csv", "--database", "shop", "--after", "--speed", "3"]).code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("another --speed"));

    let mix = place.replay(
        "copied",
        &["-w", "traffic.csv", "--database", "shop", "-c", "2", "--max-calls", "80", "--warm-up", "0s", "--duration", "30s"],
    );
    let found = counts(&mix);
    assert_eq!(found.values().sum::<u64>(), 80, "{mix:#}");
    assert_eq!((&mix["totals"]["errors"], found.contains_key(ADD), found.contains_key("begin")), (&0.into(), false, false), "{mix:#}");
    assert!(found[READ] > 0 && found[COUNT] > 0, "{mix:#}");

    audited(&place);

    for (more, said) in [
        (&["-w", "traffic.csv", "--pool", "2", "--rate", "5"][..], "use --pool with a mix"),
        (&["-w", "traffic.csv", "--poisson"], "use --poisson with the times of a capture"),
        (&["-w", "traffic.csv", "--warm-up", "1s", "--writes", "clone"], "would be written twice"),
        (&["-w", "traffic.csv", "--speed", "0"], "how many times as fast"),
        (&["-w", "builtin:select-only", "--database", "shop"], "use --database: it is for logs"),
        (&["-w", "builtin:select-only", "--speed", "2"], "use --speed: it is for captured traffic"),
        (&["-w", "traffic.csv", "--paired", "--pool", "2"], "compare with --pool"),
    ] {
        let refused = place.run("copied", &[&["replay"], more].concat()).code(2);
        let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(text.contains(said), "{more:?}: {text}");
    }
}

/// What was captured, and what was replayed of it, is a workload to audit as well.
fn audited(place: &Place) {
    let write = |name: &str, text: &str| std::fs::write(place.folder.path().join(name), text).unwrap();
    write(
        "some.yaml",
        "name: some\nstatements:\n  - { name: lost, sql: select * from nowhere where a = 1 }\n  - { name: found, sql: select 1 }\n",
    );
    place.run("copied", &["capture", "traffic.csv", "-o", "traffic.yaml", "--database", "shop"]).success();
    let saved = place.folder.path().join("reports").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let before = saved.filter(|path| std::fs::read_to_string(path.join("run.json")).unwrap().contains("\"before\"")).min().unwrap();
    let run = before.join("run.json");
    // Reads, counts, additions and deletions; the insert never succeeded, and read-only runs have reads alone.
    for (file, statements) in [("traffic.yaml", 4), ("traffic.csv", 4), (run.to_str().unwrap(), 2), ("some.yaml", 1)] {
        let done = place.run("copied", &["audit", "--model", "estimate", "--format", "json", "--workload", file]).success();
        let audit: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
        assert_eq!(audit["coverage"]["statements"], statements, "{file}: {:#}", audit["coverage"]);
        if file == "some.yaml" {
            assert_eq!(audit["coverage"]["skipped"][0]["query_id"], "lost", "{:#}", audit["coverage"]);
        }
    }
    let refused = place.run("copied", &["audit", "--workload", "traffic.txt"]).code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("a saved run (run.json)"));
}
