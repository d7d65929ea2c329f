//! How throughput grows with clients: the Universal Scalability Law, X(N) = λN / (1 + σ(N−1) + κN(N−1)).
//!
//! N. J. Gunther, "Guerrilla Capacity Planning", Springer 2007. λ is what one client gets, σ the share that must wait its
//! turn (contention), κ the price of agreeing with each other (coherence). A description of what was measured, not a law
//! of nature: it is never asked about more than twice the clients that were measured.

/// 2: a fit says nothing about more than twice the largest load it has seen. A rule of thumb.
const REACH: f64 = 2.0;

/// What was measured at one number of clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Clients at once; above 0.
    pub clients: f64,
    /// Calls a second.
    pub throughput: f64,
}

/// A fitted law.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scalability {
    /// Calls a second of one client.
    pub lambda: f64,
    /// Contention, 0 or more.
    pub sigma: f64,
    /// Coherence, 0 or more.
    pub kappa: f64,
    /// The share of the variation of throughput the law explains, at most 1; below 0 a flat line explains more.
    pub r_squared: f64,
    /// The largest number of clients measured.
    pub clients_max: f64,
}

impl Scalability {
    /// Fits the law by least squares of throughput with σ, κ >= 0.
    ///
    /// `None` with fewer than three different numbers of clients, as three numbers are fitted, or where nothing was done.
    /// The linear form N/X = (1 + σ(N−1) + κN(N−1))/λ, weighted so that errors count as those of throughput, gives the
    /// start; Gauss–Newton steps on throughput itself the rest. A parameter that would be negative is held at 0.
    pub fn fit(points: &[Point]) -> Option<Self> {
        let usable =
            |point: &&Point| point.clients >= 1.0 && point.throughput > 0.0 && point.clients.is_finite() && point.throughput.is_finite();
        let points: Vec<Point> = points.iter().filter(usable).copied().collect();
        let mut clients: Vec<f64> = points.iter().map(|point| point.clients).collect();
        clients.sort_by(f64::total_cmp);
        clients.dedup();
        if clients.len() < 3 {
            return None;
        }
        // Every choice of parameters held at 0; the best of those that are allowed wins.
        let choices: [&[usize]; 4] = [&[0, 1, 2], &[0, 1], &[0, 2], &[0]];
        let fits = choices.into_iter().filter_map(|free| fitted(&points, free));
        let best = fits.min_by(|a, b| misfit(&points, a).total_cmp(&misfit(&points, b)))?;
        let mean = points.iter().map(|point| point.throughput).sum::<f64>() / points.len() as f64;
        let total: f64 = points.iter().map(|point| (point.throughput - mean).powi(2)).sum();
        let left = misfit(&points, &best);
        let r_squared = if total > 0.0 {
            1.0 - left / total
        } else if left <= 1e-12 {
            1.0
        } else {
            0.0
        };
        let [lambda, sigma, kappa] = natural(&best);
        Some(Self { lambda, sigma, kappa, r_squared, clients_max: clients[clients.len() - 1] })
    }

    /// Returns the throughput at a number of clients; `None` beyond twice what was measured.
    pub fn throughput(&self, clients: f64) -> Option<f64> {
        let within = (1.0..=REACH * self.clients_max).contains(&clients);
        within.then(|| self.lambda * clients / (1.0 + self.sigma * (clients - 1.0) + self.kappa * clients * (clients - 1.0)))
    }

    /// Returns the number of clients beyond which more of them get less done, N* = √((1−σ)/κ).
    ///
    /// `None` where the law has no such point, or it lies beyond twice what was measured.
    pub fn peak(&self) -> Option<f64> {
        let peak = ((1.0 - self.sigma) / self.kappa).sqrt();
        (self.kappa > 0.0 && self.sigma < 1.0 && peak <= REACH * self.clients_max).then(|| peak.max(1.0))
    }
}

/// The law as N/X = a + b(N−1) + cN(N−1): a = 1/λ, b = σ/λ, c = κ/λ, all of them linear.
type Linear = [f64; 3];

