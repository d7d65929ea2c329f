//! Indexes of partitioned tables: built piece by piece, cut off half-way, taken back, dropped.

use std::path::Path;

use pgload::advisor::{Action, Candidate, Proposal};
use pgload::catalog::QualifiedName;
use pgload::migration::{Layout, plan};
use pgload::pg::apply::{self, ApplyError};
use tokio_postgres::Client;

use super::support::{column, database, down, expression, history, index, indexes, proposal, session, snapshot, up, written_from};

/// Events by year; this year's by quarter, in another schema.
const EVENTS: &str = "
    create schema old;
    create table app.events (id bigint, made date, kind text) partition by range (made);
    create table old.events_2025 partition of app.events for values from ('2025-01-01') to ('2026-01-01');
    create table app.\"Events 2026\" partition of app.events for values from ('2026-01-01') to ('2027-01-01') partition by range (made);
    create table app.events_2026_1 partition of app.\"Events 2026\" for values from ('2026-01-01') to ('2026-07-01');
    create table app.events_2026_2 partition of app.\"Events 2026\" for values from ('2026-07-01') to ('2027-01-01');
    insert into app.events select n, date '2025-01-01' + n % 700, 'K' || n % 3 from generate_series(1, 2000) n;";

async fn events(name: &str) -> Client {
    let client = database(name).await;
    client.batch_execute(EVENTS).await.unwrap();
    client
}

async fn on_events(name: &str) -> (pgload::catalog::Snapshot, Vec<Proposal>) {
    let taken = snapshot(name).await;
    let table = taken.tables.iter().find(|table| table.name.name == "events").unwrap();
    let of = |keys, predicate| Candidate { table: table.oid, table_name: table.name.clone(), ..index(keys, &[], predicate) };
    let proposals = vec![
        proposal("idx_events_kind_made", of(vec![column("kind"), column("made")], None)),
        proposal("idx_events_lower", of(vec![expression("lower(kind)")], Some("id > 5"))),
    ];
    (taken, proposals)
}

