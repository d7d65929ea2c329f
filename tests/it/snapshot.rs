//! Snapshots of real servers: what is read, what a role may not see, and that reading leaves no trace.
//!
//! `PGLOAD_PG_BIN=FOLDER cargo test --test it snapshot` runs them on another version's server.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use std::time::{Duration, Instant};

use pgload::catalog::{ConstraintKind, Index, KeyTarget, Snapshot, StatementSource, Table, TableKind};
use pgload::pg::snapshot::{self, Scope};
use pgload::pg::{Cluster, Source, connect, source};
use tokio_postgres::Client;

const SCHEMA: &str = include_str!("snapshot.sql");

/// 10 s: counts of a session that ended are there within milliseconds (within half a second before version 15).
const COUNTED_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a database `shop` and waits until what was done to it has been counted.
async fn shop() -> (Cluster, Client) {
    let cluster = super::server::start();
    let admin = connect(&cluster.source("postgres")).await.unwrap();
    admin.batch_execute("create database shop").await.unwrap();
    let version: i32 = admin.query_one("select current_setting('server_version_num')::int4", &[]).await.unwrap().get(0);
    let applies = |line: &&str| line.rsplit_once("-- from ").is_none_or(|(_, major)| version / 10_000 >= major.parse().unwrap());
    let maker = connect(&cluster.source("shop")).await.unwrap();
    maker.batch_execute(&SCHEMA.lines().filter(applies).collect::<Vec<_>>().join("\n")).await.unwrap();
    let failed = maker.batch_execute("create unique index concurrently scratch_invalid on shop.scratch (a)").await;
    assert!(failed.is_err(), "ten equal values cannot be unique");
    drop(maker);
    let client = connect(&cluster.source("shop")).await.unwrap();
    until(&client, "select n_tup_ins = 1000 from pg_stat_user_tables where relname = 'customers'").await;
    (cluster, client)
}

