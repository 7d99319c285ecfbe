//! The built-in sample: labelled traffic made here, metered like a capture.

use std::collections::HashMap;

use netsage_capture::{FlowBatch, LinkType, Meter, MeterConfig, Mode, Packet};
use netsage_schema::Identity;
use netsage_schema::csv::UNKNOWN_PROTOCOL;
use netsage_synth::{FlowLabel, Generator, SynthConfig};

use crate::dataset::{Dataset, PACKETS_PER_DRAIN, UNKNOWN};

/// IP protocol numbers of the protocols with ports in the labels.
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Slack between a label's times and a record's, as a status interval may end between packets.
const SLACK_NS: i64 = 1_000_000_000;

/// Generates about `flows` flows with attacks among them and meters the packets.
pub fn generate(flows: u32, seed: u64) -> Dataset {
    let config = SynthConfig {
        flows,
        seed,
        attacks: true,
        ..SynthConfig::default()
    };
    let mut data = Dataset::empty("sample");
    let mut meter = Meter::new(MeterConfig {
        mode: Mode::Replay,
        ..MeterConfig::default()
    });
    let mut batch = FlowBatch::default();
    let mut generator = Generator::new(config);
    let mut until_drain = PACKETS_PER_DRAIN;
    for packet in generator.by_ref() {
        // An Ethernet frame of the generator is at most a few kilobytes.
        let wire_length = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        meter.packet(&Packet {
            link: LinkType::Ethernet,
            time_ns: packet.time_ns,
            wire_length,
            bytes: &packet.bytes,
        });
        until_drain -= 1;
        if until_drain == 0 {
            until_drain = PACKETS_PER_DRAIN;
            if let Err(error) = data.take(&mut meter, &mut batch) {
                data.notes.push(error.to_string());
                break;
            }
        }
    }
    meter.finish();
    if let Err(error) = data.take(&mut meter, &mut batch) {
        data.notes.push(error.to_string());
    }
    data.packets = meter.stats().packets;
    join(&mut data, generator.labels());
    data
}

/// Labels each row with the flow of the same 5-tuple, in either direction, that was on at that time.
fn join(data: &mut Dataset, labels: &[FlowLabel]) {
    let mut by_tuple: HashMap<Tuple, Vec<&FlowLabel>> = HashMap::new();
    for label in labels {
        by_tuple.entry(Tuple::of_label(label)).or_default().push(label);
    }
    let identities = std::mem::take(&mut data.identities);
    for identity in &identities {
        let candidates = by_tuple.get(&Tuple::of_identity(identity));
        let label = candidates.and_then(|candidates| {
            candidates.iter().find(|label| {
                label.start_ns <= identity.end_ns.saturating_add(SLACK_NS)
                    && identity.start_ns <= label.end_ns.saturating_add(SLACK_NS)
            })
        });
        data.labels
            .push(label.map_or(UNKNOWN, |label| u8::from(label.attack)));
        let category = data.category(label.map_or("", |label| label.behaviour));
        data.categories.push(category);
    }
    data.identities = identities;
}

/// A 5-tuple whose two ends are in a fixed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Tuple {
    low: (std::net::IpAddr, u16),
    high: (std::net::IpAddr, u16),
    protocol: u8,
}

impl Tuple {
    fn new(one: (std::net::IpAddr, u16), other: (std::net::IpAddr, u16), protocol: u8) -> Self {
        Self {
            low: one.min(other),
            high: one.max(other),
            protocol,
        }
    }

    fn of_label(label: &FlowLabel) -> Self {
        let source = (label.source, label.source_port);
        Self::new(
            source,
            (label.destination, label.destination_port),
            label.protocol,
        )
    }

    /// Labels know ports of TCP and UDP alone, and ARP, which has no protocol number, as protocol 0; the meter
    /// puts the type and code of ICMP where ports would be, and ARP under the reserved number.
    fn of_identity(identity: &Identity) -> Self {
        let has_ports = matches!(identity.protocol, TCP | UDP);
        let port = |port| if has_ports { port } else { 0 };
        let protocol = if identity.protocol == UNKNOWN_PROTOCOL {
            0
        } else {
            identity.protocol
        };
        Self::new(
            (identity.source, port(identity.source_port)),
            (identity.destination, port(identity.destination_port)),
            protocol,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_row_of_the_sample_gets_its_label() {
        let data = generate(1_500, 7);
        assert!(data.rows.len() >= 1_000, "{} rows", data.rows.len());
        let unknown = data.labels.iter().filter(|&&label| label == UNKNOWN).count();
        assert!(
            unknown * 50 <= data.rows.len(),
            "{unknown} of {} without a label",
            data.rows.len()
        );
        assert!(data.labels.contains(&1) && data.labels.contains(&0));
    }

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let (one, other) = (generate(300, 3), generate(300, 3));
        assert_eq!(one.rows.values(), other.rows.values());
        assert_eq!(one.labels, other.labels);
    }
}
