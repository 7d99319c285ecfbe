//! What is in a packet: from the link header to the transport payload, without copying a byte.
//!
//! Each protocol has a file with a checked view: its `parse` verifies every length once, and what it gives can
//! be read without a further check. Nothing here panics on any bytes, and a packet that cannot be metered
//! says why by a [`NotMetered`].
//!
//! [`link`] peels headers until the network header is reached, [`decode`] reads that and the transport, and
//! [`tunnel`] starts again inside a packet where that is asked for.

mod arp;
mod chdlc;
mod cooked;
mod ether_type;
mod ethernet;
mod frame;
mod geneve;
mod gre;
mod gtp;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod llc;
mod loopback;
mod mpls;
mod nflog;
mod ppp;
mod pppoe;
mod radiotap;
mod sctp;
mod tcp;
mod teredo;
mod tunnel;
mod udp;
mod vlan;
mod vxlan;
mod wireless;

use std::net::IpAddr;

use crate::packet::{LinkType, Packet};
use crate::stats::NotMetered;
use frame::Frame;
use link::{Layer, NetworkKind};

pub use icmp::IcmpMessage;
pub use sctp::SctpPacket;
pub use tcp::{TcpFlags, TcpSegment};
pub use udp::UdpDatagram;

/// Numbers of IP protocols that the meter knows by more than their number.
pub mod protocol {
    /// Internet Control Message Protocol.
    pub const ICMP: u8 = 1;
    /// Internet Group Management Protocol.
    pub const IGMP: u8 = 2;
    /// IPv4 in IP: a tunnel.
    pub const IPV4: u8 = 4;
    /// Transmission Control Protocol.
    pub const TCP: u8 = 6;
    /// User Datagram Protocol.
    pub const UDP: u8 = 17;
    /// IPv6 in IP: a tunnel.
    pub const IPV6: u8 = 41;
    /// Generic routing encapsulation: a tunnel.
    pub const GRE: u8 = 47;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// Stream Control Transmission Protocol.
    pub const SCTP: u8 = 132;
    /// What stands for ARP, which is no IP protocol; no IP packet carries this number.
    pub const ARP: u8 = 255;
}

/// Headers below the network header that are read, those of tunnels included. Real networks stack four or
/// five; what stacks more was made to keep decoders busy.
pub const MAX_HEADERS: usize = 16;

/// How packets are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Whether a tunnel's inner packet is read instead of the packet that carries it: GRE, IP in IP, VXLAN,
    /// GENEVE, Teredo and GTP-U. Off: the tunnel is one flow, as for Argus.
    pub decapsulate: bool,
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
    /// Bytes before the IP header or ARP message: the link header and, of an opened tunnel, all of its.
    pub link_header: usize,
    /// Bytes of the IP packet as its own header states them, or of the ARP message, whatever was captured.
    pub length: u32,
    /// Bytes of data in the transport as the headers state them: behind the TCP or UDP header, otherwise behind
    /// the IP headers; 0 for ARP.
    pub payload_length: u32,
    /// What IP carries.
    pub transport: Transport<'a>,
    /// Tunnels that were opened to reach this packet.
    pub tunnels: u8,
    /// Whether it is the packet of a tunnel that should have been opened and could not be: a fragment, cut off
    /// or malformed, without IP inside, or below more than [`MAX_HEADERS`] headers.
    pub is_closed_tunnel: bool,
}

/// A piece of a fragmented IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// What the pieces of one packet share, together with addresses and `protocol`.
    pub identification: u32,
    /// The protocol that every piece names. With IPv6 this can be an extension header, which only the first
    /// piece holds.
    pub protocol: u8,
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
    /// An SCTP packet.
    Sctp(SctpPacket),
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
    /// Bytes of the IP header and its extensions.
    header: usize,
    /// Bytes of the payload as the header states them; `captured` may hold fewer.
    length: usize,
    captured: &'a [u8],
    /// Whether the capture kept less of the packet than was on the wire.
    is_cut: bool,
}

/// Decodes a packet.
///
/// # Errors
/// The reason for which it cannot be in a flow.
pub fn decode<'a>(packet: &Packet<'a>, options: &DecodeOptions) -> Result<Decoded<'a>, NotMetered> {
    let frame = Frame::of(packet);
    let mut headers = MAX_HEADERS;
    let (kind, frame) = match plain(packet.link, frame) {
        Some(frame) => (NetworkKind::Ipv4, frame),
        None => link::network(Layer::of(packet.link)?, frame, &mut headers)?,
    };
    decode_network(kind, frame, options.decapsulate.then_some(headers))
}

/// The short way of nearly every packet: IPv4 on plain Ethernet.
#[inline]
fn plain(link: LinkType, frame: Frame<'_>) -> Option<Frame<'_>> {
    let (header, payload) = frame.header::<{ ethernet::HEADER }>()?;
    (link == LinkType::Ethernet && u16_at(header, 12) == ether_type::IPV4).then_some(payload)
}

/// Decodes from the network header on. `tunnel_headers`: how many further headers may be read to open tunnels,
/// `None` when they are to stay closed.
fn decode_network(
    kind: NetworkKind,
    frame: Frame<'_>,
    tunnel_headers: Option<usize>,
) -> Result<Decoded<'_>, NotMetered> {
    let ip = match kind {
        NetworkKind::Arp => return arp::parse(frame),
        NetworkKind::Ipv4 => ipv4::parse(frame)?,
        NetworkKind::Ipv6 => ipv6::parse(frame)?,
    };
    let mut decoded = decode_transport(&ip, frame.before)?;
    if let Some(headers) = tunnel_headers {
        tunnel::open(&mut decoded, &ip, headers);
    }
    Ok(decoded)
}

#[inline]
fn decode_transport<'a>(ip: &IpPayload<'a>, link_header: usize) -> Result<Decoded<'a>, NotMetered> {
    let length = u32::try_from(ip.length).unwrap_or(u32::MAX);
    let (transport, payload_length) = match (ip.fragment, ip.protocol) {
        (Some(Fragment { first: false, .. }), _) => (Transport::Other, length),
        (_, protocol::TCP) => {
            let segment = TcpSegment::parse(ip.captured, ip.length, ip.is_cut)?;
            (Transport::Tcp(segment), segment.length)
        }
        (_, protocol::UDP) => {
            let datagram = UdpDatagram::parse(ip.captured, ip.length, ip.is_cut)?;
            (Transport::Udp(datagram), datagram.length)
        }
        (_, protocol::ICMP) => (Transport::Icmp(IcmpMessage::parse(ip.captured, false)?), length),
        (_, protocol::ICMPV6) => (Transport::Icmp(IcmpMessage::parse(ip.captured, true)?), length),
        (_, protocol::SCTP) => (
            Transport::Sctp(SctpPacket::parse(ip.captured, ip.length)?),
            length,
        ),
        _ => (Transport::Other, length),
    };
    Ok(Decoded {
        source: ip.source,
        destination: ip.destination,
        protocol: ip.protocol,
        time_to_live: ip.time_to_live,
        identification: ip.identification,
        fragment: ip.fragment,
        link_header,
        length: u32::try_from(ip.header + ip.length).unwrap_or(u32::MAX),
        payload_length,
        transport,
        tunnels: 0,
        is_closed_tunnel: false,
    })
}

/// The big-endian number at `offset`; the caller has checked that it lies within `bytes`.
#[inline]
fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}

/// As [`u16_at`], for 4 bytes.
#[inline]
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes([
        bytes[offset],
        bytes[offset + 1],
        bytes[offset + 2],
        bytes[offset + 3],
    ])
}
