//! How long usage statistics have been counted, in the words a message needs.

use std::fmt;

use jiff::Timestamp;

use crate::catalog::Snapshot;

/// 35 days: the longest month, so that a monthly job has run at least once, and a few days for one that ran late.
pub const LONG_ENOUGH_DAYS: f64 = 35.0;

/// The time usage statistics rest on; prints as `the 31 days since statistics were reset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Its length in days; `None` when the server cannot prove any.
    pub days: Option<f64>,
    since: Since,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Since {
    Reset,
    /// No reset is recorded: a crash discards statistics without a trace, so only the time since the start is sure.
    Start,
    Unknown,
}

impl Window {
    /// Reads the window of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self::between(snapshot.server.stats_reset_at, snapshot.server.started_at, snapshot.taken_at)
    }

    /// Reads the window all nodes have in common: the shortest, and none when one node cannot prove any.
    pub fn of_every_node(snapshot: &Snapshot) -> Self {
        let nodes = snapshot.nodes.iter().map(|node| Self::between(node.stats_reset_at, node.started_at, node.taken_at));
        nodes.fold(Self::of(snapshot), |shortest, window| match (shortest.days, window.days) {
            (Some(one), Some(other)) if one <= other => shortest,
            (None, _) => shortest,
            _ => window,
        })
    }

    fn between(reset_at: Option<Timestamp>, started_at: Option<Timestamp>, taken_at: Timestamp) -> Self {
        let since = match (reset_at, started_at) {
            (Some(_), _) => Since::Reset,
            (None, Some(_)) => Since::Start,
            (None, None) => Since::Unknown,
        };
        let days = reset_at.or(started_at).map(|since| (taken_at.as_second() - since.as_second()).max(0) as f64 / 86_400.0);
        Self { days, since }
    }

    /// Returns whether "never" in this window also covers monthly jobs ([`LONG_ENOUGH_DAYS`]).
    pub fn long_enough(self) -> bool {
        self.days.is_some_and(|days| days >= LONG_ENOUGH_DAYS)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(days) = self.days else {
            return f.write_str("a time the server does not tell");
        };
        let since = match self.since {
            Since::Reset => "statistics were reset",
            Since::Start | Since::Unknown => "the server started",
        };
        let (number, unit) = match days {
            days if days < 1.0 / 1440.0 => return write!(f, "the first minute since {since}"),
            days if days >= 2.0 => (days.floor(), "days"),
            days if days >= 2.0 / 24.0 => ((days * 24.0).floor(), "hours"),
            days => ((days * 24.0 * 60.0).floor(), "minutes"),
        };
        let unit = if number == 1.0 { unit.trim_end_matches('s') } else { unit };
        write!(f, "the {number} {unit} since {since}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::Sample;

    #[test]
    fn the_window_is_told_in_days_hours_or_minutes() {
        let told = [24 * 31, 24, 2, 1, 0].map(|hours| Window::of(&Sample::new().window_hours(hours).snapshot).to_string());
        let numbers = told.each_ref().map(|text| text.trim_start_matches("the ").trim_end_matches(" since statistics were reset"));
        assert_eq!(numbers, ["31 days", "24 hours", "2 hours", "60 minutes", "first minute"]);
    }

    #[test]
    fn without_a_recorded_reset_the_start_of_the_server_counts() {
        let mut snapshot = Sample::new().snapshot;
        snapshot.server.started_at = snapshot.server.stats_reset_at.take();
        assert_eq!(Window::of(&snapshot).to_string(), "the 40 days since the server started");
        snapshot.server.started_at = None;
        assert!(!Window::of(&snapshot).long_enough());
        assert_eq!(Window::of(&snapshot).to_string(), "a time the server does not tell");
    }
}
