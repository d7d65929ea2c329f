//! The advisor with the statistics twin against a real server: what it proposes is built there, and the planner there must use
//! it at the price that was promised.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test that fails shows what was proposed for every statement")]

mod inputs;
mod misses;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pgload::advisor::candidate::label;
use pgload::advisor::{Action, Advice, Budget, Configuration, Proposal, advise, workload};
use pgload::catalog::{Snapshot, Statement, StatementSource};
use pgload::migration::ddl::{Build, analyze, create_index};
use pgload::pg::snapshot::{self, Scope};
use pgload::pg::twin::{Explained, Options, Twin};
use pgload::pg::{Client, Cluster, connect};

/// How far a real cost may be from the promised one.
const OFF_MAX: f64 = 0.10;
/// The cost of one page read at random: whether an index of few pages has one more cannot be told beforehand.
const PAGE: f64 = 4.0;
/// How often each statement ran.
const CALLS: u64 = 1_000;
/// The time each statement took in all: statements of equal weight are all worth an index.
const EXEC_MS: f64 = 60_000.0;

/// A statement that advisors are known to miss.
struct Miss {
    name: &'static str,
    /// As `pg_stat_statements` has it, or with its values in it.
    sql: &'static str,
    /// Values captured with it, one list a call.
    captured: &'static [&'static [&'static str]],
    /// The index as people write it: each of these is part of one proposal that names the statement.
    wants: &'static [&'static str],
}

/// A server with data, and what was read of it.
struct Source {
    cluster: Cluster,
    client: Client,
    snapshot: Snapshot,
}

impl Source {
    /// Makes a database of `created` (what follows `CREATE DATABASE shop`) and fills it.
    async fn new(created: &str, schema: &str) -> Self {
        let cluster = Cluster::start(&super::server::options().with("autovacuum", "off")).expect("the server starts");
        let admin = connect(&cluster.source("postgres")).await.unwrap();
        admin.batch_execute(&format!("create database shop {created}")).await.unwrap();
        let client = connect(&cluster.source("shop")).await.unwrap();
        for statement in schema.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
        let mut source = Self { snapshot: read(&cluster).await, cluster, client };
        source.snapshot.statements.clear();
        source.snapshot.statement_source = StatementSource::Available { evicted: 0, reset_at: None };
        source
    }

    /// Returns the cost and the indexes of the plan that the server makes.
    async fn plan(&self, sql: &str) -> (f64, BTreeSet<String>) {
        let row = self.client.query_one(&format!("explain (format json) {sql}"), &[]).await;
        let json: serde_json::Value = row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0);
        let mut indexes = BTreeSet::new();
        walk(&json[0]["Plan"], &mut indexes);
        (json[0]["Plan"]["Total Cost"].as_f64().unwrap(), indexes)
    }

    /// Returns the statement's mean cost over the texts, and all indexes used.
    async fn mean(&self, texts: &[(f64, String)]) -> (f64, BTreeSet<String>) {
        let (mut sum, mut used) = (0.0, BTreeSet::new());
        for (weight, sql) in texts {
            let (cost, indexes) = self.plan(sql).await;
            sum += weight * cost;
            used.extend(indexes);
        }
        (sum, used)
    }

    /// Builds the proposed indexes; gathers statistics where an expression has some to be gathered.
    async fn build(&self, proposals: &[&Proposal]) {
        for proposal in proposals {
            let sql = create_index(&proposal.index, &proposal.name, Build::Plain);
            self.client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        let expressions = proposals.iter().filter(|proposal| proposal.index.keys.iter().any(|key| key.target.column().is_none()));
        for table in expressions.map(|proposal| &proposal.index.table_name).collect::<BTreeSet<_>>() {
            self.client.batch_execute(&analyze(table)).await.unwrap();
        }
    }

    /// Returns the names of an index and, on a partitioned table, of its partitions' indexes.
    async fn names(&self, proposal: &Proposal) -> BTreeSet<String> {
        let name = pgload::catalog::QualifiedName::new(proposal.index.table_name.schema.clone(), proposal.name.clone());
        let sql = "select relid::regclass::oid, c.relname::text from pg_partition_tree($1::text::regclass) as t join pg_class as c on c.oid = t.relid \
                   union select c.oid, c.relname::text from pg_class as c where c.oid = $1::text::regclass";
        self.client.query(sql, &[&name.to_string()]).await.unwrap().iter().map(|row| row.get(1)).collect()
    }
}

async fn read(cluster: &Cluster) -> Snapshot {
    snapshot::capture(&mut connect(&cluster.source("shop")).await.unwrap(), &Scope::default()).await.unwrap()
}

fn walk(node: &serde_json::Value, indexes: &mut BTreeSet<String>) {
    indexes.extend(node["Index Name"].as_str().map(str::to_owned));
    node["Plans"].as_array().into_iter().flatten().for_each(|inner| walk(inner, indexes));
}

fn budget() -> Budget {
    Budget { size_max: None, indexes_per_table_max: None, write_overhead_max: None, width_max: 4, gain_min: 0.05 }
}

fn twin(snapshot: &Snapshot, workers: usize) -> Twin {
    Twin::start(snapshot, &Options { binaries: super::server::options().binaries, workers, time_max: None }).unwrap()
}

