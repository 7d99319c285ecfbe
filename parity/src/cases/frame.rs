//! Ethernet frames, field by field. Checksums stay 0: neither side looks at them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Control bits of TCP.
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const URG: u8 = 0x20;
pub(super) const ECE: u8 = 0x40;
pub(super) const CWR: u8 = 0x80;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const FRAGMENT_V6: u8 = 44;

/// A host, by its number: the last byte of its addresses.
pub(super) type Host = u8;

pub(super) fn address(host: Host) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, host)
}

fn address_v6(host: Host) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host))
}

fn station(host: Host) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

fn ethernet(source: Host, destination: Host, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + payload.len());
    frame.extend(station(destination));
    frame.extend(station(source));
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header of an IPv4 packet, apart from what follows from its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ip {
    pub(super) source: Host,
    pub(super) destination: Host,
    pub(super) time_to_live: u8,
    pub(super) identification: u16,
    /// Flags and fragment offset as they stand in the header.
    pub(super) fragment: u16,
}

impl Ip {
    pub(super) fn new(source: Host, destination: Host) -> Self {
        Self {
            source,
            destination,
            time_to_live: 64 + destination % 8,
            identification: 0,
            fragment: 0x4000,
        }
    }

    pub(super) fn packet(self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let total = u16::try_from(20 + payload.len()).expect("the packets of the cases are small");
        let mut packet = vec![0x45, 0];
        packet.extend(total.to_be_bytes());
        packet.extend(self.identification.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([self.time_to_live, protocol, 0, 0]);
        packet.extend(address(self.source).octets());
        packet.extend(address(self.destination).octets());
        packet.extend(payload);
        packet
    }

    pub(super) fn frame(self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        ethernet(
            self.source,
            self.destination,
            0x0800,
            &self.packet(protocol, payload),
        )
    }
}

/// A TCP segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) ip: Ip,
    pub(super) ports: (u16, u16),
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) window: u16,
    /// Shift of the window, as an option.
    pub(super) scale: Option<u8>,
    /// Bytes of data.
    pub(super) length: usize,
}

impl Segment {
    pub(super) fn frame(&self) -> Vec<u8> {
        let options = self.scale.map(|shift| [1, 3, 3, shift]);
        let words = if options.is_some() { 6_u8 } else { 5 };
        let mut segment = Vec::new();
        segment.extend(self.ports.0.to_be_bytes());
        segment.extend(self.ports.1.to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgement.to_be_bytes());
        segment.extend([words << 4, self.flags]);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(options.into_iter().flatten());
        // Data that no recogniser of services takes for anything.
        segment.extend(std::iter::repeat_n(0xee, self.length));
        self.ip.frame(TCP, &segment)
    }
}

fn datagram(ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).expect("the datagrams of the cases are small");
    let mut datagram = Vec::new();
    datagram.extend(ports.0.to_be_bytes());
    datagram.extend(ports.1.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    datagram
}

pub(super) fn udp(ip: Ip, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    ip.frame(UDP, &datagram(ports, data))
}

pub(super) fn icmp(ip: Ip, kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest);
    ip.frame(ICMP, &message)
}

/// An ICMP error about a packet.
pub(super) fn icmp_error(ip: Ip, kind: u8, code: u8, about: &[u8]) -> Vec<u8> {
    let mut rest = vec![0; 4];
    rest.extend(&about[..about.len().min(28)]);
    icmp(ip, kind, code, &rest)
}

/// What an ICMP error is about: a datagram without its link header.
pub(super) fn quoted_udp(source: Host, destination: Host, ports: (u16, u16)) -> Vec<u8> {
    Ip::new(source, destination).packet(UDP, &datagram(ports, b"quoted"))
}

/// The pieces of a datagram, each as a frame: `size` bytes of IP payload in all but the last.
pub(super) fn fragments(ip: Ip, ports: (u16, u16), data: &[u8], size: usize) -> Vec<Vec<u8>> {
    let whole = datagram(ports, data);
    let pieces = whole.chunks(size).count();
    whole
        .chunks(size)
        .enumerate()
        .map(|(index, piece)| {
            let offset = u16::try_from(index * size / 8).expect("the datagrams of the cases are small");
            let more = if index + 1 < pieces { 0x2000 } else { 0 };
            Ip {
                fragment: more | offset,
                ..ip
            }
            .frame(UDP, piece)
        })
        .collect()
}

fn ipv6(source: Host, destination: Host, next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("the packets of the cases are small");
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([next, 60]);
    packet.extend(address_v6(source).octets());
    packet.extend(address_v6(destination).octets());
    packet.extend(payload);
    ethernet(source, destination, 0x86dd, &packet)
}

pub(super) fn udp_v6(source: Host, destination: Host, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    ipv6(source, destination, UDP, &datagram(ports, data))
}

pub(super) fn icmp_v6(source: Host, destination: Host, kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest);
    ipv6(source, destination, ICMPV6, &message)
}

/// The pieces of an IPv6 datagram.
pub(super) fn fragments_v6(ends: (Host, Host), ports: (u16, u16), data: &[u8], size: usize) -> Vec<Vec<u8>> {
    let whole = datagram(ports, data);
    let pieces = whole.chunks(size).count();
    whole
        .chunks(size)
        .enumerate()
        .map(|(index, piece)| {
            let offset = u16::try_from(index * size).expect("the datagrams of the cases are small");
            let mut payload = vec![UDP, 0];
            payload.extend((offset | u16::from(index + 1 < pieces)).to_be_bytes());
            payload.extend([0, 0, 0x40, 0x29]);
            payload.extend(piece);
            ipv6(ends.0, ends.1, FRAGMENT_V6, &payload)
        })
        .collect()
}

/// An ARP message: 1 asks, 2 answers.
pub(super) fn arp(operation: u8, sender: Host, target: Host) -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, operation];
    message.extend(station(sender));
    message.extend(address(sender).octets());
    message.extend(if operation == 1 { [0; 6] } else { station(target) });
    message.extend(address(target).octets());
    // Cards pad what is shorter than 60 bytes.
    message.resize(46, 0);
    ethernet(sender, target, 0x0806, &message)
}
