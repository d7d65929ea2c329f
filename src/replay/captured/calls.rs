//! The file of calls read back as a stream.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use super::call::{Call, CallLine, Deed, Run};
use super::{Captured, WireProtocol};

/// Why a file of calls cannot be read further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct CallsError {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong and what was expected.
    pub message: String,
}

/// The calls of a capture in the order of time; one line is in memory at a time.
///
/// A worker of a replay reads the file by itself and takes the sessions that are its own ([`Calls::of_worker`]): nothing is
/// shared, and the next call of a session is the next one the worker sees of it.
pub struct Calls<R> {
    input: R,
    file: String,
    texts: HashMap<u64, (Arc<str>, WireProtocol)>,
    line: u64,
    last_us: u64,
    /// This worker of so many.
    share: (u64, u64),
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Calls<R> {
    /// Reads the calls that belong to a workload file; `file` is only for messages.
    pub fn new(captured: &Captured, input: R, file: &str) -> Self {
        let texts = captured.statements.iter().map(|one| (one.number, (Arc::from(one.sql.as_str()), one.protocol))).collect();
        Self { input, file: file.to_owned(), texts, line: 0, last_us: 0, share: (0, 1), buffer: Vec::new(), ended: false }
    }

    /// Takes only the sessions of one of several workers, counted from 0.
    #[must_use]
    pub fn of_worker(mut self, worker: u64, workers: u64) -> Self {
        self.share = (worker, workers.max(1));
        self
    }

    fn read(&mut self) -> Result<Option<Call>, (u64, String)> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let length = self.input.read_until(b'\n', &mut self.buffer).map_err(|error| (1, format!("cannot be read: {error}")))?;
            if length == 0 {
                return Ok(None);
            }
            if self.buffer.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line: CallLine = serde_json::from_slice(&self.buffer).map_err(|error| {
                let text = error.to_string();
                let plain = text.split(" at line ").next().unwrap_or(&text);
                (error.column() as u64, format!("expected a call as `pgload capture` writes it: {plain}"))
            })?;
            if line.offset_us < self.last_us {
                return Err((
                    1,
                    format!("offset_us: expected {} or later, found {}: calls are in the order of time", self.last_us, line.offset_us),
                ));
            }
            self.last_us = line.offset_us;
            if line.session % self.share.1 == self.share.0 {
                return self.call(line).map(Some).map_err(|message| (1, message));
            }
        }
    }

    fn call(&self, line: CallLine) -> Result<Call, String> {
        let CallLine { offset_us, session, connect, disconnect, transaction, last, statement, sql, protocol, .. } = line;
        let deed = match (connect, disconnect, statement) {
            (Some(client), false, None) => Deed::Connect { user: client.user, database: client.database, application: client.application },
            (None, true, None) => Deed::Disconnect,
            (None, false, Some(number)) => {
                let known = self.texts.get(&number);
                let Some((text, usual)) = known else {
                    return Err(format!("statement: the workload file has no number {number}"));
                };
                Deed::Run(Run {
                    transaction: transaction.ok_or("transaction: expected its number")?,
                    last,
                    statement: number,
                    sql: sql.map_or_else(|| Arc::clone(text), Arc::from),
                    protocol: protocol.unwrap_or(*usual),
                    parameters: line.parameters,
                    duration_us: line.duration_us,
                    prepared: line.prepared,
                    failed: line.failed,
                })
            }
            _ => return Err("expected one of connect, statement and disconnect".to_owned()),
        };
        Ok(Call { offset_us, session, deed })
    }
}

impl<R: BufRead> Iterator for Calls<R> {
    type Item = Result<Call, CallsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let found = self.read();
        self.ended = !matches!(found, Ok(Some(_)));
        match found {
            Ok(call) => call.map(Ok),
            Err((column, message)) => Some(Err(CallsError { file: self.file.clone(), line: self.line, column: column.max(1), message })),
        }
    }
}
