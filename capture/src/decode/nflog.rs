//! What netfilter logs (link type `NFLOG`): a header, then attributes of which one is the packet.

use super::frame::Frame;
use super::link::{Layer, Next};
use crate::stats::NotMetered;

/// Address family, version, a resource number.
const HEADER: usize = 4;
/// Length and kind of an attribute, in the byte order of the machine that logged.
const ATTRIBUTE: usize = 4;
/// The kind of the attribute that holds the packet, `NFULA_PAYLOAD`.
const PAYLOAD: u16 = 9;
/// The two high bits of a kind say how to read it.
const KIND: u16 = 0x3fff;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (_, mut rest) = frame.header::<HEADER>().ok_or(NotMetered::LinkHeader)?;
    loop {
        let (attribute, value) = rest.header::<ATTRIBUTE>().ok_or(NotMetered::LinkHeader)?;
        let [l0, l1, k0, k1] = *attribute;
        // There are fewer than 256 kinds: the byte that is not 0 tells the order.
        let little_kind = u16::from_le_bytes([k0, k1]) & KIND;
        let (length, kind) = if little_kind < 256 {
            (u16::from_le_bytes([l0, l1]), little_kind)
        } else {
            (u16::from_be_bytes([l0, l1]), u16::from_be_bytes([k0, k1]) & KIND)
        };
        let length = usize::from(length);
        let inside = length.checked_sub(ATTRIBUTE).ok_or(NotMetered::LinkHeader)?;
        if kind == PAYLOAD {
            return Ok((Layer::Ip, value.limit(inside)));
        }
        rest = rest
            .skip(length.next_multiple_of(4))
            .ok_or(NotMetered::LinkHeader)?;
    }
}
