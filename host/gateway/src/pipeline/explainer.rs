//! Which hits are worth an explanation.

use std::collections::HashMap;
use std::net::IpAddr;

use netsage_store::{AlertHit, FlowRecord, Id};

/// Alerts remembered; when there are more, all are forgotten, which costs explanations that nobody sees.
const MOST_ALERTS: usize = 1 << 16;

/// What hits of one alert have in common, as in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    /// Place of the detector's name among those seen.
    name: usize,
    source: IpAddr,
    protocol: &'static str,
    service: &'static str,
    window: i64,
}

/// Chooses the hits to explain. An alert shows the explanation of one flow, that with the highest score, and explaining a
/// flow costs more than scoring it: hits below one that the same thread has explained for the same alert are left out.
///
/// A thread meets blocks in their order, so whatever it compares a hit with comes to the store before it.
#[derive(Debug)]
pub(super) struct Explainer {
    window_ms: i64,
    names: Vec<String>,
    /// Score and flow of the best hit of each alert.
    best: HashMap<Key, (f32, Id)>,
    /// Of the block at hand: the best hit of each alert by its place among the hits.
    candidates: HashMap<Key, usize>,
    chosen: Vec<usize>,
}

/// Whether a hit gives an alert its face before another one, by the rule of the store.
fn is_better(score: f32, flow: &Id, than: (f32, &Id)) -> bool {
    score > than.0 || (score == than.0 && flow < than.1)
}

impl Explainer {
    /// For a store with alert windows of that length.
    pub(super) fn new(window_ms: i64) -> Self {
        Self {
            window_ms: window_ms.max(1),
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
            let key = Key {
                name,
                source: flow.source,
                protocol: flow.protocol,
                service: flow.service,
                window: flow.start.div_euclid(self.window_ms),
            };
            let candidate = self.candidates.entry(key).or_insert(place);
            let other = &hits[*candidate];
            if is_better(hit.score, &flow.id, (other.score, &flows[other.flow as usize].id)) {
                *candidate = place;
            }
        }
        if self.best.len() + self.candidates.len() > MOST_ALERTS {
            self.best.clear();
        }
        for (key, &place) in &self.candidates {
            let hit = &hits[place];
            let id = flows[hit.flow as usize].id;
            let known = self.best.get(key);
            if known.is_none_or(|(score, flow)| is_better(hit.score, &id, (*score, flow))) {
                self.best.insert(*key, (hit.score, id));
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
        let mut explainer = Explainer::new(1_000);
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
