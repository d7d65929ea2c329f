//! Logs that real servers write come back as the traffic that was sent: statements, parameters, order and transactions.
//!
//! Runs on the installed server, and on those whose program folders `PGLOAD_PG_BINS` lists (separated as in `PATH`).

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

mod command;
mod round_trip;
mod traffic;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pgload::pg::Cluster;
use pgload::pg::binaries::Binaries;
use pgload::pg::cluster::Options;
use pgload::replay::captured::{Call, Calls, Captured, Deed, Recording, Source, WireProtocol};
use pgload::replay::log::{self, Format, Prefix, Reader, Sessions, decompressed};
use traffic::{Said, Sent, speak};

/// Says all that a capture can use.
const PREFIX: &str = "%m [%p] %c %l %v %e %i|%q%u@%d %a ";

/// 60 s: the log is there at once; a machine busy with a build may be slow.
const LIMIT: Duration = Duration::from_secs(60);

/// How each session has its statements logged: on one line with the duration, before and after, or both ways at once.
const SETTINGS: &[(&str, &str)] = &[
    ("durations", "-c log_min_duration_statement=0"),
    ("announced", "-c log_min_duration_statement=-1 -c log_statement=all -c log_duration=on"),
    ("twice", "-c log_min_duration_statement=0 -c log_statement=all"),
    ("sampled", "-c log_min_duration_statement=-1 -c log_transaction_sample_rate=1"),
];

/// A server that logs in every format it has.
fn start(binaries: Binaries, major: u32) -> Cluster {
    let destinations = if major >= 15 { "stderr,csvlog,jsonlog" } else { "stderr,csvlog" };
    let mut options = Options::new(binaries)
        .with("logging_collector", "on")
        .with("log_destination", destinations)
        .with("log_filename", "server.log")
        .with("log_line_prefix", PREFIX)
        .with("log_connections", "on")
        .with("log_disconnections", "on")
        .with("shared_preload_libraries", "");
    options.statements = false;
    Cluster::start(&options).expect("the server starts")
}

/// The servers to run on, with their majors.
fn servers() -> Vec<(Binaries, u32)> {
    let installed = super::server::options().binaries;
    let further = std::env::var_os("PGLOAD_PG_BINS").unwrap_or_default();
    let further = std::env::split_paths(&further).filter(|path| !path.as_os_str().is_empty());
    let further = further.map(|folder| Binaries::find(Some(&folder), &[]).expect("PGLOAD_PG_BINS names folders of server programs"));
    std::iter::once(installed)
        .chain(further)
        .map(|binaries| (binaries.clone(), binaries.major().expect("a server says its version")))
        .collect()
}

/// Waits until the log has the end of every session in it.
fn logged(folder: &Path, extension: &str, sessions: usize) -> PathBuf {
    let path = folder.join(format!("server.{extension}"));
    let begun = Instant::now();
    loop {
        let text = std::fs::read(&path).unwrap_or_default();
        let ended = text.windows(15).filter(|window| window == b"disconnection: ").count();
        if ended >= sessions {
            return path;
        }
        assert!(begun.elapsed() < LIMIT, "{}: {ended} of {sessions} sessions ended in {LIMIT:?}", path.display());
        std::thread::yield_now();
    }
}

/// Captures a log and reads the capture back.
fn captured(path: &Path, format: Format) -> (Captured, Vec<Call>) {
    let options = log::Options { format: None, prefix: (format == Format::Stderr).then(|| Prefix::compile(PREFIX).unwrap()) };
    let reader = Reader::open(decompressed(File::open(path).unwrap()).unwrap(), "server", &options).unwrap();
    assert_eq!(reader.opened().format, format, "{}", path.display());
    let mut sessions = Sessions::new(reader);
    let mut recording = Recording::new(Box::new(tempfile::tempfile));
    for event in sessions.by_ref() {
        recording.add(event).unwrap();
    }
    assert_eq!((sessions.bad_lines(), sessions.counts().foreign_lines), (&[][..], 0), "{}", path.display());
    let mut lines = Vec::new();
    let summary = recording.finish(sessions.counts().clone(), sessions.longest_parameter(), &mut lines).unwrap();
    let captured = summary.into_captured("traffic".into(), String::new(), "traffic.calls.jsonl".into(), Source::default());
    let captured = Captured::parse(&captured.to_yaml().unwrap(), "traffic.yaml").unwrap();
    let calls = Calls::new(&captured, lines.as_slice(), "traffic.calls.jsonl").map(Result::unwrap).collect();
    (captured, calls)
}

