//! Migrations against a real server: written from proposals, applied, cut off, taken back.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

mod kinds;
mod partitions;
mod support;

use pgload::migration::history::{Event, State, Warning};
use pgload::migration::{Layout, plan};
use pgload::pg::apply::{self, ApplyError};

use support::{column, database, down, every_kind, folder, history, index, indexes, proposal, session, up, written};

#[tokio::test]
async fn up_twice_changes_nothing_and_down_leaves_the_catalog_as_before() {
    for transactional in [false, true] {
        let mut client = database(&format!("up_down_{transactional}")).await;
        let place = written(&every_kind(), plan::Options { layout: Layout::Refinery, transactional });
        let before = indexes(&client).await;

        let planned = apply::plan(&client, place.path()).await.unwrap();
        assert_eq!(planned.pending.len(), 6);
        assert!(planned.pending.iter().all(|step| step.transactional == transactional && step.statements.len() >= 2), "{planned:?}");
        assert_eq!(indexes(&client).await, before, "a plan changes nothing");
        let made: Option<String> = client.query_one("select to_regclass('refinery_schema_history')::text", &[]).await.unwrap().get(0);
        assert_eq!(made, None, "a plan makes no history");

        let outcome = up(&mut client, place.path()).await.unwrap();
        assert_eq!(outcome.applied.len(), 6);
        let after = indexes(&client).await;
        assert_eq!(after.len(), before.len() + 6);
        assert!(after.values().all(|(_, valid)| *valid), "{after:?}");
        assert_eq!(
            after["Idx People Odd"].0,
            "CREATE INDEX \"Idx People Odd\" ON app.people USING btree (\"Odd Col\", ((age + 1))) INCLUDE (\"Odd Col\")"
        );

        let again = up(&mut client, place.path()).await.unwrap();
        assert_eq!((again.applied.len(), again.applied_before), (0, 6));
        assert_eq!(indexes(&client).await, after);

        for version in history(&client).await {
            down(&mut client, place.path(), version).await.unwrap();
        }
        assert_eq!(indexes(&client).await, before);
        assert_eq!(history(&client).await, [0_i64; 0]);
        assert_eq!(up(&mut client, place.path()).await.unwrap().applied.len(), 6, "and up again");
    }
}

#[tokio::test]
async fn an_equal_index_made_by_hand_is_accepted() {
    let mut client = database("by_hand").await;
    client
        .batch_execute(
            "create index idx_people_made on app.people (made desc nulls last) where email <> '$pgload$' and status = any ('{new,open}')",
        )
        .await
        .unwrap();
    let place = written(&every_kind()[2..3], plan::Options::default());
    let error = up(&mut client, place.path()).await.unwrap_err();
    assert!(error.to_string().contains("has another definition"), "the two conditions are in another order: {error}");
    client
        .batch_execute(
            "drop index app.idx_people_made;
             create index idx_people_made on app.people (made desc nulls last) where status in ('new', 'open') and email <> '$pgload$'",
        )
        .await
        .unwrap();
    assert_eq!(up(&mut client, place.path()).await.unwrap().applied.len(), 1);
}

