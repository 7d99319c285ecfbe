//! Ethernet II, 802.1Q and 802.1ad tags, and LLC/SNAP.

use super::link::{Network, NetworkKind};
use super::u16_at;
use crate::stats::NotMetered;

const HEADER: usize = 14;
const TYPE_OFFSET: usize = 12;
/// Real networks stack two tags, laboratories three or four.
const MAX_TAGS: usize = 8;
/// Below this the type field is a length, and LLC follows.
const FIRST_ETHERTYPE: u16 = 0x600;
const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];

pub(super) fn parse(bytes: &[u8]) -> Result<Network<'_>, NotMetered> {
    let payload = bytes.get(HEADER..).ok_or(NotMetered::LinkHeader)?;
    network(u16_at(bytes, TYPE_OFFSET), payload)
}

/// The network header behind an Ethernet type, past VLAN tags.
pub(super) fn network(first_type: u16, first_payload: &[u8]) -> Result<Network<'_>, NotMetered> {
    let mut ether_type = first_type;
    let mut payload = first_payload;
    for _ in 0..=MAX_TAGS {
        let kind = match ether_type {
            0x0800 => NetworkKind::Ipv4,
            0x86dd => NetworkKind::Ipv6,
            0x0806 => NetworkKind::Arp,
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let inner = payload.get(4..).ok_or(NotMetered::LinkHeader)?;
                ether_type = u16_at(payload, 2);
                payload = inner;
                continue;
            }
            length if length < FIRST_ETHERTYPE && payload.starts_with(&SNAP) => {
                let inner = payload.get(8..).ok_or(NotMetered::LinkHeader)?;
                ether_type = u16_at(payload, 6);
                payload = inner;
                continue;
            }
            _ => return Err(NotMetered::NotIp),
        };
        return Ok(Network { kind, bytes: payload });
    }
    Err(NotMetered::TooManyTags)
}
