//! How fast the twin starts and plans, printed: `cargo test --release --test it speed -- --ignored --nocapture`.
//!
//! With `PGLOAD_SPEED_SNAPSHOT=FILE` the first run writes its snapshot there and later ones read it: equal builds then print
//! equal costs, and different ones show what became faster.

#![expect(clippy::unwrap_used, reason = "what sets a measurement up fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pgload::advisor::query::Query;
use pgload::advisor::{Ask, Candidate, CandidateKey, Configuration, CostModel, workload, workload_file};
use pgload::catalog::{KeyTarget, Snapshot};
use pgload::pg::snapshot::{self, Scope};
use pgload::pg::twin::{Options, Twin};
use pgload::pg::{Cluster, apply, connect};
use pgload::replay::Workload;
use pgload::staging;

/// Each figure is taken so often, that chance shows.
const ROUNDS: usize = 3;

/// Plans are asked for again so often: the processor's time is counted in hundredths of a second.
const REPEATS: usize = 5;

/// Returns the processor time this process and those it started have taken; on a busy machine it tells more than the clock. 0 without `/proc`.
fn processor_seconds() -> f64 {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name stands in brackets and may hold anything; fields after it begin with the third.
        let Some((id, fields)) = stat.split_once(' ').zip(stat.rsplit_once(") ")).map(|((id, _), (_, rest))| (id, rest)) else { continue };
        let fields: Vec<u64> = fields.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        processes.push((id.parse::<u64>().unwrap_or(0), fields[1], fields[11] + fields[12]));
    }
    let mut family = vec![u64::from(std::process::id())];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(processes.iter().filter(|(_, of, _)| *of == parent).map(|(id, ..)| *id));
        at += 1;
    }
    processes.iter().filter(|(id, ..)| family.contains(id)).map(|(.., ticks)| *ticks as f64 / 100.0).sum()
}

/// The staging database with the statements of its own traffic; or a snapshot that was written, to compare two builds on the same one.
async fn staged() -> Snapshot {
    let kept = std::env::var_os("PGLOAD_SPEED_SNAPSHOT").map(std::path::PathBuf::from);
    if let Some(text) = kept.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) {
        return serde_json::from_str(&text).unwrap();
    }
    let cluster = Cluster::start(&super::server::options()).expect("the server starts");
    let mut client = connect(&cluster.source("postgres")).await.unwrap();
    apply::up(&mut client, &Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"), &mut |_| {}).await.unwrap();
    staging::seed(&client, 5000, 1).await.unwrap();
    let mut snapshot = snapshot::capture(&mut connect(&cluster.source("postgres")).await.unwrap(), &Scope::default()).await.unwrap();
    let texts: Vec<String> = staging::WORKLOADS
        .iter()
        .flat_map(|(name, text)| Workload::parse(text, name).unwrap().statements)
        .map(|spec| format!("{};", spec.sql.trim().trim_end_matches(';')))
        .collect();
    snapshot.statements = workload_file::parse(&texts.join("\n"), "staging").unwrap();
    snapshot.statements.iter_mut().for_each(|statement| (statement.user, statement.search_path) = ("postgres".into(), "public".into()));
    if let Some(path) = kept {
        std::fs::write(path, serde_json::to_string(&snapshot).unwrap()).unwrap();
    }
    snapshot
}

/// Candidates of one and two columns, table by table.
fn candidates(snapshot: &Snapshot, count: usize) -> Vec<Arc<Candidate>> {
    let key = |name: &String| CandidateKey {
        target: KeyTarget::Column(name.clone()),
        descending: false,
        nulls_first: false,
        opclass: None,
        collation: None,
    };
    let of_table = |table: &pgload::catalog::Table| -> Vec<Arc<Candidate>> {
        let columns: Vec<String> = table.columns.iter().filter(|column| column.btree).map(|column| column.name.clone()).collect();
        let pairs = columns.iter().flat_map(|a| columns.iter().filter(move |b| *b != a).map(move |b| vec![a, b]));
        let all = columns.iter().map(|column| vec![column]).chain(pairs);
        let built = all.map(|keys| Candidate {
            table: table.oid,
            table_name: table.name.clone(),
            method: "btree".to_owned(),
            keys: keys.into_iter().map(key).collect(),
            included: Vec::new(),
            predicate: None,
        });
        built.map(Arc::new).collect()
    };
    let by_table: Vec<Vec<Arc<Candidate>>> = snapshot.tables.iter().map(of_table).collect();
    let longest = by_table.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| by_table.iter().filter_map(move |table| table.get(at).cloned())).take(count).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; takes half a minute"]
async fn twin_start_and_plans_a_second() {
    let snapshot = staged().await;
    let queries: Vec<Query> = workload::read(&snapshot).queries;
    println!("{} tables, {} indexes, {} statements", snapshot.tables.len(), snapshot.indexes.len(), queries.len());
    for workers in [1, 2] {
        for round in 0..ROUNDS {
            let begun = Instant::now();
            let mut twin =
                Twin::start(&snapshot, &Options { binaries: super::server::options().binaries, workers, time_max: None }).unwrap();
            println!("{workers} workers, round {round}: started in {:.2} s", begun.elapsed().as_secs_f64());
            let texts: usize = queries.iter().map(|query| twin.texts(query).map_or(0, |texts| texts.len())).sum();
            for count in [5, 100] {
                let candidates = candidates(&snapshot, count);
                let begun = Instant::now();
                assert_eq!(twin.prepare(&candidates), []);
                let prepared = begun.elapsed();
                let with = |few: &[Arc<Candidate>]| Configuration::with(few.iter().cloned());
                // One at a time, as the search asks; then all at once.
                let mut configurations: Vec<Configuration> = candidates.chunks(count.div_ceil(20)).map(with).collect();
                configurations.push(with(&candidates));
                let asks: Vec<Ask<'_>> = configurations
                    .iter()
                    .flat_map(|configuration| queries.iter().map(|query| Ask { query, configuration: configuration.clone() }))
                    .collect();
                let (begun, busy) = (Instant::now(), processor_seconds());
                let plans = (0..REPEATS).map(|_| twin.plan_all(&asks)).last().unwrap();
                let (elapsed, busy) = (begun.elapsed().as_secs_f64(), processor_seconds() - busy);
                let planned = (REPEATS * texts * configurations.len()) as f64;
                let cost: f64 = plans.iter().flatten().map(|plan| plan.cost).sum();
                println!(
                    "  {count} candidates built in {:.2} s; {planned} plans in {elapsed:.2} s: {:.0} plans/s, {:.0} µs of processor each \
                     (refused {}, cost {cost:.2})",
                    prepared.as_secs_f64(),
                    planned / elapsed,
                    busy / planned * 1e6,
                    plans.iter().filter(|plan| plan.is_err()).count(),
                );
            }
        }
    }
}
