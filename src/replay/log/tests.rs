//! What the lines of a log mean together.

use proptest::prelude::*;

use super::sample::{DAY_US, Session, csv, json, reader, stderr};
use super::*;

fn run(lines: Vec<Line>) -> (Vec<Event>, Counts) {
    let mut sessions = Sessions::new(lines.into_iter().map(Ok));
    let events: Vec<Event> = sessions.by_ref().collect();
    (events, sessions.counts().clone())
}

fn statements(events: &[Event]) -> Vec<(i64, &Statement)> {
    events
        .iter()
        .filter_map(|event| match &event.deed {
            Deed::Run(statement) => Some((event.at_us - DAY_US, statement)),
            _ => None,
        })
        .collect()
}

/// Text, duration, transaction and last of each statement.
fn short(events: &[Event]) -> Vec<(&str, Option<u64>, u64, bool)> {
    statements(events).into_iter().map(|(_, s)| (s.text.as_str(), s.duration_us, s.transaction, s.last)).collect()
}

#[test]
fn simple_statements_begin_their_duration_before_they_are_logged() {
    let mut session = Session::new(1);
    session.log("3/1", "BEGIN", "duration: 0.100 ms  statement: begin", None);
    session.log("3/1", "SELECT", "duration: 0.500 ms  statement: select 1", None);
    session.log("3/0", "COMMIT", "duration: 0.200 ms  statement: commit", None);
    session.log("3/0", "SELECT", "duration: 0.300 ms  statement: select 2; select 3", None);
    let (events, counts) = run(session.lines);
    assert_eq!(
        short(&events),
        [
            ("begin", Some(100), 1, false),
            ("select 1", Some(500), 1, false),
            ("commit", Some(200), 1, true),
            ("select 2; select 3", Some(300), 2, true)
        ]
    );
    assert_eq!(statements(&events)[1].0, 1500);
    assert!(
        matches!(&events[0].deed, Deed::Connect(client) if client.user == "me" && client.database == "shop" && client.application == "app")
    );
    assert_eq!((counts.statements, counts.transactions, counts.timed, counts.sessions), (4, 2, 4, 1));
}

#[test]
fn log_statement_and_a_bare_duration_are_one_statement() {
    let mut session = Session::new(1);
    session.log("3/1", "idle", "statement: select 1", None);
    session.log("3/0", "SELECT", "duration: 0.070 ms", None);
    session.log("3/2", "idle", "statement: select 2", None);
    session.log("3/3", "idle", "statement: execute p(1)", Some("prepare: prepare p as select $1"));
    let (events, counts) = run(session.lines);
    assert_eq!(short(&events), [("select 1", Some(70), 1, true), ("select 2", None, 2, true), ("execute p(1)", None, 3, true)]);
    assert_eq!(statements(&events).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1000, 3000, 4000]);
    assert_eq!(statements(&events)[2].1.prepared.as_deref(), Some("prepare p as select $1"));
    assert!(counts.skipped.is_empty(), "{counts:?}");
}

#[test]
fn parse_bind_and_execute_are_one_cost() {
    for word in ["parameters", "Parameters"] {
        let detail = format!("{word}: $1 = 'it''s', $2 = NULL");
        let mut session = Session::new(1);
        session.log("3/20", "PARSE", "duration: 0.058 ms  parse P_0: select $1, $2", None);
        for (bind, execute) in [("0.080", "0.007"), ("0.010", "0.002")] {
            session.log("3/21", "BIND", &format!("duration: {bind} ms  bind P_0: select $1, $2"), Some(&detail));
            session.log("3/21", "SELECT", &format!("duration: {execute} ms  execute P_0: select $1, $2"), Some(&detail));
        }
        let (events, counts) = run(session.lines);
        assert_eq!(short(&events).iter().map(|one| one.1).collect::<Vec<_>>(), [Some(58 + 80 + 7), Some(12)]);
        let (at_us, first) = statements(&events)[0];
        assert_eq!((first.protocol, first.parameters.as_slice()), (Protocol::Extended, [Some("it's".to_owned()), None].as_slice()));
        assert_eq!(at_us, 2000 - 80, "from the bind on: a named statement is prepared at any time");
        assert!(counts.skipped.is_empty(), "{counts:?}");
    }
}

