//! Indexes of every access method, drops with what has to stay in their place, rebuilds.

use pgload::advisor::proposal::NewStatistics;
use pgload::advisor::{Action, Candidate, CandidateKey, Proposal};
use pgload::catalog::{QualifiedName, Snapshot};
use pgload::migration::plan;
use pgload::pg::apply;
use tokio_postgres::Client;

use super::support::{column, database, down, expression, history, index, indexes, proposal, session, snapshot, up, written, written_from};

/// Columns for the access methods that B-trees do not serve.
const WIDE: &str = "
    create extension pg_trgm;
    create table app.docs (id bigint primary key, tags text[], doc jsonb, during tstzrange, place point, note text, made timestamptz, words tsvector);
    insert into app.docs select n, array['t' || n % 5], jsonb_build_object('k', n), tstzrange(now(), now() + n * interval '1 s'), point(n, n), 'Note ' || n, now(), to_tsvector('note ' || n)
      from generate_series(1, 300) n;";

fn on_docs(method: &str, keys: Vec<CandidateKey>, predicate: Option<&str>) -> Candidate {
    Candidate { table_name: QualifiedName::new("app", "docs"), method: method.into(), ..index(keys, &[], predicate) }
}

fn with_class(name: &str, opclass: &str) -> CandidateKey {
    CandidateKey { opclass: Some(opclass.into()), ..column(name) }
}

fn every_method() -> Vec<Proposal> {
    let bytewise = CandidateKey { collation: Some("pg_catalog.\"C\"".into()), ..column("note") };
    vec![
        proposal("docs_tags", on_docs("gin", vec![column("tags")], None)),
        proposal("docs_doc", on_docs("gin", vec![with_class("doc", "jsonb_path_ops")], Some("note is not null"))),
        proposal("docs_note_trgm", on_docs("gin", vec![with_class("note", "public.gin_trgm_ops")], None)),
        proposal("docs_words", on_docs("gin", vec![column("words")], None)),
        proposal("docs_during", on_docs("gist", vec![column("during")], None)),
        proposal("docs_place", on_docs("gist", vec![column("place")], None)),
        proposal("docs_made", on_docs("brin", vec![column("made")], None)),
        proposal("docs_note_hash", on_docs("hash", vec![column("note")], None)),
        proposal("docs_note_c", on_docs("btree", vec![bytewise, column("made")], None)),
        proposal("docs_k", on_docs("btree", vec![expression("(doc ->> 'k')::int")], Some("tags is not null"))),
    ]
}

#[tokio::test]
async fn every_access_method_goes_up_once_and_down_to_nothing() {
    for transactional in [false, true] {
        let mut client = database(&format!("methods_{transactional}")).await;
        client.batch_execute(WIDE).await.unwrap();
        let before = indexes(&client).await;
        let place = written(&every_method(), plan::Options { transactional, ..plan::Options::default() });
        let outcome = up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.applied.len(), every_method().len());
        let after = indexes(&client).await;
        assert!(after.values().all(|(_, valid)| *valid), "{after:?}");
        assert!(after["docs_note_c"].0.contains("note COLLATE \"C\", made"), "{after:?}");
        assert!(after["docs_note_trgm"].0.contains("USING gin (note gin_trgm_ops)"), "{after:?}");
        let analysed = "select count(*) from pg_stats where schemaname = 'app' and tablename = 'docs_k'";
        assert_eq!(client.query_one(analysed, &[]).await.unwrap().get::<_, i64>(0), 1, "the expression has statistics");

        // Forgetting the history runs every file again, over what it made.
        client.execute("delete from refinery_schema_history", &[]).await.unwrap();
        up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(indexes(&client).await, after);
        for version in history(&client).await {
            down(&mut client, place.path(), version).await.unwrap();
        }
        assert_eq!(indexes(&client).await, before);
    }
}

#[tokio::test]
async fn an_index_of_another_collation_or_class_is_not_taken_for_the_wanted_one() {
    let mut client = database("near_misses").await;
    client.batch_execute(WIDE).await.unwrap();
    let all = every_method();
    for (number, made) in [
        (8, "create index docs_note_c on app.docs (note, made)"),
        (8, "create index docs_note_c on app.docs (note collate \"POSIX\", made)"),
        (1, "create index docs_doc on app.docs using gin (doc) where note is not null"),
        (0, "create index docs_tags on app.docs using hash (tags)"),
        (9, "create index docs_k on app.docs (((doc ->> 'k')::bigint)) where tags is not null"),
    ] {
        client.batch_execute(made).await.unwrap();
        let error = up(&mut client, written(&all[number..=number], plan::Options::default()).path()).await.unwrap_err();
        assert!(error.to_string().contains("has another definition"), "{made}: {error}");
        client.batch_execute(&format!("drop index app.{}", all[number].name)).await.unwrap();
    }
}

/// A drop of that index as the snapshot has it.
fn drop_of(snapshot: &Snapshot, name: &str, keys: Vec<CandidateKey>) -> Proposal {
    let existing = snapshot.indexes.iter().find(|index| index.name.name == name).unwrap();
    Proposal { action: Action::Drop, existing: Some(existing.oid), ..proposal(name, index(keys, &[], None)) }
}

