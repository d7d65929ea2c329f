//! Whether a step kept what it should.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::observation::Observation;
use super::slo::{Indicator, Slo};

/// 98 %: a server that ends fewer of the calls than that falls behind.
pub const ACHIEVED: f64 = 0.98;

/// 0.5 % of the rate: calls under way grow by what the rate is above the capacity, and a capacity is found to 5 %. A trend
/// below a tenth of that says nothing, however certain it is.
const GROWTH: f64 = 0.005;

/// 90 %: a pause that holds back a tenth of all calls of a step is no chance. A rule of thumb.
const GROSS: f64 = 0.9;

/// What a step did not keep; the first of several is nearest to the cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Violation {
    /// The load generator could not send the calls in time: the server is not to blame.
    Generator {
        /// What it lacked, as a sentence.
        reason: String,
    },
    /// Calls did not end within the time they were given after the step.
    Stuck,
    /// Too many calls failed.
    Errors {
        /// The share that failed.
        share: f64,
        /// The share that may.
        limit: f64,
    },
    /// Fewer calls ended than were due.
    Throughput {
        /// Ended calls for each due one.
        achieved: f64,
    },
    /// More and more calls were under way.
    Growing {
        /// How many more for each second.
        per_s: f64,
    },
    /// An objective of the response time was missed.
    Objective {
        /// As it was given: `p(99)<100`.
        expression: String,
        /// The value in milliseconds; `None` when it falls among calls that never ended, or with too few for a percentile.
        value_ms: Option<f64>,
        /// How many calls took the limit or longer; 0 for a mean.
        slow: u64,
    },
}

impl Violation {
    /// Returns whether no chance disturbance of a moment makes it: a step that showed it need not be repeated.
    pub fn is_gross(&self) -> bool {
        match self {
            Self::Stuck => true,
            Self::Throughput { achieved } => *achieved < GROSS,
            Self::Generator { .. } | Self::Errors { .. } | Self::Growing { .. } | Self::Objective { .. } => false,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generator { reason } => write!(f, "the load generator: {reason}"),
            Self::Stuck => f.write_str("calls did not end"),
            Self::Errors { share, limit } => write!(f, "errors {:.2} % (limit {:.2} %)", share * 100.0, limit * 100.0),
            Self::Throughput { achieved } => write!(f, "{:.1} % of the offered calls ended", achieved * 100.0),
            Self::Growing { per_s } => write!(f, "calls under way grow by {per_s:.1} a second"),
            Self::Objective { expression, value_ms: Some(value), .. } => write!(f, "{expression} missed: {value:.1} ms"),
            Self::Objective { expression, value_ms: None, slow } => write!(f, "{expression} missed: {slow} calls took longer"),
        }
    }
}

/// Returns what a step at `rate` did not keep; nothing when it was good.
///
/// A percentile is missed when more than its share of the calls took the limit or longer, so also with too few calls to name
/// its value; but one slow call alone is no evidence.
pub fn judge(seen: &Observation, rate: f64, slo: &Slo, errors_max: f64) -> Vec<Violation> {
    let mut violations = Vec::new();
    let due = seen.due as f64;
    let share = if seen.due > 0 { seen.errors as f64 / due } else { 0.0 };
    let limits = slo.objectives.iter().filter(|objective| objective.indicator == Indicator::Errors).map(|objective| objective.limit);
    let limit = limits.fold(errors_max, f64::min);
    if share > limit {
        violations.push(Violation::Errors { share, limit });
    }
    let missing = due - seen.ended as f64;
    // One call on either border is chance.
    if missing > (1.0 - ACHIEVED) * due && missing >= 2.0 {
        violations.push(Violation::Throughput { achieved: seen.ended as f64 / due });
    }
    if let (Some(per_s), Some(low)) = (seen.growth, seen.growth_low)
        && low > 0.0
        && per_s > GROWTH * rate
    {
        violations.push(Violation::Growing { per_s });
    }
    for (objective, slow) in slo.objectives.iter().zip(&seen.slow) {
        let (missed, value_ms) = match objective.indicator {
            Indicator::Errors => continue,
            Indicator::Mean => (seen.due > 0 && seen.mean_ms.is_none_or(|mean| mean >= objective.limit), seen.mean_ms),
            Indicator::Percentile(p) => (*slow as f64 > ((1.0 - p) * due).max(1.0), percentile_ms(seen, p)),
        };
        if missed {
            violations.push(Violation::Objective { expression: objective.to_string(), value_ms, slow: *slow });
        }
    }
    violations
}

fn percentile_ms(seen: &Observation, p: f64) -> Option<f64> {
    let all = &seen.response_us;
    let known = [(0.50, all.p50), (0.90, all.p90), (0.95, all.p95), (0.99, all.p99), (0.999, all.p999)];
    let value = known.into_iter().find(|(known, _)| *known == p)?.1?;
    Some(value as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Observation {
        Observation { due: 1000, ended: 1000, slow: vec![0], mean_ms: Some(3.0), ..Observation::default() }
    }

    fn judged(seen: &Observation, slo: &str) -> Vec<String> {
        judge(seen, 200.0, &Slo::parse(slo).unwrap(), 0.01).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_keeps_everything_is_good() {
        assert!(judged(&seen(), "p(99)<100").is_empty());
        let on_the_limit = Observation { slow: vec![10], errors: 10, ended: 980, ..seen() };
        assert!(judged(&on_the_limit, "p(99)<100").is_empty());
    }

    #[test]
    fn each_condition_is_seen_on_its_own() {
        assert_eq!(judged(&Observation { errors: 11, ..seen() }, "p(99)<100"), ["errors 1.10 % (limit 1.00 %)"]);
        assert_eq!(judged(&Observation { errors: 6, ..seen() }, "errors<0.5%"), ["errors 0.60 % (limit 0.50 %)"]);
        assert_eq!(judged(&Observation { ended: 979, ..seen() }, "p(99)<100"), ["97.9 % of the offered calls ended"]);
        assert_eq!(judged(&Observation { slow: vec![11], ..seen() }, "p(99)<100"), ["p(99)<100 missed: 11 calls took longer"]);
        assert_eq!(judged(&seen(), "avg<3"), ["avg<3 missed: 3.0 ms"]);
        let growing = Observation { growth: Some(3.0), growth_low: Some(0.1), ..seen() };
        assert_eq!(judged(&growing, "p(99)<100"), ["calls under way grow by 3.0 a second"]);
    }

    #[test]
    fn chance_is_no_evidence() {
        let few = Observation { due: 20, ended: 19, slow: vec![1], ..seen() };
        assert!(judged(&few, "p(99)<100").is_empty());
        assert_eq!(judged(&Observation { slow: vec![2], ..few.clone() }, "p(99)<100").len(), 1);
        let slight = Observation { growth: Some(0.9), growth_low: Some(0.8), ..seen() };
        assert!(judged(&slight, "p(99)<100").is_empty(), "0.45 % of the rate");
        let unsure = Observation { growth: Some(9.0), growth_low: Some(-0.1), ..seen() };
        assert!(judged(&unsure, "p(99)<100").is_empty());
    }

    #[test]
    fn no_call_is_neither_slow_nor_wrong() {
        assert!(judged(&Observation { slow: vec![0, 0, 0], ..Observation::default() }, "p(99)<1,avg<1,errors<1%").is_empty());
    }
}
