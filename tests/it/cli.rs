//! Round trips through the real binary, one a command, and its refusals with their exit codes.

#![expect(clippy::unwrap_used, reason = "a test's own parts may panic")]

mod audit;
mod audited;
mod formats;
mod limits;
mod offline;
mod replay;
mod replica;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use pgload::pg::binaries::Binaries;
use pgload::pg::cluster::{Cluster, Options};
use serde_json::Value;

/// 60 s: nothing here takes five; a machine busy with a build may be ten times slower.
const LIMIT: Duration = Duration::from_secs(60);

/// A server with the staging data in database `shop`, and a folder to run in.
struct Shop {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Shop {
    fn new(prospects: u32) -> Self {
        let search_path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
        let explicit = std::env::var_os("PGLOAD_PG_BIN").map(PathBuf::from);
        let binaries = Binaries::find(explicit.as_deref(), &search_path).unwrap();
        let shop = Self { cluster: Cluster::start(&Options::new(binaries)).unwrap(), folder: tempfile::tempdir().unwrap() };
        shop.sql("postgres", "create database shop");
        if prospects > 0 {
            shop.run(&["staging", "seed", "--prospects", &prospects.to_string()]).success();
        }
        shop
    }

    /// Runs pgload in the folder, connected to `shop`.
    fn run(&self, arguments: &[&str]) -> assert_cmd::assert::Assert {
        self.command(&self.cluster.url("shop")).args(arguments).assert()
    }

    fn command(&self, url: &str) -> Command {
        let mut command = pgload();
        command.env("DATABASE_URL", url).current_dir(self.folder.path()).timeout(LIMIT);
        command
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.run(arguments).success().get_output().stdout).unwrap()
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        let output = std::process::Command::new(self.cluster.binaries().program("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=on", "--command", sql])
            .arg(self.cluster.url(database))
            .output()
            .unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        name.to_owned()
    }
}

/// The binary without the caller's own connection settings.
fn pgload() -> Command {
    let mut command = Command::cargo_bin("pgload").unwrap();
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PG") && name != "PGLOAD_PG_BIN") {
            command.env_remove(name);
        }
    }
    command.env_remove("DATABASE_URL");
    command
}

fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// One shop for the tests that change nothing another test could see.
fn shared() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| Shop::new(1000))
}

const WORKLOAD: &str = "\
name: lists
samples:
  prospect: { table: prospects, columns: [user_id, status], rows: 50 }
statements:
  - name: list_by_user_and_status
    weight: 9
    sql: select id, status from prospects where user_id = $1 and status = $2 order by created_at desc limit 20
    args: [prospect.user_id, prospect.status]
  - name: touch_user
    weight: 1
    sql: update users set last_login_at = now() where id = $1
    args: [prospect.user_id]
";

#[test]
fn the_loop_by_hand_finds_writes_applies_and_proves_an_index() {
    let shop = Shop::new(20_000);

    let workload = shop.write("lists.yaml", WORKLOAD);
    let before = shop
        .run(&["replay", "-w", &workload, "--before", "-c", "2", "--duration", "1s", "--warm-up", "0s", "--max-calls", "300"])
        .success();
    assert!(stderr(&before).contains("Saved in reports"), "{}", stderr(&before));

    let audit = shop.json(&["audit", "--out", "--format", "json", "--timestamp", "2026-11-23T09:45:00Z"]);
    let own = audit.to_string().contains("tablesample") || audit.to_string().contains("-- Question");
    assert!(!own, "pgload's own statements are no workload: {audit:#}");
    let proposal = &audit["proposals"][0];
    assert_eq!(proposal["table"], "prospects", "{audit:#}");
    let keys: Vec<&str> = proposal["keys"].as_array().unwrap().iter().map(|key| key["column"].as_str().unwrap()).collect();
    assert_eq!(keys, ["user_id", "status", "created_at"]);
    let file = shop.path("migrations").join(audit["migrations"][0]["file"].as_str().unwrap());
    assert!(std::fs::read_to_string(&file).unwrap().contains("CREATE INDEX CONCURRENTLY IF NOT EXISTS"));
    let again = shop.run(&["audit", "--out", "--timestamp", "2026-11-24T09:45:00Z"]).success();
    assert!(stderr(&again).contains("Already proposed in"), "{}", stderr(&again));

    // The staging schema was applied from elsewhere; a project keeps all its migrations in one folder.
    copy_staging_migrations(&shop.path("migrations"));
    let catalog = "select string_agg(pg_get_indexdef(indexrelid), E'\\n' order by indexrelid) from pg_index join pg_class c on c.oid = indrelid where c.relnamespace = 'public'::regnamespace and c.relname <> 'refinery_schema_history'";
    let indexes = shop.sql("shop", catalog);
    shop.run(&["migrate", "plan"]).success().stdout(predicates::str::contains("outside a transaction"));
    shop.run(&["migrate", "up"]).success().stdout(predicates::str::contains("Applied V20261123094500"));
    shop.run(&["migrate", "up"]).success().stdout(predicates::str::contains("Nothing to apply"));
    assert!(shop.sql("shop", catalog).contains(proposal["name"].as_str().unwrap()));

    let after = shop.run(&["replay", "-w", &workload, "--after", "--format", "json"]);
    let code = after.get_output().status.code().unwrap();
    let comparison: Value = serde_json::from_slice(&after.get_output().stdout).unwrap();
    assert_eq!(comparison["design"], "sequential");
    let exact = comparison["exact"].as_array().unwrap().iter().find(|exact| exact["label"] == "list_by_user_and_status").unwrap();
    assert_eq!(exact["plan_changed"], true, "{comparison:#}");
    let blocks = &exact["blocks_per_call"];
    assert!(blocks["before"].as_f64().unwrap() > 5.0 * blocks["after"].as_f64().unwrap(), "{comparison:#}");
    assert!([0, 8].contains(&code), "exit {code}: {comparison:#}");

    shop.run(&["report", "reports", "-o", "out"]).success();
    let page = std::fs::read_to_string(shop.path("out/report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http://") && !page.contains("src="), "self-contained, with a chart");
    shop.run(&["migrate", "down", "20261123094500"]).success();
    assert_eq!(shop.sql("shop", catalog), indexes, "up then down leaves the catalog as it was");
}

