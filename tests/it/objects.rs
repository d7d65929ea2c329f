//! What planning needs beside tables and indexes, read from a real server.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use pgload::catalog::{KeyTarget, Snapshot, UserTypeKind, View};
use pgload::pg::snapshot::{self, Scope};
use pgload::pg::{Client, Cluster, connect};

use super::snapshot::{index, login, table, take, until};

const SCHEMA: &str = include_str!("objects.sql");

async fn objects() -> (Cluster, Client) {
    let cluster = super::server::start();
    let admin = connect(&cluster.source("postgres")).await.unwrap();
    admin.batch_execute("create database objects").await.unwrap();
    let version: i32 = admin.query_one("select current_setting('server_version_num')::int4", &[]).await.unwrap().get(0);
    let applies = |line: &&str| line.rsplit_once("-- from ").is_none_or(|(_, major)| version / 10_000 >= major.parse().unwrap());
    let client = connect(&cluster.source("objects")).await.unwrap();
    client.batch_execute(&SCHEMA.lines().filter(applies).collect::<Vec<_>>().join("\n")).await.unwrap();
    (cluster, client)
}

fn own_views(snapshot: &Snapshot) -> Vec<&View> {
    snapshot.views.iter().filter(|view| view.extension.is_none()).collect()
}

#[tokio::test]
async fn views_functions_and_types_come_in_an_order_in_which_they_can_be_made() {
    let (cluster, client) = objects().await;
    let snapshot = take(&cluster.source("objects")).await;

    let views: Vec<&View> = own_views(&snapshot);
    let names: Vec<String> = views.iter().map(|view| view.name.to_string()).collect();
    assert_eq!(names, ["shop.early", "shop.late", "shop.aaa"], "late reads early, aaa reads late through a materialized view");
    let early = views[0];
    assert_eq!(
        (early.columns.as_slice(), early.options.as_slice()),
        (&["id".to_owned(), "twice".to_owned()][..], &["security_barrier=true".to_owned()][..])
    );
    assert!(early.definition.contains("FROM shop.orders") && early.definition.contains("'done'::shop.state"), "{}", early.definition);

    let own: Vec<(&str, &str, &str)> = snapshot
        .functions
        .iter()
        .filter(|function| function.extension.is_none())
        .map(|function| (function.name.name.as_str(), function.arguments.as_str(), function.volatility.as_str()))
        .collect();
    assert_eq!(own, [("twice", "n integer", "i"), ("stepped", "n integer", "s")], "no procedure, trigger function or aggregate");
    let similarity = snapshot.functions.iter().find(|function| function.name.name == "similarity").unwrap();
    assert_eq!((similarity.extension.as_deref(), similarity.definition.as_str()), (Some("pg_trgm"), ""));

    let kinds: Vec<(&str, &UserTypeKind)> =
        snapshot.types.iter().filter(|found| found.extension.is_none()).map(|found| (found.name.name.as_str(), &found.kind)).collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        kinds,
        [
            ("state", &UserTypeKind::Enum { labels: vec![text("new"), text("it's"), text("done")] }),
            (
                "pair",
                &UserTypeKind::Composite {
                    attributes: vec![(text("left_state"), text("shop.state")), (text("amount"), text("numeric(8,2)"))]
                }
            ),
            (
                "short",
                &UserTypeKind::Domain {
                    base: text("character varying(9)"),
                    not_null: true,
                    collation: Some(text("\"C\"")),
                    checks: vec![text("CHECK ((length((VALUE)::text) > 0))"), text("CHECK (((VALUE)::text <> 'x'::text))")],
                }
            ),
            ("shorter", &UserTypeKind::Domain { base: text("shop.short"), not_null: false, collation: None, checks: vec![] }),
            ("span", &UserTypeKind::Range { subtype: text("double precision") }),
        ]
    );
    remade(&cluster, &client, &snapshot).await;
}

