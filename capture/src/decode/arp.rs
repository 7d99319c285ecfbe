//! ARP for IPv4.

use std::net::{IpAddr, Ipv4Addr};

use super::{Decoded, Transport, protocol, u16_at, u32_at};
use crate::stats::NotMetered;

/// Hardware type, protocol type, lengths, operation, and two pairs of a 6-byte and a 4-byte address.
const LENGTH: usize = 28;

pub(super) fn parse(bytes: &[u8], link_header: usize) -> Result<Decoded<'_>, NotMetered> {
    if bytes.len() < LENGTH || u16_at(bytes, 2) != 0x0800 || bytes[4] != 6 || bytes[5] != 4 {
        return Err(NotMetered::Arp);
    }
    let address = |offset| IpAddr::V4(Ipv4Addr::from_bits(u32_at(bytes, offset)));
    Ok(Decoded {
        source: address(14),
        destination: address(24),
        protocol: protocol::ARP,
        time_to_live: 0,
        identification: 0,
        fragment: None,
        link_header,
        transport: Transport::Arp {
            reply: u16_at(bytes, 6) == 2,
        },
    })
}
