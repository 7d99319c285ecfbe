//! IPv4 (RFC 791).

use std::net::{IpAddr, Ipv4Addr};

use super::{Fragment, IpPayload, u16_at, u32_at};
use crate::stats::NotMetered;

const MIN_HEADER: usize = 20;

/// `wire_length`: bytes of the packet on the wire, from the IP header on.
pub(super) fn parse(bytes: &[u8], wire_length: usize) -> Result<IpPayload<'_>, NotMetered> {
    if bytes.len() < MIN_HEADER || bytes[0] >> 4 != 4 {
        return Err(NotMetered::Ipv4Header);
    }
    let header = usize::from(bytes[0] & 15) * 4;
    if header < MIN_HEADER || header > bytes.len() {
        return Err(NotMetered::Ipv4Header);
    }
    // A card that segments by itself shows packets whose length is still 0.
    let total = match usize::from(u16_at(bytes, 2)) {
        0 => wire_length,
        total => total,
    };
    let length = total.checked_sub(header).ok_or(NotMetered::Ipv4Header)?;
    let identification = u16_at(bytes, 4);
    let flags_and_offset = u16_at(bytes, 6);
    let more = flags_and_offset & 0x2000 != 0;
    let offset = flags_and_offset & 0x1fff;
    // The link layer may pad behind the packet; padding is no payload.
    let captured = &bytes[header..bytes.len().min(total)];
    Ok(IpPayload {
        source: IpAddr::V4(Ipv4Addr::from_bits(u32_at(bytes, 12))),
        destination: IpAddr::V4(Ipv4Addr::from_bits(u32_at(bytes, 16))),
        protocol: bytes[9],
        time_to_live: bytes[8],
        identification,
        fragment: (more || offset != 0).then_some(Fragment {
            identification: u32::from(identification),
            first: offset == 0,
        }),
        length,
        captured,
    })
}
