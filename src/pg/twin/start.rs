//! From nothing to a twin: a server, a built database, and a copy of it for each worker.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio_postgres::Client;

use super::error::while_doing;
use super::session::Session;
use super::worker::{self, Worker};
use super::{Options, Twin, TwinError, Unmodelled, build, clock, extended, place, settings, statistics};
use crate::catalog::name::literal;
use crate::catalog::{Oid, Snapshot};
use crate::pg::cluster::{self, Cluster};
use crate::pg::connect;

/// The database that is built and then copied.
const BASE: &str = "pgload_base";

/// What the building thread found.
struct Built {
    version: String,
    unmodelled: Vec<Unmodelled>,
    caveats: Vec<String>,
}

pub(super) fn start(snapshot: &Snapshot, options: &Options) -> Result<Twin, TwinError> {
    let begun = Instant::now();
    let local_major = options.binaries.major().unwrap_or(0);
    let cluster = cluster(&server(options, local_major))?;
    let snapshot = Arc::new(snapshot.clone());
    let workers = options.workers.max(1);
    // A thread of its own: the caller's may be one that must not start a runtime.
    let built = std::thread::scope(|scope| {
        let work = || worker::runtime()?.block_on(build_base(&cluster, &snapshot, local_major, workers));
        scope.spawn(work).join().map_err(|_| TwinError::Worker("building ended early".to_owned()))?
    })?;
    let sessions = (0..workers).map(|number| {
        let source = cluster.source(&database(number));
        Worker::start(Session::new(source, cluster.data_folder(), Arc::clone(&snapshot)))
    });
    let workers: Vec<Worker> = sessions.collect::<Result<_, _>>()?;
    let opened: Vec<_> = workers.iter().map(|worker| worker.send(|runtime, session| runtime.block_on(session.open()))).collect();
    for receiver in &opened {
        worker::answer(receiver)??;
    }
    Ok(Twin {
        workers,
        _cluster: cluster,
        snapshot,
        version: built.version,
        local_major,
        unmodelled: built.unmodelled,
        caveats: built.caveats,
        begun,
        asked: 0,
        time_max: options.time_max,
        next_number: 0,
        numbers: BTreeMap::new(),
        built: HashMap::new(),
        refused: BTreeMap::new(),
        texts: HashMap::new(),
    })
}

/// Starts the server on files in memory where there is room, else on disk: making them is most of what a start takes.
fn cluster(options: &cluster::Options) -> Result<Cluster, cluster::ClusterError> {
    if let Some(parent) = place::in_memory() {
        let options = cluster::Options { parent, ..options.clone() };
        // Whatever is wrong with that place, the usual one may do.
        if let Ok(cluster) = Cluster::start(&options) {
            return Ok(cluster);
        }
    }
    Cluster::start(options)
}

/// Not with `wal_level=minimal`: a commit would then read the pages of new indexes into shared buffers, where they stay as they were
/// before their files were given heights.
fn server(options: &Options, local_major: u32) -> cluster::Options {
    let settings = [
        ("shared_preload_libraries", ""),
        ("compute_query_id", "off"),
        ("autovacuum", "off"),
        ("synchronous_commit", "off"),
        ("track_counts", "off"),
        ("track_activities", "off"),
        // The catalog queries of building are dear enough to be compiled, and too small to be worth it.
        ("jit", "off"),
        ("update_process_title", "off"),
        ("track_io_timing", "off"),
        ("max_connections", "40"),
        ("max_wal_senders", "0"),
        ("shared_buffers", "64MB"),
        ("checkpoint_timeout", "1d"),
        ("max_wal_size", "4GB"),
        ("listen_addresses", ""),
        // Building takes a lock for each of the objects sent at once, planning one for each candidate of a table.
        ("max_locks_per_transaction", "1024"),
    ];
    let mut wanted = cluster::Options::new(options.binaries.clone());
    wanted = settings.into_iter().fold(wanted, |wanted, (name, value)| wanted.with(name, value));
    wanted.statements = false;
    // 1 MiB: the first segments are written in full before anything else happens.
    wanted.initdb.push("--wal-segsize=1".to_owned());
    if local_major >= 18 {
        // Pages written from outside carry no checksum.
        wanted.initdb.push("--no-data-checksums".to_owned());
    }
    wanted
}

fn database(number: usize) -> String {
    format!("pgload_{number}")
}

