//! Random numbers that a seed gives again.

use std::time::{SystemTime, UNIX_EPOCH};

/// Steele, Lea, Flood: SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From the variable `NETSAGE_TEST_SEED`, or the time; says which seed it is.
    #[allow(clippy::print_stderr, reason = "a test that fails by its seed has said it")]
    pub fn of_test() -> Self {
        let seed = std::env::var("NETSAGE_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            since.as_secs()
        });
        eprintln!("NETSAGE_TEST_SEED={seed}");
        Self(seed)
    }

    /// The next number, from 0 and below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
