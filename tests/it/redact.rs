//! `pgload snapshot --redact` on a real server: nothing of the application's is left, and what is left the server still reads.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use pgload::catalog::{Column, ColumnStatistics, Snapshot, TableKind};
use pgload::pg::{Client, Cluster, connect};

use super::snapshot::{take, until};

const SCHEMA: &str = "
    create schema shop;
    create type shop.state as enum ('new', 'failed', 'done');
    create domain shop.email as text;
    create table shop.people (
        id bigint primary key, name text, plain text collate \"C\", email shop.email, state shop.state, status text, active boolean,
        pay numeric(10, 2), small smallint, ratio real, born date, at timestamptz, naive timestamp(3), clock time, key uuid, host inet,
        net cidr, raw bytea, code char(12), tags text[], numbers int[], doc jsonb, during tstzrange, span int4range, words tsvector,
        place point, wait interval
    );
    create index people_failed on shop.people (at) where status = 'failed';
    create index people_lower on shop.people (lower(name), ((doc ->> 'amount')::numeric));
    create statistics shop.people_names (mcv) on name, status, (lower(name)) from shop.people;
    insert into shop.people
        select n, case when n % 3 = 0 then 'Xenia Geheim' else initcap(substr(md5(n::text), 1, 6)) || ' O''Neil-' || n % 40 end,
            chr(65 + n % 26) || chr(122 - n % 26), 'xenia' || n % 50 || '@geheim.example',
            (array['new', 'failed', 'done'])[1 + n % 3]::shop.state, (array['done', 'failed', 'Xenia status'])[1 + n % 3], n % 2 = 0,
            n * 13.37, n % 300 - 150, n / 7.0, date '1987-03-14' + n % 9000, now() - n * interval '7 hours 13 minutes',
            timestamp '1987-03-14 04:37:12' + n * interval '17 hours', time '04:37:12' + n * interval '13 seconds',
            md5((n % 40)::text)::uuid, ('203.0.113.' || n % 250)::inet, ('10.' || n % 200 || '.0.0/16')::cidr, decode(md5((n % 40)::text), 'hex'),
            'xg' || n % 30, array['geheim' || n % 7, 'x, \"y\"'], array[n % 11 * 1000, 424242],
            jsonb_build_object('amount', n % 20, 'owner', 'Xenia Geheim', 'card', 4929001122334455),
            tstzrange(now() - n * interval '1 day', now()), int4range(n, n + 4242), to_tsvector('simple', 'geheim wort' || n % 9),
            point(n, 1), n % 5 * interval '1 day'
        from generate_series(1, 3000) n;
    create extension if not exists pg_stat_statements;
    analyze";

/// Each is in a statistic, a statement or both, and nowhere in the schema.
const SECRETS: [&str; 9] =
    ["geheim", "xenia", "4929001122334455", "1987-03-14", "203.0.113", "O'Neil", "424242", "98765432", "c4ca4238a0b9"];

async fn people() -> (Cluster, Client) {
    let cluster = super::server::start();
    let admin = connect(&cluster.source("postgres")).await.unwrap();
    admin.batch_execute("create database shop").await.unwrap();
    let client = connect(&cluster.source("shop")).await.unwrap();
    client.batch_execute(SCHEMA).await.unwrap();
    // A text that the server does not normalise.
    client.batch_execute("do $$ begin perform 'Xenia Geheim', 98765432; end $$; set application_name = 'geheim'").await.unwrap();
    until(&client, "select n_tup_ins = 3000 from pg_stat_user_tables where relname = 'people'").await;
    (cluster, client)
}

fn redacted(cluster: &Cluster) -> String {
    let mut command = assert_cmd::Command::cargo_bin("pgload").unwrap();
    let assert = command.env("DATABASE_URL", cluster.url("shop")).args(["snapshot", "--redact", "-o", "-"]).assert().success();
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

#[tokio::test]
async fn a_redacted_snapshot_holds_no_value_and_the_server_reads_what_it_holds() {
    let (cluster, client) = people().await;
    let plain = take(&cluster.source("shop")).await;
    let text = serde_json::to_string(&plain).unwrap().to_lowercase();
    for secret in SECRETS {
        assert!(text.contains(&secret.to_lowercase()), "{secret} was planted");
    }
    let file = redacted(&cluster);
    for secret in SECRETS {
        let at = file.to_lowercase().find(&secret.to_lowercase());
        assert_eq!(at, None, "{secret}: …{}…", at.map_or("", |at| file.get(at.saturating_sub(80)..at + 40).unwrap_or_default()));
    }
    let redacted: Snapshot = serde_json::from_str(&file).unwrap();
    assert!(redacted.redacted);
    let hidden: Vec<&str> = redacted.hidden.iter().map(|hidden| hidden.what.as_str()).collect();
    assert_eq!(hidden, ["values of 1 columns, which --redact could not replace (shop.people.wait)"]);

    let table = |snapshot: &Snapshot| snapshot.tables.iter().find(|table| table.name.name == "people").unwrap().clone();
    let (before, after) = (table(&plain), table(&redacted));
    assert_eq!(after.kind, TableKind::Table);
    for (before, after) in before.columns.iter().zip(&after.columns) {
        let (Some(was), Some(is)) = (&before.statistics, &after.statistics) else { panic!("{} was analysed", before.name) };
        assert_eq!(
            (was.null_fraction, was.width, was.distinct, was.correlation),
            (is.null_fraction, is.width, is.distinct, is.correlation)
        );
        if !["wait", "words", "place"].contains(&before.name.as_str()) {
            assert_eq!((&was.common_frequencies, was.histogram.len()), (&is.common_frequencies, is.histogram.len()), "{}", before.name);
        }
        readable(&client, after, is).await;
    }
    let common = |name: &str| &after.column(name).unwrap().statistics.as_ref().unwrap().common_values;
    assert_eq!(common("state"), &before.column("state").unwrap().statistics.as_ref().unwrap().common_values);
    assert!(common("active").iter().all(|value| value == "t" || value == "f"));
    assert!(common("status").contains(&"failed".to_owned()), "the partial index still matches: {:?}", common("status"));
    let extended = redacted.extended_statistics[0].found.as_ref().unwrap();
    assert_eq!(extended.common_values.len(), plain.extended_statistics[0].found.as_ref().unwrap().common_values.len());
    assert!(common("name").contains(extended.common_values[0][0].as_ref().unwrap()));
}

/// Lets the server read a column's lists as its type, and check that what was sorted is sorted.
async fn readable(client: &Client, column: &Column, statistics: &ColumnStatistics) {
    let collation = column.collation.as_ref().map_or_else(String::new, |collation| format!(" collate {collation}"));
    for (list, sorted) in [(&statistics.common_values, false), (&statistics.histogram, true)] {
        let kind = &column.type_name;
        let sql = format!(
            "select coalesce(array_agg(value order by value{collation}), '{{}}') = coalesce(array_agg(value order by at), '{{}}'), count(distinct value)
             from (select text::{kind} as value, at from unnest($1::text[]) with ordinality as u (text, at)) as v"
        );
        // A point has no order; and no list either.
        if list.is_empty() {
            continue;
        }
        let row = client.query_one(&sql, &[list]).await.unwrap_or_else(|error| panic!("{}: {error:?} {list:?}", column.name));
        // The order of documents is that of their keys and lengths, which change; the planner only samples them.
        assert!(!sorted || row.get::<_, bool>(0) || kind == "jsonb", "{}: {list:?}", column.name);
        assert_eq!(row.get::<_, i64>(1), list.len() as i64, "{}: none twice", column.name);
    }
}
