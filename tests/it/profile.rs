//! A profile of known traffic through the real binary: calls and rows are exact, and a session that sleeps is seen asleep.

#![expect(clippy::unwrap_used, reason = "a test's own parts may panic")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pgload::pg::{Cluster, Source, connect};
use serde_json::Value;

/// 60 s: nothing here takes five; a machine busy with a build may be ten times slower.
const LIMIT: Duration = Duration::from_secs(60);

const SCHEMA: &str = "
create table orders (id int primary key, user_id int not null, note text not null);
insert into orders select i, i % 500, repeat('x', 50) from generate_series(1, 20000) i;
analyze orders;
create role clerk login; grant select on orders to clerk;
create role guest login;
";

fn client(source: &Source) -> (tokio::runtime::Runtime, pgload::pg::Client) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = runtime.block_on(connect(source)).unwrap();
    (runtime, client)
}

fn sql(source: &Source, text: &str) -> String {
    let (runtime, client) = client(source);
    let messages = runtime.block_on(client.simple_query(text)).unwrap();
    let value = |message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    messages.into_iter().filter_map(value).next_back().unwrap_or_default()
}

fn pgload(url: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgload"));
    command.env("DATABASE_URL", url).current_dir(folder).arg("profile").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until the profile's session has begun to sample: its window is open.
fn sampling(source: &Source) {
    let begun = Instant::now();
    let asked = "select count(*) from pg_stat_activity where application_name = 'pgload profile' and state = 'idle' \
                 and query like '-- Question: who is active%' and pid <> pg_backend_pid()";
    let (runtime, client) = client(source);
    while begun.elapsed() < LIMIT {
        let count: i64 = runtime.block_on(client.query_one(asked, &[])).unwrap().get(0);
        if count > 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no sample within {LIMIT:?}");
}

fn ended(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn statement<'a>(profile: &'a Value, user: &str, text: &str) -> &'a Value {
    let all = profile["statements"].as_array().unwrap();
    let wanted = |statement: &&Value| statement["user"] == user && statement["query"].as_str().is_some_and(|query| query.starts_with(text));
    all.iter().find(wanted).unwrap_or_else(|| panic!("no {text} of {user} in {all:#?}"))
}

fn cluster() -> Cluster {
    let cluster = super::server::start();
    // Of the template, which has pg_stat_statements.
    sql(&cluster.source("postgres"), "create database shop");
    sql(&cluster.source("shop"), SCHEMA);
    cluster
}

#[test]
fn known_traffic_is_counted_exactly_and_a_sleeper_is_seen_asleep() {
    let (cluster, folder) = (cluster(), tempfile::tempdir().unwrap());
    let source = cluster.source("shop");
    let by_user = "select id from orders where user_id = ";
    // What ran before the window is not in it.
    sql(&source, &format!("{by_user} 1"));
    let profile = pgload(&cluster.url("shop"), folder.path(), &["--for", "60s", "--format", "json"]).spawn().unwrap();
    sampling(&source);
    let (runtime, sleeper) = client(&source);
    let asleep = runtime.spawn(async move { sleeper.simple_query("select pg_sleep(50)").await.map(|_| ()) });
    let begun = Instant::now();
    for user in 0..30 {
        sql(&source, &format!("{by_user} {user}"));
    }
    for user in 0..7 {
        sql(&source, &format!("set role clerk; {by_user} {user}"));
    }
    // Long enough for a dozen samples of the sleeper, however slow the traffic was.
    std::thread::sleep(Duration::from_millis(2000).saturating_sub(begun.elapsed()));
    interrupt(&profile);
    let output = ended(profile);
    asleep.abort();
    let document = json(&output);
    assert_eq!((&document["schema_version"], &document["kind"], &document["partial"]), (&1.into(), &"profile".into(), &true.into()));

    let postgres = statement(&document, "postgres", by_user);
    assert_eq!((postgres["calls"].as_u64(), postgres["rows"].as_u64()), (Some(30), Some(30 * 40)), "{postgres:#}");
    let clerk = statement(&document, "clerk", by_user);
    assert_eq!((clerk["calls"].as_u64(), clerk["rows"].as_u64()), (Some(7), Some(7 * 40)), "{clerk:#}");

    // Asleep from just after the begin to the end: the share of samples that saw it is the share of the window it slept.
    let sleeping = statement(&document, "postgres", "select pg_sleep(");
    assert_eq!(sleeping["calls"], 0, "it did not end");
    let wait = &sleeping["waits"][0];
    assert_eq!((&wait["class"], &wait["event"]), (&"Timeout".into(), &"PgSleep".into()), "{sleeping:#}");
    let active = sleeping["active"]["sessions"].as_f64().unwrap();
    let (samples, seen) = (document["overhead"]["samples"].as_u64().unwrap(), wait["samples"].as_u64().unwrap());
    assert!(samples >= 10 && seen <= samples, "{document:#}");
    assert!((wait["active"]["sessions"].as_f64().unwrap() - seen as f64 / samples as f64).abs() < 1e-9);
    assert!((0.5..=1.0).contains(&active), "{active} of {samples} samples: {document:#}");
    let error = sleeping["active"]["error"].as_f64().unwrap();
    assert!((error - (active * (1.0 - active) / samples as f64).sqrt()).abs() < 1e-9, "one session: binomial");

    // Of ourselves nothing is told but the cost.
    let own = |statement: &&Value| statement["query"].as_str().is_some_and(|query| query.contains("wait_event_type"));
    assert_eq!(document["statements"].as_array().unwrap().iter().find(own), None);
    assert!(document["overhead"]["server_ms_total"].as_f64().unwrap() > 0.0);

    // 20 000 rows are read for 40, and the twin knows it without the data.
    let notes = postgres["notes"].as_array().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(notes.iter().any(|note| note["kind"] == "discarding-scan" && note["evidence"][0]["value"] == 20_000.0), "{notes:#?} {said}");

    compared(&cluster, folder.path());
}

/// A second window, compared with the first by its saved file.
fn compared(cluster: &Cluster, folder: &Path) {
    let source = cluster.source("shop");
    let saved = std::fs::read_dir(folder.join("reports")).unwrap().next().unwrap().unwrap().path();
    assert!(saved.to_string_lossy().ends_with("-profile") && saved.join("profile.json").exists(), "{}", saved.display());
    let arguments = ["--for", "60s", "--no-plans", "--format", "json", "--compare", saved.to_str().unwrap()];
    let profile = pgload(&cluster.url("shop"), folder, &arguments).spawn().unwrap();
    sampling(&source);
    for _ in 0..25 {
        sql(&source, "select count(*) as newcomers from orders");
    }
    interrupt(&profile);
    let changes = &json(&ended(profile))["changes"];
    let texts = |list: &str| -> Vec<String> {
        changes[list].as_array().unwrap().iter().filter_map(|change| change["query"].as_str().map(str::to_owned)).collect()
    };
    assert!(texts("new").iter().any(|text| text.contains("newcomers")), "{changes:#}");
    assert!(texts("gone").iter().any(|text| text.starts_with("select id from orders where user_id")), "{changes:#}");
}

#[test]
fn without_statements_waits_are_profiled_and_what_is_hidden_is_told() {
    let (cluster, folder) = (cluster(), tempfile::tempdir().unwrap());
    let source = cluster.source("shop");
    let (runtime, sleeper) = client(&source);
    let asleep = runtime.spawn(async move { sleeper.simple_query("select pg_sleep(50)").await.map(|_| ()) });

    // By the socket, which lets every role in.
    let guest = format!("host={} port={} user=guest dbname=shop", cluster.socket_folder().display(), cluster.port());
    let output = ended(pgload(&guest, folder.path(), &["--for", "1s", "--no-plans", "--format", "json"]).spawn().unwrap());
    let document = json(&output);
    assert_eq!(document["about"]["user"], "guest");
    assert!(document["hidden"]["sessions"]["sessions"].as_f64().unwrap() >= 1.0, "{document:#}");
    assert_eq!(document["hidden"]["remedy"], "grant pg_monitor to guest;");

    sql(&source, "drop extension pg_stat_statements");
    let output = ended(pgload(&cluster.url("shop"), folder.path(), &["--for", "1s"]).spawn().unwrap());
    asleep.abort();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Statements were not counted") && text.contains("create extension pg_stat_statements;"), "{text}");
    assert!(text.contains("Timeout/PgSleep") && text.contains("1.00 ± 0.00"), "{text}");
    let refused = pgload(&cluster.url("shop"), folder.path(), &["--compare", "Cargo.toml"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

const WORKLOAD: &str = r#"
name: orders
samples:
  order: { table: orders, columns: [user_id], rows: 100 }
statements:
  - name: by_user
    weight: 9
    sql: select id from orders where user_id = $1
    args: [order.user_id]
  - name: nap
    weight: 1
    sql: select pg_sleep(0.2)
"#;

fn replay(url: &str, folder: &Path, arguments: &[&str]) -> Command {
    std::fs::write(folder.join("orders.yaml"), WORKLOAD).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgload"));
    command.env("DATABASE_URL", url).current_dir(folder).args(["replay", "-w", "orders.yaml", "--profile"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The run's own count of a statement's calls is the profile's.
fn counted_alike(run: &Value, name: &str, text: &str) -> u64 {
    let calls = statement(&run["profile"], "postgres", text)["calls"].as_u64().unwrap();
    assert_eq!(Some(calls), run["labels"][name]["count"].as_u64(), "{run:#}");
    calls
}

#[test]
fn a_replay_with_a_profile_counts_its_traffic_exactly_and_sees_who_sleeps() {
    let (cluster, folder) = (cluster(), tempfile::tempdir().unwrap());
    let url = cluster.url("shop");
    let loaded = ["--max-calls", "200", "-c", "2", "--duration", "60s", "--warm-up", "1s"];
    let output = ended(replay(&url, folder.path(), &[&loaded[..], &["--before", "--format", "json"]].concat()).spawn().unwrap());
    let run = json(&output);
    let profile = &run["profile"];
    assert_eq!((&profile["schema_version"], &profile["kind"], &profile["partial"]), (&1.into(), &"profile".into(), &false.into()));
    // Without the warm-up, and without what the replay itself asked the server.
    let (reads, naps) = (counted_alike(&run, "by_user", "select id from orders"), counted_alike(&run, "nap", "select pg_sleep"));
    assert_eq!(reads + naps, 200, "{run:#}");
    let others: Vec<&str> = profile["statements"].as_array().unwrap().iter().filter_map(|one| one["query"].as_str()).collect();
    assert_eq!(others.len(), 2, "{others:?}");
    assert_eq!(statement(profile, "postgres", "select id from orders")["rows"], 40 * reads);
    let nap = statement(profile, "postgres", "select pg_sleep");
    assert_eq!((&nap["waits"][0]["class"], &nap["waits"][0]["event"]), (&"Timeout".into(), &"PgSleep".into()), "{nap:#}");
    let asleep = nap["active"]["sessions"].as_f64().unwrap();
    assert!(asleep > 0.0 && asleep <= 2.0, "two clients: {nap:#}");

    // The same again, with an index: what changed stands beside what was compared.
    sql(&cluster.source("shop"), "create index on orders (user_id)");
    let output = ended_with(replay(&url, folder.path(), &["--after", "--format", "markdown"]).spawn().unwrap(), &[0, 4, 8]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("## Profile of shop") && text.contains("Since the earlier profile"), "{text}");
    let runs = std::fs::read_dir(folder.path().join("reports")).unwrap().map(|entry| entry.unwrap().path());
    let mut runs: Vec<_> = runs.filter(|path| path.join("run.json").exists()).collect();
    runs.sort();
    let [before, after] = runs.as_slice() else { panic!("{runs:?}") };
    let after: Value = serde_json::from_str(&std::fs::read_to_string(after.join("run.json")).unwrap()).unwrap();
    let changes = &after["profile"]["changes"];
    assert_eq!((&changes["new"], &changes["gone"]), (&serde_json::json!([]), &serde_json::json!([])), "{changes:#}");

    // A saved run is read as a profile, and reported with it.
    let arguments = ["--for", "1s", "--no-plans", "--format", "json", "--compare", before.to_str().unwrap()];
    let quiet = json(&ended(pgload(&url, folder.path(), &arguments).spawn().unwrap()));
    assert_eq!(quiet["changes"]["gone"].as_array().unwrap().len(), 2, "{quiet:#}");
    for (format, heading) in [("html", "<h4>Profile of shop"), ("markdown", "### Profile of shop"), ("table", "Profile of shop")] {
        let mut report = Command::new(env!("CARGO_BIN_EXE_pgload"));
        let output = report.current_dir(folder.path()).args(["report", before.to_str().unwrap(), "--format", format]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(heading) && text.contains("PgSleep"), "{format}: {text}");
    }
}

#[test]
fn an_interrupted_replay_keeps_its_profile_and_a_lost_one_ends_no_replay() {
    let (cluster, folder) = (cluster(), tempfile::tempdir().unwrap());
    let (url, source) = (cluster.url("shop"), cluster.source("shop"));
    for is_lost in [false, true] {
        let arguments = ["-c", "2", "--duration", "60s", "--warm-up", "0s", "--format", "json"];
        let child = replay(&url, folder.path(), &arguments).spawn().unwrap();
        sampling(&source);
        if is_lost {
            let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'pgload profile'";
            assert_eq!(sql(&source, ended), "1");
        }
        // Long enough for some calls, whatever else the machine does.
        std::thread::sleep(Duration::from_secs(2));
        interrupt(&child);
        let run = json(&ended_with(child, &[1]));
        assert_eq!((&run["partial"], &run["profile"]["partial"]), (&true.into(), &true.into()));
        assert!(counted_alike(&run, "by_user", "select id from orders") > 0);
        counted_alike(&run, "nap", "select pg_sleep");
        let told =
            run["caveats"].as_array().unwrap().iter().any(|caveat| caveat.as_str().unwrap().starts_with("The profile is incomplete"));
        assert_eq!(told, is_lost, "{run:#}");
    }
}

#[test]
fn a_server_without_statements_is_replayed_with_what_can_be_seen() {
    let (cluster, folder) = (cluster(), tempfile::tempdir().unwrap());
    sql(&cluster.source("shop"), "drop extension pg_stat_statements");
    let arguments = ["--max-calls", "60", "-c", "2", "--duration", "60s", "--warm-up", "0s"];
    let text = String::from_utf8(ended(replay(&cluster.url("shop"), folder.path(), &arguments).spawn().unwrap()).stdout).unwrap();
    assert!(text.contains("Profile of shop") && text.contains("Statements were not counted"), "{text}");
    assert!(text.contains("Timeout/PgSleep"), "{text}");
    let refused = replay(&cluster.url("shop"), folder.path(), &["--paired"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

fn ended_with(child: Child, codes: &[i32]) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{output:?}");
    output
}
