//! Drawing from the distributions that traffic has.

use rand::{RngExt, SeedableRng};
pub(crate) use rand_chacha::ChaCha8Rng as Random;
use rand_distr::{Exp1, StandardNormal};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MILLISECOND: i64 = 1_000_000;
pub(crate) const MICROSECOND: i64 = 1_000;

/// A generator of its own for each conversation, so that one conversation cannot disturb another.
pub(crate) fn fork(random: &mut Random) -> Random {
    Random::seed_from_u64(random.random())
}

/// A size with a log-normal distribution, cut off at both ends.
pub(crate) fn size(random: &mut Random, median: f64, sigma: f64, least: u32, most: u32) -> u32 {
    (log_normal(random, median, sigma) as u32).clamp(least, most)
}

/// A time with a log-normal distribution, from its median in nanoseconds; at most a hundred medians.
pub(crate) fn delay(random: &mut Random, median_ns: i64, sigma: f64) -> i64 {
    log_normal(random, median_ns as f64, sigma).min(median_ns as f64 * 100.0) as i64
}

/// A time with an exponential distribution, from its mean in nanoseconds.
pub(crate) fn waiting(random: &mut Random, mean_ns: i64) -> i64 {
    let unit: f64 = random.sample(Exp1);
    (unit * mean_ns as f64).min(mean_ns as f64 * 20.0) as i64
}

pub(crate) fn log_normal(random: &mut Random, median: f64, sigma: f64) -> f64 {
    let normal: f64 = random.sample(StandardNormal);
    median * (sigma * normal).exp()
}

/// One of a list that is never empty.
pub(crate) fn pick<'a, T>(random: &mut Random, list: &'a [T]) -> &'a T {
    &list[random.random_range(0..list.len())]
}

/// A position in a list of that length, early ones more often (about as 1 / position).
pub(crate) fn popular(random: &mut Random, length: usize) -> usize {
    let unit: f64 = random.random();
    let position = ((length as f64 + 1.0).powf(unit) - 1.0) as usize;
    position.min(length.saturating_sub(1))
}

/// Lower-case letters and digits.
pub(crate) fn word(random: &mut Random, length: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length)
        .map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]))
        .collect()
}

/// Time that so many bytes take on a line of one gigabit a second, nanoseconds.
pub(crate) fn line_time(bytes: usize) -> i64 {
    i64::try_from(bytes).map_or(i64::MAX, |bytes| bytes.saturating_mul(8))
}
