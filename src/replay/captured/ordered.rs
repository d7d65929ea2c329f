//! Captured transactions one after the other, in the order in which they began and without their times: for comparing two
//! databases call by call.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::divergence::Divergence;
use super::statements::first_words;
use super::store::StoredStep;
use super::timeline::{Timeline, TimelineError};
use super::traffic::Traffic;
use crate::load::WARM_UP_CALLS;
use crate::replay::program::{Client, Label, Prepared, Program, Reply, Step};
use crate::replay::writes::Writes;
use crate::sql::split::split;
use crate::stats::random::{below, bits};

/// The stream that says at which transaction a round begins.
const START: u64 = 0x6f72_6465;

/// The most transactions that are played: 8 MB of places.
const TRANSACTIONS_MAX: usize = 1_000_000;

/// Bits of a call's number within its round; those above are the round's.
const ROUND_BITS: u32 = 32;

/// First words of statements that are in force beyond their transaction, or need one that is.
const OF_A_SESSION: &[&str] = &["deallocate", "discard", "execute", "listen", "load", "prepare", "reset", "unlisten"];

/// First words of statements that can be explained.
const PLANNED: &[&str] = &["select", "insert", "update", "delete", "merge", "values", "with"];

/// Captured transactions in order, each a call.
///
/// A round of calls begins anywhere in the capture and goes on in its order, from the end to the beginning. Any session may make
/// any call, so transactions that change their session, or use what such a one left, are left out.
#[derive(Debug)]
pub struct Ordered {
    traffic: Traffic,
    seed: u64,
    places: Vec<u64>,
    labels: Vec<Label>,
    statements: Vec<Prepared>,
    /// By statement: arguments one of its calls gave.
    examples: Vec<Vec<Option<String>>>,
    /// Transactions that depend on their session.
    left_out: u64,
    /// Whether there are more transactions than are played.
    is_cut: bool,
}

impl Ordered {
    /// Puts the transactions of all sessions in order.
    ///
    /// # Errors
    /// [`TimelineError`] when the capture cannot be read back, or nothing of it can be played.
    pub fn new(timeline: Timeline, seed: u64, writes: Writes) -> Result<Self, TimelineError> {
        let mut found = Found { labels: timeline.labels.clone(), ..Found::default() };
        let (mut places, mut left_out, mut is_cut) = (Vec::new(), 0, false);
        let first = timeline.first.iter().enumerate().filter_map(|(connection, first)| Some((connection, (*first)?)));
        let mut due: BinaryHeap<Reverse<(u64, usize, u64)>> =
            first.map(|(connection, (place, at))| Reverse((at, connection, place))).collect();
        while let Some(Reverse((_, connection, place))) = due.pop() {
            if places.len() == TRANSACTIONS_MAX {
                is_cut = true;
                break;
            }
            let (head, stored) = timeline.store.read(place)?;
            due.extend(head.next.map(|(next, at)| Reverse((at, connection, next))));
            let text = |step: &StoredStep| -> String { text_of(&timeline, step).to_owned() };
            // What makes a connection another session's is for sessions alone.
            if stored.steps.iter().all(|step| step.statement == u32::MAX) {
                continue;
            }
            if stored.steps.iter().any(|step| step.prepare.is_some() || split(&text(step)).iter().any(|part| is_of_a_session(part))) {
                left_out += 1;
                continue;
            }
            places.push(place);
            stored.steps.iter().for_each(|step| found.take(step, &text(step)));
        }
        if places.is_empty() {
            return Err(TimelineError::Nothing("each transaction changes its session, or uses what was changed there".to_owned()));
        }
        let Found { mut labels, statements, examples, owners } = found;
        for (label, owner) in owners {
            labels[label as usize].statement = owner.and_then(|(_, statement)| statement);
        }
        // As fast as can be: pauses between the statements of a transaction are left out as well.
        let traffic = Traffic::new(timeline, f64::INFINITY, writes);
        Ok(Self { traffic, seed, places, labels, statements, examples, left_out, is_cut })
    }

    /// Returns what is played, with what was counted while it was made.
    pub fn timeline(&self) -> &Timeline {
        self.traffic.timeline()
    }

    /// Returns how many transactions there are to choose from.
    pub fn transactions(&self) -> u64 {
        self.places.len() as u64
    }

