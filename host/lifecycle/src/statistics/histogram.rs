//! Histograms that any thread may add to, of scores and of times.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bins of a histogram of scores.
pub const SCORE_BINS: usize = 256;
/// Bins of a histogram of times for each doubling: a bin is 19 % wide.
const TIME_BINS_PER_OCTAVE: u32 = 4;
/// Bins of a histogram of times: 1 ns to 2^40 ns, 18 minutes.
pub const TIME_BINS: usize = 40 * TIME_BINS_PER_OCTAVE as usize;

/// Maps a raw score to a number between 0 and 1, for detectors without a calibration: `(1 + x / (1 + |x|)) / 2`. The map
/// keeps the order of scores, is the same for all detectors, and resolves scores between -10 and 10 best.
pub fn squashed(score: f32) -> f32 {
    (1.0 + score / (1.0 + score.abs())) / 2.0
}

/// The bin of a score between 0 and 1, of `bins` bins of equal width; what lies outside goes to the first or last.
pub fn bin(score: f32, bins: usize) -> usize {
    // The conversion saturates: negative scores and NaN become 0.
    ((score * bins as f32) as usize).min(bins - 1)
}

/// Counts by bin, which any thread may raise.
#[derive(Debug)]
pub struct Histogram<const BINS: usize> {
    counts: [AtomicU64; BINS],
}

impl<const BINS: usize> Default for Histogram<BINS> {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl<const BINS: usize> Histogram<BINS> {
    /// Counts one in this bin; bins that do not exist count in the last.
    pub fn count(&self, bin: usize) {
        self.counts[bin.min(BINS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts these scores, each between 0 and 1. `scratch` holds zeros before and after: a block is summed there
    /// first, so that many atomic additions become one.
    pub fn count_scores(&self, scores: impl Iterator<Item = f32>, scratch: &mut [u32; BINS]) {
        for score in scores {
            scratch[bin(score, BINS)] += 1;
        }
        for (count, added) in self.counts.iter().zip(scratch) {
            if *added > 0 {
                count.fetch_add(u64::from(std::mem::take(added)), Ordering::Relaxed);
            }
        }
    }

    /// The counts now.
    pub fn read(&self, into: &mut [u64; BINS]) {
        for (to, count) in into.iter_mut().zip(&self.counts) {
            *to = count.load(Ordering::Relaxed);
        }
    }
}

/// The bin of a time, nanoseconds: quarters of octaves, so that a quantile is off by at most 19 %.
pub fn time_bin(nanoseconds: u64) -> usize {
    let value = nanoseconds.max(1);
    let octave = value.ilog2();
    // The two bits after the leading one.
    let quarter = if octave >= 2 {
        (value >> (octave - 2)) & 3
    } else {
        (value << (2 - octave)) & 3
    };
    ((octave * TIME_BINS_PER_OCTAVE) as usize + quarter as usize).min(TIME_BINS - 1)
}

/// The upper end of a bin of times, nanoseconds.
fn time_of(bin: usize) -> f64 {
    let (octave, quarter) = (
        bin / TIME_BINS_PER_OCTAVE as usize,
        bin % TIME_BINS_PER_OCTAVE as usize,
    );
    (octave as f64).exp2() * (1.0 + (quarter as f64 + 1.0) / f64::from(TIME_BINS_PER_OCTAVE))
}

/// The quantile of the counted times, nanoseconds, as the upper end of its bin: too large by at most 25 %, never too
/// small. `None` when nothing was counted.
pub fn time_quantile(counts: &[u64; TIME_BINS], quantile: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let wanted = ((total as f64 * quantile).ceil() as u64).max(1);
    let mut below = 0;
    let bin = counts.iter().position(|count| {
        below += count;
        below >= wanted
    })?;
    Some(time_of(bin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scores_fall_into_bins_of_equal_width() {
        for (score, expected) in [
            (0.0, 0),
            (0.249, 0),
            (0.25, 1),
            (0.99, 3),
            (1.0, 3),
            (7.0, 3),
            (-1.0, 0),
            (f32::NAN, 0),
            (f32::INFINITY, 3),
        ] {
            assert_eq!(bin(score, 4), expected, "{score}");
        }
    }

    #[test]
    fn a_quantile_is_the_end_of_its_bin() {
        let mut counts = [0; TIME_BINS];
        assert_eq!(time_quantile(&counts, 0.5), None);
        // 90 calls of 1.0 us (the bin from 896 to 1,024 ns) and 10 of 100 us (from 98,304 to 114,688 ns).
        counts[time_bin(1000)] = 90;
        counts[time_bin(100_000)] = 10;
        assert_eq!(time_quantile(&counts, 0.5), Some(1024.0));
        assert_eq!(time_quantile(&counts, 0.9), Some(1024.0));
        assert_eq!(time_quantile(&counts, 0.99), Some(114_688.0));
    }

    #[test]
    fn threads_lose_no_count() {
        let histogram = Histogram::<SCORE_BINS>::default();
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let histogram = &histogram;
                scope.spawn(move || {
                    let mut scratch = [0; SCORE_BINS];
                    for _ in 0..100 {
                        let scores = (0..50_u8).map(|row| f32::from(row + thread) / 100.0);
                        histogram.count_scores(scores, &mut scratch);
                    }
                });
            }
        });
        let mut counts = [0; SCORE_BINS];
        histogram.read(&mut counts);
        assert_eq!(counts.iter().sum::<u64>(), 4 * 100 * 50);
    }

    proptest! {
        #[test]
        fn a_time_lies_in_its_bin(nanoseconds in 1_u64..1 << 40) {
            let end = time_of(time_bin(nanoseconds));
            prop_assert!(nanoseconds as f64 <= end, "{nanoseconds} above {end}");
            prop_assert!(end <= nanoseconds as f64 * 1.25 + 1.0, "{nanoseconds} far below {end}");
        }

        #[test]
        fn squashing_keeps_the_order(one in any::<f32>(), other in any::<f32>()) {
            let (left, right) = (one.min(other), one.max(other));
            prop_assert!(squashed(left) <= squashed(right));
            prop_assert!((0.0..=1.0).contains(&squashed(left)));
        }
    }
}
