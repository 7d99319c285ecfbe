//! What an output counts. The names are those of `docs/contracts.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one output, shared by its deliveries where it has several receivers.
#[derive(Debug, Default)]
pub struct OutputCounters {
    delivered: AtomicU64,
    refused: AtomicU64,
    filtered: AtomicU64,
    failures: AtomicU64,
    store_failures: AtomicU64,
    receivers: AtomicU64,
    lag: AtomicU64,
}

/// The counters of an output at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputCounts {
    /// Messages that receivers have taken, repeats included.
    pub delivered: u64,
    /// Messages that a receiver will never take and that were set aside.
    pub refused: u64,
    /// Changes of alerts that the filter left out.
    pub filtered: u64,
    /// Attempts after which the receiver had not taken everything.
    pub failures: u64,
    /// Times that the store could not be read, or did not save the cursor.
    pub store_failures: u64,
    /// Receivers that are fed now.
    pub receivers: u64,
    /// Revisions between the newest in the store and the last one acknowledged, added up over the receivers.
    pub lag: u64,
}

impl OutputCounters {
    /// Reads all of them.
    pub fn snapshot(&self) -> OutputCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        OutputCounts {
            delivered: read(&self.delivered),
            refused: read(&self.refused),
            filtered: read(&self.filtered),
            failures: read(&self.failures),
            store_failures: read(&self.store_failures),
            receivers: read(&self.receivers),
            lag: read(&self.lag),
        }
    }
}

/// The counters as one delivery sees them. A delivery that ends, for whatever reason, takes its part of the gauges
/// away.
#[derive(Debug)]
pub(crate) struct Share {
    counters: Arc<OutputCounters>,
    lag: u64,
}

impl Share {
    pub(crate) fn of(counters: Arc<OutputCounters>) -> Self {
        counters.receivers.fetch_add(1, Ordering::Relaxed);
        Self { counters, lag: 0 }
    }

    pub(crate) fn delivered(&self, messages: usize) {
        self.counters
            .delivered
            .fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn filtered(&self) {
        self.counters.filtered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn store_failed(&self) {
        self.counters.store_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lags(&mut self, revisions: u64) {
        // Wraps when the lag falls, which adds up to the right sum all the same.
        self.counters
            .lag
            .fetch_add(revisions.wrapping_sub(self.lag), Ordering::Relaxed);
        self.lag = revisions;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.lags(0);
        self.counters.receivers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_sums_over_those_that_are_there() {
        let counters = Arc::new(OutputCounters::default());
        let mut one = Share::of(Arc::clone(&counters));
        let mut two = Share::of(Arc::clone(&counters));
        let gauges = || {
            let counts = counters.snapshot();
            (counts.receivers, counts.lag)
        };
        one.lags(5);
        two.lags(7);
        one.lags(2);
        assert_eq!(gauges(), (2, 9));
        drop(two);
        assert_eq!(gauges(), (1, 2));
        drop(one);
        assert_eq!(gauges(), (0, 0));
    }
}
