//! What was counted between two readings.

use serde::{Deserialize, Serialize};

use super::counters::{Counters, Database, StatementKey, Statements};

/// Since when a statement's counts are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Since the window's begin: the counts are all there is.
    #[default]
    Window,
    /// Since its entry was reset, or thrown away and made again, within the window: what came before is lost.
    Restart,
}

/// What `pg_stat_statements` counted in a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grown {
    /// Statements that were counted, in the order of their keys.
    pub statements: Vec<(StatementKey, Counters, Counted)>,
    /// Entries that were there at the begin and not at the end: what they counted is lost.
    pub gone: usize,
    /// How often entries were thrown away for lack of room; `None` before 14.
    pub evicted: Option<u64>,
    /// Whether everything was reset within the window.
    pub reset: bool,
}

/// Returns what was counted between two readings.
///
/// A counter that is lower than it was says that the entry was reset, or evicted and made again: then what it has is what
/// it counted since. From 17 on the entry's own begin says the same even where every counter has overtaken.
pub fn between(before: &Statements, after: &Statements) -> Grown {
    let reset = before.reset_at != after.reset_at;
    let mut grown = Grown { reset, evicted: after.evicted, ..Grown::default() };
    if let (Some(now), Some(then)) = (after.evicted, before.evicted) {
        // A reset begins this count anew, too.
        grown.evicted = Some(now.checked_sub(then).unwrap_or(now));
    }
    for (key, entry) in &after.entries {
        let known = before.entries.get(key);
        let (counters, counted) = match known {
            // Added up over entries that come and go: no begin of its own, and lower than it was says nothing.
            Some(known) if key.query_id.is_none() => match entry.counters.since(&known.counters) {
                Some(counters) if !reset => (counters, Counted::Window),
                _ => (Counters::default(), Counted::Restart),
            },
            _ if reset => (entry.counters, Counted::Restart),
            Some(known) if entry.since == known.since => match entry.counters.since(&known.counters) {
                Some(counters) => (counters, Counted::Window),
                None => (entry.counters, Counted::Restart),
            },
            Some(_) => (entry.counters, Counted::Restart),
            None => (entry.counters, Counted::Window),
        };
        if counters.calls > 0 {
            grown.statements.push((*key, counters, counted));
        }
    }
    grown.gone = before.entries.keys().filter(|key| !after.entries.contains_key(key)).count();
    grown.statements.sort_by_key(|(key, _, _)| *key);
    grown
}

