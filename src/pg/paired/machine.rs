//! What else the machine does while it is measured: steal, pressure, autovacuum.

use std::fs;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_postgres::Client;

use crate::replay::paired::Interference;

/// Once a second: as often as the system's own figures mean something.
const EVERY: Duration = Duration::from_secs(1);

/// Counters of the system at one moment; `None` where it does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Reading {
    /// Of all processors: ticks stolen, and all ticks.
    steal: Option<(u64, u64)>,
    /// Microseconds in which something waited for a processor.
    cpu_us: Option<u64>,
    /// Microseconds in which something waited for a disk.
    io_us: Option<u64>,
}

impl Reading {
    fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            steal: read("/proc/stat").as_deref().and_then(steal),
            cpu_us: read("/proc/pressure/cpu").as_deref().and_then(pressure),
            io_us: read("/proc/pressure/io").as_deref().and_then(pressure),
        }
    }

    fn steal_since(&self, earlier: &Self) -> Option<f64> {
        let ((steal, all), (steal_before, all_before)) = (self.steal?, earlier.steal?);
        let all = all.checked_sub(all_before).filter(|all| *all > 0)?;
        Some(steal.saturating_sub(steal_before) as f64 / all as f64)
    }
}

/// Reads stolen and all ticks from the first line of /proc/stat.
fn steal(text: &str) -> Option<(u64, u64)> {
    let ticks: Vec<u64> = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest times after it are part of user.
    Some((*ticks.get(7)?, ticks.iter().take(8).sum()))
}

/// Reads the total of the line `some avg10=… avg60=… avg300=… total=…`.
fn pressure(text: &str) -> Option<u64> {
    text.lines().find(|line| line.starts_with("some"))?.rsplit_once("total=")?.1.trim().parse().ok()
}

/// Watches the machine, and the two databases, over the measured part.
pub(super) struct Watch<'a> {
    pub control: &'a Client,
    pub databases: [&'a str; 2],
    pub seen: Interference,
    elapsed: Duration,
    first: Option<Reading>,
    last: Reading,
}

impl<'a> Watch<'a> {
    pub(super) fn new(control: &'a Client, databases: [&'a str; 2]) -> Self {
        let seen = Interference::default();
        Self { control, databases, seen, elapsed: Duration::ZERO, first: None, last: Reading::default() }
    }

    /// Carries work out and looks around once a second meanwhile.
    pub(super) async fn over<T>(&mut self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        self.last = Reading::now();
        let first = *self.first.get_or_insert(self.last);
        let mut work = std::pin::pin!(work);
        let mut due = begun;
        let answer = loop {
            due += EVERY;
            tokio::select! {
                answer = &mut work => break answer,
                () = sleep_until(due) => self.look().await,
            }
        };
        self.elapsed += begun.elapsed();
        let now = Reading::now();
        self.seen.steal_share = now.steal_since(&first);
        let waited = |now: Option<u64>, first: Option<u64>| {
            let us = now?.checked_sub(first?)?;
            Some((us as f64 / 1e6 / self.elapsed.as_secs_f64().max(1e-9)).min(1.0))
        };
        self.seen.cpu_pressure = waited(now.cpu_us, first.cpu_us);
        self.seen.io_pressure = waited(now.io_us, first.io_us);
        answer
    }

    async fn look(&mut self) {
        let now = Reading::now();
        self.seen.steal_share_max = now.steal_since(&self.last).into_iter().chain(self.seen.steal_share_max).reduce(f64::max);
        self.last = now;
        let sql = "select /* pgload */ exists (select from pg_catalog.pg_stat_activity a
            where a.backend_type = 'autovacuum worker' and a.datname = any ($1))";
        // A failing look is no reason to end a measurement.
        if let Ok(row) = self.control.query_one(sql, &[&self.databases.as_slice()]).await {
            self.seen.autovacuums += u32::from(row.get::<_, bool>(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read() {
        assert_eq!(steal("cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2"), Some((35, 1000)));
        assert_eq!((steal("intr 1"), steal("cpu  1 2 3"), steal("")), (None, None, None));
        let text = "some avg10=1.00 avg60=0.50 avg300=0.10 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9";
        assert_eq!((pressure(text), pressure("full total=9")), (Some(123_456), None));
    }

    #[test]
    fn steal_is_a_share_of_what_passed() {
        let reading = |steal, all| Reading { steal: Some((steal, all)), ..Reading::default() };
        assert_eq!(reading(15, 300).steal_since(&reading(5, 200)), Some(0.1));
        assert_eq!(reading(15, 200).steal_since(&reading(5, 200)), None);
        assert_eq!(reading(15, 200).steal_since(&Reading::default()), None);
    }
}
