//! What is in a packet: from the link header to the transport payload, without copying a byte.
//!
//! Each protocol has a file with a checked view: its `parse` verifies every length once, and what it gives can
//! be read without a further check. Nothing here panics on any bytes, and a packet that cannot be metered
//! says why by a [`NotMetered`].

mod arp;
mod ethernet;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod tcp;
mod udp;

use std::net::IpAddr;

use crate::packet::Packet;
use crate::stats::NotMetered;

pub use icmp::IcmpMessage;
pub use tcp::{TcpFlags, TcpSegment};
pub use udp::UdpDatagram;

/// Numbers of IP protocols that the meter knows by more than their number.
pub mod protocol {
    /// Internet Control Message Protocol.
    pub const ICMP: u8 = 1;
    /// Internet Group Management Protocol.
    pub const IGMP: u8 = 2;
    /// Transmission Control Protocol.
    pub const TCP: u8 = 6;
    /// User Datagram Protocol.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// What stands for ARP, which is no IP protocol; no IP packet carries this number.
    pub const ARP: u8 = 255;
}

/// A packet, decoded as far as the meter needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// IP protocol number, [`protocol::ARP`] for ARP.
    pub protocol: u8,
    /// Time to live or hop limit; 0 for ARP.
    pub time_to_live: u8,
    /// IPv4 identification; 0 where there is none.
    pub identification: u16,
    /// Whether and how the packet is a fragment.
    pub fragment: Option<Fragment>,
    /// Bytes of the link header.
    pub link_header: usize,
    /// What IP carries.
    pub transport: Transport<'a>,
}

/// A piece of a fragmented IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// What the pieces of one packet share, together with addresses and protocol.
    pub identification: u32,
    /// Whether this is the piece that holds the transport header.
    pub first: bool,
}

/// What IP carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'a> {
    /// A TCP segment.
    Tcp(TcpSegment<'a>),
    /// A UDP datagram.
    Udp(UdpDatagram<'a>),
    /// An ICMP or ICMPv6 message.
    Icmp(IcmpMessage),
    /// An ARP request or reply.
    Arp {
        /// Whether it is a reply.
        reply: bool,
    },
    /// Any other protocol, or a fragment without transport header.
    Other,
}

/// An IP payload and what its header says about it.
struct IpPayload<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    time_to_live: u8,
    identification: u16,
    fragment: Option<Fragment>,
    /// Bytes of the payload as the header states them; `captured` may hold fewer.
    length: usize,
    captured: &'a [u8],
}

/// Decodes a packet.
///
/// # Errors
/// The reason for which it cannot be in a flow.
pub fn decode<'a>(packet: &Packet<'a>) -> Result<Decoded<'a>, NotMetered> {
    let network = link::parse(packet)?;
    let link_header = packet.bytes.len() - network.bytes.len();
    let wire_length = (packet.wire_length as usize)
        .saturating_sub(link_header)
        .max(network.bytes.len());
    let ip = match network.kind {
        link::NetworkKind::Arp => return arp::parse(network.bytes, link_header),
        link::NetworkKind::Ipv4 => ipv4::parse(network.bytes, wire_length)?,
        link::NetworkKind::Ipv6 => ipv6::parse(network.bytes, wire_length)?,
    };
    let transport = match (ip.fragment, ip.protocol) {
        (Some(Fragment { first: false, .. }), _) => Transport::Other,
        (_, protocol::TCP) => Transport::Tcp(TcpSegment::parse(ip.captured, ip.length)?),
        (_, protocol::UDP) => Transport::Udp(UdpDatagram::parse(ip.captured)?),
        (_, protocol::ICMP) => Transport::Icmp(IcmpMessage::parse(ip.captured, false)?),
        (_, protocol::ICMPV6) => Transport::Icmp(IcmpMessage::parse(ip.captured, true)?),
        _ => Transport::Other,
    };
    Ok(Decoded {
        source: ip.source,
        destination: ip.destination,
        protocol: ip.protocol,
        time_to_live: ip.time_to_live,
        identification: ip.identification,
        fragment: ip.fragment,
        link_header,
        transport,
    })
}

/// The big-endian number at `offset`; the caller has checked that it lies within `bytes`.
fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}

/// As [`u16_at`], for 4 bytes.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes([
        bytes[offset],
        bytes[offset + 1],
        bytes[offset + 2],
        bytes[offset + 3],
    ])
}
