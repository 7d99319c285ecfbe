//! The time between packets of one direction.

use super::table::STATUS_INTERVAL_NS;

/// Sums over the gaps of one kind, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    count: u32,
    sum: f64,
    squares: f64,
}

/// The gaps of one direction. Argus keeps those within a protocol exchange ("active") apart from those in
/// which nothing was outstanding ("idle"), and the dataset shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Gaps {
    last_ns: Option<i64>,
    active: Sums,
    idle: Sums,
}

impl Gaps {
    /// Notes a packet. A gap of 0, a step back and a gap of two status intervals or more do not count.
    pub(crate) fn packet(&mut self, time_ns: i64, active: bool) {
        let Some(last_ns) = self.last_ns.filter(|&last_ns| last_ns < time_ns) else {
            self.last_ns.get_or_insert(time_ns);
            return;
        };
        self.last_ns = Some(time_ns);
        let gap_ns = time_ns.saturating_sub(last_ns);
        if gap_ns >= 2 * STATUS_INTERVAL_NS {
            return;
        }
        let sums = if active { &mut self.active } else { &mut self.idle };
        let gap = gap_ns as f64 / 1e6;
        sums.count += 1;
        sums.sum += gap;
        sums.squares += gap * gap;
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
        match self.active.count + self.idle.count {
            0 => 0.0,
            count => (self.active.sum + self.idle.sum) / f64::from(count),
        }
    }

    /// Standard deviation in milliseconds, 0 without a gap. Where both kinds exist the mean of the squares
    /// carries a factor of 1,000: the unit error of `ra`, which the dataset carries too.
    pub(crate) fn jitter(&self) -> f64 {
        let count = match self.active.count + self.idle.count {
            0 => return 0.0,
            count => f64::from(count),
        };
        let factor = if self.active.count > 0 && self.idle.count > 0 {
            1000.0
        } else {
            1.0
        };
        let mean_square = (self.active.squares + self.idle.squares) / count;
        let mean = self.mean();
        // Rounding may leave a difference just below 0.
        (factor * mean_square - mean * mean).max(0.0).sqrt()
    }
}
