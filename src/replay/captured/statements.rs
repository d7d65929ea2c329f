//! The statements of a capture: calls grouped by fingerprint, counted.

use std::collections::HashMap;

use super::fingerprint::fingerprint;
use super::{CapturedStatement, WireProtocol};
use crate::replay::log::Statement;
use crate::replay::statement::facts;

/// The most statements told apart; further ones are one, named `other`.
const STATEMENTS_MAX: usize = 50_000;

/// Texts whose number is remembered, so that a prepared statement is looked at once.
const KNOWN_MAX: usize = 20_000;

/// The longest text that is remembered, in bytes.
const KNOWN_LENGTH_MAX: usize = 8 << 10;

/// The longest text the workload file holds, in bytes; longer ones are with their calls.
const TEXT_MAX: usize = 64 << 10;

/// First words of statements that only begin, end or mark a transaction.
const CONTROL: &[&str] = &["abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"];

/// Groups calls as they come.
#[derive(Debug, Default)]
pub(super) struct Statements {
    groups: Vec<Group>,
    by_fingerprint: HashMap<String, usize>,
    known: HashMap<String, usize>,
}

#[derive(Debug)]
struct Group {
    sql: String,
    protocol: WireProtocol,
    weight: u64,
    failed: u64,
    timed: u64,
    total_us: u64,
    query_id: Option<i64>,
}

/// A call's place among the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1.
    pub(super) number: u64,
    /// Whether the group's text is the call's.
    pub(super) same_text: bool,
    pub(super) same_protocol: bool,
}

impl Statements {
    /// Counts a call and returns where it belongs.
    pub(super) fn add(&mut self, statement: &Statement) -> Place {
        let protocol = WireProtocol::from(statement.protocol);
        let at = match self.known.get(&statement.text) {
            Some(at) => *at,
            None => self.find(&statement.text, protocol),
        };
        let group = &mut self.groups[at];
        group.weight += 1;
        group.failed += u64::from(statement.failure.is_some());
        if let Some(us) = statement.duration_us {
            group.timed += 1;
            group.total_us += us;
        }
        group.query_id = group.query_id.or(statement.query_id);
        Place { number: at as u64 + 1, same_text: group.sql == statement.text, same_protocol: group.protocol == protocol }
    }

    /// Takes a call back that turned out not to be replayable.
    pub(super) fn remove(&mut self, number: u64) {
        if let Some(group) = self.groups.get_mut(number as usize - 1) {
            group.weight = group.weight.saturating_sub(1);
        }
    }

    fn find(&mut self, text: &str, protocol: WireProtocol) -> usize {
        let mut print = fingerprint(text);
        if self.groups.len() >= STATEMENTS_MAX && !self.by_fingerprint.contains_key(&print) {
            print = "other".to_owned();
        }
        let groups = &mut self.groups;
        let at = *self.by_fingerprint.entry(print).or_insert_with(|| {
            let sql = if text.len() > TEXT_MAX { String::new() } else { text.to_owned() };
            groups.push(Group { sql, protocol, weight: 0, failed: 0, timed: 0, total_us: 0, query_id: None });
            groups.len() - 1
        });
        if text.len() <= KNOWN_LENGTH_MAX && self.known.len() < KNOWN_MAX {
            self.known.insert(text.to_owned(), at);
        }
        at
    }

    /// Returns the statements, the most frequent first; those without calls are left out.
    pub(super) fn finish(self) -> Vec<CapturedStatement> {
        let mut statements: Vec<CapturedStatement> = Vec::with_capacity(self.groups.len());
        let mut names: HashMap<String, u64> = HashMap::new();
        for (at, group) in self.groups.into_iter().enumerate().filter(|(_, group)| group.weight > 0) {
            let base = name(&group.sql);
            let times = names.entry(base.clone()).or_default();
            *times += 1;
            let name = if *times == 1 { base } else { format!("{base}_{times}") };
            let control = CONTROL.contains(&first_words(&group.sql, 1).as_str());
            statements.push(CapturedStatement {
                number: at as u64 + 1,
                name,
                weight: group.weight,
                // Settings and the like change nothing that a read-only transaction would refuse.
                writes: !control && changes(&group.sql),
                control,
                protocol: group.protocol,
                failed: group.failed,
                mean_us: group.total_us.checked_div(group.timed),
                query_id: group.query_id,
                sql: group.sql,
            });
        }
        statements.sort_by(|a, b| b.weight.cmp(&a.weight).then(a.number.cmp(&b.number)));
        statements
    }
}

