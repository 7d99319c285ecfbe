//! GENEVE (RFC 8926): anything with an EtherType in UDP.

use super::frame::Frame;
use super::link::Next;
use super::{ether_type, u16_at};
use crate::stats::NotMetered;

/// The port assigned to it.
pub(super) const PORT: u16 = 6081;
/// Version and length of the options, flags, type, number of the network, a reserved byte.
const HEADER: usize = 8;
/// In the flags: control traffic of the tunnel itself.
const CONTROL: u8 = 0x80;

/// `None` when it does not look like GENEVE.
pub(super) fn parse(frame: Frame<'_>) -> Option<Next<'_>> {
    let (header, rest) = frame.header::<HEADER>()?;
    if header[0] >> 6 != 0 || header[1] & CONTROL != 0 || header[7] != 0 {
        return None;
    }
    let options = usize::from(header[0] & 0x3f) * 4;
    let payload = rest.skip(options).ok_or(NotMetered::LinkHeader);
    Some(ether_type::layer(u16_at(header, 2)).and_then(|layer| Ok((layer, payload?))))
}
