//! Where a source stands, and what its flows say of that.

use std::collections::HashMap;
use std::sync::Arc;

use netsage_records::{Network, Origin, Record, flow_id};
use netsage_schema::{FlowBatch, Provenance};

/// Most pairs of names that are remembered: a sender that makes names up is not to take memory for each.
const MOST_NAMED: usize = 4_096;

/// The names of a source: what its flows come from that do not say so themselves. `""` stands for no name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// The sensor that sees the flows; in no key.
    pub sensor: Arc<str>,
    /// The network that addresses belong to; part of ids, of windows, of the hashes that detectors get, and of alerts.
    pub network: Arc<str>,
}

impl Site {
    /// A site of these names.
    pub fn new(sensor: &str, network: &str) -> Self {
        Self {
            sensor: sensor.into(),
            network: network.into(),
        }
    }

    /// The origin of records of this site, as far as it is part of their identity.
    pub fn origin(&self) -> Origin {
        Origin {
            network: Network::named(&self.network),
            exporter: None,
        }
    }

    /// Names what a record does not name itself.
    pub fn name(&self, record: &mut Record) {
        for (own, usual) in [
            (&mut record.sensor, &self.sensor),
            (&mut record.network, &self.network),
        ] {
            if own.is_none() && !usual.is_empty() {
                *own = Some(Arc::clone(usual));
            }
        }
    }

    /// Says of the flows of a batch from one on where they come from, if nothing says so yet.
    pub fn mark(&self, batch: &mut FlowBatch, from: usize) {
        let provenance = Provenance::new(&self.sensor, &self.network, false);
        if provenance.is_none() {
            return;
        }
        let origin = self.origin();
        let flows = batch.identities.iter().zip(&mut batch.ids);
        for ((identity, id), said) in flows.zip(&mut batch.provenances).skip(from) {
            if said.is_none() {
                said.clone_from(&provenance);
            }
            // An id that a flow has already is that of whoever knows more.
            if id.is_none() && origin.network != Network::UNNAMED {
                *id = Some(flow_id(identity, &origin, None));
            }
        }
    }
}

/// The provenances of records, each made once.
pub(crate) struct Provenances {
    site: Site,
    /// Of records that name nothing themselves: in their turn, and late.
    usual: [Provenance; 2],
    /// Of others, by sensor, network, and whether they are late.
    named: HashMap<(Arc<str>, Arc<str>, bool), Provenance>,
}

impl Provenances {
    /// Of records of this site.
    pub(crate) fn new(site: &Site) -> Self {
        Self {
            site: site.clone(),
            usual: [false, true].map(|is_late| Provenance::new(&site.sensor, &site.network, is_late)),
            named: HashMap::new(),
        }
    }

    /// Where a record comes from; what it names itself comes first.
    pub(crate) fn of(&mut self, record: &Record, is_late: bool) -> Provenance {
        if record.sensor.is_none() && record.network.is_none() {
            let [usual, late] = &self.usual;
            return if is_late { late } else { usual }.clone();
        }
        let name = |own: &Option<Arc<str>>, usual: &Arc<str>| Arc::clone(own.as_ref().unwrap_or(usual));
        let sensor = name(&record.sensor, &self.site.sensor);
        let network = name(&record.network, &self.site.network);
        if self.named.len() >= MOST_NAMED {
            self.named.clear();
        }
        let key = (sensor, network, is_late);
        let made =
            |(sensor, network, _): &(Arc<str>, Arc<str>, bool)| Provenance::new(sensor, network, is_late);
        self.named.entry(key).or_insert_with_key(made).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netsage_records::{BytesOf, OwnId};
    use netsage_schema::{CommunityId, Identity, RECORD_V1};

    use super::*;

    fn record(sensor: Option<&str>, network: Option<&str>) -> Record {
        Record {
            start_us: 0,
            end_us: 1,
            source: IpAddr::from([10, 0, 0, 1]),
            destination: IpAddr::from([10, 0, 0, 2]),
            source_port: 1,
            destination_port: 53,
            protocol: 17,
            service: None,
            state: None,
            packets: None,
            bytes: None,
            bytes_of: BytesOf::Network,
            payload: None,
            sampling: 1,
            own_id: None::<OwnId>,
            sensor: sensor.map(Arc::from),
            network: network.map(Arc::from),
            foreign: None,
        }
    }

    #[test]
    fn what_a_record_names_comes_first() {
        let site = Site::new("tap", "hq");
        let mut provenances = Provenances::new(&site);
        let mut check = |sensor, network, is_late, expected: (&str, &str)| {
            let mut record = record(sensor, network);
            let found = provenances.of(&record, is_late);
            assert_eq!(found, Provenance::new(expected.0, expected.1, is_late));
            site.name(&mut record);
            let names = (record.sensor.as_deref(), record.network.as_deref());
            assert_eq!(names, (Some(expected.0), Some(expected.1)));
        };
        let mut unnamed = record(None, None);
        Site::default().name(&mut unnamed);
        assert_eq!(unnamed, record(None, None));
        for is_late in [false, true] {
            check(None, None, is_late, ("tap", "hq"));
            check(Some("zeek"), None, is_late, ("zeek", "hq"));
            check(None, Some("branch"), is_late, ("tap", "branch"));
            check(Some("zeek"), Some("branch"), is_late, ("zeek", "branch"));
        }
    }

    #[test]
    fn flows_of_packets_are_those_of_the_site() {
        let [source, destination] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let identity = Identity {
            start_ns: 1_000,
            end_ns: 2_000,
            source,
            source_port: 1,
            destination,
            destination_port: 53,
            protocol: 17,
        };
        let own = Some([7; 16]);
        let named = Provenance::new("zeek", "branch", true);
        let check = |site: Site, has_id: bool| {
            let mut batch = FlowBatch::new(&RECORD_V1);
            let row = vec![0.0; RECORD_V1.width()];
            let community_id = CommunityId::of(&identity);
            for _ in 0..2 {
                batch.push(&row, identity, community_id);
            }
            batch.push_as(&row, identity, community_id, own, named.clone());
            site.mark(&mut batch, 1);
            let expected = Provenance::new(&site.sensor, &site.network, false);
            assert_eq!(batch.provenances, [Provenance::NONE, expected, named.clone()]);
            assert_eq!(batch.ids[0], None);
            assert_eq!(batch.ids[1].is_some(), has_id, "{site:?}");
            assert_ne!(batch.ids[1], Some(flow_id(&identity, &Origin::default(), None)));
            assert_eq!(batch.ids[2], own);
        };
        check(Site::default(), false);
        check(Site::new("tap", ""), false);
        check(Site::new("", "hq"), true);
    }
}
