//! `pgload capacity` on a real server whose capacity arithmetic gives: 4 sessions that each sleep 10 ms a call.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use assert_cmd::Command;
use pgload::pg::Cluster;
use pgload::replay::capacity::{Capacity, Phase, Violation};

use crate::server;

/// One server for this file; its watchdog removes it when the test process ends.
fn cluster() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(server::start)
}

/// A folder with a script that sleeps so many milliseconds.
fn folder(sleep_ms: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("nap.sql"), format!("select pg_sleep({sleep_ms} / 1000.0);\n")).expect("a file");
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pgload"));
    command.args(["capacity", "-d", &cluster().url("postgres"), "-w", "nap.sql", "--format", "json"]).args(arguments);
    command.current_dir(folder).timeout(Duration::from_secs(60));
    command
}

fn document(bytes: &[u8]) -> Capacity {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

#[test]
fn the_capacity_of_four_sessions_is_what_arithmetic_says() {
    let folder = folder(10);
    let arguments = ["--slo", "p(99)<1s,errors<1%", "--min-rate", "100", "--dwell", "500ms", "-c", "4", "--sweep", "1,2,4"];
    let output = command(folder.path(), &arguments).output().expect("pgload runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let found = document(&output.stdout);

    // How long 10 ms of sleep take on this machine is what four clients without a pause get done.
    let sweep = found.sweep.as_ref().expect("a sweep");
    let clients: Vec<usize> = sweep.points.iter().map(|point| point.clients).collect();
    let saturated = sweep.points[2].throughput;
    assert_eq!(clients, [1, 2, 4]);
    assert!((200.0..=401.0).contains(&saturated), "{sweep:#?}");
    let fit = sweep.fit.as_ref().expect("a fit");
    assert!(fit.r_squared > 0.95 && (fit.lambda / sweep.points[0].throughput - 1.0).abs() < 0.2, "{fit:?}");

    let search = found.search.as_ref().expect("a search");
    let capacity = search.capacity.expect("a capacity");
    assert!((0.8..=1.1).contains(&(capacity / saturated)), "{capacity} of {saturated}: {search:#?}");
    assert!(search.bad.expect("a bad rate") > capacity, "{search:#?}");
    let limit = search.limit.as_ref().expect("a limit");
    let saturation = |violation: &Violation| matches!(violation, Violation::Throughput { .. } | Violation::Growing { .. });
    assert!(limit.violations.iter().any(saturation), "{limit:#?}");
    assert_eq!(limit.waits.first().map(|wait| wait.event.as_str()), Some("Timeout:PgSleep"), "{limit:#?}");
    assert!(search.steps.iter().any(|step| step.phase == Phase::Bisection) && search.steps.last().is_some_and(|step| step.is_good()));

    // What is printed is what is saved, and steps are told while they are made.
    let saved = std::fs::read_dir(folder.path().join("reports")).expect("reports").next().expect("a run").expect("a folder").path();
    assert!(saved.to_string_lossy().contains("-capacity-"), "{}", saved.display());
    assert_eq!(document(&std::fs::read(saved.join("capacity.json")).expect("saved")), found);
    assert!(told.contains("doubling, 100 calls/s: kept") && told.contains("4 clients:"), "{told}");
}

#[test]
fn a_rate_below_the_lowest_misses_the_threshold() {
    let folder = folder(200);
    let output =
        command(folder.path(), &["--slo", "p(50)<5000", "--min-rate", "50", "--dwell", "400ms", "-c", "1"]).output().expect("pgload runs");
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let search = document(&output.stdout).search.expect("a search");
    assert_eq!((search.capacity, search.good, search.bad, search.steps.len()), (None, None, Some(50.0), 1));
}

#[test]
fn an_interrupt_ends_with_what_is_known() {
    let folder = folder(1);
    let url = cluster().url("postgres");
    let mut pgload = std::process::Command::new(assert_cmd::cargo::cargo_bin!("pgload"))
        .args(["capacity", "-d", &url, "-w", "nap.sql", "--format", "json", "--slo", "p(99)<1s", "--min-rate", "20", "--dwell", "1s"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pgload runs");
    let mut told = BufReader::new(pgload.stderr.take().expect("a pipe")).lines();
    let kept = told.by_ref().map_while(Result::ok).any(|line| line.contains("kept"));
    assert!(kept, "no step was kept");
    let pid = rustix::process::Pid::from_child(&pgload);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let rest: Vec<String> = told.map_while(Result::ok).collect();
    let output = pgload.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(1), "{rest:#?}");
    let found = document(&output.stdout);
    let search = found.search.as_ref().expect("a search");
    assert!(found.partial && search.capacity.is_none() && search.good >= Some(20.0), "{found:#?}");
}

#[test]
fn what_cannot_be_looked_for_is_refused_with_its_reason() {
    let folder = folder(1);
    let refused = |arguments: &[&str], reason: &str| {
        let output = command(folder.path(), arguments).output().expect("pgload runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(reason), "{told}");
    };
    refused(&["--slo", "p(99)>100"], "column 6: expected <");
    refused(&[], "--slo");
    refused(&["--slo", "avg<1", "--min-rate", "100", "--max-rate", "50"], "--max-rate above --min-rate");
    refused(&["--slo", "avg<1", "--dwell", "0s"], "--dwell above 0");
}
