//! The time between packets of one direction.

use super::timeout::STATUS_INTERVAL_NS;

const STATUS_INTERVAL_US: i64 = STATUS_INTERVAL_NS / 1_000;
/// Stands for the time of the last packet before the first: an `Option` would take twice the room.
const NEVER: i64 = i64::MIN;

/// The gaps of one direction, in microseconds. Argus keeps those within a protocol exchange ("active") apart from
/// those in which nothing was outstanding ("idle"), and the dataset shows it. Index 0 of the pairs is active. The
/// types are those of Argus: a sum in single precision, and squares in whole numbers, show in its digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gaps {
    last_us: i64,
    counts: [u32; 2],
    sums: [f32; 2],
    squares: [i64; 2],
}

impl Default for Gaps {
    fn default() -> Self {
        Self {
            last_us: NEVER,
            counts: [0; 2],
            sums: [0.0; 2],
            squares: [0; 2],
        }
    }
}

impl Gaps {
    /// Notes a packet. A gap of 0, a step back and a gap of two status intervals or more do not count.
    pub(crate) fn packet(&mut self, time_us: i64, active: bool) {
        if time_us <= self.last_us {
            return;
        }
        let last_us = std::mem::replace(&mut self.last_us, time_us);
        let gap_us = time_us.saturating_sub(last_us);
        if last_us == NEVER || gap_us >= 2 * STATUS_INTERVAL_US {
            return;
        }
        let kind = usize::from(!active);
        self.counts[kind] = self.counts[kind].saturating_add(1);
        self.sums[kind] += gap_us as f32;
        // Two intervals squared fit 10,000 times; a cast saturates.
        self.squares[kind] = (self.squares[kind] as f64 + (gap_us as f64) * (gap_us as f64)) as i64;
    }

    /// Forgets the gaps and keeps the time of the last packet, as a new record of the same flow does.
    pub(crate) fn restart(&mut self) {
        *self = Self {
            last_us: self.last_us,
            ..Self::default()
        };
    }

    fn count(&self) -> f64 {
        f64::from(self.counts[0]) + f64::from(self.counts[1])
    }

    /// Mean of a kind that has a gap, in microseconds.
    fn mean_of(&self, kind: usize) -> f64 {
        f64::from(self.sums[kind] / self.counts[kind] as f32)
    }

    /// Standard deviation of a kind that has a gap, in microseconds; 0 where rounding leaves a negative square, for
    /// which Argus says nan.
    fn deviation_of(&self, kind: usize) -> f64 {
        let mean_square = self.squares[kind] / i64::from(self.counts[kind]);
        let mean = self.mean_of(kind);
        let deviation = (mean_square as f64 - mean * mean).max(0.0).sqrt();
        f64::from(deviation as f32)
    }

    /// The sum of something over the kinds that have a gap, weighted by how many they have.
    fn weighted(&self, of_kind: impl Fn(usize) -> f64) -> f64 {
        let weigh = |kind: usize| match self.counts[kind] {
            0 => 0.0,
            count => f64::from(count) * of_kind(kind),
        };
        weigh(0) + weigh(1)
    }

    /// Mean gap in milliseconds, 0 without a gap.
    pub(crate) fn mean(&self) -> f64 {
        if self.count() == 0.0 {
            return 0.0;
        }
        self.weighted(|kind| self.mean_of(kind)) / self.count() / 1e3
    }

    /// Standard deviation in milliseconds, 0 without a gap. Where both kinds exist `ra` divides the mean of the
    /// squares by a thousand once instead of twice, a unit error that the dataset carries too.
    pub(crate) fn jitter(&self) -> f64 {
        match self.counts {
            [0, 0] => 0.0,
            [_, 0] => self.deviation_of(0) / 1e3,
            [0, _] => self.deviation_of(1) / 1e3,
            _ => {
                let squares = self.weighted(|kind| {
                    let (mean, deviation) = (self.mean_of(kind), self.deviation_of(kind));
                    deviation * deviation + mean * mean
                });
                let mean = self.mean();
                (squares / self.count() / 1e3 - mean * mean).max(0.0).sqrt()
            }
        }
    }
}