#[tokio::test]
async fn another_definition_under_the_same_name_is_an_error_that_names_both() {
    let mut client = database("other_definition").await;
    let wanted = || index(vec![column("status"), column("age")], &[], None);
    let place = written(&[proposal("idx_p", wanted())], plan::Options::default());
    for (made, drop) in [
        ("create index idx_p on app.people (age, status)", "index"),
        ("create index idx_p on app.people (status)", "index"),
        ("create index idx_p on app.people (status, age desc)", "index"),
        ("create index idx_p on app.people (status, age nulls first)", "index"),
        ("create index idx_p on app.people (status, age) include (id)", "index"),
        ("create index idx_p on app.people (status) include (age)", "index"),
        ("create index idx_p on app.people (status, age) where age > 1", "index"),
        ("create index idx_p on app.people (status text_pattern_ops, age)", "index"),
        ("create index idx_p on app.people (status collate \"POSIX\", age)", "index"),
        ("create unique index idx_p on app.people (status, age) where id = 1", "index"),
        ("create index idx_p on app.people using hash (status)", "index"),
        ("create index idx_p on app.other (age)", "index"),
        ("create table app.idx_p (id int)", "table"),
    ] {
        client.batch_execute(made).await.unwrap();
        let error = up(&mut client, place.path()).await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.sqlstate(), Some("42P07"), "{made}: {said}");
        assert!(said.contains("CREATE INDEX idx_p ON app.people USING btree (status, age)"), "{made}: {said}");
        let present = if drop == "table" { "is not an index" } else { "present: CREATE" };
        assert!(said.contains(present), "{made}: {said}");
        assert_eq!(history(&client).await, [0_i64; 0], "{made}");
        client.batch_execute(&format!("drop {drop} app.idx_p")).await.unwrap();
    }
    assert_eq!(up(&mut client, place.path()).await.unwrap().applied.len(), 1);
}

#[tokio::test]
async fn the_carcass_of_a_failed_build_is_dropped_and_built_anew() {
    let mut client = database("carcass").await;
    client.batch_execute("create unique index concurrently idx_people_email on app.people (age)").await.unwrap_err();
    assert!(!indexes(&client).await["idx_people_email"].1);
    let place = written(&every_kind()[..1], plan::Options::default());
    let mut events = Vec::new();
    let outcome = apply::up(&mut client, place.path(), &mut |event| events.push(event)).await.unwrap();
    assert_eq!(outcome.applied[0].healed, ["app.idx_people_email"]);
    assert!(events.contains(&Event::Healed { index: "app.idx_people_email".into() }), "{events:?}");
    let built = &indexes(&client).await["idx_people_email"];
    assert_eq!(built, &("CREATE INDEX idx_people_email ON app.people USING btree (email)".to_owned(), true));
}

#[tokio::test]
async fn an_invalid_index_inside_a_transaction_is_refused_with_the_way_out() {
    let mut client = database("carcass_transactional").await;
    client.batch_execute("insert into app.people (id, email) select 1000 + n, 'same' from generate_series(1, 2) n").await.unwrap();
    client.batch_execute("create unique index concurrently idx_people_email on app.people (email)").await.unwrap_err();
    client.batch_execute("update pg_index set indisunique = false where indexrelid = 'app.idx_people_email'::regclass").await.unwrap();
    let place = written(&every_kind()[..1], plan::Options { layout: Layout::Refinery, transactional: true });
    let error = up(&mut client, place.path()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("55000"));
    assert!(
        error.to_string().contains("not valid") && error.to_string().contains("DROP INDEX CONCURRENTLY IF EXISTS app.idx_people_email"),
        "{error}"
    );
}

#[tokio::test]
async fn a_run_killed_half_way_heals_when_run_again() {
    let mut client = database("killed").await;
    let place = written(&every_kind()[..2], plan::Options::default());
    let holder = session("killed").await;
    holder.batch_execute("begin isolation level repeatable read; select count(*) from app.people").await.unwrap();

    let watcher = session("killed").await;
    let mut warnings = Vec::new();
    let mut on_event = |event| {
        if let Event::Warned(warning) = event {
            warnings.push(warning);
        }
    };
    let building = apply::up(&mut client, place.path(), &mut on_event);
    let killing = async {
        loop {
            // Asks the server until the build waits for the old snapshot; each question yields to the build.
            let builds = apply::progress(&watcher).await.unwrap();
            if let Some(build) = builds.iter().find(|build| build.phase == "waiting for old snapshots") {
                watcher.execute("select pg_terminate_backend($1)", &[&build.pid]).await.unwrap();
                return;
            }
        }
    };
    let killing = tokio::time::timeout(std::time::Duration::from_secs(60), killing);
    let (outcome, killed) = tokio::join!(building, killing);
    killed.expect("the build waits for the old snapshot");
    let error = outcome.unwrap_err();
    assert_eq!(error.sqlstate(), Some("57P01"), "{error}");
    assert!(error.to_string().ends_with("V20261123094501__create_idx_people_status_made not tried"), "{error}");
    assert!(matches!(&warnings[..], [Warning::OldTransaction { state, .. }] if state == "idle in transaction"), "{warnings:?}");
    assert!(!indexes(&watcher).await["idx_people_email"].1, "the build left an invalid index");
    assert_eq!(history(&watcher).await, [0_i64; 0]);

    holder.batch_execute("rollback").await.unwrap();
    let mut client = session("killed").await;
    let outcome = up(&mut client, place.path()).await.unwrap();
    assert_eq!(outcome.applied.iter().map(|done| done.healed.len()).collect::<Vec<_>>(), [1, 0]);
    assert!(indexes(&client).await.values().all(|(_, valid)| *valid));
}

