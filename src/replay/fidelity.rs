//! How far a derived workload's calls resemble those the server had recorded: rows and blocks a call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::replay::run::LabelResult;
use crate::replay::workload::Workload;

/// A statement is judged from so many calls on; fewer say little of a mean.
pub const CALLS_MIN: u64 = 10;

/// From half to double the recorded figure a statement stands for what it was derived from. 2 is convention, not theory.
pub const REPRESENTATIVE: std::ops::RangeInclusive<f64> = 0.5..=2.0;

/// Names told one by one.
const NAMES_SHOWN: usize = 5;

/// Figures this close are alike whatever their ratio: 0.02 rows a call and 0.1 are both "hardly ever".
const NEAR: f64 = 0.5;

/// How a run of a derived workload compares with what the server had recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Whether rows and blocks of the whole mix, and of most of its calls, are within half and double of the recorded.
    pub representative: bool,
    /// Rows a call of all statements judged, weighted by their recorded calls.
    pub rows: Likeness,
    /// Shared blocks a call, of the statements for which they were counted.
    pub blocks: Option<Likeness>,
    /// The share of the recorded calls whose statement is representative, of those judged, 0 to 1.
    pub calls_share: f64,
    /// Statement by statement.
    pub statements: BTreeMap<String, StatementFidelity>,
    /// Statements with fewer than [`CALLS_MIN`] calls without error: not judged.
    pub too_few_calls: Vec<String>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementFidelity {
    /// Its share of the recorded calls of the statements judged, 0 to 1.
    pub calls_share: f64,
    /// Rows a call.
    pub rows: Likeness,
    /// Shared blocks a call; `None` where they were not counted.
    pub blocks: Option<Likeness>,
    /// Whether both are within half and double of the recorded.
    pub representative: bool,
}

/// A figure a call, as recorded and as replayed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// What the server had recorded.
    pub recorded: f64,
    /// What the replay showed.
    pub replayed: f64,
    /// Replayed over recorded; `None` where the recorded is 0 and the replayed is not.
    pub ratio: Option<f64>,
}

impl Likeness {
    /// Compares two figures.
    pub fn of(recorded: f64, replayed: f64) -> Self {
        let ratio = if recorded > 0.0 { Some(replayed / recorded) } else { (replayed <= 0.0).then_some(1.0) };
        Self { recorded, replayed, ratio }
    }

    /// Returns whether the replayed stands for the recorded.
    pub fn is_representative(&self) -> bool {
        self.ratio.is_some_and(|ratio| REPRESENTATIVE.contains(&ratio)) || (self.recorded - self.replayed).abs() <= NEAR
    }
}

impl Fidelity {
    /// Compares a run's statements with what was recorded; `None` for a workload without recorded figures, and where no statement was
    /// called often enough.
    pub fn of(workload: &Workload, labels: &BTreeMap<String, LabelResult>) -> Option<Self> {
        let mut judged: Vec<(&str, u64, Likeness, Option<Likeness>)> = Vec::new();
        let mut too_few_calls = Vec::new();
        for spec in &workload.statements {
            let (Some(recorded), Some(label)) = (&spec.recorded, labels.get(&spec.name)) else { continue };
            match replayed(label) {
                Some((rows, blocks)) => {
                    let blocks = blocks.map(|blocks| Likeness::of(recorded.blocks, blocks));
                    judged.push((&spec.name, recorded.calls, Likeness::of(recorded.rows, rows), blocks));
                }
                None => too_few_calls.push(spec.name.clone()),
            }
        }
        let calls: f64 = judged.iter().map(|(_, calls, ..)| *calls as f64).sum();
        if calls <= 0.0 {
            return None;
        }
        let sum = |figures: &mut dyn Iterator<Item = (u64, Likeness)>| {
            let (mut calls, mut recorded, mut replayed) = (0.0, 0.0, 0.0);
            for (weight, likeness) in figures {
                calls += weight as f64;
                recorded += weight as f64 * likeness.recorded;
                replayed += weight as f64 * likeness.replayed;
            }
            (calls > 0.0).then(|| Likeness::of(recorded / calls, replayed / calls))
        };
        let rows = sum(&mut judged.iter().map(|(_, calls, rows, _)| (*calls, *rows)))?;
        let blocks = sum(&mut judged.iter().filter_map(|(_, calls, _, blocks)| Some((*calls, (*blocks)?))));
        let statements: BTreeMap<String, StatementFidelity> = judged
            .into_iter()
            .map(|(name, own, rows, blocks)| {
                let representative = rows.is_representative() && blocks.is_none_or(|blocks| blocks.is_representative());
                (name.to_owned(), StatementFidelity { calls_share: own as f64 / calls, rows, blocks, representative })
            })
            .collect();
        let calls_share: f64 = statements.values().filter(|one| one.representative).map(|one| one.calls_share).sum();
        let whole = rows.is_representative() && blocks.is_none_or(|blocks| blocks.is_representative());
        Some(Self { representative: whole && calls_share >= 0.5, rows, blocks, calls_share, statements, too_few_calls })
    }
}

