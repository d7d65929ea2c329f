//! What is told apart in the results of a replayed capture.

use std::collections::{HashMap, HashSet};

use super::Captured;
use crate::replay::program::Label;

/// The most statements, and the most kinds of transactions, that have a line of their own; further ones share one.
const MAX: usize = 1000;

/// The most statements a transaction's text names.
const NAMED_MAX: usize = 12;

/// Labels as they are first wanted.
#[derive(Debug)]
pub(super) struct Labels {
    labels: Vec<Label>,
    names: HashSet<String>,
    /// By statement, and whether it failed when it was captured.
    statements: HashMap<(u32, bool), u32>,
    /// By the statements of a transaction in the order of their first calls.
    transactions: HashMap<Vec<u32>, u32>,
    other_statements: Option<u32>,
    other_transactions: Option<u32>,
    session: Option<u32>,
}

impl Labels {
    pub(super) fn new() -> Self {
        Self {
            labels: Vec::new(),
            names: HashSet::new(),
            statements: HashMap::new(),
            transactions: HashMap::new(),
            other_statements: None,
            other_transactions: None,
            session: None,
        }
    }

    /// Returns a statement's; calls that failed when they were captured have one of their own, since they end early.
    pub(super) fn statement(&mut self, captured: &Captured, statement: u32, failed: bool) -> u32 {
        if let Some(label) = self.statements.get(&(statement, failed)) {
            return *label;
        }
        let label = if self.statements.len() >= MAX {
            match self.other_statements {
                Some(label) => label,
                None => {
                    let label = self.add("other statements", "statements beyond the thousand that came first");
                    *self.other_statements.insert(label)
                }
            }
        } else {
            let one = &captured.statements[statement as usize];
            let name = if failed { format!("{} (failed)", one.name) } else { one.name.clone() };
            self.add(&name, &one.sql)
        };
        self.statements.insert((statement, failed), label);
        label
    }

    /// Returns that of transactions of these statements.
    pub(super) fn transaction(&mut self, captured: &Captured, statements: &[u32]) -> u32 {
        let mut kind: Vec<u32> = Vec::new();
        for statement in statements {
            if !captured.statements[*statement as usize].control && !kind.contains(statement) {
                kind.push(*statement);
            }
        }
        if let Some(label) = self.transactions.get(&kind) {
            return *label;
        }
        let label = if self.transactions.len() >= MAX {
            match self.other_transactions {
                Some(label) => label,
                None => {
                    let label = self.add("other transactions", "transactions beyond the thousand kinds that came first");
                    *self.other_transactions.insert(label)
                }
            }
        } else {
            let name = |statement: &u32| captured.statements[*statement as usize].name.clone();
            let mut names: Vec<String> = kind.iter().take(NAMED_MAX).map(name).collect();
            if kind.len() > NAMED_MAX {
                names.push("…".to_owned());
            }
            let first = kind.first().map_or_else(|| "empty".to_owned(), name);
            self.add(&format!("transaction {first}"), &names.join("; "))
        };
        // Kinds beyond the limit are looked up by nothing, so that they take no memory.
        if self.transactions.len() < MAX {
            self.transactions.insert(kind, label);
        }
        label
    }

    /// Returns that of the beginning of a session on a connection which had another one.
    pub(super) fn session(&mut self) -> u32 {
        match self.session {
            Some(label) => label,
            None => {
                let label = self.add("session", "discard all");
                *self.session.insert(label)
            }
        }
    }

    fn add(&mut self, name: &str, sql: &str) -> u32 {
        let name = std::iter::once(name.to_owned())
            .chain((2..).map(|number| format!("{name} {number}")))
            .find(|name| !self.names.contains(name))
            .unwrap_or_default();
        self.names.insert(name.clone());
        self.labels.push(Label { name, sql: sql.to_owned(), statement: None, called: true });
        (self.labels.len() - 1) as u32
    }

    pub(super) fn finish(self) -> Vec<Label> {
        self.labels
    }
}
