//! The time axis of the Overview page.

use std::collections::BTreeMap;

use netsage_api_types::{Overview, OverviewPoint, PipelineCounters, TopSource};

/// Shortest step of the time axis, ms; every step is a multiple of it.
pub const OVERVIEW_GRAIN_MS: i64 = 10_000;

/// Most points that one overview has.
pub const MAX_OVERVIEW_POINTS: u32 = 2_000;

/// What a store knows of an [`Overview`]: all but the counters of the running program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreOverview {
    /// Length of a step, ms.
    pub step: i64,
    /// The latest steps up to the newest flow, oldest first, without gaps; empty when there are no flows.
    pub points: Vec<OverviewPoint>,
    /// Sources with the most alerted flows, at most 10.
    pub top_sources: Vec<TopSource>,
    /// Alerts in state `new`.
    pub alerts_new: u64,
    /// All alerts.
    pub alerts_total: u64,
}

impl StoreOverview {
    /// The overview of the API, with the counters of the running program.
    pub fn with_counters(self, counters: PipelineCounters) -> Overview {
        Overview {
            step: self.step,
            points: self.points,
            top_sources: self.top_sources,
            alerts_new: self.alerts_new,
            alerts_total: self.alerts_total,
            counters,
        }
    }
}

/// The steps to read: the request, held to the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) step: i64,
    /// Start of the first step.
    pub(crate) first: i64,
    /// Start of the last step.
    pub(crate) last: i64,
}

/// Rounds a step up to the grain; at most ten years, so that no sum over an axis overflows.
pub(crate) fn round_step(step_ms: i64) -> i64 {
    const LONGEST: i64 = 10 * 366 * 24 * 60 * 60 * 1000;
    (step_ms.clamp(1, LONGEST) + OVERVIEW_GRAIN_MS - 1) / OVERVIEW_GRAIN_MS * OVERVIEW_GRAIN_MS
}

/// Start of the step that a time falls into.
pub(crate) fn step_start(time: i64, step: i64) -> i64 {
    time.div_euclid(step).saturating_mul(step)
}

impl Axis {
    /// The axis over flows that ended between `oldest` and `newest`, at most `max_points` long.
    pub(crate) fn new(step_ms: i64, max_points: u32, oldest: i64, newest: i64) -> Self {
        let step = round_step(step_ms);
        let last = step_start(newest, step);
        let reach = i64::from(max_points.clamp(1, MAX_OVERVIEW_POINTS) - 1).saturating_mul(step);
        let first = step_start(oldest, step).max(last.saturating_sub(reach));
        Self { step, first, last }
    }

    /// First millisecond after the axis.
    pub(crate) fn end(self) -> i64 {
        self.last.saturating_add(self.step)
    }

    /// All points of the axis, zero where nothing is known.
    pub(crate) fn points(self, known: &BTreeMap<i64, (u64, u64)>) -> Vec<OverviewPoint> {
        let mut points = Vec::new();
        let mut time = self.first;
        while time <= self.last {
            let (flows, alerted) = known.get(&time).copied().unwrap_or_default();
            points.push(OverviewPoint { time, flows, alerted });
            match time.checked_add(self.step) {
                Some(next) => time = next,
                None => break,
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_the_newest_flow_and_has_no_gaps() {
        let check = |step, points, oldest, newest, expected: &[i64]| {
            let times: Vec<i64> = Axis::new(step, points, oldest, newest)
                .points(&BTreeMap::new())
                .iter()
                .map(|point| point.time)
                .collect();
            assert_eq!(times, expected, "{step} {points} {oldest} {newest}");
        };
        check(10_000, 10, 0, 0, &[0]);
        check(1, 10, 5, 29_999, &[0, 10_000, 20_000]);
        check(10_001, 10, 0, 40_000, &[0, 20_000, 40_000]);
        check(10_000, 2, 0, 100_000, &[90_000, 100_000]);
        check(10_000, 0, 0, 100_000, &[100_000]);
        check(10_000, 5, -15_000, 0, &[-20_000, -10_000, 0]);
    }

    #[test]
    fn no_time_overflows() {
        for (oldest, newest) in [(i64::MIN, i64::MAX), (i64::MIN, i64::MIN), (i64::MAX, i64::MAX)] {
            let axis = Axis::new(i64::MAX, u32::MAX, oldest, newest);
            assert!(axis.points(&BTreeMap::new()).len() <= 2_000);
            let _ = axis.end();
        }
    }
}
