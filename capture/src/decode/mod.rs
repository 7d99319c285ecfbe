//! Decodes packets from the link header to the transport payload, without copying a byte.
//!
//! Each protocol has a module with a checked view: `parse` verifies every length once, and the fields of the view can be
//! read without a further check. No bytes make the decoder panic; a packet that cannot be metered gives the reason as a
//! [`NotMetered`].
//!
//! [`link`] peels headers up to the network header, [`decode`] reads network and transport header, and [`tunnel`] starts
//! again inside a tunnel where [`DecodeOptions::decapsulate`] is set.

mod arp;
mod chdlc;
mod cooked;
mod erspan;
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

/// Numbers of the IP protocols that the meter treats in a way of their own.
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
    pub use netsage_schema::protocol::ARP;
}

/// Most headers that are read before the network header, headers of tunnels included. Real networks stack four or five;
/// packets that stack more were made to keep decoders busy.
pub const MAX_HEADERS: usize = 16;

/// Options of [`decode`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Whether tunnels are opened: of GRE (ERSPAN in it too), IP in IP, VXLAN, GENEVE, Teredo and GTP-U the inner packet is decoded instead of
    /// the outer one. Without this option a tunnel is one flow, as for Argus.
    pub decapsulate: bool,
}

/// A packet, decoded as far as the meter needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Address of the sender.
    pub source: IpAddr,
    /// Address of the receiver.
    pub destination: IpAddr,
    /// IP protocol number, [`protocol::ARP`] for ARP.
    pub protocol: u8,
    /// Time to live or hop limit; 0 for ARP.
    pub time_to_live: u8,
    /// IPv4 identification; 0 where there is none.
    pub identification: u16,
    /// Whether and how the packet is a fragment.
    pub fragment: Option<Fragment>,
    /// Bytes before the IP header or ARP message: the link header and every header of the tunnels that were opened.
    pub link_header: usize,
    /// Length of the IP packet as the IP header states it, or of the ARP message, in bytes; the capture may hold fewer.
    pub length: u32,
    /// Bytes of data as the headers state them: behind the TCP or UDP header, for other protocols behind the IP headers;
    /// 0 for ARP.
    pub payload_length: u32,
    /// The transport header.
    pub transport: Transport<'a>,
    /// Number of tunnels that were opened to reach this packet.
    pub tunnels: u8,
    /// Whether the packet is of a tunnel that should have been opened and could not be: a fragment, cut off, malformed,
    /// without IP inside, or behind more than [`MAX_HEADERS`] headers.
    pub is_closed_tunnel: bool,
}

/// A piece of a fragmented IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Identification that all pieces of one packet share, together with the addresses and `protocol`.
    pub identification: u32,
    /// Protocol that every piece names. For IPv6 this can be an extension header, which only the first piece holds.
    pub protocol: u8,
    /// Whether this is the first piece, which holds the transport header.
    pub first: bool,
}

/// The transport header of a packet, or what stands in place of one.
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
        /// Whether the message is a reply.
        reply: bool,
    },
    /// Another protocol, or a fragment without transport header.
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
/// Returns the reason for which the packet can be in no flow.
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