/// First words of statements that a read-only transaction takes, or that change the session alone.
const HARMLESS: &[&str] = &[
    "set",
    "reset",
    "show",
    "deallocate",
    "discard",
    "listen",
    "unlisten",
    "notify",
    "prepare",
    "execute",
    "fetch",
    "close",
    "declare",
    "move",
];

/// Whether a read-only transaction would refuse it.
pub(super) fn changes(sql: &str) -> bool {
    !HARMLESS.contains(&first_words(sql, 1).as_str()) && facts(sql).is_ok_and(|facts| facts.writes)
}

/// Whether a rollback right behind it takes back what it did; settings and prepared statements must outlive it instead.
pub(super) fn can_be_undone(sql: &str) -> bool {
    let first = first_words(sql, 1);
    // What EXECUTE runs may write.
    first == "execute" || !HARMLESS.contains(&first.as_str())
}

/// A short name: the first words that say something, in the form of results' names.
fn name(sql: &str) -> String {
    let words = first_words(sql, 200);
    let words: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
    let Some(verb) = words.first() else { return "statement".to_owned() };
    // What it is about stands after FROM, INTO, UPDATE or TABLE.
    let about = words.iter().position(|word| matches!(*word, "from" | "into" | "update" | "table")).and_then(|at| words.get(at + 1));
    match about {
        Some(about) if *about != "select" => format!("{verb}_{about}"),
        _ => words.iter().take(2).copied().collect::<Vec<_>>().join("_"),
    }
}

/// The first bare words in lower case.
pub(super) fn first_words(sql: &str, count: usize) -> String {
    use crate::sql::pieces::{Kind, pieces};
    let head = sql.char_indices().nth(4000).map_or(sql, |(at, _)| &sql[..at]);
    let words = pieces(head).into_iter().filter(|(kind, from, _)| match kind {
        Kind::Word => !head[*from..].starts_with(|letter: char| letter.is_ascii_digit()),
        Kind::Name => true,
        _ => false,
    });
    words.take(count).map(|(_, from, to)| head[from..to].trim_matches('"').to_lowercase().replace(' ', "_")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str, us: u64) -> Statement {
        Statement { text: text.to_owned(), duration_us: Some(us), ..Statement::default() }
    }

    #[test]
    fn calls_are_grouped_and_counted() {
        let mut statements = Statements::default();
        let first = statements.add(&call("select * from t where a = 1", 10));
        let second = statements.add(&call("select * from t where a = 2", 30));
        statements.add(&call("begin", 1));
        let gone = statements.add(&call("update t set a = 1", 1));
        statements.remove(gone.number);
        assert_eq!((first.number, first.same_text, second.number, second.same_text), (1, true, 1, false));
        let found = statements.finish();
        let [read, begin] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((read.name.as_str(), read.weight, read.mean_us, read.writes, read.control), ("select_t", 2, Some(20), false, false));
        assert_eq!((begin.name.as_str(), begin.control, begin.writes), ("begin", true, false));
    }

    #[test]
    fn names_say_what_a_statement_is_about_and_differ() {
        let mut statements = Statements::default();
        for text in
            ["select a from t", "select b from t", "insert into \"T x\" values (1)", "update t set a = 1", "", "set a = 1", "select now()"]
        {
            statements.add(&call(text, 1));
        }
        let names: Vec<String> = statements.finish().into_iter().map(|statement| statement.name).collect();
        assert_eq!(names, ["select_t", "select_t_2", "insert_t_x", "update_t", "statement", "set_a", "select_now"]);
    }
}
