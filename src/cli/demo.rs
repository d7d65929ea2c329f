//! `pgload demo`: the whole loop on a throwaway server, and the report of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use super::advice::How;
use super::args::{DemoArgs, Size};
use super::audit::{Audit, counts, default_budget, write_migrations};
use super::failure::{Exit, Failure};
use super::replay::{measure, worse};
use super::{connection, migrate, output, progress, report, runs, staging};
use crate::catalog::Snapshot;
use crate::load::{Arrival, Spacing, Stop};
use crate::migration::Layout;
use crate::migration::plan::Options;
use crate::pg::binaries::Binaries;
use crate::pg::cluster::{self, Cluster};
use crate::pg::replay::Settings;
use crate::pg::session::Writes;
use crate::pg::snapshot::{Scope, capture};
use crate::pg::{Client, Source, apply, connect};
use crate::replay::{Samples, Workload};
use crate::report::{Numbers, Report, json as json_text, terminal};
use crate::staging as product;

/// The throwaway database's name.
const DATABASE: &str = "sales_staging";
const SEED: u64 = 42;

/// How long the audit may search; its handful of statements needs a few seconds.
const SEARCH: Duration = Duration::from_secs(60);

/// Calls of one workload that may be in flight at once.
const IN_FLIGHT: usize = 16;

/// How one workload is driven: at the same rate on both sides, so that the faster side is not also the busier one.
///
/// The rates leave about half of two cores idle before the migration; the lengths give each slow statement the 200 calls
/// that its 95th percentile needs.
#[derive(Debug, Clone, Copy)]
struct Pace {
    workload: &'static str,
    /// Calls a second.
    rate: f64,
    /// Measured seconds of a full demo.
    seconds: u64,
    /// Measured seconds of a quick one.
    seconds_quick: u64,
}

const PACES: &[Pace] = &[
    Pace { workload: "prospects", rate: 120.0, seconds: 34, seconds_quick: 5 },
    Pace { workload: "campaigns", rate: 300.0, seconds: 14, seconds_quick: 3 },
    Pace { workload: "meetings", rate: 300.0, seconds: 8, seconds_quick: 2 },
    Pace { workload: "conversations", rate: 80.0, seconds: 28, seconds_quick: 5 },
];

/// How long each part runs.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    quick: bool,
    traffic: Duration,
    warm_up: Duration,
}

impl Lengths {
    fn of(quick: bool) -> Self {
        let milliseconds = Duration::from_millis;
        if quick {
            Self { quick, traffic: milliseconds(1500), warm_up: milliseconds(500) }
        } else {
            Self { quick, traffic: milliseconds(6000), warm_up: milliseconds(2000) }
        }
    }

    /// Returns how the audited traffic of a workload is driven.
    fn traffic_of(self, workload: &Workload) -> Settings {
        settings(pace_of(workload), self.traffic, Duration::ZERO, SEED + 1)
    }

    /// Returns how a workload is measured, on either side.
    fn measured_of(self, workload: &Workload) -> Settings {
        let pace = pace_of(workload);
        let seconds = if self.quick { pace.seconds_quick } else { pace.seconds };
        settings(pace, Duration::from_secs(seconds), self.warm_up, SEED)
    }
}

fn pace_of(workload: &Workload) -> Pace {
    *PACES.iter().find(|pace| pace.workload == workload.name).expect("every shipped workload has a pace")
}

fn settings(pace: Pace, duration: Duration, warm_up: Duration, seed: u64) -> Settings {
    let arrival = Arrival::Open { rate: pace.rate, spacing: Spacing::Uniform, sessions: IN_FLIGHT };
    Settings { writes: Writes::Live, ..Settings::new(arrival, duration, warm_up, seed) }
}

pub(super) async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    let stop = Stop::default();
    let work = loop_once(&args, &stop);
    tokio::select! {
        result = work => result,
        // Dropping the work stops the server and removes it; what was saved so far stays.
        () = migrate::interrupted() => {
            stop.request();
            stop.request();
            Err(Failure::failed("finish the demo: interrupted. The throwaway server is removed; what was measured is in the run's folder"))
        }
    }
}

