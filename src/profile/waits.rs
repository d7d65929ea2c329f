//! Samples of what sessions are doing, added up as average active sessions.
//!
//! A sample sees each session in one state, so over N samples a session's share of a state is a binomial share, and its
//! standard error `sqrt(p (1 - p) / N)`. Sessions are added up: their shares, and the squares of their errors. Samples in a
//! row of one long wait are not independent, so the error is of *which* moments were looked at, no forecast.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::document::{Active, WaitLoad};
use crate::catalog::Oid;

/// The class of a session that is active and waits for nothing the server names.
pub const CPU: &str = "CPU";

/// What a session runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Running {
    /// A statement by its number.
    Statement {
        /// The role.
        user: Oid,
        /// `query_id`.
        query_id: i64,
    },
    /// A statement by its text without constants, where the server computes no number.
    Text {
        /// The role; `None` when not seen.
        user: Option<Oid>,
        /// The text.
        text: String,
    },
    /// A process of the server's own, by its kind: `checkpointer`.
    Background(String),
}

/// What a session waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wait {
    /// `wait_event_type`, or [`CPU`].
    pub class: String,
    /// `wait_event`; empty for [`CPU`].
    pub event: String,
}

/// One active session of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its process.
    pub pid: i32,
    /// What it runs; `None` when this role may not see that.
    pub running: Option<Running>,
    /// What it waits for.
    pub wait: Wait,
}

/// Counts of sessions seen, by process.
type ByProcess = HashMap<i32, u64>;

/// Samples added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    samples: u64,
    seen: BTreeMap<Running, BTreeMap<Wait, ByProcess>>,
    hidden: ByProcess,
}

impl Wait {
    /// Names what a session waits for; nothing is [`CPU`].
    pub fn of(class: Option<String>, event: Option<String>) -> Self {
        match class {
            Some(class) => Self { class, event: event.unwrap_or_default() },
            None => Self { class: CPU.to_owned(), event: String::new() },
        }
    }
}

impl Tally {
    /// Takes one sample in: everyone active at that moment.
    pub fn add(&mut self, sessions: impl IntoIterator<Item = Seen>) {
        self.samples += 1;
        // A process that ends and begins while the server lists them might be listed twice.
        let mut listed = HashSet::new();
        for Seen { pid, running, wait } in sessions {
            if !listed.insert(pid) {
                continue;
            }
            let counts = match running {
                Some(running) => self.seen.entry(running).or_default().entry(wait).or_default(),
                None => &mut self.hidden,
            };
            *counts.entry(pid).or_default() += 1;
        }
    }

    /// Returns how many samples were taken.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Returns what was seen running, in order.
    pub fn running(&self) -> impl Iterator<Item = &Running> {
        self.seen.keys()
    }

    /// Returns the average number of sessions that ran what is `wanted`.
    pub fn active(&self, wanted: impl Fn(&Running) -> bool) -> Active {
        let counts = self.seen.iter().filter(|(running, _)| wanted(running)).flat_map(|(_, waits)| waits.values());
        self.estimate(counts)
    }

    /// Returns the average number of sessions whose work this role may not see; idle ones are among them.
    pub fn hidden(&self) -> Active {
        self.estimate(std::iter::once(&self.hidden))
    }

    /// Returns what those that ran what is `wanted` waited for, most first.
    pub fn waits(&self, wanted: impl Fn(&Running) -> bool) -> Vec<WaitLoad> {
        let mut by_wait: BTreeMap<&Wait, Vec<&ByProcess>> = BTreeMap::new();
        for (_, waits) in self.seen.iter().filter(|(running, _)| wanted(running)) {
            waits.iter().for_each(|(wait, counts)| by_wait.entry(wait).or_default().push(counts));
        }
        let load = |(wait, counts): (&Wait, Vec<&ByProcess>)| WaitLoad {
            class: wait.class.clone(),
            event: (!wait.event.is_empty()).then(|| wait.event.clone()),
            samples: counts.iter().flat_map(|counts| counts.values()).sum(),
            active: self.estimate(counts),
        };
        let mut loads: Vec<WaitLoad> = by_wait.into_iter().map(load).collect();
        loads.sort_by_key(|load| std::cmp::Reverse(load.samples));
        loads
    }

