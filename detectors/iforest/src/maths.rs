//! Arithmetic that gives the same bits on every machine.
//!
//! Maths libraries differ in the last bit from platform to platform; additions, multiplications and
//! divisions of IEEE 754 do not, and Rust never fuses them.

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
