//! Functions that give the same bits on every machine: made of additions, multiplications, divisions and bit
//! operations only, each of which IEEE 754 defines to the bit, and laid out so that compilers can take four values at
//! a time. No function of a platform's maths library is called.

use netsage_detector_sdk::maths::exp_within;

/// `ln(1 + value)` of a value that is not negative, to within 2 units in the last place.
///
/// After the `logf` of Cephes (Moshier 1992), with the part of `value` that the addition of 1 rounds away put back.
#[inline(always)]
pub(crate) fn ln_1p(value: f32) -> f32 {
    /// The bits of the square root of one half: mantissas lie from it to its double.
    const SPLIT: u32 = 0x3f35_04f3;
    let sum = 1.0 + value;
    let lost = (value - (sum - 1.0)) / sum;
    let shifted = sum.to_bits().wrapping_sub(SPLIT);
    let exponent = (shifted.cast_signed() >> 23) as f32;
    let x = f32::from_bits((shifted & 0x007f_ffff) + SPLIT) - 1.0;
    let square = x * x;
    let mut p = 7.037_683_6e-2 * x - 1.151_461e-1;
    p = p * x + 1.167_699_9e-1;
    p = p * x - 1.242_014_1e-1;
    p = p * x + 1.424_932_3e-1;
    p = p * x - 1.666_805_7e-1;
    p = p * x + 2.000_071_5e-1;
    p = p * x - 2.499_999_4e-1;
    p = p * x + 3.333_333e-1;
    // ln 2 in two parts, of which the first times an exponent is exact.
    let low = x * square * p - 2.121_944_4e-4 * exponent - 0.5 * square;
    let whole = x + low + 0.693_359_4 * exponent;
    // Where nothing was left of the value after the addition, the value is its own logarithm.
    whole + lost
}

/// `ln(1 + steps * value)`, of a negative value the negative of that of its opposite.
#[inline(always)]
pub(crate) fn scaled_logarithm(value: f32, steps: f32) -> f32 {
    let size = value.abs() * steps;
    // A product beyond the largest number would have no logarithm.
    let size = if size > f32::MAX { f32::MAX } else { size };
    ln_1p(size).copysign(value)
}

/// `exp(value) - 1` of a value that is not negative; at most the largest number. For showing values, not for scores:
/// to within 1e-5 relative.
pub(crate) fn exp_m1(value: f32) -> f32 {
    // In double precision by halving: exp(x) = exp(x / 2^10)^(2^10), of which a series of four terms is enough.
    let small = f64::from(value.clamp(0.0, 100.0)) / 1_024.0;
    let mut grown = small * (1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0)));
    for _ in 0..10 {
        grown = grown * (grown + 2.0);
    }
    grown.min(f64::from(f32::MAX)) as f32
}

/// The hyperbolic tangent, to within 3e-7: the rational function of Eigen's `ptanh`, which others use as well.
#[inline(always)]
pub(crate) fn tanh(value: f32) -> f32 {
    let x = value.clamp(-9.0, 9.0);
    let square = x * x;
    let mut p = -2.760_768_5e-16 * square + 2.000_187_8e-13;
    p = p * square - 8.604_672e-11;
    p = p * square + 5.122_297e-8;
    p = p * square + 1.485_722_4e-5;
    p = p * square + 6.372_619_3e-4;
    p = p * square + 4.893_524_6e-3;
    let mut q = 1.198_258_4e-6 * square + 1.185_347_1e-4;
    q = q * square + 2.268_434_6e-3;
    q = q * square + 4.893_525e-3;
    x * p / q
}

/// `1 / (1 + exp(-value))` with a relative error below 3e-7, also where it is small: a score may be a probability.
#[inline(always)]
pub(crate) fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + exp_within((-value).clamp(-87.0, 87.0)))
}

#[cfg(test)]
mod tests {
    use super::{exp_m1, ln_1p, sigmoid, tanh};

    #[test]
    fn the_functions_are_close_to_those_of_the_platform() {
        for step in -400i16..=380 {
            let value = f32::from(step).exp2().max(1e-38) * 0.1 + f32::from(step.unsigned_abs()) * 1e-3;
            for value in [value, f32::from(step) / 10.0, f32::from(step + 400) / 777.0] {
                if value >= 0.0 && value.is_finite() {
                    let exact = f64::from(value).ln_1p();
                    let found = f64::from(ln_1p(value));
                    assert!(
                        (found - exact).abs() <= exact * 4e-7,
                        "ln_1p({value}) = {found}, not {exact}"
                    );
                    if value < 80.0 {
                        let exact = f64::from(value).exp_m1();
                        let found = f64::from(exp_m1(value));
                        assert!(
                            (found - exact).abs() <= exact * 1e-5,
                            "exp_m1({value}) = {found}, not {exact}"
                        );
                    }
                }
                let value = value.min(1e30);
                let (exact, found) = (f64::from(value).tanh(), f64::from(tanh(value)));
                assert!(
                    (found - exact).abs() < 4e-7,
                    "tanh({value}) = {found}, not {exact}"
                );
                let exact = 1.0 / (1.0 + f64::from(-value).exp());
                let value = f64::from(value);
                if value.abs() < 87.0 {
                    let found = f64::from(sigmoid(value as f32));
                    assert!((found - exact).abs() < 4e-7 * exact, "sigmoid({value})");
                }
            }
        }
        assert_eq!(
            (ln_1p(0.0), exp_m1(0.0), tanh(0.0), sigmoid(0.0)),
            (0.0, 0.0, 0.0, 0.5)
        );
    }

    #[test]
    fn no_value_leaves_the_numbers() {
        for value in [f32::MAX, -f32::MAX, 1e-45, f32::MIN_POSITIVE] {
            assert!((tanh(value).abs() - 0.5).abs() <= 0.500_001, "{}", tanh(value));
            assert!((sigmoid(value) - 0.5).abs() <= 0.500_001, "{}", sigmoid(value));
        }
        assert!(ln_1p(f32::MAX) < 89.0);
        assert!(exp_m1(f32::MAX).is_finite());
    }
}
