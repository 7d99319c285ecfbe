//! Counters of what a generation did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use netsage_runtime::{GuestFailure, ScoreError};

use super::distance::total;
use super::histogram::{Histogram, SCORE_BINS, TIME_BINS, time_bin};

/// Kinds of failure that are judged apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The detector trapped, broke the contract, or refused rows that it must accept.
    Fault,
    /// The call exceeded its deadline.
    Overrun,
    /// A score was not finite.
    NotFinite,
}

impl FailureKind {
    /// The kind of an error; `None` for rows that no detector could score, which is not the detector's failure.
    pub fn of(error: &ScoreError) -> Option<Self> {
        let ScoreError::Guest { failure, .. } = error else {
            return None;
        };
        Some(match failure {
            GuestFailure::Overrun { .. } => Self::Overrun,
            GuestFailure::NotFinite { .. } => Self::NotFinite,
            _ => Self::Fault,
        })
    }
}

/// Counters of one generation. Any thread may add and read without waiting.
#[derive(Debug)]
pub struct Tally {
    calls: AtomicU64,
    rows: AtomicU64,
    above: AtomicU64,
    failed_rows: AtomicU64,
    skipped_rows: AtomicU64,
    failures: [AtomicU64; 3],
    nanoseconds: AtomicU64,
    calibrated: Histogram<SCORE_BINS>,
    squashed: Histogram<SCORE_BINS>,
    call_time: Histogram<TIME_BINS>,
    /// Start of the first and of the last flow, microseconds since the epoch.
    first_flow: AtomicU64,
    last_flow: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            calls: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            above: AtomicU64::new(0),
            failed_rows: AtomicU64::new(0),
            skipped_rows: AtomicU64::new(0),
            failures: std::array::from_fn(|_| AtomicU64::new(0)),
            nanoseconds: AtomicU64::new(0),
            calibrated: Histogram::default(),
            squashed: Histogram::default(),
            call_time: Histogram::default(),
            first_flow: AtomicU64::new(u64::MAX),
            last_flow: AtomicU64::new(0),
        }
    }
}

impl Tally {
    /// Flows that the generation scored.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Flows that the generation failed to score.
    pub fn failed_rows(&self) -> u64 {
        self.failed_rows.load(Ordering::Relaxed)
    }

    /// Mean time of calls per row, nanoseconds; `None` before the first row.
    pub fn nanoseconds_per_row(&self) -> Option<f64> {
        let rows = self.rows();
        (rows > 0).then(|| self.nanoseconds.load(Ordering::Relaxed) as f64 / rows as f64)
    }

    /// Counts a call that gave scores to `rows` rows, of which `above` were above the threshold.
    pub(crate) fn scored(&self, rows: usize, above: usize, time: Duration) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.above.fetch_add(above as u64, Ordering::Relaxed);
        self.took(time);
    }

    /// Counts a call that failed.
    pub(crate) fn failed(&self, rows: usize, kind: Option<FailureKind>, time: Duration) {
        self.failed_rows.fetch_add(rows as u64, Ordering::Relaxed);
        if let Some(kind) = kind {
            self.failures[kind as usize].fetch_add(1, Ordering::Relaxed);
            self.took(time);
        }
    }

    fn took(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.call_time.count(time_bin(nanoseconds));
    }

    /// Counts a call to learn that failed.
    pub(crate) fn failed_to_learn(&self, error: &ScoreError) {
        if let Some(kind) = FailureKind::of(error) {
            self.failures[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts rows that passed without a call.
    pub(crate) fn passed_by(&self, rows: usize) {
        self.failed_rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Counts rows that were to be compared and were not.
    pub(crate) fn skipped(&self, rows: usize) {
        self.skipped_rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Counts scores between 0 and 1: calibrated ones, and raw ones squashed.
    pub(crate) fn spread(
        &self,
        calibrated: impl Iterator<Item = f32>,
        squashed: impl Iterator<Item = f32>,
        scratch: &mut [u32; SCORE_BINS],
    ) {
        self.calibrated.count_scores(calibrated, scratch);
        self.squashed.count_scores(squashed, scratch);
    }

    /// Notes the start of a flow, microseconds since the epoch.
    pub(crate) fn flow_at(&self, start: u64) {
        self.first_flow.fetch_min(start, Ordering::Relaxed);
        self.last_flow.fetch_max(start, Ordering::Relaxed);
    }

    /// Copies the counters as they are now.
    pub fn read(&self, into: &mut Measured) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        into.calls = read(&self.calls);
        into.rows = read(&self.rows);
        into.above = read(&self.above);
        into.failed_rows = read(&self.failed_rows);
        into.skipped_rows = read(&self.skipped_rows);
        into.failures = std::array::from_fn(|kind| read(&self.failures[kind]));
        into.nanoseconds = read(&self.nanoseconds);
        self.calibrated.read(&mut into.calibrated);
        self.squashed.read(&mut into.squashed);
        self.call_time.read(&mut into.call_time);
        let (first, last) = (
            self.first_flow.load(Ordering::Relaxed),
            self.last_flow.load(Ordering::Relaxed),
        );
        into.flow_times = (first <= last).then_some([first, last]);
    }
}

/// A snapshot of the counters of a generation, or the difference of two snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Calls that were made.
    pub calls: u64,
    /// Rows that got a score.
    pub rows: u64,
    /// Rows with a score above the threshold.
    pub above: u64,
    /// Rows that failed to get a score.
    pub failed_rows: u64,
    /// Rows that were skipped for lack of time.
    pub skipped_rows: u64,
    /// Failed calls by [`FailureKind`].
    pub failures: [u64; 3],
    /// Time of all calls.
    pub nanoseconds: u64,
    /// Calibrated scores, empty without a calibration.
    pub calibrated: [u64; SCORE_BINS],
    /// Raw scores, squashed.
    pub squashed: [u64; SCORE_BINS],
    /// Times of calls.
    pub call_time: [u64; TIME_BINS],
    /// Start of the first and of the last flow, microseconds since the epoch.
    pub flow_times: Option<[u64; 2]>,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            calls: 0,
            rows: 0,
            above: 0,
            failed_rows: 0,
            skipped_rows: 0,
            failures: [0; 3],
            nanoseconds: 0,
            calibrated: [0; SCORE_BINS],
            squashed: [0; SCORE_BINS],
            call_time: [0; TIME_BINS],
            flow_times: None,
        }
    }
}

