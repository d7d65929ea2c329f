//! The connection of load sessions: the protocol without a task, a channel or an allocation between call and socket.
//!
//! ```text
//! session ──▶ send ──▶ out ──▶ socket ──▶ Inbox ──▶ Answer ──▶ seat ──▶ session
//!              (whoever waits for an answer writes and reads for all who share the connection)
//! ```
//!
//! Every request ends in a `Sync`, so every request is answered on its own, in order. Rows are passed over by their
//! header unless they are wanted. Opening is left to the driver ([`stream`]), and so is everything that is rare.

pub(super) mod answer;
mod inbox;
pub(super) mod stream;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::replay::args::Args;
use answer::{Answer, Failure, Kept, Meaning};
use inbox::Inbox;
use stream::Stream;

/// The portal and the statement without a name.
const UNNAMED: &str = "";

/// The formats of results: binary, as the driver asks for, or text where a program reads them.
const BINARY: i16 = 1;

/// 64 KiB: so much may be waiting to be sent before somebody waits for answers. libpq's threshold.
const FULL: usize = 64 * 1024;

/// A connection, shared by sessions that each have a seat.
pub(super) struct Wire(RefCell<Line>);

struct Line {
    stream: Stream,
    out: BytesMut,
    inbox: Inbox,
    /// Requests without their whole answer, in the order in which they were sent.
    flights: VecDeque<Flight>,
    seats: Vec<Seat>,
    /// Whether there will be more than one of them at a time.
    is_shared: bool,
    /// Why it is of no more use.
    broken: Option<Failure>,
    /// Whether the stream was given something since it last was all with the network: encryption keeps a part.
    is_unflushed: bool,
    /// Somebody was woken to send what everybody who was ready has put together.
    is_promised: bool,
}

struct Flight {
    seat: usize,
    turn: u64,
    timed: bool,
    is_simple: bool,
    answer: Answer,
}

#[derive(Default)]
struct Seat {
    /// The number of the call; answers to requests of earlier ones have nobody who wants them.
    turn: u64,
    /// Requests of this turn that are not answered.
    due: usize,
    answers: VecDeque<Answer>,
    waker: Option<Waker>,
}

