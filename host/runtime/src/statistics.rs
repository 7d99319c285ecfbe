//! Counters of a detector, shared by threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of a detector since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DetectorStats {
    /// Rows that got a score.
    pub scored_rows: u64,
    /// Rows of calls that failed.
    pub failed_rows: u64,
    /// Instances thrown away after a trap, an overrun or a broken promise.
    pub replaced_instances: u64,
    /// Explanations that failed; after [`crate::MOST_FAILED_EXPLANATIONS`] none is asked for.
    pub failed_explanations: u64,
    /// Time spent on the scored rows, nanoseconds, waiting for an instance not included.
    pub nanoseconds: u64,
}

impl DetectorStats {
    /// Mean cost of a scored row, nanoseconds; `None` before the first.
    pub fn nanoseconds_per_row(&self) -> Option<f64> {
        (self.scored_rows > 0).then(|| self.nanoseconds as f64 / self.scored_rows as f64)
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    scored_rows: AtomicU64,
    failed_rows: AtomicU64,
    replaced_instances: AtomicU64,
    failed_explanations: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> DetectorStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DetectorStats {
            scored_rows: read(&self.scored_rows),
            failed_rows: read(&self.failed_rows),
            replaced_instances: read(&self.replaced_instances),
            failed_explanations: self.failed_explanations(),
            nanoseconds: read(&self.nanoseconds),
        }
    }

    pub(crate) fn scored(&self, rows: u64, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.scored_rows.fetch_add(rows, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, rows: u64) {
        self.failed_rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn failed_explanations(&self) -> u64 {
        self.failed_explanations.load(Ordering::Relaxed)
    }

    /// Counts one, and says how many there are with it.
    pub(crate) fn failed_explanation(&self) -> u64 {
        self.failed_explanations.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn replaced_instance(&self) {
        self.replaced_instances.fetch_add(1, Ordering::Relaxed);
    }
}
