//! Throwaway servers: quick to start, and gone without a trace however their owner ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgload::pg::Cluster;
use pgload::pg::cluster::ClusterError;

use super::server::{options, start};

/// 10 s: a start takes about a second; twenty builds beside it have been seen to make it five.
const START_LIMIT: Duration = Duration::from_secs(10);

/// 10 s: the watchdog needs a few hundredths of a second, and gives a server that hangs four.
const GONE_LIMIT: Duration = Duration::from_secs(10);

/// Returns whether a process is there and no zombie.
fn runs(process_id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process_id}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z')))
}

fn until_gone(folder: &Path, process_id: u32) {
    let begun = Instant::now();
    while folder.exists() || runs(process_id) {
        assert!(begun.elapsed() < GONE_LIMIT, "{} and process {process_id} are still there", folder.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_server_starts_quickly_and_leaves_nothing_when_dropped() {
    let begun = Instant::now();
    let cluster = start();
    assert!(begun.elapsed() < START_LIMIT, "{:?}", begun.elapsed());
    let (folder, process_id) = (cluster.socket_folder().to_owned(), cluster.process_id());
    assert!(folder.join("data").is_dir() && runs(process_id));
    drop(cluster);
    assert!(!folder.exists() && !runs(process_id), "drop waits until all is gone");
}

#[tokio::test]
async fn a_server_with_open_sessions_is_stopped_as_well() {
    let cluster = start();
    let session = pgload::pg::connect(&cluster.source("postgres")).await.unwrap();
    session.batch_execute("begin; create table t (a int)").await.unwrap();
    let (folder, process_id) = (cluster.socket_folder().to_owned(), cluster.process_id());
    drop(cluster);
    assert!(!folder.exists() && !runs(process_id));
}

#[test]
fn a_panic_leaves_nothing() {
    let panicked = std::panic::catch_unwind(|| {
        let cluster = start();
        std::panic::panic_any((cluster.socket_folder().to_owned(), cluster.process_id()));
    });
    let found = panicked.unwrap_err().downcast::<(PathBuf, u32)>().unwrap();
    assert!(!found.0.exists() && !runs(found.1));
}

#[test]
fn a_server_that_does_not_start_says_why_and_leaves_nothing() {
    let parent = tempfile::tempdir_in("/tmp").unwrap();
    // The server's user, who may not be ours, passes through.
    std::fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut wrong = options().with("shared_buffers", "much");
    wrong.parent = parent.path().to_owned();
    let error = Cluster::start(&wrong).unwrap_err();
    assert!(matches!(error, ClusterError::Program { .. }) && error.to_string().contains("shared_buffers"), "{error}");
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "run in a process of its own by a_killed_owner_leaves_nothing"]
fn hold_a_server() {
    let cluster = start();
    println!("\nserver {} {}", cluster.process_id(), cluster.socket_folder().display());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_owner_leaves_nothing() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "cluster::hold_a_server"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.filter_map(|line| line.strip_prefix("server ").map(str::to_owned)).next();
    owner.kill().unwrap();
    owner.wait().unwrap();
    let line = line.expect("the owner names its server");
    let (process_id, folder) = line.split_once(' ').unwrap();
    until_gone(Path::new(folder), process_id.parse().unwrap());
}
