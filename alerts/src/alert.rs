//! From hits to alerts.

use std::collections::{BTreeMap, HashMap, HashSet};

use netsage_api_types::{Alert, AlertState};

use crate::key::kind;
use crate::text::{community_id, to_hex};
use crate::{AlertWindow, Best, HitOfFlow, Id, Key};

/// The hits of a delivery that belong to one alert, each flow once.
#[derive(Debug)]
pub struct AlertGroup<'a> {
    /// Id of the alert.
    pub id: Id,
    /// Its hits, at least one.
    pub hits: Vec<HitOfFlow<'a>>,
}

/// Sorts hits by the alert they belong to. Of several hits of one flow for one alert the first counts.
pub fn group<'a>(
    hits: impl Iterator<Item = HitOfFlow<'a>>,
    window: AlertWindow,
) -> impl Iterator<Item = AlertGroup<'a>> {
    type Found<'a> = (Vec<HitOfFlow<'a>>, HashSet<&'a Id>);
    let mut by_key: HashMap<(&'a str, Key<'static>), Found<'a>> = HashMap::new();
    for hit in hits {
        let key = (hit.detector.name.as_str(), Key::of(hit.flow, window));
        let (hits, seen) = by_key.entry(key).or_default();
        if seen.insert(&hit.flow.id) {
            hits.push(hit);
        }
    }
    // In the order of their ids, so that two writers take them in the same order.
    let by_id: BTreeMap<Id, Vec<HitOfFlow<'a>>> = by_key
        .into_iter()
        .map(|((detector, key), (hits, _))| (key.id(detector), hits))
        .collect();
    by_id.into_iter().map(|(id, hits)| AlertGroup { id, hits })
}

/// An alert, and the flow whose ports, score and explanation it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRecord {
    /// The alert as people see it.
    pub alert: Alert,
    /// The flow that it shows; see [`Best`].
    pub best_flow: Id,
}

impl AlertRecord {
    /// The flow that the alert shows.
    fn shown(&self) -> Best {
        Best {
            score: self.alert.score,
            flow: self.best_flow,
        }
    }

    /// An alert that shows this flow and has counted none yet.
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

    /// Makes the alert show this flow.
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

    /// Counts hits of flows that the alert has not counted yet; without a `record` a new alert is made. `None` when
    /// there is neither a record nor a hit. The state is kept: further hits do not open an alert that a person closed.
    pub fn extend(record: Option<Self>, id: &Id, hits: &[HitOfFlow<'_>]) -> Option<Self> {
        let best = hits.iter().reduce(|best, hit| {
            if hit.claim().beats(&best.claim()) {
                hit
            } else {
                best
            }
        });
        let Some(best) = best else { return record };
        let mut record = match record {
            Some(mut record) => {
                if best.claim().beats(&record.shown()) {
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
    use std::net::IpAddr;

    use netsage_api_types::{DetectorRef, Severity};
    use proptest::prelude::*;

    use super::*;
    use crate::{AlertHit, FlowRecord};

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
        Key::of(&hit.flow, AlertWindow::default()).id(&hit.detector.name)
    }

    #[test]
    fn what_shares_an_alert() {
        let base = hit(1, 1, 3_600_000);
        let check = |change: &dyn Fn(&mut Owned), same: bool| {
            let mut other = base.clone();
            change(&mut other);
            assert_eq!(alert_id(&base) == alert_id(&other), same, "{other:?}");
            let hits = [base.lend(), other.lend()];
            let groups = group(hits.into_iter(), AlertWindow::default()).count();
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

    /// Delivers hits in batches and counts each where it belongs, as a store does.
    fn deliver<'a>(batches: &[&[HitOfFlow<'a>]], window: AlertWindow) -> BTreeMap<Id, AlertRecord> {
        let mut alerts: BTreeMap<Id, AlertRecord> = BTreeMap::new();
        for batch in batches {
            for AlertGroup { id, hits } in group(batch.iter().copied(), window) {
                let record = AlertRecord::extend(alerts.remove(&id), &id, &hits);
                alerts.insert(id, record.expect("a group has hits"));
            }
        }
        alerts
    }

    proptest! {
        #[test]
        fn neither_order_nor_batches_make_a_difference(
            flows in prop::collection::vec((0_u8..4, 0_i64..4_000, 0_u8..2, 0_usize..2), 1..40),
            cuts in prop::array::uniform2(any::<prop::sample::Index>()),
            seed in any::<u64>(),
        ) {
            let window = AlertWindow::of_ms(1_000);
            let hits: Vec<Owned> = (0_u8..)
                .zip(&flows)
                .map(|(number, &(score, start, source, detector))| {
                    let mut hit = hit(number, score, start);
                    hit.flow.source = IpAddr::from([10, 0, 0, source]);
                    hit.detector.name = ["d", "e"][detector].to_owned();
                    hit
                })
                .collect();
            let straight: Vec<HitOfFlow<'_>> = hits.iter().map(Owned::lend).collect();
            let mut turned = straight.clone();
            turned.sort_by_key(|hit| u64::from(hit.flow.source_port).wrapping_add(1).wrapping_mul(seed | 1));
            let mut cuts = cuts.map(|cut| cut.index(turned.len()));
            cuts.sort_unstable();
            let batches = [&turned[..cuts[0]], &turned[cuts[0]..cuts[1]], &turned[cuts[1]..]];
            let at_once = deliver(&[&straight], window);
            prop_assert_eq!(&at_once, &deliver(&batches, window));
            let counted: u64 = at_once.values().map(|record| record.alert.count).sum();
            prop_assert_eq!(counted, hits.len() as u64);
            for (id, record) in &at_once {
                prop_assert_eq!(&record.alert.id, &to_hex(id));
            }
        }
    }
}