#[test]
fn bare_durations_belong_to_the_execution_they_surround() {
    // log_statement = all with log_duration, where the prefix has no command tag.
    let mut session = Session::new(1);
    for message in ["duration: 0.117 ms", "duration: 0.008 ms", "execute <unnamed>: begin", "duration: 0.023 ms"] {
        session.log("3/1", "", message, None);
    }
    session.log("3/1", "", "duration: 0.001 ms", None);
    session.log("3/1", "", "execute S_1: select $1", Some("parameters: $1 = 'x'"));
    session.log("3/1", "", "duration: 0.002 ms", None);
    for line in &mut session.lines {
        line.tag = None;
    }
    let (events, counts) = run(session.lines);
    assert_eq!(short(&events), [("begin", Some(148), 1, false), ("select $1", Some(3), 1, true)]);
    assert!(counts.skipped.is_empty(), "{counts:?}");
}

#[test]
fn all_settings_together_count_nothing_twice() {
    let mut session = Session::new(1);
    session.log("3/1", "PARSE", "duration: 0.010 ms  parse <unnamed>: select $1", None);
    session.log("3/1", "BIND", "duration: 0.020 ms  bind <unnamed>: select $1", Some("parameters: $1 = 'x'"));
    session.log("3/1", "SELECT", "execute <unnamed>: select $1", Some("parameters: $1 = 'x'"));
    session.log("3/1", "SELECT", "duration: 0.005 ms", None);
    let (events, _) = run(session.lines);
    assert_eq!(short(&events), [("select $1", Some(35), 1, true)]);
    assert_eq!(statements(&events)[0].0, 1000 - 10, "from the parse on: an unnamed statement is prepared for its call");
}

#[test]
fn failed_statements_keep_their_state_and_parameters() {
    let mut session = Session::new(1);
    session.log("3/1", "BEGIN", "duration: 0.100 ms  statement: begin", None);
    session.error("3/1", "42703", Some("select nope"), None);
    session.log("3/0", "ROLLBACK", "duration: 0.100 ms  statement: rollback", None);
    session.log("3/2", "idle", "statement: select nope", None);
    session.error("3/2", "42703", Some("select nope"), None);
    session.log("3/3", "PARSE", "duration: 0.100 ms  parse <unnamed>: select 1/$1", None);
    session.log("3/3", "BIND", "duration: 0.100 ms  bind <unnamed>: select 1/$1", Some("parameters: $1 = '0'"));
    session.error("3/3", "22012", Some("select 1/$1"), None);
    session.error("3/4", "22012", Some("select 2/$1"), Some("unnamed portal with parameters: $1 = '0'"));
    session.error("3/5", "22012", Some("select 3/$1"), None);
    session.error("3/5", "57014", None, None);
    let (events, counts) = run(session.lines);
    let failed: Vec<(&str, Option<&str>, usize)> = statements(&events)
        .into_iter()
        .filter_map(|(_, s)| Some((s.text.as_str(), s.failure.as_ref()?.sqlstate.as_deref(), s.parameters.len())))
        .collect();
    assert_eq!(
        failed,
        [
            ("select nope", Some("42703"), 0),
            ("select nope", Some("42703"), 0),
            ("select 1/$1", Some("22012"), 1),
            ("select 2/$1", Some("22012"), 1)
        ]
    );
    assert_eq!(statements(&events).iter().map(|(_, s)| s.transaction).collect::<Vec<_>>(), [1, 1, 1, 2, 3, 4]);
    assert_eq!((counts.skipped[&Reason::MissingParameters], counts.errors_without_text, counts.failed), (1, 1, 4));
}

