//! Usage over all nodes of a database: a standby counts its own scans, and the primary knows nothing of them.
//!
//! Counters of nodes are added; the window in which nothing can have been missed is the shortest of theirs; and an index of
//! which one node says nothing is no index without use.

use jiff::Timestamp;

use super::{Hidden, Index, Node, QualifiedName, Snapshot};

/// What all nodes together counted of one index.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageEverywhere<'a> {
    /// Index scans, summed over nodes.
    pub scans: u64,
    /// Entries returned by them, summed over nodes.
    pub entries_read: u64,
    /// Live rows fetched by plain index scans, summed over nodes.
    pub rows_fetched: u64,
    /// The latest scan on any node (16 and later).
    pub last_scan_at: Option<Timestamp>,
    /// The shortest window over nodes, in days: further back, a scan may have gone uncounted. `None` when one node's is unknown.
    pub window_days: Option<f64>,
    /// How many nodes were read, the snapshot's own included.
    pub nodes: usize,
    /// Further nodes that counted no scan of it.
    pub idle_nodes: Vec<&'a str>,
    /// Further nodes where an index of this name was not found: its use there is unknown.
    pub unread_nodes: Vec<&'a str>,
}

/// Returns how long statistics have been counted, in days; see [`Snapshot::statistics_window_days`].
pub(super) fn window_days(reset_at: Option<Timestamp>, started_at: Option<Timestamp>, taken_at: Timestamp) -> Option<f64> {
    let since = reset_at.or(started_at)?;
    Some((taken_at.as_second() - since.as_second()).max(0) as f64 / 86_400.0)
}

impl Node {
    /// Returns how long this node has counted, in days, as far as it can prove it.
    pub fn statistics_window_days(&self) -> Option<f64> {
        window_days(self.stats_reset_at, self.started_at, self.taken_at)
    }

    fn index(&self, name: &QualifiedName) -> Option<&super::IndexUsage> {
        // Sorted by `add_node`; a list that was put together otherwise is searched from end to end.
        let at = self.indexes.binary_search_by(|(of, _)| of.cmp(name)).ok();
        at.or_else(|| self.indexes.iter().position(|(of, _)| of == name)).map(|at| &self.indexes[at].1)
    }
}

impl Snapshot {
    /// Adds another node's counters, in place of an earlier reading of the same node.
    ///
    /// Relations are matched by schema and name. A node that lacks some of the snapshot's indexes is said so in
    /// [`Snapshot::hidden`]: it lags behind, or is no copy of this database.
    pub fn add_node(&mut self, mut node: Node) {
        node.indexes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let begins = format!("usage on node {}: ", node.name);
        self.nodes.retain(|present| present.name != node.name);
        self.hidden.retain(|hidden| !hidden.what.starts_with(&begins));
        let known: std::collections::HashSet<&QualifiedName> = node.indexes.iter().map(|(name, _)| name).collect();
        let missing = self.indexes.iter().filter(|index| !known.contains(&index.name)).count();
        if missing > 0 {
            self.hidden.push(Hidden {
                what: format!("{begins}{missing} of {} indexes were not found there", self.indexes.len()),
                effect: "no such index is called unused; is the node a copy of this database?".to_owned(),
                remedy: String::new(),
            });
        }
        self.nodes.push(node);
    }

    /// Returns what all nodes together counted of an index of this snapshot.
    pub fn index_usage_everywhere(&self, index: &Index) -> UsageEverywhere<'_> {
        let own = &index.usage;
        let mut everywhere = UsageEverywhere {
            scans: own.scans,
            entries_read: own.entries_read,
            rows_fetched: own.rows_fetched,
            last_scan_at: own.last_scan_at,
            window_days: self.statistics_window_days(),
            nodes: 1 + self.nodes.len(),
            idle_nodes: Vec::new(),
            unread_nodes: Vec::new(),
        };
        for node in &self.nodes {
            let shorter = |(one, other): (f64, f64)| one.min(other);
            everywhere.window_days = everywhere.window_days.zip(node.statistics_window_days()).map(shorter);
            let Some(usage) = node.index(&index.name) else {
                everywhere.unread_nodes.push(&node.name);
                continue;
            };
            everywhere.scans = everywhere.scans.saturating_add(usage.scans);
            everywhere.entries_read = everywhere.entries_read.saturating_add(usage.entries_read);
            everywhere.rows_fetched = everywhere.rows_fetched.saturating_add(usage.rows_fetched);
            everywhere.last_scan_at = everywhere.last_scan_at.max(usage.last_scan_at);
            if usage.scans == 0 {
                everywhere.idle_nodes.push(&node.name);
            }
        }
        everywhere
    }
}