/// Makes types, functions, tables and views again in a database of their own, from the snapshot alone and in its order.
async fn remade(cluster: &Cluster, client: &Client, snapshot: &Snapshot) {
    client.batch_execute("create database again").await.unwrap();
    let again = connect(&cluster.source("again")).await.unwrap();
    again.batch_execute("create schema shop; create collation shop.plain from \"C\"; set check_function_bodies = off").await.unwrap();
    for found in snapshot.types.iter().filter(|found| found.extension.is_none()) {
        let name = &found.name;
        let sql = match &found.kind {
            UserTypeKind::Enum { labels } => {
                let labels: Vec<String> = labels.iter().map(|label| pgload::catalog::name::literal(label)).collect();
                format!("create type {name} as enum ({})", labels.join(", "))
            }
            UserTypeKind::Composite { attributes } => {
                let attributes: Vec<String> = attributes.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
                format!("create type {name} as ({})", attributes.join(", "))
            }
            UserTypeKind::Range { subtype } => format!("create type {name} as range (subtype = {subtype})"),
            UserTypeKind::Domain { base, collation, checks, .. } => {
                let collation = collation.as_ref().map_or_else(String::new, |collation| format!(" collate {collation}"));
                format!("create domain {name} as {base}{collation} {}", checks.join(" "))
            }
        };
        again.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    for function in snapshot.functions.iter().filter(|function| function.extension.is_none()) {
        again.batch_execute(&function.definition).await.unwrap();
    }
    let orders = table(snapshot, "orders");
    let columns: Vec<String> = orders
        .columns
        .iter()
        .map(|column| {
            let collation = column.collation.as_ref().map_or_else(String::new, |collation| format!(" collate {collation}"));
            format!("{} {}{collation}", column.name, column.type_name)
        })
        .collect();
    again.batch_execute(&format!("create table shop.orders ({})", columns.join(", "))).await.unwrap();
    for view in own_views(snapshot) {
        if view.name.name == "aaa" {
            again.batch_execute("create materialized view shop.middle as select id from shop.late").await.unwrap();
        }
        again.batch_execute(&format!("create view {} as {}", view.name, view.definition)).await.unwrap();
    }
    for statistics in &snapshot.extended_statistics {
        again.batch_execute(&statistics.definition).await.unwrap();
    }
}

#[tokio::test]
async fn partitions_inheritance_policies_and_index_details_are_read() {
    let (cluster, _client) = objects().await;
    let snapshot = take(&cluster.source("objects")).await;

    let events = table(&snapshot, "events");
    assert_eq!((events.partition_key.as_deref(), events.partition_bound.as_deref()), (Some("RANGE (at)"), None));
    let default = table(&snapshot, "events_new");
    assert_eq!((default.partition_key.as_deref(), default.partition_bound.as_deref()), (Some("LIST (region)"), Some("DEFAULT")));
    let europe = table(&snapshot, "events_new_eu");
    assert_eq!((europe.partition_bound.as_deref(), europe.parent), (Some("FOR VALUES IN ('EU')"), Some(default.oid)));
    let at = events.column("at").unwrap();
    assert!(at.statistics.is_none() && at.statistics_inherited.as_ref().unwrap().histogram.len() > 10);
    let legs = table(&snapshot, "animals").column("legs").unwrap();
    assert_eq!(legs.statistics.as_ref().unwrap().common_values, ["4"]);
    assert_eq!(legs.statistics_inherited.as_ref().unwrap().common_values, ["4", "3"]);
    assert_eq!(table(&snapshot, "puppies").parent, Some(table(&snapshot, "dogs").oid));
    assert!(!table(&snapshot, "dogs").is_partition);

    let orders = table(&snapshot, "orders");
    assert!(orders.row_security && !events.row_security);
    let policies: Vec<_> =
        snapshot.policies.iter().map(|policy| (policy.name.as_str(), policy.permissive, policy.command.as_str())).collect();
    assert_eq!(policies, [("own", false, "w"), ("seen", true, "*")]);
    assert_eq!(snapshot.policies[0].roles, ["clerk"]);
    assert_eq!(snapshot.policies[0].using.as_deref(), Some("(state <> 'done'::shop.state)"));
    assert_eq!((snapshot.policies[0].check.as_deref(), snapshot.policies[1].roles.len()), (Some("(id > 0)"), 0));

    let column = |name: &str| orders.column(name).unwrap();
    assert_eq!((column("word").collation.as_deref(), column("code").collation.as_deref()), (Some("shop.plain"), Some("\"C\"")));
    assert!(column("twice").generated && !column("twice").generated_virtual);
    let word = index(&snapshot, "orders_word");
    assert_eq!((word.keys[0].opclass.as_str(), word.keys[0].collation.as_deref()), ("public.gist_trgm_ops", Some("shop.plain")));
    assert!(word.definition.contains("gist_trgm_ops (siglen='32')"), "{}", word.definition);
    assert!(word.pages > 0);
    let types: Vec<Option<&str>> = index(&snapshot, "orders_length")
        .expression_statistics
        .iter()
        .map(|found| found.as_ref().and_then(|found| found.type_name.as_deref()))
        .collect();
    assert_eq!(types, [Some("integer"), Some("timestamp without time zone")]);
    assert!(matches!(&index(&snapshot, "orders_length").keys[0].target, KeyTarget::Expression(text) if text == "length(word)"));
    if snapshot.server.major() >= 17 {
        let ranges = column("during").statistics.as_ref().unwrap().ranges.as_ref().unwrap();
        assert!(ranges.bounds_histogram.len() > 10 && ranges.length_histogram.len() > 10 && ranges.empty_fraction.is_some());
    }
    if snapshot.server.major() >= 18 {
        let double = table(&snapshot, "later").column("double").unwrap();
        assert!(double.generated && double.generated_virtual);
    }
    let whats: Vec<&str> = snapshot.hidden.iter().map(|hidden| hidden.what.as_str()).collect();
    assert_eq!(whats, ["1 foreign tables (shop.remote)"]);
}

#[tokio::test]
async fn extended_statistics_are_read_and_their_owner_shows_them() {
    let (cluster, client) = objects().await;
    let snapshot = take(&cluster.source("objects")).await;
    let named =
        |snapshot: &Snapshot, name: &str| snapshot.extended_statistics.iter().find(|found| found.name.name == name).unwrap().clone();
    let places = named(&snapshot, "places");
    assert_eq!(places.columns, ["city", "country"]);
    assert!(places.definition.starts_with("CREATE STATISTICS shop.places ON city, country FROM shop.orders"), "{}", places.definition);
    let found = places.found.unwrap();
    assert!(!found.inherited && found.distinct.is_some() && found.dependencies.is_some());
    assert!(found.common_values.iter().all(|row| row.len() == 2), "{found:?}");
    assert!(found.common_values.iter().any(|row| row[0].is_none()), "a tenth of the cities is null");
    assert_eq!(
        (found.common_values.len(), found.common_values.len()),
        (found.common_frequencies.len(), found.common_base_frequencies.len())
    );
    let lengths = named(&snapshot, "lengths");
    assert_eq!(lengths.expressions.len(), 2);
    assert_eq!(lengths.expression_statistics[1].as_ref().map(|found| found.distinct), Some(7.0));

    client
        .batch_execute(
            "create role keeper; alter table shop.orders owner to keeper; alter table shop.orders disable row level security;
             create role monitor login; grant pg_monitor to monitor; grant usage on schema shop, parts to monitor;
             grant select on all tables in schema shop, parts to monitor",
        )
        .await
        .unwrap();
    let source = login(&cluster, "monitor").with_database("objects");
    let monitored = take(&source).await;
    let contents = |snapshot: &Snapshot| snapshot.hidden.iter().find(|hidden| hidden.what.starts_with("contents of 2 extended")).cloned();
    if let Some(hidden) = contents(&monitored) {
        assert_eq!(hidden.remedy, "grant keeper to monitor;");
        client.batch_execute(&hidden.remedy).await.unwrap();
    }
    let shown = take(&source).await;
    assert_eq!(contents(&shown), None);
    assert!(named(&shown, "places").found.is_some());
}

#[tokio::test]
async fn the_server_says_how_it_sorts_and_plans() {
    let (cluster, _client) = objects().await;
    let server = take(&cluster.source("objects")).await.server;
    assert_eq!((server.encoding.as_str(), server.locale_provider.as_str(), server.locale.as_deref()), ("UTF8", "c", None));
    assert!(!server.collate.is_empty() && !server.ctype.is_empty());
    assert_eq!(server.collation_mismatches, []);
    let planner = [
        "enable_seqscan",
        "enable_memoize",
        "seq_page_cost",
        "cpu_operator_cost",
        "effective_cache_size",
        "work_mem",
        "hash_mem_multiplier",
        "default_statistics_target",
        "from_collapse_limit",
        "join_collapse_limit",
        "geqo",
        "geqo_threshold",
        "constraint_exclusion",
        "cursor_tuple_fraction",
        "jit",
        "jit_above_cost",
        "parallel_setup_cost",
        "min_parallel_table_scan_size",
        "min_parallel_index_scan_size",
        "max_parallel_workers_per_gather",
        "max_parallel_workers",
        "plan_cache_mode",
        "enable_partitionwise_join",
        "parallel_leader_participation",
    ];
    for name in planner {
        assert!(server.settings.contains_key(name), "{name}");
    }
    assert_eq!(server.number("random_page_cost"), Some(1.5), "as set for this database");
    assert_ne!(server.settings["jit"].source, "session", "the reader's own setting is not the application's");
}

#[tokio::test]
async fn a_chosen_table_brings_its_partitions_and_the_objects_stay_complete() {
    let (cluster, client) = objects().await;
    let mut reader = connect(&cluster.source("objects")).await.unwrap();
    let scope = Scope { tables: vec!["shop.events".to_owned()], ..Scope::default() };
    // The view reads what is locked here, and is the only thing lost.
    client.batch_execute("begin; lock table shop.orders in access exclusive mode").await.unwrap();
    let snapshot = snapshot::capture(&mut reader, &scope).await.unwrap();
    let names: Vec<&str> = snapshot.tables.iter().map(|table| table.name.name.as_str()).collect();
    assert_eq!(names, ["events_new", "events_new_eu", "events_new_rest", "events_old", "events"]);
    assert!(snapshot.hidden.iter().any(|hidden| hidden.what.starts_with("views: ")), "{:?}", snapshot.hidden);
    client.batch_execute("rollback").await.unwrap();
    let snapshot = snapshot::capture(&mut reader, &scope).await.unwrap();
    assert_eq!((own_views(&snapshot).len(), snapshot.tables.len()), (3, 5));
    assert!(snapshot.policies.is_empty() && snapshot.types.len() > 4);
}

#[tokio::test]
async fn a_node_tells_its_own_counters() {
    let (cluster, client) = objects().await;
    let mut snapshot = take(&cluster.source("objects")).await;
    client.batch_execute("set enable_seqscan = off; select city from shop.orders where id = 7; reset enable_seqscan").await.unwrap();
    until(&client, "select pg_stat_get_numscans('shop.orders_pkey'::regclass) > 0").await;
    let node = snapshot::take_node(&cluster.source("objects")).await.unwrap();
    assert!(node.name.ends_with(&format!(":{}", cluster.port())) && !node.in_recovery);
    assert!(node.tables.iter().any(|(name, usage)| name.name == "orders" && usage.rows_inserted == 1000));
    let own = index(&snapshot, "orders_pkey").usage.scans;
    snapshot.add_node(node);
    assert!(!snapshot.hidden.iter().any(|hidden| hidden.what.contains("usage on node")), "{:?}", snapshot.hidden);
    let everywhere = snapshot.index_usage_everywhere(index(&snapshot, "orders_pkey"));
    assert!(everywhere.scans > own && everywhere.nodes == 2 && everywhere.unread_nodes.is_empty(), "{everywhere:?}");
    let gone = snapshot::take_node(&login(&cluster, "nobody")).await.unwrap_err();
    assert!(matches!(gone, snapshot::NodeError::Connect(_)), "{gone}");
}

#[tokio::test]
async fn a_snapshot_of_an_older_writer_is_read() {
    let (cluster, _client) = objects().await;
    let snapshot = take(&cluster.source("objects")).await;
    let mut document = serde_json::to_value(&snapshot).unwrap();
    assert_eq!(serde_json::from_value::<Snapshot>(document.clone()).unwrap(), snapshot);
    for added in ["views", "functions", "types", "extended_statistics", "policies", "nodes", "redacted"] {
        document.as_object_mut().unwrap().remove(added).unwrap();
    }
    for added in ["collate", "ctype", "encoding", "locale_provider", "locale", "collation_mismatches"] {
        document["server"].as_object_mut().unwrap().remove(added).unwrap();
    }
    for table in document["tables"].as_array_mut().unwrap() {
        for added in ["partition_key", "partition_bound", "row_security"] {
            table.as_object_mut().unwrap().remove(added).unwrap();
        }
        for column in table["columns"].as_array_mut().unwrap() {
            column.as_object_mut().unwrap().remove("statistics_inherited").unwrap();
            column.as_object_mut().unwrap().remove("generated_virtual").unwrap();
            if let Some(statistics) = column["statistics"].as_object_mut() {
                statistics.remove("type_name").unwrap();
                statistics.remove("ranges").unwrap();
            }
        }
    }
    for index in document["indexes"].as_array_mut().unwrap() {
        index.as_object_mut().unwrap().remove("pages").unwrap();
    }
    let older: Snapshot = serde_json::from_value(document).unwrap();
    assert_eq!((older.tables.len(), older.views.len(), older.schema_version), (snapshot.tables.len(), 0, 1));
}