fn copy_staging_migrations(folder: &Path) {
    for entry in Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_saved_snapshot_gives_the_same_audit_as_the_server() {
    let shop = Shop::new(20_000);
    shop.sql("shop", "select count(*) from prospects where user_id = 3 and status = 'new'");
    shop.run(&["snapshot", "-o", "snapshot.json"]).success();
    let offline = shop.json(&["audit", "--snapshot", "snapshot.json", "--format", "json", "--timestamp", "2026-11-23T09:45:00Z"]);
    let online = shop.json(&["audit", "--format", "json", "--timestamp", "2026-11-23T09:45:00Z"]);
    assert!(!offline["proposals"].as_array().unwrap().is_empty());
    for part in ["proposals", "refused", "migrations"] {
        assert_eq!(offline[part], online[part], "{part}");
    }
}

#[test]
fn the_audit_document_has_the_agreed_keys() {
    let shop = shared();
    let audit = shop.json(&["audit", "--format", "json"]);
    assert_eq!(audit["schema_version"], 1);
    for key in ["tool", "about", "server", "coverage", "findings", "proposals", "refused", "migrations"] {
        assert!(!audit[key].is_null(), "{key}");
    }
    for key in ["version_num", "database", "nodes"] {
        assert!(!audit["server"][key].is_null(), "{key}");
    }
    for finding in audit["findings"].as_array().unwrap() {
        for key in ["rule", "severity", "object", "message", "evidence", "help"] {
            assert!(!finding[key].is_null(), "{key}: {finding:#}");
        }
    }
    let rules: Vec<&str> = audit["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap()).collect();
    assert!(rules.contains(&"invalid-index") && rules.contains(&"redundant-index"), "{rules:?}");
    shop.run(&["audit", "--fail-on", "warning"]).code(3);
    shop.run(&["audit", "--format", "sarif"]).success().stdout(predicates::str::contains("2.1.0"));
    shop.run(&["audit", "--table", "meetings"]).success().stdout(predicates::str::contains("idx_meetings_user_id"));
    shop.run(&["audit", "--table", "meting"]).code(2).stderr(predicates::str::contains("meting"));
}

#[test]
fn a_role_without_rights_gets_findings_and_the_grants_it_lacks() {
    let shop = shared();
    shop.sql("shop", "create role looker login password 'looker'");
    let url = shop.cluster.url("shop").replace("postgres:", "looker:");
    let url = format!("postgresql://looker:looker@{}", url.rsplit_once('@').unwrap().1);
    let output = shop.command(&url).args(["audit", "--format", "json"]).assert().success();
    let audit: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let hidden = serde_json::to_string(&audit["hidden"]).unwrap();
    assert!(hidden.contains("grant select on all tables in schema public to looker"), "{hidden}");
    assert!(audit["findings"].as_array().unwrap().iter().any(|finding| finding["rule"] == "redundant-index"));
    shop.command(&url).arg("doctor").assert().success().stdout(predicates::str::contains("hidden"));
}

#[test]
fn files_that_cannot_be_read_exit_with_2_and_say_where() {
    let shop = shared();
    let refuse = |name: &str, text: &str, said: &str| {
        let file = shop.write(name, text);
        let output = shop.run(&["replay", "-w", &file, "--duration", "1s", "--warm-up", "0s"]).code(2);
        assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
    };
    refuse("typo.yaml", &WORKLOAD.replace("weight: 9", "wieght: 9"), "typo.yaml:6:");
    refuse("broken.yaml", "name: [", "broken.yaml:");
    refuse("table.yaml", &WORKLOAD.replace("table: prospects", "table: prospekts"), "prospekts");
    refuse(
        "column.yaml",
        &WORKLOAD.replace("columns: [user_id, status]", "columns: [user_id, statuss]").replace("prospect.status]", "prospect.statuss]"),
        "statuss",
    );
    shop.run(&["replay", "-w", "nowhere.yaml"]).code(2).stderr(predicates::str::contains("nowhere.yaml"));
    let snapshot = shop.write("no-snapshot.json", "{\"schema_version\": 1, \"taken_at\": 3}");
    shop.run(&["audit", "--snapshot", &snapshot]).code(2).stderr(predicates::str::contains("line 1"));
    shop.run(&["replay", "-w", "nowhere.yaml", "--after"]).code(2);
    shop.run(&["audit", "--layout", "rails"]).code(2);
}

#[test]
fn servers_that_cannot_be_reached_exit_with_5_and_never_print_the_password() {
    let shop = shared();
    let refused = |url: &str, said: &str| {
        let output = shop.command(url).arg("audit").assert().code(5);
        let said_there = stderr(&output);
        assert!(said_there.contains(said) && !said_there.contains("s3cret"), "{said}: {said_there}");
    };
    let address = format!("127.0.0.1:{}", shop.cluster.port());
    refused(&format!("postgresql://postgres:s3cret@{address}/shop"), "password");
    refused("postgresql://postgres:s3cret@127.0.0.1:1/shop", "Check that the server runs");
    refused(&shop.cluster.url("nowhere"), "nowhere");
    shop.command("mysql://a:s3cret@b/c").arg("audit").assert().code(2);
}

#[test]
fn load_is_refused_for_what_looks_like_production_and_for_unnamed_writes() {
    let shop = shared();
    shop.sql("postgres", "create database shop_production");
    let workload = shop.write("guarded.yaml", "name: guarded\nstatements:\n  - name: one\n    weight: 1\n    sql: select 1\n");
    let arguments = ["replay", "-w", &workload, "--duration", "1s", "--warm-up", "0s", "--max-calls", "10"];
    shop.command(&shop.cluster.url("shop_production")).args(arguments).assert().code(7).stderr(predicates::str::contains("production"));
    shop.run(&[&arguments[..], &["--writes", "live"]].concat()).code(7).stderr(predicates::str::contains("--allow-writes shop"));
    shop.run(&[&arguments[..], &["--format", "json"]].concat()).success();
}

#[test]
fn a_server_that_stops_in_mid_run_leaves_a_partial_result() {
    let shop = Shop::new(0);
    let workload = shop.write("sleepy.yaml", "name: sleepy\nstatements:\n  - name: nap\n    weight: 1\n    sql: select pg_sleep(0.01)\n");
    let server = shop.cluster.process_id().to_string();
    let url = shop.cluster.url("shop");
    let watch = std::thread::spawn(move || {
        // Stop the server once the run is under way, not after a guessed time.
        let calls = "select coalesce(sum(calls), 0) >= 20 from pg_stat_statements where query like '%pg_sleep%'";
        let begun = Instant::now();
        loop {
            let output = std::process::Command::new("psql").args(["-XAtc", calls, &url]).output().unwrap();
            if String::from_utf8_lossy(&output.stdout).trim() == "t" || begun.elapsed() > LIMIT {
                break;
            }
        }
        assert!(std::process::Command::new("kill").args(["-QUIT", &server]).status().unwrap().success());
    });
    let run = shop.run(&["replay", "-w", &workload, "-c", "2", "--duration", "50s", "--warm-up", "0s", "--format", "json"]).code(5);
    watch.join().unwrap();
    let result: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(result["partial"], true);
    assert!(result["totals"]["count"].as_u64().unwrap() >= 20);
    assert!(stderr(&run).contains("partial"), "{}", stderr(&run));
    let saved = shop.path("reports").read_dir().unwrap().next().unwrap().unwrap().path();
    assert!(saved.join("run.json").exists() && saved.join("histograms.hlog").exists());
}

#[test]
fn without_a_server_installation_the_demo_names_what_to_install() {
    let empty = tempfile::tempdir().unwrap();
    let demo = pgload().args(["demo", "--pg-bin"]).arg(empty.path()).arg("--reports").arg(empty.path()).assert().code(6);
    assert!(stderr(&demo).contains("install"), "{}", stderr(&demo));
    pgload().arg("doctor").env("PGLOAD_PG_BIN", empty.path()).assert().code(6);
}