#[test]
fn what_cannot_be_replayed_is_counted_by_its_reason() {
    let mut session = Session::new(1);
    session.log("3/1", "COPY", "duration: 1.000 ms  statement: copy t from stdin", None);
    session.log("3/2", "SELECT", "duration: 1.000 ms  execute S_1: select $1", None);
    session.log("3/2", "SELECT", "duration: 1.000 ms  execute fetch from S_1/C: select 1", None);
    session.log("3/2", "SELECT", "execute fetch from S_1/C: select 1", None);
    session.log("3/2", "SELECT", "duration: 1.000 ms", None);
    session.log("3/3", "SELECT", "duration: 1.000 ms", None);
    session.log("3/4", "CREATE INDEX", "duration: 1.000 ms  statement: create index on t (a)", None);
    session.log("3/5", "VACUUM", "duration: 1.000 ms  statement: vacuum", None);
    session.log("3/6", "SELECT", "duration: 1.000 ms  plan:\nQuery Text: select 1", None);
    let (events, counts) = run(session.lines);
    assert!(statements(&events).is_empty());
    let reasons = [
        (Reason::MissingParameters, 1),
        (Reason::CopyData, 1),
        (Reason::Fetch, 2),
        (Reason::NoText, 1),
        (Reason::Definition, 1),
        (Reason::Administration, 1),
    ];
    assert_eq!(counts.skipped, reasons.into_iter().collect());
}

#[test]
fn sessions_come_and_go() {
    let mut session = Session::new(7);
    session.log("", "", "connection received: host=[local]", None);
    session.log("3/1", "authentication", "connection authorized: user=me database=shop application_name=app", None);
    session.log("3/0", "SELECT", "duration: 1.000 ms  statement: select 1", None);
    session.log("", "idle", "disconnection: session time: 0:00:00.033 user=me database=shop host=[local]", None);
    let (events, counts) = run(session.lines.clone());
    assert!(matches!(events.iter().map(|event| &event.deed).collect::<Vec<_>>()[..], [Deed::Connect(_), Deed::Run(_), Deed::Disconnect]));
    assert_eq!((events[0].at_us - DAY_US, counts.sessions), (1000, 1));
    // Told by the process alone, the second connection of a number is a second session.
    let mut twice: Vec<Line> = session.lines.iter().take(3).chain(session.lines.iter().take(3)).cloned().collect();
    for line in &mut twice {
        (line.session, line.session_start_us) = (None, None);
    }
    assert_eq!(run(twice).1.sessions, 2);
}

#[test]
fn other_languages_are_counted_and_not_guessed_at() {
    let mut session = Session::new(1);
    session.log("3/0", "SELECT", "Dauer: 1.000 ms  Anweisung: select 1", None);
    let (events, counts) = run(session.lines);
    assert!(events.is_empty());
    assert_eq!(counts.foreign_lines, 1);
}

#[test]
fn sessions_side_by_side_do_not_mix() {
    let (mut one, mut two) = (Session::new(1), Session::new(2));
    one.log("3/1", "BEGIN", "duration: 0.1 ms  statement: begin", None).log("3/1", "SELECT", "duration: 0.1 ms  statement: select 1", None);
    two.log("4/1", "BEGIN", "duration: 0.1 ms  statement: begin", None).log("4/1", "SELECT", "duration: 0.1 ms  statement: select 2", None);
    let lines = one.lines.into_iter().zip(two.lines).flat_map(|(one, two)| [one, two]).collect();
    let (events, _) = run(lines);
    let of = |session: u64| -> Vec<(String, u64)> {
        let own: Vec<Event> = events.iter().filter(|event| event.session == session).cloned().collect();
        statements(&own).into_iter().map(|(_, s)| (s.text.clone(), s.transaction)).collect()
    };
    assert_eq!(of(1), [("begin".to_owned(), 1), ("select 1".to_owned(), 1)]);
    assert_eq!(of(2), [("begin".to_owned(), 2), ("select 2".to_owned(), 2)]);
}

/// What a generated session does next.
#[derive(Debug, Clone)]
enum Step {
    Simple(String),
    Logged(String),
    Extended(String, Vec<Option<String>>),
    Fails(String),
    Noise(String),
}

fn step() -> impl Strategy<Value = Step> {
    let text = "[a-z '\",$=;:\n\té%{}\\\\]{1,30}";
    prop_oneof![
        text.prop_map(|text| Step::Simple(format!("select {text}"))),
        Just(Step::Simple("begin".to_owned())),
        Just(Step::Simple("commit".to_owned())),
        text.prop_map(|text| Step::Logged(format!("select {text}"))),
        (text, prop::collection::vec(prop::option::of("[a-z', $=1N\n\t\"é.]{0,20}"), 0..4))
            .prop_map(|(text, parameters)| Step::Extended(format!("select {text}"), parameters)),
        text.prop_map(|text| Step::Fails(format!("select {text}"))),
        text.prop_map(Step::Noise),
    ]
}

