//! One session's way through the calls of a workload file: statements, transactions, retries.

use crate::replay::args::Args;
use crate::replay::program::{Client, End, Ending, Reply, Request, Sql, Step, is_retryable};
use crate::replay::script::Script;
use crate::replay::transaction::{StepSpec, TransactionSpec};

/// Plays the calls of a [`Script`].
#[derive(Debug)]
pub(super) struct Player<'s> {
    script: &'s Script,
    args: Args<'s>,
    call: u64,
    label: usize,
    transaction: Option<&'s TransactionSpec>,
    /// The next step of the transaction.
    at: usize,
    state: State,
    retries: u32,
    skipped: u32,
    error: Option<String>,
}

/// Where in its call a player is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was sent in this attempt.
    Fresh,
    /// The server has the transaction open.
    Open,
    /// What was sent ended the transaction, or was a call of its own.
    Closing,
    /// A rollback was sent, after which the transaction begins again.
    Again,
    /// A rollback was sent, after which the call is over.
    Over,
}

impl<'s> Player<'s> {
    pub(super) fn new(script: &'s Script) -> Self {
        Self {
            script,
            args: Args::default(),
            call: 0,
            label: 0,
            transaction: None,
            at: 0,
            state: State::Fresh,
            retries: 0,
            skipped: 0,
            error: None,
        }
    }

    fn done(&self) -> Step<'_> {
        Step::Done(Ending { error: self.error.as_deref(), retries: self.retries, skipped: self.skipped })
    }

    /// How the transaction is to end when all goes well.
    fn end(&self) -> End {
        if self.script.is_rolled_back(self.label) { End::Rollback } else { End::Commit }
    }

    /// Starts the transaction again from its first step, with the same arguments.
    fn restart(&mut self) {
        self.at = 0;
        self.state = State::Fresh;
        self.retries += 1;
    }

    /// The one statement of a call that is no transaction.
    fn alone(&mut self, reply: &Reply<'_>) -> Step<'_> {
        if self.state == State::Closing {
            self.error = reply.error.map(str::to_owned);
            return self.done();
        }
        self.state = State::Closing;
        self.script.fill(self.call, self.label, 0, &mut self.args);
        let rolled_back = self.script.is_rolled_back(self.label);
        Step::Run(Request {
            label: self.label,
            sql: Sql::Prepared(self.label),
            args: &self.args,
            begin: rolled_back.then_some("begin"),
            end: rolled_back.then_some(End::Rollback),
            wants_row: false,
        })
    }

    /// The next step of a transaction, after a reply.
    fn within(&mut self, transaction: &'s TransactionSpec, reply: &Reply<'_>) -> Step<'_> {
        let mut reply = *reply;
        if self.state == State::Over {
            return self.done();
        }
        if self.state == State::Again {
            self.restart();
            reply = Reply::default();
        }
        if let Some(code) = reply.error {
            let was_open = self.state == State::Open;
            if is_retryable(code) && self.retries < transaction.retry {
                if was_open {
                    self.state = State::Again;
                    return Step::End(End::Rollback);
                }
                self.restart();
            } else {
                self.error = Some(code.to_owned());
                self.skipped = count_runs(&transaction.steps[self.at.min(transaction.steps.len())..]);
                if was_open {
                    self.state = State::Over;
                    return Step::End(End::Rollback);
                }
                return self.done();
            }
        } else if self.state == State::Closing {
            return self.done();
        }
        self.advance(transaction)
    }

    fn advance(&mut self, transaction: &'s TransactionSpec) -> Step<'_> {
        let Some(step) = transaction.steps.get(self.at) else {
            // The last step was a pause.
            let was_open = self.state == State::Open;
            self.state = State::Closing;
            return if was_open { Step::End(self.end()) } else { self.done() };
        };
        self.at += 1;
        let statement = match *step {
            StepSpec::Think(pause) => return Step::Sleep(pause),
            StepSpec::Run(statement) => statement,
        };
        let place = count_runs(&transaction.steps[..self.at]) - 1;
        self.script.fill(self.call, statement, place as usize, &mut self.args);
        let (first, last) = (self.state == State::Fresh, self.at == transaction.steps.len());
        self.state = if last { State::Closing } else { State::Open };
        Step::Run(Request {
            label: statement,
            sql: Sql::Prepared(statement),
            args: &self.args,
            begin: first.then(|| transaction.isolation.begin()),
            end: last.then(|| self.end()),
            wants_row: false,
        })
    }
}

fn count_runs(steps: &[StepSpec]) -> u32 {
    steps.iter().filter(|step| matches!(step, StepSpec::Run(_))).count() as u32
}

impl Client for Player<'_> {
    fn begin(&mut self, call: u64) -> usize {
        self.call = call;
        self.label = self.script.statement(call);
        self.transaction = self.script.transaction(self.label);
        self.at = 0;
        self.state = State::Fresh;
        self.retries = 0;
        self.skipped = 0;
        self.error = None;
        self.label
    }

    fn next(&mut self, reply: &Reply<'_>) -> Step<'_> {
        match self.transaction {
            Some(transaction) => self.within(transaction, reply),
            None => self.alone(reply),
        }
    }
}

#[cfg(test)]
#[path = "player_tests.rs"]
mod tests;
