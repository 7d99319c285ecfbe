//! When a flow is sent.

use std::str::FromStr;
use std::time::{Duration, Instant};

/// How fast flows are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Speed {
    /// So many times as fast as they ended.
    Times(f64),
    /// At once.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text
            .parse()
            .ok()
            .filter(|times: &f64| (1e-3..=1e6).contains(times));
        times
            .map(Self::Times)
            .ok_or_else(|| "give a number from 0.001 to 1000000, or max".to_owned())
    }
}

/// Keeps the times between the ends of flows.
pub(super) struct Pace {
    speed: Speed,
    /// When the first flow was sent, and its end.
    first: Option<(Instant, i64)>,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Self {
        Self { speed, first: None }
    }

    /// How long a flow of that end has still to wait.
    pub(super) fn wait(&mut self, end_us: i64) -> Option<Duration> {
        let Speed::Times(times) = self.speed else {
            return None;
        };
        let (began, first_us) = *self.first.get_or_insert_with(|| (Instant::now(), end_us));
        let after_us = end_us.saturating_sub(first_us).max(0) as f64 / times;
        let due = Duration::try_from_secs_f64(after_us / 1e6).unwrap_or(Duration::MAX);
        due.checked_sub(began.elapsed()).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn speeds_are_times_or_max() {
        let check = |text: &str, expected: Option<Speed>| assert_eq!(text.parse().ok(), expected, "{text}");
        check("max", Some(Speed::Max));
        check("1", Some(Speed::Times(1.0)));
        check("0.5", Some(Speed::Times(0.5)));
        for wrong in ["0", "-1", "NaN", "inf", "fast", ""] {
            check(wrong, None);
        }
    }

    #[test]
    fn flows_wait_for_their_time() {
        let hour_us = 3_600_000_000;
        let mut pace = Pace::new(Speed::Times(2.0));
        assert_eq!(pace.wait(hour_us), None, "the first");
        assert_eq!(pace.wait(0), None, "one that ended before the first");
        let wait = pace.wait(2 * hour_us).unwrap();
        let half = Duration::from_secs(1_800);
        assert!(wait <= half && wait > half - Duration::from_secs(60), "{wait:?}");
        assert!(pace.wait(i64::MAX).is_some());
        assert_eq!(Pace::new(Speed::Max).wait(i64::MAX), None);
    }
}
