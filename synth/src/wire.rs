//! Bytes of Ethernet, ARP, IPv4, IPv6, UDP, TCP and ICMP, with their checksums.

use std::net::{IpAddr, Ipv4Addr};

pub(crate) type Mac = [u8; 6];

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const ETHERNET_HEADER: usize = 14;

/// Where a packet goes: everything below the transport.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) source_mac: Mac,
    pub(crate) destination_mac: Mac,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// As the capture sees it.
    pub(crate) ttl: u8,
    /// IPv4 identification, or part of the IPv6 flow label.
    pub(crate) identification: u16,
}

/// A packet under construction: headers up to the network layer, then whatever is appended.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    network: usize,
    transport: usize,
    protocol: u8,
}

impl Packet {
    /// Starts a packet with room for that many bytes of transport header and payload.
    pub(crate) fn new(route: &Route, protocol: u8, transport_length: usize) -> Self {
        let mut bytes = Vec::with_capacity(ETHERNET_HEADER + 40 + transport_length);
        bytes.extend_from_slice(&route.destination_mac);
        bytes.extend_from_slice(&route.source_mac);
        let network = ETHERNET_HEADER;
        match (route.source, route.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes.extend_from_slice(&[0x08, 0x00, 0x45, 0, 0, 0]);
                bytes.extend_from_slice(&route.identification.to_be_bytes());
                // Do not fragment.
                bytes.extend_from_slice(&[0x40, 0, route.ttl, protocol, 0, 0]);
                bytes.extend_from_slice(&source.octets());
                bytes.extend_from_slice(&destination.octets());
            }
            (source, destination) => {
                let octets = |address| match address {
                    IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address).octets(),
                    IpAddr::V6(address) => address.octets(),
                };
                let [high, low] = route.identification.to_be_bytes();
                bytes.extend_from_slice(&[0x86, 0xdd, 0x60, 0, high, low, 0, 0, protocol, route.ttl]);
                bytes.extend_from_slice(&octets(source));
                bytes.extend_from_slice(&octets(destination));
            }
        }
        let transport = bytes.len();
        Self {
            bytes,
            network,
            transport,
            protocol,
        }
    }

    /// Fills in lengths and checksums. `checksum` is the place of the transport's own checksum behind the
    /// start of its header.
    pub(crate) fn finish(mut self, checksum: usize) -> Vec<u8> {
        let transport_length = self.bytes.len() - self.transport;
        let (network, transport) = (self.network, self.transport);
        let version4 = self.bytes[network] >> 4 == 4;
        if version4 {
            let total = (self.bytes.len() - network) as u16;
            self.bytes[network + 2..network + 4].copy_from_slice(&total.to_be_bytes());
            let sum = fold(add(0, &self.bytes[network..transport]));
            self.bytes[network + 10..network + 12].copy_from_slice(&(!sum).to_be_bytes());
        } else {
            let length = (transport_length as u16).to_be_bytes();
            self.bytes[network + 4..network + 6].copy_from_slice(&length);
        }
        if self.protocol == UDP {
            let length = (transport_length as u16).to_be_bytes();
            self.bytes[transport + 4..transport + 6].copy_from_slice(&length);
        }
        let addresses = if version4 {
            network + 12..transport
        } else {
            network + 8..transport
        };
        let mut sum = add(0, &self.bytes[transport..]);
        // ICMP for IPv4 is the only one that does not cover the addresses.
        if self.protocol != ICMP {
            sum = add(sum, &self.bytes[addresses]) + u64::from(self.protocol) + transport_length as u64;
        }
        let mut result = !fold(sum);
        if result == 0 && self.protocol == UDP {
            // A zero means that there is no checksum.
            result = 0xffff;
        }
        let place = transport + checksum;
        self.bytes[place..place + 2].copy_from_slice(&result.to_be_bytes());
        self.bytes
    }
}

/// Adds 16-bit words in network order.
fn add(mut sum: u64, bytes: &[u8]) -> u64 {
    let mut pairs = bytes.chunks_exact(2);
    for pair in &mut pairs {
        sum += u64::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    sum + pairs.remainder().first().map_or(0, |&last| u64::from(last) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A UDP header without length and checksum, which [`Packet::finish`] fills in at offset 6.
pub(crate) fn udp_header(out: &mut Vec<u8>, source_port: u16, destination_port: u16) {
    out.extend_from_slice(&source_port.to_be_bytes());
    out.extend_from_slice(&destination_port.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// Place of the checksum in a UDP header.
pub(crate) const UDP_CHECKSUM: usize = 6;
/// Place of the checksum in a TCP header.
pub(crate) const TCP_CHECKSUM: usize = 16;
/// Place of the checksum in an ICMP header.
pub(crate) const ICMP_CHECKSUM: usize = 2;

/// An ARP message about IPv4 addresses: 1 asks, 2 answers.
pub(crate) fn arp(operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let asks = operation == 1;
    let mut bytes = Vec::with_capacity(42);
    bytes.extend_from_slice(if asks { &[0xff; 6] } else { &target.0 });
    bytes.extend_from_slice(&sender.0);
    bytes.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, operation]);
    bytes.extend_from_slice(&sender.0);
    bytes.extend_from_slice(&sender.1.octets());
    bytes.extend_from_slice(if asks { &[0; 6] } else { &target.0 });
    bytes.extend_from_slice(&target.1.octets());
    bytes
}
