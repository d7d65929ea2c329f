//! The servers the bench asks: the staging database, pgbench's and TPC-H's, on one throwaway server.

use std::fs;
use std::process::Command;

use pgload::catalog::{Oid, Snapshot, Statement};
use pgload::pg::cluster::{self, Cluster};
use pgload::pg::snapshot::{Scope, capture};
use pgload::pg::twin::Explained;
use pgload::pg::{Client, connect};
use pgload::staging;
use tokio::runtime::Runtime;

use crate::{Options, Result, workload};

/// Rows of the staging database's largest table.
const PROSPECTS: u64 = 100_000;
/// Scale of pgbench's tables: 1 000 000 accounts.
const PGBENCH_SCALE: &str = "10";

pub(crate) const STAGING: &str = "staging";
pub(crate) const PGBENCH: &str = "pgbench";
pub(crate) const TPCH: &str = "tpch";

/// A server that holds the three databases.
pub(crate) struct Sources {
    pub(crate) runtime: Runtime,
    cluster: Cluster,
    has_tpch: bool,
}

impl Sources {
    /// Starts the server and fills the databases.
    pub(crate) fn start(options: &Options) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let wanted = cluster::Options::new(options.binaries.clone()).with("shared_buffers", "1GB").with("max_wal_size", "4GB");
        let sources = Self { runtime, cluster: Cluster::start(&wanted)?, has_tpch: options.scale > 0.0 };
        sources.make(STAGING, |client| {
            sources.runtime.block_on(async {
                for (_, migration) in staging::MIGRATIONS {
                    client.batch_execute(migration).await?;
                }
                staging::seed::seed(client, PROSPECTS, 42).await?;
                Ok(())
            })
        })?;
        sources.make(PGBENCH, |client| {
            let status = Command::new(options.binaries.program("pgbench"))
                .args(["-i", "-q", "-s", PGBENCH_SCALE, "--foreign-keys", &sources.cluster.url(PGBENCH)])
                .status()?;
            if !status.success() {
                return Err("pgbench -i failed".into());
            }
            Ok(sources.runtime.block_on(client.batch_execute("vacuum analyze"))?)
        })?;
        if options.scale > 0.0 {
            sources.make(TPCH, |client| sources.load_tpch(options, client))?;
        }
        Ok(sources)
    }

    fn load_tpch(&self, options: &Options, client: &Client) -> Result<()> {
        let made = Command::new("benches/advisor/tpch_data").arg(options.scale.to_string()).output()?;
        if !made.status.success() {
            return Err(format!("benches/advisor/tpch_data: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        let folder = String::from_utf8(made.stdout)?;
        self.runtime.block_on(client.batch_execute(&fs::read_to_string("benches/advisor/tpch_schema.sql")?))?;
        for table in ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"] {
            let copy = format!("\\copy {table} from '{}/{table}.csv' with (format csv, header)", folder.trim());
            let psql = Command::new(options.binaries.program("psql")).args(["-X", "-q", &self.cluster.url(TPCH), "-c", &copy]).status()?;
            if !psql.success() {
                return Err(format!("loading {table} failed").into());
            }
        }
        Ok(self.runtime.block_on(client.batch_execute("vacuum analyze"))?)
    }

    fn make(&self, database: &str, fill: impl FnOnce(&Client) -> Result<()>) -> Result<()> {
        eprintln!("filling {database}");
        let client = self.connect("postgres")?;
        self.runtime.block_on(client.batch_execute(&format!("create database {database}")))?;
        fill(&self.connect(database)?)
    }

    /// Connects to one of the databases.
    pub(crate) fn connect(&self, database: &str) -> Result<Client> {
        Ok(self.runtime.block_on(connect::connect(&self.cluster.source(database)))?)
    }

    /// Reads a database as an audit does.
    pub(crate) fn snapshot(&self, database: &str) -> Result<(Snapshot, Client)> {
        let mut client = self.connect(database)?;
        let snapshot = self.runtime.block_on(capture(&mut client, &Scope::default()))?;
        Ok((snapshot, client))
    }

    /// Returns the workloads: name, database, statements.
    pub(crate) fn workloads(&self) -> Result<Vec<(&'static str, &'static str, Vec<Statement>)>> {
        let mut workloads = vec![("staging", STAGING, workload::staging()?), ("pgbench", PGBENCH, workload::pgbench()?)];
        if self.has_tpch {
            workloads.push(("TPC-H", TPCH, workload::tpch(true)?));
        }
        Ok(workloads)
    }

    /// Explains a statement on the server itself, with some indexes hidden from its planner.
    pub(crate) fn explain(&self, client: &Client, search_path: &str, text: &str, hidden: &[Oid]) -> Result<Explained> {
        self.runtime.block_on(async {
            client.batch_execute(&format!("begin; set local search_path = {search_path}")).await?;
            let answer = async {
                client.execute("update pg_catalog.pg_index set indisvalid = false where indexrelid = any ($1)", &[&hidden]).await?;
                let answer = client.simple_query(&format!("explain (format json, verbose) {text}")).await?;
                let json: String = answer
                    .iter()
                    .filter_map(|message| match message {
                        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                        _ => None,
                    })
                    .collect();
                Explained::read(&json).ok_or_else(|| "an answer that is no plan".into())
            }
            .await;
            client.batch_execute("rollback").await?;
            answer
        })
    }
}
