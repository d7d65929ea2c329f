//! A paired experiment: what was done, what was counted, and what follows from both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diff::Diff;
use crate::replay::StatementPlan;
use crate::replay::compare::error_metric;
use crate::replay::observed::Observed;
use crate::stats::compare::{Work, overall, work};
use crate::stats::paired::{Explained, Paired, TOTAL, judge};
use crate::stats::{Calibration, Comparison, Design, Exact, Metric, Verdict};

/// 10 %: a machine that others used more than this disturbs what is measured on it. A rule of thumb.
const DISTURBED: f64 = 0.10;

/// What the server counted of one statement on one side over one phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Calls, the divisor of the rest.
    pub calls: u64,
    /// Rows returned or affected.
    pub rows: u64,
    /// Shared blocks hit or read.
    pub blocks: u64,
    /// Temporary blocks read or written.
    pub temp_blocks: u64,
    /// Records of write-ahead log.
    pub wal_records: u64,
    /// Bytes of write-ahead log.
    pub wal_bytes: u64,
}

impl Counted {
    /// Returns what was added since `earlier`; `None` when nothing was called or the counts were reset.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let counted = Self {
            calls: self.calls.checked_sub(earlier.calls)?,
            rows: self.rows.checked_sub(earlier.rows)?,
            blocks: self.blocks.checked_sub(earlier.blocks)?,
            temp_blocks: self.temp_blocks.checked_sub(earlier.temp_blocks)?,
            wal_records: self.wal_records.checked_sub(earlier.wal_records)?,
            wal_bytes: self.wal_bytes.checked_sub(earlier.wal_bytes)?,
        };
        (counted.calls > 0).then_some(counted)
    }

    fn per_call(counted: Option<&Self>, of: fn(&Self) -> u64) -> Option<f64> {
        counted.map(|counted| of(counted) as f64 / counted.calls.max(1) as f64)
    }
}

/// Calls and failures of one side over one phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// Calls that failed.
    pub failed: u64,
    /// All calls.
    pub count: u64,
}

/// What one phase of an experiment showed.
#[derive(Debug, Clone, Default)]
pub struct Phase {
    /// Its metrics, in the order of [`crate::replay::observed`].
    pub observed: Vec<Observed>,
    /// By statement: what the server counted.
    pub counted: Vec<Diff<Option<Counted>>>,
    /// Failures of each side.
    pub failures: Diff<Failures>,
}

/// The change that was tried, and what making it took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The file or the migrations.
    pub names: Vec<String>,
    /// Statement by statement.
    pub steps: Vec<AppliedStep>,
    /// From the first statement to the last, in milliseconds.
    pub elapsed_ms: f64,
    /// How long it waited for locks, in milliseconds, to the 20 ms at which that was looked at.
    pub lock_wait_ms: f64,
    /// Locks it held that stop writes or reads: `ShareLock on public.orders`, and for how long they were seen.
    pub locks: Vec<HeldLock>,
    /// Indexes that were not there before.
    pub indexes: Vec<BuiltIndex>,
    /// The database's size in bytes.
    pub size_bytes: Diff<u64>,
}

/// One statement of the change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedStep {
    /// The statement, shortened.
    pub statement: String,
    /// How long it took.
    pub elapsed_ms: f64,
}

/// A lock that others would have waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldLock {
    /// The table.
    pub relation: String,
    /// Postgres's name of the lock: `ShareLock` stops writes, `AccessExclusiveLock` reads too.
    pub mode: String,
    /// For how long it was seen, in milliseconds.
    pub held_ms: f64,
}

/// An index the change made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltIndex {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A setting in which the sides differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingDiff {
    /// Its name.
    pub name: String,
    /// Its values; `None` where it is at its default.
    pub value: Diff<Option<String>>,
}

/// What else the machine did while it was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interference {
    /// The share of all processors' time that a hypervisor gave to others, on average; `None` where the system does not tell.
    pub steal_share: Option<f64>,
    /// The largest such share of one slice.
    pub steal_share_max: Option<f64>,
    /// The share of time in which something waited for a processor (pressure stall information).
    pub cpu_pressure: Option<f64>,
    /// The share of time in which something waited for a disk.
    pub io_pressure: Option<f64>,
    /// The share of one processor the load generator used.
    pub own_cpu_share: Option<f64>,
    /// Autovacuum runs seen on either side.
    pub autovacuums: u32,
}

