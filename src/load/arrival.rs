//! When calls are due.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How calls are spaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
        /// How many may be under way at once; see [`Overflow`] for what becomes of further ones.
        sessions: usize,
    },
    /// As open, at a rate that changes with time.
    Stages {
        /// The rates.
        stages: Vec<Stage>,
        /// How calls are spread.
        spacing: Spacing,
        /// How many may be under way at once.
        sessions: usize,
    },
}

/// A stretch of time at whose end the rate has reached its target, changing linearly from where it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its length; of no length, it is a jump.
    #[serde(rename = "duration_ms", with = "milliseconds")]
    pub duration: Duration,
    /// Calls a second at its end.
    pub target: f64,
}

/// What becomes of a call that is due while as many as allowed are under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// It waits, its clock running.
    #[default]
    Queue,
    /// It is given up and counts as infinitely slow.
    Shed,
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
            Self::Open { sessions, .. } | Self::Stages { sessions, .. } => *sessions,
        }
    }

    /// Returns whether calls are due whatever the server does.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Closed { .. })
    }

    /// Returns what to warm up with: stages at the first rate they reach, the others as they are.
    pub fn warm_up(&self) -> Self {
        match self {
            Self::Stages { stages, spacing, sessions } => {
                let rate = stages.iter().map(|stage| stage.target).find(|target| *target > 0.0).unwrap_or(0.0);
                Self::Open { rate, spacing: *spacing, sessions: *sessions }
            }
            other => other.clone(),
        }
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
    fn the_saved_form_is_the_one_the_contract_names() {
        let closed = Arrival::Closed { clients: 8, think: Duration::ZERO };
        assert_eq!(serde_json::to_string(&closed).unwrap(), r#"{"closed":{"clients":8}}"#);
        let open = Arrival::Open { rate: 200.0, spacing: Spacing::Uniform, sessions: 16 };
        assert_eq!(serde_json::to_string(&open).unwrap(), r#"{"open":{"rate":200.0,"spacing":"uniform","sessions":16}}"#);
        let stage = Stage { duration: Duration::from_secs(30), target: 100.0 };
        let staged = Arrival::Stages { stages: vec![stage], spacing: Spacing::Poisson, sessions: 4 };
        let text = r#"{"stages":{"stages":[{"duration_ms":30000.0,"target":100.0}],"spacing":"poisson","sessions":4}}"#;
        assert_eq!(serde_json::to_string(&staged).unwrap(), text);
        for arrival in [closed, open, staged, Arrival::Closed { clients: 1, think: Duration::from_millis(250) }] {
            let text = serde_json::to_string(&arrival).unwrap();
            assert_eq!(serde_json::from_str::<Arrival>(&text).unwrap(), arrival);
        }
    }
}
