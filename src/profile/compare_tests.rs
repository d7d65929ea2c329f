use jiff::Timestamp;

use super::*;
use crate::profile::counters::Counters;
use crate::profile::delta::Counted;
use crate::profile::document::{Active, Overhead, PROFILE_SCHEMA_VERSION, StatementProfile};

fn statement(query_id: &str, user: &str, query: Option<&str>, calls: u64, mean: f64) -> StatementProfile {
    let counters = Counters { calls, exec_ms_total: calls as f64 * mean, ..Counters::default() };
    StatementProfile {
        query_id: Some(query_id.to_owned()),
        user: user.to_owned(),
        top_level: true,
        query: query.map(str::to_owned),
        counters,
        exec_ms_mean: counters.exec_ms_mean(),
        counted: Counted::Window,
        exec_time_share: None,
        active: Active::default(),
        waits: Vec::new(),
        notes: Vec::new(),
    }
}

fn profile(mut statements: Vec<StatementProfile>) -> Profile {
    let total: f64 = statements.iter().map(|statement| statement.counters.exec_ms_total).sum();
    statements.iter_mut().for_each(|statement| statement.exec_time_share = Some(statement.counters.exec_ms_total / total));
    Profile {
        schema_version: PROFILE_SCHEMA_VERSION,
        kind: "profile".to_owned(),
        about: BTreeMap::new(),
        started_at: Timestamp::UNIX_EPOCH,
        duration_ms: 60_000.0,
        partial: false,
        database: None,
        active: Active::default(),
        waits: Vec::new(),
        background: Vec::new(),
        statements,
        statements_unavailable: None,
        hidden: None,
        overhead: Overhead::default(),
        changes: None,
        caveats: Vec::new(),
    }
}

/// A statement that takes almost all the time, so that no other is worth naming for its share.
fn rest() -> StatementProfile {
    statement("99", "app", Some("select rest"), 1000, 1000.0)
}

#[test]
fn slower_and_faster_need_calls_on_both_sides_and_the_margin() {
    let with = |first: f64, second: f64, third: f64, calls: u64| {
        profile(vec![
            statement("1", "app", Some("select a"), 100, first),
            statement("2", "app", Some("select b"), 100, second),
            statement("3", "app", Some("select c"), 100, third),
            statement("4", "app", Some("select d"), calls, first),
            rest(),
        ])
    };
    let changes = compare(&with(10.0, 10.0, 10.0, 19), &with(12.5, 8.0, 12.4, 500));
    assert_eq!(changes.slower.iter().map(|change| change.query.as_deref()).collect::<Vec<_>>(), [Some("select a")]);
    assert_eq!((changes.slower[0].ratio, changes.slower[0].calls), (Some(1.25), Diff { before: 100, after: 100 }));
    assert_eq!(changes.faster.iter().map(|change| change.query.as_deref()).collect::<Vec<_>>(), [Some("select b")]);
    assert_eq!((changes.alike, changes.too_few), (2, 1));
    assert!(changes.new.is_empty() && changes.gone.is_empty());
}

#[test]
fn a_statement_is_known_by_its_text_however_long_its_lists_are_and_whoever_runs_it() {
    let before = profile(vec![
        statement("1", "app", Some("SELECT * FROM t WHERE id IN ($1, $2)"), 15, 10.0),
        statement("1", "batch", Some("SELECT * FROM t WHERE id IN ($1, $2)"), 15, 30.0),
        rest(),
    ]);
    let after = profile(vec![statement("2", "app", Some("select * from t where id in ($1, $2, $3)"), 40, 60.0), rest()]);
    let changes = compare(&before, &after);
    assert_eq!((changes.slower.len(), changes.new.len(), changes.gone.len()), (1, 0, 0), "{changes:#?}");
    let change = &changes.slower[0];
    assert_eq!(
        (change.calls, change.ratio, change.query_ids.as_slice()),
        (Diff { before: 30, after: 40 }, Some(3.0), ["2".to_owned(), "1".to_owned()].as_slice())
    );
}

#[test]
fn a_lost_text_is_known_by_the_number_it_had() {
    let before = profile(vec![statement("1", "app", None, 30, 10.0), statement("5", "app", None, 30, 10.0), rest()]);
    let after = profile(vec![statement("1", "app", Some("select a"), 30, 20.0), statement("5", "app", None, 30, 20.0), rest()]);
    let changes = compare(&before, &after);
    assert_eq!((changes.slower.len(), changes.new.len(), changes.gone.len()), (2, 0, 0), "{changes:#?}");
}

#[test]
fn new_and_gone_are_told_where_they_matter() {
    let before =
        profile(vec![statement("1", "app", Some("select gone"), 25, 1.0), statement("2", "app", Some("select rare"), 1, 1.0), rest()]);
    let heavy = statement("4", "app", Some("select heavy_once"), 1, 500_000.0);
    let after = profile(vec![statement("3", "app", Some("select once"), 2, 1.0), heavy, rest()]);
    let changes = compare(&before, &after);
    assert_eq!(changes.gone.iter().map(|change| change.query.as_deref()).collect::<Vec<_>>(), [Some("select gone")]);
    assert_eq!(changes.new.iter().map(|change| change.query.as_deref()).collect::<Vec<_>>(), [Some("select heavy_once")]);
    assert_eq!(changes.too_few, 2);
    assert_eq!(changes.new[0].exec_ms_mean, Diff { before: None, after: Some(500_000.0) });
}

#[test]
fn a_profile_compared_with_itself_is_alike() {
    let same = profile(vec![statement("1", "app", Some("select a"), 100, 0.0), statement("2", "app", Some("select b"), 100, 3.0), rest()]);
    let changes = compare(&same, &same);
    assert_eq!((changes.alike, changes.slower.len() + changes.faster.len() + changes.new.len() + changes.gone.len()), (3, 0));
}

#[test]
fn a_saved_profile_reads_back_as_it_was() {
    let mut saved = profile(vec![statement("1", "app", Some("select a"), 100, 1.5), rest()]);
    saved.changes = Some(compare(&saved, &saved));
    let text = serde_json::to_string(&saved).expect("text");
    assert_eq!(serde_json::from_str::<Profile>(&text).expect("the same"), saved);
}
