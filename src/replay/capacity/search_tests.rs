//! The whole chain of decisions on a simulated server whose capacity is known.

use std::collections::BinaryHeap;
use std::time::Duration;

use super::*;
use crate::load::events::Event;
use crate::load::{Schedule, Spacing};
use crate::replay::capacity::outcome::{Limit, Searched};
use crate::replay::capacity::{Collector, Slo, judge};
use crate::stats::random;

/// A server with so many places, each of which takes `service_s` for a call, fixed or exponential around it.
#[derive(Clone, Copy)]
struct Server {
    places: usize,
    service_s: f64,
    random: bool,
    spacing: Spacing,
    /// Above this rate every tenth call fails.
    fails_above: f64,
    seed: u64,
}

const HARD: Server = Server { places: 4, service_s: 0.0105, random: false, spacing: Spacing::Uniform, fails_above: f64::MAX, seed: 1 };

/// The settling time of a step.
fn settle(dwell: Duration) -> Duration {
    dwell / 5
}

impl Server {
    fn step(&self, ask: &Ask, slo: &Slo, number: u64) -> Step {
        let settle = settle(ask.dwell);
        let mut collector = Collector::new(slo, settle, ask.dwell);
        let times = Schedule::even(ask.rate).times(self.spacing, self.seed * 1000 + number);
        let nanos = |time: f64| (time * 1e9) as i64;
        let mut free: BinaryHeap<std::cmp::Reverse<i64>> = (0..self.places).map(|_| std::cmp::Reverse(0)).collect();
        let end = settle + ask.dwell;
        for (index, intended) in times.take_while(|(_, due)| *due < end) {
            let due = nanos(intended.as_secs_f64());
            let start = due.max(free.pop().unwrap().0);
            let u = random::unit(random::bits(self.seed, number, index, 7));
            let service = if self.random { -(1.0 - u).ln() * self.service_s } else { self.service_s };
            let ended = start + nanos(service);
            free.push(std::cmp::Reverse(ended));
            // The engine starts nothing later than a second after the end.
            let started = start < nanos(end.as_secs_f64() + 1.0);
            let since = |from: i64, to: i64| Duration::from_nanos((to - from).max(0).cast_unsigned());
            let failed = ask.rate > self.fails_above && index % 10 == 0;
            let service = started.then(|| since(start, ended));
            collector.take(&Event {
                label: 0,
                intended,
                lag: if started { since(due, start) } else { Duration::ZERO },
                service,
                failed,
                part: false,
            });
        }
        let seen = collector.finish();
        let violations = judge(&seen, ask.rate, slo, 0.01);
        Step { phase: ask.phase, rate: ask.rate, dwell_ms: ask.dwell.as_secs_f64() * 1000.0, seen, violations, waits: Vec::new() }
    }

    fn searched(&self, search: &Search, slo: &str) -> Searched {
        let slo = Slo::parse(slo).unwrap();
        let mut steps = Vec::new();
        while let Next::Try(ask) = search.next(&steps) {
            assert!(steps.len() < 60, "{steps:#?}");
            let step = self.step(&ask, &slo, steps.len() as u64);
            steps.push(step);
        }
        Searched::of(steps)
    }
}

fn search(dwell_s: u64) -> Search {
    Search { min_rate: 10.0, max_rate: 100_000.0, dwell: Duration::from_secs(dwell_s) }
}

#[test]
fn a_hard_limit_is_found_within_six_percent_and_never_above_it() {
    for (places, service_s) in [(4, 0.0105), (1, 0.05), (16, 0.0031), (2, 0.1)] {
        let server = Server { places, service_s, ..HARD };
        let truth = places as f64 / service_s;
        let found = server.searched(&search(5), "p(99)<500");
        let capacity = found.capacity.unwrap();
        assert!((0.94..1.006).contains(&(capacity / truth)), "{capacity} of {truth}: {found:#?}");
        assert_eq!(found.good, Some(capacity));
        let bad = found.bad.unwrap();
        assert!(bad > capacity && bad <= capacity * 1.051, "{bad} after {capacity}");
    }
}

