//! Which flow a packet belongs to.

use std::net::IpAddr;

use super::services;
use crate::decode::{Decoded, IcmpMessage, Transport, protocol};

const DNS_PORT: u16 = 53;

/// The two sides of a packet as its flow sees them before the flow is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) source: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination: IpAddr,
    pub(crate) destination_port: u16,
    pub(crate) protocol: u8,
    /// The DNS transaction, the ICMP identifier, or the fragment: what parts flows beyond the 5-tuple.
    discriminator: u32,
    /// Type and code of ICMP.
    kind: u16,
    /// Whether the packet goes from the destination to the source: an answer seen without its question.
    pub(crate) turned: bool,
}

/// The type that stands for a question and all its answers.
fn asked_kind(message: &IcmpMessage) -> u8 {
    match (message.version6, message.kind) {
        // Listeners report and leave without being asked, and count as asked all the same.
        (true, 131 | 132) => 130,
        _ => message.request_kind().unwrap_or(message.kind),
    }
}

impl Endpoints {
    pub(crate) fn of(packet: &Decoded<'_>) -> Self {
        let mut endpoints = Self {
            source: packet.source,
            source_port: 0,
            destination: packet.destination,
            destination_port: 0,
            protocol: packet.protocol,
            discriminator: 0,
            kind: 0,
            turned: false,
        };
        match &packet.transport {
            Transport::Tcp(segment) => {
                endpoints.source_port = segment.source_port;
                endpoints.destination_port = segment.destination_port;
                endpoints.turned = match (segment.flags.syn(), segment.flags.ack()) {
                    (true, acknowledges) => acknowledges,
                    (false, _) => services::answers(segment.source_port, segment.destination_port),
                };
            }
            Transport::Udp(datagram) => {
                endpoints.source_port = datagram.source_port;
                endpoints.destination_port = datagram.destination_port;
                // Argus looks for transactions behind IPv4 only.
                let is_dns = packet.source.is_ipv4()
                    && (datagram.source_port == DNS_PORT || datagram.destination_port == DNS_PORT);
                if let ([high, low, ..], true) = (datagram.payload, is_dns) {
                    // Never 0, so that a transaction 0 is a transaction too.
                    endpoints.discriminator = 1 << 16 | u32::from(u16::from_be_bytes([*high, *low]));
                }
            }
            Transport::Icmp(message) => {
                endpoints.turned = !message.version6 && message.is_reply();
                let kind = asked_kind(message);
                let code = if message.is_error() || message.version6 {
                    message.code
                } else {
                    0
                };
                endpoints.kind = u16::from(kind) << 8 | u16::from(code);
                endpoints.discriminator = message.detail;
                // Type and code stand where others have ports.
                endpoints.source_port = u16::from(kind);
                endpoints.destination_port = u16::from(message.code);
            }
            Transport::Arp { reply } => endpoints.turned = *reply,
            // Argus knows SCTP flows by their addresses alone, as those of any other protocol.
            Transport::Sctp(_) | Transport::Other => {
                if let Some(fragment) = packet.fragment {
                    endpoints.discriminator = fragment.identification;
                }
            }
        }
        if endpoints.turned {
            std::mem::swap(&mut endpoints.source, &mut endpoints.destination);
            // The two ICMP numbers are no ports and keep their places.
            if !matches!(packet.transport, Transport::Icmp(_)) {
                std::mem::swap(&mut endpoints.source_port, &mut endpoints.destination_port);
            }
        }
        endpoints
    }

    /// Whether a question in the other direction is another flow.
    fn is_directed(&self) -> bool {
        matches!(self.protocol, protocol::ICMP | protocol::ARP)
    }

    /// Whether both belong to one flow, whichever side sent them.
    pub(crate) fn is_same_flow(&self, other: &Self) -> bool {
        let [source, destination] = self.sides();
        self.protocol == other.protocol
            && (self.discriminator, self.kind) == (other.discriminator, other.kind)
            && ([source, destination] == other.sides()
                || !self.is_directed() && [destination, source] == other.sides())
    }

    /// What is hashed: the same for both directions, so equal for all packets of a flow.
    pub(crate) fn key(&self, is_orphan_fragment: bool) -> FlowKey {
        let [mut low, mut high] = self.sides();
        if high < low && !self.is_directed() {
            std::mem::swap(&mut low, &mut high);
        }
        let mut key = FlowKey {
            bytes: [0; FlowKey::LARGEST],
            length: 0,
        };
        for (address, port) in [low, high] {
            match address {
                IpAddr::V4(address) => key.push(address.octets()),
                IpAddr::V6(address) => key.push(address.octets()),
            }
            key.push(port.to_be_bytes());
        }
        key.push(self.discriminator.to_be_bytes());
        key.push(self.kind.to_be_bytes());
        key.push([self.protocol, u8::from(is_orphan_fragment)]);
        key
    }

    /// The two sides of the flow; the two numbers that ICMP has for ports are not among what parts flows.
    fn sides(&self) -> [(IpAddr, u16); 2] {
        let has_ports = !matches!(self.protocol, protocol::ICMP | protocol::ICMPV6);
        [
            (self.source, if has_ports { self.source_port } else { 0 }),
            (
                self.destination,
                if has_ports { self.destination_port } else { 0 },
            ),
        ]
    }
}

/// What the packets of one flow share, in both directions, as bytes; the length tells IPv4 from IPv6.
pub(crate) struct FlowKey {
    bytes: [u8; Self::LARGEST],
    length: usize,
}

impl FlowKey {
    const LARGEST: usize = 2 * (16 + 2) + 4 + 2 + 2;

    /// The bytes to hash.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.length..self.length + N].copy_from_slice(&bytes);
        self.length += N;
    }
}
