//! Generic routing encapsulation (RFC 2784, 2890) and its enhanced form for PPTP (RFC 2637).

use super::frame::Frame;
use super::link::Next;
use super::{erspan, ether_type, u16_at};
use crate::stats::NotMetered;

/// Flags with the version, and the type of what follows.
const HEADER: usize = 4;
const CHECKSUM: u16 = 0x8000;
/// Source routes (RFC 1701), given up since.
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// In the enhanced form only.
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (header, rest) = frame.header::<HEADER>().ok_or(NotMetered::LinkHeader)?;
    let (flags, ether_type) = (u16_at(header, 0), u16_at(header, 2));
    let version = flags & VERSION;
    if version > 1 || flags & ROUTING != 0 {
        return Err(NotMetered::NotIp);
    }
    // Each of the fields that a flag announces takes 4 bytes.
    let announced = match version {
        0 => CHECKSUM | KEY | SEQUENCE,
        _ => KEY | SEQUENCE | ACKNOWLEDGEMENT,
    };
    let fields = (flags & announced).count_ones() as usize;
    let payload = rest.skip(fields * 4).ok_or(NotMetered::LinkHeader)?;
    match ether_type {
        erspan::TYPE_I_OR_II => erspan::parse_i_or_ii(payload, flags & SEQUENCE != 0),
        erspan::TYPE_III => erspan::parse_iii(payload),
        _ => Ok((ether_type::layer(ether_type)?, payload)),
    }
}