fn natural(linear: &Linear) -> [f64; 3] {
    [1.0 / linear[0], linear[1] / linear[0], linear[2] / linear[0]]
}

fn terms(clients: f64) -> [f64; 3] {
    [1.0, clients - 1.0, clients * (clients - 1.0)]
}

fn predicted(linear: &Linear, clients: f64) -> f64 {
    clients / terms(clients).iter().zip(linear).map(|(term, factor)| term * factor).sum::<f64>()
}

fn misfit(points: &[Point], linear: &Linear) -> f64 {
    points.iter().map(|point| (point.throughput - predicted(linear, point.clients)).powi(2)).sum()
}

/// Fits the `free` parameters, the others 0; `None` where the solution is not allowed.
fn fitted(points: &[Point], free: &[usize]) -> Option<Linear> {
    let allowed = |linear: &Linear| linear[0] > 0.0 && linear.iter().all(|factor| *factor >= 0.0 && factor.is_finite());
    // An error e of N/X is about e·X²/N of X.
    let start = points.iter().map(|point| {
        let weight = (point.throughput.powi(2) / point.clients).powi(2);
        (terms(point.clients), point.clients / point.throughput, weight)
    });
    let mut linear = solve(start, free).filter(allowed)?;
    let mut best = misfit(points, &linear);
    for _ in 0..100 {
        // X = N/D, so dX = −X²/N · dD: linear in the factors once more.
        let rows = points.iter().map(|point| {
            let now = predicted(&linear, point.clients);
            let slope = -now * now / point.clients;
            (terms(point.clients).map(|term| term * slope), point.throughput - now, 1.0)
        });
        let Some(step) = solve(rows, free) else { break };
        let moved = [1.0, 0.5, 0.25, 0.1, 0.01].into_iter().find_map(|length| {
            let next: Linear = std::array::from_fn(|at| linear[at] + length * step[at]);
            let worth = misfit(points, &next);
            (allowed(&next) && worth < best).then_some((next, worth))
        });
        let Some((next, worth)) = moved else { break };
        let settled = best - worth <= 1e-12 * best;
        (linear, best) = (next, worth);
        if settled {
            break;
        }
    }
    Some(linear)
}