/// What a session sends.
pub(super) enum Request<'r> {
    /// Prepares a statement under a name.
    Prepare(&'r str, &'r str),
    /// Runs a prepared statement.
    Prepared(&'r str, &'r Args<'r>),
    /// Parses and runs a statement.
    Once(&'r str, &'r Args<'r>),
    /// Runs a text by the simple protocol.
    Simple(&'r str),
}

/// How an answer is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wants {
    /// With the last row.
    pub(super) row: bool,
    /// With the time when it had arrived.
    pub(super) time: bool,
}

impl Wire {
    /// Takes over a connection on which a session is open and idle; `is_shared` when more than one load session will use it.
    pub(super) fn new(stream: Stream, is_shared: bool) -> Self {
        Self(RefCell::new(Line {
            stream,
            out: BytesMut::with_capacity(1024),
            inbox: Inbox::new(),
            flights: VecDeque::new(),
            seats: Vec::new(),
            is_shared,
            broken: None,
            is_unflushed: false,
            is_promised: false,
        }))
    }

    /// Adds a session and returns its seat.
    pub(super) fn sit_down(&self) -> usize {
        let seats = &mut self.0.borrow_mut().seats;
        seats.push(Seat::default());
        seats.len() - 1
    }

    /// Takes the seat that was added last away again; nothing of it is under way.
    pub(super) fn stand_up(&self, seat: usize) {
        self.0.borrow_mut().seats.truncate(seat);
    }

    /// Returns whether the server hung up, as far as can be told without waiting.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        let line = &mut *self.0.borrow_mut();
        // While answers are on the way, whoever waits for them reads.
        if line.broken.is_none() && line.flights.is_empty() {
            line.advance(&mut Context::from_waker(Waker::noop()), None);
        }
        line.broken.is_some()
    }

    /// Begins a call: what a call that was given up left behind is no longer wanted.
    #[inline]
    pub(super) fn begin(&self, seat: usize) {
        let seat = &mut self.0.borrow_mut().seats[seat];
        seat.turn += 1;
        seat.due = 0;
        seat.answers.clear();
    }

    /// Puts a request behind those before it; it is sent when somebody waits for an answer.
    #[inline]
    pub(super) fn send(&self, seat: usize, request: &Request<'_>, wants: Wants) {
        let line = &mut *self.0.borrow_mut();
        let mut answer = Answer { kept: wants.row.then(Box::<Kept>::default), ..Answer::default() };
        if let Some(failure) = &line.broken {
            answer.failure = Some(failure.clone());
            line.seats[seat].answers.push_back(answer);
            return;
        }
        let before = line.out.len();
        if let Err(error) = encode(request, wants.row, &mut line.out) {
            // A text no message can hold. The server is asked for nothing but an answer in its turn.
            line.out.truncate(before);
            frontend::sync(&mut line.out);
            answer.failure = Some(Failure { code: "22021".to_owned(), message: error.to_string(), is_over: false });
        }
        line.seats[seat].due += 1;
        let is_simple = matches!(request, Request::Simple(_));
        line.flights.push_back(Flight { seat, turn: line.seats[seat].turn, timed: wants.time, is_simple, answer });
    }

    /// Sends what has piled up when it is much, without waiting.
    pub(super) async fn relieve(&self) {
        std::future::poll_fn(|cx| {
            let line = &mut *self.0.borrow_mut();
            if line.out.len() >= FULL && line.broken.is_none() {
                line.advance(cx, None);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Waits until all requests of the seat's call are answered.
    #[inline]
    pub(super) fn wait(&self, seat: usize) -> Wait<'_> {
        Wait { wire: self, seat, is_first: true }
    }

    /// Takes the answers, in the order of the requests.
    #[inline]
    pub(super) fn take(&self, seat: usize) -> Option<Answer> {
        self.0.borrow_mut().seats[seat].answers.pop_front()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let line = self.0.get_mut();
        if line.broken.is_none() {
            // As good manners have it; nobody waits for a server that does not take it.
            frontend::terminate(&mut line.out);
            let _ = line.write(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// Writes and reads until the answers of one seat are there.
pub(super) struct Wait<'w> {
    wire: &'w Wire,
    seat: usize,
    is_first: bool,
}

impl Future for Wait<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let seat = self.seat;
        let is_first = std::mem::take(&mut self.is_first);
        let line = &mut *self.wire.0.borrow_mut();
        let is_shared = line.is_shared;
        // Its own answer need not wake it.
        let waker = line.seats[seat].waker.take();
        if line.seats[seat].due > 0 {
            if is_first && is_shared {
                // Sessions that became ready together have their turn before anything is sent: one write for all.
                if !std::mem::replace(&mut line.is_promised, true) {
                    cx.waker().wake_by_ref();
                }
            } else {
                line.is_promised = false;
                line.advance(cx, Some(seat));
            }
        }
        if line.seats[seat].due == 0 {
            line.hand_on(seat);
            return Poll::Ready(());
        }
        if is_shared {
            // One who is alone is woken by the socket.
            line.seats[seat].waker = Some(waker.filter(|waker| waker.will_wake(cx.waker())).unwrap_or_else(|| cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    #[inline]
    fn drop(&mut self) {
        let line = &mut *self.wire.0.borrow_mut();
        if line.seats[self.seat].due > 0 {
            // Given up. Others may have relied on this one to write and read.
            line.is_promised = false;
            line.hand_on(self.seat);
        }
    }
}

impl Line {
    /// Writes and reads as far as it goes without waiting, or until `seat` has its answers. `cx` is woken when it goes on.
    #[inline]
    fn advance(&mut self, cx: &mut Context<'_>, seat: Option<usize>) {
        if let Err(error) = self.try_advance(cx, seat) {
            self.fail(&Failure::broken(&error));
        }
    }

    fn try_advance(&mut self, cx: &mut Context<'_>, seat: Option<usize>) -> io::Result<()> {
        while self.broken.is_none() {
            self.write(cx)?;
            let mut room = ReadBuf::new(self.inbox.room());
            match Pin::new(&mut self.stream).poll_read(cx, &mut room) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read?,
            }
            let count = room.filled().len();
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"));
            }
            self.inbox.filled(count);
            self.read()?;
            // What else there is to send can wait for whoever sent it, but an answer to the server cannot.
            if seat.is_some_and(|seat| self.seats[seat].due == 0) && self.out.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    #[inline]
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Pending => return Ok(()),
                Poll::Ready(written) => match written? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    // Cleared, the buffer keeps its room; advanced, it would lose it bit by bit.
                    count if count == self.out.len() => self.out.clear(),
                    count => self.out.advance(count),
                },
            }
            self.is_unflushed = true;
        }
        if self.is_unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            flushed?;
            self.is_unflushed = false;
        }
        Ok(())
    }

    /// Takes in the messages that have arrived.
    fn read(&mut self) -> io::Result<()> {
        loop {
            let flight = self.flights.front_mut();
            let wants_rows = flight.as_ref().is_some_and(|flight| flight.answer.kept.is_some());
            let Some(message) = self.inbox.next(wants_rows)? else { return Ok(()) };
            let Some(flight) = flight else {
                // Nothing was asked: the server says why it hangs up.
                let mut last = Answer::default();
                last.take(message)?;
                let failure = last.failure.unwrap_or_else(|| Failure::broken(&io::ErrorKind::InvalidData.into()));
                self.fail(&failure);
                return Ok(());
            };
            match flight.answer.take(message)? {
                Meaning::Going => {
                    if let Some(failure) = flight.answer.failure.as_ref().filter(|failure| failure.is_over) {
                        let failure = failure.clone();
                        self.fail(&failure);
                        return Ok(());
                    }
                }
                Meaning::Complete => {
                    if let Some(flight) = self.flights.pop_front() {
                        self.land(flight);
                    }
                }
                Meaning::WantsData => {
                    frontend::copy_fail("pgload has no data for COPY", &mut self.out)?;
                    if !flight.is_simple {
                        // While it waits for data the server passes over the Sync that was sent with the request.
                        frontend::sync(&mut self.out);
                    }
                }
            }
        }
    }

    /// Hands an answer to the session that waits for it.
    #[inline]
    fn land(&mut self, flight: Flight) {
        let Flight { seat, turn, timed, mut answer, .. } = flight;
        let seat = &mut self.seats[seat];
        if seat.turn != turn {
            return;
        }
        answer.ended = timed.then(Instant::now);
        seat.answers.push_back(answer);
        seat.due -= 1;
        if seat.due == 0
            && let Some(waker) = seat.waker.take()
        {
            waker.wake();
        }
    }

    /// Ends all that is under way; the failure is that of the first, the others have lost their connection.
    fn fail(&mut self, failure: &Failure) {
        let broken = Failure { code: answer::CONNECTION.to_owned(), ..failure.clone() };
        self.broken = Some(Failure { is_over: true, ..broken.clone() });
        let mut own = Some(failure);
        while let Some(mut flight) = self.flights.pop_front() {
            let said = own.take().unwrap_or(&broken);
            let failure = flight.answer.failure.get_or_insert_with(|| said.clone());
            failure.is_over = true;
            self.land(flight);
        }
    }

    /// Lets another session write and read, when one that did so leaves.
    #[inline]
    fn hand_on(&mut self, from: usize) {
        let (flights, seats) = (&self.flights, &mut self.seats);
        let next = flights.iter().filter(|flight| flight.seat != from).find_map(|flight| seats[flight.seat].waker.take());
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// Writes a request down.
fn encode(request: &Request<'_>, wants_row: bool, out: &mut BytesMut) -> io::Result<()> {
    let (name, args) = match *request {
        Request::Simple(text) => return frontend::query(text, out),
        Request::Prepare(name, text) => {
            frontend::parse(name, text, None, out)?;
            frontend::sync(out);
            return Ok(());
        }
        Request::Prepared(name, args) => (name, args),
        Request::Once(text, args) => {
            frontend::parse(UNNAMED, text, None, out)?;
            (UNNAMED, args)
        }
    };
    let value = |value: Option<&str>, out: &mut BytesMut| {
        let Some(text) = value else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    };
    // No format at all is text, for parameters as for results.
    let results = (!wants_row).then_some(BINARY);
    frontend::bind(UNNAMED, name, None, args.iter(), value, results, out).map_err(|error| match error {
        frontend::BindError::Conversion(error) => io::Error::other(error),
        frontend::BindError::Serialization(error) => error,
    })?;
    if wants_row {
        frontend::describe(b'P', UNNAMED, out)?;
    }
    frontend::execute(UNNAMED, 0, out)?;
    frontend::sync(out);
    Ok(())
}
