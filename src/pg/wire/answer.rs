//! What the server says to one request: rows are counted, and the last one kept as text where a program wants it.

use bytes::BytesMut;
use postgres_protocol::message::backend::{self, DataRowBody, ErrorResponseBody, Message, RowDescriptionBody};
use tokio::time::Instant;
use tokio_postgres::fallible_iterator::FallibleIterator;

/// The error code of a connection that broke; SQLSTATEs stand for everything the server says.
pub const CONNECTION: &str = "connection";

/// A row's columns: name and text, `None` for null.
pub(in crate::pg) type Columns = Vec<(String, Option<String>)>;

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Failure {
    /// The SQLSTATE, or `connection`.
    pub code: String,
    /// What the server or the system said.
    pub message: String,
    /// Whether the connection is of no more use.
    pub is_over: bool,
}

impl Failure {
    /// The connection broke.
    pub(super) fn broken(error: &std::io::Error) -> Self {
        Self { code: CONNECTION.to_owned(), message: error.to_string(), is_over: true }
    }

    fn said(body: &ErrorResponseBody) -> Self {
        let mut failure = Self { code: CONNECTION.to_owned(), message: String::new(), is_over: false };
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => failure.code = text(),
                b'M' => failure.message = text(),
                // The severity that is never translated; after these two the server hangs up.
                b'V' => failure.is_over = matches!(field.value_bytes(), b"FATAL" | b"PANIC"),
                _ => {}
            }
        }
        failure
    }
}

/// The answer to one request, filled in as its messages arrive.
#[derive(Debug, Default)]
pub(in crate::pg) struct Answer {
    /// Rows the last command returned or changed.
    pub(in crate::pg) rows: u64,
    /// The first thing that failed.
    pub(in crate::pg) failure: Option<Failure>,
    /// The last rows, where they were asked for.
    pub(in crate::pg) kept: Option<Box<Kept>>,
    /// When all of it had arrived, where that was asked for.
    pub(in crate::pg) ended: Option<Instant>,
}

/// The rows that are kept of an answer.
#[derive(Debug, Default)]
pub(in crate::pg) struct Kept {
    names: Vec<String>,
    /// Of each statement of the request that returned rows, the last one; one after the other.
    columns: Columns,
    current: Option<Columns>,
    /// Where the columns of the last statement begin.
    last_from: usize,
    has_row: bool,
    is_between: bool,
}

impl Kept {
    /// Returns the columns, when there was a row.
    pub(in crate::pg) fn columns(&self) -> Option<&[(String, Option<String>)]> {
        self.has_row.then_some(self.columns.as_slice())
    }

    /// Returns where the columns of the last statement begin.
    pub(in crate::pg) fn last_from(&self) -> usize {
        self.last_from
    }

    /// Another statement's answer begins.
    fn begin(&mut self) {
        if std::mem::take(&mut self.is_between) {
            self.columns.extend(self.current.take().into_iter().flatten());
        }
    }

    fn name(&mut self, body: &RowDescriptionBody) -> std::io::Result<()> {
        self.names = body.fields().map(|field| Ok(field.name().to_owned())).collect()?;
        Ok(())
    }

    fn take(&mut self, body: &DataRowBody) -> std::io::Result<()> {
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&body.buffer()[range]).into_owned();
        let values: Vec<_> = body.ranges().map(|range| Ok(range.map(text))).collect()?;
        self.current = Some(self.names.iter().cloned().zip(values).collect());
        self.has_row = true;
        Ok(())
    }

    fn end(&mut self) {
        self.last_from = self.columns.len();
        self.columns.extend(self.current.take().into_iter().flatten());
    }
}

/// What a message means for the request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// More will follow.
    Going,
    /// The answer is complete.
    Complete,
    /// The server waits for the data of a COPY.
    WantsData,
}

impl Answer {
    /// Takes in a message with its header.
    ///
    /// # Errors
    /// When it cannot be read.
    #[inline]
    pub(super) fn take(&mut self, message: &[u8]) -> std::io::Result<Meaning> {
        match message[0] {
            backend::COMMAND_COMPLETE_TAG => {
                self.rows = affected(&message[5..]);
                if let Some(kept) = &mut self.kept {
                    kept.begin();
                    kept.is_between = true;
                }
            }
            backend::EMPTY_QUERY_RESPONSE_TAG => self.rows = 0,
            backend::READY_FOR_QUERY_TAG => {
                if let Some(kept) = &mut self.kept {
                    kept.end();
                }
                return Ok(Meaning::Complete);
            }
            backend::COPY_IN_RESPONSE_TAG => return Ok(Meaning::WantsData),
            _ => self.read(message)?,
        }
        Ok(Meaning::Going)
    }