async fn loop_once(args: &DemoArgs, stop: &Stop) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let lengths = Lengths::of(args.quick);
    let folder = runs::new_folder(&args.reports, "demo", None);
    let migrations = folder.join("migrations");
    staging::write_migrations(&migrations)?;
    let workloads = product::WORKLOADS.iter().map(|(name, text)| Workload::parse(text, name)).collect::<Result<Vec<_>, _>>()?;

    let stage = Stage::start(args.pg_bin.as_deref(), &migrations, args.size, &workloads, lengths, stop).await?;
    let snapshot = Arc::new(stage.snapshot().await?);
    output::write(&folder.join("snapshot.json"), json_text::to_string_pretty(&*snapshot))?;
    let how = How { model: None, pg_bin: args.pg_bin.clone(), jobs: None, time: SEARCH };
    let audit = Audit::of(&snapshot, &default_budget(), &how, Timestamp::now(), Options::default()).await?;
    write_migrations(&migrations, &audit.migrations, Layout::default())?;
    output::notice(&format!(
        "Audit: {}; {} indexes proposed, {} refused.",
        counts(&audit.findings),
        audit.advice.proposals.len(),
        audit.advice.refused.len()
    ));

    let mut page = Report::new("pgload demo: the same traffic before and after the migration");
    page.audit = Some(audit.document(&snapshot, Layout::default(), Some(&migrations)));
    output::write(&folder.join("audit.json"), json_text::to_string_pretty(&page.audit))?;
    let drive = Drive { stage: &stage, folder: &folder, lengths, stop };
    let samples = drive.side("before", &workloads, None, &mut page).await?;
    let built = stage.migrate(&migrations).await?;
    drive.side("after", &workloads, Some(samples), &mut page).await?;
    report::add_comparisons(&mut page);
    page.about = about(args, lengths, &snapshot, built);
    page.caveats.push("The server is a throwaway one with fsync off: commits are cheaper than on a durable server.".to_owned());
    report::write(&page, &folder)?;

    let verdicts = page.comparisons.iter().map(|named| super::replay::verdict(named.comparison.verdict));
    let exit = verdicts.filter(|exit| *exit == Exit::Slower).fold(Exit::Done, worse);
    if args.json {
        output::result(&json_text::to_string_pretty(&page))?;
    } else {
        output::result(&summary(&page, &folder, begun.elapsed()))?;
    }
    if args.keep {
        keep(&stage).await;
    }
    Ok(exit)
}

/// The throwaway server with the product's database and a while of its traffic.
struct Stage {
    cluster: Cluster,
    source: Source,
}

impl Stage {
    async fn start(
        pg_bin: Option<&Path>,
        migrations: &Path,
        size: Size,
        workloads: &[Workload],
        lengths: Lengths,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let binaries = Binaries::find(pg_bin, &connection::search_path())?;
        let step = progress::step("Starting a throwaway server …");
        let begun = Instant::now();
        // Without parallel scans: on two cores their workers would keep the load generator itself from running.
        let options = cluster::Options::new(binaries)
            .with("shared_buffers", "256MB")
            .with("max_wal_size", "4GB")
            .with("max_parallel_workers_per_gather", "0");
        let cluster = tokio::task::spawn_blocking(move || Cluster::start(&options))
            .await
            .map_err(|error| Failure::failed(format!("start a throwaway server: {error}")))??;
        step.done(&format!("Throwaway server started in {:.1} s.", begun.elapsed().as_secs_f64()));
        let admin = connect(&cluster.source("postgres")).await?;
        execute(&admin, &format!("create database {DATABASE}")).await?;
        execute(&admin, &format!("alter database {DATABASE} set pgload.environment = 'staging'")).await?;
        let stage = Self { source: cluster.source(DATABASE), cluster };
        staging::make(&stage.source, migrations, size).await?;
        stage.forget_statements().await?;
        for workload in workloads {
            measure(&stage.source, workload, &lengths.traffic_of(workload), None, stop).await?;
        }
        Ok(stage)
    }

    /// Forgets the statements of schema and seed: the audit is of the traffic.
    async fn forget_statements(&self) -> Result<(), Failure> {
        let client = connect(&self.source).await?;
        execute(&client, "select pg_stat_statements_reset()").await
    }

    async fn snapshot(&self) -> Result<Snapshot, Failure> {
        let mut client = connect(&self.source).await?;
        Ok(capture(&mut client, &Scope::default()).await?)
    }

    /// Applies what the audit proposed, twice: the second time must find nothing to do. Returns the build time in ms.
    async fn migrate(&self, migrations: &Path) -> Result<f64, Failure> {
        let mut client = connect(&self.source).await?;
        let outcome = apply::up(&mut client, migrations, &mut migrate::say).await?;
        let built: f64 = outcome.applied.iter().map(|done| done.elapsed_ms).sum();
        let again = apply::up(&mut client, migrations, &mut |_| {}).await?;
        if !again.applied.is_empty() {
            return Err(Failure::failed("apply the migrations once: the second run applied some again"));
        }
        output::notice(&format!("Applied {} migrations in {:.1} s; a second run applied nothing.", outcome.applied.len(), built / 1000.0));
        Ok(built)
    }

    /// Brings both sides to the same state: dead rows gone, statistics fresh, dirty pages written.
    async fn settle(&self) -> Result<(), Failure> {
        let client = connect(&self.source).await?;
        execute(&client, "vacuum (analyze)").await?;
        execute(&client, "checkpoint").await
    }
}