/// Everything a paired experiment leaves behind; the comparison's fields stand at the top of its JSON form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// What may be said.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// The workload's name.
    pub name: String,
    /// Versions and settings of the experiment, never a password.
    pub about: BTreeMap<String, serde_json::Value>,
    /// The change that was tried; `None` when two databases were compared as they are.
    pub applied: Option<Applied>,
    /// Settings in which the sides differ.
    pub settings: Vec<SettingDiff>,
    /// What else the machine did.
    pub interference: Interference,
    /// Whether it ended before its time.
    pub partial: bool,
}

/// What a comparison is made from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// How both sides were measured.
    pub design: Design,
    /// The seed of resampling.
    pub seed: u64,
    /// The statements' names, by label.
    pub names: &'a [String],
    /// The system against itself; `None` when it was not measured.
    pub calibration: Option<&'a Phase>,
    /// After the change.
    pub measured: &'a Phase,
    /// By statement: its plan on each side.
    pub plans: &'a [Diff<Option<StatementPlan>>],
    /// What limits the comparison so far.
    pub caveats: &'a [String],
}

/// Judges an experiment.
pub fn compare(evidence: &Evidence<'_>) -> Comparison {
    let exact = exact(evidence);
    let against_itself = evidence.calibration.map(|phase| judged(evidence, &[], phase, None)).unwrap_or_default();
    let mut metrics = judged(evidence, &exact, evidence.measured, evidence.calibration);
    let failures = evidence.measured.failures;
    metrics.extend(error_metric(TOTAL, [failures.before, failures.after].map(|side| (side.failed, side.count))));
    // All together first, as everywhere.
    metrics.sort_by_key(|metric| metric.label != TOTAL);
    let rounds = evidence.measured.observed.iter().map(|one| one.rounds.values.len()).max().unwrap_or(0);
    let mut caveats = evidence.caveats.to_vec();
    caveats.extend(doubts(&metrics));
    caveats.extend(more_work(&exact));
    Comparison {
        schema_version: 1,
        design: evidence.design,
        rounds: u32::try_from(rounds).unwrap_or(u32::MAX),
        calibration: Calibration {
            done: evidence.calibration.is_some(),
            note: calibration_note(&against_itself, evidence.calibration.is_some()),
            metrics: against_itself,
        },
        // The same work by the same plans does not outweigh the clock here: rounds in turn see what drifting runs cannot.
        verdict: overall(&metrics, &[]),
        metrics,
        exact,
        caveats,
    }
}

/// Judges a phase against the calibration; metrics that no side has are left out.
fn judged(evidence: &Evidence<'_>, exact: &[Exact], phase: &Phase, calibration: Option<&Phase>) -> Vec<Metric> {
    let explained_of = |label: Option<usize>| {
        let lines = exact.iter().filter(|line| label.is_none_or(|label| line.label == evidence.names[label]));
        let together = |all: Explained, one: Explained| Explained { better: all.better || one.better, worse: all.worse || one.worse };
        lines.map(explained).reduce(together).unwrap_or(Explained::BOTH)
    };
    let name = |label: Option<usize>| label.map_or(TOTAL, |label| evidence.names[label].as_str()).to_owned();
    let bias = |one: &Observed| {
        let same = |other: &&Observed| other.label == one.label && other.metric == one.metric;
        calibration.and_then(|phase| phase.observed.iter().find(same)).map(|other| other.rounds.clone()).unwrap_or_default()
    };
    let shown = phase.observed.iter().filter(|one| one.values.before.is_some() || one.values.after.is_some());
    let pairs: Vec<Paired> = shown
        .map(|one| Paired {
            label: name(one.label),
            metric: one.metric,
            unit: one.unit,
            better: one.better,
            explained: explained_of(one.label),
            before: one.values.before,
            after: one.values.after,
            rounds: one.rounds.clone(),
            calibration: bias(one),
        })
        .collect();
    judge(&pairs, evidence.seed)
}

fn exact(evidence: &Evidence<'_>) -> Vec<Exact> {
    let counted = &evidence.measured.counted;
    let lines = evidence.names.iter().enumerate().map(|(label, name)| {
        let sides = counted.get(label).copied().unwrap_or_default();
        let plans = evidence.plans.get(label);
        let per_call = |of: fn(&Counted) -> u64| Diff {
            before: Counted::per_call(sides.before.as_ref(), of),
            after: Counted::per_call(sides.after.as_ref(), of),
        };
        let indexes = |plan: Option<&StatementPlan>| plan.map(|plan| plan.indexes.clone()).unwrap_or_default();
        let plan = |side: fn(&Diff<Option<StatementPlan>>) -> &Option<StatementPlan>| plans.and_then(|plans| side(plans).as_ref());
        let (before, after) = (plan(|plans| &plans.before), plan(|plans| &plans.after));
        let called = sides.before.is_some() || sides.after.is_some() || before.is_some() || after.is_some();
        called.then(|| Exact {
            label: name.clone(),
            blocks_per_call: per_call(|counted| counted.blocks),
            rows_per_call: per_call(|counted| counted.rows),
            plan_changed: before.zip(after).map(|(before, after)| before != after),
            indexes: Diff { before: indexes(before), after: indexes(after) },
            wal_bytes_per_call: per_call(|counted| counted.wal_bytes),
            wal_records_per_call: per_call(|counted| counted.wal_records),
            temp_blocks_per_call: per_call(|counted| counted.temp_blocks),
        })
    });
    lines.flatten().collect()
}

