//! A server, databases, proposals and folders of migrations for the tests beside this file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use pgload::advisor::{Action, Candidate, CandidateKey, Confidence, Proposal, WriteCost};
use pgload::catalog::{KeyTarget, QualifiedName, Snapshot};
use pgload::diff::Diff;
use pgload::migration::history::{Done, Outcome};
use pgload::migration::plan;
use pgload::pg::apply::{self, ApplyError};
use pgload::pg::binaries::Binaries;
use pgload::pg::snapshot::{Scope, capture};
use pgload::pg::{Cluster, cluster, connect};
use pgload::units::Bytes;
use tempfile::TempDir;
use tokio_postgres::Client;

const SCHEMA: &str = "
    create schema app;
    create table app.people (id bigint primary key, email varchar(80), status text, note text, age int, \"Odd Col\" int, made timestamptz);
    insert into app.people select n, 'P' || n || '@example.org', (array['new','open','done'])[1 + n % 3], 'note', n % 7, n, now()
      from generate_series(1, 500) n;
    create table app.other (id bigint, age int);";

/// One server for all tests of this file, a database each; the watchdog removes it when the process ends.
pub(super) fn server() -> &'static Cluster {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(|| {
        let search_path: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
        let binaries = Binaries::find(None, &search_path).expect("a PostgreSQL server is installed");
        Cluster::start(&cluster::Options::new(binaries).with("max_prepared_transactions", "4")).expect("the server starts")
    })
}

pub(super) async fn session(database: &str) -> Client {
    connect(&server().source(database)).await.expect("the server accepts connections")
}

pub(super) async fn database(name: &str) -> Client {
    session("postgres").await.batch_execute(&format!("create database {name}")).await.unwrap();
    let client = session(name).await;
    client.batch_execute(SCHEMA).await.unwrap();
    client
}

pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(place.path().join(name), text).unwrap();
    }
    place
}

pub(super) fn column(name: &str) -> CandidateKey {
    CandidateKey { target: KeyTarget::Column(name.into()), descending: false, nulls_first: false, opclass: None, collation: None }
}

pub(super) fn expression(text: &str) -> CandidateKey {
    CandidateKey { target: KeyTarget::Expression(text.into()), ..column("") }
}

pub(super) fn index(keys: Vec<CandidateKey>, included: &[&str], predicate: Option<&str>) -> Candidate {
    Candidate {
        table: 0,
        table_name: QualifiedName::new("app", "people"),
        method: "btree".into(),
        keys,
        included: included.iter().map(|&name| name.to_owned()).collect(),
        predicate: predicate.map(str::to_owned),
    }
}

pub(super) fn proposal(name: &str, index: Candidate) -> Proposal {
    Proposal {
        action: Action::Create,
        name: name.into(),
        index,
        size_bytes: Bytes(16_384),
        workload_cost: Diff { before: 10.0, after: 5.0 },
        statements: Vec::new(),
        write_cost: WriteCost::default(),
        expected_ms: None,
        build_ms: None,
        existing: None,
        statistics: Vec::new(),
        hot_loss: 0,
        supersedes: Vec::new(),
        confidence: Confidence::Medium,
        risks: Vec::new(),
    }
}

/// Every kind of key an index of this cut can have; the expressions and predicates are not as the server would print them.
pub(super) fn every_kind() -> Vec<Proposal> {
    let like = CandidateKey { opclass: Some("text_pattern_ops".into()), ..column("note") };
    let latest = CandidateKey { descending: true, nulls_first: false, ..column("made") };
    let usual_latest = CandidateKey { descending: true, nulls_first: true, ..column("made") };
    vec![
        proposal("idx_people_email", index(vec![column("email")], &[], None)),
        proposal("idx_people_status_made", index(vec![column("status"), usual_latest], &["id"], None)),
        proposal("idx_people_made", index(vec![latest], &[], Some("status in ('new', 'open') and email <> '$pgload$'"))),
        proposal("idx_people_note", index(vec![like], &[], None)),
        proposal("Idx People Odd", index(vec![column("Odd Col"), expression("age+1")], &["Odd Col"], None)),
        proposal("idx_people_lower", index(vec![expression("lower(email)")], &[], Some("note is not null"))),
    ]
}

/// Reads the snapshot as an audit does, over a connection of its own.
pub(super) async fn snapshot(database: &str) -> Snapshot {
    capture(&mut session(database).await, &Scope::default()).await.unwrap()
}

/// Writes migrations of proposals on tables that are not partitioned, for which no snapshot is needed.
pub(super) fn written(proposals: &[Proposal], options: plan::Options) -> TempDir {
    written_from(&empty(), proposals, options)
}

/// A snapshot of a database without relations.
fn empty() -> Snapshot {
    let server = serde_json::json!({
        "version_num": 150_000, "database": "shop", "user": "auditor", "in_recovery": false, "stats_reset_at": null, "started_at": null,
        "database_bytes": 0, "settings": {}, "extensions": [],
    });
    serde_json::from_value(serde_json::json!({
        "schema_version": 1, "taken_at": "2026-11-20T09:00:00Z", "server": server, "tables": [], "indexes": [], "constraints": [],
        "statements": [], "statement_source": { "state": "available", "evicted": 0, "reset_at": null }, "hidden": [],
    }))
    .unwrap()
}

pub(super) fn written_from(snapshot: &Snapshot, proposals: &[Proposal], options: plan::Options) -> TempDir {
    let migrations = plan::write(proposals, snapshot, "2026-11-23T09:45:00Z".parse().unwrap(), options);
    let files: Vec<(String, String)> = migrations.iter().flat_map(|migration| options.layout.files(migration)).collect();
    folder(&files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

pub(super) async fn up(client: &mut Client, folder: &Path) -> Result<Outcome, ApplyError> {
    apply::up(client, folder, &mut |_| {}).await
}

pub(super) async fn down(client: &mut Client, folder: &Path, version: i64) -> Result<Done, ApplyError> {
    apply::down(client, folder, version, &mut |_| {}).await
}

/// Definition and validity of every index in the application's schema.
pub(super) async fn indexes(client: &Client) -> BTreeMap<String, (String, bool)> {
    let query = "select c.relname::text, pg_get_indexdef(c.oid), i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid
                  where c.relnamespace = 'app'::regnamespace";
    client.query(query, &[]).await.unwrap().iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
}

pub(super) async fn history(client: &Client) -> Vec<i64> {
    let rows = client.query("select version from refinery_schema_history order by version", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