    fn estimate<'a>(&self, counts: impl IntoIterator<Item = &'a ByProcess>) -> Active {
        let mut by_process: BTreeMap<i32, u64> = BTreeMap::new();
        for (pid, count) in counts.into_iter().flatten() {
            *by_process.entry(*pid).or_default() += count;
        }
        let samples = self.samples.max(1) as f64;
        let shares = by_process.values().map(|count| *count as f64 / samples);
        let variance: f64 = shares.clone().map(|share| share * (1.0 - share) / samples).sum();
        // The sum of nothing is -0.0, which would be printed so.
        Active { sessions: shares.sum::<f64>() + 0.0, error: (variance.max(0.0) + 0.0).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(query_id: i64) -> Running {
        Running::Statement { user: 10, query_id }
    }

    fn seen(pid: i32, query_id: i64, wait: Option<(&str, &str)>) -> Seen {
        let (class, event) = wait.map_or((None, None), |(class, event)| (Some(class.to_owned()), Some(event.to_owned())));
        Seen { pid, running: Some(statement(query_id)), wait: Wait::of(class, event) }
    }

    #[test]
    fn a_session_that_always_sleeps_is_one_active_session_without_error() {
        let mut tally = Tally::default();
        (0..50).for_each(|_| tally.add([seen(1, 7, Some(("Timeout", "PgSleep")))]));
        assert_eq!(tally.active(|_| true), Active { sessions: 1.0, error: 0.0 });
        let waits = tally.waits(|running| *running == statement(7));
        assert_eq!((waits[0].class.as_str(), waits[0].event.as_deref(), waits[0].samples), ("Timeout", Some("PgSleep"), 50));
    }

    #[test]
    fn errors_are_binomial_for_each_process_and_add_up() {
        let mut tally = Tally::default();
        // Process 1 is seen in 25 of 100 samples, process 2 in 50: half of them on the processor, half reading.
        for number in 0..100 {
            let mut sample = Vec::new();
            if number % 4 == 0 {
                sample.push(seen(1, 7, None));
            }
            if number % 2 == 0 {
                sample.push(seen(2, 7, if number % 4 == 0 { None } else { Some(("IO", "DataFileRead")) }));
            }
            tally.add(sample);
        }
        let active = tally.active(|_| true);
        assert!((active.sessions - 0.75).abs() < 1e-12);
        assert!((active.error - ((0.25 * 0.75 + 0.5 * 0.5) / 100.0_f64).sqrt()).abs() < 1e-12, "{active:?}");
        let waits = tally.waits(|_| true);
        assert_eq!(waits.iter().map(|wait| (wait.class.as_str(), wait.samples)).collect::<Vec<_>>(), [(CPU, 50), ("IO", 25)]);
        assert!((waits[0].active.sessions + waits[1].active.sessions - active.sessions).abs() < 1e-12);
    }

    #[test]
    fn one_process_that_goes_from_statement_to_statement_is_never_more_than_one_session() {
        let mut tally = Tally::default();
        (0..10).for_each(|number| tally.add([seen(1, number % 2, None)]));
        assert_eq!(tally.active(|_| true), Active { sessions: 1.0, error: 0.0 });
        assert_eq!(tally.active(|running| *running == statement(0)).sessions, 0.5);
        assert_eq!(tally.running().count(), 2);
    }

    #[test]
    fn nobody_is_zero_and_a_process_counts_once_a_sample() {
        let mut tally = Tally::default();
        let nobody = tally.active(|_| true);
        assert_eq!(format!("{:.2} {:.2}", nobody.sessions, nobody.error), "0.00 0.00");
        tally.add([seen(1, 7, None), seen(1, 8, None)]);
        tally.add([Seen { running: None, ..seen(2, 0, None) }]);
        assert_eq!((tally.samples(), tally.active(|_| true).sessions, tally.hidden().sessions), (2, 0.5, 0.5));
    }
}
