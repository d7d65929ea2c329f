//! What is written is read back, and shared connections split no transaction.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::replay::log::{Deed as Did, Event, Failed, Reason, Statement};

fn run(session: u64, at_us: i64, transaction: u64, text: &str) -> Event {
    let statement = Statement { transaction, last: true, text: text.to_owned(), duration_us: Some(5), ..Statement::default() };
    Event { session, at_us, deed: Did::Run(statement) }
}

fn parameters(mut event: Event, values: &[Option<&str>], cut: Option<usize>) -> Event {
    if let Did::Run(statement) = &mut event.deed {
        statement.parameters = values.iter().map(|value| value.map(str::to_owned)).collect();
        statement.protocol = Protocol::Extended;
        statement.cut = cut;
    }
    event
}

fn recorded(events: Vec<Event>, longest: usize) -> (Captured, String) {
    let statements = events.iter().filter(|event| matches!(event.deed, Did::Run(_))).count() as u64;
    let mut recording = Recording::new(Box::new(tempfile::tempfile));
    for event in events {
        recording.add(event).unwrap();
    }
    let mut calls = Vec::new();
    let counts = Counts { statements, ..Counts::default() };
    let summary = recording.finish(counts, longest, &mut calls).unwrap();
    let source = Source { files: vec!["a.csv".to_owned()], format: "csvlog".to_owned(), ..Source::default() };
    let captured = summary.into_captured("shop".to_owned(), "d".to_owned(), "shop.calls.jsonl".to_owned(), source);
    (captured, String::from_utf8(calls).unwrap())
}

fn read(captured: &Captured, calls: &str) -> Result<Vec<Call>, CallsError> {
    Calls::new(captured, calls.as_bytes(), "shop.calls.jsonl").collect()
}

#[test]
fn what_is_written_is_read_back_in_the_order_of_time() {
    let odd = "it's\n\"', $2 = '\u{0}é";
    let mut failed = run(2, 900, 9, "select 1/0");
    if let Did::Run(statement) = &mut failed.deed {
        statement.failure = Some(Failed { sqlstate: Some("22012".to_owned()) });
    }
    let client = crate::replay::log::Client { user: "me".into(), database: "shop".into(), application: String::new() };
    let (captured, calls) = recorded(
        vec![
            Event { session: 1, at_us: 1000, deed: Did::Connect(client) },
            parameters(run(1, 2000, 1, "select $1, $2"), &[Some(odd), None], None),
            run(1, 2500, 2, "select * from t where a = 1"),
            failed,
            run(1, 2600, 3, "select * from t where a = 2"),
            Event { session: 1, at_us: 3000, deed: Did::Disconnect },
        ],
        0,
    );
    assert_eq!(Captured::parse(&captured.to_yaml().unwrap(), "shop.yaml").unwrap(), captured);
    assert!(Captured::is_captured(&captured.to_yaml().unwrap()));
    assert_eq!((captured.source.began_at.as_str(), captured.source.length_us), ("1970-01-01T00:00:00.0009Z", 2100));
    let found = read(&captured, &calls).unwrap();
    assert_eq!(
        found.iter().map(|call| (call.offset_us, call.session)).collect::<Vec<_>>(),
        [(0, 2), (100, 1), (1100, 1), (1600, 1), (1700, 1), (2100, 1)]
    );
    let runs = found.iter().filter_map(|call| match &call.deed {
        Deed::Run(run) => Some((&*run.sql, run.parameters.clone(), run.failed.as_deref())),
        _ => None,
    });
    let texts: Vec<_> = runs.collect();
    assert_eq!(
        texts,
        [
            ("select 1/0", vec![], Some("22012")),
            ("select $1, $2", vec![Some(odd.to_owned()), None], None),
            ("select * from t where a = 1", vec![], None),
            ("select * from t where a = 2", vec![], None)
        ]
    );
    assert_eq!(captured.statements.iter().map(|one| one.weight).collect::<Vec<_>>(), [2, 1, 1]);
    assert!(matches!(&found[1].deed, Deed::Connect { user, .. } if user == "me"));
    // Two workers have all of it between them.
    let part =
        |worker| Calls::new(&captured, calls.as_bytes(), "x").of_worker(worker, 2).map(|call| call.unwrap().session).collect::<Vec<_>>();
    assert_eq!((part(0), part(1)), (vec![2], vec![1; 5]));
}

#[test]
fn values_that_end_in_dots_are_kept_where_longer_ones_were_logged_whole() {
    let events = || {
        vec![parameters(run(1, 1, 1, "select $1"), &[Some("wait...")], Some(4)), parameters(run(1, 2, 2, "select $1"), &[Some("x")], None)]
    };
    let (captured, calls) = recorded(events(), 200);
    assert_eq!((calls.lines().count(), captured.counts.skipped.len(), captured.counts.statements), (2, 0, 2));
    let (captured, calls) = recorded(events(), 7);
    assert_eq!((calls.lines().count(), captured.counts.skipped[&Reason::CutParameters], captured.counts.statements), (1, 1, 1));
    assert_eq!(captured.statements[0].weight, 1);
}