/// Solves weighted least squares for the `free` columns by the normal equations; the others come out 0.
fn solve(rows: impl Iterator<Item = ([f64; 3], f64, f64)>, free: &[usize]) -> Option<Linear> {
    let size = free.len();
    let mut matrix = [[0.0; 4]; 3];
    for (terms, value, weight) in rows {
        for (i, a) in free.iter().enumerate() {
            for (j, b) in free.iter().enumerate() {
                matrix[i][j] += weight * terms[*a] * terms[*b];
            }
            matrix[i][3] += weight * terms[*a] * value;
        }
    }
    for column in 0..size {
        let pivot = (column..size).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        matrix.swap(column, pivot);
        let head = matrix[column];
        if head[column].abs() < 1e-300 {
            return None;
        }
        for (row, cells) in matrix.iter_mut().enumerate().take(size) {
            if row != column {
                let factor = cells[column] / head[column];
                cells.iter_mut().zip(head).for_each(|(cell, above)| *cell -= factor * above);
            }
        }
    }
    let mut linear = [0.0; 3];
    free.iter().enumerate().for_each(|(row, at)| linear[*at] = matrix[row][3] / matrix[row][row]);
    linear.iter().all(|factor: &f64| factor.is_finite()).then_some(linear)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{random, student};

    fn measured(lambda: f64, sigma: f64, kappa: f64, noise: f64, seed: u64) -> Vec<Point> {
        [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
            .into_iter()
            .enumerate()
            .map(|(at, clients)| {
                let exact = lambda * clients / (1.0 + sigma * (clients - 1.0) + kappa * clients * (clients - 1.0));
                let u = random::unit(random::bits(seed, 0, at as u64, 0)).clamp(1e-9, 1.0 - 1e-9);
                Point { clients, throughput: exact * (1.0 + noise * student::normal_quantile(u)) }
            })
            .collect()
    }

    #[test]
    fn a_law_without_noise_is_found_exactly() {
        let fit = Scalability::fit(&measured(1000.0, 0.05, 0.001, 0.0, 1)).unwrap();
        assert!((fit.lambda - 1000.0).abs() < 0.01 && (fit.sigma - 0.05).abs() < 1e-6 && (fit.kappa - 0.001).abs() < 1e-8, "{fit:?}");
        assert!(fit.r_squared > 0.999_999);
        assert!((fit.peak().unwrap() - (0.95f64 / 0.001).sqrt()).abs() < 0.01);
    }

    #[test]
    fn noise_moves_the_peak_little_and_never_below_zero() {
        let (mut peaks, truth) = (Vec::new(), (0.95f64 / 0.001).sqrt());
        for seed in 0..200 {
            let fit = Scalability::fit(&measured(1000.0, 0.05, 0.001, 0.05, seed)).unwrap();
            assert!(fit.sigma >= 0.0 && fit.kappa >= 0.0 && fit.r_squared > 0.8, "{fit:?}");
            peaks.push(fit.peak().unwrap());
        }
        peaks.sort_by(f64::total_cmp);
        assert!((peaks[100] / truth).ln().abs() < 0.05, "median {} truth {truth}", peaks[100]);
        assert!(peaks[10] > truth * 0.8 && peaks[190] < truth * 1.25, "{} to {}", peaks[10], peaks[190]);
    }

    #[test]
    fn linear_growth_has_no_peak() {
        let fit = Scalability::fit(&measured(500.0, 0.0, 0.0, 0.0, 1)).unwrap();
        assert!((fit.lambda - 500.0).abs() < 1e-6 && fit.sigma < 1e-9 && fit.kappa < 1e-9, "{fit:?}");
        assert_eq!(fit.peak(), None);
        for seed in 0..50 {
            let fit = Scalability::fit(&measured(500.0, 0.0, 0.0, 0.03, seed)).unwrap();
            assert!(fit.sigma >= 0.0 && fit.kappa >= 0.0 && (fit.lambda / 500.0 - 1.0).abs() < 0.2, "{fit:?}");
        }
    }

    #[test]
    fn growth_beyond_linear_is_held_at_linear() {
        let points: Vec<Point> = (1..=6).map(|n| Point { clients: f64::from(n), throughput: 100.0 * f64::from(n).powf(1.2) }).collect();
        let fit = Scalability::fit(&points).unwrap();
        assert_eq!((fit.sigma, fit.kappa, fit.peak()), (0.0, 0.0, None));
    }

    #[test]
    fn nothing_is_said_beyond_twice_what_was_measured() {
        let fit = Scalability::fit(&measured(1000.0, 0.05, 0.000_001, 0.0, 1)).unwrap();
        assert_eq!(fit.peak(), None, "975 clients, 64 measured");
        assert!(fit.throughput(128.0).is_some() && fit.throughput(129.0).is_none() && fit.throughput(0.0).is_none());
    }

    #[test]
    fn too_little_to_fit_is_no_fit() {
        let point = |clients, throughput| Point { clients, throughput };
        assert_eq!(Scalability::fit(&[]), None);
        assert_eq!(Scalability::fit(&[point(1.0, 10.0)]), None);
        assert_eq!(Scalability::fit(&[point(1.0, 10.0), point(1.0, 11.0), point(2.0, 15.0)]), None);
        assert_eq!(Scalability::fit(&[point(1.0, 0.0), point(2.0, 0.0), point(4.0, f64::NAN)]), None);
        let flat = Scalability::fit(&[point(1.0, 10.0), point(2.0, 10.0), point(4.0, 10.0)]).unwrap();
        assert!((flat.sigma - 1.0).abs() < 1e-6 && flat.kappa < 1e-9 && flat.peak().is_none(), "{flat:?}");
    }
}