/// Returns a statement as the server records it.
fn recorded(name: &str, sql: &str, calls: u64, captured: &[&[&str]]) -> Statement {
    Statement {
        query_id: Some(name.to_owned()),
        user: "postgres".to_owned(),
        query: Some(sql.to_owned()),
        top_level: true,
        calls,
        rows: calls,
        exec_ms_total: EXEC_MS,
        exec_ms_mean: EXEC_MS / calls as f64,
        exec_ms_min: 0.0,
        exec_ms_max: EXEC_MS,
        exec_ms_deviation: 0.0,
        shared_blocks_hit: 0,
        shared_blocks_read: 0,
        temp_blocks_read: 0,
        temp_blocks_written: 0,
        wal_bytes: 0,
        stats_since: None,
        parameters: captured.iter().map(|call| call.iter().map(|value| Some((*value).to_owned())).collect()).collect(),
        search_path: "\"$user\", public".to_owned(),
    }
}

fn with(snapshot: &Snapshot, misses: &[Miss]) -> Snapshot {
    let statements = misses.iter().map(|miss| recorded(miss.name, miss.sql, CALLS, miss.captured)).collect();
    Snapshot { statements, ..snapshot.clone() }
}

/// Returns the proposals that say they help the statement.
fn helping<'a>(advice: &'a Advice, name: &str) -> Vec<&'a Proposal> {
    let names =
        |proposal: &&Proposal| proposal.statements.iter().any(|effect| effect.query_id == name && effect.cost.after < effect.cost.before);
    advice.proposals.iter().filter(|proposal| proposal.action == Action::Create).filter(names).collect()
}

/// Takes the advice, follows it, and returns each statement that did not become as cheap as promised by an index as wanted.
async fn failures(source: &Source, misses: &[Miss]) -> (Advice, Vec<String>) {
    let snapshot = with(&source.snapshot, misses);
    let mut twin = twin(&snapshot, 2);
    assert!(twin.unmodelled().is_empty(), "{:#?}", twin.unmodelled());
    let advice = advise(&snapshot, &mut twin, &budget());
    for proposal in &advice.proposals {
        println!("{:?} {} {}", proposal.action, label(&proposal.index), proposal.size_bytes);
    }
    println!("skipped: {:#?}\ncaveats: {:#?}", advice.coverage.skipped, advice.caveats);
    let created: Vec<&Proposal> = advice.proposals.iter().filter(|proposal| proposal.action == Action::Create).collect();
    let built = Configuration::with(created.iter().map(|proposal| Arc::new(proposal.index.clone())));
    let mut texts: BTreeMap<String, Vec<(f64, String)>> = BTreeMap::new();
    let mut plans: BTreeMap<String, Vec<Explained>> = BTreeMap::new();
    for query in workload::read(&snapshot).queries {
        let found = twin.texts(&query).unwrap_or_else(|error| panic!("{}: {error}", query.text));
        let explained = found.iter().map(|(_, sql)| twin.explain(sql, &query.search_path, &built).unwrap()).collect();
        let name = query.query_id.unwrap();
        plans.insert(name.clone(), explained);
        texts.insert(name, found);
    }
    drop(twin);
    let mut before = BTreeMap::new();
    for (name, texts) in &texts {
        before.insert(name.clone(), source.mean(texts).await.0);
    }
    source.build(&created).await;
    let mut failures = Vec::new();
    for miss in misses {
        let Some(texts) = texts.get(miss.name) else {
            failures.push(format!("{}: not read", miss.name));
            continue;
        };
        let helping = helping(&advice, miss.name);
        let labels: Vec<String> = helping.iter().map(|proposal| label(&proposal.index)).collect();
        let (real, used) = source.mean(texts).await;
        let bare = before[miss.name];
        let promised = helping.iter().flat_map(|proposal| &proposal.statements).find(|effect| effect.query_id == miss.name);
        let promised = promised.map(|effect| effect.cost.after);
        println!("{}: {labels:?} cost {bare:.1} -> {real:.1}, promised {promised:.1?}, uses {used:?}", miss.name);
        let mut wrong = Vec::new();
        for wanted in miss.wants {
            match helping.iter().find(|proposal| label(&proposal.index).contains(wanted)) {
                None => wrong.push(format!("no proposal like {wanted}")),
                Some(proposal) if source.names(proposal).await.is_disjoint(&used) => wrong.push(format!("{} is not used", proposal.name)),
                Some(_) => {}
            }
        }
        if promised.is_none_or(|promised| (promised - real).abs() > (OFF_MAX * real).max(PAGE)) || real >= bare {
            wrong.push("the cost is not as promised".to_owned());
        }
        if !wrong.is_empty() {
            let refused = advice.refused.iter().map(|refused| format!("\n    refused {}: {}", refused.candidate, refused.reason));
            let table = created.iter().map(|proposal| proposal.index.table_name.name.as_str()).collect::<BTreeSet<_>>();
            let near = |line: &String| table.iter().any(|table| miss.sql.contains(table) && line.contains(table));
            let mut sides = String::new();
            for ((_, sql), twin) in texts.iter().zip(&plans[miss.name]) {
                let (cost, indexes) = source.plan(sql).await;
                sides.push_str(&format!("  {sql:.300}\n    {cost} by {indexes:?}; on the twin {}:\n{}", twin.cost, twin.shape));
            }
            failures.push(format!(
                "{}: {}\n  {}\n  proposed {labels:?}, cost {bare:.1} -> {real:.1}, promised {promised:.1?}, uses {used:?}\n{sides}{}",
                miss.name,
                wrong.join("; "),
                miss.sql,
                refused.filter(near).collect::<String>()
            ));
        }
    }
    (advice, failures)
}
