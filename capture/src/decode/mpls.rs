//! MPLS label stacks (RFC 3032) and what they carry, which no field names.

use super::ethernet;
use super::frame::Frame;
use super::link::{Layer, NetworkKind, Next};
use crate::stats::NotMetered;

/// Label, class, whether it is the last, time to live.
const ENTRY: usize = 4;
/// The control word that may stand before a frame of a pseudowire (RFC 4385).
const CONTROL_WORD: usize = 4;

pub(super) fn parse(mut frame: Frame<'_>) -> Next<'_> {
    loop {
        let (entry, rest) = frame.header::<ENTRY>().ok_or(NotMetered::LinkHeader)?;
        frame = rest;
        if entry[2] & 1 != 0 {
            return payload(frame);
        }
    }
}

/// RFC 4928: IP is known by its version, and a pseudowire keeps clear of 4 and 6 by a control word. Those that
/// have none start with an Ethernet address, so that a 4 or 6 has to be confirmed.
fn payload(frame: Frame<'_>) -> Next<'_> {
    let [first, second, ..] = *frame.bytes else {
        return Err(NotMetered::LinkHeader);
    };
    match first >> 4 {
        4 if first & 15 >= 5 => return Ok((Layer::Network(NetworkKind::Ipv4), frame)),
        // An IPv6 header is longer than an Ethernet header; a shorter rest is cut off, not bridged.
        6 if second & 15 == 0 || !ethernet::is_likely(frame) => {
            return Ok((Layer::Network(NetworkKind::Ipv6), frame));
        }
        0 => {
            if let Some(behind) = frame.skip(CONTROL_WORD)
                && ethernet::is_likely(behind)
            {
                return Ok((Layer::Ethernet, behind));
            }
        }
        _ => {}
    }
    if ethernet::is_likely(frame) {
        return Ok((Layer::Ethernet, frame));
    }
    Err(NotMetered::NotIp)
}
