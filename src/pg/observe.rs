//! What the server saw of a run: plans before it, blocks over it.

use tokio_postgres::Client;

use crate::pg::measure::{self, Counts, Explained, MeasureError, Server};
use crate::replay::program::Program;
use crate::replay::{Blocks, StatementPlan};

/// Watches a run from the server's side.
pub(super) struct Observer<'a> {
    control: &'a Client,
    /// Where statements are counted; `None` where they are not, or no longer.
    schema: Option<&'a str>,
    /// By statement.
    explained: Vec<Option<Explained>>,
    before: Option<Counts>,
}

impl<'a> Observer<'a> {
    /// Plans every statement with the parameters of its first call.
    pub(super) async fn new(control: &'a Client, server: &'a Server, program: &dyn Program, caveats: &mut Vec<String>) -> Self {
        let mut all = Vec::with_capacity(program.statements().len());
        for (index, statement) in program.statements().iter().enumerate() {
            let example = if statement.called { program.example(index) } else { None };
            let Some(args) = example else {
                all.push(None);
                continue;
            };
            match measure::explain(control, &statement.sql, &args).await {
                Ok(explained) => all.push(Some(explained)),
                Err(error) => {
                    caveats.push(format!("Statement {} could not be explained: {}.", statement.name, said(&error)));
                    all.push(None);
                }
            }
        }
        let mut observer = Self { control, schema: server.statements_schema.as_deref(), explained: all, before: None };
        if observer.schema.is_none() {
            caveats
                .push("Blocks are not counted: this database lacks pg_stat_statements (create extension pg_stat_statements).".to_owned());
        } else if observer.explained.is_empty() {
            // A program that prepares nothing has nothing to be counted by.
            observer.schema = None;
        } else if observer.ids().is_empty() {
            caveats.push("Blocks are not counted: the server computes no query ids (compute_query_id).".to_owned());
            observer.schema = None;
        }
        for (index, statement) in program.statements().iter().enumerate() {
            if observer.id(index).is_some() && observer.unshared(index).is_none() {
                caveats.push(format!("Blocks of {} are not counted: another statement differs only in its constants.", statement.name));
            }
        }
        observer
    }

    fn id(&self, index: usize) -> Option<i64> {
        self.explained.get(index)?.as_ref()?.query_id
    }

    /// Returns the statement's number unless another statement has the same.
    fn unshared(&self, index: usize) -> Option<i64> {
        let id = self.id(index)?;
        let same = (0..self.explained.len()).filter(|other| self.id(*other) == Some(id)).count();
        (same == 1).then_some(id)
    }

    fn ids(&self) -> Vec<i64> {
        (0..self.explained.len()).filter_map(|index| self.id(index)).collect()
    }

    async fn count(&self, caveats: &mut Vec<String>) -> Option<Counts> {
        match measure::counts(self.control, self.schema?, &self.ids()).await {
            Ok(counts) => Some(counts),
            Err(error) => {
                caveats.push(format!("Blocks are not counted: {}.", said(&error)));
                None
            }
        }
    }

    pub(super) async fn begin(&mut self, caveats: &mut Vec<String>) {
        self.before = self.count(caveats).await;
    }

    /// Returns the blocks since the beginning, by statement.
    pub(super) async fn end(&self, caveats: &mut Vec<String>) -> Vec<Option<Blocks>> {
        let none = || vec![None; self.explained.len()];
        let Some(before) = &self.before else { return none() };
        let Some(after) = self.count(caveats).await else { return none() };
        (0..self.explained.len()).map(|index| measure::between(before, &after, self.unshared(index)?)).collect()
    }

    pub(super) fn plans(&self) -> Vec<Option<StatementPlan>> {
        self.explained.iter().map(|explained| Some(explained.as_ref()?.plan.clone())).collect()
    }
}

/// What the server said, else the driver, without a full stop.
fn said(error: &MeasureError) -> String {
    let text = match error {
        MeasureError::Query(source) => source.as_db_error().map_or_else(|| source.to_string(), |db| db.message().to_owned()),
        MeasureError::Row(row) => row.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}
