//! EtherTypes (IEEE 802 numbers): what Ethernet, and everything that borrowed its numbers, says comes next.

use super::link::{Layer, NetworkKind};
use crate::stats::NotMetered;

/// IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// Transparent Ethernet bridging: a whole Ethernet frame (RFC 1701).
pub(super) const BRIDGED: u16 = 0x6558;
/// PPP, in enhanced GRE (RFC 2637).
pub(super) const PPP: u16 = 0x880b;

/// What an EtherType announces.
pub(super) fn layer(ether_type: u16) -> Result<Layer, NotMetered> {
    Ok(match ether_type {
        IPV4 => Layer::Network(NetworkKind::Ipv4),
        0x86dd => Layer::Network(NetworkKind::Ipv6),
        0x0806 => Layer::Network(NetworkKind::Arp),
        // 802.1Q, 802.1ad, and what stood for 802.1ad before it was one.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 => Layer::Vlan,
        0x8847 | 0x8848 => Layer::Mpls,
        0x8864 => Layer::Pppoe,
        BRIDGED => Layer::Ethernet,
        PPP => Layer::Ppp,
        _ => return Err(NotMetered::NotIp),
    })
}