/// One side's runs after the other.
struct Drive<'a> {
    stage: &'a Stage,
    folder: &'a Path,
    lengths: Lengths,
    stop: &'a Stop,
}

impl Drive<'_> {
    async fn side(
        &self,
        side: &str,
        workloads: &[Workload],
        samples: Option<Vec<Samples>>,
        page: &mut Report,
    ) -> Result<Vec<Samples>, Failure> {
        self.stage.settle().await?;
        output::notice(&format!("Replay {side} the migration:"));
        let mut kept = Vec::new();
        for (number, workload) in workloads.iter().enumerate() {
            let settings = self.lengths.measured_of(workload);
            let same = samples.as_ref().map(|samples| samples[number].clone());
            let mut replayed = measure(&self.stage.source, workload, &settings, same, self.stop).await?;
            replayed.run.side = Some(side.to_owned());
            runs::save(&self.folder.join(format!("{side}-{}", workload.name)), &replayed)?;
            output::notice(&format!(
                "  {}: {} calls, {:.0} a second, {} errors",
                workload.name,
                crate::units::grouped(replayed.run.totals.count),
                replayed.run.totals.throughput,
                replayed.run.totals.errors
            ));
            kept.push(replayed.samples);
            page.runs.push(replayed.run);
        }
        Ok(kept)
    }
}

/// Takes the snapshot of a demo database after a little traffic, for `pgload audit --demo`.
pub(super) async fn snapshot(pg_bin: Option<&Path>) -> Result<Snapshot, Failure> {
    let folder = tempfile::tempdir().map_err(|error| Failure::failed(format!("make a temporary folder: {error}")))?;
    staging::write_migrations(folder.path())?;
    let workloads = product::WORKLOADS.iter().map(|(name, text)| Workload::parse(text, name)).collect::<Result<Vec<_>, _>>()?;
    let size = Size { prospects: 100_000, seed: 1 };
    let stage = Stage::start(pg_bin, folder.path(), size, &workloads, Lengths::of(true), &Stop::default()).await?;
    stage.snapshot().await
}

async fn execute(client: &Client, sql: &str) -> Result<(), Failure> {
    crate::pg::connect::execute(client, sql).await.map_err(|error| Failure::failed(format!("{sql}: {error}")))
}

fn about(args: &DemoArgs, lengths: Lengths, snapshot: &Snapshot, build_ms: f64) -> std::collections::BTreeMap<String, serde_json::Value> {
    let setting = |name: &str| snapshot.server.settings.get(name).map(|setting| setting.value.clone());
    let entries = [
        ("pgload", json!(env!("CARGO_PKG_VERSION"))),
        ("server_version_num", json!(snapshot.server.version_num)),
        ("prospects", json!(args.size.prospects)),
        ("data_seed", json!(args.size.seed)),
        ("seed", json!(SEED)),
        ("warm_up_s", json!(lengths.warm_up.as_secs_f64())),
        ("index_build_ms", json!(build_ms.round())),
        ("fsync", json!(setting("fsync"))),
        ("shared_buffers_8kb", json!(setting("shared_buffers"))),
        ("max_parallel_workers_per_gather", json!(setting("max_parallel_workers_per_gather"))),
        ("cores", json!(std::thread::available_parallelism().map_or(0, usize::from))),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn summary(page: &Report, folder: &Path, elapsed: Duration) -> String {
    let mut text = terminal::summary(page, output::layout());
    text.push_str("\nThe three numbers that matter\n");
    if let Some(numbers) = Numbers::over(page) {
        for number in [&numbers.faster, &numbers.saved, &numbers.cost] {
            text.push_str(&format!("  {:>14}  {}\n", number.display, number.sentence));
        }
    }
    let file = |name: &str| PathBuf::from(folder).join(name).display().to_string();
    text.push_str(&format!(
        "\nFiles\n  report      {}\n              {}\n              {}\n  migrations  {}\n  runs        {}\nDone in {:.0} s.\n",
        file("report.html"),
        file("report.md"),
        file("report.json"),
        file("migrations"),
        folder.display(),
        elapsed.as_secs_f64()
    ));
    text
}

/// Keeps the server until Enter; Ctrl-C ends the whole demo.
async fn keep(stage: &Stage) {
    output::notice(&format!(
        "The server stays until you press Enter. Connect with:\n  psql -h {} -p {} -U {} {DATABASE}",
        stage.cluster.socket_folder().display(),
        stage.cluster.port(),
        cluster::SUPERUSER
    ));
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        // End of input is no Enter: without a terminal the server stays until a signal.
        matches!(std::io::stdin().read_line(&mut line), Ok(read) if read > 0)
    });
    if !read.await.unwrap_or(false) {
        std::future::pending::<()>().await;
    }
}
