//! IPv6 (RFC 8200) and the extension headers between it and the transport.

use std::net::{IpAddr, Ipv6Addr};

use super::{Fragment, IpPayload, u16_at, u32_at};
use crate::stats::NotMetered;

const HEADER: usize = 40;
/// A sound packet has each extension header once, destination options twice.
const MAX_EXTENSIONS: usize = 12;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// `wire_length`: bytes of the packet on the wire, from the IP header on.
pub(super) fn parse(bytes: &[u8], wire_length: usize) -> Result<IpPayload<'_>, NotMetered> {
    if bytes.len() < HEADER || bytes[0] >> 4 != 6 {
        return Err(NotMetered::Ipv6Header);
    }
    // 0 says jumbogram, or a card that segments by itself: the wire length is then the best there is.
    let mut length = match usize::from(u16_at(bytes, 4)) {
        0 => wire_length.saturating_sub(HEADER),
        length => length,
    };
    let mut captured = &bytes[HEADER..bytes.len().min(HEADER + length)];
    let mut next = bytes[6];
    let mut fragment = None;
    for _ in 0..MAX_EXTENSIONS {
        let header = match next {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS if captured.len() >= 8 => {
                (usize::from(captured[1]) + 1) * 8
            }
            FRAGMENT if captured.len() >= 8 => {
                let offset_and_more = u16_at(captured, 2);
                let first = offset_and_more & 0xfff8 == 0;
                // An "atomic" fragment is the whole packet.
                if offset_and_more & 0xfff9 != 0 {
                    fragment = Some(Fragment {
                        identification: u32_at(captured, 4),
                        first,
                    });
                }
                8
            }
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT => return Err(NotMetered::Ipv6Header),
            protocol => {
                let address = |offset: usize| {
                    let mut octets = [0; 16];
                    octets.copy_from_slice(&bytes[offset..offset + 16]);
                    IpAddr::V6(Ipv6Addr::from(octets))
                };
                return Ok(IpPayload {
                    source: address(8),
                    destination: address(24),
                    protocol,
                    time_to_live: bytes[7],
                    identification: 0,
                    fragment,
                    length,
                    captured,
                });
            }
        };
        next = captured[0];
        captured = captured.get(header..).ok_or(NotMetered::Ipv6Header)?;
        length = length.saturating_sub(header);
        // Behind the header of a later piece lies data, whatever it names as next.
        if let Some(Fragment { first: false, .. }) = fragment
            && matches!(next, HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT)
        {
            return Err(NotMetered::Ipv6Header);
        }
    }
    Err(NotMetered::Ipv6Header)
}
