//! GTP-U (3GPP TS 29.281): the packets of mobile subscribers in UDP.

use super::frame::Frame;
use super::link::{Layer, Next};
use super::u16_at;
use crate::stats::NotMetered;

/// The port assigned to it.
pub(super) const PORT: u16 = 2152;
/// Flags, message, length of what follows these 8 bytes, number of the tunnel.
const HEADER: usize = 8;
/// Sequence number, a number of no meaning here, and the kind of the first extension.
const OPTIONS: usize = 4;
/// Version 1 of the protocol for users (not for charging).
const VERSION: u8 = 0b0011_0000;
const VERSION_MASK: u8 = 0b1111_0000;
const HAS_EXTENSION: u8 = 0b100;
const HAS_OPTIONS: u8 = 0b111;
/// The only message that carries a packet; the others are about the tunnel itself.
const PACKET: u8 = 0xff;

/// `None` for what is no packet of a subscriber.
pub(super) fn parse(frame: Frame<'_>) -> Option<Next<'_>> {
    let (header, rest) = frame.header::<HEADER>()?;
    let [flags, PACKET, ..] = *header else {
        return None;
    };
    if flags & VERSION_MASK != VERSION {
        return None;
    }
    let rest = rest.limit(usize::from(u16_at(header, 2)));
    Some(behind_options(flags, rest).ok_or(NotMetered::LinkHeader))
}

fn behind_options(flags: u8, mut frame: Frame<'_>) -> Option<(Layer, Frame<'_>)> {
    if flags & HAS_OPTIONS == 0 {
        return Some((Layer::Ip, frame));
    }
    let (options, rest) = frame.header::<OPTIONS>()?;
    frame = rest;
    let mut extension = if flags & HAS_EXTENSION == 0 { 0 } else { options[3] };
    while extension != 0 {
        // Its length comes first, in units of 4 bytes and never 0, and the kind of the next comes last.
        let length = usize::from(*frame.bytes.first()?) * 4;
        extension = *frame.bytes.get(length.checked_sub(1)?)?;
        frame = frame.skip(length)?;
    }
    Some((Layer::Ip, frame))
}
