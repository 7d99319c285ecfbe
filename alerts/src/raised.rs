//! What a threshold would have raised.

use std::collections::HashSet;

use crate::{Id, Key};

/// Counts the alerts that one detector would have raised with one threshold.
#[derive(Debug)]
pub struct Raised<'a> {
    detector: &'a str,
    threshold: f32,
    flows: u64,
    above: u64,
    alerts: HashSet<Id>,
}

impl<'a> Raised<'a> {
    /// Nothing yet, for a detector of this name.
    pub fn new(detector: &'a str, threshold: f32) -> Self {
        Self {
            detector,
            threshold,
            flows: 0,
            above: 0,
            alerts: HashSet::new(),
        }
    }

    /// Judges a flow; `key` is asked for only when the score is above the threshold.
    pub fn judge<'k>(&mut self, score: f32, key: impl FnOnce() -> Key<'k>) {
        self.flows += 1;
        if score > self.threshold {
            self.above += 1;
            self.alerts.insert(key().id(self.detector));
        }
    }

    /// Flows judged.
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// Of these, flows above the threshold.
    pub fn above(&self) -> u64 {
        self.above
    }

    /// Alerts that these flows would have raised.
    pub fn alerts(&self) -> u64 {
        self.alerts.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::AlertWindow;

    #[test]
    fn only_what_is_above_the_threshold_is_raised() {
        let mut raised = Raised::new("d", 0.5);
        for (source, start, score) in [
            (1, 0, 0.6),
            (1, 999, 0.7),
            (1, 1_000, 0.6),
            (2, 0, 0.6),
            (3, 0, 0.5),
        ] {
            let source = IpAddr::from([10, 0, 0, source]);
            raised.judge(score, || {
                assert!(score > 0.5, "nobody asks for the key of a flow below");
                Key::new(source, "tcp", "-", start, AlertWindow::of_ms(1_000))
            });
        }
        assert_eq!((raised.flows(), raised.above(), raised.alerts()), (5, 4, 3));
    }
}
