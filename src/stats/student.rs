//! Student's t distribution: how wide an interval from few slices must be.

/// Returns the quantile of Student's t at `p` (0.5 < p < 1) with `df` degrees of freedom.
///
/// G. W. Hill, "Algorithm 396: Student's t-quantiles", CACM 13 (1970); exact for 1 and 2 degrees, within 0.1 % above.
/// Degrees between whole numbers are rounded down, which widens the interval; below 1 there is none and the answer is
/// infinite.
pub fn quantile(p: f64, df: f64) -> f64 {
    let n = df.floor();
    if n.is_nan() || n < 1.0 {
        return f64::INFINITY;
    }
    let two_tails = 2.0 * (1.0 - p);
    let half_pi = std::f64::consts::FRAC_PI_2;
    if n < 2.0 {
        let angle = two_tails * half_pi;
        return angle.cos() / angle.sin();
    }
    if n < 3.0 {
        return (2.0 / (two_tails * (2.0 - two_tails)) - 2.0).sqrt();
    }
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * half_pi).sqrt() * n;
    let mut y = (d * two_tails).powf(2.0 / n);
    if y > 0.05 + a {
        let x = normal_quantile(two_tails * 0.5);
        y = x * x;
        if n < 5.0 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = a * y * y;
        y = if y > 0.002 { y.exp_m1() } else { 0.5 * y * y + y };
    } else {
        y = ((1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0) + 0.5 / (n + 4.0)) * y - 1.0) * (n + 1.0) / (n + 2.0)
            + 1.0 / y;
    }
    (n * y).sqrt()
}

/// Returns the standard normal quantile at `p` (0 < p < 1).
///
/// P. J. Acklam's rational approximation, relative error below 1.2e-9.
pub fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] =
        [-5.447_609_879_822_406e1, 1.615_858_368_580_409e2, -1.556_989_798_598_866e2, 6.680_131_188_771_972e1, -1.328_068_155_288_572e1];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if p < 0.024_25 {
        tail(p)
    } else if p > 1.0 - 0.024_25 {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
    }
}

/// Returns the chance that a standard normal value exceeds `z` (z >= 0).
///
/// Abramowitz and Stegun 26.2.17, absolute error below 7.5e-8.
pub fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    density * t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_the_printed_table() {
        for (z, expected) in [(0.0, 0.5), (1.0, 0.158_655), (1.959_964, 0.025), (3.0, 0.001_350)] {
            assert!((normal_tail(z) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn quantiles_agree_with_the_printed_tables() {
        let table = [
            (0.975, 1.0, 12.706),
            (0.975, 2.0, 4.303),
            (0.975, 3.0, 3.182),
            (0.975, 5.0, 2.571),
            (0.975, 10.0, 2.228),
            (0.975, 30.0, 2.042),
            (0.975, 1000.0, 1.962),
            (0.8, 3.0, 0.978),
            (0.8, 10.0, 0.879),
            (0.995, 7.0, 3.499),
        ];
        for (p, df, expected) in table {
            let actual = quantile(p, df);
            assert!((actual - expected).abs() < 0.002 * expected, "t({p}, {df}) = {actual}, table says {expected}");
        }
    }

    #[test]
    fn less_than_one_degree_of_freedom_gives_no_bound() {
        assert_eq!(quantile(0.975, 0.4), f64::INFINITY);
        assert_eq!(quantile(0.975, f64::NAN), f64::INFINITY);
    }

    #[test]
    fn normal_quantiles_agree_with_the_printed_table() {
        for (p, expected) in [(0.975, 1.959_964), (0.5, 0.0), (0.01, -2.326_348), (0.999, 3.090_232)] {
            assert!((normal_quantile(p) - expected).abs() < 1e-5);
        }
    }
}