#[cfg(test)]
mod tests {
    use super::super::IndexUsage;
    use super::super::sample::{index, snapshot};
    use super::*;

    fn node(name: &str, days: i64, indexes: &[(&str, u64, Option<i64>)]) -> Node {
        let at = |second| Timestamp::from_second(second).unwrap();
        let usage = |(name, scans, last): &(&str, u64, Option<i64>)| {
            let usage = IndexUsage { scans: *scans, entries_read: 2 * scans, rows_fetched: 1, last_scan_at: last.map(at) };
            (QualifiedName::new("shop", *name), usage)
        };
        Node {
            name: name.to_owned(),
            in_recovery: true,
            taken_at: at(days * 86_400),
            stats_reset_at: None,
            started_at: Some(at(0)),
            indexes: indexes.iter().map(usage).collect(),
            tables: Vec::new(),
        }
    }

    #[test]
    fn counters_add_up_and_the_shortest_window_counts() {
        let mut snapshot = snapshot();
        snapshot.server.started_at = Some(Timestamp::UNIX_EPOCH);
        snapshot.taken_at = Timestamp::from_second(40 * 86_400).unwrap();
        snapshot.indexes = vec![index("a"), index("b")];
        snapshot.indexes[0].usage.scans = 3;
        snapshot.add_node(node("one:5432", 50, &[("a", 4, Some(7)), ("b", 0, None)]));
        snapshot.add_node(node("two:5432", 30, &[("a", 0, None)]));
        let found = snapshot.index_usage_everywhere(&snapshot.indexes[0]);
        assert_eq!((found.scans, found.entries_read, found.rows_fetched, found.nodes), (7, 8, 2, 3));
        assert_eq!(found.last_scan_at, Some(Timestamp::from_second(7).unwrap()));
        assert_eq!((found.window_days, found.idle_nodes, found.unread_nodes.len()), (Some(30.0), vec!["two:5432"], 0));
        let other = snapshot.index_usage_everywhere(&snapshot.indexes[1]);
        assert_eq!((other.scans, other.unread_nodes, other.idle_nodes), (0, vec!["two:5432"], vec!["one:5432"]));
        assert_eq!(snapshot.hidden.len(), 1);
        assert!(snapshot.hidden[0].what.contains("node two:5432: 1 of 2 indexes"), "{:?}", snapshot.hidden);
    }

    #[test]
    fn without_nodes_the_snapshot_speaks_for_itself() {
        let mut snapshot = snapshot();
        snapshot.indexes = vec![index("a")];
        let found = snapshot.index_usage_everywhere(&snapshot.indexes[0]);
        assert_eq!((found.scans, found.window_days, found.nodes), (0, snapshot.statistics_window_days(), 1));
    }

    #[test]
    fn a_node_read_again_replaces_its_earlier_reading_and_one_without_a_clock_leaves_no_window() {
        let mut snapshot = snapshot();
        snapshot.server.started_at = Some(Timestamp::UNIX_EPOCH);
        snapshot.indexes = vec![index("a")];
        snapshot.add_node(node("one:5432", 10, &[]));
        snapshot.add_node(Node { started_at: None, ..node("one:5432", 20, &[("a", 1, None)]) });
        assert_eq!((snapshot.nodes.len(), snapshot.hidden.len()), (1, 0));
        let found = snapshot.index_usage_everywhere(&snapshot.indexes[0]);
        assert_eq!((found.scans, found.window_days), (1, None));
    }
}
