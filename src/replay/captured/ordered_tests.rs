//! Which transactions are made in which order, by a server that is made up.

use super::super::call::{Call, Deed, Run};
use super::super::{CAPTURED_VERSION, Captured, CapturedStatement, Source, WireProtocol};
use super::*;
use crate::replay::log::Counts;
use crate::replay::program::Sql;

/// Calls as session, transaction and text, a millisecond apart.
fn ordered(calls: &[(u64, u64, &str)]) -> Result<Ordered, TimelineError> {
    let mut texts: Vec<&str> = calls.iter().map(|(_, _, sql)| *sql).collect();
    texts.sort_unstable();
    texts.dedup();
    let statement = |(at, sql): (usize, &&str)| CapturedStatement {
        number: at as u64,
        name: format!("s{at}"),
        weight: 1,
        sql: (*sql).to_owned(),
        protocol: WireProtocol::Extended,
        writes: false,
        control: matches!(*sql, "begin" | "commit"),
        failed: 0,
        mean_us: None,
        query_id: None,
    };
    let captured = Captured {
        captured: CAPTURED_VERSION,
        name: "t".to_owned(),
        description: String::new(),
        source: Source::default(),
        counts: Counts::default(),
        calls: "t.jsonl".to_owned(),
        statements: texts.iter().enumerate().map(statement).collect(),
    };
    let calls = calls.iter().enumerate().map(|(at, (session, transaction, sql))| {
        let run = Run {
            transaction: *transaction,
            last: false,
            statement: texts.binary_search(sql).unwrap() as u64,
            sql: (*sql).into(),
            protocol: WireProtocol::Extended,
            parameters: sql.contains('$').then(|| Some(format!("{at}"))).into_iter().collect(),
            duration_us: Some(10),
            prepared: None,
            failed: None,
        };
        Ok(Call { offset_us: at as u64 * 1000, session: *session, deed: Deed::Run(run) })
    });
    let timeline = Timeline::new(&captured, calls, None, Writes::Live, tempfile::tempfile().unwrap())?;
    Ordered::new(timeline, 7, Writes::Live)
}

/// What a call says, and whether it waits.
fn said(ordered: &Ordered, client: &mut dyn Client, call: u64) -> Vec<String> {
    assert_eq!(client.begin(call), ordered.label(call));
    let mut said = Vec::new();
    loop {
        match client.next(&Reply::default()) {
            Step::Run(request) => match request.sql {
                Sql::Simple(text) | Sql::Once(text) => said.push(text.to_owned()),
                Sql::Prepared(_) => panic!("nothing is prepared"),
            },
            Step::Done(_) => return said,
            other => panic!("{other:?}"),
        }
    }
}

const CALLS: &[(u64, u64, &str)] = &[
    (1, 1, "begin"),
    (1, 1, "select a from t where a = $1"),
    (2, 2, "select b"),
    (2, 3, "set search_path = x"),
    (1, 1, "update t set a = 2"),
    (1, 1, "commit"),
    (3, 4, "select c"),
    (2, 5, "begin"),
    (2, 5, "set local work_mem = '1MB'"),
    (2, 5, "commit"),
];

#[test]
fn transactions_are_whole_in_order_and_without_pauses() {
    let ordered = ordered(CALLS).unwrap();
    assert_eq!((ordered.transactions(), ordered.left_out), (4, 1), "a setting of the session is left out, one of a transaction is not");
    let whole = ["begin", "select a from t where a = $1", "update t set a = 2", "commit"];
    let expected: Vec<Vec<&str>> =
        vec![whole.to_vec(), vec!["select b"], vec!["select c"], vec!["begin", "set local work_mem = '1MB'", "commit"]];
    for round in 0..20 {
        let (mut client, mut other) = (ordered.client(0), ordered.client(3));
        let first = round << ROUND_BITS;
        let start = expected.iter().position(|texts| *texts == said(&ordered, &mut *client, first)).unwrap();
        for at in 0..9 {
            let wanted = &expected[(start + at) % 4];
            assert_eq!(said(&ordered, &mut *client, first + at as u64), *wanted, "round {round}, call {at}");
            assert_eq!(said(&ordered, &mut *other, first + at as u64), *wanted, "any session may make any call");
        }
    }
    let starts: std::collections::BTreeSet<u64> = (0..20).map(|round| ordered.call(round << ROUND_BITS)).collect();
    assert!(starts.len() > 1, "rounds begin at different places");
    assert!(ordered.caveats()[1].starts_with("1 of 5 transactions (20 %) were left out"), "{:?}", ordered.caveats());
}

#[test]
fn statements_that_can_be_explained_have_an_example() {
    let ordered = ordered(CALLS).unwrap();
    let with = |sql: &str| ordered.labels().iter().find(|label| label.sql == sql && label.statement.is_some());
    let read = with("select a from t where a = $1").and_then(|label| label.statement).unwrap();
    assert_eq!(ordered.statements()[read].sql, "select a from t where a = $1");
    assert_eq!(ordered.example(read), Some(vec![Some("1".to_owned())]));
    assert!(with("update t set a = 2").is_some() && with("begin").is_none() && with("set local work_mem = '1MB'").is_none());
    assert!(ordered.statements().iter().all(|statement| !statement.called), "sessions prepare none of them");
}

#[test]
fn what_depends_on_its_session_is_known() {
    for sql in
        ["SET a = 1", "set session x to 2", "prepare q as select 1", "EXECUTE q", "discard all", "listen x", "create temp table t ()"]
    {
        assert!(is_of_a_session(sql), "{sql}");
    }
    for sql in ["set local a = 1", "set transaction read only", "set constraints all deferred", "select 1", "create table t ()", "fetch c"]
    {
        assert!(!is_of_a_session(sql), "{sql}");
    }
}

#[test]
fn a_capture_of_settings_alone_cannot_be_played() {
    let error = ordered(&[(1, 1, "set a = 1"), (1, 2, "prepare q as select 1")]).unwrap_err();
    assert!(matches!(error, TimelineError::Nothing(_)), "{error}");
}