#[tokio::test]
async fn a_failure_leaves_what_was_applied_and_says_what_was_not() {
    let mut client = database("failure").await;
    let place = folder(&[
        ("V1__table.sql", "create table app.t (a int);\ninsert into app.t values (1), (1);"),
        ("V2__mixed.sql", "create index concurrently t_a on app.t (a);\ncreate unique index concurrently t_u on app.t (a);"),
        ("V3__more.sql", "create table app.never (a int);"),
    ]);
    let error = up(&mut client, place.path()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("23505"));
    let said = error.to_string();
    assert!(said.starts_with("V1__table applied, V2__mixed failed: statement 2 of 2 (create unique index concurrently"), "{said}");
    assert!(said.ends_with("; statement 1 was run; V3__more not tried"), "{said}");
    assert_eq!(history(&client).await, [1]);

    // A file inside a transaction leaves nothing.
    std::fs::write(place.path().join("V2__mixed.sql"), "create table app.half (a int);\ncreate table app.half (a int);").unwrap();
    let error = up(&mut client, place.path()).await.unwrap_err();
    assert_eq!((error.sqlstate(), error.to_string().contains("V2__mixed failed: ")), (Some("42P07"), true), "{error}");
    let left: Option<String> = client.query_one("select to_regclass('app.half')::text", &[]).await.unwrap().get(0);
    assert_eq!(left, None);

    std::fs::write(place.path().join("V2__mixed.sql"), "create tabel app.half (a int);").unwrap();
    assert!(up(&mut client, place.path()).await.unwrap_err().to_string().contains("V2__mixed failed: line 1: syntax error"));

    // The lock was given back each time, and the rest runs once the file is right.
    std::fs::write(place.path().join("V2__mixed.sql"), "drop index concurrently app.t_a;\ncreate index concurrently t_u on app.t (a);")
        .unwrap();
    let outcome = up(&mut client, place.path()).await.unwrap();
    assert_eq!(
        outcome.applied.iter().map(|done| (done.version, done.healed.clone())).collect::<Vec<_>>(),
        [(2, vec!["app.t_u".into()]), (3, vec![])]
    );
    assert!(indexes(&client).await["t_u"].1);
}

#[tokio::test]
async fn a_middle_migration_goes_down_and_up_again() {
    let mut client = database("middle").await;
    let place = written(&every_kind()[..3], plan::Options::default());
    up(&mut client, place.path()).await.unwrap();
    let all = indexes(&client).await;
    let versions = history(&client).await;

    let done = down(&mut client, place.path(), versions[1]).await.unwrap();
    assert_eq!(done.name, "create_idx_people_status_made");
    assert!(!indexes(&client).await.contains_key("idx_people_status_made"));
    let states: Vec<State> = apply::status(&client, place.path()).await.unwrap().entries.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Applied, State::Pending, State::Applied]);
    assert!(matches!(down(&mut client, place.path(), versions[1]).await, Err(ApplyError::NotApplied { .. })));

    assert_eq!(up(&mut client, place.path()).await.unwrap().applied[0].version, versions[1]);
    assert_eq!((indexes(&client).await, history(&client).await), (all, versions));
}

