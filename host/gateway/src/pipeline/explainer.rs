//! Which hits are worth an explanation.

use std::collections::HashMap;

use netsage_alerts::{AlertHit, AlertWindow, Best, FlowRecord, Key};

/// Alerts remembered; when there are more, all are forgotten, which costs explanations that nobody sees.
const MOST_ALERTS: usize = 1 << 16;

/// The alert that a hit belongs to: the place of the detector's name among those seen, and the key.
type AlertKey = (usize, Key<'static>);

/// Chooses the hits to explain. An alert shows the explanation of one flow, the flow with the highest score, and an
/// explanation costs more than a score. So a hit is not explained when the same thread has explained a higher hit for
/// the same alert.
///
/// A thread meets blocks in their order, so whatever it compares a hit with comes to the store before it.
#[derive(Debug)]
pub(super) struct Explainer {
    window: AlertWindow,
    names: Vec<String>,
    /// The best hit of each alert so far.
    best: HashMap<AlertKey, Best>,
    /// Of the block at hand: the best hit of each alert by its place among the hits.
    candidates: HashMap<AlertKey, (Best, usize)>,
    chosen: Vec<usize>,
}

impl Explainer {
    /// For a store with these windows.
    pub(super) fn new(window: AlertWindow) -> Self {
        Self {
            window,
            names: Vec::new(),
            best: HashMap::new(),
            candidates: HashMap::new(),
            chosen: Vec::new(),
        }
    }

    /// The places of the hits to explain, among the hits from `first` on, which are all of the detector `name`.
    pub(super) fn choose(
        &mut self,
        name: &str,
        flows: &[FlowRecord],
        hits: &[AlertHit],
        first: usize,
    ) -> &[usize] {
        self.candidates.clear();
        self.chosen.clear();
        let name = self.place_of(name);
        for (place, hit) in hits.iter().enumerate().skip(first) {
            let flow = &flows[hit.flow as usize];
            let key = (name, Key::of(flow, self.window));
            let best = Best {
                score: hit.score,
                flow: flow.id,
            };
            let candidate = self.candidates.entry(key).or_insert((best, place));
            if best.beats(&candidate.0) {
                *candidate = (best, place);
            }
        }
        if self.best.len() + self.candidates.len() > MOST_ALERTS {
            self.best.clear();
        }
        for (key, &(best, place)) in &self.candidates {
            let known = self.best.get(key);
            if known.is_none_or(|known| best.beats(known)) {
                self.best.insert(*key, best);
                self.chosen.push(place);
            }
        }
        &self.chosen
    }

    fn place_of(&mut self, name: &str) -> usize {
        let known = self.names.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netsage_api_types::Severity;

    use super::*;

    fn flow(number: u8, source: u8, start: i64) -> FlowRecord {
        FlowRecord {
            id: [number; 16],
            start,
            end: start,
            source: IpAddr::from([10, 0, 0, source]),
            source_port: 1,
            destination: IpAddr::from([10, 0, 0, 100]),
            destination_port: 2,
            protocol: "tcp",
            service: "-",
            state: "FIN",
            packets: 1,
            bytes: 1,
            community_id: [0; 20],
            fused: None,
        }
    }

    fn hit(flow: u32, score: f32) -> AlertHit {
        AlertHit {
            flow,
            detector: 0,
            score,
            threshold: 0.0,
            severity: Severity::Low,
            contributions: Vec::new(),
        }
    }

    #[test]
    fn only_what_can_be_shown_is_explained() {
        let mut explainer = Explainer::new(AlertWindow::of_ms(1_000));
        let mut check = |name: &str, flows: &[FlowRecord], scores: &[f32], expected: &[usize]| {
            let hits: Vec<AlertHit> = (0..).zip(scores).map(|(flow, score)| hit(flow, *score)).collect();
            let mut chosen = explainer.choose(name, flows, &hits, 0).to_vec();
            chosen.sort_unstable();
            assert_eq!(chosen, expected, "{name} {scores:?}");
        };
        let block = [flow(1, 1, 0), flow(2, 1, 500), flow(3, 2, 0), flow(4, 1, 1_000)];
        // The second is above the first; another source and another window are other alerts.
        check("a", &block, &[0.5, 0.7, 0.6, 0.5], &[1, 2, 3]);
        // Nothing new, for the same scores of the same flows too.
        check("a", &block, &[0.5, 0.7, 0.6, 0.5], &[]);
        check("b", &block, &[0.5, 0.7, 0.6, 0.5], &[1, 2, 3]);
        // Of equal scores the smaller id counts.
        check("a", &[flow(9, 1, 0), flow(1, 2, 0)], &[0.7, 0.6], &[1]);
        check("a", &[flow(9, 1, 0)], &[0.71], &[0]);
    }
}