/// Every statistics object, and the index `CLUSTER` remembers.
async fn others(client: &Client) -> Vec<String> {
    let query = "select pg_get_statisticsobjdef(oid) from pg_statistic_ext union all select indexrelid::regclass::text from pg_index where indisclustered";
    client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_drop_keeps_what_the_planner_knew_and_its_way_back_restores_the_index() {
    for transactional in [false, true] {
        let name = format!("dropped_{transactional}");
        let mut client = database(&name).await;
        client
            .batch_execute(
                "create index people_lower on app.people (lower(note) desc nulls last) include (age) with (fillfactor = 70) where status <> 'x';
                 alter table app.people cluster on people_pkey; create unique index people_odd on app.people (\"Odd Col\", id);
                 alter table app.people cluster on people_odd; analyze app.people",
            )
            .await
            .unwrap();
        let taken = snapshot(&name).await;
        let mut lower = drop_of(&taken, "people_lower", vec![expression("lower(note)")]);
        lower.statistics =
            vec![NewStatistics { name: "people_lower_note".into(), on: "lower(note)".into(), table: lower.index.table_name.clone() }];
        let odd = drop_of(&taken, "people_odd", vec![column("Odd Col"), column("id")]);
        let place = written_from(&taken, &[lower, odd], plan::Options { transactional, ..plan::Options::default() });
        let (before, others_before) = (indexes(&client).await, others(&client).await);

        up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(indexes(&client).await.keys().collect::<Vec<_>>(), ["people_pkey"]);
        assert_eq!(others(&client).await, ["CREATE STATISTICS app.people_lower_note ON lower(note) FROM app.people"]);
        let known = "select count(*) from pg_stats_ext_exprs where statistics_name = 'people_lower_note' and n_distinct is not null";
        assert_eq!(client.query_one(known, &[]).await.unwrap().get::<_, i64>(0), 1, "analysed before the index went");
        client.execute("delete from refinery_schema_history", &[]).await.unwrap();
        up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("again: {error}"));

        for version in history(&client).await {
            down(&mut client, place.path(), version).await.unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!((indexes(&client).await, others(&client).await), (before, others_before));
    }
}

#[tokio::test]
async fn an_index_that_is_no_longer_the_audited_one_is_not_dropped() {
    let mut client = database("changed_since").await;
    client.batch_execute("create index people_age on app.people (age)").await.unwrap();
    let taken = snapshot("changed_since").await;
    let place = written_from(&taken, &[drop_of(&taken, "people_age", vec![column("age")])], plan::Options::default());
    client.batch_execute("drop index app.people_age; create index people_age on app.people (age, status)").await.unwrap();
    let error = up(&mut client, place.path()).await.unwrap_err();
    assert!(error.to_string().contains("index app.people_age has another definition"), "{error}");
    assert!(indexes(&client).await.contains_key("people_age"));
}

#[tokio::test]
async fn an_invalid_index_is_rebuilt_and_checked() {
    let mut client = database("rebuilt").await;
    client.batch_execute("create unique index concurrently people_age on app.people (age)").await.unwrap_err();
    client.batch_execute("update app.people set age = id").await.unwrap();
    let taken = snapshot("rebuilt").await;
    let wanted = Proposal { action: Action::Reindex, ..drop_of(&taken, "people_age", vec![column("age")]) };
    let place = written_from(&taken, &[wanted], plan::Options::default());
    assert!(!indexes(&client).await["people_age"].1);
    up(&mut client, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(indexes(&client).await["people_age"], ("CREATE UNIQUE INDEX people_age ON app.people USING btree (age)".to_owned(), true));
    let version = history(&client).await[0];
    apply::down(&mut client, place.path(), version, &mut |_| {}).await.unwrap();
    assert!(indexes(&client).await["people_age"].1, "there is nothing to take back");
}

#[tokio::test]
async fn a_rebuild_cut_off_half_way_is_finished_and_its_copy_removed() {
    let mut client = database("rebuild_killed").await;
    client.batch_execute("create index people_age on app.people (age); create index people_age2 on app.people (age, id)").await.unwrap();
    let before = indexes(&client).await;
    let taken = snapshot("rebuild_killed").await;
    let wanted = Proposal { action: Action::Reindex, ..drop_of(&taken, "people_age", vec![column("age")]) };
    let place = written_from(&taken, &[wanted], plan::Options::default());
    let (holder, watcher) = (session("rebuild_killed").await, session("rebuild_killed").await);
    holder.batch_execute("begin isolation level repeatable read; select count(*) from app.people").await.unwrap();
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
    killed.expect("the rebuild waits for the old snapshot");
    assert_eq!(outcome.unwrap_err().sqlstate(), Some("57P01"));
    assert!(!indexes(&watcher).await["people_age_ccnew"].1, "a copy was left behind");
    holder.batch_execute("rollback").await.unwrap();

    let outcome = up(&mut session("rebuild_killed").await, place.path()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.applied[0].healed, ["app.people_age_ccnew"]);
    assert_eq!(indexes(&watcher).await, before);
}
