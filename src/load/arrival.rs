//! When calls are due.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stats::random;

/// The stream of random numbers that spaces Poisson arrivals.
const ARRIVALS: u64 = 0x6172_7269_7661_6c73;

/// How calls are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrival {
    /// Each client makes its next call when the last has ended. A slow server is asked less often, so the latencies
    /// of a closed loop say nothing about those at a given rate.
    Closed {
        /// How many clients.
        clients: usize,
        /// The pause between a client's calls.
        #[serde(rename = "think_ms", default, with = "milliseconds", skip_serializing_if = "Duration::is_zero")]
        think: Duration,
    },
    /// Calls are due at their time whatever the server does.
    Open {
        /// Calls a second.
        rate: f64,
        /// How they are spread.
        spacing: Spacing,
        /// How many may be under way at once; further ones wait in a queue with their clock running.
        sessions: usize,
    },
}

/// How the calls of an open loop are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// At equal distances.
    Uniform,
    /// Independently of each other, as those of many users are.
    Poisson,
}

impl Arrival {
    /// Returns how many sessions it needs.
    pub fn sessions(&self) -> usize {
        match self {
            Self::Closed { clients, .. } => *clients,
            Self::Open { sessions, .. } => *sessions,
        }
    }
}

/// The intended times of an open loop's events, counted from its start.
///
/// Event i's time is a function of (rate, spacing, seed, i) alone; Poisson times are sums, so they are walked in order.
#[derive(Debug, Clone)]
pub struct Times {
    rate: f64,
    spacing: Spacing,
    seed: u64,
    index: u64,
    poisson_s: f64,
}

impl Times {
    /// Returns the times of `rate` events a second; none at all when the rate is not above 0.
    pub fn new(rate: f64, spacing: Spacing, seed: u64) -> Self {
        Self { rate, spacing, seed, index: 0, poisson_s: 0.0 }
    }
}

impl Iterator for Times {
    type Item = (u64, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rate.is_nan() || self.rate <= 0.0 {
            return None;
        }
        let seconds = match self.spacing {
            Spacing::Uniform => self.index as f64 / self.rate,
            Spacing::Poisson => {
                let u = random::unit(random::bits(self.seed, ARRIVALS, self.index, 0));
                self.poisson_s += -(1.0 - u).ln() / self.rate;
                self.poisson_s
            }
        };
        self.index += 1;
        Some((self.index - 1, Duration::try_from_secs_f64(seconds).ok()?))
    }
}

/// A duration as a number of milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64() * 1000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let ms = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(ms / 1000.0).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_events_do_not_drift() {
        let times: Vec<Duration> = Times::new(3.0, Spacing::Uniform, 1).take(3001).map(|(_, due)| due).collect();
        assert_eq!(times[0], Duration::ZERO);
        assert_eq!(times[3000], Duration::from_secs(1000));
    }

    #[test]
    fn poisson_events_depend_on_the_seed_alone_and_keep_the_rate() {
        let times = |seed| Times::new(200.0, Spacing::Poisson, seed).take(100_000).map(|(_, due)| due).collect::<Vec<_>>();
        let (first, again, other) = (times(1), times(1), times(2));
        assert_eq!(first, again);
        assert_ne!(first, other);
        // 100 000 events at 200/s take 500 s ± 5·1.6 s.
        let last = first[99_999].as_secs_f64();
        assert!((492.0..508.0).contains(&last), "{last}");
        assert!(first.windows(2).all(|pair| pair[0] <= pair[1]));
        // An exponential gap's standard deviation equals its mean.
        let gaps: Vec<f64> = first.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 200.0).collect();
        let variance = gaps.iter().map(|gap| (gap - 1.0).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((0.95..1.05).contains(&variance), "{variance}");
    }

    #[test]
    fn no_rate_means_no_events() {
        assert_eq!(Times::new(0.0, Spacing::Uniform, 1).next(), None);
        assert_eq!(Times::new(f64::NAN, Spacing::Poisson, 1).next(), None);
    }

    #[test]
    fn the_saved_form_is_the_one_the_contract_names() {
        let closed = Arrival::Closed { clients: 8, think: Duration::ZERO };
        assert_eq!(serde_json::to_string(&closed).unwrap(), r#"{"closed":{"clients":8}}"#);
        let open = Arrival::Open { rate: 200.0, spacing: Spacing::Uniform, sessions: 16 };
        assert_eq!(serde_json::to_string(&open).unwrap(), r#"{"open":{"rate":200.0,"spacing":"uniform","sessions":16}}"#);
        for arrival in [closed, open, Arrival::Closed { clients: 1, think: Duration::from_millis(250) }] {
            let text = serde_json::to_string(&arrival).unwrap();
            assert_eq!(serde_json::from_str::<Arrival>(&text).unwrap(), arrival);
        }
    }
}
