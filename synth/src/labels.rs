//! Which label a flow of a meter belongs to.

use std::collections::HashMap;
use std::net::IpAddr;

use netsage_schema::Identity;
use netsage_schema::csv::UNKNOWN_PROTOCOL;

use crate::label::FlowLabel;
use crate::wire::{TCP, UDP};

/// Two endpoints in a fixed order, and the IP protocol between them: the same for both directions.
type Conversation = ((IpAddr, u16), (IpAddr, u16), u8);

/// Labels by conversation.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    by_conversation: HashMap<Conversation, Vec<FlowLabel>>,
}

impl Labels {
    /// Labels in any order.
    pub fn new(labels: impl IntoIterator<Item = FlowLabel>) -> Self {
        let mut by_conversation: HashMap<Conversation, Vec<FlowLabel>> = HashMap::new();
        for label in labels {
            let key = conversation(
                (label.source, label.source_port),
                (label.destination, label.destination_port),
                label.protocol,
            );
            by_conversation.entry(key).or_default().push(label);
        }
        Self { by_conversation }
    }

    /// The label of a flow: among the labels with the 5-tuple of the flow, in either direction, the label whose time
    /// overlaps the flow for longest.
    pub fn find(&self, flow: &Identity) -> Option<&FlowLabel> {
        // Labels of protocols without ports have port 0, where a meter puts the type and code of ICMP; and ARP, which
        // is no IP protocol, has number 0.
        let (ports, protocol) = match flow.protocol {
            TCP | UDP => ((flow.source_port, flow.destination_port), flow.protocol),
            UNKNOWN_PROTOCOL => ((0, 0), 0),
            other => ((0, 0), other),
        };
        let key = conversation((flow.source, ports.0), (flow.destination, ports.1), protocol);
        let overlap = |label: &FlowLabel| {
            flow.end_ns
                .min(label.end_ns)
                .saturating_sub(flow.start_ns.max(label.start_ns))
        };
        self.by_conversation
            .get(&key)?
            .iter()
            .filter(|label| overlap(label) >= 0)
            .max_by_key(|label| overlap(label))
    }
}

fn conversation(one: (IpAddr, u16), other: (IpAddr, u16), protocol: u8) -> Conversation {
    (one.min(other), one.max(other), protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn label(protocol: u8, ports: (u16, u16), time: (i64, i64), behaviour: &'static str) -> FlowLabel {
        FlowLabel {
            source: ONE,
            source_port: ports.0,
            destination: OTHER,
            destination_port: ports.1,
            protocol,
            start_ns: time.0,
            end_ns: time.1,
            behaviour,
            attack: false,
        }
    }

    #[test]
    fn a_flow_finds_its_label() {
        let labels = Labels::new([
            label(6, (1000, 80), (0, 100), "web"),
            label(6, (1000, 80), (90, 300), "beacon"),
            label(0, (0, 0), (0, 10), "arp"),
            label(1, (0, 0), (0, 10), "ping"),
        ]);
        let check =
            |protocol, from: (IpAddr, u16), to: (IpAddr, u16), time: (i64, i64), expected: Option<&str>| {
                let found = labels.find(&Identity {
                    start_ns: time.0,
                    end_ns: time.1,
                    source: from.0,
                    source_port: from.1,
                    destination: to.0,
                    destination_port: to.1,
                    protocol,
                });
                assert_eq!(found.map(|label| label.behaviour), expected);
            };
        check(6, (ONE, 1000), (OTHER, 80), (0, 50), Some("web"));
        check(6, (OTHER, 80), (ONE, 1000), (0, 50), Some("web"));
        check(6, (ONE, 1000), (OTHER, 80), (95, 200), Some("beacon"));
        check(6, (ONE, 1000), (OTHER, 80), (300, 300), Some("beacon"));
        check(6, (ONE, 1000), (OTHER, 80), (301, 400), None);
        check(17, (ONE, 1000), (OTHER, 80), (0, 50), None);
        // Types and codes stand where others have ports.
        check(1, (ONE, 8), (OTHER, 0), (3, 4), Some("ping"));
        check(UNKNOWN_PROTOCOL, (OTHER, 0), (ONE, 0), (3, 4), Some("arp"));
    }
}
