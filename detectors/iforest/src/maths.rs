//! Arithmetic that gives the same bits on every machine.
//!
//! Maths libraries differ in the last bit from platform to platform; additions, multiplications and
//! divisions of IEEE 754 do not, and Rust never fuses them.

use netsage_detector_sdk::maths::straight_log2;

/// Depth at which an unsuccessful search in a random binary tree over `rows` rows ends: `2 H(n-1) - 2 (n-1)/n`,
/// with the exact harmonic number `H`; 0 for one row or none.
pub fn expected_path_length(rows: u32) -> f64 {
    path_length_from_harmonic(rows, harmonic(rows.saturating_sub(1)))
}

/// [`expected_path_length`] of 0 to `largest` rows, in one pass.
pub(crate) fn expected_path_lengths(largest: u32) -> Vec<f64> {
    let mut harmonic = 0.0;
    (0..=largest)
        .map(|rows| {
            if rows >= 2 {
                harmonic += 1.0 / f64::from(rows - 1);
            }
            path_length_from_harmonic(rows, harmonic)
        })
        .collect()
}

fn harmonic(terms: u32) -> f64 {
    (1..=terms).fold(0.0, |sum, term| sum + 1.0 / f64::from(term))
}

fn path_length_from_harmonic(rows: u32, harmonic: f64) -> f64 {
    if rows < 2 {
        return 0.0;
    }
    let rows = f64::from(rows);
    2.0 * harmonic - 2.0 * (rows - 1.0) / rows
}

/// 2 to the power of `exponent`, for exponents from -1000 to 0; others are taken for the nearer end.
pub(crate) fn exp2(exponent: f64) -> f64 {
    // Terms of the exponential series; at |x| <= ln(2) / 2 the first one left out is below 2^-60.
    const TERMS: u32 = 14;
    let exponent = exponent.clamp(-1_000.0, 0.0);
    let whole = (exponent - 0.5).ceil();
    let x = (exponent - whole) * std::f64::consts::LN_2;
    let mut series = 1.0;
    let mut term = TERMS;
    while term > 0 {
        series = 1.0 + series * x / f64::from(term);
        term -= 1;
    }
    // 1023 is the bias of the exponent field; -1000 keeps the sum positive.
    let power = f64::from_bits(((1_023.0 + whole) as u64) << 52);
    series * power
}

/// The binary logarithm of a positive, normal number.
pub(crate) fn log2(value: f64) -> f64 {
    // ln(m) = 2 artanh((m - 1) / (m + 1)); at |s| <= 0.1716 the first power left out is below 2^-60.
    const TERMS: u32 = 12;
    let bits = value.to_bits();
    let mut exponent = f64::from((bits >> 52) as u16 & 0x7ff) - 1_023.0;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1.0f64.to_bits());
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let mut series = 0.0;
    let mut term = TERMS;
    while term > 0 {
        term -= 1;
        series = series * s * s + 1.0 / f64::from(2 * term + 1);
    }
    exponent + 2.0 * s * series / std::f64::consts::LN_2
}

/// Steps until a row is isolated, when that happens by chance with probability `hazard` at every step and at the
/// latest after `steps`: `(1 - (1 - hazard)^steps) / hazard`.
pub(crate) fn shortened(steps: f64, hazard: f64) -> f64 {
    if hazard <= 0.0 {
        return steps;
    }
    // At a hazard of 1 the logarithm would be infinite; what is left out here is below a thousandth of a step.
    let hazard = hazard.min(0.999);
    (1.0 - exp2(steps * log2(1.0 - hazard))) / hazard
}

/// The scale on which training draws thresholds and extended splits add up columns: `log2(1 + 1000 |v|)`, straight
/// between powers of two, with the sign of `v`. Sizes, rates and times span many orders of magnitude.
pub fn scaled(value: f32) -> f32 {
    let magnitude = 1.0 + (value.abs() * 1_000.0).min(f32::MAX);
    straight_log2(magnitude).copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_lengths_follow_their_definition() {
        let cases = [
            (0, 0.0),
            (1, 0.0),
            (2, 1.0),
            (3, 5.0 / 3.0),
            (256, 10.248_689_925_634_562),
        ];
        let table = expected_path_lengths(256);
        for (rows, expected) in cases {
            assert!(
                (expected_path_length(rows) - expected).abs() < 1e-12,
                "{rows} rows"
            );
            assert_eq!(
                expected_path_length(rows).to_bits(),
                table[rows as usize].to_bits()
            );
        }
    }

    #[test]
    fn logarithms_are_right_to_the_last_digits() {
        for step in 1..40_000u32 {
            let value = f64::from(step) / 997.0;
            let (found, expected) = (log2(value), value.log2());
            assert!(
                (found - expected).abs() < 4.0 * f64::EPSILON * expected.abs().max(1.0),
                "log2 {value}"
            );
        }
    }

    #[test]
    fn a_hazard_shortens_paths() {
        assert_eq!(shortened(12.5, 0.0), 12.5);
        // 1 + 1/2 + 1/4
        assert!((shortened(3.0, 0.5) - 1.75).abs() < 1e-12);
        assert!((shortened(14.0, 1.0) - 1.0).abs() < 0.01);
        assert_eq!(shortened(0.0, 0.3), 0.0);
    }

    #[test]
    fn the_scale_rises_and_is_close_to_the_logarithm() {
        let mut last = f32::NEG_INFINITY;
        for step in -50_000i32..50_000 {
            let value = step as f32 / 700.0;
            let exact = (1.0 + value.abs() * 1_000.0).log2().copysign(value);
            let found = scaled(value);
            assert!(
                (found - exact).abs() < 0.09 && found >= last,
                "{value}: {found} instead of {exact}"
            );
            last = found;
        }
        assert!(scaled(f32::MAX).is_finite() && scaled(f32::MIN).is_finite());
    }

    #[test]
    fn powers_of_two_are_right_to_the_last_digits() {
        for step in 0..=40_000 {
            let exponent = -f64::from(step) / 1_000.0;
            let error = (exp2(exponent) / exponent.exp2() - 1.0).abs();
            assert!(error < 4.0 * f64::EPSILON, "2^{exponent}: relative error {error}");
        }
        assert_eq!(exp2(0.0), 1.0);
        assert_eq!(exp2(-3.0), 0.125);
        assert!(exp2(-1e9) > 0.0 && exp2(1.0) == 1.0);
    }
}
