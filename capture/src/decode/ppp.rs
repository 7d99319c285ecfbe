//! PPP (RFC 1661), with and without the framing of HDLC (RFC 1662).

use super::frame::Frame;
use super::link::{Layer, NetworkKind, Next};
use super::{chdlc, u16_at};
use crate::stats::NotMetered;

/// "All stations" and "unnumbered information", which some links leave out.
const FRAMING: [u8; 2] = [0xff, 0x03];

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let unframed = match *frame.bytes {
        [address, control, ..] if [address, control] == FRAMING => frame.skip(FRAMING.len()),
        // Cisco's framing travels under the same link type (RFC 1547, 4.3.1).
        [chdlc::UNICAST | chdlc::BROADCAST, 0, ..] => return chdlc::parse(frame),
        _ => Some(frame),
    };
    let frame = unframed.ok_or(NotMetered::LinkHeader)?;
    // The last bit of a number is set, so that a number in one byte shows (RFC 1661, 2 and 6.5).
    let (number, payload) = match *frame.bytes {
        [short, ..] if short & 1 != 0 => (u16::from(short), frame.skip(1)),
        [_, _, ..] => (u16_at(frame.bytes, 0), frame.skip(2)),
        _ => return Err(NotMetered::LinkHeader),
    };
    let layer = match number {
        0x0021 => Layer::Network(NetworkKind::Ipv4),
        0x0057 => Layer::Network(NetworkKind::Ipv6),
        0x0281 | 0x0283 => Layer::Mpls,
        _ => return Err(NotMetered::NotIp),
    };
    Ok((layer, payload.ok_or(NotMetered::LinkHeader)?))
}