fn lines_of(steps: &[Step]) -> Vec<Line> {
    let mut session = Session::new(77);
    for (at, step) in steps.iter().enumerate() {
        let vxid = format!("3/{}", at + 1);
        match step {
            Step::Simple(text) => {
                session.log("3/0", "SELECT", &format!("duration: 0.100 ms  statement: {text}"), None);
            }
            Step::Logged(text) => {
                session.log(&vxid, "idle", &format!("statement: {text}"), None);
                session.log("3/0", "SELECT", "duration: 0.050 ms", None);
            }
            Step::Extended(text, parameters) => {
                let value =
                    |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")));
                let values: Vec<String> =
                    parameters.iter().enumerate().map(|(at, text)| format!("${} = {}", at + 1, value(text))).collect();
                let detail = (!values.is_empty()).then(|| format!("Parameters: {}", values.join(", ")));
                session.log(&vxid, "BIND", &format!("duration: 0.030 ms  bind <unnamed>: {text}"), detail.as_deref());
                session.log(&vxid, "SELECT", &format!("duration: 0.010 ms  execute <unnamed>: {text}"), detail.as_deref());
            }
            Step::Fails(text) => {
                session.error(&vxid, "42601", Some(text), Some("somewhere"));
            }
            Step::Noise(text) => {
                session.log("3/0", "SELECT", text, None);
            }
        }
    }
    session.lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_format_tells_the_same_story(steps in prop::collection::vec(step(), 1..12)) {
        let lines = lines_of(&steps);
        let (expected, counts) = run(lines.clone());
        prop_assert!(counts.bad_lines == 0);
        for (name, text) in [("csv", csv(&lines)), ("json", json(&lines)), ("stderr", stderr(&lines))] {
            let mut sessions = Sessions::new(reader(&text));
            let found: Vec<Event> = sessions.by_ref().collect();
            prop_assert_eq!(&found, &expected, "{}: {}\n{:?}", name, text, sessions.bad_lines());
        }
    }

    #[test]
    fn a_log_cut_anywhere_never_panics_and_loses_only_its_end(steps in prop::collection::vec(step(), 1..6), at in any::<prop::sample::Index>()) {
        let lines = lines_of(&steps);
        let (whole, _) = run(lines.clone());
        for text in [csv(&lines), json(&lines), stderr(&lines)] {
            let mut cut = at.index(text.len());
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            let options = Options { format: reader(&text).opened().format.into(), prefix: Some(Prefix::compile(super::sample::PREFIX).unwrap()) };
            let input = std::io::Cursor::new(text.as_bytes()[..cut].to_vec());
            let mut sessions = Sessions::new(Reader::open(Box::new(input), "cut", &options).unwrap());
            prop_assert!(sessions.by_ref().count() <= whole.len() + 1);
            prop_assert!(sessions.counts().bad_lines <= 2, "{:?}", sessions.bad_lines());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), format in 0..3) {
        let format = [Format::Csv, Format::Json, Format::Stderr][format as usize];
        let options = Options { format: Some(format), prefix: Some(Prefix::compile("%m [%p] ").unwrap()) };
        let reader = Reader::open(Box::new(std::io::Cursor::new(bytes)), "random", &options).unwrap();
        let _ = Sessions::new(reader).count();
    }

    #[test]
    fn broken_lines_never_panic(text in "(2026-11-23 16:03:29(\\.123)? UTC)?[ ,\"\\[\\]:{}\n\ta-zLOGERROR0-9%@]{0,200}") {
        for format in [Format::Csv, Format::Json, Format::Stderr] {
            let options = Options { format: Some(format), prefix: Some(Prefix::compile("%m [%p] %q%u@%d ").unwrap()) };
            let input = std::io::Cursor::new(text.clone().into_bytes());
            let _ = Sessions::new(Reader::open(Box::new(input), "broken", &options).unwrap()).count();
        }
    }
}