/// What each application said, in its order.
fn said(calls: &[Call]) -> BTreeMap<String, Vec<Said>> {
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let mut said: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    for call in calls {
        match &call.deed {
            Deed::Connect { application, user, database } => {
                assert_eq!((user.as_str(), database.as_str()), ("postgres", "postgres"));
                names.insert(call.session, application.clone());
            }
            Deed::Run(run) => said.entry(names[&call.session].clone()).or_default().push(Said {
                text: run.sql.to_string(),
                parameters: run.parameters.clone(),
                extended: run.protocol == WireProtocol::Extended,
                failed: run.failed.clone(),
                transaction: run.transaction,
                last: run.last,
                timed: run.duration_us.is_some(),
            }),
            Deed::Disconnect => {}
        }
    }
    said
}

fn compare(format: &str, name: &str, sent: &[Sent], said: &[Said]) {
    for (at, (sent, said)) in sent.iter().zip(said).enumerate() {
        let place = format!("{format}, session {name}, statement {at}: {:?}", sent.text);
        assert_eq!(said.text, sent.text, "{place}");
        assert_eq!(said.parameters, sent.parameters, "{place}");
        assert_eq!(said.failed.as_deref(), sent.failed, "{place}");
        // What fails before it has parameters could have been sent either way.
        assert!(said.extended == sent.extended || sent.failed.is_some(), "{place}");
        assert!(said.timed || sent.failed.is_some(), "{place}: no duration");
    }
    assert_eq!(said.len(), sent.len(), "{format}, session {name}");
    // The same statements are together, whatever the numbers are.
    let together = |transactions: Vec<u64>| transactions.windows(2).map(|pair| pair[0] == pair[1]).collect::<Vec<_>>();
    assert_eq!(
        together(said.iter().map(|one| one.transaction).collect()),
        together(sent.iter().map(|one| one.transaction).collect()),
        "{format}, session {name}: transactions"
    );
    let last: Vec<bool> = said.windows(2).map(|pair| pair[0].transaction != pair[1].transaction).collect();
    assert_eq!(
        said[..said.len() - 1].iter().map(|one| one.last).collect::<Vec<_>>(),
        last,
        "{format}, session {name}: last of its transaction"
    );
}

#[test]
fn what_was_sent_is_captured_from_every_format_of_every_server() {
    for (binaries, major) in servers() {
        let cluster = start(binaries, major);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sent: BTreeMap<String, Vec<Sent>> = runtime.block_on(async {
            let sessions = SETTINGS.iter().map(|(name, options)| speak(&cluster, name, options));
            let sent = futures_util::future::join_all(sessions).await;
            SETTINGS.iter().map(|(name, _)| (*name).to_owned()).zip(sent).collect()
        });
        let mut formats = vec![("log", Format::Stderr), ("csv", Format::Csv)];
        if major >= 15 {
            formats.push(("json", Format::Json));
        }
        let folder = cluster.data_folder().join("log");
        let mut firsts: Vec<(BTreeMap<String, Vec<Said>>, &str)> = Vec::new();
        for (extension, format) in formats {
            let (captured, calls) = captured(&logged(&folder, extension, SETTINGS.len()), format);
            let found = said(&calls);
            for (name, sent) in &sent {
                compare(&format!("{major} {extension}"), name, sent, found.get(name).map_or(&[][..], Vec::as_slice));
            }
            assert_eq!(found.len(), sent.len(), "{major} {extension}: sessions {:?}", found.keys());
            assert_eq!(captured.counts.statements as usize, sent.values().map(Vec::len).sum::<usize>());
            // What was sent and cannot be replayed: COPY and two of the schema, by each session.
            let skipped: Vec<u64> = captured.counts.skipped.values().copied().collect();
            assert_eq!(skipped.iter().sum::<u64>(), 3 * SETTINGS.len() as u64, "{major} {extension}: {:?}", captured.counts.skipped);
            // The server writes each format by itself, so that the order of sessions, which numbers follow, may differ.
            let mut found = found;
            found.values_mut().flatten().for_each(|one| one.transaction = 0);
            firsts.push((found, extension));
        }
        for pair in firsts.windows(2) {
            assert!(pair[0].0 == pair[1].0, "{major}: {} and {} tell different stories", pair[0].1, pair[1].1);
        }
        println!("captured {} statements from PostgreSQL {major}, {} formats", sent.values().map(Vec::len).sum::<usize>(), firsts.len());
    }
}
