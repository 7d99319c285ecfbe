//! The loopback of BSD: an address family, in the byte order of the machine (`NULL`) or of the network (`LOOP`).

use super::frame::Frame;
use super::link::{Layer, NetworkKind, Next};
use super::u32_at;
use crate::stats::NotMetered;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (header, payload) = frame.header::<4>().ok_or(NotMetered::LinkHeader)?;
    // Families are small numbers, so that only one reading is one.
    let family = u32_at(header, 0);
    let kind = match family.min(family.swap_bytes()) {
        2 => NetworkKind::Ipv4,
        // Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS.
        10 | 23 | 24 | 28 | 30 => NetworkKind::Ipv6,
        _ => return Err(NotMetered::NotIp),
    };
    Ok((Layer::Network(kind), payload))
}
