//! Sizes as the advisor computes them against those of real indexes, built after the snapshot was taken.
//!
//! `cargo test --test it sizes -- --nocapture` prints every ratio.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]
#![expect(clippy::print_stdout, reason = "the ratios are what a person runs this for")]

use pgload::advisor::{Candidate, CandidateKey, Sizes};
use pgload::catalog::{ExtendedFound, ExtendedStatistics, KeyTarget, QualifiedName, Snapshot};
use pgload::pg::snapshot::{self, Scope};
use pgload::pg::{Cluster, connect};
use tokio_postgres::Client;

const SCHEMA: &str = include_str!("sizes.sql");

/// An index: its table, what `CREATE INDEX … ON table` says after the table's name, and how far off its size may be.
struct Built {
    table: &'static str,
    candidate: Candidate,
    off_max: f64,
}

fn built(table: &'static str, keys: &[&str]) -> Built {
    let key = |text: &&str| match text.strip_prefix('(') {
        Some(expression) => CandidateKey::of(KeyTarget::Expression(expression.trim_end_matches(')').replace('[', "(").replace(']', ")"))),
        None => match text.split_once(' ') {
            Some((name, opclass)) => CandidateKey::column(name).with_opclass(opclass),
            None => CandidateKey::column(*text),
        },
    };
    let candidate = Candidate {
        table: 0,
        table_name: QualifiedName::new("public", table),
        method: "btree".into(),
        keys: keys.iter().map(key).collect(),
        included: Vec::new(),
        predicate: None,
    };
    Built { table, candidate, off_max: 0.10 }
}

impl Built {
    fn using(mut self, method: &str, off_max: f64) -> Self {
        self.candidate.method = method.into();
        Self { off_max, ..self }
    }

    fn include(mut self, column: &str) -> Self {
        self.candidate.included.push(column.into());
        self
    }

    fn predicate(mut self, predicate: &str) -> Self {
        self.candidate.predicate = Some(predicate.into());
        self
    }

    /// Returns the size computed over the size measured.
    async fn ratio(&self, snapshot: &Snapshot, sizes: &Sizes<'_>, client: &Client) -> f64 {
        let mut candidate = self.candidate.clone();
        candidate.table = snapshot.tables.iter().find(|table| table.name.name == self.table).unwrap().oid;
        let keys: Vec<String> = candidate.keys.iter().map(CandidateKey::to_string).collect();
        let included = if candidate.included.is_empty() { String::new() } else { format!(" include ({})", candidate.included.join(", ")) };
        let predicate = candidate.predicate.as_ref().map_or(String::new(), |text| format!(" where {text}"));
        let Candidate { method, .. } = &candidate;
        let create = format!("create index measured on {} using {method} ({}){included}{predicate}", self.table, keys.join(", "));
        client.batch_execute(&create).await.unwrap();
        let measured: i64 = client.query_one("select pg_relation_size('measured')", &[]).await.unwrap().get(0);
        client.batch_execute("drop index measured").await.unwrap();
        let computed = sizes.of(&candidate).0 as f64;
        println!("{:6.3}  {:>10.0} {measured:>10}  {create}", computed / measured as f64, computed);
        computed / measured as f64
    }
}

/// What `CREATE STATISTICS (ndistinct) ON city, country` would have found.
fn cities_counted_together(snapshot: &Snapshot) -> ExtendedStatistics {
    let orders = snapshot.tables.iter().find(|table| table.name.name == "orders").unwrap();
    let number = |name: &str| orders.column(name).unwrap().number;
    ExtendedStatistics {
        oid: 1,
        name: QualifiedName::new("public", "cities"),
        table: orders.oid,
        definition: String::new(),
        columns: vec!["city".into(), "country".into()],
        expressions: Vec::new(),
        found: Some(ExtendedFound {
            distinct: Some(format!("{{\"{}, {}\": 800}}", number("city"), number("country"))),
            ..ExtendedFound::default()
        }),
        expression_statistics: Vec::new(),
    }
}

#[tokio::test]
async fn computed_sizes_are_those_that_builds_have() {
    let cluster: Cluster = super::server::start();
    let admin = connect(&cluster.source("postgres")).await.unwrap();
    admin.batch_execute("create database sized").await.unwrap();
    let mut client = connect(&cluster.source("sized")).await.unwrap();
    client.batch_execute(SCHEMA).await.unwrap();
    // 300 rows a unit of the target: every row is in the sample, so that chance moves no page.
    client.batch_execute("set default_statistics_target = 400").await.unwrap();
    client.batch_execute("vacuum analyze orders").await.unwrap();
    let trigrams = client.batch_execute("create extension if not exists pg_trgm").await.is_ok();
    let mut snapshot = snapshot::capture(&mut client, &Scope::default()).await.unwrap();
    snapshot.extended_statistics = vec![cities_counted_together(&snapshot)];
    let sizes = Sizes::new(&snapshot);
    let mut all = vec![
        built("orders", &["id"]),
        built("orders", &["customer"]),
        built("orders", &["customer", "created_at"]),
        built("orders", &["status"]),
        built("orders", &["status", "created_at"]),
        built("orders", &["email"]),
        built("orders", &["email text_pattern_ops"]),
        built("orders", &["amount"]),
        built("orders", &["token"]),
        built("orders", &["created_at"]),
        built("orders", &["pair"]),
        built("orders", &["few"]),
        built("orders", &["deleted_at"]),
        built("orders", &["customer", "deleted_at"]),
        built("orders", &["city", "country"]),
        built("orders", &["(lower[email])"]),
        built("orders", &["(customer + 1)"]),
        built("orders", &["customer"]).include("amount"),
        built("orders", &["customer"]).predicate("status = 'failed'"),
        built("orders", &["created_at"]).predicate("deleted_at is not null"),
        built("orders", &["note"]),
        built("orders", &["created_at"]).using("brin", 0.10),
        built("orders", &["note"]).using("hash", 0.25),
        built("orders", &["token"]).using("hash", 0.25),
        built("orders", &["tags"]).using("gin", 0.35),
        built("orders", &["numbers"]).using("gin", 0.35),
        built("orders", &["words"]).using("gin", 0.50),
        built("orders", &["doc jsonb_path_ops"]).using("gin", 0.50),
        built("orders", &["doc"]).using("gin", 0.50),
        built("orders", &["during"]).using("gist", 0.35),
        built("orders", &["place"]).using("gist", 0.35),
    ];
    if trigrams {
        all.push(built("orders", &["email gin_trgm_ops"]).using("gin", 0.50));
    }
    let mut wrong = Vec::new();
    for built in &all {
        let ratio = built.ratio(&snapshot, &sizes, &client).await;
        if (ratio - 1.0).abs() > built.off_max {
            wrong.push(format!(
                "{ratio:.3} {} {:?}",
                built.candidate.method,
                built.candidate.keys.iter().map(CandidateKey::to_string).collect::<Vec<_>>()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