#[test]
fn the_objective_bounds_a_queue_where_arithmetic_says() {
    // M/M/1: response times are exponential with rate μ − λ, so p99 < T where λ < μ − ln(100)/T.
    let truth = 200.0 - 100f64.ln() / 0.1;
    let mut ratios: Vec<f64> = (1..=11)
        .map(|seed| {
            let server = Server { places: 1, service_s: 1.0 / 200.0, random: true, spacing: Spacing::Poisson, fails_above: f64::MAX, seed };
            server.searched(&search(60), "p(99)<100").capacity.unwrap() / truth
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    assert!((ratios[5] - 1.0).abs() < 0.05, "median {}: {ratios:?}", ratios[5]);
    assert!(ratios.iter().all(|ratio| (0.88..1.1).contains(ratio)), "{ratios:?}");
}

#[test]
fn what_limits_is_named() {
    let Limit { violations, .. } = HARD.searched(&search(5), "p(99)<1000").limit.unwrap();
    let saturated = |violation: &Violation| matches!(violation, Violation::Throughput { .. } | Violation::Growing { .. });
    assert!(saturated(&violations[0]), "{violations:?}");

    let failing = Server { fails_above: 100.0, ..HARD }.searched(&search(5), "p(99)<1000");
    assert!(matches!(failing.limit.unwrap().violations[0], Violation::Errors { .. }));
    assert!((0.94..=1.0).contains(&(failing.capacity.unwrap() / 100.0)));

    let slow = Server { random: true, spacing: Spacing::Poisson, ..HARD }.searched(&search(20), "p(99)<55");
    assert!(matches!(slow.limit.unwrap().violations.last(), Some(Violation::Objective { .. })));
}

#[test]
fn the_borders_end_the_search() {
    let below = Server { places: 1, service_s: 1.0, ..HARD }.searched(&search(5), "p(99)<5000");
    assert_eq!((below.capacity, below.good, below.bad), (None, None, Some(10.0)));
    assert_eq!(below.steps.len(), 1);

    let above = HARD.searched(&Search { max_rate: 150.0, ..search(5) }, "p(99)<1000");
    assert_eq!((above.capacity, above.bad, above.limit), (Some(150.0), None, None));
    assert_eq!(above.steps.iter().map(|step| step.rate).collect::<Vec<_>>(), [10.0, 20.0, 40.0, 80.0, 150.0, 150.0]);
}

fn tried(phase: Phase, rate: f64, good: bool) -> Step {
    let violations = if good { Vec::new() } else { vec![Violation::Stuck] };
    Step { phase, rate, violations, ..Step::default() }
}

fn asked(next: Next) -> (Phase, f64, u128) {
    let Next::Try(ask) = next else { panic!("{next:?}") };
    (ask.phase, (ask.rate * 100.0).round() / 100.0, ask.dwell.as_millis())
}

#[test]
fn steps_follow_from_those_before() {
    use Phase::{Bisection, Confirmation, Doubling};
    let search = search(5);
    assert_eq!(asked(search.next(&[])), (Doubling, 10.0, 5000));
    let mut steps = vec![tried(Doubling, 10.0, true)];
    assert_eq!(asked(search.next(&steps)), (Doubling, 20.0, 5000));
    steps.push(tried(Doubling, 20.0, false));
    assert_eq!(asked(search.next(&steps)), (Bisection, 14.14, 6650));
    steps.push(tried(Bisection, 14.14, true));
    assert_eq!(asked(search.next(&steps)), (Bisection, 16.82, 8844));
    steps.push(tried(Bisection, 14.8, false));
    assert_eq!(asked(search.next(&steps)), (Confirmation, 14.14, 30_000));
    steps.push(tried(Confirmation, 14.14, false));
    assert_eq!(asked(search.next(&steps)), (Confirmation, 13.43, 30_000));
    steps.push(tried(Confirmation, 13.43, true));
    assert_eq!(search.next(&steps), Next::Done(Found { capacity: Some(13.43), good: Some(13.43), bad: Some(14.14) }));
}

#[test]
fn a_moments_disturbance_is_no_limit() {
    use Phase::{Bisection, Doubling};
    let missed = |phase, rate| {
        let violation = Violation::Objective { expression: "p(99)<20".into(), value_ms: None, slow: 3 };
        Step { phase, rate, dwell_ms: 5000.0, violations: vec![violation], ..Step::default() }
    };
    let search = search(5);
    let mut steps = vec![tried(Doubling, 10.0, true), missed(Doubling, 20.0)];
    assert_eq!(asked(search.next(&steps)), (Doubling, 20.0, 5000));
    assert_eq!((known(&steps).bad, disturbed(&steps)), (None, 1));
    // Good when repeated: it goes on.
    steps.push(tried(Doubling, 20.0, true));
    assert_eq!(asked(search.next(&steps)), (Doubling, 40.0, 5000));
    assert_eq!((known(&steps).good, disturbed(&steps)), (Some(20.0), 1));
    // Bad twice: it is a limit.
    steps.extend([missed(Doubling, 40.0), missed(Doubling, 40.0)]);
    assert_eq!(asked(search.next(&steps)), (Bisection, 28.28, 6650));
    steps.extend([missed(Bisection, 28.28), missed(Bisection, 28.28)]);
    assert_eq!(asked(search.next(&steps)), (Bisection, 23.78, 8844), "a repeated step is no further one");
    assert_eq!((known(&steps).bad, disturbed(&steps)), (Some(28.28), 1));
    // Beyond chance: once is enough.
    steps.push(Step { violations: vec![Violation::Throughput { achieved: 0.8 }], ..missed(Bisection, 23.78) });
    assert_eq!(asked(search.next(&steps)).1, 21.81);
}

#[test]
fn a_rate_that_is_never_confirmed_is_given_up_with_its_bracket() {
    let mut steps = vec![tried(Phase::Doubling, 20.0, true), tried(Phase::Doubling, 21.0, false)];
    while let Next::Try(ask) = search(5).next(&steps) {
        assert_eq!(ask.phase, Phase::Confirmation);
        steps.push(tried(ask.phase, ask.rate, false));
    }
    assert_eq!(steps.len(), 7);
    let found = Searched::of(steps);
    assert_eq!((found.capacity, found.good), (None, None));
    assert!(found.bad.unwrap() < 20.0 * 0.82);
}
