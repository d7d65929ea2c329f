use std::time::Duration;

use super::*;
use crate::diff::Diff;
use crate::profile::counters::{Database, Entry, Statements};
use crate::profile::observation::ServerFacts;
use crate::profile::waits::{Seen, Tally, Wait};

const HERE: Oid = 5;

fn key(database: Oid, user: Oid, query_id: Option<i64>) -> StatementKey {
    StatementKey { database, user, query_id, top_level: true }
}

fn entry(calls: u64, exec_ms_total: f64) -> Entry {
    Entry { counters: Counters { calls, exec_ms_total, rows: calls, ..Counters::default() }, since: None }
}

fn statements(entries: &[(StatementKey, Entry)]) -> Statements {
    let mut statements = Statements { evicted: Some(0), ..Statements::default() };
    entries.iter().for_each(|(key, entry)| statements.add(*key, *entry));
    statements
}

fn observation(entries: &[(StatementKey, Entry)], texts: &[(Oid, i64, &str)], waits: Tally) -> Observation {
    let texts = texts.iter().map(|(user, query_id, text)| ((*user, *query_id), (*text).to_owned())).collect();
    let counted = Diff { before: statements(&[]), after: statements(entries) };
    Observation {
        server: ServerFacts { database: "shop".to_owned(), database_oid: HERE, user: "me too".to_owned(), ..ServerFacts::default() },
        started_at: Timestamp::UNIX_EPOCH,
        length: Duration::from_secs(10),
        cut_short: None,
        statements: Ok(counted),
        texts,
        database: Some(Diff {
            before: Database { commits: 100, blocks_hit: 1000, ..Database::default() },
            after: Database { commits: 350, rollbacks: 5, blocks_hit: 1900, blocks_read: 100, ..Database::default() },
        }),
        users: [(1, "app".to_owned()), (2, "batch".to_owned())].into(),
        waits,
        overhead: Overhead { samples: 100, transactions: 105, interval_ms: 100.0, ..Overhead::default() },
    }
}

fn sampled(user: Oid, query_id: i64, times: usize) -> Tally {
    let mut tally = Tally::default();
    for number in 0..100 {
        let seen = Seen {
            pid: 1,
            running: Some(Running::Statement { user, query_id }),
            wait: Wait::of(Some("Lock".to_owned()), Some("tuple".to_owned())),
        };
        tally.add((number < times).then_some(seen));
    }
    tally
}

#[test]
fn what_is_our_own_is_overhead_and_what_is_elsewhere_a_caveat() {
    let entries = [
        (key(HERE, 1, Some(1)), entry(10, 60.0)),
        (key(HERE, 2, Some(1)), entry(2, 40.0)),
        (key(HERE, 1, Some(2)), entry(100, 7.0)),
        (key(9, 1, Some(1)), entry(1, 300.0)),
    ];
    let texts = [(1, 1, "select a"), (2, 1, "select a"), (1, 2, "-- Question: who is active?\nselect 1")];
    let profile = Profile::of(&observation(&entries, &texts, Tally::default()));
    let told: Vec<_> = profile.statements.iter().map(|s| (s.user.as_str(), s.counters.calls, s.exec_time_share)).collect();
    assert_eq!(told, [("app", 10, Some(0.6)), ("batch", 2, Some(0.4))]);
    assert_eq!(profile.overhead.server_ms_total, Some(7.0));
    assert!(profile.caveats.iter().any(|caveat| caveat.contains("took 75.0 % of the execution time")), "{:?}", profile.caveats);
    assert_eq!(profile.hidden, None);
}

#[test]
fn the_database_is_told_by_the_second_and_without_the_profiles_transactions() {
    let profile = Profile::of(&observation(&[], &[], Tally::default()));
    let load = profile.database.expect("read");
    assert_eq!((load.commits, load.rollbacks, load.transactions_per_s), (145, 5, 15.0));
    assert_eq!((load.cache_hit_share, load.reset), (Some(0.9), false));
}

#[test]
fn samples_go_to_the_statement_of_the_role_that_was_seen() {
    let entries = [(key(HERE, 1, Some(1)), entry(10, 60.0)), (key(HERE, 2, Some(1)), entry(2, 40.0))];
    let profile = Profile::of(&observation(&entries, &[(1, 1, "select a"), (2, 1, "select a")], sampled(2, 1, 25)));
    let told: Vec<_> = profile.statements.iter().map(|s| (s.user.as_str(), s.active.sessions)).collect();
    assert_eq!(told, [("app", 0.0), ("batch", 0.25)]);
    assert_eq!((profile.active.sessions, profile.waits[0].class.as_str()), (0.25, "Lock"));
}

#[test]
fn a_statement_that_did_not_end_is_told_by_its_samples() {
    let profile = Profile::of(&observation(&[], &[(1, 8, "select slow")], sampled(1, 8, 100)));
    let statement = &profile.statements[0];
    assert_eq!((statement.query.as_deref(), statement.counters.calls, statement.exec_ms_mean), (Some("select slow"), 0, None));
    assert_eq!(statement.active, Active { sessions: 1.0, error: 0.0 });
}

#[test]
fn what_is_hidden_has_its_share_and_the_grant_that_shows_it() {
    let entries = [(key(HERE, 1, Some(1)), entry(10, 60.0)), (key(HERE, 2, None), entry(2, 40.0))];
    let profile = Profile::of(&observation(&entries, &[(1, 1, "select a")], Tally::default()));
    let hidden = profile.hidden.expect("hidden");
    assert_eq!((hidden.exec_time_share, hidden.remedy.as_str()), (Some(0.4), "grant pg_monitor to \"me too\";"));
    assert_eq!(profile.statements.len(), 1);
}

#[test]
fn without_the_view_the_samples_stand_alone() {
    let unavailable = Unavailable { reason: "it is not created".to_owned(), remedy: "create extension pg_stat_statements;".to_owned() };
    let mut observation = observation(&[], &[], sampled(1, 8, 50));
    observation.statements = Err(unavailable.clone());
    observation.cut_short = Some("it was interrupted".to_owned());
    let profile = Profile::of(&observation);
    assert_eq!((profile.statements_unavailable, profile.partial), (Some(unavailable), true));
    assert_eq!((profile.statements[0].query_id.as_deref(), profile.statements[0].active.sessions), (Some("8"), 0.5));
    assert_eq!(profile.caveats, ["The window ended early: it was interrupted."]);
}

#[test]
fn a_reset_and_evictions_are_caveats() {
    let mut observation = observation(&[(key(HERE, 1, Some(1)), entry(10, 60.0))], &[(1, 1, "select a")], Tally::default());
    let Ok(readings) = &mut observation.statements else { panic!("counted") };
    readings.after.evicted = Some(3);
    readings.after.reset_at = Some(Timestamp::UNIX_EPOCH);
    let profile = Profile::of(&observation);
    assert_eq!(profile.statements[0].counted, Counted::Restart);
    assert!(
        profile.caveats[0].contains("was reset within") && profile.caveats[1].contains("threw statements away"),
        "{:?}",
        profile.caveats
    );
}

#[test]
fn late_samples_are_told() {
    let mut observation = observation(&[], &[], Tally::default());
    observation.overhead = Overhead { samples: 80, late: 5, missed: 20, ..observation.overhead };
    let profile = Profile::of(&observation);
    assert_eq!(profile.overhead.late_share(), Some(0.25));
    assert!(profile.caveats.iter().any(|caveat| caveat.starts_with("25 % of the samples")), "{:?}", profile.caveats);
}
