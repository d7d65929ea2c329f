//! Every rule against databases a person could have made: `tests/fixtures/rules/<rule>/{bad,good}*.sql`.
//!
//! A file opens with a `-- expect: NAME` line for each object the rule must report, and the rule must report no other. A
//! statement has a number for a name, so its text is expected in its place.

#![expect(clippy::unwrap_used, reason = "a test's own parts may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pgload::catalog::{Relations, Snapshot};
use pgload::findings::rules::RULES;
use pgload::findings::{Finding, ObjectKind, Rule, Statements};
use pgload::pg::binaries::Binaries;
use pgload::pg::cluster::{self, Cluster};
use pgload::pg::snapshot::{self, Scope};
use tokio_postgres::Client;

/// 10 s: a session that ended reports its counts and is gone within milliseconds.
const GONE_TIMEOUT: Duration = Duration::from_secs(10);

/// 3 at a time: each waits for its server process most of the time.
const WORKERS: usize = 3;

#[test]
fn rules_report_what_the_files_expect_and_nothing_else() {
    let search_path: Vec<PathBuf> = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let binaries = Binaries::find(None, &search_path).unwrap();
    // Autovacuum would analyse a table between its making and the snapshot.
    let cluster = Cluster::start(&cluster::Options::new(binaries).with("autovacuum", "off")).unwrap();
    let cases: Mutex<Vec<(&Rule, usize, PathBuf)>> = Mutex::new(
        RULES.iter().flat_map(|rule| files(rule).into_iter().enumerate().map(move |(number, file)| (rule, number, file))).collect(),
    );
    let failures: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                while let Some((rule, number, file)) = next(&cases) {
                    let failure = runtime.block_on(failure_of(&cluster, rule, number, &file));
                    failures.lock().unwrap().extend(failure);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Takes a case; in a function of its own, so that the lock is not held while the case runs.
fn next<T>(cases: &Mutex<Vec<T>>) -> Option<T> {
    cases.lock().unwrap().pop()
}

async fn failure_of(cluster: &Cluster, rule: &Rule, number: usize, file: &Path) -> Option<String> {
    let database = format!("{}_{number}", rule.id.replace('-', "_"));
    let admin = pgload::pg::connect(&cluster.source("postgres")).await.unwrap();
    create_database(&admin, &database).await;
    run(cluster, &database, file);
    let reported = reported(rule, &take_snapshot(cluster, &database).await);
    // A hundred databases of some 20 MB each would fill a small disk.
    admin.batch_execute(&format!("drop database {database} with (force)")).await.unwrap();
    let expected = expected(file);
    (reported != expected).then(|| format!("{}\n  expected {expected:?}\n  reported {reported:?}", file.display()))
}

#[test]
fn every_rule_has_files_it_must_report_and_files_it_must_not() {
    for rule in RULES {
        let files = files(rule);
        for file in &files {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with("bad") || name.starts_with("good"), "{}", file.display());
            assert_eq!(name.starts_with("bad"), !expected(file).is_empty(), "{}: bad expects, good does not", file.display());
        }
        for plain in ["bad.sql", "good.sql"] {
            assert!(files.iter().any(|file| file.ends_with(plain)), "{} has no {plain}", rule.id);
        }
    }
}

/// Returns a rule's files in order of name.
fn files(rule: &Rule) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rules").join(rule.id);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn expected(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("-- expect: ")).map(|name| name.trim().to_owned()).collect()
}

async fn create_database(admin: &Client, database: &str) {
    admin.batch_execute(&format!("create database {database}")).await.unwrap();
}

/// Runs a file with psql, in a session of its own: it reports its counts to the statistics when it ends.
fn run(cluster: &Cluster, database: &str, file: &Path) {
    let output = Command::new(cluster.binaries().program("psql"))
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=on", "--username", cluster::SUPERUSER, "--dbname", database])
        .arg("--host")
        .arg(cluster.socket_folder())
        .args(["--port", &cluster.port().to_string(), "--file"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
}

async fn take_snapshot(cluster: &Cluster, database: &str) -> Snapshot {
    let mut client = pgload::pg::connect(&cluster.source(database)).await.unwrap();
    wait_until_alone(&client).await;
    snapshot::capture(&mut client, &Scope::default()).await.unwrap()
}

/// Waits until the session that ran the file is gone: it has then reported all its counts.
async fn wait_until_alone(client: &Client) {
    let others = "select count(*) from pg_stat_activity \
                  where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
    let begun = Instant::now();
    while client.query_one(others, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(begun.elapsed() < GONE_TIMEOUT, "the session that ran the file is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn reported(rule: &Rule, snapshot: &Snapshot) -> BTreeSet<String> {
    let relations = Relations::new(snapshot);
    let findings = rule.check.run(&relations, &Statements::new(&relations));
    let names: Vec<String> = findings.iter().map(|finding| name(finding, snapshot)).collect();
    let distinct: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(names.len(), distinct.len(), "{} reports an object twice: {names:?}", rule.id);
    assert!(findings.iter().all(|finding| finding.rule == rule.id), "{} signs with another id", rule.id);
    distinct
}

fn name(finding: &Finding, snapshot: &Snapshot) -> String {
    if finding.object.kind != ObjectKind::Statement {
        return finding.object.name.clone();
    }
    let same = |id: &String| *id == finding.object.name;
    let statement = snapshot.statements.iter().find(|statement| statement.query_id.as_ref().is_some_and(same)).unwrap();
    statement.query.as_deref().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}