/// Says which statements do more work a call, whatever the clock says: that is counted, not measured.
fn more_work(exact: &[Exact]) -> Vec<String> {
    let mut told = Vec::new();
    for line in exact {
        if work(line) == Work::More {
            let (before, after) = (line.blocks_per_call.before.unwrap_or(0.0), line.blocks_per_call.after.unwrap_or(0.0));
            told.push(format!("Statement {} touches more blocks a call: {before:.1} before, {after:.1} after.", line.label));
        }
        if let (Some(before), Some(after)) = (line.wal_records_per_call.before, line.wal_records_per_call.after)
            && writes_more(line)
        {
            told.push(format!("Statement {} writes more log a call: {before:.1} records before, {after:.1} after.", line.label));
        }
    }
    told
}

/// Returns which differences in time follow from what was counted of a statement.
fn explained(line: &Exact) -> Explained {
    let counted = match work(line) {
        Work::Less => Explained { better: true, worse: false },
        Work::Same => Explained::NEITHER,
        Work::More => Explained { better: false, worse: true },
        Work::OtherPlan | Work::Unknown => Explained::BOTH,
    };
    Explained { worse: counted.worse || writes_more(line), ..counted }
}

/// Whether a call writes more records of log: half a record and a tenth more, rules of thumb.
fn writes_more(line: &Exact) -> bool {
    let Diff { before: Some(before), after: Some(after) } = line.wal_records_per_call else { return false };
    after - before >= 0.5 && after > before * 1.1
}

fn calibration_note(metrics: &[Metric], done: bool) -> String {
    if !done {
        return "The system was not compared with itself first, so a bias between the sides is part of the difference.".to_owned();
    }
    let headline = metrics.iter().filter(|metric| metric.label == TOTAL && metric.ratio.is_some());
    let told: Vec<String> =
        headline.map(|metric| format!("{} {:+.1} %", metric.metric, (metric.ratio.unwrap_or(1.0) - 1.0) * 100.0)).collect();
    if told.is_empty() {
        return "Before the change there were too few rounds to compare the system with itself.".to_owned();
    }
    format!("Before the change the sides differed by {}, which was taken out.", told.join(", "))
}

/// Says what the metrics' own cross-checks doubt, and what is missing.
fn doubts(metrics: &[Metric]) -> Vec<String> {
    let mut told = Vec::new();
    for metric in metrics.iter().filter(|metric| matches!(metric.verdict, Verdict::Better | Verdict::Worse)) {
        if metric.rounds.bootstrap.is_some_and(|[low, high]| low <= 1.0 && 1.0 <= high) {
            told.push(format!("The block bootstrap doubts the {} of {}: its interval holds no change.", metric.metric, metric.label));
        }
    }
    let short = metrics.iter().filter(|metric| metric.interval.is_none() && metric.metric != "errors").count();
    if short > 0 {
        told.push(format!("{short} metrics have no interval: fewer than 8 rounds had enough calls. Run longer."));
    }
    let headline = metrics.iter().filter(|metric| metric.label == TOTAL && metric.verdict == Verdict::Inconclusive);
    if let Some((more, name)) = headline.filter_map(|metric| Some((metric.rounds.needed_more?, &metric.metric))).max() {
        told.push(format!("Inconclusive {name}: about {more} more rounds would settle it."));
    }
    told
}

/// Says what the machine did beside the experiment, where it was much.
pub fn disturbances(interference: &Interference) -> Vec<String> {
    let mut told = Vec::new();
    let mut say = |share: Option<f64>, limit: f64, what: &str| {
        if let Some(share) = share.filter(|share| *share > limit) {
            told.push(format!("{what}: {:.0} %.", share * 100.0));
        }
    };
    say(interference.steal_share, 0.02, "The hypervisor gave processor time to others");
    say(interference.io_pressure, DISTURBED, "Something waited for a disk for this share of the time");
    say(interference.own_cpu_share, 0.8, "The load generator used most of its processor, so it delayed calls itself");
    if interference.autovacuums > 0 {
        told.push(format!("Autovacuum was at work on a side in {} of the seconds measured.", interference.autovacuums));
    }
    told
}
