//! The state of a flow, and the part of that state that one record reports.

use netsage_schema::Identity;
use netsage_schema::community_id::{self, CommunityId, Ports};

use super::cells::NONE;
use super::key::Endpoints;
use super::tcp::Tcp;
use super::timeout::Queue;
use crate::application::Conversation;
use crate::decode::{Decoded, IcmpMessage, TcpSegment, Transport, protocol};

/// A flow; index 0 of its pairs is the source. `N` is what the columns of a schema add up from its packets.
#[derive(Debug, Clone)]
pub(crate) struct Flow<N> {
    pub(crate) endpoints: Endpoints,
    /// First packet of each side in the record, `i64::MAX` before it.
    starts_ns: [i64; 2],
    /// Last packet of the record, `i64::MIN` before the first.
    pub(crate) end_ns: i64,
    /// The side that was seen first: the source, as Argus has it.
    first_sender: u8,
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
            starts_ns: [i64::MAX; 2],
            end_ns: i64::MIN,
            first_sender: 0,
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
        let is_first_of_record = !self.has_packets();
        if is_first_of_record && self.earlier_records == 0 {
            self.first_sender = u8::from(direction == 1);
        }
        self.has_many_packets |= !is_first_of_record || self.earlier_records > 0;
        self.note_time(direction, time_ns);
        match &packet.transport {
            Transport::Tcp(segment) => {
                self.tcp
                    .segment(direction, segment, packet.identification, microseconds(time_ns))
            }
            Transport::Icmp(message) => {
                // What the record is about: its first message, or a question that comes after its answer.
                if is_first_of_record || message.is_question() {
                    self.icmp = Some(*message);
                }
                true
            }
            _ => true,
        }
    }

    fn note_time(&mut self, direction: usize, time_ns: i64) {
        self.starts_ns[direction] = self.starts_ns[direction].min(time_ns);
        self.end_ns = self.end_ns.max(time_ns);
    }

    /// Notes the packet that opens another connection on the same ports. Argus has put its time into the old
    /// record before it finds that it belongs to another.
    pub(crate) fn closed_by(&mut self, segment: &TcpSegment<'_>, direction: usize, time_ns: i64) {
        if self.has_packets() {
            self.note_time(direction, time_ns);
        }
        self.tcp.closed_by(segment, direction);
    }

    /// First packet of the record.
    pub(crate) fn start_ns(&self) -> i64 {
        let [source, destination] = self.starts_ns;
        source.min(destination)
    }

    /// When the record begins for `ra`: it compares the first packets of both sides by their whole seconds, and
    /// within one second takes that of the side that was seen first in the flow. A TCP record of one packet begins
    /// where it ends.
    pub(crate) fn start_of_record_ns(&self, packets: u64) -> i64 {
        let first = usize::from(self.first_sender);
        let (first_ns, other_ns) = (self.starts_ns[first], self.starts_ns[1 - first]);
        if packets == 1 && self.endpoints.protocol == protocol::TCP {
            self.end_ns
        } else if first_ns > self.end_ns || other_ns.div_euclid(SECOND_NS) < first_ns.div_euclid(SECOND_NS) {
            // In this record that side may not have sent, and time may be at its end.
            other_ns
        } else {
            first_ns
        }
    }

    /// The side that was seen first.
    pub(crate) fn first_sender(&self) -> usize {
        usize::from(self.first_sender)
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
        self.start_ns() <= self.end_ns
    }

    /// Begins a new record of the same flow.
    pub(crate) fn restart_record(&mut self) {
        self.starts_ns = [i64::MAX; 2];
        self.end_ns = i64::MIN;
        self.earlier_records = self.earlier_records.saturating_add(1);
        self.tcp.restart_record();
    }

    /// The identity of a record that begins then and whose source is this side.
    pub(crate) fn identity_from(&self, source_side: usize, start_ns: i64) -> Identity {
        let ends = &self.endpoints;
        let mut sides = [
            (ends.source, ends.source_port),
            (ends.destination, ends.destination_port),
        ];
        sides.rotate_left(source_side);
        let [(source, source_port), (destination, destination_port)] = sides;
        Identity {
            start_ns,
            end_ns: self.end_ns,
            source,
            source_port,
            destination,
            destination_port,
            protocol: ends.protocol,
        }
    }

    /// The side that Argus takes for the source of the record; it decides for each record anew.
    pub(crate) fn source_of_record(&self) -> usize {
        let ends = &self.endpoints;
        match ends.protocol {
            protocol::TCP => self
                .tcp
                .source_of_record(self.first_sender(), [ends.source_port, ends.destination_port]),
            _ => 0,
        }
    }

    /// Last packet minus start of the record, in seconds of whole microseconds, as Argus has it.
    pub(crate) fn duration(&self, packets: u64) -> f64 {
        let start_us = microseconds(self.start_of_record_ns(packets));
        let duration_us = microseconds(self.end_ns).saturating_sub(start_us);
        duration_us.max(0) as f64 / 1e6
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

const SECOND_NS: i64 = 1_000_000_000;

/// Time as Argus tells it.
pub(crate) fn microseconds(time_ns: i64) -> i64 {
    time_ns.div_euclid(1_000)
}