/// Waits until a question is answered with true.
pub(super) async fn until(client: &Client, question: &str) {
    let begun = Instant::now();
    while !client.query_one(question, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(begun.elapsed() < COUNTED_TIMEOUT, "still not so: {question}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn take(source: &Source) -> Snapshot {
    snapshot::capture(&mut connect(source).await.unwrap(), &Scope::default()).await.unwrap()
}

pub(super) fn login(cluster: &Cluster, role: &str) -> Source {
    let text = format!("host={} port={} user={role} dbname=shop", cluster.socket_folder().display(), cluster.port());
    Source::resolve(Some(&text), &source::Environment::default()).unwrap()
}

pub(super) fn table<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Table {
    snapshot.tables.iter().find(|table| table.name.name == name).unwrap_or_else(|| panic!("no table {name}"))
}

pub(super) fn index<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Index {
    snapshot.indexes.iter().find(|index| index.name.name == name).unwrap_or_else(|| panic!("no index {name}"))
}

#[tokio::test]
async fn tables_columns_and_their_statistics_are_read() {
    let (cluster, _client) = shop().await;
    let snapshot = take(&cluster.source("shop")).await;
    let names: Vec<String> = snapshot.tables.iter().map(|table| table.name.to_string()).collect();
    let wanted =
        ["shop.\"Order Lines\"", "shop.customers", "shop.events", "shop.events_2024", "shop.events_rest", "shop.moods", "shop.scratch"];
    let mut sorted: Vec<String> = wanted.map(str::to_owned).to_vec();
    sorted.sort();
    let mut found = names.clone();
    found.sort();
    assert_eq!(found, sorted, "views and the system's tables are left out");

    let customers = table(&snapshot, "customers");
    assert_eq!((customers.kind, customers.rows, customers.parent), (TableKind::Table, Some(1000.0), None));
    assert!(customers.heap_bytes > 0 && customers.total_bytes > customers.heap_bytes && customers.pages > 0);
    assert!(customers.usage.rows_inserted == 1000 && customers.usage.last_analyze_at.is_some(), "{:?}", customers.usage);
    let columns: Vec<(i16, &str, &str, &str, bool)> = customers
        .columns
        .iter()
        .map(|column| (column.number, column.name.as_str(), column.type_name.as_str(), column.type_category.as_str(), column.btree))
        .collect();
    let wanted = [
        (1, "id", "bigint", "N", true),
        (2, "email", "shop.work_email", "S", true),
        (3, "mood", "shop.mood", "E", true),
        (4, "tags", "text[]", "A", true),
        (5, "name", "character varying(40)", "S", true),
        (6, "name_length", "integer", "N", true),
        (8, "place", "point", "G", false),
    ];
    assert_eq!(columns, wanted);
    let column = |name: &str| customers.column(name).unwrap();
    assert!(column("id").not_null && column("email").not_null && !column("mood").not_null);
    assert_eq!(column("mood").default.as_deref(), Some("'ok'::shop.mood"));
    assert_eq!((column("name").collation.as_deref(), column("email").collation.as_deref()), (Some("\"C\""), None));
    assert!(column("name_length").generated && column("name_length").default.as_deref() == Some("length((name)::text)"));
    let mood = column("mood").statistics.as_ref().unwrap();
    assert_eq!((mood.distinct, mood.common_values.len(), mood.null_fraction), (3.0, 3, 0.0));
    let email = column("email").statistics.as_ref().unwrap();
    assert!(email.distinct == -1.0 && email.histogram.len() > 10 && email.correlation.is_some(), "{email:?}");
    let tags = column("tags").statistics.as_ref().unwrap();
    assert!((tags.null_fraction - 0.1).abs() < 0.001);
    let elements = tags.elements.as_ref().unwrap();
    assert!(elements.common_values.contains(&"all, \"quoted\"".to_owned()), "{elements:?}");
    assert!(elements.common_frequencies.len() >= elements.common_values.len() + 2 && !elements.count_histogram.is_empty());
    assert_eq!(column("place").statistics.as_ref().map(|found| found.null_fraction), Some(1.0));

    let events = table(&snapshot, "events");
    assert_eq!((events.kind, events.heap_bytes, events.is_partition), (TableKind::Partitioned, 0, false));
    let partition = table(&snapshot, "events_2024");
    assert_eq!((partition.kind, partition.is_partition, partition.parent), (TableKind::Table, true, Some(events.oid)));
    assert_eq!(table(&snapshot, "moods").kind, TableKind::MaterializedView);
    assert_eq!(table(&snapshot, "scratch").persistence, "u");
    assert_eq!(table(&snapshot, "Order Lines").options, ["fillfactor=80"]);
}

#[tokio::test]
async fn indexes_and_constraints_are_read() {
    let (cluster, _client) = shop().await;
    let snapshot = take(&cluster.source("shop")).await;
    let key = |name: &str, at: usize| index(&snapshot, name).keys[at].clone();

    let lower = index(&snapshot, "customers_lower");
    assert_eq!(lower.keys[0].target, KeyTarget::Expression("lower(email::text)".to_owned()));
    assert_eq!(lower.keys[1].target, KeyTarget::Column("id".to_owned()));
    assert_eq!(lower.expression_statistics.len(), 1);
    assert_eq!(lower.expression_statistics[0].as_ref().map(|found| found.distinct), Some(-1.0));

    let partial = index(&snapshot, "customers_partial");
    assert_eq!(partial.predicate.as_deref(), Some("(mood = 'happy'::shop.mood)"));
    assert_eq!(partial.included, ["mood"]);
    assert!(partial.keys[0].descending && !partial.keys[0].nulls_first && partial.keys.len() == 1);
    assert_eq!(partial.keys[0].collation.as_deref(), Some("\"C\""));
    assert!(partial.rows.is_some_and(|rows| (rows - 333.0).abs() < 2.0));

    assert_eq!(
        (index(&snapshot, "customers_tags").access_method.as_str(), key("customers_tags", 0).opclass.as_str()),
        ("gin", "array_ops")
    );
    assert_eq!(index(&snapshot, "customers_name_hash").access_method, "hash");
    let pattern = index(&snapshot, "customers_pattern");
    assert_eq!((pattern.keys[0].opclass.as_str(), pattern.keys[0].opclass_is_default), ("text_pattern_ops", false));
    assert_eq!(pattern.options, ["fillfactor=70"]);
    if snapshot.server.major() >= 15 {
        let distinct = index(&snapshot, "scratch_nulls");
        assert!(distinct.unique && distinct.nulls_not_distinct && distinct.usable());
    }
    let invalid = index(&snapshot, "scratch_invalid");
    assert!(!invalid.valid && !invalid.ready && invalid.live && !invalid.building && !invalid.usable());

    let primary = index(&snapshot, "customers_pkey");
    assert!(primary.primary && primary.unique && primary.referenced && primary.size_bytes > 0);
    assert_eq!(primary.constraint.as_deref(), Some("customers_pkey"));
    assert_eq!(primary.definition, "CREATE UNIQUE INDEX customers_pkey ON shop.customers USING btree (id)");
    let exclusion = index(&snapshot, "Order Lines_customer_during_excl");
    assert!(exclusion.exclusion && exclusion.constraint.is_some());
    assert_eq!(exclusion.keys[0].opclass, "public.gist_int8_ops");
    let parent = index(&snapshot, "events_kind");
    assert_eq!(index(&snapshot, "events_2024_kind_idx").parent, Some(parent.oid));
    assert_eq!(parent.size_bytes, 0);

    let lines = table(&snapshot, "Order Lines").oid;
    let kinds: Vec<ConstraintKind> = snapshot.constraints.iter().filter(|found| found.table == lines).map(|found| found.kind).collect();
    assert_eq!(kinds, [ConstraintKind::Check, ConstraintKind::Exclusion, ConstraintKind::Foreign], "in order of name");
    let foreign = snapshot.constraints.iter().find(|found| found.kind == ConstraintKind::Foreign).unwrap();
    let target = foreign.foreign.as_ref().unwrap();
    assert_eq!((foreign.columns.as_slice(), target.columns.as_slice()), (&["customer".to_owned()][..], &["id".to_owned()][..]));
    assert_eq!(
        (target.table_name.to_string().as_str(), target.on_delete.as_str(), target.on_update.as_str()),
        ("shop.customers", "c", "n")
    );
    let inherited = snapshot.constraints.iter().find(|found| found.name == "events_2024_pkey").unwrap();
    assert!(inherited.parent.is_some() && inherited.columns == ["id", "at"]);
}

#[tokio::test]
async fn statements_are_read_and_the_snapshot_survives_json() {
    let (cluster, client) = shop().await;
    client.batch_execute("alter role postgres in database shop set search_path = shop, public").await.unwrap();
    for _ in 0..3 {
        client.query("select note from shop.\"Order Lines\" where \"Line No\" = $1", &[&7_i32]).await.unwrap();
    }
    let snapshot = take(&cluster.source("shop")).await;
    let ours = |text: &Option<String>| text.as_deref().is_some_and(|text| text.starts_with("select note from"));
    let statement = snapshot.statements.iter().find(|statement| ours(&statement.query)).unwrap();
    assert_eq!((statement.calls, statement.rows, statement.user.as_str(), statement.top_level), (3, 0, "postgres", true));
    assert_eq!(statement.search_path, "shop, public");
    assert!(statement.query_id.is_some() && statement.exec_ms_total > 0.0 && statement.exec_ms_max <= statement.exec_ms_total);
    assert_eq!(statement.stats_since.is_some(), snapshot.server.major() >= 17);
    assert!(snapshot.statements.windows(2).all(|pair| pair[0].exec_ms_total >= pair[1].exec_ms_total));
    assert!(matches!(snapshot.statement_source, StatementSource::Available { evicted: 0, reset_at: Some(_) }));

    assert_eq!(snapshot.server.user, "postgres");
    assert!(snapshot.server.database_bytes > 1_000_000 && snapshot.server.started_at.is_some() && !snapshot.server.in_recovery);
    assert_eq!(snapshot.server.number("random_page_cost"), Some(4.0));
    assert!(snapshot.server.has_extension("btree_gist"));
    assert_eq!(snapshot.hidden, []);
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
}

#[tokio::test]
async fn the_grants_for_what_is_hidden_show_it() {
    let (cluster, client) = shop().await;
    client
        .batch_execute(
            "create role \"No Body\" login; create role monitor login; grant pg_monitor to monitor;
             grant usage on schema shop to monitor; grant select on all tables in schema shop to monitor;
             create role other login; grant usage on schema shop to other; grant select (id) on shop.customers to other",
        )
        .await
        .unwrap();
    let nobody = login(&cluster, "'No Body'");
    let snapshot = take(&nobody).await;
    assert_eq!(snapshot.tables.len(), 7, "the catalog is open to all");
    assert!(snapshot.tables.iter().flat_map(|table| &table.columns).all(|column| column.statistics.is_none()));
    let whats: Vec<&str> = snapshot.hidden.iter().map(|hidden| hidden.what.as_str()).collect();
    assert!(
        whats.len() == 3 && whats[0].starts_with("text of ") && whats[1].starts_with("column statistics of 7 tables in schema shop"),
        "{whats:?}"
    );
    for hidden in &snapshot.hidden {
        client.batch_execute(&hidden.remedy).await.unwrap_or_else(|error| panic!("{}: {error}", hidden.remedy));
    }
    let shown = take(&nobody).await;
    assert_eq!(shown.hidden, []);
    assert!(table(&shown, "customers").columns.iter().all(|column| column.statistics.is_some()));
    assert!(index(&shown, "customers_lower").expression_statistics[0].is_some());

    let monitored = take(&login(&cluster, "monitor")).await;
    assert!(table(&monitored, "customers").columns.iter().all(|column| column.statistics.is_some()));
    assert!(monitored.statements.iter().any(|statement| statement.query.is_some()));
    let remedies: Vec<&str> = monitored.hidden.iter().map(|hidden| hidden.remedy.as_str()).collect();
    assert_eq!(remedies, ["grant pg_read_all_data to monitor;"], "SELECT on a table does not show its index expressions' statistics");

    let partly = take(&login(&cluster, "other")).await;
    assert!(partly.hidden.iter().any(|hidden| hidden.what.contains("7 tables in schema shop")), "one column of many is not the table");

    client.batch_execute("alter table shop.customers enable row level security").await.unwrap();
    let secured = take(&login(&cluster, "monitor")).await;
    let entry = secured.hidden.iter().find(|hidden| hidden.what.contains("row security (shop.customers)")).unwrap();
    client.batch_execute(&entry.remedy).await.unwrap();
    let bypassed = take(&login(&cluster, "monitor")).await;
    assert!(!bypassed.hidden.iter().any(|hidden| hidden.what.contains("row security")));
    assert!(table(&bypassed, "customers").columns.iter().all(|column| column.statistics.is_some()));
}

#[tokio::test]
async fn without_pg_stat_statements_the_catalog_is_still_read() {
    let (cluster, client) = shop().await;
    client.batch_execute("drop extension pg_stat_statements").await.unwrap();
    let missing = take(&cluster.source("shop")).await;
    let StatementSource::Missing { remedy, .. } = &missing.statement_source else { panic!("{:?}", missing.statement_source) };
    assert_eq!((missing.tables.len(), missing.statements.len()), (7, 0));
    client.batch_execute(remedy).await.unwrap();
    let present = take(&cluster.source("shop")).await;
    assert!(matches!(present.statement_source, StatementSource::Available { .. }), "the remedy works as it stands");
}

#[tokio::test]
async fn a_library_that_is_not_preloaded_is_no_error() {
    let options = super::server::options().with("shared_preload_libraries", "auto_explain");
    let cluster = Cluster::start(&options).unwrap();
    let admin = connect(&cluster.source("postgres")).await.unwrap();
    admin.batch_execute("create database shop").await.unwrap();
    let snapshot = take(&cluster.source("shop")).await;
    let StatementSource::Missing { reason, remedy } = &snapshot.statement_source else { panic!("{:?}", snapshot.statement_source) };
    assert!(reason.contains("55000"), "{reason}");
    assert!(remedy.starts_with("alter system set shared_preload_libraries = 'auto_explain', 'pg_stat_statements';"), "{remedy}");
    admin.simple_query(remedy).await.unwrap();
}

#[tokio::test]
async fn a_scope_narrows_and_its_unknown_names_are_errors() {
    let (cluster, _client) = shop().await;
    let mut client = connect(&cluster.source("shop")).await.unwrap();
    let scope = |schemas: &[&str], tables: &[&str]| Scope {
        schemas: schemas.iter().map(|name| (*name).to_owned()).collect(),
        tables: tables.iter().map(|name| (*name).to_owned()).collect(),
    };
    let some = snapshot::capture(&mut client, &scope(&["shop"], &["scratch", "shop.Order Lines"])).await.unwrap();
    assert_eq!(some.tables.len(), 2);
    assert!(some.indexes.iter().all(|index| some.tables.iter().any(|table| table.oid == index.table)));
    let schema = snapshot::capture(&mut client, &scope(&["shop", "shpo"], &[])).await.unwrap_err().to_string();
    assert!(schema.contains("schema shpo"), "{schema}");
    let table = snapshot::capture(&mut client, &scope(&[], &["shop.custmers"])).await.unwrap_err().to_string();
    assert!(table.contains("table shop.custmers"), "{table}");
    let again = snapshot::capture(&mut client, &Scope::default()).await.unwrap();
    assert_eq!(again.tables.len(), 7, "the session is usable after a refusal");
}

#[tokio::test]
async fn a_locked_table_is_named_in_the_error() {
    let (cluster, client) = shop().await;
    client.batch_execute("begin; lock table shop.scratch in access exclusive mode").await.unwrap();
    let begun = Instant::now();
    let mut reader = connect(&cluster.source("shop")).await.unwrap();
    let error = snapshot::capture(&mut reader, &Scope::default()).await.unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_secs(8), "the audit does not queue behind DDL");
    assert!(error.contains("holds shop.scratch exclusively"), "{error}");
}

#[tokio::test]
async fn reading_writes_nothing_and_counts_no_scan() {
    let (cluster, client) = shop().await;
    let scans = "select coalesce(sum(idx_scan), 0)::int8 from pg_stat_user_indexes";
    let before: (i64, i64) = (client.query_one(scans, &[]).await.unwrap().get(0), written(&client).await);
    let mut reader = connect(&cluster.source("shop")).await.unwrap();
    snapshot::capture(&mut reader, &Scope::default()).await.unwrap();
    drop(reader);
    until(&client, "select count(*) = 1 from pg_stat_activity where datname = current_database() and backend_type = 'client backend'")
        .await;
    let after: (i64, i64) = (client.query_one(scans, &[]).await.unwrap().get(0), written(&client).await);
    assert_eq!(after, before);
}

/// Counts rows changed in any table, the system's included.
async fn written(client: &Client) -> i64 {
    let counted = "select sum(n_tup_ins + n_tup_upd + n_tup_del)::int8 from pg_stat_all_tables";
    client.query_one(counted, &[]).await.unwrap().get(0)
}

#[tokio::test]
#[ignore = "makes 2 000 tables and 10 000 indexes: about a minute"]
async fn a_large_catalog_is_read_within_seconds() {
    let cluster = super::server::start();
    let mut client = connect(&cluster.source("postgres")).await.unwrap();
    // A hundred tables a transaction: a lock for each table and index must fit into the lock table.
    for part in 0..20 {
        let make = format!(
            "do $$ begin for n in {part} * 100 .. {part} * 100 + 99 loop
                 execute format('create table t%s (id bigint primary key, a int, b text, c timestamptz, d jsonb, e numeric)', n);
                 execute format('create index on t%s (a)', n);
                 execute format('create index on t%s (lower(b))', n);
                 execute format('create index on t%s (c desc) where a > 0', n);
                 execute format('create index on t%s using gin (d)', n);
                 execute format('insert into t%s select i, i %% 7, ''text '' || i, now(), ''{{}}'', i from generate_series(1, 200) i', n);
             end loop; end $$"
        );
        client.batch_execute(&make).await.unwrap();
    }
    client.batch_execute("vacuum analyze").await.unwrap();
    let begun = Instant::now();
    let snapshot = snapshot::capture(&mut client, &Scope::default()).await.unwrap();
    let taken = begun.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").trim();
    let peak_mb = peak.parse::<u64>().unwrap() / 1024;
    println!("{} tables, {} indexes: {taken:?}, {peak_mb} MB resident at most", snapshot.tables.len(), snapshot.indexes.len());
    let slowest = "select substr(query, 1, 60), total_exec_time from pg_stat_statements where query like '-- Question:%'
                   order by total_exec_time desc";
    client.batch_execute("create extension if not exists pg_stat_statements").await.unwrap();
    for row in client.query(slowest, &[]).await.unwrap() {
        println!("{:8.1} ms  {}", row.get::<_, f64>(1), row.get::<_, String>(0).replace('\n', " "));
    }
    assert_eq!((snapshot.tables.len(), snapshot.indexes.len()), (2_000, 10_000));
    assert!(snapshot.tables.iter().all(|table| table.columns[1].statistics.is_some()));
    assert!(taken < Duration::from_secs(5) && peak_mb < 300, "{taken:?}, {peak_mb} MB");
}
