//! VXLAN (RFC 7348): Ethernet in UDP.

use super::frame::Frame;
use super::link::{Layer, Next};

/// The port assigned to it.
pub(super) const PORT: u16 = 4789;
/// The port of Linux before that, still its default.
pub(super) const LINUX_PORT: u16 = 8472;
/// Flags, the number of the network, and bytes that are reserved.
const HEADER: usize = 8;
/// The one flag there is, always set: the number is valid.
const VALID: u8 = 0x08;

/// `None` when it does not look like VXLAN.
pub(super) fn parse(frame: Frame<'_>) -> Option<Next<'_>> {
    let (header, payload) = frame.header::<HEADER>()?;
    (header[0] & VALID != 0 && header[7] == 0).then_some(Ok((Layer::Ethernet, payload)))
}