    /// Takes in what is rare, or wanted in full.
    fn read(&mut self, message: &[u8]) -> std::io::Result<()> {
        match Message::parse(&mut BytesMut::from(message))? {
            Some(Message::ErrorResponse(body)) => {
                let failure = Failure::said(&body);
                // The last words of a server that hangs up count for more than what was wrong before.
                if self.failure.is_none() || failure.is_over {
                    self.failure = Some(failure);
                }
            }
            Some(Message::RowDescription(body)) => {
                if let Some(kept) = &mut self.kept {
                    kept.begin();
                    kept.name(&body)?;
                }
            }
            Some(Message::DataRow(body)) => {
                if let Some(kept) = &mut self.kept {
                    kept.take(&body)?;
                }
            }
            Some(_) => {}
            None => return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a message that is cut short")),
        }
        Ok(())
    }
}

/// Returns the number at the end of a command tag: `SELECT 100`, `INSERT 0 1`; 0 for a command without one.
fn affected(tag: &[u8]) -> u64 {
    let tag = tag.strip_suffix(b"\0").unwrap_or(tag);
    let start = tag.iter().rposition(|byte| *byte == b' ').map_or(tag.len(), |space| space + 1);
    std::str::from_utf8(&tag[start..]).ok().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn names(names: &[&str]) -> Vec<u8> {
        let mut body = u16::try_from(names.len()).unwrap().to_be_bytes().to_vec();
        for name in names {
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(&[0; 19]);
        }
        message(b'T', &body)
    }

    fn row(values: &[Option<&str>]) -> Vec<u8> {
        let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(value.unwrap_or_default().as_bytes());
        }
        message(b'D', &body)
    }

    fn answer(wants_row: bool, messages: &[Vec<u8>]) -> Answer {
        let mut answer = Answer { kept: wants_row.then(Box::default), ..Answer::default() };
        let (last, before) = messages.split_last().unwrap();
        for message in before {
            assert_eq!(answer.take(message).unwrap(), Meaning::Going);
        }
        assert_eq!(answer.take(last).unwrap(), Meaning::Complete);
        answer
    }

    #[test]
    fn the_last_number_of_a_tag_is_the_rows() {
        for (tag, rows) in [("SELECT 100", 100), ("INSERT 0 7", 7), ("BEGIN", 0), ("COPY 3", 3), ("CREATE TABLE", 0)] {
            let complete = message(b'C', format!("{tag}\0").as_bytes());
            assert_eq!(answer(false, &[complete, message(b'Z', b"I")]).rows, rows, "{tag}");
        }
    }

    #[test]
    fn the_last_rows_of_all_statements_are_kept_one_after_the_other() {
        let (select, update) = (message(b'C', b"SELECT 2\0"), message(b'C', b"UPDATE 5\0"));
        let ready = message(b'Z', b"I");
        let first = [names(&["a", "b"]), row(&[Some("1"), Some("x")]), row(&[Some("2"), None]), select.clone()];
        let column = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let both = [&first[..], &[names(&["c"]), row(&[Some("3")]), message(b'C', b"SELECT 1\0"), ready.clone()]].concat();
        let kept = answer(true, &both).kept.unwrap();
        assert_eq!(kept.columns().unwrap(), [column("a", Some("2")), column("b", None), column("c", Some("3"))]);
        assert_eq!(kept.last_from(), 2);
        let then_update = answer(true, &[&first[..], &[update, ready.clone()]].concat());
        let kept = then_update.kept.unwrap();
        assert_eq!((then_update.rows, kept.columns().unwrap().len(), kept.last_from()), (5, 2, 2));
        assert!(answer(true, &[names(&["a"]), select, ready]).kept.unwrap().columns().is_none());
    }

    #[test]
    fn the_first_error_counts_unless_the_server_hangs_up() {
        let error = |text: &str| message(b'E', text.replace('|', "\0").as_bytes());
        let first = error("SERROR|VERROR|C22012|Mdivision by zero||");
        let second = error("SERROR|VERROR|C42601|Msyntax||");
        let last = error("SFATAL|VFATAL|C57P01|Mterminating||");
        let failure = |messages: &[Vec<u8>]| {
            let mut answer = Answer::default();
            messages.iter().for_each(|message| assert_eq!(answer.take(message).unwrap(), Meaning::Going));
            answer.failure.unwrap()
        };
        let found = failure(&[first.clone(), second]);
        assert_eq!((found.to_string().as_str(), found.is_over), ("division by zero (22012)", false));
        let found = failure(&[first, last]);
        assert_eq!((found.code.as_str(), found.is_over), ("57P01", true));
    }
}
