//! Exponential functions and logarithms that give the same bits on every machine.
//!
//! They are made of additions, products, quotients and whole-number arithmetic on the bits, each of which IEEE 754
//! defines exactly, and have no branches, so that loops over them become vector code. The polynomials are those of
//! Cephes (Moshier, <https://www.netlib.org/cephes/>), `expf` and `logf`.

/// The body of [`exp`] and [`exp_within`], for numbers from -87 to 87. A macro, because the LSTM autoencoder takes more
/// instructions when one function calls the other, even inlined.
macro_rules! exponential {
    ($x:ident) => {{
        /// Added and taken away again it leaves the nearest whole number, for numbers below 2^22.
        const ROUND: f32 = 12_582_912.0;
        let moved = $x * std::f32::consts::LOG2_E + ROUND;
        let power = moved - ROUND;
        // ln 2 in two parts: the product with the first is exact.
        let rest = $x - power * 0.693_359_4 + power * 2.121_944_4e-4;
        let mut sum = 1.987_569_1e-4;
        sum = sum * rest + 1.398_199_9e-3;
        sum = sum * rest + 8.333_452e-3;
        sum = sum * rest + 4.166_579_6e-2;
        sum = sum * rest + 1.666_666_5e-1;
        sum = sum * rest + 0.5;
        let fraction = sum * (rest * rest) + rest + 1.0;
        // The lowest bits of `moved` are `power`, a whole number from -126 to 126; 127 is the bias of exponents.
        fraction * f32::from_bits(moved.to_bits().wrapping_add(127) << 23)
    }};
}

/// `e^x` with a relative error below 2e-7; `x` beyond 87 on either side counts as 87.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Not `clamp`, which also keeps NaN: these two are one instruction each.
    let x = if x < 87.0 { x } else { 87.0 };
    let x = if x > -87.0 { x } else { -87.0 };
    exponential!(x)
}

/// [`exp`] of a number from -87 to 87; NaN stays NaN.
#[inline(always)]
pub fn exp_within(x: f32) -> f32 {
    exponential!(x)
}

/// The binary logarithm of a positive, normal number, straight between powers of two: never wrong by more than 0.09,
/// rising wherever the logarithm rises, and made of exact steps only.
#[inline(always)]
pub fn straight_log2(x: f32) -> f32 {
    const ONE: i32 = 1.0f32.to_bits().cast_signed();
    const BINADE: f32 = (1u32 << 23) as f32;
    // The bits of a positive float, read as a number, count binades and the way through the last one.
    (x.to_bits().cast_signed() - ONE) as f32 / BINADE
}

/// `1 / (1 + e^-x)`, wrong by less than 2e-7.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent, wrong by less than 3e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// The natural logarithm of a positive, normal number, with an error below 2e-7 of it or of 1.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    let half_to_one = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let below = half_to_one < std::f32::consts::FRAC_1_SQRT_2;
    let exponent = ((bits >> 23).cast_signed() - 126 - i32::from(below)) as f32;
    let m = if below {
        half_to_one + half_to_one
    } else {
        half_to_one
    } - 1.0;
    let mut sum = 7.037_683_6e-2;
    sum = sum * m - 1.151_461e-1;
    sum = sum * m + 1.167_699_9e-1;
    sum = sum * m - 1.242_014_1e-1;
    sum = sum * m + 1.424_932_3e-1;
    sum = sum * m - 1.666_805_8e-1;
    sum = sum * m + 2.000_071_5e-1;
    sum = sum * m - 2.499_999_4e-1;
    sum = sum * m + 3.333_333e-1;
    let square = m * m;
    let tail = sum * m * square - exponent * 2.121_944_4e-4 - 0.5 * square;
    m + tail + exponent * 0.693_359_4
}

#[cfg(test)]
mod tests {
    use super::{exp, ln, sigmoid, straight_log2, tanh};

    #[track_caller]
    fn check(found: f32, expected: f64, tolerance: f64, x: f32) {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= tolerance,
            "{found} instead of {expected} at {x}: {error:e}"
        );
    }

    #[test]
    fn errors_stay_below_what_is_stated() {
        for step in -200_000..=200_000_i32 {
            let x = step as f32 / 2_000.0;
            let exact = f64::from(x.clamp(-87.0, 87.0)).exp();
            check(exp(x), exact, 2e-7 * exact, x);
            check(sigmoid(x), 1.0 / (1.0 + (-f64::from(x)).exp()), 2e-7, x);
            check(tanh(x), f64::from(x).tanh(), 3e-7, x);
        }
        for step in 1..400_000_u32 {
            for x in [
                1.0 + step as f32 / 1_000.0,
                1e-6 * step as f32,
                1e12 * step as f32,
            ] {
                let exact = f64::from(x).ln();
                check(ln(x), exact, 2e-7 * exact.abs().max(1.0), x);
            }
        }
    }

    #[test]
    fn ends_are_finite() {
        for x in [f32::MAX, -f32::MAX, 1e30, -1e30, 0.0, -0.0] {
            assert!(exp(x).is_finite() && (0.0..=1.0).contains(&sigmoid(x)), "{x}");
            assert!((-1.0..=1.0).contains(&tanh(x)), "{x}");
        }
        assert_eq!((exp(0.0), sigmoid(0.0), tanh(0.0), ln(1.0)), (1.0, 0.5, 0.0, 0.0));
    }

    #[test]
    fn the_logarithm_is_exact_at_powers_and_close_between() {
        for power in -100i16..100 {
            let value = f32::from(power).exp2();
            assert_eq!(straight_log2(value), f32::from(power));
        }
        let mut last = f32::MIN;
        for step in 1..100_000u32 {
            let value = step as f32 / 1_000.0;
            let found = straight_log2(value);
            assert!((found - value.log2()).abs() < 0.09, "{value}");
            assert!(found > last);
            last = found;
        }
    }
}