impl Fidelity {
    /// Returns what a reader of the results must know of it, as sentences.
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        let unlike: Vec<&str> = self.statements.iter().filter(|(_, one)| !one.representative).map(|(name, _)| name.as_str()).collect();
        if !unlike.is_empty() {
            let more = unlike.len().saturating_sub(NAMES_SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            caveats.push(format!(
                "Statements of {:.0} % of the recorded calls were called with other values than the application's, by their rows or blocks a \
                 call: {}{more}. A workload file (pgload capture -d) lets you give them others.",
                100.0 * (1.0 - self.calls_share),
                unlike.iter().take(NAMES_SHOWN).copied().collect::<Vec<_>>().join(", ")
            ));
        }
        match self.too_few_calls.len() {
            0 => {}
            1 => caveats.push(format!("1 statement had fewer than {CALLS_MIN} calls, and is not compared with what was recorded.")),
            few => caveats.push(format!("{few} statements had fewer than {CALLS_MIN} calls, and are not compared with what was recorded.")),
        }
        caveats
    }
}

/// Returns rows and blocks a call; `None` below [`CALLS_MIN`] calls without error.
fn replayed(label: &LabelResult) -> Option<(f64, Option<f64>)> {
    let ended = label.count.saturating_sub(label.errors.values().sum());
    if ended < CALLS_MIN {
        return None;
    }
    let blocks = label.blocks.filter(|blocks| blocks.calls > 0);
    let blocks = blocks.map(|blocks| blocks.hit.saturating_add(blocks.read) as f64 / blocks.calls as f64);
    Some((label.rows as f64 / ended as f64, blocks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::run::Blocks;

    const WORKLOAD: &str = r"
name: w
statements:
  - { name: alike, weight: 90, recorded: { calls: 90, rows: 1, blocks: 4, exec_ms: 0.1 }, sql: select 1 }
  - { name: other, weight: 10, recorded: { calls: 10, rows: 0, blocks: 100, exec_ms: 1 }, sql: select 2 }
  - { name: rare, weight: 1, recorded: { calls: 1, rows: 5, blocks: 4, exec_ms: 1 }, sql: select 3 }
  - { name: written, weight: 1, sql: select 4 }
";

    fn results(labels: &[(&str, u64, u64, Option<u64>)]) -> BTreeMap<String, LabelResult> {
        let label = |&(name, count, rows, hit): &(&str, u64, u64, Option<u64>)| {
            let blocks = hit.map(|hit| Blocks { hit, read: 0, calls: count });
            (name.to_owned(), LabelResult { count, rows, blocks, ..LabelResult::default() })
        };
        labels.iter().map(label).collect()
    }

    #[test]
    fn statements_are_compared_a_call_and_the_whole_by_their_recorded_weight() {
        let workload = Workload::parse(WORKLOAD, "w.yaml").unwrap();
        let labels =
            results(&[("alike", 1000, 1000, Some(4400)), ("other", 20, 80, Some(6000)), ("rare", 9, 45, None), ("written", 50, 0, None)]);
        let fidelity = Fidelity::of(&workload, &labels).unwrap();
        let (alike, other) = (&fidelity.statements["alike"], &fidelity.statements["other"]);
        assert_eq!((alike.rows.ratio, alike.blocks.unwrap().ratio, alike.representative), (Some(1.0), Some(1.1), true));
        assert_eq!((other.rows.ratio, other.blocks.unwrap().ratio, other.representative), (None, Some(3.0), false));
        assert_eq!((fidelity.calls_share, fidelity.too_few_calls.as_slice()), (0.9, ["rare".to_owned()].as_slice()));
        assert_eq!(fidelity.rows, Likeness::of(0.9, 0.9 + 0.4));
        // One call in ten touches three times a hundred blocks: most of what all touch.
        assert_eq!((fidelity.blocks.unwrap().recorded, fidelity.representative), (13.6, false), "{fidelity:#?}");
        assert!(!fidelity.statements.contains_key("written"));
        let told = fidelity.caveats();
        assert!(told[0].contains("other") && told[0].contains("10 %") && told[1].starts_with("1 statement "), "{told:?}");
    }

    #[test]
    fn a_mix_of_alike_statements_is_representative() {
        let workload = Workload::parse(WORKLOAD, "w.yaml").unwrap();
        let labels = results(&[("alike", 1000, 1000, Some(4400)), ("other", 20, 0, Some(2400)), ("rare", 10, 45, None)]);
        let fidelity = Fidelity::of(&workload, &labels).unwrap();
        assert!(fidelity.representative && fidelity.calls_share > 0.999, "{fidelity:#?}");
        assert_eq!(fidelity.caveats(), Vec::<String>::new());
    }

    #[test]
    fn nothing_recorded_or_called_is_no_fidelity() {
        let workload = Workload::parse(WORKLOAD, "w.yaml").unwrap();
        assert_eq!(Fidelity::of(&workload, &results(&[("rare", 9, 45, None), ("written", 50, 0, None)])), None);
    }

    #[test]
    fn hardly_any_rows_are_alike_whatever_their_ratio() {
        assert!(Likeness::of(0.0, 0.4).is_representative());
        assert!(!Likeness::of(0.0, 0.6).is_representative());
        assert!(!Likeness::of(10.0, 4.9).is_representative());
        assert!(Likeness::of(10.0, 20.0).is_representative());
        assert_eq!(Likeness::of(0.0, 0.0).ratio, Some(1.0));
    }
}
