//! Every link type, header and tunnel: bytes in, what the meter sees out.

mod links;
mod network;
mod tunnels;

use netsage_capture::decode::{DecodeOptions, Decoded, Transport, decode};
use netsage_capture::{LinkType, Packet};

use crate::packets::{From::Client, tcp, udp};

const ETHERNET: u16 = 1;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// The bytes of parts, one behind the other.
macro_rules! bytes {
    ($($part:expr),* $(,)?) => {{
        let mut all: Vec<u8> = Vec::new();
        $(all.extend_from_slice(AsRef::<[u8]>::as_ref(&$part));)*
        all
    }};
}
use bytes;

/// An IPv6 packet from `2001:db8::1` to `2001:db8::2`.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let address = |last| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    bytes![
        [0x60, 0, 0, 0, high, low, next, 64],
        address(1),
        address(2),
        payload
    ]
}

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    bytes![
        [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1],
        ether_type.to_be_bytes(),
        payload
    ]
}

/// The transport of a packet that was made with its IP header.
fn transport(packet: &[u8]) -> &[u8] {
    &packet[20..]
}

fn request() -> Vec<u8> {
    tcp(Client, 80, 2, 1, 1, b"hello")
}

fn query() -> Vec<u8> {
    udp(Client, 53, b"which?")
}

/// How tests write down a packet: ends, what it is, bytes before it, its length, its data.
fn shown(decoded: &Decoded<'_>) -> String {
    let (source, destination) = (decoded.source, decoded.destination);
    let ends = |from: u16, to: u16, name| format!("{source} {from} > {destination} {to} {name}");
    let mut text = match decoded.transport {
        Transport::Tcp(segment) => ends(segment.source_port, segment.destination_port, "tcp"),
        Transport::Udp(datagram) => ends(datagram.source_port, datagram.destination_port, "udp"),
        Transport::Sctp(packet) => ends(packet.source_port, packet.destination_port, "sctp"),
        Transport::Icmp(message) => format!(
            "{source} > {destination} icmp {} {}",
            message.kind, message.detail
        ),
        Transport::Arp { reply } => format!("{source} > {destination} arp reply {reply}"),
        Transport::Other => format!("{source} > {destination} protocol {}", decoded.protocol),
    };
    text += &format!(
        " at {} of {} with {}",
        decoded.link_header, decoded.length, decoded.payload_length
    );
    if let Some(fragment) = decoded.fragment {
        text += &format!(" piece of {}/{}", fragment.identification, fragment.protocol);
    }
    if decoded.tunnels > 0 {
        text += &format!(" in {}", decoded.tunnels);
    }
    if decoded.is_closed_tunnel {
        text += " closed";
    }
    text
}

fn read(link: u16, decapsulate: bool, bytes: &[u8], wire_length: usize) -> String {
    let packet = Packet {
        link: LinkType::from_number(link),
        time_ns: 0,
        wire_length: u32::try_from(wire_length).unwrap(),
        bytes,
    };
    match decode(&packet, &DecodeOptions { decapsulate }) {
        Ok(decoded) => shown(&decoded),
        Err(reason) => reason.name().to_owned(),
    }
}

#[track_caller]
fn check(link: u16, bytes: &[u8], expected: &str) {
    assert_eq!(read(link, false, bytes, bytes.len()), expected);
}

/// Checks a packet that carries `request()` somewhere behind `before` bytes, and that no cut of it panics or
/// shows anything but the same flow.
#[track_caller]
fn check_request(link: u16, bytes: &[u8], before: usize) {
    check(
        link,
        bytes,
        &format!("10.0.0.1 40000 > 10.0.0.2 80 tcp at {before} of 45 with 5"),
    );
    for length in 0..bytes.len() {
        let cut = read(link, true, &bytes[..length], bytes.len());
        assert!(
            !cut.contains(" > ") || cut.starts_with("10.0.0.1 40000 > 10.0.0.2 80 tcp"),
            "cut to {length}: {cut}"
        );
    }
}
