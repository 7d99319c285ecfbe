//! PPP over Ethernet (RFC 2516), the session.

use super::frame::Frame;
use super::link::{Layer, Next};
use super::u16_at;
use crate::stats::NotMetered;

/// Version and type, code, session, length.
const HEADER: usize = 6;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (header, payload) = frame.header::<HEADER>().ok_or(NotMetered::LinkHeader)?;
    let [0x11, code, ..] = *header else {
        return Err(NotMetered::LinkHeader);
    };
    if code != 0 {
        // Discovery, which has a type of its own on Ethernet but not as a link type.
        return Err(NotMetered::NotIp);
    }
    Ok((Layer::Ppp, payload.limit(usize::from(u16_at(header, 4)))))
}
