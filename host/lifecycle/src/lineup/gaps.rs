//! How long a scoring thread with a block at hand was in no detector.

use std::time::{Duration, Instant};

/// The longest time between two calls of detectors, or between a call and the beginning or end of its block.
#[derive(Debug)]
pub(super) struct Gaps {
    outside_since: Instant,
    longest: Duration,
}

impl Gaps {
    pub(super) fn new() -> Self {
        Self {
            outside_since: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    /// A block is at hand.
    pub(super) fn begin(&mut self) {
        self.outside_since = Instant::now();
    }

    /// A detector is called, or the block is done. Says when.
    pub(super) fn end(&mut self) -> Instant {
        let now = Instant::now();
        self.longest = self
            .longest
            .max(now.saturating_duration_since(self.outside_since));
        now
    }

    /// The longest one since this was last asked.
    pub(super) fn take_longest(&mut self) -> Duration {
        std::mem::take(&mut self.longest)
    }
}
