//! Logical link control (IEEE 802.2) and its extension SNAP (RFC 1042).

use super::frame::Frame;
use super::link::{Layer, NetworkKind, Next};
use super::{ether_type, u16_at};
use crate::stats::NotMetered;

/// Both service access points, and the control byte of an unnumbered frame.
const HEADER: usize = 3;
/// Organisation and type.
const SNAP: usize = 5;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (header, payload) = frame.header::<HEADER>().ok_or(NotMetered::LinkHeader)?;
    match *header {
        [0xaa, 0xaa, 0x03] => {
            let (snap, payload) = payload.header::<SNAP>().ok_or(NotMetered::LinkHeader)?;
            match snap[..3] {
                // RFC 1042, and the numbers of bridged networks (802.1H).
                [0, 0, 0] | [0, 0, 0xf8] => Ok((ether_type::layer(u16_at(snap, 3))?, payload)),
                _ => Err(NotMetered::NotIp),
            }
        }
        [0x06, 0x06, 0x03] => Ok((Layer::Network(NetworkKind::Ipv4), payload)),
        _ => Err(NotMetered::NotIp),
    }
}
