//! The rule that turns hits into alerts. Pure: both backends call it and only keep the outcome.

use std::collections::{BTreeMap, HashSet};

use netsage_api_types::{Alert, AlertState};
use sha2::{Digest, Sha256};

use crate::record::{AlertHit, Id, to_hex};

/// The hits of one batch that belong to one alert, each flow once.
#[derive(Debug)]
pub(crate) struct AlertGroup<'a> {
    pub(crate) id: Id,
    pub(crate) hits: Vec<&'a AlertHit>,
}

/// Sorts hits by the alert they belong to. Of several hits of one flow for one alert the first counts.
pub(crate) fn group(hits: &[AlertHit], window_ms: i64) -> Vec<AlertGroup<'_>> {
    let mut groups: BTreeMap<Id, Vec<&AlertHit>> = BTreeMap::new();
    let mut seen = HashSet::with_capacity(hits.len());
    for hit in hits {
        let id = alert_id(hit, window_ms);
        if seen.insert((id, hit.flow_id.as_str())) {
            groups.entry(id).or_default().push(hit);
        }
    }
    groups
        .into_iter()
        .map(|(id, hits)| AlertGroup { id, hits })
        .collect()
}

/// Derives the id of the alert that a hit belongs to: the same hit finds the same alert whenever it is delivered.
///
/// The detector's name takes part and its version does not: a replaced detector goes on with the alerts of the old.
pub(crate) fn alert_id(hit: &AlertHit, window_ms: i64) -> Id {
    let window = hit.start.div_euclid(window_ms.max(1));
    let mut hasher = Sha256::new();
    for text in [&hit.detector.name, &hit.source, &hit.kind] {
        // The length first, so that no two triples run into the same bytes.
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.update(window.to_le_bytes());
    let digest = hasher.finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

/// An alert, and the flow that gave it its face.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AlertRecord {
    pub(crate) alert: Alert,
    pub(crate) best_flow: String,
}

impl AlertRecord {
    /// An alert with this one flow in it.
    pub(crate) fn new(id: &Id, hit: &AlertHit) -> Self {
        Self {
            alert: Alert {
                id: to_hex(id),
                first_seen: hit.start,
                last_seen: hit.end,
                count: 1,
                kind: hit.kind.clone(),
                source: hit.source.clone(),
                source_port: hit.source_port,
                destination: hit.destination.clone(),
                destination_port: hit.destination_port,
                protocol: hit.protocol.clone(),
                community_id: hit.community_id.clone(),
                score: hit.score,
                threshold: hit.threshold,
                severity: hit.severity,
                detector: hit.detector.clone(),
                schema: hit.schema.clone(),
                contributions: hit.contributions.clone(),
                state: AlertState::New,
                changed_by: None,
                changed_at: None,
            },
            best_flow: hit.flow_id.clone(),
        }
    }

    /// Counts one more flow, which the caller knows is not in the alert yet. The state stays: what a person closed
    /// is not opened again by more of the same.
    pub(crate) fn count(&mut self, hit: &AlertHit) {
        let alert = &mut self.alert;
        alert.count = alert.count.saturating_add(1);
        alert.first_seen = alert.first_seen.min(hit.start);
        alert.last_seen = alert.last_seen.max(hit.end);
        let higher = hit.score > alert.score || (hit.score == alert.score && hit.flow_id < self.best_flow);
        if higher {
            alert.source_port = hit.source_port;
            alert.destination.clone_from(&hit.destination);
            alert.destination_port = hit.destination_port;
            alert.protocol.clone_from(&hit.protocol);
            alert.community_id.clone_from(&hit.community_id);
            alert.score = hit.score;
            alert.threshold = hit.threshold;
            alert.severity = hit.severity;
            alert.detector.clone_from(&hit.detector);
            alert.schema.clone_from(&hit.schema);
            alert.contributions.clone_from(&hit.contributions);
            self.best_flow.clone_from(&hit.flow_id);
        }
    }

    /// Counts hits of flows that are not in the alert yet, making the alert when there is none; `None` when there is
    /// neither.
    pub(crate) fn extend<'a>(
        record: Option<Self>,
        id: &Id,
        hits: impl IntoIterator<Item = &'a AlertHit>,
    ) -> Option<Self> {
        hits.into_iter().fold(record, |record, hit| match record {
            Some(mut record) => {
                record.count(hit);
                Some(record)
            }
            None => Some(Self::new(id, hit)),
        })
    }
}

#[cfg(test)]
mod tests {
    use netsage_api_types::{DetectorRef, Severity};
    use proptest::prelude::*;

    use super::*;

    fn hit(flow: u8, score: u8, start: i64) -> AlertHit {
        AlertHit {
            flow_id: to_hex(&[flow; 16]),
            source: "10.0.0.1".into(),
            source_port: u16::from(flow),
            destination: "10.0.0.2".into(),
            destination_port: 22,
            protocol: "tcp".into(),
            community_id: format!("1:{flow}"),
            kind: "tcp/ssh".into(),
            score: f32::from(score),
            threshold: 0.5,
            severity: Severity::High,
            detector: DetectorRef {
                name: "d".into(),
                version: "1.0.0".into(),
                digest: "0".repeat(64),
                generation: 1,
            },
            schema: "unsw-nb15@1".into(),
            contributions: Vec::new(),
            start,
            end: start + i64::from(score),
        }
    }

    #[test]
    fn what_shares_an_alert() {
        let base = hit(1, 1, 3_600_000);
        let check = |change: &dyn Fn(&mut AlertHit), same: bool| {
            let mut other = base.clone();
            change(&mut other);
            assert_eq!(
                alert_id(&base, 3_600_000) == alert_id(&other, 3_600_000),
                same,
                "{other:?}"
            );
        };
        check(&|hit| hit.start += 3_599_999, true);
        check(&|hit| hit.start += 3_600_000, false);
        check(&|hit| hit.start -= 1, false);
        check(&|hit| hit.detector.version = "2.0.0".into(), true);
        check(&|hit| hit.detector.digest = "1".repeat(64), true);
        check(&|hit| hit.detector.name = "e".into(), false);
        check(&|hit| hit.source = "10.0.0.3".into(), false);
        check(&|hit| hit.kind = "tcp/http".into(), false);
        check(&|hit| hit.destination = "10.0.0.9".into(), true);
        check(
            &|hit| (hit.source, hit.kind) = ("10.0.0.1t".into(), "cp/ssh".into()),
            false,
        );
    }

    proptest! {
        #[test]
        fn the_order_of_delivery_makes_no_difference(
            scores in prop::collection::vec(0_u8..4, 1..20),
            seed in any::<u64>(),
        ) {
            let hits: Vec<AlertHit> = (0_u8..).zip(&scores).map(|(flow, &score)| hit(flow, score, i64::from(flow))).collect();
            let mut turned: Vec<&AlertHit> = hits.iter().collect();
            turned.sort_by_key(|hit| u64::from(hit.source_port).wrapping_add(1).wrapping_mul(seed | 1));
            let id = alert_id(&hits[0], 3_600_000);
            let straight = AlertRecord::extend(None, &id, &hits);
            let shuffled = AlertRecord::extend(None, &id, turned);
            prop_assert_eq!(&straight, &shuffled);
            prop_assert_eq!(straight.map(|record| record.alert.count), Some(hits.len() as u64));
        }
    }
}
