//! What the command line takes. Past this module there are no strings that might be wrong.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::failure::layout;
use crate::findings::Severity;
use crate::load::Stage;
use crate::migration::Layout;
use crate::replay::capacity::Slo;
use crate::replay::log::Prefix;
use crate::staging::seed::PROSPECTS_MAX;

/// Which index would make this Postgres faster, and does it really?
///
/// pgload audits a database's indexes and statements, writes index migrations that a DBA can review, and proves them by
/// replaying the same load before and after.
///
/// Connections are given with -d (a URL or key=value string), else DATABASE_URL, else libpq's PG* variables, with
/// ~/.pgpass and pg_service.conf.
///
/// Exit codes: 0 done, 1 failed, 2 usage or an unreadable file, 3 findings at or above --fail-on, 4 something got slower,
/// 5 cannot connect, 6 a prerequisite is missing, 7 refused (looks like production), 8 inconclusive.
#[derive(Debug, Parser)]
#[command(name = "pgload", version, max_term_width = 120)]
pub(super) struct Cli {
    /// The configuration file with the list of targets that may be loaded.
    #[arg(long, global = true, value_name = "FILE", default_value = "pgload.toml")]
    pub config: PathBuf,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Judge a database's indexes and statements, and propose index migrations.
    Audit(AuditArgs),
    /// Save everything an audit needs, so that it can run elsewhere and later.
    Snapshot(SnapshotArgs),
    /// Apply migration files, take them back, or say where they stand.
    Migrate(MigrateArgs),
    /// Drive a SQL workload and measure it; --before and --after a change, compare.
    Replay(ReplayArgs),
    /// Find the highest rate of calls that keeps an objective, and how throughput grows with clients.
    Capacity(CapacityArgs),
    /// Turn a server's log, or what it recorded of its statements, into a workload that can be replayed.
    Capture(CaptureArgs),
    /// Say where a database's time goes: statements, waits, plans, and what changed since another time.
    Profile(ProfileArgs),
    /// Compile saved runs into one report.
    Report(ReportArgs),
    /// Compare two saved runs.
    Compare(CompareArgs),
    /// Make the staging database of the demo in a database of yours.
    Staging(StagingArgs),
    /// Run the whole loop on a throwaway server: audit, migrate, replay before and after, report.
    Demo(DemoArgs),
    /// Say what is installed, what the role may see, and how to get what is missing.
    Doctor(DoctorArgs),
}

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Connection {
    /// The database: a URL (postgresql://…) or a key=value string.
    #[arg(short = 'd', long = "url", value_name = "URL")]
    pub url: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables for a terminal.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// Markdown, for a pull request.
    Markdown,
    /// One self-contained page.
    Html,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AuditFormat {
    /// Tables for a terminal.
    Table,
    /// One JSON document.
    Json,
    /// Markdown, for a pull request.
    Markdown,
    /// One self-contained page.
    Html,
    /// SARIF 2.1.0, for code review tools.
    Sarif,
}

#[derive(Debug, Clone, Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    pub connection: Connection,
    /// Audit a file written by `pgload snapshot` instead of a server.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "demo"])]
    pub snapshot: Option<PathBuf>,
    /// Audit the demo's staging database on a throwaway server.
    #[arg(long, conflicts_with = "url")]
    pub demo: bool,
    /// Another node of the same database, a standby most often: what it counted is counted too (may be repeated).
    #[arg(long, value_name = "URL", conflicts_with = "demo")]
    pub replica: Vec<String>,
    /// Advise on the statements of this file instead of the recorded ones: .sql, with `-- query: NAME weight=N` before a
    /// statement where wanted, or a replay workload (.yaml). May be repeated.
    #[arg(long, value_name = "FILE")]
    pub workload: Vec<PathBuf>,
    /// Audit only this schema (may be repeated).
    #[arg(long, value_name = "S")]
    pub schema: Vec<String>,
    /// Audit only this table, as NAME or SCHEMA.NAME (may be repeated).
    #[arg(long, value_name = "T")]
    pub table: Vec<String>,
    /// Write the migrations into this folder; without a value, into migrations/.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "migrations")]
    pub out: Option<PathBuf>,
    /// Whose naming the migration files follow: refinery, supabase, sqlx, flyway or plain.
    #[arg(long, value_name = "LAYOUT", default_value = "refinery", value_parser = layout)]
    pub layout: Layout,
    /// Write migrations that run inside a transaction: they block writes to the table while they build.
    #[arg(long)]
    pub transactional: bool,
    /// The first migration's version, as a UTC time (2026-11-23T09:45:00Z); now by default.
    #[arg(long, value_name = "TIME")]
    pub timestamp: Option<Timestamp>,
    /// The most space all new indexes together may take: 500MB, or 25% of the tables.
    #[arg(long, value_name = "SIZE", value_parser = size_limit)]
    pub max_size: Option<SizeLimit>,
    /// The most indexes a table may have afterwards, existing ones counted.
    #[arg(long, value_name = "N")]
    pub max_indexes_per_table: Option<usize>,
    /// The most key columns of one index; those it only carries (INCLUDE) are not counted.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub max_width: u8,
    /// The least gain of a proposal, as a share of the workload's cost or of the own cost of one statement that weighs.
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = percentage)]
    pub min_gain: f64,
    /// The most that writes may cost more for all new indexes together, as a share of the workload's cost.
    #[arg(long, value_name = "SHARE", value_parser = percentage)]
    pub max_write_overhead: Option<f64>,
    #[command(flatten)]
    pub advice: AdviceArgs,
    /// How to print the result.
    #[arg(long, value_enum, default_value = "table")]
    pub format: AuditFormat,
    /// Exit with 3 when a finding is at least this severe.
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub fail_on: Option<Severity>,
}