/// Definition, validity and parent of each index below `app.events`.
async fn tree(client: &Client) -> Vec<(String, bool, Option<String>)> {
    let query = "select pg_get_indexdef(i.indexrelid), i.indisvalid, p.inhparent::regclass::text
                   from pg_index i left join pg_inherits p on p.inhrelid = i.indexrelid
                   join pg_partition_tree('app.events') t on t.relid = i.indrelid order by 1";
    client.query(query, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn every_partition_gets_its_index_and_all_are_attached() {
    let mut client = events("partitioned").await;
    let (taken, proposals) = on_events("partitioned").await;
    let place = written_from(&taken, &proposals, plan::Options::default());
    let planned = apply::plan(&client, place.path()).await.unwrap();
    assert!(planned.pending.iter().all(|step| !step.transactional));

    up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
    let built = tree(&client).await;
    assert_eq!(built.len(), 10, "two indexes of two parents and three leaves each: {built:#?}");
    assert!(built.iter().all(|(_, valid, _)| *valid), "{built:#?}");
    assert_eq!(built.iter().filter(|(_, _, parent)| parent.is_none()).count(), 2, "{built:#?}");
    let limit: String = client.query_one("show lock_timeout", &[]).await.unwrap().get(0);
    assert_eq!(limit, "0");

    client.execute("delete from refinery_schema_history", &[]).await.unwrap();
    up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("again: {error}"));
    assert_eq!(tree(&client).await, built);
    for version in history(&client).await {
        down(&mut client, place.path(), version).await.unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(tree(&client).await, []);
}

#[tokio::test]
async fn a_transaction_builds_the_whole_tree_at_once() {
    let mut client = events("partitioned_at_once").await;
    let (taken, proposals) = on_events("partitioned_at_once").await;
    let place = written_from(&taken, &proposals, plan::Options { layout: Layout::Refinery, transactional: true });
    up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(tree(&client).await.iter().all(|(_, valid, _)| *valid));
    for version in history(&client).await {
        down(&mut client, place.path(), version).await.unwrap();
    }
    assert_eq!(tree(&client).await, []);
}

#[tokio::test]
async fn a_partitioned_build_cut_off_half_way_is_finished_by_the_next_run() {
    let mut client = events("partitioned_killed").await;
    let (taken, proposals) = on_events("partitioned_killed").await;
    let place = written_from(&taken, &proposals[..1], plan::Options::default());
    let holder = session("partitioned_killed").await;
    // An old snapshot on a leaf: its build waits, the ones before it are done.
    holder.batch_execute("begin isolation level repeatable read; select count(*) from app.events_2026_2").await.unwrap();
    let watcher = session("partitioned_killed").await;
    let mut ignore = |_| {};
    let building = apply::up(&mut client, place.path(), &mut ignore);
    let killing = async {
        loop {
            let builds = apply::progress(&watcher).await.unwrap();
            if let Some(build) = builds.iter().find(|build| build.phase == "waiting for old snapshots") {
                watcher.execute("select pg_terminate_backend($1)", &[&build.pid]).await.unwrap();
                return;
            }
        }
    };
    let (outcome, killed) = tokio::join!(building, tokio::time::timeout(std::time::Duration::from_secs(60), killing));
    killed.expect("a build waits for the old snapshot");
    assert_eq!(outcome.unwrap_err().sqlstate(), Some("57P01"));
    assert!(tree(&watcher).await.iter().any(|(_, valid, _)| !valid), "something was left behind");
    holder.batch_execute("rollback").await.unwrap();

    let mut client = session("partitioned_killed").await;
    let outcome = up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.applied[0].healed.len(), 1, "{outcome:?}");
    let built = tree(&client).await;
    assert!(built.len() == 5 && built.iter().all(|(_, valid, _)| *valid), "{built:#?}");
}

#[tokio::test]
async fn an_invalid_part_is_refused_before_it_is_attached() {
    let client = events("partitioned_invalid").await;
    let (taken, proposals) = on_events("partitioned_invalid").await;
    let place = written_from(&taken, &proposals[..1], plan::Options { layout: Layout::Plain, ..plan::Options::default() });
    let text = std::fs::read_to_string(up_file(place.path())).unwrap();
    for statement in pgload::migration::statements::split(&text) {
        let outcome = client.batch_execute(statement).await;
        if statement.contains("app.events_2026_1 ") {
            outcome.unwrap();
            // As an interrupted build leaves it; psql, unlike our runner, heals nothing.
            let mark = "update pg_index set indisvalid = false where indexrelid = 'app.idx_events_2026_1_kind_made'::regclass";
            client.batch_execute(mark).await.unwrap();
        } else if let Err(error) = outcome {
            let said = error.as_db_error().unwrap();
            assert!(said.message().contains("not valid: app.idx_events_2026_1_kind_made"), "{said:?}");
            assert!(said.hint().unwrap().contains("DROP INDEX CONCURRENTLY"), "{said:?}");
            assert!(tree(&client).await.iter().all(|(_, _, parent)| parent.is_none()), "nothing was attached");
            return;
        }
    }
    panic!("the check let it pass: {text}");
}

fn up_file(folder: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.to_string_lossy().ends_with(".up.sql")).unwrap()
}

#[tokio::test]
async fn a_partition_the_audit_did_not_see_is_named_as_the_reason() {
    let mut client = events("partitioned_unseen").await;
    let (mut taken, proposals) = on_events("partitioned_unseen").await;
    taken.tables.retain(|table| table.name != QualifiedName::new("old", "events_2025"));
    let error: ApplyError = up(&mut client, written_from(&taken, &proposals[..1], plan::Options::default()).path()).await.unwrap_err();
    assert!(error.to_string().contains("not valid: app.idx_events_kind_made"), "{error}");
}

#[tokio::test]
async fn a_partitioned_index_is_dropped_whole_and_restored_with_its_parts() {
    let mut client = events("partitioned_drop").await;
    client.batch_execute("create index events_kind on app.events (kind desc) with (fillfactor = 80)").await.unwrap();
    let before = (tree(&client).await, indexes(&client).await);
    let taken = snapshot("partitioned_drop").await;
    let existing = taken.indexes.iter().find(|index| index.name.name == "events_kind").unwrap();
    let keys = Candidate { table_name: QualifiedName::new("app", "events"), ..index(vec![column("kind")], &[], None) };
    let dropped = Proposal { action: Action::Drop, existing: Some(existing.oid), ..proposal("events_kind", keys) };
    let place = written_from(&taken, &[dropped], plan::Options::default());
    up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tree(&client).await, []);
    let version = history(&client).await[0];
    down(&mut client, place.path(), version).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((tree(&client).await, indexes(&client).await), before);
}
