//! Sessions on fewer connections, as behind a pooler: a connection is lent for a transaction, and never within one.

use std::collections::{HashMap, HashSet, VecDeque};

use super::call::{Call, Deed};

/// A call and the connection it goes to, from 0.
pub type Pooled = (usize, Call);

/// What sharing connections did to the order of the capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Transactions that found every connection taken, and so come after ones that began later.
    pub waited: u64,
    /// Transactions in all.
    pub transactions: u64,
}

/// Lends `connections` connections to the sessions of these calls.
///
/// What sessions set for themselves (`SET`, `PREPARE`, temporary tables) is not where they look for it any more, as behind a
/// pooler. Sessions that wait keep their calls in memory.
pub fn pooled<E, I: Iterator<Item = Result<Call, E>>>(calls: I, connections: usize) -> Pool<I> {
    Pool {
        calls,
        free: (0..connections.max(1)).collect(),
        lent: HashMap::new(),
        waiting: VecDeque::new(),
        kept: HashMap::new(),
        ready: VecDeque::new(),
        stats: PoolStats::default(),
        ended: false,
    }
}

/// Calls with their connections; see [`pooled`].
pub struct Pool<I> {
    calls: I,
    /// The one that is free for longest first.
    free: VecDeque<usize>,
    /// Connection and transaction of each session that has one.
    lent: HashMap<u64, (usize, u64)>,
    /// Sessions that wait for a connection, the first first.
    waiting: VecDeque<u64>,
    kept: HashMap<u64, VecDeque<Call>>,
    ready: VecDeque<Pooled>,
    stats: PoolStats,
    ended: bool,
}

impl<I> Pool<I> {
    /// Returns what was counted so far.
    pub fn stats(&self) -> PoolStats {
        self.stats
    }

    fn take(&mut self, call: Call) {
        if let Some(kept) = self.kept.get_mut(&call.session) {
            kept.push_back(call);
            return;
        }
        if let Some(call) = self.run(call) {
            self.stats.waited += 1;
            self.waiting.push_back(call.session);
            self.kept.insert(call.session, VecDeque::from([call]));
        }
        self.serve();
    }

    /// Gives the call its connection; gives it back when there is none.
    fn run(&mut self, call: Call) -> Option<Call> {
        let session = call.session;
        let Deed::Run(run) = &call.deed else {
            // Connections stay open; a session that ends gives its own back, whatever it left open.
            if call.deed == Deed::Disconnect {
                self.give_back(session);
            }
            return None;
        };
        if self.lent.get(&session).is_some_and(|(_, transaction)| *transaction != run.transaction) {
            self.give_back(session);
        }
        let connection = match self.lent.get(&session) {
            Some((connection, _)) => *connection,
            None => {
                let Some(connection) = self.free.pop_front() else { return Some(call) };
                self.stats.transactions += 1;
                self.lent.insert(session, (connection, run.transaction));
                connection
            }
        };
        let last = run.last;
        self.ready.push_back((connection, call));
        if last {
            self.give_back(session);
        }
        None
    }

    fn give_back(&mut self, session: u64) {
        if let Some((connection, _)) = self.lent.remove(&session) {
            self.free.push_back(connection);
        }
    }

    /// Runs what waits, while there are connections.
    fn serve(&mut self) {
        while !self.free.is_empty()
            && let Some(session) = self.waiting.pop_front()
        {
            let mut calls = self.kept.remove(&session).unwrap_or_default();
            while let Some(call) = calls.pop_front() {
                if let Some(call) = self.run(call) {
                    calls.push_front(call);
                    self.stats.waited += 1;
                    self.waiting.push_back(session);
                    self.kept.insert(session, calls);
                    break;
                }
            }
        }
    }
}

impl<E, I: Iterator<Item = Result<Call, E>>> Iterator for Pool<I> {
    type Item = Result<Pooled, E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(Ok(ready));
            }
            if self.ended && self.waiting.is_empty() {
                return None;
            }
            match self.calls.next().filter(|_| !self.ended) {
                Some(Ok(call)) => self.take(call),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.ended = true;
                    // Transactions that the capture does not end: nothing more comes of them.
                    let open: HashSet<u64> = self.lent.keys().copied().collect();
                    for session in open {
                        self.give_back(session);
                    }
                    self.serve();
                }
            }
        }
    }
}
