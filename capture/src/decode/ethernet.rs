//! Ethernet II and 802.3.

use super::frame::Frame;
use super::link::{Layer, Next};
use super::{ether_type, u16_at};
use crate::stats::NotMetered;

/// Destination, source, type.
pub(super) const HEADER: usize = 14;
/// Below this the type field is the length of what follows, and LLC follows.
const FIRST_ETHER_TYPE: u16 = 0x600;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let (header, payload) = frame.header::<HEADER>().ok_or(NotMetered::LinkHeader)?;
    by_type_or_length(u16_at(header, 12), payload)
}

/// What follows the field that is a type for Ethernet II and a length for 802.3.
pub(super) fn by_type_or_length(number: u16, payload: Frame<'_>) -> Next<'_> {
    if number < FIRST_ETHER_TYPE {
        return Ok((Layer::Llc, payload.limit(usize::from(number))));
    }
    Ok((ether_type::layer(number)?, payload))
}

/// Whether these bytes can be an Ethernet frame, where nothing says so: its type is one that is followed.
pub(super) fn is_likely(frame: Frame<'_>) -> bool {
    let header = frame.bytes.first_chunk::<HEADER>();
    header.is_some_and(|header| ether_type::layer(u16_at(header, 12)).is_ok())
}
