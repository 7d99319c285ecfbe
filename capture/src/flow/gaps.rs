//! The time between packets of one direction.

use super::timeout::STATUS_INTERVAL_NS;

/// The gaps of one direction, in milliseconds. Argus keeps those within a protocol exchange ("active") apart from
/// those in which nothing was outstanding ("idle"), and the dataset shows it. Index 0 of the pairs is active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gaps {
    /// `NEVER` before the first packet: an `Option` would take twice the room.
    last_ns: i64,
    counts: [u32; 2],
    sums: [f64; 2],
    squares: [f64; 2],
}

/// No packet has this time; one that claims it is the earliest there can be, and would have no gap before it.
const NEVER: i64 = i64::MIN;

impl Default for Gaps {
    fn default() -> Self {
        Self {
            last_ns: NEVER,
            counts: [0; 2],
            sums: [0.0; 2],
            squares: [0.0; 2],
        }
    }
}

impl Gaps {
    /// Notes a packet. A gap of 0, a step back and a gap of two status intervals or more do not count.
    pub(crate) fn packet(&mut self, time_ns: i64, active: bool) {
        if self.last_ns == NEVER || time_ns <= self.last_ns {
            if self.last_ns == NEVER {
                self.last_ns = time_ns;
            }
            return;
        }
        let gap_ns = time_ns.saturating_sub(self.last_ns);
        self.last_ns = time_ns;
        if gap_ns >= 2 * STATUS_INTERVAL_NS {
            return;
        }
        let kind = usize::from(!active);
        let gap = gap_ns as f64 / 1e6;
        self.counts[kind] += 1;
        self.sums[kind] += gap;
        self.squares[kind] += gap * gap;
    }

    /// Forgets the gaps and keeps the time of the last packet, as a new record of the same flow does.
    pub(crate) fn restart(&mut self) {
        *self = Self {
            last_ns: self.last_ns,
            ..Self::default()
        };
    }

    /// Mean gap in milliseconds, 0 without a gap.
    pub(crate) fn mean(&self) -> f64 {
        match self.counts[0] + self.counts[1] {
            0 => 0.0,
            count => (self.sums[0] + self.sums[1]) / f64::from(count),
        }
    }

    /// Standard deviation in milliseconds, 0 without a gap. Where both kinds exist the mean of the squares
    /// carries a factor of 1,000: the unit error of `ra`, which the dataset carries too.
    pub(crate) fn jitter(&self) -> f64 {
        let count = match self.counts[0] + self.counts[1] {
            0 => return 0.0,
            count => f64::from(count),
        };
        let factor = if self.counts[0] > 0 && self.counts[1] > 0 {
            1000.0
        } else {
            1.0
        };
        let mean_square = (self.squares[0] + self.squares[1]) / count;
        let mean = self.mean();
        // Rounding may leave a difference just below 0.
        (factor * mean_square - mean * mean).max(0.0).sqrt()
    }
}