/// Builds the base database and its copies.
async fn build_base(cluster: &Cluster, snapshot: &Snapshot, local_major: u32, workers: usize) -> Result<Built, TwinError> {
    let admin = connect(&cluster.source("postgres")).await?;
    let version: String = admin.query_one("show server_version", &[]).await.map_err(while_doing("read the version"))?.get(0);
    let version = version.split_whitespace().next().unwrap_or_default().to_owned();
    let mut caveats = Vec::new();
    caveats.extend(create_database(&admin, snapshot, local_major).await?);
    let client = connect(&cluster.source(BASE)).await?;
    let mut unmodelled = build::schema(&client, snapshot, local_major).await?;
    clock::stop(&client, snapshot.taken_at).await?;
    let here = build::relations(&client).await?;
    let attributes = statistics::attributes(&client).await?;
    let lacking: Vec<String> = unmodelled.iter().filter(|lack| lack.kind == "type").map(|lack| lack.name.clone()).collect();
    let entries = statistics::entries(snapshot, &attributes, &|type_name| lacking.iter().any(|lack| lack == type_name));
    unmodelled.extend(statistics::write(&client, entries).await?);
    unmodelled.extend(extended::write(&client, snapshot, &attributes, local_major).await?);
    statistics::write_counts(&client, &statistics::counts(snapshot, &here)).await?;
    let unusable = snapshot.indexes.iter().filter(|index| !index.usable());
    let unusable: Vec<Oid> = unusable.filter_map(|index| Some(here.get(&index.name)?.oid)).collect();
    let hide = "update pg_catalog.pg_index set indisvalid = false where indexrelid = any ($1::oid[])";
    client.execute(hide, &[&unusable]).await.map_err(while_doing("hide invalid indexes"))?;
    drop(client);
    let refused = settings::apply(&admin, snapshot).await?;
    settings::apply_application(&admin, snapshot).await;
    if !refused.is_empty() {
        caveats.push(format!("PostgreSQL {version} does not take these planner settings: {}.", refused.join(", ")));
    }
    // Files are copied, not pages through shared buffers: nothing of the copies is cached when they are patched.
    let strategy = if local_major >= 15 { " strategy file_copy" } else { "" };
    for number in 0..workers {
        copy(&admin, &format!("create database {} template {BASE}{strategy}", database(number))).await?;
    }
    Ok(Built { version, unmodelled, caveats })
}

/// Copies the base as soon as the session that built it is gone.
async fn copy(admin: &Client, sql: &str) -> Result<(), TwinError> {
    let mut attempts = 0;
    loop {
        match admin.batch_execute(sql).await {
            // `object_in_use`: the building session's process is still ending.
            Err(error) if error.code().is_some_and(|code| code.code() == "55006") && attempts < 200 => {
                attempts += 1;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            answer => return answer.map_err(while_doing("copy the built database")),
        }
    }
}

/// Makes the base database in the audited one's encoding and order of text; returns a caveat where the order is another.
async fn create_database(admin: &Client, snapshot: &Snapshot, local_major: u32) -> Result<Option<String>, TwinError> {
    let server = &snapshot.server;
    let encoding = if server.encoding.is_empty() { "UTF8" } else { &server.encoding };
    let collate = if server.collate.is_empty() {
        server.settings.get("lc_collate").map_or("C", |setting| setting.value.as_str())
    } else {
        &server.collate
    };
    let ctype = if server.ctype.is_empty() { collate } else { &server.ctype };
    let base = format!("create database {BASE} template template0 encoding {}", literal(encoding));
    let language = collate.split(['.', '@']).next().unwrap_or_default().replace('_', "-");
    let icu = server.locale.as_deref().filter(|_| server.locale_provider == "i").unwrap_or(&language);
    let by_icu = format!("{base} locale_provider icu icu_locale {} lc_collate 'C' lc_ctype 'C'", literal(icu));
    let by_libc = format!("{base} lc_collate {} lc_ctype {}", literal(collate), literal(ctype));
    let builtin = server.locale.as_deref().unwrap_or("C");
    let by_builtin = format!("{base} locale_provider builtin builtin_locale {} lc_collate 'C' lc_ctype 'C'", literal(builtin));
    let mut ways = match server.locale_provider.as_str() {
        "i" => vec![(by_icu.clone(), false)],
        "b" if local_major >= 17 => vec![(by_builtin, false)],
        "b" => vec![(format!("{base} lc_collate 'C' lc_ctype 'C'"), false)],
        _ => vec![(by_libc, false)],
    };
    if local_major >= 15 && !language.is_empty() {
        ways.push((by_icu, false));
    }
    // Not the plain C order: under that, an ordinary index serves LIKE 'x%', which it does not on the audited server.
    ways.push((format!("{base} lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'"), true));
    ways.push((format!("{base} lc_collate 'C' lc_ctype 'C'"), true));
    ways.push((format!("create database {BASE} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"), true));
    let mut last = None;
    for (sql, other_order) in ways {
        match admin.batch_execute(&sql).await {
            Ok(()) => {
                let caveat = format!(
                    "This machine does not have the collation {collate}: text is ordered by its bytes on the twin, so ranges over text are \
                     estimated less well."
                );
                return Ok(other_order.then_some(caveat));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(while_doing("make a database")(last.expect("at least one way was tried")))
}
