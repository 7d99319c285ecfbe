//! Which flow a packet belongs to.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::decode::{Decoded, Transport};

/// Service ports that turn a TCP flow round when its SYN was not seen: the TCP services up to 1024 of the
/// usual service list, in order. Port 20 is not among them, because FTP data flows come from it.
#[rustfmt::skip]
const SERVICE_PORTS: [u16; 85] = [
    1, 7, 9, 11, 13, 15, 17, 19, 21, 22, 23, 25, 37, 43, 49, 53, 70, 79, 80, 88, 102, 104, 106, 110, 111, 113,
    119, 135, 139, 143, 161, 162, 163, 164, 174, 179, 199, 209, 210, 345, 346, 369, 370, 389, 427, 443, 444,
    445, 464, 465, 487, 512, 513, 514, 515, 538, 540, 543, 544, 548, 554, 563, 587, 607, 628, 631, 636, 646,
    655, 706, 749, 750, 751, 754, 775, 777, 783, 853, 871, 873, 989, 990, 992, 993, 995,
];

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
    /// Whether the packet goes from the destination to the source: an answer seen without its question.
    pub(crate) turned: bool,
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
            turned: false,
        };
        match &packet.transport {
            Transport::Tcp(segment) => {
                endpoints.source_port = segment.source_port;
                endpoints.destination_port = segment.destination_port;
                endpoints.turned = match (segment.flags.syn(), segment.flags.ack()) {
                    (true, acknowledges) => acknowledges,
                    (false, _) => {
                        segment.destination_port > 1024
                            && SERVICE_PORTS.binary_search(&segment.source_port).is_ok()
                    }
                };
            }
            Transport::Udp(datagram) => {
                endpoints.source_port = datagram.source_port;
                endpoints.destination_port = datagram.destination_port;
                let is_dns = datagram.source_port == DNS_PORT || datagram.destination_port == DNS_PORT;
                if let ([high, low, ..], true) = (datagram.payload, is_dns) {
                    // Never 0, so that a transaction 0 is a transaction too.
                    endpoints.discriminator = 1 << 16 | u32::from(u16::from_be_bytes([*high, *low]));
                }
            }
            Transport::Icmp(message) => {
                endpoints.turned = message.is_reply();
                let kind = message.request_kind().unwrap_or(message.kind);
                endpoints.discriminator = u32::from(kind) << 16 | u32::from(message.identifier);
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

    /// The key, the same for both directions.
    pub(crate) fn key(&self, is_orphan_fragment: bool) -> FlowKey {
        let icmp = matches!(
            self.protocol,
            crate::decode::protocol::ICMP | crate::decode::protocol::ICMPV6
        );
        let left = (self.source, if icmp { 0 } else { self.source_port });
        let right = (self.destination, if icmp { 0 } else { self.destination_port });
        let (low, high) = if left <= right {
            (left, right)
        } else {
            (right, left)
        };
        let mut bytes = [0; FlowKey::LENGTH];
        put(&mut bytes, 0, low.0);
        put(&mut bytes, 16, high.0);
        bytes[32..34].copy_from_slice(&low.1.to_be_bytes());
        bytes[34..36].copy_from_slice(&high.1.to_be_bytes());
        bytes[36..40].copy_from_slice(&self.discriminator.to_be_bytes());
        bytes[40] = self.protocol;
        bytes[41] = u8::from(self.source.is_ipv6());
        bytes[42] = u8::from(is_orphan_fragment);
        FlowKey(bytes)
    }
}

fn put(bytes: &mut [u8; FlowKey::LENGTH], offset: usize, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes[offset..offset + 4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes[offset..offset + 16].copy_from_slice(&address.octets()),
    }
}

/// What the packets of one flow share, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey([u8; Self::LENGTH]);

impl FlowKey {
    const LENGTH: usize = 43;

    /// The keyed hash: who sends packets must not be able to choose where they collide.
    pub(crate) fn hash(&self, secret: (u64, u64)) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(secret.0, secret.1);
        hasher.write(&self.0);
        hasher.finish()
    }
}
