//! The link layer: where the network header starts, and which it is.

use super::{ethernet, u16_at};
use crate::packet::{LinkType, Packet};
use crate::stats::NotMetered;

pub(super) struct Network<'a> {
    pub(super) kind: NetworkKind,
    pub(super) bytes: &'a [u8],
}

#[derive(Clone, Copy)]
pub(super) enum NetworkKind {
    Ipv4,
    Ipv6,
    Arp,
}

pub(super) fn parse<'a>(packet: &Packet<'a>) -> Result<Network<'a>, NotMetered> {
    let bytes = packet.bytes;
    match packet.link {
        LinkType::Ethernet => ethernet::parse(bytes),
        LinkType::RawIp => by_version(bytes),
        LinkType::LinuxCooked => cooked(bytes, 14, 16),
        LinkType::LinuxCooked2 => cooked(bytes, 0, 20),
        LinkType::Loopback => {
            // Address families differ between systems and byte orders; the IP version does not.
            by_version(bytes.get(4..).ok_or(NotMetered::LinkHeader)?)
        }
        LinkType::Other(_) => Err(NotMetered::LinkType),
    }
}

fn cooked(bytes: &[u8], protocol_offset: usize, header: usize) -> Result<Network<'_>, NotMetered> {
    let network = bytes.get(header..).ok_or(NotMetered::LinkHeader)?;
    ethernet::network(u16_at(bytes, protocol_offset), network)
}

fn by_version(bytes: &[u8]) -> Result<Network<'_>, NotMetered> {
    let kind = match bytes.first().ok_or(NotMetered::LinkHeader)? >> 4 {
        4 => NetworkKind::Ipv4,
        6 => NetworkKind::Ipv6,
        _ => return Err(NotMetered::NotIp),
    };
    Ok(Network { kind, bytes })
}
