//! What Linux gives for the interface "any" instead of a link header, in its two versions.

use super::frame::Frame;
use super::link::{Layer, Next};
use super::{ether_type, u16_at};
use crate::stats::NotMetered;

/// The protocol number of frames of 802.2, which have no EtherType.
const LLC: u16 = 0x0004;

/// Version 1: direction, kind of hardware, address with its length, protocol.
pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (header, payload) = frame.header::<16>().ok_or(NotMetered::LinkHeader)?;
    by_protocol(u16_at(header, 14), payload)
}

/// Version 2: protocol, then the interface and the fields of version 1.
pub(super) fn parse2(frame: Frame<'_>) -> Next<'_> {
    let (header, payload) = frame.header::<20>().ok_or(NotMetered::LinkHeader)?;
    by_protocol(u16_at(header, 0), payload)
}

fn by_protocol(protocol: u16, payload: Frame<'_>) -> Next<'_> {
    let layer = match protocol {
        LLC => Layer::Llc,
        other => ether_type::layer(other)?,
    };
    Ok((layer, payload))
}
