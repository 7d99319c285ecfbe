//! An alert, and how it counts hits.

use netsage_api_types::{Alert, AlertState};

use crate::key::kind;
use crate::text::{community_id, to_hex};
use crate::{Best, HitOfFlow, Id};

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
    pub(crate) fn shown(&self) -> Best {
        Best {
            score: self.alert.score,
            flow: self.best_flow,
        }
    }

    /// An alert that shows this flow and has counted none yet.
    pub(crate) fn new(id: &Id, hit: &HitOfFlow<'_>) -> Self {
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
                network: flow.provenance.network().to_owned(),
                sensor: flow.provenance.sensor().to_owned(),
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
                sources: None,
                merged_into: None,
            },
            best_flow: flow.id,
        }
    }

    /// This alert and another one of the same source and cell, which has counted other flows. Identity and state are those
    /// of this one.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        let (first_seen, last_seen) = (
            self.alert.first_seen.min(other.alert.first_seen),
            self.alert.last_seen.max(other.alert.last_seen),
        );
        let count = self.alert.count.saturating_add(other.alert.count);
        if other.shown().beats(&self.shown()) {
            self.take_face(other);
        }
        self.alert.first_seen = first_seen;
        self.alert.last_seen = last_seen;
        self.alert.count = count;
        self
    }

    /// Shows the flow that another alert shows, and all that belongs to that flow.
    pub(crate) fn take_face(&mut self, other: Self) {
        let theirs = other.alert;
        let ours = &mut self.alert;
        ours.source = theirs.source;
        ours.source_port = theirs.source_port;
        ours.destination = theirs.destination;
        ours.destination_port = theirs.destination_port;
        ours.protocol = theirs.protocol;
        ours.sensor = theirs.sensor;
        ours.community_id = theirs.community_id;
        ours.score = theirs.score;
        ours.threshold = theirs.threshold;
        ours.severity = theirs.severity;
        ours.detector = theirs.detector;
        ours.schema = theirs.schema;
        ours.contributions = theirs.contributions;
        self.best_flow = other.best_flow;
    }

    /// Makes the alert show this flow.
    pub(crate) fn show(&mut self, hit: &HitOfFlow<'_>) {
        let HitOfFlow {
            hit,
            flow,
            detector,
            schema,
        } = *hit;
        let alert = &mut self.alert;
        alert.source = flow.source.to_string();
        alert.source_port = flow.source_port;
        alert.destination = flow.destination.to_string();
        alert.destination_port = flow.destination_port;
        flow.protocol.clone_into(&mut alert.protocol);
        flow.provenance.sensor().clone_into(&mut alert.sensor);
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
        let Some(best) = best_of(hits) else { return record };
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

/// The hit whose flow is shown; `None` of none.
pub fn best_of<'h, 'a>(hits: &'h [HitOfFlow<'a>]) -> Option<&'h HitOfFlow<'a>> {
    hits.iter().reduce(|best, hit| {
        if hit.claim().beats(&best.claim()) {
            hit
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netsage_schema::Provenance;

    use super::*;
    use crate::samples::{Owned, hit};
    use crate::{AlertWindow, Key};

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
            &|hit| hit.flow.provenance = Provenance::new("tap", "", true),
            true,
        );
        check(
            &|hit| hit.flow.provenance = Provenance::new("", "branch", false),
            false,
        );
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
}
