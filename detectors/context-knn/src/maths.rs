//! Arithmetic that gives the same bits on every machine: additions, multiplications and divisions in a fixed order,
//! and no function of a platform's maths library.

/// The binary logarithm of a positive, normal number, wrong by less than 2e-6 (absolute, next to 1) and never falling
/// where the logarithm rises by more than that.
#[inline(always)]
pub fn log2(value: f32) -> f32 {
    const MANTISSA: u32 = (1 << 23) - 1;
    // Split so that the mantissa lies around 1 (from sqrt(1/2) to sqrt(2)), where the series below converges fast.
    const HALF_ROOT: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    let shifted = value.to_bits().wrapping_sub(HALF_ROOT);
    let exponent = (shifted.cast_signed() >> 23) as f32;
    let mantissa = f32::from_bits((shifted & MANTISSA).wrapping_add(HALF_ROOT));
    // ln(m) = 2 artanh(s) with s = (m - 1) / (m + 1), |s| < 0.172: four terms suffice for f32.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0)));
    exponent + 2.0 * std::f32::consts::LOG2_E * s * series
}

/// 2 to the power of a number, relative error below 1e-6. Below -126 the result is 0, above 127 it is 2^127.
#[inline(always)]
pub fn exp2(value: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let bounded = if value > 127.0 { 127.0 } else { value };
    let bounded = if bounded < -127.0 { -127.0 } else { bounded };
    let whole = (bounded + ROUND) - ROUND;
    let x = (bounded - whole) * std::f32::consts::LN_2;
    let series = 1.0
        + x * (1.0
            + x * (1.0 / 2.0 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0))))));
    // -127 gives the exponent bits 0, which is the number 0.
    let power = f32::from_bits(((whole as i32 + 127) as u32) << 23);
    series * power
}

/// Rounds to the nearest whole number, halves to the even one, after limiting to the range of `i16`.
#[inline(always)]
pub fn to_grid(value: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let bounded = if value > 32_767.0 { 32_767.0 } else { value };
    let bounded = if bounded < -32_767.0 { -32_767.0 } else { bounded };
    (bounded + ROUND) - ROUND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_powers_are_close() {
        for step in 1..200_000u32 {
            let value = step as f32 * 0.37;
            let found = f64::from(log2(value));
            let exact = f64::from(value).log2();
            assert!(
                (found - exact).abs() < 2e-6 * exact.abs().max(1.0),
                "{value}: {found}"
            );
            let power = (step as f32 - 100_000.0) / 800.0;
            let exact = f64::from(power).exp2();
            let found = f64::from(exp2(power));
            assert!((found / exact - 1.0).abs() < 1e-6, "{power}: {found}");
        }
        assert_eq!((log2(1.0), log2(8.0), log2(0.25)), (0.0, 3.0, -2.0));
        assert_eq!(
            (exp2(-500.0), exp2(0.0), exp2(500.0)),
            (0.0, 1.0, 127.0f32.exp2())
        );
        assert_eq!(log2(f32::MAX), 128.0);
    }

    #[test]
    fn the_grid_is_bounded_and_even() {
        for (value, expected) in [
            (0.5, 0.0),
            (1.5, 2.0),
            (-2.6, -3.0),
            (9e30, 32_767.0),
            (-9e30, -32_767.0),
        ] {
            assert_eq!(to_grid(value), expected);
        }
    }
}
