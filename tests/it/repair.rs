//! Texts as `pg_stat_statements` records them, made preparable and then plannable, on a real server.
//!
//! Each statement of `repair.sql` is run with its constants, its recorded text is prepared and repaired until the server
//! takes it, parameters get values, and the result is explained.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pgload::advisor::query::Query;
use pgload::advisor::repair::{Complaint, repair};
use pgload::advisor::values::{bind, sets};
use pgload::catalog::Snapshot;
use pgload::pg::snapshot::{self, Scope};
use pgload::pg::{Cluster, connect};
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::{Client, SimpleQueryMessage};

/// What a caller is expected to grant.
const ROUNDS_MAX: usize = 8;

const SCHEMA: &str = "create extension pg_stat_statements;
    create type order_state as enum ('new', 'paid', 'sent');
    create table users (id bigint primary key, parent_id bigint, name text, email varchar(200), balance numeric(12, 2), token uuid,
        tags text[], labels varchar[], created_at timestamptz, updated_at timestamptz);
    create table orders (id int primary key, user_id bigint, state order_state, total numeric, placed_at timestamptz);
    create table events (id bigint primary key, user_id bigint, kind varchar(20), at timestamptz, day date, data jsonb, address inet,
        amount double precision, flag boolean);";

/// Forms that other versions and other senders write.
const RECORDED: &[&str] = &[
    "select * from users where id in ($1 /*, ... */) and name in ($2, $3 /*, ... */)",
    "select * from users where name = $1and email = $2",
    "select * from events where at > now() - $1",
    "select * from events where at > now() - $1 and at < now() + $2 and kind = $3",
    "select * from users where ($1 is null or id = $1) and ($2 is null or name = $2)",
    "select * from users where name = $1 or id = $1",
    "select * from users where id = $3 limit $5",
    "explain (analyze, buffers) select * from events where at > date $1",
    "create temporary table x as select * from events where at > date $1",
    "copy (select * from events where at > date $1) to stdout with csv",
    "select $1 || name || $2, $3 -> $4, $5 @> tags from users",
    "select é.\"näme\" from (select name as \"näme\" from users) é where é.\"näme\" = 'ü$1' and now() > date $1",
    "select state from orders where state = order_state $1",
    "select unnest($1), array_length($2, $3), to_jsonb($4), lower($5), max($6) from users",
    "select date_trunc($1, $2), age($3), to_char($4, $5), generate_series($6, $7)",
    "select sum($1), avg($2), round($3, $4), abs($5) from users",
    "insert into events (id, kind, at) select distinct $1, $2, $3 from users",
    "select * from users where not exists (select $1 from orders where orders.user_id = users.id and orders.state = any(array[$2]))",
    "select interval $1 month, interval(3) $2, timestamp(3) with time zone $3, interval $4 day to second(2)",
    "select * from users where case when $1 then $2 else $3 end = id",
    "select row($1, $2), array[$3, $4], ($5, $6) = ($7, $8)",
];

/// Prepares the text; the types of its parameters, or what the server complains of.
async fn prepared(client: &Client, text: &str) -> Result<Vec<String>, Complaint> {
    match client.prepare(text).await {
        Ok(statement) => {
            let oids: Vec<u32> = statement.params().iter().map(tokio_postgres::types::Type::oid).collect();
            let question = "select array(select format_type(oid, null) from unnest($1::oid[]) with ordinality u(oid, n) order by n)";
            Ok(client.query_one(question, &[&oids]).await.unwrap().get(0))
        }
        Err(error) => {
            let error = error.as_db_error().expect("an answer of the server");
            let position = match error.position() {
                Some(ErrorPosition::Original(position)) => Some(*position as usize),
                _ => None,
            };
            Err(Complaint { sqlstate: error.code().code().into(), position, message: error.message().into() })
        }
    }
}

