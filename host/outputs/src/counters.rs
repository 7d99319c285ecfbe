//! What an output counts. The names are those of `docs/contracts.md`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The counters of one output, shared by its deliveries where it has several receivers.
#[derive(Debug, Default)]
pub struct OutputCounters {
    received: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    filtered: AtomicU64,
    receiver_failures: AtomicU64,
    sender_failures: AtomicU64,
    store_failures: AtomicU64,
    deliveries: AtomicU64,
    receivers: AtomicU64,
    lag: AtomicU64,
    /// Since when a delivery owes its receiver something, by the number of the delivery.
    owing: Mutex<BTreeMap<u64, Instant>>,
}

/// The counters of an output at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputCounts {
    /// Changes of alerts that were read from the store.
    pub received: u64,
    /// Messages that receivers have taken, repeats included.
    pub delivered: u64,
    /// Messages that a receiver will never take and that were set aside.
    pub refused: u64,
    /// Changes of alerts that the filter left out.
    pub filtered: u64,
    /// Attempts after which the receiver had not taken everything, since it or the way to it failed.
    pub receiver_failures: u64,
    /// Attempts at which the receiver refused this sender.
    pub sender_failures: u64,
    /// Times that the store could not be read, or did not save the cursor.
    pub store_failures: u64,
    /// Receivers that are fed now.
    pub receivers: u64,
    /// Revisions between the newest in the store and the last one acknowledged, added up over the receivers.
    pub lag: u64,
    /// For how long the change that has been due longest is due already.
    pub behind: Duration,
}

impl OutputCounters {
    /// Reads all of them.
    pub fn snapshot(&self) -> OutputCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let owing = self.owing.lock().unwrap_or_else(PoisonError::into_inner);
        OutputCounts {
            received: read(&self.received),
            delivered: read(&self.delivered),
            refused: read(&self.refused),
            filtered: read(&self.filtered),
            receiver_failures: read(&self.receiver_failures),
            sender_failures: read(&self.sender_failures),
            store_failures: read(&self.store_failures),
            receivers: read(&self.receivers),
            lag: read(&self.lag),
            behind: owing.values().min().map(Instant::elapsed).unwrap_or_default(),
        }
    }
}

/// The counters as one delivery sees them. A delivery that ends, for whatever reason, takes its part of the gauges
/// away.
#[derive(Debug)]
pub(crate) struct Share {
    counters: Arc<OutputCounters>,
    number: u64,
    lag: u64,
    owes_since: Option<Instant>,
}

impl Share {
    pub(crate) fn of(counters: Arc<OutputCounters>) -> Self {
        counters.receivers.fetch_add(1, Ordering::Relaxed);
        Self {
            number: counters.deliveries.fetch_add(1, Ordering::Relaxed),
            counters,
            lag: 0,
            owes_since: None,
        }
    }

    pub(crate) fn received(&self, changes: usize) {
        self.counters
            .received
            .fetch_add(changes as u64, Ordering::Relaxed);
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

    pub(crate) fn receiver_failed(&self) {
        self.counters.receiver_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sender_refused(&self) {
        self.counters.sender_failures.fetch_add(1, Ordering::Relaxed);
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

    /// Since when the change that has been due longest is due; `None` where nothing is.
    pub(crate) fn owes(&mut self, since: Option<Instant>) {
        if since == self.owes_since {
            return;
        }
        let mut owing = self.counters.owing.lock().unwrap_or_else(PoisonError::into_inner);
        match since {
            Some(since) => owing.insert(self.number, since),
            None => owing.remove(&self.number),
        };
        self.owes_since = since;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.lags(0);
        self.owes(None);
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

    #[test]
    fn an_output_is_as_far_behind_as_the_delivery_that_owes_longest() {
        let counters = Arc::new(OutputCounters::default());
        let mut one = Share::of(Arc::clone(&counters));
        let mut two = Share::of(Arc::clone(&counters));
        let ago = |minutes: u64| Instant::now().checked_sub(Duration::from_secs(60 * minutes));
        let check = |minutes| assert_eq!(counters.snapshot().behind.as_secs() / 60, minutes);
        check(0);
        one.owes(ago(7));
        two.owes(ago(2));
        check(7);
        one.owes(None);
        check(2);
        drop(two);
        check(0);
    }
}
