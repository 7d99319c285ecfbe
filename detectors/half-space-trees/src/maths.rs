//! Arithmetic that gives the same bits on every machine.

/// The binary logarithm of a positive, normal number, straight between powers of two: never wrong by more than 0.09,
/// rising wherever the logarithm rises, and made of exact steps only.
pub(crate) fn log2(value: f32) -> f32 {
    const ONE: u32 = 1.0f32.to_bits();
    const BINADE: f32 = (1u32 << 23) as f32;
    // The bits of a positive float, read as a number, count binades and the way through the last one.
    (i64::from(value.to_bits()) - i64::from(ONE)) as f32 / BINADE
}

/// A well-mixed number for each input (SplitMix64, Steele, Lea and Flood 2014).
pub(crate) fn mix(input: u64) -> u64 {
    let mut mixed = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number from 0 to below 1, in steps that `f32` holds exactly.
pub(crate) fn unit(input: u64) -> f32 {
    (mix(input) >> 40) as f32 / (1u32 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::{log2, unit};

    #[test]
    fn the_logarithm_is_exact_at_powers_and_close_between() {
        for power in -100i16..100 {
            let value = f32::from(power).exp2();
            assert_eq!(log2(value), f32::from(power));
        }
        let mut last = f32::MIN;
        for step in 1..100_000u32 {
            let value = step as f32 / 1_000.0;
            let found = log2(value);
            assert!((found - value.log2()).abs() < 0.09, "{value}");
            assert!(found > last);
            last = found;
        }
    }

    #[test]
    fn units_spread() {
        let mean: f32 = (0..10_000u64).map(unit).sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((0..10_000u64).all(|input| (0.0..1.0).contains(&unit(input))));
    }
}
