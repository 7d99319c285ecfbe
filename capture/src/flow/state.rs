//! What one flow remembers, and of it what one record tells.

use netsage_schema::Identity;

use super::gaps::Gaps;
use super::key::Endpoints;
use super::table::TimeoutClass;
use super::tcp::Tcp;
use crate::application::Conversation;
use crate::decode::{Decoded, IcmpMessage, Transport, protocol};

/// One direction of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Direction {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) time_to_live: u8,
    pub(crate) gaps: Gaps,
}

/// A flow; index 0 of its pairs is the source.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(crate) endpoints: Endpoints,
    /// First and last packet of the record.
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) directions: [Direction; 2],
    pub(crate) tcp: Tcp,
    pub(crate) icmp: Option<IcmpMessage>,
    pub(crate) conversation: Conversation,
    /// Records of this flow that were finished before.
    pub(crate) earlier_records: u64,
    is_orphan_fragment: bool,
}

impl Flow {
    pub(crate) fn new(endpoints: Endpoints, packet: &Decoded<'_>, is_orphan_fragment: bool) -> Self {
        let icmp = match packet.transport {
            Transport::Icmp(message) => Some(message),
            _ => None,
        };
        Self {
            endpoints,
            start_ns: i64::MAX,
            end_ns: i64::MIN,
            directions: [Direction::default(); 2],
            tcp: Tcp::default(),
            icmp,
            conversation: Conversation::default(),
            earlier_records: 0,
            is_orphan_fragment,
        }
    }

    /// 0 when the packet goes from the source to the destination, 1 when it answers.
    pub(crate) fn direction_of(&self, packet: &Decoded<'_>, endpoints: &Endpoints) -> usize {
        let ports = match packet.transport {
            // Equal addresses and ports on both sides happen; everything then counts for the source.
            Transport::Tcp(_) | Transport::Udp(_) => {
                let sent_from = if endpoints.turned {
                    endpoints.destination_port
                } else {
                    endpoints.source_port
                };
                sent_from == self.endpoints.source_port
            }
            Transport::Icmp(message) if self.endpoints.source == self.endpoints.destination => {
                !message.is_reply()
            }
            _ => true,
        };
        usize::from(packet.source != self.endpoints.source || !ports)
    }

    /// Counts a packet.
    pub(crate) fn packet(&mut self, packet: &Decoded<'_>, direction: usize, bytes: u64, time_ns: i64) {
        self.start_ns = self.start_ns.min(time_ns);
        self.end_ns = self.end_ns.max(time_ns);
        let active = match &packet.transport {
            Transport::Tcp(segment) => self
                .tcp
                .segment(direction, segment, packet.identification, time_ns),
            Transport::Icmp(message) if !message.is_reply() => {
                // A question seen after its answer says better what the flow is about.
                self.icmp = Some(*message);
                true
            }
            _ => true,
        };
        let counts = &mut self.directions[direction];
        counts.packets += 1;
        counts.bytes += bytes;
        counts.time_to_live = packet.time_to_live;
        counts.gaps.packet(time_ns, active);
    }

    /// How long the flow is remembered after its record was reported.
    pub(crate) fn timeout_class(&self) -> TimeoutClass {
        match self.endpoints.protocol {
            _ if self.is_orphan_fragment => TimeoutClass::Ip,
            protocol::TCP => TimeoutClass::Tcp,
            protocol::ICMP | protocol::ICMPV6 => TimeoutClass::Icmp,
            protocol::ARP => TimeoutClass::Arp,
            _ => TimeoutClass::Ip,
        }
    }

    /// Whether the record has a packet.
    pub(crate) fn has_packets(&self) -> bool {
        self.directions.iter().any(|direction| direction.packets > 0)
    }

    /// Begins a new record of the same flow.
    pub(crate) fn restart_record(&mut self) {
        self.start_ns = i64::MAX;
        self.end_ns = i64::MIN;
        self.earlier_records += 1;
        self.tcp.restart_record();
        for direction in &mut self.directions {
            direction.packets = 0;
            direction.bytes = 0;
            direction.gaps.restart();
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            source: self.endpoints.source,
            source_port: self.endpoints.source_port,
            destination: self.endpoints.destination,
            destination_port: self.endpoints.destination_port,
            protocol: self.endpoints.protocol,
        }
    }
}