#[test]
fn broken_files_are_refused_with_their_place() {
    let (captured, calls) = recorded(vec![run(1, 1, 1, "select 1"), run(1, 2, 2, "select 1")], 0);
    let yaml = captured.to_yaml().unwrap();
    let refused = |from: &str, to: &str| {
        assert!(yaml.contains(from), "{yaml}");
        Captured::parse(&yaml.replacen(from, to, 1), "shop.yaml").unwrap_err().to_string()
    };
    assert_eq!(refused("captured: 1", "captured: 9"), "shop.yaml:1:1: captured: expected a version up to 1, found 9: use a newer pgload");
    assert!(refused("shop.calls.jsonl", "../etc/passwd").contains("expected the name of a file beside this one"));
    assert!(refused("weight: 2", "weihgt: 2").contains("weihgt"));
    let wrong = |calls: &str| read(&captured, calls).unwrap_err().to_string();
    assert!(wrong("{\"offset_us\":1\n").starts_with("shop.calls.jsonl:1:"), "{}", wrong("{\"offset_us\":1\n"));
    assert_eq!(
        wrong(&calls.replace("\"statement\":1", "\"statement\":7")),
        "shop.calls.jsonl:1:1: statement: the workload file has no number 7"
    );
    let reversed: String = calls.lines().rev().map(|line| format!("{line}\n")).collect();
    assert!(wrong(&reversed).contains("shop.calls.jsonl:2:1: offset_us: expected 1 or later, found 0"), "{}", wrong(&reversed));
    assert!(wrong("{\"offset_us\":1,\"session\":1}").contains("expected one of connect, statement and disconnect"));
}

#[test]
fn a_mix_has_the_captures_weights_and_values_and_depends_on_the_seed_alone() {
    let mut events: Vec<Event> =
        (0..300).map(|at| parameters(run(1, at, at as u64, "select $1"), &[Some(&at.to_string())], None)).collect();
    events.extend((300..400).map(|at| run(1, at, at as u64, "insert into t values (1)")));
    events.extend((400..500).map(|at| run(1, at, at as u64, "commit")));
    let (captured, calls) = recorded(events, 0);
    let mix = |seed| Mix::sample(&captured, Calls::new(&captured, calls.as_bytes(), "x"), 50, seed).unwrap();
    let one = mix(1);
    assert_eq!(
        one.statements.iter().map(|one| (one.weight, one.calls.len(), one.writes)).collect::<Vec<_>>(),
        [(300, 50, false), (100, 50, true)]
    );
    assert_eq!(one, mix(1));
    assert_ne!(one, mix(2));
    let late = one.statements[0].calls.iter().filter(|call| call.parameters[0].as_ref().unwrap().parse::<u32>().unwrap() >= 150).count();
    assert!((10..=40).contains(&late), "{late} of 50 are from the later half");
    let reads = (0..4000).filter(|index| one.call(7, *index).unwrap().0 == 0).count();
    // 3000 expected; the standard deviation is 27.
    assert!((2850..=3150).contains(&reads), "{reads}");
    assert_eq!(one.call(7, 11), one.call(7, 11));
    let (empty, calls) = recorded(vec![run(1, 1, 1, "begin")], 0);
    assert!(Mix::sample(&empty, Calls::new(&empty, calls.as_bytes(), "x"), 5, 1).unwrap().call(1, 1).is_none());
}

/// Sessions with transactions of several statements, interleaved.
fn traffic() -> impl Strategy<Value = Vec<Call>> {
    prop::collection::vec((1..6_u64, 1..4_usize, any::<bool>()), 1..40).prop_map(|steps| {
        let mut calls = Vec::new();
        let mut open: HashMap<u64, (u64, usize)> = HashMap::new();
        let mut transactions = 0;
        for (at, (session, length, ends)) in steps.into_iter().enumerate() {
            let (transaction, left) = *open.entry(session).or_insert_with(|| {
                transactions += 1;
                (transactions, length)
            });
            let last = left == 1;
            let run = Run {
                transaction,
                last,
                statement: 1,
                sql: "x".into(),
                protocol: WireProtocol::Simple,
                parameters: Vec::new(),
                duration_us: None,
                prepared: None,
                failed: None,
            };
            calls.push(Call { offset_us: at as u64, session, deed: Deed::Run(run) });
            if last {
                open.remove(&session);
            } else {
                open.insert(session, (transaction, left - 1));
            }
            if ends {
                open.remove(&session);
                calls.push(Call { offset_us: at as u64, session, deed: Deed::Disconnect });
            }
        }
        calls
    })
}

proptest! {
    #[test]
    fn shared_connections_lose_nothing_and_split_no_transaction(calls in traffic(), connections in 1..4_usize) {
        let given: Vec<&Call> = calls.iter().filter(|call| matches!(call.deed, Deed::Run(_))).collect();
        let pool: Vec<Pooled> = pooled(calls.iter().cloned().map(Ok::<_, ()>), connections).map(Result::unwrap).collect();
        prop_assert_eq!(pool.len(), given.len());
        let mut home: HashMap<u64, usize> = HashMap::new();
        let mut running: HashMap<usize, u64> = HashMap::new();
        let mut seen: HashMap<u64, bool> = HashMap::new();
        for (connection, call) in &pool {
            let Deed::Run(run) = &call.deed else { panic!("only calls") };
            prop_assert!(*connection < connections);
            prop_assert_eq!(*home.entry(run.transaction).or_insert(*connection), *connection);
            // Between a transaction's first and last call its connection runs no other.
            if running.get(connection) != Some(&run.transaction) {
                prop_assert!(seen.insert(run.transaction, true).is_none(), "transaction {} was interrupted", run.transaction);
                running.insert(*connection, run.transaction);
            }
        }
        for session in 1..6 {
            let order = |calls: &mut dyn Iterator<Item = &Call>| calls.filter(|call| call.session == session).map(|call| call.offset_us).collect::<Vec<_>>();
            prop_assert_eq!(order(&mut pool.iter().map(|(_, call)| call)), order(&mut given.iter().copied()));
        }
    }
}
