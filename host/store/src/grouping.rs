//! The rule that turns hits into alerts. Pure: both backends call it and only keep the outcome.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use netsage_api_types::{Alert, AlertState};
use sha2::{Digest, Sha256};

use crate::record::{HitOfFlow, Id};
use crate::text::{community_id, to_hex};

/// The hits of a delivery that belong to one alert, each flow once.
#[derive(Debug)]
pub(crate) struct AlertGroup<'a> {
    pub(crate) id: Id,
    pub(crate) hits: Vec<HitOfFlow<'a>>,
}

/// What hits of one alert have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key<'a> {
    /// The detector's name takes part and its version does not: a replaced detector goes on with the alerts of the old.
    detector: &'a str,
    source: IpAddr,
    protocol: &'a str,
    service: &'a str,
    window: i64,
}

impl<'a> Key<'a> {
    fn new(hit: &HitOfFlow<'a>, window_ms: i64) -> Self {
        Self {
            detector: &hit.detector.name,
            source: hit.flow.source,
            protocol: hit.flow.protocol,
            service: hit.flow.service,
            window: hit.flow.start.div_euclid(window_ms.max(1)),
        }
    }

    /// The id of the alert: the same hit finds the same alert whenever it is delivered.
    fn id(&self) -> Id {
        let mut hasher = Sha256::new();
        for text in [
            self.detector,
            &self.source.to_string(),
            &kind(self.protocol, self.service),
        ] {
            // The length first, so that no two triples run into the same bytes.
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(self.window.to_le_bytes());
        let digest = hasher.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        id
    }
}

/// What groups hits besides their source, e.g. `tcp/ssh`.
fn kind(protocol: &str, service: &str) -> String {
    format!("{protocol}/{service}")
}

/// Sorts hits by the alert they belong to. Of several hits of one flow for one alert the first counts.
pub(crate) fn group<'a>(
    hits: impl Iterator<Item = HitOfFlow<'a>>,
    window_ms: i64,
) -> impl Iterator<Item = AlertGroup<'a>> {
    let mut by_key: HashMap<Key<'a>, (Vec<HitOfFlow<'a>>, HashSet<&'a Id>)> = HashMap::new();
    for hit in hits {
        let (hits, seen) = by_key.entry(Key::new(&hit, window_ms)).or_default();
        if seen.insert(&hit.flow.id) {
            hits.push(hit);
        }
    }
    // In the order of their ids, so that two writers take them in the same order.
    let by_id: BTreeMap<Id, Vec<HitOfFlow<'a>>> = by_key
        .into_iter()
        .map(|(key, (hits, _))| (key.id(), hits))
        .collect();
    by_id.into_iter().map(|(id, hits)| AlertGroup { id, hits })
}

/// An alert, and the flow that gave it its face.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AlertRecord {
    pub(crate) alert: Alert,
    pub(crate) best_flow: Id,
}

/// Whether the first of two flows gives the alert its face: the one with the higher score, of equal scores the one
/// with the smaller id.
fn is_better(score: f32, flow: &Id, than_score: f32, than_flow: &Id) -> bool {
    score > than_score || (score == than_score && flow < than_flow)
}

impl AlertRecord {
    /// An alert that has no flow counted yet, with the face of this one.
    fn new(id: &Id, hit: &HitOfFlow<'_>) -> Self {
        let HitOfFlow {
            hit,
            flow,
            detector,
            schema,
        } = *hit;
        Self {
            alert: Alert {
                id: to_hex(id),
                first_seen: flow.start,
                last_seen: flow.end,
                count: 0,
                kind: kind(flow.protocol, flow.service),
                source: flow.source.to_string(),
                source_port: flow.source_port,
                destination: flow.destination.to_string(),
                destination_port: flow.destination_port,
                protocol: flow.protocol.to_owned(),
                community_id: community_id(&flow.community_id),
                score: hit.score,
                threshold: hit.threshold,
                severity: hit.severity,
                detector: detector.clone(),
                schema: schema.to_owned(),
                contributions: hit.contributions.clone(),
                state: AlertState::New,
                changed_by: None,
                changed_at: None,
            },
            best_flow: flow.id,
        }
    }

    /// Gives the alert the face of this flow.
    fn show(&mut self, hit: &HitOfFlow<'_>) {
        let HitOfFlow {
            hit,
            flow,
            detector,
            schema,
        } = *hit;
        let alert = &mut self.alert;
        alert.source_port = flow.source_port;
        alert.destination = flow.destination.to_string();
        alert.destination_port = flow.destination_port;
        flow.protocol.clone_into(&mut alert.protocol);
        alert.community_id = community_id(&flow.community_id);
        alert.score = hit.score;
        alert.threshold = hit.threshold;
        alert.severity = hit.severity;
        alert.detector.clone_from(detector);
        schema.clone_into(&mut alert.schema);
        alert.contributions.clone_from(&hit.contributions);
        self.best_flow = flow.id;
    }

