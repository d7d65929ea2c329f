//! refinery's traits over a connection that knows when a transaction is in the way.
//!
//! refinery runs every file inside a transaction and so refuses CONCURRENTLY. This session runs such a file statement
//! by statement, each on its own, and writes the history row after the last; every other file shares one transaction
//! with its history row.

use refinery_core::Migration;
use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use tokio_postgres::Client;
use tokio_postgres::error::ErrorPosition;

use super::error::{StepError, said};
use super::history::{self, Row};
use super::obstacles;
use crate::migration::evidence::shortened;
use crate::migration::history::{Event, Warning};
use crate::migration::statements::{concurrent_build, concurrent_rebuild, needs_no_transaction, split};

/// Letters of a statement shown in events and errors: a line of a terminal.
const STATEMENT_LETTERS: usize = 120;

/// Receives what happens while migrations are applied.
pub type OnEvent<'a> = &'a mut (dyn FnMut(Event) + Send);

/// One connection applying one migration.
pub(super) struct Session<'a> {
    /// The connection.
    pub client: &'a mut Client,
    /// Later versions are kept from refinery, which would refuse to apply one below them.
    pub horizon: i64,
    /// Who listens.
    pub on_event: OnEvent<'a>,
    /// Invalid indexes dropped for this migration.
    pub healed: Vec<String>,
    /// What held up or may hold up this run so far.
    pub warnings: &'a mut Vec<Warning>,
}

impl Session<'_> {
    fn emit(&mut self, event: Event) {
        (self.on_event)(event);
    }

    fn warn(&mut self, warning: Warning) {
        if !self.warnings.iter().any(|known| known.same_cause(&warning)) {
            self.warnings.push(warning.clone());
            self.emit(Event::Warned(warning));
        }
    }

    /// Runs a file that has no history statement, telling each of its statements.
    pub(super) async fn alone(&mut self, file: &str) -> Result<(), StepError> {
        let statements = split(file);
        if statements.iter().any(|statement| needs_no_transaction(statement)) {
            return self.apart(&statements, "").await;
        }
        self.client.batch_execute("begin").await.map_err(|source| server("begin", source))?;
        let result = self.each(&statements).await;
        // After an error the transaction can only be rolled back; the first error is the one to tell.
        let ended = self.client.batch_execute(if result.is_ok() { "commit" } else { "rollback" }).await;
        result?;
        ended.map_err(|source| server("commit", source))
    }

    /// Runs a file and its history statement in one transaction.
    async fn together(&mut self, texts: &[&str]) -> Result<(), StepError> {
        let transaction = self.client.transaction().await.map_err(|source| server("begin", source))?;
        for text in texts {
            transaction.batch_execute(text).await.map_err(|source| StepError { reason: located(text, &source), source: Some(source) })?;
        }
        transaction.commit().await.map_err(|source| server("commit", source))
    }

    /// Runs a file's statements each on its own, then its history statement.
    async fn apart(&mut self, statements: &[&str], history: &str) -> Result<(), StepError> {
        // A limit would interrupt a build or its wait for older transactions, and leave an invalid index each time.
        self.client
            .batch_execute("set lock_timeout = 0; set statement_timeout = 0")
            .await
            .map_err(|source| server("lift limits", source))?;
        for warning in obstacles::blockers(self.client).await.map_err(|source| server("list open transactions", source))? {
            self.warn(warning);
        }
        let result = self.each(statements).await;
        if result.is_err() {
            // The file may have opened a transaction of its own. If this fails too, the first error is the one to tell.
            let _ = self.client.batch_execute("rollback").await;
        }
        let reset = self.client.batch_execute("reset lock_timeout; reset statement_timeout").await;
        result?;
        reset.map_err(|source| server("restore limits", source))?;
        self.client.batch_execute(history).await.map_err(|source| server("all statements were run; write the history row", source))
    }

    async fn each(&mut self, statements: &[&str]) -> Result<(), StepError> {
        let of = statements.len();
        for (before, text) in statements.iter().enumerate() {
            let statement = shortened(text, STATEMENT_LETTERS);
            let number = before + 1;
            self.heal(text).await?;
            self.emit(Event::Running { number, of, statement: statement.clone() });
            self.client.batch_execute(text).await.map_err(|source| StepError {
                reason: format!("statement {number} of {of} ({statement}): {}{}", said(&source), run_before(before)),
                source: Some(source),
            })?;
        }
        Ok(())
    }

    /// Drops the invalid index that an interrupted run of this very build left, so that IF NOT EXISTS does not skip it, and the
    /// copies that interrupted rebuilds left.
    async fn heal(&mut self, statement: &str) -> Result<(), StepError> {
        let found = if let Some(build) = concurrent_build(statement) {
            obstacles::interrupted(self.client, &build).await.map(|left| left.into_iter().collect())
        } else if let Some(index) = concurrent_rebuild(statement) {
            obstacles::interrupted_rebuilds(self.client, &index).await
        } else {
            return Ok(());
        };
        for left in found.map_err(|source| server("look for an interrupted build", source))? {
            if let Some(pid) = left.builder {
                // It is being built at this moment; our statement waits for the table's lock and then finds it done.
                self.warn(Warning::Building { index: left.index.to_string(), pid });
                continue;
            }
            obstacles::remove(self.client, &left)
                .await
                .map_err(|source| server("drop the invalid index of an interrupted build", source))?;
            self.healed.push(left.index.to_string());
            self.emit(Event::Healed { index: left.index.to_string() });
        }
        Ok(())
    }
}

