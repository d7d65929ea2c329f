//! Exact evidence: plans of both sides, and what the server counted of each statement there.

use std::collections::HashMap;

use tokio_postgres::Client;

use crate::catalog::name::quoted;
use crate::diff::Diff;
use crate::pg::measure::{self, Explained, MeasureError, Server};
use crate::pg::rows::Fields;
use crate::replay::paired::Counted;
use crate::replay::{Program, StatementPlan};

/// A statement's plans, and the numbers it is counted under: a change that makes a table anew gives it another one.
#[derive(Debug, Clone, Default)]
pub(super) struct Plans(Diff<Option<Explained>>);

impl Plans {
    /// Returns the plan on each side.
    pub(super) fn both(&self) -> Diff<Option<StatementPlan>> {
        self.0.clone().map(|side| side.map(|explained| explained.plan))
    }

    fn ids(&self) -> Diff<Option<i64>> {
        self.0.clone().map(|side| side.and_then(|explained| explained.query_id))
    }
}

/// Plans every label that is a statement on both sides, with arguments some call gives it.
pub(super) async fn plans(control: &Diff<Client>, program: &dyn Program, caveats: &mut Vec<String>) -> Vec<Plans> {
    let mut all = Vec::with_capacity(program.labels().len());
    for label in program.labels() {
        let index = label.statement.filter(|_| label.called);
        let Some((statement, args)) = index.and_then(|index| Some((&program.statements()[index], program.example(index)?))) else {
            all.push(Plans::default());
            continue;
        };
        let mut sides = Diff::default();
        for (side, client) in [(&mut sides.before, &control.before), (&mut sides.after, &control.after)] {
            match measure::explain(client, &statement.sql, &args).await {
                Ok(explained) => *side = Some(explained),
                Err(error) => caveats.push(format!("Statement {} could not be explained: {}.", statement.name, said(&error))),
            }
        }
        all.push(Plans(sides));
    }
    all
}

type Counts = HashMap<i64, Counted>;

/// What is counted, by statement and side.
pub(super) struct Tracked<'a> {
    control: &'a Diff<Client>,
    schema: Option<&'a str>,
    ids: Vec<Diff<Option<i64>>>,
}

impl<'a> Tracked<'a> {
    pub(super) fn new(
        control: &'a Diff<Client>,
        server: &'a Server,
        plans: &[Plans],
        program: &dyn Program,
        caveats: &mut Vec<String>,
    ) -> Self {
        let mut ids: Vec<Diff<Option<i64>>> = plans.iter().map(Plans::ids).collect();
        let schema = server.statements_schema.as_deref();
        if schema.is_none() {
            caveats.push(
                "The work done is not counted: this database lacks pg_stat_statements (create extension pg_stat_statements).".to_owned(),
            );
        } else if plans.iter().all(|plans| plans.0.before.is_none()) {
            let told = "Plans and the work done are not compared: no statement of the load could be explained by itself. Scripts have to be \
                        sent as -M prepared for it.";
            caveats.push(told.to_owned());
        } else if ids.iter().all(|ids| ids.before.is_none()) {
            caveats.push("The work done is not counted: the server computes no query ids (compute_query_id).".to_owned());
        }
        let shared: Vec<bool> =
            ids.iter().map(|own| own.before.is_some() && ids.iter().filter(|other| other.before == own.before).count() > 1).collect();
        for ((own, shared), label) in ids.iter_mut().zip(shared).zip(program.labels()) {
            if shared {
                *own = Diff::default();
                caveats.push(format!("The work of {} is not counted: another statement differs only in its constants.", label.name));
            }
        }
        Self { control, schema, ids }
    }

    /// Reads the counts of both sides.
    pub(super) async fn read(&self, caveats: &mut Vec<String>) -> Diff<Counts> {
        let (before, after): (Vec<_>, Vec<_>) = self.ids.iter().map(|ids| (ids.before, ids.after)).unzip();
        let mut counts = Diff::default();
        let Some(schema) = self.schema else { return counts };
        for (side, client, ids) in [(&mut counts.before, &self.control.before, before), (&mut counts.after, &self.control.after, after)] {
            let ids: Vec<i64> = ids.into_iter().flatten().collect();
            match of(client, schema, &ids).await {
                Ok(read) => *side = read,
                Err(error) => caveats.push(format!("The work done is not counted: {}.", said(&error))),
            }
        }
        counts
    }

    /// Returns what was counted since, by statement.
    pub(super) async fn since(&self, earlier: &Diff<Counts>, caveats: &mut Vec<String>) -> Vec<Diff<Option<Counted>>> {
        let now = self.read(caveats).await;
        let side = |id: Option<i64>, now: &Counts, earlier: &Counts| {
            let id = id?;
            now.get(&id)?.since(&earlier.get(&id).copied().unwrap_or_default())
        };
        let lines = self
            .ids
            .iter()
            .map(|ids| Diff { before: side(ids.before, &now.before, &earlier.before), after: side(ids.after, &now.after, &earlier.after) });
        lines.collect()
    }
}

async fn of(client: &Client, schema: &str, ids: &[i64]) -> Result<Counts, MeasureError> {
    let sql = include_str!("../queries/paired_counts.sql").replace("{schema}", &quoted(schema));
    let mut counts = Counts::new();
    for row in &client.query(&sql, &[&ids]).await? {
        let fields = Fields { row, query: "paired_counts" };
        let counted = Counted {
            calls: fields.count("calls")?,
            rows: fields.count("rows")?,
            blocks: fields.count("blocks")?,
            temp_blocks: fields.count("temp_blocks")?,
            wal_records: fields.count("wal_records")?,
            wal_bytes: fields.count("wal_bytes")?,
        };
        counts.insert(fields.get("query_id")?, counted);
    }
    Ok(counts)
}

/// What the server said, else the driver, without a full stop.
fn said(error: &MeasureError) -> String {
    let text = match error {
        MeasureError::Query(source) => source.as_db_error().map_or_else(|| source.to_string(), |db| db.message().to_owned()),
        MeasureError::Row(row) => row.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}