/// Who prices plans, and how long may be searched.
#[derive(Debug, Clone, Args)]
pub(super) struct AdviceArgs {
    /// What prices plans; by default the twin, or the estimate where no PostgreSQL server's programs are installed.
    #[arg(long, value_enum)]
    pub model: Option<ModelChoice>,
    /// How long to search for better indexes on the twin; the best found so far is the answer.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub time: Duration,
    /// Plans made at the same time on the twin; the number of cores by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: Option<u8>,
    /// The folder of a PostgreSQL server's programs, for the twin and for --demo.
    #[arg(long, value_name = "DIR", env = "PGLOAD_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModelChoice {
    /// A local server with the database's schema and statistics and none of its data.
    Twin,
    /// Arithmetic on the statistics: needs no server, and is less sure.
    Estimate,
}

#[derive(Debug, Clone, Args)]
pub(super) struct SnapshotArgs {
    #[command(flatten)]
    pub connection: Connection,
    /// The file to write; - for stdout.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// Leave no application value in the file: values become ranks, in the same order and as frequent as before.
    ///
    /// Statistics and statements are rewritten; names, enum labels and schema text (views, functions, checks, predicates,
    /// defaults, policies) are kept, and so is a value that schema text spells. Types that cannot be rewritten lose their
    /// values, and the file says which.
    #[arg(long)]
    pub redact: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    pub connection: Connection,
    /// The folder of the migration files.
    #[arg(long, value_name = "DIR", default_value = "migrations", global = true)]
    pub dir: PathBuf,
    /// Print what would run, and change nothing.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value = "table", global = true)]
    pub format: PlainFormat,
    #[command(subcommand)]
    pub action: Option<MigrateAction>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PlainFormat {
    /// Lines for a terminal.
    Table,
    /// One JSON document.
    Json,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum MigrateAction {
    /// Apply what is pending; heals what an interrupted run left behind.
    Up,
    /// Say which migrations are applied, pending, changed or missing (the default).
    Status,
    /// Print the statements `up` would run, and what would hold them up.
    Plan,
    /// Take one migration back with its .down.sql file.
    Down {
        /// The version, as the file name has it.
        version: i64,
    },
}

#[derive(Debug, Clone, Default, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    pub connection: Connection,
    /// A workload file (.yaml), also one of pgload capture; several are run one after the other. A server's log (.csv, .json,
    /// .log, packed with .gz or not), whose traffic is replayed by its times; several are one. Or a pgbench script,
    /// `FILE.sql[@WEIGHT]` or builtin:tpcb-like, simple-update or select-only; several are one run, picked by their weights. Or
    /// `statements`: what the server's pg_stat_statements counted, with parameters from rows there are.
    #[arg(short = 'w', long = "workload", value_name = "WORKLOAD", required = true, num_args = 1..)]
    pub workloads: Vec<PathBuf>,
    /// Measure before a change, and keep the run for --after.
    #[arg(long, conflicts_with = "after")]
    pub before: bool,
    /// Repeat the last --before run of the same workload exactly, and compare.
    #[arg(long)]
    pub after: bool,
    /// Compare two copies of the database under one load, with a change on one of them (--apply, --migrations). Captured traffic is
    /// then made transaction by transaction in its order, without its times.
    #[arg(long, conflicts_with_all = ["before", "after"])]
    pub paired: bool,
    #[command(flatten)]
    pub pair: PairedArgs,
    /// Clients that each make a call when the last has ended (closed loop); with --rate or --stages, the most calls in flight.
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub clients: Option<u16>,
    /// Calls a second, whatever the server's speed (open loop); response times count from the intended start.
    #[arg(short = 'R', long, value_name = "CALLS/S", value_parser = rate)]
    pub rate: Option<f64>,
    /// As --rate, changing with time: 30s:100,1m:500 goes from 0 to 100 calls a second in 30 s, then to 500 in a minute.
    ///
    /// A stage of 0s jumps to its rate: 0s:100,5m:100 is 100 calls a second for five minutes.
    #[arg(long, value_name = "TIME:RATE,…", value_parser = stage, value_delimiter = ',', conflicts_with_all = ["rate", "duration"])]
    pub stages: Vec<Stage>,
    /// With --rate or --stages: random gaps between calls, as those of many users, instead of even ones.
    #[arg(long)]
    pub poisson: bool,
    /// With --rate or --stages: the most calls in flight.
    #[arg(long, value_name = "N", conflicts_with = "clients", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub max_in_flight: Option<u16>,
    /// With --rate or --stages: what becomes of calls that are due while as many as allowed are in flight.
    #[arg(long, value_enum)]
    pub overflow: Option<OverflowMode>,
    /// Worker threads, each with its own connections; 1 is right unless one processor cannot keep up.
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Let N clients share a connection, their statements sent without waiting for each other's answers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub pipeline: Option<u16>,
    #[command(flatten)]
    pub captured: CapturedArgs,
    /// How long to measure: 60s, 5m, 1500ms; captured traffic to its end when not given.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// How long to run before measuring; captured traffic is not warmed up with when not given.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub warm_up: Option<Duration>,
    /// Measure at most this many calls.
    #[arg(long, value_name = "N")]
    pub max_calls: Option<u64>,
    /// The seed of rows, statements, parameters and arrivals: the same seed makes the same calls.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub write: WriteArgs,
    #[command(flatten)]
    pub script: ScriptArgs,
    /// Watch the database meanwhile as `pgload profile` does, on a connection of its own: statements by time, what they waited
    /// for, and with --after what changed. Stands in the report and in run.json.
    #[arg(long, conflicts_with = "paired")]
    pub profile: bool,
    /// With --profile: say what changed since an earlier profile, or a run with one: its folder or file.
    #[arg(long, value_name = "FILE", requires = "profile")]
    pub profile_compare: Option<PathBuf>,
    /// Write every measured call to this file, 20 bytes each; docs/events.md has the format.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Where runs are kept.
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub reports: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

#[derive(Debug, Clone, Default, Args)]
pub(super) struct PairedArgs {
    /// With --paired: the change to try, a file of SQL statements.
    #[arg(long, value_name = "FILE.sql", requires = "paired", conflicts_with_all = ["migrations", "against"])]
    pub apply: Option<PathBuf>,
    /// With --paired: the change to try, the pending migrations of a folder.
    #[arg(long, value_name = "DIR", requires = "paired", conflicts_with = "against")]
    pub migrations: Option<PathBuf>,
    /// With --paired: compare with this database as it is, instead of making copies.
    #[arg(long, value_name = "URL", requires = "paired")]
    pub against: Option<String>,
    /// With --paired: duet (each call on both sides) for latency, abba (blocks in turn) for throughput.
    #[arg(long, value_enum, default_value = "duet", requires = "paired")]
    pub design: PairedDesign,
    /// With --paired: do not measure both sides alike first. Halves the time; a bias between the sides stays.
    #[arg(long, requires = "paired")]
    pub no_calibration: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum PairedDesign {
    /// Each call on both sides, back to back.
    #[default]
    Duet,
    /// Blocks in the order A B B A.
    Abba,
}

/// What a load may write.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct WriteArgs {
    /// What the workload may change: readonly (the server refuses writes; the default), rollback, clone (a copy of the database;
    /// the default of replay --paired, which makes copies) or live.
    #[arg(long, value_enum)]
    pub writes: Option<WriteMode>,
    /// The database's name, typed in full, for --writes live.
    #[arg(long, value_name = "DBNAME")]
    pub allow_writes: Option<String>,
}

/// Options that are pgbench's, for its scripts.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ScriptArgs {
    /// Give a variable of pgbench scripts a value (may be repeated).
    #[arg(short = 'D', long, value_name = "NAME=VALUE", value_parser = definition)]
    pub define: Vec<(String, String)>,
    /// How pgbench scripts send their statements; prepared when not given.
    #[arg(short = 'M', long, value_enum)]
    pub mode: Option<ScriptMode>,
    /// How often a transaction of a pgbench script is tried when it meets a serialization failure or deadlock; once when
    /// not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_tries: Option<u32>,
    /// Let pgbench scripts run programs on this machine with \shell and \setshell.
    #[arg(long)]
    pub allow_shell: bool,
}

/// Options for captured traffic and logs.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct CapturedArgs {
    /// With captured traffic: play it this many times as fast; 1 when not given.
    #[arg(long, value_name = "F", value_parser = speed)]
    pub speed: Option<f64>,
    /// With captured traffic: N connections that sessions share, each lent for a transaction, as behind a pooler; one a
    /// session when not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub pool: Option<u16>,
    /// With a log: replay only the sessions of this database (may be repeated).
    #[arg(long, value_name = "NAME")]
    pub database: Vec<String>,
}