    /// Counts hits of flows that are not in the alert yet, making the alert when there is none; `None` when there is
    /// neither. The state stays: what a person closed is not opened again by more of the same.
    pub(crate) fn extend(record: Option<Self>, id: &Id, hits: &[HitOfFlow<'_>]) -> Option<Self> {
        let best = hits.iter().reduce(|best, hit| {
            match is_better(hit.hit.score, &hit.flow.id, best.hit.score, &best.flow.id) {
                true => hit,
                false => best,
            }
        });
        let Some(best) = best else { return record };
        let mut record = match record {
            Some(mut record) => {
                if is_better(
                    best.hit.score,
                    &best.flow.id,
                    record.alert.score,
                    &record.best_flow,
                ) {
                    record.show(best);
                }
                record
            }
            None => Self::new(id, best),
        };
        let alert = &mut record.alert;
        alert.count = alert.count.saturating_add(hits.len() as u64);
        for HitOfFlow { flow, .. } in hits {
            alert.first_seen = alert.first_seen.min(flow.start);
            alert.last_seen = alert.last_seen.max(flow.end);
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use netsage_api_types::{DetectorRef, Severity};
    use proptest::prelude::*;

    use super::*;
    use crate::record::{AlertHit, FlowRecord};

    /// A flow, its hit and its detector, to be changed one by one.
    #[derive(Debug, Clone)]
    struct Owned {
        flow: FlowRecord,
        hit: AlertHit,
        detector: DetectorRef,
    }

    impl Owned {
        fn lend(&self) -> HitOfFlow<'_> {
            HitOfFlow {
                hit: &self.hit,
                flow: &self.flow,
                detector: &self.detector,
                schema: "unsw-nb15@1",
            }
        }
    }

    fn hit(flow: u8, score: u8, start: i64) -> Owned {
        Owned {
            flow: FlowRecord {
                id: [flow; 16],
                start,
                end: start + i64::from(score),
                source: IpAddr::from([10, 0, 0, 1]),
                source_port: u16::from(flow),
                destination: IpAddr::from([10, 0, 0, 2]),
                destination_port: 22,
                protocol: "tcp",
                service: "ssh",
                state: "FIN",
                packets: 1,
                bytes: 1,
                community_id: [flow; 20],
                fused: None,
            },
            hit: AlertHit {
                flow: 0,
                detector: 0,
                score: f32::from(score),
                threshold: 0.5,
                severity: Severity::High,
                contributions: Vec::new(),
            },
            detector: DetectorRef {
                name: "d".into(),
                version: "1.0.0".into(),
                digest: "0".repeat(64),
                generation: 1,
            },
        }
    }

    fn alert_id(hit: &Owned) -> Id {
        Key::new(&hit.lend(), 3_600_000).id()
    }

    #[test]
    fn what_shares_an_alert() {
        let base = hit(1, 1, 3_600_000);
        let check = |change: &dyn Fn(&mut Owned), same: bool| {
            let mut other = base.clone();
            change(&mut other);
            assert_eq!(alert_id(&base) == alert_id(&other), same, "{other:?}");
            let hits = [base.lend(), other.lend()];
            let groups = group(hits.into_iter(), 3_600_000).count();
            assert_eq!(groups, if same { 1 } else { 2 }, "{other:?}");
        };
        check(&|hit| hit.flow.start += 3_599_999, true);
        check(&|hit| hit.flow.start += 3_600_000, false);
        check(&|hit| hit.flow.start -= 1, false);
        check(&|hit| hit.detector.version = "2.0.0".into(), true);
        check(&|hit| hit.detector.digest = "1".repeat(64), true);
        check(&|hit| hit.detector.generation = 2, true);
        check(&|hit| hit.detector.name = "e".into(), false);
        check(&|hit| hit.flow.source = IpAddr::from([10, 0, 0, 3]), false);
        check(&|hit| hit.flow.service = "http", false);
        check(&|hit| hit.flow.destination = IpAddr::from([10, 0, 0, 9]), true);
        check(
            &|hit| (hit.flow.protocol, hit.flow.service) = ("tcp/s", "sh"),
            false,
        );
    }

    #[test]
    fn an_id_stays_what_it_was_for_stores_of_earlier_versions() {
        assert_eq!(
            to_hex(&alert_id(&hit(1, 1, 3_600_000))),
            "f1063aa6265c659daff3e60b41362011"
        );
    }

    proptest! {
        #[test]
        fn the_order_of_delivery_makes_no_difference(
            scores in prop::collection::vec(0_u8..4, 1..20),
            cut in any::<prop::sample::Index>(),
            seed in any::<u64>(),
        ) {
            let hits: Vec<Owned> = (0_u8..).zip(&scores).map(|(flow, &score)| hit(flow, score, i64::from(flow))).collect();
            let straight: Vec<HitOfFlow<'_>> = hits.iter().map(Owned::lend).collect();
            let mut turned = straight.clone();
            turned.sort_by_key(|hit| u64::from(hit.flow.source_port).wrapping_add(1).wrapping_mul(seed | 1));
            let id = alert_id(&hits[0]);
            let (first, second) = turned.split_at(cut.index(turned.len()));
            let at_once = AlertRecord::extend(None, &id, &straight);
            let in_two = AlertRecord::extend(AlertRecord::extend(None, &id, first), &id, second);
            prop_assert_eq!(&at_once, &in_two);
            prop_assert_eq!(at_once.map(|record| record.alert.count), Some(hits.len() as u64));
        }
    }
}
