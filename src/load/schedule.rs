//! When the events of an open loop are due: a pure function of (rates over time, spacing, seed, number).
//!
//! The rates are pieces in which the rate is even or changes linearly. The *area* under them up to a time is how many
//! events are due by then, with its fraction; event i is due where the area reaches i (uniform) or the i-th sum of
//! exponential gaps of mean 1 (Poisson). So the fraction at the end of a piece is carried into the next one, and no event
//! is lost or doubled between them. k6 computes its ramping arrival rate with the same area.

use std::time::Duration;

use crate::load::arrival::{Arrival, Spacing, Stage};
use crate::stats::random;

/// The stream of random numbers that spaces Poisson arrivals.
const ARRIVALS: u64 = 0x6172_7269_7661_6c73;

/// The rates of an open loop over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pieces: Vec<Piece>,
}

/// A stretch in which the rate goes from `rate` to `rate_end` linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    /// Seconds since the start.
    from_s: f64,
    /// Events due before it.
    from_area: f64,
    length_s: f64,
    rate: f64,
    rate_end: f64,
}

impl Piece {
    fn slope(&self) -> f64 {
        if self.length_s.is_infinite() { 0.0 } else { (self.rate_end - self.rate) / self.length_s }
    }

    /// Events due within `t` seconds of its beginning.
    fn area(&self, t: f64) -> f64 {
        self.rate * t + 0.5 * self.slope() * t * t
    }

    fn area_whole(&self) -> f64 {
        if self.length_s.is_infinite() {
            return if self.rate > 0.0 { f64::INFINITY } else { 0.0 };
        }
        0.5 * (self.rate + self.rate_end) * self.length_s
    }

    /// Seconds from its beginning until `area` events are due.
    fn time(&self, area: f64) -> f64 {
        let slope = self.slope();
        if slope == 0.0 {
            return area / self.rate;
        }
        // The textbook (−a + √(a² + 2·s·x)) / s loses its digits where s is small; this is the same number.
        let root = (self.rate * self.rate + 2.0 * slope * area).max(0.0).sqrt();
        if area == 0.0 { 0.0 } else { (2.0 * area / (self.rate + root)).min(self.length_s) }
    }
}

impl Schedule {
    /// The same rate for ever; no events at all when it is not above 0.
    pub fn even(rate: f64) -> Self {
        let rate = if rate.is_finite() { rate.max(0.0) } else { 0.0 };
        Self { pieces: vec![Piece { from_s: 0.0, from_area: 0.0, length_s: f64::INFINITY, rate, rate_end: rate }] }
    }

    /// Stages one after the other: each goes from where the one before ended (the first from 0) to its target linearly;
    /// one of no length jumps there.
    pub fn staged(stages: &[Stage]) -> Self {
        let (mut pieces, mut from_s, mut from_area, mut rate) = (Vec::with_capacity(stages.len()), 0.0, 0.0, 0.0);
        for stage in stages {
            let target = if stage.target.is_finite() { stage.target.max(0.0) } else { 0.0 };
            let length_s = stage.duration.as_secs_f64();
            if length_s > 0.0 {
                let piece = Piece { from_s, from_area, length_s, rate, rate_end: target };
                from_s += length_s;
                from_area += piece.area_whole();
                pieces.push(piece);
            }
            rate = target;
        }
        Self { pieces }
    }

    /// Returns the schedule of an open loop; `None` for a closed one.
    pub fn of(arrival: &Arrival) -> Option<(Self, Spacing)> {
        match arrival {
            Arrival::Closed { .. } => None,
            Arrival::Open { rate, spacing, .. } => Some((Self::even(*rate), *spacing)),
            Arrival::Stages { stages, spacing, .. } => Some((Self::staged(stages), *spacing)),
        }
    }

    /// Returns how many events are due in the first `t`, with their fraction.
    pub fn area(&self, t: Duration) -> f64 {
        let t = t.as_secs_f64();
        let within = |piece: &&Piece| piece.from_s <= t;
        self.pieces
            .iter()
            .take_while(within)
            .last()
            .map_or(0.0, |piece| piece.from_area + piece.area((t - piece.from_s).min(piece.length_s)))
    }

    /// Returns the times of its events in order.
    pub fn times(self, spacing: Spacing, seed: u64) -> Times {
        Times { schedule: self, spacing, seed, index: 0, area: 0.0, piece: 0 }
    }
}

/// The intended times of an open loop's events, counted from its start; a few numbers, however many the events are.
///
/// Poisson times are sums, so they are walked in order, at some 20 ns an event.
#[derive(Debug, Clone)]
pub struct Times {
    schedule: Schedule,
    spacing: Spacing,
    seed: u64,
    index: u64,
    area: f64,
    piece: usize,
}

impl Iterator for Times {
    type Item = (u64, Duration);