/// Returns what `pg_stat_database` counted between two readings, and whether it was reset in between.
pub fn database_between(before: &Database, after: &Database) -> (Database, bool) {
    let difference = || {
        Some(Database {
            commits: after.commits.checked_sub(before.commits)?,
            rollbacks: after.rollbacks.checked_sub(before.rollbacks)?,
            blocks_hit: after.blocks_hit.checked_sub(before.blocks_hit)?,
            blocks_read: after.blocks_read.checked_sub(before.blocks_read)?,
            temp_files: after.temp_files.checked_sub(before.temp_files)?,
            temp_bytes: after.temp_bytes.checked_sub(before.temp_bytes)?,
            deadlocks: after.deadlocks.checked_sub(before.deadlocks)?,
            reset_at: after.reset_at,
        })
    };
    match difference() {
        Some(grown) if before.reset_at == after.reset_at => (grown, false),
        _ => (*after, true),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::profile::counters::Entry;

    fn key(user: u32, query_id: i64) -> StatementKey {
        StatementKey { database: 5, user, query_id: Some(query_id), top_level: true }
    }

    fn counters(calls: u64, exec_ms_total: f64) -> Counters {
        Counters { calls, rows: calls * 2, exec_ms_total, ..Counters::default() }
    }

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(second).unwrap())
    }

    fn reading(entries: &[(StatementKey, Counters)]) -> Statements {
        let mut reading = Statements { evicted: Some(0), reset_at: at(0), ..Statements::default() };
        entries.iter().for_each(|(key, counters)| reading.add(*key, Entry { counters: *counters, since: None }));
        reading
    }

    fn grown(before: &[(StatementKey, Counters)], after: &[(StatementKey, Counters)]) -> Vec<(StatementKey, u64, Counted)> {
        let grown = between(&reading(before), &reading(after));
        grown.statements.iter().map(|(key, counters, counted)| (*key, counters.calls, *counted)).collect()
    }

    #[test]
    fn counts_are_differences_and_what_was_not_called_is_left_out() {
        let (a, b, c) = (key(1, 1), key(1, 2), key(1, 3));
        let before = [(a, counters(10, 100.0)), (b, counters(5, 1.0))];
        let after = [(a, counters(14, 140.5)), (b, counters(5, 1.0)), (c, counters(2, 3.0))];
        assert_eq!(grown(&before, &after), [(a, 4, Counted::Window), (c, 2, Counted::Window)]);
        let change = between(&reading(&before), &reading(&after)).statements[0].1;
        assert_eq!((change.rows, change.exec_ms_total, change.exec_ms_mean()), (8, 40.5, Some(40.5 / 4.0)));
    }

    #[test]
    fn two_users_of_one_statement_are_two() {
        let (one, other) = (key(1, 7), key(2, 7));
        let before = [(one, counters(10, 1.0)), (other, counters(1, 1.0))];
        let after = [(one, counters(11, 2.0)), (other, counters(4, 9.0))];
        assert_eq!(grown(&before, &after), [(one, 1, Counted::Window), (other, 3, Counted::Window)]);
        let nested = StatementKey { top_level: false, ..one };
        assert_eq!(
            grown(&[(one, counters(1, 1.0))], &[(one, counters(1, 1.0)), (nested, counters(2, 1.0))]),
            [(nested, 2, Counted::Window)]
        );
    }

    #[test]
    fn an_entry_evicted_and_back_counts_what_it_has() {
        let a = key(1, 1);
        // More calls than before, yet less time: it is another entry.
        assert_eq!(grown(&[(a, counters(3, 900.0))], &[(a, counters(5, 40.0))]), [(a, 5, Counted::Restart)]);
        assert_eq!(grown(&[(a, counters(3, 900.0))], &[(a, counters(2, 1000.0))]), [(a, 2, Counted::Restart)]);
        let gone = between(&reading(&[(a, counters(3, 9.0))]), &reading(&[]));
        assert_eq!((gone.statements.len(), gone.gone), (0, 1));
    }

    #[test]
    fn its_own_begin_tells_a_new_entry_that_has_overtaken_the_old_one() {
        let a = key(1, 1);
        let with = |since, calls| {
            let mut reading = reading(&[]);
            reading.add(a, Entry { counters: counters(calls, calls as f64), since: at(since) });
            reading
        };
        let restarted = between(&with(100, 3), &with(200, 50));
        assert_eq!((restarted.statements[0].1.calls, restarted.statements[0].2), (50, Counted::Restart));
        let lived_on = between(&with(100, 3), &with(100, 50));
        assert_eq!((lived_on.statements[0].1.calls, lived_on.statements[0].2), (47, Counted::Window));
    }

    #[test]
    fn after_a_reset_nothing_is_subtracted() {
        let a = key(1, 1);
        let before = reading(&[(a, counters(3, 9.0))]);
        let after = Statements { reset_at: at(50), evicted: Some(0), ..reading(&[(a, counters(30, 90.0))]) };
        let grown = between(&before, &after);
        assert!(grown.reset);
        assert_eq!((grown.statements[0].1.calls, grown.statements[0].2), (30, Counted::Restart));
    }

    #[test]
    fn a_counter_that_wraps_never_becomes_a_huge_number() {
        let a = key(1, 1);
        let full = Counters { wal_bytes: u64::MAX - 1, ..counters(10, 10.0) };
        let wrapped = Counters { wal_bytes: 7, ..counters(12, 12.0) };
        let change = between(&reading(&[(a, full)]), &reading(&[(a, wrapped)])).statements[0];
        assert_eq!((change.1.wal_bytes, change.2), (7, Counted::Restart));
        assert_eq!(full.plus(&full).wal_bytes, u64::MAX);
    }

    #[test]
    fn hidden_statements_are_added_up_and_a_lower_sum_is_not_taken_for_growth() {
        let hidden = StatementKey { query_id: None, ..key(9, 0) };
        let twice = |first: u64, second: u64| [(hidden, counters(first, 1.0)), (hidden, counters(second, 1.0))];
        assert_eq!(grown(&twice(1, 2), &twice(4, 5)), [(hidden, 6, Counted::Window)]);
        assert_eq!(grown(&twice(4, 500), &twice(4, 5)), []);
    }

    #[test]
    fn evictions_are_counted_within_the_window() {
        let with = |evicted| Statements { evicted: Some(evicted), ..reading(&[]) };
        assert_eq!(between(&with(3), &with(5)).evicted, Some(2));
        assert_eq!(between(&with(3), &with(1)).evicted, Some(1), "after a reset");
    }

    #[test]
    fn a_database_that_was_reset_tells_what_it_counted_since() {
        let database = |commits, reset_at| Database { commits, reset_at, ..Database::default() };
        assert_eq!(database_between(&database(10, at(1)), &database(25, at(1))), (database(15, at(1)), false));
        assert_eq!(database_between(&database(10, at(1)), &database(25, at(9))), (database(25, at(9)), true));
        assert_eq!(database_between(&database(10, None), &database(4, None)), (database(4, None), true));
    }
}
