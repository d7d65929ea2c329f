//! The worker threads of a run: each with its own runtime, connections, recorder and clock.
//!
//! The control thread tells all of them what to do and when to start, collects their reports, and puts them together.
//! Nothing else is shared while they work.

use std::io::{self, Write};
use std::thread::Scope;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::load::{Clock, Gathering, Place, Plan, Progress, Recording, Share, Stop, Tick, drive_share};
use crate::pg::replay::{ReplayError, Settings};
use crate::pg::session::{OpenError, SqlSession, SqlTarget};

/// Connections a worker makes at the same time: more would overrun the queue in which a server lets them wait.
const OPENING: usize = 16;

/// Between the order to start and the start, so that all workers begin together.
const HEAD_START: Duration = Duration::from_millis(2);

/// What a worker says.
enum Report {
    Opened(Result<(), OpenError>),
    Tick(Tick),
    Driven(Box<Share>),
    Failed(io::Error),
}

/// The workers of a run; they end when this is dropped.
pub(super) struct Workers {
    /// One a worker: what to do, and when to begin.
    orders: Vec<UnboundedSender<(Plan, Instant)>>,
    reports: UnboundedReceiver<Report>,
}

impl Workers {
    /// Starts the threads; each begins to open its sessions.
    pub(super) fn start<'scope, 'a: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        target: &'scope SqlTarget<'a>,
        settings: &'scope Settings,
        stop: &'scope Stop,
    ) -> Result<Self, ReplayError> {
        let count = settings.jobs.clamp(1, settings.arrival.sessions().max(1));
        let (to_control, reports) = unbounded_channel();
        let mut orders = Vec::with_capacity(count);
        for worker in 0..count {
            let (order, inbox) = unbounded_channel();
            orders.push(order);
            let to_control = to_control.clone();
            std::thread::Builder::new().name(format!("pgload-worker-{worker}")).spawn_scoped(scope, move || {
                let guard = Guard(to_control.clone());
                // One thread: the driver's futures never move, and a client of one thread equals pgbench's.
                let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime.block_on(work(worker, count, target, settings, stop, inbox, &to_control)),
                    Err(error) => Err(error),
                };
                if let Err(error) = done {
                    // The control thread may be gone already.
                    let _ = to_control.send(Report::Failed(error));
                }
                drop(guard);
            })?;
        }
        Ok(Self { orders, reports })
    }

    /// Waits until all sessions are open.
    pub(super) async fn opened(&mut self) -> Result<(), ReplayError> {
        for _ in 0..self.orders.len() {
            match self.next().await? {
                Report::Opened(opened) => opened?,
                Report::Tick(_) | Report::Driven(_) | Report::Failed(_) => return Err(out_of_turn().into()),
            }
        }
        Ok(())
    }

    /// Makes the calls of a plan and returns what all workers recorded.
    pub(super) async fn drive(
        &mut self,
        plan: &Plan,
        labels: usize,
        progress: &mut dyn FnMut(&Progress),
        mut events: Option<&mut (dyn Write + Send)>,
    ) -> Result<Recording, ReplayError> {
        let start = Instant::now() + if self.orders.len() > 1 { HEAD_START } else { Duration::ZERO };
        for order in &self.orders {
            order.send((plan.clone(), start)).map_err(|_| out_of_turn())?;
        }
        let mut gathering = Gathering::new(self.orders.len(), labels);
        let mut shares = Vec::with_capacity(self.orders.len());
        let mut told = Duration::ZERO;
        let mut write = |bytes: &[u8]| match &mut events {
            Some(out) if !bytes.is_empty() => out.write_all(bytes).map_err(ReplayError::Events),
            _ => Ok(()),
        };
        while shares.len() < self.orders.len() {
            match self.next().await? {
                Report::Tick(tick) => {
                    write(&tick.events)?;
                    let said = gathering.take(tick);
                    // Each worker reports once a second; the first of them speaks for all.
                    if said.elapsed >= told + Duration::from_millis(500) {
                        told = said.elapsed;
                        progress(&said);
                    }
                }
                Report::Driven(share) => {
                    write(&share.events)?;
                    shares.push(*share);
                }
                Report::Opened(_) | Report::Failed(_) => return Err(out_of_turn().into()),
            }
        }
        Ok(gathering.finish(shares))
    }

    async fn next(&mut self) -> Result<Report, ReplayError> {
        match self.reports.recv().await {
            Some(Report::Failed(error)) => Err(error.into()),
            Some(report) => Ok(report),
            None => Err(out_of_turn().into()),
        }
    }
}

fn out_of_turn() -> io::Error {
    io::Error::other("a worker ended before its time")
}

/// Tells of a worker that panics, or the control thread would wait for it for ever.
struct Guard(UnboundedSender<Report>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(Report::Failed(out_of_turn()));
        }
    }
}

/// One worker's life.
async fn work(
    worker: usize,
    workers: usize,
    target: &SqlTarget<'_>,
    settings: &Settings,
    stop: &Stop,
    mut orders: UnboundedReceiver<(Plan, Instant)>,
    reports: &UnboundedSender<Report>,
) -> io::Result<()> {
    let clock = Clock::precise()?;
    let own: Vec<usize> = (0..settings.arrival.sessions()).skip(worker).step_by(workers).collect();
    let opening = stream::iter(own.chunks(settings.pipeline.max(1)).map(|numbers| target.open(numbers)));
    let opened: Result<Vec<Vec<SqlSession<'_>>>, OpenError> = opening.buffered(OPENING).try_collect().await;
    let mut sessions: Vec<SqlSession<'_>> = match opened {
        Ok(sessions) => sessions.into_iter().flatten().collect(),
        Err(error) => {
            let _ = reports.send(Report::Opened(Err(error)));
            return Ok(());
        }
    };
    let _ = reports.send(Report::Opened(Ok(())));
    while let Some((plan, start)) = orders.recv().await {
        let place = Place { worker, workers, start };
        let tell = |tick| drop(reports.send(Report::Tick(tick)));
        let share = drive_share(target, &mut sessions, &plan, place, &clock, stop, &tell).await;
        let _ = reports.send(Report::Driven(Box::new(share)));
    }
    Ok(())
}
