//! ERSPAN (draft-foschiano-erspan): frames mirrored by a switch, in GRE.

use super::frame::Frame;
use super::link::{Layer, Next};
use super::u16_at;
use crate::stats::NotMetered;

/// Type in the GRE header of ERSPAN I, which has no header of its own, and of ERSPAN II.
pub(super) const TYPE_I_OR_II: u16 = 0x88be;
/// Type in the GRE header of ERSPAN III.
pub(super) const TYPE_III: u16 = 0x22eb;

/// Version with VLAN, class of service, session and index.
const HEADER_II: usize = 8;
/// As before with a time stamp, a security tag and more flags.
const HEADER_III: usize = 12;
/// Of a platform, behind the header of ERSPAN III where a flag says so.
const SUBHEADER_III: usize = 8;

mod field {
    /// In both headers.
    pub(super) const VERSION: usize = 0;
    /// ERSPAN III.
    pub(super) const FLAGS: usize = 10;
}

/// In the first byte: 1 is ERSPAN II, 2 is ERSPAN III.
const VERSION_SHIFT: u8 = 4;
/// What was mirrored, in the flags of ERSPAN III: 0 is a frame of Ethernet, 2 is an IP packet.
const FRAME_TYPE: u16 = 0x7c00;
const FRAME_TYPE_SHIFT: u16 = 10;
const SUBHEADER_FOLLOWS: u16 = 0x0001;

/// Only the GRE header of ERSPAN II has a sequence number.
pub(super) fn parse_i_or_ii(frame: Frame<'_>, is_numbered: bool) -> Next<'_> {
    if !is_numbered {
        return Ok((Layer::Ethernet, frame));
    }
    let (header, payload) = frame.header::<HEADER_II>().ok_or(NotMetered::LinkHeader)?;
    match header[field::VERSION] >> VERSION_SHIFT {
        1 => Ok((Layer::Ethernet, payload)),
        _ => Err(NotMetered::NotIp),
    }
}

pub(super) fn parse_iii(frame: Frame<'_>) -> Next<'_> {
    let (header, rest) = frame.header::<HEADER_III>().ok_or(NotMetered::LinkHeader)?;
    let flags = u16_at(header, field::FLAGS);
    let version = header[field::VERSION] >> VERSION_SHIFT;
    let layer = match (version, (flags & FRAME_TYPE) >> FRAME_TYPE_SHIFT) {
        (2, 0) => Layer::Ethernet,
        (2, 2) => Layer::Ip,
        _ => return Err(NotMetered::NotIp),
    };
    let subheader = match flags & SUBHEADER_FOLLOWS {
        0 => 0,
        _ => SUBHEADER_III,
    };
    let payload = rest.skip(subheader).ok_or(NotMetered::LinkHeader)?;
    Ok((layer, payload))
}
