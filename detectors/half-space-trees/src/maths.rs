//! Numbers that look random and are the same on every machine.

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
    use super::unit;

    #[test]
    fn units_spread() {
        let mean: f32 = (0..10_000u64).map(unit).sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((0..10_000u64).all(|input| (0.0..1.0).contains(&unit(input))));
    }
}