    /// Returns the next event's number and time.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let area = match self.spacing {
            Spacing::Uniform => self.index as f64,
            Spacing::Poisson => {
                let u = random::unit(random::bits(self.seed, ARRIVALS, self.index, 0));
                self.area - (1.0 - u).ln()
            }
        };
        self.area = area;
        loop {
            let piece = self.schedule.pieces.get(self.piece)?;
            let within = area - piece.from_area;
            // An event on the border belongs to the piece that begins there: time windows are closed at their start.
            if within < piece.area_whole() {
                self.index += 1;
                return Some((self.index - 1, Duration::try_from_secs_f64(piece.from_s + piece.time(within)).ok()?));
            }
            self.piece += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(list: &[(u64, f64)]) -> Vec<Stage> {
        list.iter().map(|(ms, target)| Stage { duration: Duration::from_millis(*ms), target: *target }).collect()
    }

    fn times(schedule: Schedule, spacing: Spacing, seed: u64) -> Vec<Duration> {
        schedule.times(spacing, seed).map(|(_, due)| due).collect()
    }

    #[test]
    fn uniform_events_do_not_drift() {
        let times: Vec<Duration> = Schedule::even(3.0).times(Spacing::Uniform, 1).take(3001).map(|(_, due)| due).collect();
        assert_eq!(times[0], Duration::ZERO);
        assert_eq!(times[3000], Duration::from_secs(1000));
    }

    #[test]
    fn poisson_events_depend_on_the_seed_alone_and_keep_the_rate() {
        let times = |seed| Schedule::even(200.0).times(Spacing::Poisson, seed).take(100_000).map(|(_, due)| due).collect::<Vec<_>>();
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
        assert_eq!(Schedule::even(0.0).times(Spacing::Uniform, 1).next(), None);
        assert_eq!(Schedule::even(f64::NAN).times(Spacing::Poisson, 1).next(), None);
        assert_eq!(times(Schedule::staged(&stages(&[(1000, 0.0), (0, 5.0)])), Spacing::Uniform, 1).len(), 0);
    }

    #[test]
    fn a_ramp_follows_the_area_formula() {
        // From 100 to 500 a second in 60 s: 18 000 events; event i is at D·(−a + √(a² + 2·i·(b−a)/D))/(b−a).
        let (a, b, d) = (100.0f64, 500.0f64, 60.0f64);
        let ramp = Schedule::staged(&stages(&[(0, a), (60_000, b)]));
        let times = times(ramp, Spacing::Uniform, 1);
        assert_eq!(times.len(), 18_000);
        for i in [0usize, 1, 17, 999, 9_000, 17_999] {
            let wanted = d * (-a + (a * a + 2.0 * i as f64 * (b - a) / d).sqrt()) / (b - a);
            assert!((times[i].as_secs_f64() - wanted).abs() < 1e-6, "event {i}: {:?}, not {wanted}", times[i]);
        }
    }

    #[test]
    fn the_events_before_any_time_are_the_area_to_within_one() {
        for list in [
            &[(30_000, 100.0), (60_000, 500.0)][..],
            &[(0, 7.3), (10_100, 7.3), (3_333, 0.0), (5_000, 0.0), (1_250, 41.7)],
            &[(500, 1.1), (500, 0.3), (700, 900.0), (0, 10.0), (20_000, 10.0)],
        ] {
            let schedule = Schedule::staged(&stages(list));
            let times = times(schedule.clone(), Spacing::Uniform, 1);
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{list:?}");
            let length: u64 = list.iter().map(|(ms, _)| ms).sum();
            for ms in (0..=length).step_by(37).chain([length]) {
                let t = Duration::from_millis(ms);
                let before = times.partition_point(|due| *due < t) as f64;
                let area = schedule.area(t);
                assert!((before - area).abs() <= 1.0, "{list:?}: {before} events before {t:?}, area {area}");
            }
        }
    }

    #[test]
    fn cutting_a_stage_in_two_changes_nothing() {
        let whole = Schedule::staged(&stages(&[(0, 10.0), (90_000, 100.0)]));
        // The rate passes 40 after 30 s: the same line, cut where the area has a fraction.
        let cut = Schedule::staged(&stages(&[(0, 10.0), (30_000, 40.0), (60_000, 100.0)]));
        for spacing in [Spacing::Uniform, Spacing::Poisson] {
            let (whole, cut) = (times(whole.clone(), spacing, 3), times(cut.clone(), spacing, 3));
            assert_eq!(whole.len(), cut.len());
            let apart = whole.iter().zip(&cut).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(apart < Duration::from_nanos(100), "{spacing:?}: {apart:?}");
        }
    }

    #[test]
    fn poisson_stages_keep_their_rates() {
        let schedule = Schedule::staged(&stages(&[(0, 1000.0), (20_000, 1000.0), (0, 100.0), (20_000, 100.0)]));
        let times = times(schedule, Spacing::Poisson, 9);
        let first = times.partition_point(|due| *due < Duration::from_secs(20));
        // Five standard deviations of a Poisson count are 5·√n.
        assert!((19_300..20_700).contains(&first), "{first}");
        assert!((1_780..2_220).contains(&(times.len() - first)), "{}", times.len() - first);
    }
}
