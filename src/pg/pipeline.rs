//! Statements that are sent without waiting for the answers of those before.

use std::future::Future;
use std::pin::Pin;

use futures_util::future::{join_all, poll_immediate};
use tokio::time::Instant;
use tokio_postgres::Error;

use crate::load::Part;
use crate::pg::answer::Kept;
use crate::pg::session::{Link, code};
use crate::replay::args::Args;
use crate::replay::program::{Request, Sql};

/// The rows or the error of a statement, and when they had arrived.
type Answer = (Result<u64, Error>, Instant);

/// Statements under way on a connection.
#[derive(Default)]
pub(super) struct Pipeline<'l> {
    flights: Vec<Flight<'l>>,
}

/// One of them.
struct Flight<'l> {
    label: usize,
    sent: Instant,
    answer: Pin<Box<dyn Future<Output = Answer> + 'l>>,
    /// Its answer, should it have come at once.
    come: Option<Answer>,
}

impl<'l> Pipeline<'l> {
    /// Returns whether nothing is under way.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Sends a statement.
    pub(super) async fn send(&mut self, link: &'l Link, request: &Request<'_>) {
        // The client's next step writes over its arguments, so the flight has its own.
        let mut args = Args::default();
        for value in request.args.iter() {
            match value {
                Some(text) => args.push_made(format_args!("{text}")),
                None => args.push_kept(None),
            }
        }
        let (label, sent) = (request.label, Instant::now());
        let (number, text, is_simple) = match request.sql {
            Sql::Prepared(number) => (number, None, false),
            Sql::Once(text) => (0, Some(text.to_owned()), false),
            Sql::Simple(text) => (0, Some(text.to_owned()), true),
        };
        let mut answer = Box::pin(async move {
            let sql = match &text {
                None => Sql::Prepared(number),
                Some(text) if is_simple => Sql::Simple(text),
                Some(text) => Sql::Once(text),
            };
            let request = Request { label, sql, args: &args, begin: None, end: None, wants_row: false };
            (link.send(&request, &mut Kept::default()).await, Instant::now())
        });
        // The driver sends when it is first polled, and in that order.
        let come = poll_immediate(&mut answer).await;
        self.flights.push(Flight { label, sent, answer, come });
    }

    /// Reads all answers, notes each as a part of the call, and returns the sum of the rows or the first error.
    pub(super) async fn finish(&mut self, parts: &mut Vec<Part>) -> Result<u64, Error> {
        let finish = |flight: Flight<'l>| async move {
            let (got, ended) = match flight.come {
                Some(come) => come,
                None => flight.answer.await,
            };
            (flight.label, flight.sent, ended, got)
        };
        let answers = join_all(self.flights.drain(..).map(finish)).await;
        let mut all = Ok(0);
        for (label, sent, ended, got) in answers {
            let (rows, error) = (got.as_ref().map_or(0, |rows| *rows), got.as_ref().err().map(code));
            parts.push(Part { label, sent, ended, rows, error });
            all = all.and_then(|sum| got.map(|rows| sum + rows));
        }
        all
    }
}
