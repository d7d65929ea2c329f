//! What a whole report says, with its headline.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::change::changed;
use super::phrase::counted;
use super::{AuditContent, ComparisonContent, Fact, Grid, RunContent, Tone};
use crate::report::numbers::together;
use crate::report::{NamedComparison, Number, Numbers, Report};
use crate::stats::Verdict;

/// A report as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// What the page is called.
    pub title: String,
    /// What happened, in one sentence.
    pub headline: String,
    /// The numbers that matter; empty when nothing was compared and nothing audited.
    pub tiles: Vec<Tile>,
    /// The statements whose plan changed; without rows when none did.
    pub changed: Grid,
    /// What got worse, a sentence each.
    pub slower: Vec<String>,
    /// Runs set against each other.
    pub comparisons: Vec<ComparisonContent>,
    /// What the audit found.
    pub audit: Option<AuditContent>,
    /// Runs by themselves.
    pub runs: Vec<RunContent>,
    /// What limits the whole report.
    pub caveats: Vec<String>,
    /// Versions, seed, settings.
    pub about: Vec<Fact>,
}

/// A number that stands out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tile {
    /// What it is.
    pub label: String,
    /// The number as people read it.
    pub value: String,
    /// What it says.
    pub sentence: String,
    /// How it is to be taken.
    pub tone: Tone,
}

impl Page {
    /// Says what a report holds.
    pub fn of(report: &Report) -> Self {
        let numbers: Vec<(&NamedComparison, Numbers)> = report.comparisons.iter().map(|named| (named, numbers(report, named))).collect();
        let together = together(report);
        let tiles = match (&together, Numbers::over(report)) {
            (Some((named, _)), Some(numbers)) => tiles(named, &numbers),
            _ => report.audit.as_ref().map_or_else(Vec::new, audit_tiles),
        };
        Self {
            title: report.title.clone(),
            headline: headline(report, &numbers),
            tiles,
            changed: together.map_or_else(|| changed(None), |(named, _)| changed(Some(&named.comparison))),
            slower: numbers.into_iter().flat_map(|(_, numbers)| numbers.slower).collect(),
            comparisons: report.comparisons.iter().map(|named| ComparisonContent::of(&named.name, &named.comparison)).collect(),
            audit: report.audit.as_ref().map(AuditContent::of),
            runs: report.runs.iter().map(RunContent::of).collect(),
            caveats: report.caveats.clone(),
            about: facts(&report.about),
        }
    }
}

/// Draws the numbers of one comparison of a report.
pub fn numbers(report: &Report, named: &NamedComparison) -> Numbers {
    let proposals = report.audit.as_ref().map_or(&[][..], |audit| &audit.proposals);
    Numbers::of(&named.comparison, report.run_of(&named.name, "before"), proposals)
}

/// Writes a JSON value as a reader expects it: texts without quotes, the rest as compact JSON.
pub fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number
            .as_f64()
            .filter(|float| !number.is_u64() && float.fract() != 0.0)
            .map_or_else(|| number.to_string(), super::phrase::number),
        other => other.to_string(),
    }
}

/// Lists named values as facts.
pub fn facts(values: &BTreeMap<String, Value>) -> Vec<Fact> {
    values.iter().map(|(name, told)| Fact::new(name.replace('_', " "), value(told))).collect()
}

fn tiles(named: &NamedComparison, numbers: &Numbers) -> Vec<Tile> {
    let beyond_noise = matches!(named.comparison.verdict, Verdict::Better | Verdict::Worse);
    let faster = numbers.faster.value.map_or(Tone::Muted, |factor| match (beyond_noise, factor > 1.0) {
        (false, _) => Tone::Plain,
        (true, true) => Tone::Good,
        (true, false) => Tone::Bad,
    });
    let saved = numbers.saved.value.map_or(Tone::Muted, |share| if share > 0.0 { Tone::Good } else { Tone::Plain });
    let cost = numbers.cost.value.map_or(Tone::Muted, |_| Tone::Plain);
    let tile = |label: &str, number: &Number, tone| Tile {
        label: label.to_owned(),
        value: number.display.clone(),
        sentence: number.sentence.clone(),
        tone,
    };
    vec![
        tile("Statements whose plan changed", &numbers.faster, faster),
        tile("Blocks touched", &numbers.saved, saved),
        tile("What it costs on disk", &numbers.cost, cost),
    ]
}

fn audit_tiles(audit: &crate::report::AuditDocument) -> Vec<Tile> {
    let share = audit.coverage.exec_time_share.map_or_else(|| super::phrase::DASH.to_owned(), super::phrase::percent);
    let tile = |label: &str, value: String, sentence: String| Tile { label: label.to_owned(), value, sentence, tone: Tone::Plain };
    let cost = Numbers::of(&nothing_compared(), None, &audit.proposals).cost;
    vec![
        tile(
            "Execution time covered",
            share,
            format!("{} of {} recorded statements could be used.", audit.coverage.usable, audit.coverage.statements),
        ),
        tile("Proposals", audit.proposals.len().to_string(), cost.sentence),
        tile("Findings", audit.findings.len().to_string(), severities(audit)),
    ]
}

fn nothing_compared() -> crate::stats::Comparison {
    crate::stats::Comparison {
        schema_version: 1,
        design: crate::stats::Design::Sequential,
        rounds: 0,
        calibration: crate::stats::Calibration::default(),
        metrics: Vec::new(),
        exact: Vec::new(),
        verdict: Verdict::Inconclusive,
        caveats: Vec::new(),
    }
}

fn severities(audit: &crate::report::AuditDocument) -> String {
    let groups = AuditContent::of(audit).groups;
    if groups.is_empty() {
        return "Nothing was found.".to_owned();
    }
    let told: Vec<String> = groups.iter().map(|group| format!("{} {}", group.findings.len(), group.severity)).collect();
    format!("{}.", told.join(", "))
}

fn headline(report: &Report, numbers: &[(&NamedComparison, Numbers)]) -> String {
    if let [(named, numbers)] = numbers {
        return compared(named, numbers);
    }
    if !numbers.is_empty() {
        let better = numbers.iter().filter(|(named, _)| named.comparison.verdict == Verdict::Better).count();
        let worse = numbers.iter().filter(|(named, _)| named.comparison.verdict == Verdict::Worse).count();
        return format!("{} compared: {better} better, {worse} worse.", counted(numbers.len() as u64, "workload", "workloads"));
    }
    match (&report.audit, report.runs.len()) {
        (Some(audit), _) => {
            let findings = counted(audit.findings.len() as u64, "finding", "findings");
            format!("{findings}, {}.", counted(audit.proposals.len() as u64, "proposal", "proposals"))
        }
        (None, 0) => "There is nothing to report yet.".to_owned(),
        (None, runs) => format!("{}; nothing was compared.", counted(runs as u64, "run", "runs")),
    }
}

fn compared(named: &NamedComparison, numbers: &Numbers) -> String {
    let verdict = match named.comparison.verdict {
        Verdict::Better => "performs better",
        Verdict::Worse => "performs worse",
        Verdict::NoDifference => "shows no difference",
        Verdict::Inconclusive => "gave no conclusive result",
    };
    let slower = if numbers.slower.is_empty() {
        String::new()
    } else {
        format!(" {} slower.", counted(numbers.slower.len() as u64, "statement got", "statements got"))
    };
    format!("The workload {} {verdict} after the change.{slower}", named.name)
}
