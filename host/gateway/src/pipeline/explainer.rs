//! Which hits are worth an explanation.

use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hashbrown::{HashMap, HashSet};
use netsage_alerts::{AlertHit, AlertLimits, AlertWindow, Best, FlowRecord, Key, target_of};

/// Alerts and sources remembered; when there are more, all are forgotten, which costs explanations that nobody sees.
const MOST_ALERTS: usize = 1 << 16;

/// A target in a window: where, the key without source and network, and the target.
type TargetKey = (Place, Key<'static>, SocketAddr);

/// What keys here have in place of names: the place of the detector's name among those seen, and a hash of the network's.
type Place = (usize, u64);

/// The alert that a hit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AlertKey {
    /// That of its source: where, and the key without its network.
    Source(Place, Key<'static>),
    /// That of a target which many sources hit.
    Target(TargetKey),
}

/// Chooses the hits to explain. An alert shows the explanation of one flow, the flow with the highest score, and an
/// explanation costs more than a score. So a hit is not explained when the same thread has explained a higher hit for
/// the same alert.
///
/// A thread meets blocks in their order, so whatever it compares a hit with comes to the store before it. That also holds for
/// the sources of a target: once a thread has seen so many that the target has an alert of its own, the store has too, and of
/// a flood only few hits are explained.
#[derive(Debug)]
pub(super) struct Explainer {
    window: AlertWindow,
    /// Most sources that a target may be hit by and leave them alerts of their own.
    most_sources: usize,
    names: Vec<String>,
    /// The sources of each target, until they are too many for alerts of their own.
    sources: HashMap<TargetKey, HashSet<IpAddr>>,
    /// How many these are.
    sources_known: usize,
    /// The best hit of each alert so far.
    best: HashMap<AlertKey, Best>,
    /// Of the block at hand: the best hit of each alert by its place among the hits.
    candidates: HashMap<AlertKey, (Best, usize)>,
    chosen: Vec<usize>,
}

impl Explainer {
    /// For a store with these windows and limits.
    pub(super) fn new(window: AlertWindow, limits: AlertLimits) -> Self {
        Self {
            window,
            most_sources: limits.sources,
            names: Vec::new(),
            sources: HashMap::new(),
            sources_known: 0,
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
            let key = self.alert_of(name, flow);
            let best = Best {
                score: hit.score,
                flow: flow.id,
            };
            let candidate = self.candidates.entry(key).or_insert((best, place));
            if best.beats(&candidate.0) {
                *candidate = (best, place);
            }
        }
        if self.best.len() + self.candidates.len() + self.sources_known > MOST_ALERTS {
            self.best.clear();
            self.sources.clear();
            self.sources_known = 0;
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

    fn alert_of(&mut self, name: usize, flow: &FlowRecord) -> AlertKey {
        let most = self.most_sources;
        let place = match flow.provenance.network() {
            "" => (name, 0),
            network => (name, self.best.hasher().hash_one(network)),
        };
        let key = |source| Key::new(source, flow.protocol, flow.service, flow.start, self.window);
        let target = (place, key(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), target_of(flow));
        let sources = self.sources.entry(target).or_default();
        if sources.len() <= most && sources.insert(flow.source) {
            self.sources_known += 1;
        }
        match sources.len() > most {
            true => AlertKey::Target(target),
            false => AlertKey::Source(place, key(flow.source)),
        }
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

    use netsage_alerts::Provenance;
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
            provenance: Provenance::NONE,
            foreign: None,
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
        let mut explainer = Explainer::new(AlertWindow::of_ms(1_000), AlertLimits::default());
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
        // The same address of another network is another source, whatever sensor saw it.
        let of = |sensor, network| FlowRecord {
            provenance: Provenance::new(sensor, network, false),
            ..flow(9, 1, 0)
        };
        let elsewhere = [of("tap", ""), of("", "branch"), of("tap", "branch")];
        check("a", &elsewhere, &[0.1, 0.1, 0.1], &[1]);
        // Once there are too many sources for alerts of their own, the best of all.
        let flood: Vec<FlowRecord> = (1..=30).map(|number| flow(number, number, 2_000)).collect();
        let scores: Vec<f32> = (1..=30_u8).map(f32::from).collect();
        let alone: Vec<usize> = (0..16).chain([29]).collect();
        check("a", &flood, &scores, &alone);
        check("a", &[flow(99, 99, 2_000)], &[30.0], &[]);
        check("a", &[flow(99, 99, 2_000)], &[31.0], &[0]);
    }

    #[test]
    fn without_a_limit_each_source_has_its_own_explanation() {
        let limits = AlertLimits {
            sources: usize::MAX,
            ..AlertLimits::default()
        };
        let mut explainer = Explainer::new(AlertWindow::of_ms(1_000), limits);
        let flood: Vec<FlowRecord> = (1..=30).map(|number| flow(number, number, 0)).collect();
        let hits: Vec<AlertHit> = (0..30).map(|place| hit(place, 0.7)).collect();
        assert_eq!(explainer.choose("a", &flood, &hits, 0).len(), 30);
        assert_eq!(explainer.choose("a", &flood, &hits, 0).len(), 0);
    }
}