/// Repairs the text until the server takes it; the text, its types and the repairs made.
async fn settled(client: &Client, recorded: &str) -> Result<(String, Vec<String>, usize), String> {
    let mut text = recorded.to_owned();
    for round in 0..=ROUNDS_MAX {
        match prepared(client, &text).await {
            Ok(types) => return Ok((text, types, round)),
            Err(complaint) => match repair(&text, &complaint) {
                Some(repaired) => text = repaired,
                None => return Err(format!("no repair of `{text}`: {complaint:?}")),
            },
        }
    }
    Err(format!("still not after {ROUNDS_MAX} rounds: `{text}`"))
}

fn query(text: &str) -> Query {
    Query {
        query_id: None,
        text: text.into(),
        user: "postgres".into(),
        search_path: "public".into(),
        calls: 1,
        rows: 1,
        exec_ms_total: 1.0,
        blocks: Vec::new(),
        writes: Vec::new(),
        parameters: BTreeMap::new(),
        captured: Vec::new(),
    }
}

/// Runs the statement in a transaction that is undone, and returns what was recorded of it.
async fn recorded(client: &Client, statement: &str) -> String {
    client.batch_execute("select pg_stat_statements_reset()").await.unwrap();
    client.batch_execute("begin").await.unwrap();
    client.simple_query(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    client.batch_execute("rollback").await.unwrap();
    let rows = client.simple_query("select query from pg_stat_statements where query not like '%pg_stat_statements%'").await.unwrap();
    let texts: Vec<String> = rows
        .iter()
        .filter_map(|row| match row {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .filter(|text| !["begin", "rollback"].contains(&text.as_str()))
        .collect();
    texts.into_iter().next().unwrap_or_else(|| panic!("{statement} was not recorded"))
}

async fn shop() -> (Cluster, Client, Snapshot) {
    let cluster = super::server::start();
    let client = connect(&cluster.source("postgres")).await.unwrap();
    client.batch_execute(SCHEMA).await.unwrap();
    let snapshot = snapshot::capture(&mut connect(&cluster.source("postgres")).await.unwrap(), &Scope::default()).await.unwrap();
    (cluster, client, snapshot)
}

/// Returns what is wrong with a recorded text, or the repairs it took.
async fn tried(client: &Client, snapshot: &Snapshot, recorded: &str) -> Result<usize, String> {
    let (text, types, rounds) = settled(client, recorded).await?;
    for set in sets(snapshot, &query(recorded), &types) {
        let bound = bind(&text, &set.literals);
        if let Err(error) = client.simple_query(&format!("explain {bound}")).await {
            return Err(format!("not plannable `{bound}`: {}", error.as_db_error().map_or_else(String::new, ToString::to_string)));
        }
    }
    Ok(rounds)
}

#[tokio::test]
async fn ordinary_statements_are_prepared_and_planned_from_their_recorded_texts() {
    let (_cluster, client, snapshot) = shop().await;
    let mut failed = String::new();
    let (mut count, mut repaired) = (0, 0);
    let mut pieces: Vec<(String, String)> = Vec::new();
    for piece in include_str!("repair.sql").split("-- name: ").skip(1) {
        let (name, statement) = piece.split_once('\n').unwrap();
        let statement = statement.trim().trim_end_matches(';');
        pieces.push((name.to_owned(), recorded(&client, statement).await));
    }
    pieces.extend(RECORDED.iter().map(|text| ("as recorded".to_owned(), (*text).to_owned())));
    for (name, text) in &pieces {
        count += 1;
        match tried(&client, &snapshot, text).await {
            Ok(rounds) => repaired += usize::from(rounds > 0),
            Err(reason) => _ = writeln!(failed, "{name}: {text}\n    {reason}"),
        }
    }
    assert!(count >= 51 && repaired >= 70, "{repaired} of {count} needed a repair");
    assert!(failed.is_empty(), "{} of {count} failed ({repaired} repaired)\n{failed}", failed.lines().count() / 2);
}
