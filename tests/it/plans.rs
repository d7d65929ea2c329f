//! Statements the parser refuses and the planner takes: read from their plans, and advised on like any other.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use pgload::advisor::{Budget, advise, workload, workload_file};
use pgload::catalog::Snapshot;
use pgload::pg::snapshot::{self, Scope};
use pgload::pg::twin::{Options, Twin};
use pgload::pg::{Cluster, connect};

const SCHEMA: &str = "
    create table public.bills (id bigint primary key, payer bigint not null, state text not null, total int not null, note text, at timestamptz not null);
    insert into public.bills select i, (i * 6151) % 20000, 's' || i % 7, i % 1000, md5(i::text), timestamptz '2024-01-01 00:00+00' + i * interval '1 minute'
        from generate_series(1, 100000) i;
    create view public.large as select id, payer, state, total from public.bills where total > 10;
    create function public.bills_of(who bigint) returns setof public.bills language sql stable as 'select * from public.bills where payer = who';
    create table public.parts (at timestamptz not null, kind int not null, body text) partition by range (at);
    create table public.parts_2023 partition of public.parts for values from ('2023-01-01 00:00+00') to ('2024-01-01 00:00+00');
    create table public.parts_2024 partition of public.parts for values from ('2024-01-01 00:00+00') to ('2025-01-01 00:00+00');
    insert into public.parts select timestamptz '2023-06-01 00:00+00' + i * interval '10 minutes', i % 3000, md5(i::text) from generate_series(1, 60000) i;
    analyze;
";

const BUDGET: Budget = Budget { size_max: None, indexes_per_table_max: None, width_max: 4, gain_min: 0.05, write_overhead_max: None };

/// Texts that are no SQL to the parser, or lead nowhere for it, and the first key of the index each should be given.
const TEXTS: &[(&str, &str)] = &[
    ("select b.id from rows from (generate_series(1, 3)) as g (n) join public.bills b on b.payer = g.n", "payer"),
    ("select id from public.bills * where note = $1", "note"),
    ("select state, total, count(*) from public.bills where note = $1 group by distinct rollup (state, total), rollup (total)", "note"),
    (
        "with recursive r (id) as (select $1::bigint union all select b.id from public.bills b join r on b.payer = r.id) \
         search depth first by id set place select * from r",
        "payer",
    ),
    (
        "select sum(total) over w from public.bills where payer = $1 window w as (order by at rows between 1 preceding and current row exclude ties)",
        "payer",
    ),
    (
        "insert into public.large (id, payer, state, total) select id + $1, payer, 'again', total from public.bills where payer = $2",
        "payer",
    ),
    ("update public.large set state = $1, total = total + 1 where payer = $2 and xmlelement(name a, state) is document", "payer"),
    ("select * from public.bills_of($1)", "payer"),
    ("select xmlelement(name a, id) from public.bills where note = $1 and state is not null limit $2", "note"),
    ("select body from public.parts * where kind = $1 and at > $2", "kind"),
];

fn snapshot_with(base: &Snapshot, texts: &[&str]) -> Snapshot {
    let mut snapshot = base.clone();
    snapshot.statements = vec![workload_file::parse("select 1;", "one").unwrap().remove(0); texts.len()];
    for (number, (statement, text)) in (1..).zip(snapshot.statements.iter_mut().zip(texts)) {
        (statement.query_id, statement.query) = (Some(number.to_string()), Some((*text).to_owned()));
        (statement.user, statement.search_path) = ("postgres".to_owned(), "public".to_owned());
        (statement.calls, statement.rows, statement.exec_ms_total) = (1000, 10_000, 100_000.0);
    }
    snapshot
}

#[tokio::test]
async fn what_the_parser_refuses_is_read_from_its_plan() {
    let options = super::server::options().with("autovacuum", "off");
    let cluster = Cluster::start(&options).expect("the server starts");
    let client = connect(&cluster.source("postgres")).await.unwrap();
    client.batch_execute(SCHEMA).await.unwrap();
    let base = snapshot::capture(&mut connect(&cluster.source("postgres")).await.unwrap(), &Scope::default()).await.unwrap();
    let mut twin = Twin::start(&base, &Options { binaries: options.binaries.clone(), workers: 2, time_max: None }).unwrap();
    let mut missed = Vec::new();
    for (text, key) in TEXTS {
        let snapshot = snapshot_with(&base, &[text]);
        if !workload::read(&snapshot).queries.is_empty() {
            missed.push(format!("{text}\n  the parser knows it now: find another"));
            continue;
        }
        let advice = advise(&snapshot, &mut twin, &BUDGET);
        let first = |proposal: &pgload::advisor::Proposal| proposal.index.keys[0].to_string();
        let keys: Vec<String> = advice.proposals.iter().map(first).collect();
        if advice.coverage.usable != 1 || advice.coverage.exec_time_share != Some(1.0) || !keys.iter().any(|found| found == key) {
            missed.push(format!("{text}\n  proposed {keys:?}\n  {:?}\n  refused {:?}", advice.coverage, advice.refused));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let hopeless = snapshot_with(&base, &["select from where", "select * from public.nowhere *", "select version()"]);
    let advice = advise(&hopeless, &mut twin, &BUDGET);
    let reasons: Vec<&str> = advice.coverage.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
    assert_eq!((advice.coverage.usable, reasons.len()), (0, 3), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("track = all")), "the first reason stays: {reasons:?}");
    drop(cluster);
}
