//! Teredo (RFC 4380): IPv6 in UDP, through address translation.

use super::frame::Frame;
use super::link::{Layer, NetworkKind, Next};
use super::u16_at;

/// The port of servers. Relays and peers use any.
pub(super) const PORT: u16 = 3544;
/// IPv6 addresses of Teredo start with this.
const PREFIX: [u8; 4] = [0x20, 0x01, 0, 0];
/// Length of an IPv6 header, and where its addresses stand.
const HEADER: usize = 40;
const ADDRESSES: [usize; 2] = [8, 24];
/// Marks an authentication: two lengths follow, the two fields, a nonce and a confirmation.
const AUTHENTICATION: [u8; 2] = [0, 1];
/// Marks an origin: port and address follow.
const ORIGIN: [u8; 2] = [0, 0];
const ORIGIN_LENGTH: usize = 8;
const NONCE_AND_CONFIRMATION: usize = 9;

/// `None` when no IPv6 packet lies there.
pub(super) fn parse(mut frame: Frame<'_>) -> Option<Next<'_>> {
    if let [a, b, identifier, authentication, ..] = *frame.bytes
        && [a, b] == AUTHENTICATION
    {
        frame =
            frame.skip(4 + usize::from(identifier) + usize::from(authentication) + NONCE_AND_CONFIRMATION)?;
    }
    if frame.bytes.starts_with(&ORIGIN) {
        frame = frame.skip(ORIGIN_LENGTH)?;
    }
    (frame.bytes.first()? >> 4 == 6).then_some(Ok((Layer::Network(NetworkKind::Ipv6), frame)))
}

/// As [`parse`], on a port that says nothing: an IPv6 packet that fills the datagram and has an end in Teredo.
pub(super) fn parse_on_any_port(frame: Frame<'_>) -> Option<Next<'_>> {
    let header = frame.bytes.first_chunk::<HEADER>()?;
    let fills = HEADER + usize::from(u16_at(header, 4)) == frame.wire;
    let ends_there = ADDRESSES
        .iter()
        .any(|&place| header[place..].starts_with(&PREFIX));
    (fills && ends_there).then(|| parse(frame))?
}
