//! `pgload capture` as a person runs it.

use std::io::Write;
use std::path::Path;

use assert_cmd::Command;

const HEAD: &str = "\"me\",\"shop\",7,\"[local]\",6b0463d1.7,1,\"SELECT\",2026-11-23 16:00:00 UTC,3/0,0,LOG,00000,";
const TAIL: &str = ",,,,,,,,,\"psql\",\"client backend\",,0";

fn record(second: u32, message: &str) -> String {
    format!("2026-11-23 16:00:{second:02}.000 UTC,{HEAD}\"{message}\"{TAIL}\n")
}

fn capture(folder: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    Command::cargo_bin("pgload").unwrap().arg("capture").args(arguments).current_dir(folder).assert()
}

fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

fn packed(path: &Path, text: &str) {
    let mut encoder = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

#[test]
fn rotated_and_packed_files_are_one_log_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("b.csv"), record(20, "duration: 1.000 ms  statement: select 2") + "cut off\n").unwrap();
    packed(&path.join("a.csv.gz"), &record(10, "duration: 1.000 ms  statement: select 1"));
    let done = capture(path, &["b.csv", "a.csv.gz", "-o", "out/shop.yaml"]).success();
    let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(said.contains("2 statements in 2 transactions of 1 sessions") && said.contains("out/shop.calls.jsonl"), "{said}");
    assert!(stderr(&done).contains("b.csv:2: expected a record of 23, 24 or 26 columns, found 1"), "{}", stderr(&done));
    let calls = std::fs::read_to_string(path.join("out/shop.calls.jsonl")).unwrap();
    let offsets: Vec<&str> = calls.lines().filter(|line| line.contains("statement")).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(offsets, ["{\"offset_us\":0", "{\"offset_us\":10000000"]);
    let yaml = std::fs::read_to_string(path.join("out/shop.yaml")).unwrap();
    assert!(yaml.contains("captured: 1") && yaml.contains("name: shop") && yaml.contains("bad_lines: 1"), "{yaml}");
    // Nothing else is left in the folder.
    assert_eq!(path.join("out").read_dir().unwrap().count(), 2);
}

#[test]
fn a_log_without_statements_says_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), record(1, "checkpoint starting: time") + &record(2, "duration: 1.000 ms")).unwrap();
    let refused = capture(folder.path(), &["a.csv", "-o", "shop.yaml"]).code(2);
    let said = stderr(&refused);
    assert!(said.contains("could not find a statement to replay in a.csv: 2 lines read"), "{said}");
    assert!(said.contains("1 statements left out: a duration whose statement is not in the log"), "{said}");
    assert!(said.contains("log_min_duration_statement = 0") && said.contains("log_transaction_sample_rate = 0.01"), "{said}");
    assert!(!folder.path().join("shop.yaml").exists() && folder.path().read_dir().unwrap().count() == 1);
}

#[test]
fn what_the_server_should_set_is_said_beside_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = record(1, "statement: select 1") + &record(2, "statement: select 2");
    std::fs::write(path.join("a.csv"), &text).unwrap();
    let said = stderr(&capture(path, &["a.csv", "-o", "a.yaml"]).success());
    assert!(said.contains("log_statement is on") && said.contains("2 statements have no duration"), "{said}");
    std::fs::write(path.join("b.log"), "2026-11-23 16:00:00 UTC [7] me@shop LOG:  duration: 1.000 ms  statement: select 1\n").unwrap();
    let said = stderr(&capture(path, &["b.log", "-o", "b.yaml"]).success());
    assert!(said.contains("log_line_prefix read as \"%t [%p] %q%u@%d \"") && said.contains("whole seconds"), "{said}");
    std::fs::write(path.join("c.csv"), record(1, "Dauer: 1.000 ms  Anweisung: select 1")).unwrap();
    let said = stderr(&capture(path, &["c.csv", "-o", "c.yaml"]).code(2));
    assert!(said.contains("1 lines are in another language: set lc_messages = 'C'"), "{said}");
}

#[test]
fn files_and_arguments_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("a.csv"), record(1, "duration: 1.000 ms  statement: select 1")).unwrap();
    std::fs::write(path.join("a.json"), "{\"timestamp\":\"2026-11-23 16:00:00.000 UTC\",\"message\":\"x\"}\n").unwrap();
    std::fs::write(path.join("odd.log"), "7 <2026-11-23 16:00:00.000 UTC> LOG:  duration: 1.000 ms  statement: select 1\n").unwrap();
    for (arguments, said) in [
        (&["a.csv", "a.json", "-o", "x.yaml"][..], "a.csv is csvlog and a.json is jsonlog"),
        (&["a.csv", "-o", "x.txt"], "expected a workload file's name"),
        (&["nowhere.csv", "-o", "x.yaml"], "nowhere.csv"),
        (&["odd.log", "-o", "x.yaml"], "odd.log:1: no usual log_line_prefix fits"),
        (&["odd.log", "-o", "x.yaml", "--prefix", "%u "], "expected a time"),
    ] {
        let refused = capture(path, arguments).code(2);
        assert!(stderr(&refused).contains(said), "{arguments:?}: {}", stderr(&refused));
    }
    capture(path, &["odd.log", "-o", "x.yaml", "--prefix", "%p <%m> "]).success();
    let help = Command::cargo_bin("pgload").unwrap().args(["capture", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("log_parameter_max_length = -1"));
}

#[test]
fn one_database_of_several_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let other = record(2, "duration: 1.000 ms  statement: select 2").replace("\"shop\"", "\"bank\"").replace("6b0463d1.7", "6b0463d1.8");
    std::fs::write(path.join("a.csv"), record(1, "duration: 1.000 ms  statement: select 1") + &other).unwrap();
    let said = stderr(&capture(path, &["a.csv", "-o", "a.yaml"]).success());
    assert!(said.contains("sessions of 2 databases: \"bank\" (1 sessions), \"shop\" (1 sessions)"), "{said}");
    let done = capture(path, &["a.csv", "-o", "a.yaml", "--database", "shop", "--format", "json"]).success();
    let found: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!((&found["schema_version"], &found["counts"]["skipped"]["other_database"]), (&1.into(), &1.into()));
    assert_eq!((&found["counts"]["sessions"], &found["statements"][0]["sql"]), (&1.into(), &"select 1".into()));
}