/// Offers more and more calls a second until an objective is missed, closes in on the limit, and confirms it for longer. Says
/// what limits, and what the server was waiting for there.
///
/// This loads the database until it can do no more: use a copy, not a server that others need.
#[derive(Debug, Clone, Args)]
pub(super) struct CapacityArgs {
    #[command(flatten)]
    pub connection: Connection,
    /// A workload file (.yaml), pgbench scripts, `FILE.sql[@WEIGHT]` or builtin:NAME, or `statements`, as replay takes them.
    #[arg(short = 'w', long = "workload", value_name = "WORKLOAD", required = true, num_args = 1..)]
    pub workloads: Vec<PathBuf>,
    /// What must be kept, with commas between: p(50|90|95|99|99.9)<MS, avg<MS, errors<SHARE. 'p(99)<100,errors<0.1%'.
    #[arg(long, value_name = "EXPRESSION", value_parser = Slo::parse, required_unless_present = "sweep")]
    pub slo: Option<Slo>,
    /// The first rate, and the lowest, in calls a second.
    #[arg(long, value_name = "CALLS/S", value_parser = rate, default_value = "10", requires = "slo")]
    pub min_rate: f64,
    /// The highest rate.
    #[arg(long, value_name = "CALLS/S", value_parser = rate, default_value = "1000000", requires = "slo")]
    pub max_rate: f64,
    /// The share of calls that may fail.
    #[arg(long, value_name = "SHARE", value_parser = percentage, default_value = "1%", requires = "slo")]
    pub max_errors: f64,
    /// How long the first steps are counted; those near the limit take up to three times as long, the confirmation six times.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub dwell: Duration,
    /// Also measure these numbers of clients that each make a call when the last has ended, and fit a scalability law.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub sweep: Vec<u16>,
    /// The most calls in flight while rates are offered.
    #[arg(short = 'c', long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub clients: u16,
    /// Random gaps between calls, as those of many users, instead of even ones.
    #[arg(long, requires = "slo")]
    pub poisson: bool,
    /// Worker threads, each with its own connections.
    #[arg(short = 'j', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// The seed of rows, statements, parameters and arrivals.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub write: WriteArgs,
    #[command(flatten)]
    pub script: ScriptArgs,
    /// Where results are kept.
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub reports: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value = "table")]
    pub format: CapacityFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CapacityFormat {
    /// Tables for a terminal.
    Table,
    /// One JSON document.
    Json,
    /// Markdown, for a pull request.
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ScriptMode {
    /// As text, with the variables' values in it.
    Simple,
    /// With parameters, parsed each time.
    Extended,
    /// With parameters, parsed once a connection.
    Prepared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OverflowMode {
    /// They wait, their clock running.
    Queue,
    /// They are given up and count as infinitely slow.
    Shed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WriteMode {
    /// Sessions are read-only, and the server enforces it.
    Readonly,
    /// Each write is rolled back.
    Rollback,
    /// Writes are committed in a copy of the database, which is dropped afterwards.
    Clone,
    /// Writes are committed; needs --allow-writes.
    Live,
}

/// Reads csvlog, jsonlog and stderr logs of PostgreSQL 12 and later, packed (.gz) or not, larger than memory too. Writes the
/// workload file, and beside it the calls in the order of time.
///
/// Sessions keep their distances, transactions stay whole, parameters are those that were sent. What cannot be replayed is
/// counted by its reason.
///
/// Without a log, a workload is derived from the database's pg_stat_statements (-d): statements weighted by their calls, with
/// parameters from rows that the replay draws.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = crate::replay::log::SETTINGS)]
pub(super) struct CaptureArgs {
    /// The log's files, rotated ones in any order.
    #[arg(value_name = "LOG", conflicts_with = "url")]
    pub logs: Vec<PathBuf>,
    #[command(flatten)]
    pub connection: Connection,
    /// The workload file to write (.yaml); the calls of a log are written beside it (.calls.jsonl).
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// The workload's name; the file's by default.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What the workload stands for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub description: String,
    /// How the server wrote its log; seen from the first lines by default.
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// The server's log_line_prefix, for a stderr log whose prefix is not seen from its first lines.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub prefix: Option<Prefix>,
    /// Capture only the sessions of this database (may be repeated).
    #[arg(long, value_name = "NAME")]
    pub database: Vec<String>,
    /// How to print what was captured.
    #[arg(long, value_enum, default_value = "table")]
    pub format: PlainFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// log_destination = csvlog.
    Csvlog,
    /// log_destination = jsonlog.
    Jsonlog,
    /// log_destination = stderr.
    Stderr,
}

/// Watches a database for a while through its statistics views, ten times a second on one connection: nothing is installed,
/// explained or changed. Ctrl-C ends the window early and reports.
#[derive(Debug, Clone, Args)]
pub(super) struct ProfileArgs {
    #[command(flatten)]
    pub connection: Connection,
    /// How long to watch.
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub length: Duration,
    /// How many statements to print; the saved profile holds all.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub top: u16,
    /// Which statements come first.
    #[arg(long, value_enum, default_value = "total")]
    pub sort: SortChoice,
    /// Say what changed since an earlier profile, or a run with one (replay --profile): its folder or file.
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Leave out what the statements' plans say, which needs a snapshot of the catalogs and a local server's programs.
    #[arg(long)]
    pub no_plans: bool,
    /// The folder of a PostgreSQL server's programs, for the plans.
    #[arg(long, value_name = "DIR", env = "PGLOAD_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
    /// Where profiles are kept.
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub reports: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value = "table")]
    pub format: ProfileFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileFormat {
    /// Tables for a terminal.
    Table,
    /// One JSON document.
    Json,
    /// Markdown, for a pull request.
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SortChoice {
    /// Execution time of all calls.
    Total,
    /// Execution time of a call.
    Mean,
    /// Calls.
    Calls,
    /// Blocks read and written; by their time where track_io_timing is on.
    Io,
    /// Temporary blocks.
    Temp,
    /// Write-ahead log.
    Wal,
    /// Sessions waiting, on average.
    Waits,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ReportArgs {
    /// Folders of saved runs (reports/…), or a folder that holds several.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The folder to write report.json, report.md and report.html into.
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// How to print the report.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

#[derive(Debug, Clone, Args)]
pub(super) struct CompareArgs {
    /// The run before: its folder or run.json.
    #[arg(value_name = "RUN_A")]
    pub before: PathBuf,
    /// The run after.
    #[arg(value_name = "RUN_B")]
    pub after: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

#[derive(Debug, Clone, Args)]
pub(super) struct StagingArgs {
    #[command(subcommand)]
    pub action: StagingAction,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum StagingAction {
    /// Make the staging schema in an empty database and fill it.
    Seed {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        size: Size,
    },
}

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Size {
    /// Rows in prospects; the other tables follow.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=PROSPECTS_MAX))]
    pub prospects: u64,
    /// The seed: the same seed makes the same rows.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Clone, Args)]
pub(super) struct DemoArgs {
    /// Shorter runs: under a minute in all.
    #[arg(long)]
    pub quick: bool,
    /// Keep the server running until Enter or Ctrl-C, and print how to connect.
    #[arg(long)]
    pub keep: bool,
    #[command(flatten)]
    pub size: Size,
    /// Where the run's folder is made.
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub reports: PathBuf,
    /// The folder of a PostgreSQL server's programs.
    #[arg(long, value_name = "DIR", env = "PGLOAD_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
    /// Print one JSON document (the report) instead of text.
    #[arg(long, action = ArgAction::SetTrue)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub connection: Connection,
    /// The folder of a PostgreSQL server's programs.
    #[arg(long, value_name = "DIR", env = "PGLOAD_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
}

/// A limit in bytes, or as a share of the tables' size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum SizeLimit {
    Bytes(u64),
    Share(f64),
}

fn size_limit(text: &str) -> Result<SizeLimit, String> {
    if text.ends_with('%') {
        return percentage(text).map(SizeLimit::Share);
    }
    let expected = || format!("{text:?}: expected a size such as 500MB, 2GB or 25%");
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| expected())?;
    let factor: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(expected()),
    };
    Ok(SizeLimit::Bytes((number * factor as f64) as u64))
}

/// Reads `5%` or `0.05` as 0.05.
fn percentage(text: &str) -> Result<f64, String> {
    let expected = || format!("{text:?}: expected a share such as 5% or 0.05");
    let (number, divisor) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().map_err(|_| expected())? / divisor;
    if (0.0..=100.0).contains(&share) { Ok(share) } else { Err(expected()) }
}

/// Reads `NAME=VALUE`.
fn definition(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn prefix(text: &str) -> Result<Prefix, String> {
    Prefix::compile(text).map_err(|error| error.to_string())
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (1e-3..=1e6).contains(&speed) => Ok(speed),
        _ => Err(format!("{text:?}: expected how many times as fast, such as 2 or 0.5")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 && rate <= 1e7 => Ok(rate),
        _ => Err(format!("{text:?}: expected calls a second, above 0")),
    }
}

/// Reads `30s:100`.
fn stage(text: &str) -> Result<Stage, String> {
    let expected = || format!("{text:?}: expected a time and the calls a second at its end, such as 30s:100");
    let (time, target) = text.split_once(':').ok_or_else(expected)?;
    let target = target.trim().parse::<f64>().ok().filter(|target| (0.0..=1e7).contains(target)).ok_or_else(expected)?;
    Ok(Stage { duration: duration(time.trim())?, target })
}

/// Reads `90`, `90s`, `1.5m`, `250ms`, `1h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("{text:?}: expected a time such as 60s, 1500ms or 5m");
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| expected())?;
    let seconds = match text[digits..].trim() {
        "" | "s" => number,
        "ms" => number / 1000.0,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(expected()),
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|time| time.as_secs() <= 7 * 86_400).ok_or_else(expected)
}

fn severity(word: &str) -> Result<Severity, String> {
    match word {
        "info" => Ok(Severity::Info),
        "warning" => Ok(Severity::Warning),
        "critical" => Ok(Severity::Critical),
        _ => Err("expected info, warning or critical".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_shares_and_times_are_read_with_their_units() {
        assert_eq!(size_limit("500MB"), Ok(SizeLimit::Bytes(500 << 20)));
        assert_eq!(size_limit("25%"), Ok(SizeLimit::Share(0.25)));
        assert!(size_limit("12 parsecs").is_err() && size_limit("MB").is_err());
        assert_eq!(percentage("5%"), Ok(0.05));
        assert!(percentage("-1").is_err() && percentage("x%").is_err());
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("1d").is_err() && duration("").is_err() && duration("9999h").is_err());
        assert!(rate("0").is_err() && rate("nan").is_err());
        assert_eq!(stage("30s:100"), Ok(Stage { duration: Duration::from_secs(30), target: 100.0 }));
        assert_eq!(stage("0s: 0").map(|stage| stage.target), Ok(0.0));
        assert!(stage("30s").is_err() && stage("x:1").is_err() && stage("1s:-1").is_err() && stage("1s:nan").is_err());
    }
}
