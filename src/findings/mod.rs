//! JUDGE: what is wrong with a snapshot, with the evidence.
//!
//! [`audit`] runs every rule of [`rules::RULES`]. A rule is one file in `rules/`, named as its id; pure functions of the snapshot.

pub mod cover;
pub mod family;
pub mod foreign_keys;
pub mod index_size;
pub mod redundancy;
pub mod remedy;
pub mod rules;
#[cfg(test)]
pub(crate) mod sample;
pub mod statement_text;
pub mod statements;
pub mod usage;
pub mod window;

use serde::{Deserialize, Serialize};

pub use statements::Statements;

use crate::catalog::{Index, QualifiedName, Relations, Snapshot, Table};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing has to be done.
    Info,
    /// Costs time or space; should be mended.
    Warning,
    /// Costs much, or breaks something.
    Critical,
}

/// What kind of thing a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A table.
    Table,
    /// An index.
    Index,
    /// A statement; its name is the query id.
    Statement,
    /// A constraint.
    Constraint,
}

/// The thing a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its schema; `None` for statements.
    pub schema: Option<String>,
    /// The table it is or belongs to; `None` for statements.
    pub table: Option<String>,
    /// Its own name, or a statement's query id.
    pub name: String,
}

/// One observation a finding rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was observed: `scans`, `size`, `covered_by`.
    pub name: String,
    /// The observation: a number or a text.
    pub value: serde_json::Value,
    /// The number's unit (`bytes`, `ms`, `rows`, `days`, `calls`); `None` for texts and plain counts.
    pub unit: Option<String>,
    /// The view or catalog it comes from.
    pub source: String,
}

/// Something wrong, or worth knowing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The id of the rule that found it.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub object: Object,
    /// What, on which object, how much, since when, and what is uncertain: whole sentences.
    pub message: String,
    /// What the message rests on.
    pub evidence: Vec<Evidence>,
    /// What to do, as an order; SQL ready to run where there is some.
    pub help: String,
}

/// One thing pgload knows to look for.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The id: file name, docs page and flag value.
    pub id: &'static str,
    /// What it finds, in one sentence.
    pub summary: &'static str,
    /// Finds it.
    pub check: Check,
}

/// How a rule looks.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// Reads catalogs, statistics and counters.
    Catalog(fn(&Relations<'_>) -> Vec<Finding>),
    /// Reads what statements do as well; each text is parsed once for all rules.
    Workload(for<'a> fn(&Relations<'a>, &Statements<'a>) -> Vec<Finding>),
}

impl Check {
    /// Returns what it finds in a snapshot with these statements.
    pub fn run<'a>(self, relations: &Relations<'a>, statements: &Statements<'a>) -> Vec<Finding> {
        match self {
            Self::Catalog(check) => check(relations),
            Self::Workload(check) => check(relations, statements),
        }
    }
}

/// Judges a snapshot by every rule: the most severe findings first, then by rule and object.
pub fn audit(snapshot: &Snapshot) -> Vec<Finding> {
    let relations = Relations::new(snapshot);
    let statements = Statements::new(&relations);
    let mut findings: Vec<Finding> = rules::RULES.iter().flat_map(|rule| rule.check.run(&relations, &statements)).collect();
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.rule.cmp(&b.rule)).then_with(|| a.object.cmp(&b.object)));
    findings
}

impl Object {
    /// Names a table.
    pub fn table(name: &QualifiedName) -> Self {
        Self { kind: ObjectKind::Table, schema: Some(name.schema.clone()), table: Some(name.name.clone()), name: name.name.clone() }
    }

    /// Names an index of a table.
    pub fn index(index: &Index, table: &Table) -> Self {
        Self {
            kind: ObjectKind::Index,
            schema: Some(index.name.schema.clone()),
            table: Some(table.name.name.clone()),
            name: index.name.name.clone(),
        }
    }

    /// Names a constraint of a table.
    pub fn constraint(name: &str, table: &Table) -> Self {
        Self {
            kind: ObjectKind::Constraint,
            schema: Some(table.name.schema.clone()),
            table: Some(table.name.name.clone()),
            name: name.to_owned(),
        }
    }

    /// Names a statement by its query id.
    pub fn statement(query_id: &str) -> Self {
        Self { kind: ObjectKind::Statement, schema: None, table: None, name: query_id.to_owned() }
    }
}

impl Evidence {
    /// Records an observation with its unit (empty for none) and the view it comes from.
    pub fn new(name: &str, value: impl Into<serde_json::Value>, unit: &str, source: &str) -> Self {
        let unit = (!unit.is_empty()).then(|| unit.to_owned());
        Self { name: name.to_owned(), value: value.into(), unit, source: source.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::sample::{Sample, index};
    use super::*;

    #[test]
    fn a_large_catalog_with_many_statements_is_judged_in_seconds() {
        let mut sample = Sample::new();
        for number in 1..=2000 {
            let table = sample.table(number, "t");
            table.name.name = format!("t{number}");
            (table.usage.rows_updated, table.usage.rows_hot_updated) = (200_000, 0);
            table.columns[3].statistics.as_mut().expect("analysed").null_fraction = 0.95;
            for keys in ["a", "b, a", "c, d, e", "d", "lower(e)"] {
                sample.index("x", index(keys).with(|index| index.table = number)).name.name = format!("t{number}_{}", keys.len());
            }
        }
        for number in 1..=3000_u32 {
            let table = number % 2000 + 1;
            let query = match number % 3 {
                0 => format!(
                    "select a.*, b.c from t{table} a join t{number} b on a.a = b.b where a.d > $1 and b.c = $2 order by a.e limit $3"
                ),
                1 => format!("update t{table} set a = $1, b = $2 where c = $3 and lower(d) = $4"),
                _ => format!("with x as (select * from t{table} where c > $1 and d = $2) select * from x where a::text = $3"),
            };
            sample.statement(&number.to_string(), &query, 1000, 10.0);
        }
        let begun = Instant::now();
        let findings = audit(&sample.snapshot);
        // Well above what it takes without optimisation (two seconds on a busy machine), far below what a look at all statements for each index would.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(findings.len() > 2000, "{}", findings.len());
    }
}
