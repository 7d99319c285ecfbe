//! What follows when a detector fails.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Waits that double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// Wait after the first failure.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
        }
    }
}

impl BackOff {
    /// The wait after this many failures in a row, from 1.
    pub fn wait(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

/// A detector with the policy `closed` could not score a block: the run must stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "detector {detector} failed on a block {attempts} times in a row, and its policy `closed` lets no flow pass \
     without its score: {failure}; mend or roll back the detector, or choose another policy with --on-failure"
)]
pub struct Stopped {
    /// Name and version.
    pub detector: String,
    /// Number of attempts.
    pub attempts: u32,
    /// Failure of the last attempt.
    pub failure: String,
}

/// The failures in a row of one generation.
#[derive(Debug)]
pub(crate) struct Failing {
    epoch: Instant,
    in_a_row: AtomicU32,
    /// When the last call failed, and from when on the next may be made; nanoseconds since `epoch`.
    failed_at: AtomicU64,
    retry_at: AtomicU64,
}

impl Failing {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            in_a_row: AtomicU32::new(0),
            failed_at: AtomicU64::new(0),
            retry_at: AtomicU64::new(0),
        }
    }

    /// Whether it may be called, or waits after a failure.
    pub(crate) fn may_call(&self, now: Instant) -> bool {
        // Without a failure there is nothing to compare.
        self.in_a_row.load(Ordering::Relaxed) == 0 || self.since(now) >= self.retry_at.load(Ordering::Relaxed)
    }

    pub(crate) fn succeeded(&self) {
        if self.in_a_row.load(Ordering::Relaxed) > 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// Notes the failure of a call that began at `began`, and says how many there are in a row. Failed calls of several
    /// threads that ran at the same time count as one failure.
    pub(crate) fn failed(&self, began: Instant, now: Instant, back_off: &BackOff) -> u32 {
        let earlier = self.failed_at.fetch_max(self.since(now), Ordering::Relaxed);
        if earlier > 0 && self.since(began) < earlier {
            return self.in_a_row.load(Ordering::Relaxed);
        }
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let retry_at = self.since(now) + nanoseconds(back_off.wait(in_a_row));
        self.retry_at.fetch_max(retry_at, Ordering::Relaxed);
        in_a_row
    }

    fn since(&self, time: Instant) -> u64 {
        nanoseconds(time.saturating_duration_since(self.epoch))
    }
}

/// Half of the range, so that sums do not overflow: 292 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos())
        .unwrap_or(u64::MAX)
        .min(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_up_to_the_longest() {
        let back_off = BackOff {
            first: 100 * MS,
            longest: 1000 * MS,
        };
        let waits: Vec<Duration> = (1..=6).map(|failures| back_off.wait(failures)).collect();
        assert_eq!(
            waits,
            [100 * MS, 200 * MS, 400 * MS, 800 * MS, 1000 * MS, 1000 * MS]
        );
        assert_eq!(back_off.wait(u32::MAX), 1000 * MS);
    }

    #[test]
    fn a_failure_is_followed_by_a_wait_and_a_success_by_none() {
        let back_off = BackOff::default();
        let failing = Failing::new();
        let start = failing.epoch;
        let at = |milliseconds: u32| start + milliseconds * MS;
        assert!(failing.may_call(at(0)));
        assert_eq!(failing.failed(at(0), at(10), &back_off), 1);
        assert!(!failing.may_call(at(109)));
        assert!(failing.may_call(at(110)));
        // A call of another thread that began before that failure.
        assert_eq!(failing.failed(at(5), at(20), &back_off), 1);
        assert!(failing.may_call(at(110)));
        assert_eq!(failing.failed(at(110), at(120), &back_off), 2);
        assert!(!failing.may_call(at(319)));
        assert!(failing.may_call(at(320)));
        failing.succeeded();
        assert!(failing.may_call(at(121)));
        assert_eq!(failing.failed(at(400), at(410), &back_off), 1);
    }
}
