//! IPv4 (RFC 791).

use std::net::{IpAddr, Ipv4Addr};

use super::frame::Frame;
use super::{Fragment, IpPayload, u16_at, u32_at};
use crate::stats::NotMetered;

/// The header without options.
const HEADER: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

// The way of nearly every packet; a call and a copy would cost as much as the parsing.
#[inline]
pub(super) fn parse(frame: Frame<'_>) -> Result<IpPayload<'_>, NotMetered> {
    let bytes = frame.bytes;
    let fixed = bytes.first_chunk::<HEADER>().ok_or(NotMetered::Ipv4Header)?;
    let header = usize::from(fixed[0] & 15) * 4;
    if fixed[0] >> 4 != 4 || header < HEADER {
        return Err(NotMetered::Ipv4Header);
    }
    // A card that segments by itself shows packets whose length is still 0.
    let total = match usize::from(u16_at(fixed, 2)) {
        0 => frame.wire,
        total => total,
    };
    let length = total.checked_sub(header).ok_or(NotMetered::Ipv4Header)?;
    // The link layer may pad behind the packet; padding is no payload.
    let captured = bytes
        .get(header..bytes.len().min(total))
        .ok_or(NotMetered::Ipv4Header)?;
    let identification = u16_at(fixed, 4);
    let flags_and_offset = u16_at(fixed, 6);
    let is_piece = flags_and_offset & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0;
    Ok(IpPayload {
        source: IpAddr::V4(Ipv4Addr::from_bits(u32_at(fixed, 12))),
        destination: IpAddr::V4(Ipv4Addr::from_bits(u32_at(fixed, 16))),
        protocol: fixed[9],
        time_to_live: fixed[8],
        identification,
        fragment: is_piece.then_some(Fragment {
            identification: u32::from(identification),
            protocol: fixed[9],
            first: flags_and_offset & FRAGMENT_OFFSET == 0,
        }),
        header,
        length,
        captured,
        is_cut: frame.wire > frame.bytes.len(),
    })
}
