//! Cisco HDLC.

use super::frame::Frame;
use super::link::Next;
use super::{ether_type, u16_at};
use crate::stats::NotMetered;

/// Address, a zero, an EtherType.
const HEADER: usize = 4;
/// The address of a frame to one station.
pub(super) const UNICAST: u8 = 0x0f;
/// The address of a frame to all.
pub(super) const BROADCAST: u8 = 0x8f;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (header, payload) = frame.header::<HEADER>().ok_or(NotMetered::LinkHeader)?;
    Ok((ether_type::layer(u16_at(header, 2))?, payload))
}