impl Measured {
    /// Subtracts an earlier copy. Scoring threads go on counting while the counters are read one after another, so one
    /// counter may lag behind another by a block; no difference goes below zero.
    pub fn since(&mut self, before: &Self) {
        let less = |now: &mut u64, before: &u64| *now = now.saturating_sub(*before);
        for (now, before) in [
            (&mut self.calls, &before.calls),
            (&mut self.rows, &before.rows),
            (&mut self.above, &before.above),
            (&mut self.failed_rows, &before.failed_rows),
            (&mut self.skipped_rows, &before.skipped_rows),
            (&mut self.nanoseconds, &before.nanoseconds),
        ] {
            less(now, before);
        }
        for (now, before) in [
            (&mut self.failures[..], &before.failures[..]),
            (&mut self.calibrated, &before.calibrated),
            (&mut self.squashed, &before.squashed),
            (&mut self.call_time, &before.call_time),
        ] {
            for (now, before) in now.iter_mut().zip(before) {
                less(now, before);
            }
        }
        // What is left began no earlier than the last flow of what is taken away.
        if let (Some([first, _]), Some([_, last_before])) = (&mut self.flow_times, before.flow_times) {
            *first = last_before;
        }
    }

    /// Failed calls of this kind.
    pub fn failures(&self, kind: FailureKind) -> u64 {
        self.failures[kind as usize]
    }

    /// The scores of both sides on a common scale: calibrated where both have a calibration, else squashed.
    pub fn on_one_scale<'a>(left: &'a Self, right: &'a Self) -> [&'a [u64; SCORE_BINS]; 2] {
        if total(&left.calibrated) > 0 && total(&right.calibrated) > 0 {
            [&left.calibrated, &right.calibrated]
        } else {
            [&left.squashed, &right.squashed]
        }
    }

    /// Rows above the threshold per day of traffic; `None` for less than a second of traffic.
    pub fn above_per_day(&self) -> Option<f64> {
        let [first, last] = self.flow_times?;
        let seconds = last.saturating_sub(first) as f64 / 1e6;
        (seconds >= 1.0).then(|| self.above as f64 / seconds * 86_400.0)
    }

    /// Mean time of a call per row, nanoseconds.
    pub fn nanoseconds_per_row(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.nanoseconds as f64 / self.rows as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(tally: &Tally) -> Measured {
        let mut measured = Measured::default();
        tally.read(&mut measured);
        measured
    }

    #[test]
    fn a_difference_is_what_happened_in_between() {
        let tally = Tally::default();
        let mut scratch = [0; SCORE_BINS];
        tally.flow_at(10_000_000);
        tally.scored(4, 1, Duration::from_micros(60));
        tally.spread([0.0, 0.5].into_iter(), [0.5].into_iter(), &mut scratch);
        let before = measured(&tally);
        assert_eq!((before.rows, before.above, before.calls), (4, 1, 1));
        assert_eq!(before.flow_times, Some([10_000_000; 2]));

        tally.flow_at(12_500_000);
        tally.failed(3, Some(FailureKind::Overrun), Duration::from_millis(1));
        tally.failed(2, None, Duration::ZERO);
        tally.passed_by(1);
        tally.skipped(7);
        tally.spread([0.5].into_iter(), [].into_iter(), &mut scratch);
        let mut since = measured(&tally);
        since.since(&before);
        assert_eq!((since.rows, since.above, since.calls), (0, 0, 1));
        assert_eq!((since.failed_rows, since.skipped_rows), (6, 7));
        assert_eq!(since.failures, [0, 1, 0], "bad rows are nobody's failure");
        assert_eq!(since.nanoseconds, 1_000_000);
        assert_eq!(since.calibrated[SCORE_BINS / 2], 1);
        assert_eq!(total(&since.calibrated), 1);
        assert_eq!(since.flow_times, Some([10_000_000, 12_500_000]));
    }

    #[test]
    fn rates_are_of_the_time_of_the_traffic() {
        let mut measured = Measured {
            above: 3,
            flow_times: Some([100_000_000, 100_500_000]),
            ..Measured::default()
        };
        assert_eq!(measured.above_per_day(), None);
        measured.flow_times = Some([100_000_000, 160_000_000]);
        assert_eq!(measured.above_per_day(), Some(3.0 * 1440.0));
    }
}