impl AsyncTransaction for Session<'_> {
    type Error = StepError;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(&'a mut self, queries: T) -> Result<usize, StepError> {
        let texts: Vec<&str> = queries.collect();
        match texts.as_slice() {
            [file, history] => {
                let statements = split(file);
                if statements.iter().any(|statement| needs_no_transaction(statement)) {
                    self.apart(&statements, history).await?;
                } else {
                    self.together(&texts).await?;
                }
            }
            _ => self.together(&texts).await?,
        }
        Ok(texts.len())
    }
}

impl AsyncQuery<Vec<Migration>> for Session<'_> {
    /// Answers refinery's one question, which migrations are applied, as of the version being applied.
    ///
    /// refinery does not apply a version below the latest applied one. `down` of a middle one followed by `up` asks for just
    /// that, so it is shown the history only up to that version.
    async fn query(&mut self, _query: &str) -> Result<Vec<Migration>, StepError> {
        let rows = history::rows(self.client).await.map_err(|source| server("read refinery_schema_history", source))?;
        let known = rows.into_iter().filter(|row| row.version <= self.horizon);
        known.map(Row::into_migration).collect::<Result<_, _>>().map_err(|error| StepError { reason: error.to_string(), source: None })
    }
}

impl AsyncMigrate for Session<'_> {}

fn server(doing: &str, source: tokio_postgres::Error) -> StepError {
    StepError { reason: format!("{doing}: {}", said(&source)), source: Some(source) }
}

fn run_before(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; statement 1 was run".to_owned(),
        count => format!("; statements 1 to {count} were run"),
    }
}

/// What the server said, with the line of the file it points at.
fn located(text: &str, error: &tokio_postgres::Error) -> String {
    let place = error.as_db_error().and_then(|db| db.position()).and_then(|position| match position {
        ErrorPosition::Original(letter) => Some(*letter as usize),
        ErrorPosition::Internal { .. } => None,
    });
    match place {
        Some(letter) => format!("line {}: {}", line_of(text, letter), said(error)),
        None => said(error),
    }
}

/// The line of a letter, both counted from 1.
fn line_of(text: &str, letter: usize) -> usize {
    1 + text.chars().take(letter.saturating_sub(1)).filter(|c| *c == '\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_placed_on_their_line() {
        assert_eq!([1, 3, 4, 6, 99].map(|letter| line_of("é;\nab\nc", letter)), [1, 1, 2, 2, 3]);
    }

    #[test]
    fn what_was_run_is_counted_in_words() {
        assert_eq!([0, 1, 3].map(run_before), ["", "; statement 1 was run", "; statements 1 to 3 were run"]);
    }
}