#[tokio::test]
async fn files_that_changed_or_went_missing_stop_the_run_before_it_begins() {
    let mut client = database("divergent").await;
    let place = folder(&[("V1__a.sql", "create table app.a (a int)"), ("V2__b.sql", "create table app.b (a int)")]);
    up(&mut client, place.path()).await.unwrap();
    assert!(matches!(down(&mut client, place.path(), 1).await, Err(ApplyError::NoDownFile { version: 1, .. })));

    std::fs::write(place.path().join("V3__c.sql"), "create table app.c (a int)").unwrap();
    std::fs::write(place.path().join("V2__b.sql"), "create table app.b (b int)").unwrap();
    let error = up(&mut client, place.path()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Changed { version: 2, .. }), "{error}");
    std::fs::remove_file(place.path().join("V2__b.sql")).unwrap();
    let error = up(&mut client, place.path()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Missing { version: 2, .. }), "{error}");
    assert_eq!(history(&client).await, [1, 2]);
    let states: Vec<State> = apply::status(&client, place.path()).await.unwrap().entries.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Applied, State::Missing, State::Pending]);
}

#[tokio::test]
async fn two_runs_at_once_are_refused_and_a_history_of_small_versions_is_named() {
    let mut client = database("busy").await;
    let place = written(&every_kind()[..1], plan::Options::default());
    let other = session("busy").await;
    let pid: i32 = other.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    other.execute("select pg_advisory_lock(x'70676c6f61640000'::bigint)", &[]).await.unwrap();
    match up(&mut client, place.path()).await {
        Err(ApplyError::Busy { pid: holder }) => assert_eq!(holder, Some(pid)),
        answer => panic!("{answer:?}"),
    }
    other.execute("select pg_advisory_unlock_all()", &[]).await.unwrap();

    client
        .batch_execute("create table refinery_schema_history (version int4 primary key, name text, applied_on text, checksum text)")
        .await
        .unwrap();
    let error = up(&mut client, place.path()).await.unwrap_err();
    assert!(error.to_string().contains("alter column version type bigint"), "{error}");
}

#[tokio::test]
async fn limits_of_the_database_do_not_cut_a_build_short_and_hold_again_afterwards() {
    let client = database("limits").await;
    let limits = "alter database limits set lock_timeout = '20ms'; alter database limits set statement_timeout = '80ms'";
    client.batch_execute(limits).await.unwrap();
    let writer = session("limits").await;
    writer.batch_execute("set statement_timeout = 0; begin; update app.people set age = 8 where id = 1").await.unwrap();

    let mut limited = session("limits").await;
    let place = written(&every_kind()[..1], plan::Options::default());
    let mut ignore = |_| {};
    let building = apply::up(&mut limited, place.path(), &mut ignore);
    let (outcome, released) = tokio::join!(building, writer.batch_execute("select pg_sleep(0.3); commit"));
    released.unwrap();
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(outcome.applied[0].elapsed_ms > 80.0, "the build waited for the writer: {outcome:?}");
    let limit: String = limited.query_one("show statement_timeout", &[]).await.unwrap().get(0);
    assert_eq!(limit, "80ms");
}

#[tokio::test]
async fn prepared_transactions_are_warned_of_before_anything_runs() {
    let client = database("prepared").await;
    client.batch_execute("begin; insert into app.people values (0); prepare transaction 'forgotten'").await.unwrap();
    let planned = apply::plan(&client, written(&every_kind()[..1], plan::Options::default()).path()).await.unwrap();
    assert!(matches!(&planned.warnings[..], [Warning::PreparedTransaction { gid, .. }] if gid == "forgotten"), "{:?}", planned.warnings);
    client.batch_execute("rollback prepared 'forgotten'").await.unwrap();
}