    /// Returns where the calls so far went otherwise than those captured, on all sides together.
    pub fn divergence(&self) -> Divergence {
        self.traffic.divergence()
    }

    /// Says how the order of the capture is kept and what is left out of it.
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = vec![
            "Captured transactions were made in their order, each round from another place on: times and pauses are left out, and what \
             writes is written more than once."
                .to_owned(),
        ];
        if self.left_out > 0 {
            let all = self.left_out + self.transactions();
            let share = 100.0 * self.left_out as f64 / all as f64;
            caveats.push(format!(
                "{} of {all} transactions ({share:.0} %) were left out because they change their session, or use what was changed there.",
                self.left_out
            ));
        }
        if self.is_cut {
            caveats.push(format!("Of the capture the first {TRANSACTIONS_MAX} transactions were used."));
        }
        caveats
    }

    /// Returns the call of the traffic that a call is.
    fn call(&self, call: u64) -> u64 {
        let (number, warms_up) = (call & !WARM_UP_CALLS, call & WARM_UP_CALLS);
        let (round, at) = (number >> ROUND_BITS, number & ((1 << ROUND_BITS) - 1));
        let start = below(bits(self.seed, START, round, 0), self.transactions());
        self.places[((start + at) % self.transactions()) as usize] | warms_up
    }
}

fn text_of<'t>(timeline: &'t Timeline, step: &'t StoredStep) -> &'t str {
    step.text.as_deref().unwrap_or_else(|| timeline.texts.get(step.statement as usize).map_or("", String::as_str))
}

/// Whether a statement changes its session beyond the transaction, or needs what another one left there.
fn is_of_a_session(sql: &str) -> bool {
    let words = first_words(sql, 2);
    let mut words = words.split(' ');
    match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
        ("set", second) => !matches!(second, "local" | "constraints" | "transaction"),
        ("create", second) => matches!(second, "temp" | "temporary"),
        (first, _) => OF_A_SESSION.contains(&first),
    }
}

/// The statements that can be explained, and which label is which of them.
#[derive(Debug, Default)]
struct Found {
    labels: Vec<Label>,
    statements: Vec<Prepared>,
    examples: Vec<Vec<Option<String>>>,
    /// By label: the statement of the capture it stands for, and its place here; `None` for one that stands for several.
    owners: HashMap<u32, Option<(u32, Option<usize>)>>,
}

impl Found {
    fn take(&mut self, step: &StoredStep, text: &str) {
        let owner = self.owners.entry(step.label).or_insert(Some((step.statement, None)));
        match owner {
            Some((statement, _)) if *statement != step.statement => *owner = None,
            Some((_, place @ None)) if step.failed.is_none() && step.block == 0 && is_planned(text) => {
                let Some(label) = self.labels.get(step.label as usize) else { return };
                *place = Some(self.statements.len());
                self.statements.push(Prepared { name: label.name.clone(), sql: text.to_owned(), called: false });
                self.examples.push(step.parameters.clone());
            }
            _ => {}
        }
    }
}

fn is_planned(text: &str) -> bool {
    matches!(split(text).as_slice(), [only] if PLANNED.contains(&first_words(only, 1).as_str()))
}

impl Program for Ordered {
    fn labels(&self) -> &[Label] {
        &self.labels
    }

    fn label(&self, call: u64) -> usize {
        self.traffic.label(self.call(call))
    }

    fn statements(&self) -> &[Prepared] {
        &self.statements
    }

    fn example(&self, statement: usize) -> Option<Vec<Option<String>>> {
        self.examples.get(statement).cloned()
    }

    fn client(&self, _: usize) -> Box<dyn Client + '_> {
        // Any session may make any call, so all of them are as the first of the traffic.
        Box::new(Player { ordered: self, player: self.traffic.client(0) })
    }

    fn has_transactions(&self) -> bool {
        self.traffic.has_transactions()
    }
}

struct Player<'o> {
    ordered: &'o Ordered,
    player: Box<dyn Client + 'o>,
}

impl Client for Player<'_> {
    fn begin(&mut self, call: u64) -> usize {
        self.player.begin(self.ordered.call(call))
    }

    fn next(&mut self, reply: &Reply<'_>) -> Step<'_> {
        self.player.next(reply)
    }
}

#[cfg(test)]
#[path = "ordered_tests.rs"]
mod tests;
