//! What one flow remembers, and of it what one record tells.

use netsage_schema::Identity;

use super::cells::NONE;
use super::key::Endpoints;
use super::tcp::Tcp;
use super::timeout::Queue;
use crate::application::Conversation;
use crate::community_id::{self, CommunityId, Ports};
use crate::decode::{Decoded, IcmpMessage, Transport, protocol};

/// A flow; index 0 of its pairs is the source. `N` is what the columns of a schema add up from its packets.
#[derive(Debug, Clone)]
pub(crate) struct Flow<N> {
    pub(crate) endpoints: Endpoints,
    /// First and last packet of the record.
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) tcp: Tcp,
    pub(crate) icmp: Option<IcmpMessage>,
    pub(crate) conversation: Conversation,
    pub(crate) near: N,
    /// The flow's second cell.
    pub(crate) far: u32,
    /// Records of this flow that were finished before.
    pub(crate) earlier_records: u32,
    pub(crate) is_orphan_fragment: bool,
    has_many_packets: bool,
}

impl<N: Default> Flow<N> {
    pub(crate) fn new(endpoints: Endpoints, packet: &Decoded<'_>, is_orphan_fragment: bool) -> Self {
        let icmp = match packet.transport {
            Transport::Icmp(message) => Some(message),
            _ => None,
        };
        Self {
            endpoints,
            start_ns: i64::MAX,
            end_ns: i64::MIN,
            tcp: Tcp::default(),
            icmp,
            conversation: Conversation::default(),
            near: N::default(),
            far: NONE,
            earlier_records: 0,
            is_orphan_fragment,
            has_many_packets: false,
        }
    }
}

impl<N> Flow<N> {
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

    /// Notes a packet, apart from what the columns add up; says whether the gap before it was within an exchange.
    pub(crate) fn packet(&mut self, packet: &Decoded<'_>, direction: usize, time_ns: i64) -> bool {
        self.has_many_packets |= self.start_ns <= self.end_ns || self.earlier_records > 0;
        self.start_ns = self.start_ns.min(time_ns);
        self.end_ns = self.end_ns.max(time_ns);
        match &packet.transport {
            Transport::Tcp(segment) => self
                .tcp
                .segment(direction, segment, packet.identification, time_ns),
            Transport::Icmp(message) if !message.is_reply() => {
                // A question seen after its answer says better what the flow is about.
                self.icmp = Some(*message);
                true
            }
            _ => true,
        }
    }

    /// Whether it may be an attempt and nothing more: a TCP flow that opened with SYN and whose handshake is not
    /// complete, or any other flow of one packet.
    pub(crate) fn is_half_open(&self) -> bool {
        self.tcp.is_half_open() || !self.has_many_packets
    }

    /// Where the flow is remembered after its record was reported.
    pub(crate) fn retires_to(&self) -> Queue {
        match self.endpoints.protocol {
            _ if self.is_orphan_fragment => Queue::Ip,
            protocol::TCP => Queue::Tcp,
            protocol::ICMP | protocol::ICMPV6 => Queue::Icmp,
            protocol::ARP => Queue::Arp,
            _ => Queue::Ip,
        }
    }

    /// Whether the record has a packet.
    pub(crate) fn has_packets(&self) -> bool {
        self.start_ns <= self.end_ns
    }

    /// Begins a new record of the same flow.
    pub(crate) fn restart_record(&mut self) {
        self.start_ns = i64::MAX;
        self.end_ns = i64::MIN;
        self.earlier_records = self.earlier_records.saturating_add(1);
        self.tcp.restart_record();
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

    pub(crate) fn community_id(&self) -> CommunityId {
        let ends = &self.endpoints;
        let ports = match (&self.icmp, ends.protocol) {
            (Some(message), _) => Some(community_id::icmp_ports(
                message.version6,
                message.request_kind().unwrap_or(message.kind),
                message.code,
            )),
            // TCP, UDP; SCTP has ports too, but its flows are metered by address.
            (None, protocol::TCP | protocol::UDP) => Some(Ports {
                source: ends.source_port,
                destination: ends.destination_port,
                one_way: false,
            }),
            (None, _) => None,
        };
        CommunityId::new(ends.source, ends.destination, ends.protocol, ports)
    }
}
