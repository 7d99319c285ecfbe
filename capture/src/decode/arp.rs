//! ARP for IPv4.

use std::net::{IpAddr, Ipv4Addr};

use super::frame::Frame;
use super::{Decoded, Transport, protocol, u16_at, u32_at};
use crate::stats::NotMetered;

/// Hardware type, protocol type, lengths, operation, and two pairs of a 6-byte and a 4-byte address.
const LENGTH: usize = 28;

pub(super) fn parse(frame: Frame<'_>) -> Result<Decoded<'_>, NotMetered> {
    let message = frame.bytes.first_chunk::<LENGTH>().ok_or(NotMetered::Arp)?;
    if message[2..6] != [0x08, 0, 6, 4] {
        return Err(NotMetered::Arp);
    }
    let address = |offset| IpAddr::V4(Ipv4Addr::from_bits(u32_at(message, offset)));
    Ok(Decoded {
        source: address(14),
        destination: address(24),
        protocol: protocol::ARP,
        time_to_live: 0,
        identification: 0,
        fragment: None,
        link_header: frame.before,
        length: LENGTH as u32,
        payload_length: 0,
        transport: Transport::Arp {
            reply: u16_at(message, 6) == 2,
        },
        tunnels: 0,
        is_closed_tunnel: false,
    })
}
