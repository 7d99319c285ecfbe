//! What a threshold would have raised.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use crate::{AlertLimits, Id, Key};

/// Counts the alerts that one detector would have raised with one threshold, within the bounds of alerts:
/// [`Bounded`](crate::Bounded) without what each alert shows.
#[derive(Debug)]
pub struct Raised<'a> {
    detector: &'a str,
    threshold: f32,
    limits: AlertLimits,
    flows: u64,
    above: u64,
    /// By the cell, the sources that hit a target: of those with an alert of their own one more than may leave their
    /// sources theirs.
    cells: HashMap<Id, HashMap<SocketAddr, HashSet<IpAddr>>>,
}

impl<'a> Raised<'a> {
    /// Nothing yet, for a detector of this name.
    pub fn new(detector: &'a str, threshold: f32, limits: AlertLimits) -> Self {
        Self {
            detector,
            threshold,
            limits,
            flows: 0,
            above: 0,
            cells: HashMap::new(),
        }
    }

    /// Judges a flow; `hit` gives key and target, and is asked only when the score is above the threshold.
    pub fn judge<'k>(&mut self, score: f32, hit: impl FnOnce() -> (Key<'k>, SocketAddr)) {
        self.flows += 1;
        if score > self.threshold {
            self.above += 1;
            let (key, target) = hit();
            let cell = self
                .cells
                .entry(key.cell(self.detector).id_of_rest())
                .or_default();
            let sources = cell.entry(target).or_default();
            if sources.len() <= self.limits.sources {
                sources.insert(key.source());
            }
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

    /// Alerts that these flows would have raised, those among them that say what is held back.
    pub fn alerts(&self) -> u64 {
        let of_cell = |targets: &HashMap<SocketAddr, HashSet<IpAddr>>| {
            let (crowded, others): (Vec<_>, Vec<_>) = targets
                .values()
                .partition(|sources| sources.len() > self.limits.sources);
            let sources: HashSet<&IpAddr> = others.into_iter().flatten().collect();
            let raised = crowded.len() + sources.len();
            raised.min(self.limits.alerts.saturating_add(1)) as u64
        };
        self.cells.values().map(of_cell).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AlertWindow;

    #[test]
    fn only_what_is_above_the_threshold_is_raised() {
        let mut raised = Raised::new("d", 0.5, AlertLimits::default());
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
                let target = SocketAddr::from(([10, 0, 0, 9], 80));
                (
                    Key::new(source, "tcp", "-", start, AlertWindow::of_ms(1_000)),
                    target,
                )
            });
        }
        assert_eq!((raised.flows(), raised.above(), raised.alerts()), (5, 4, 3));
    }
}
