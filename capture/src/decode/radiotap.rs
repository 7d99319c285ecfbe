//! Radiotap: what a wireless card says about a frame, before the frame itself.

use super::frame::Frame;
use super::link::Next;
use super::wireless;
use crate::stats::NotMetered;

/// Version, padding, length, and the first word of fields that are present.
const HEADER: usize = 8;
/// In a word of present fields: another such word follows.
const MORE_WORDS: u32 = 1 << 31;
const HAS_TIME: u32 = 1 << 0;
const HAS_FLAGS: u32 = 1 << 1;
/// In the flags: the frame ends in its check sequence.
const CHECK_SEQUENCE: u8 = 0x10;
/// In the flags: the header of the frame is padded to a multiple of 4 bytes.
const PADDED: u8 = 0x20;

pub(super) fn parse(frame: Frame<'_>) -> Next<'_> {
    let header = frame
        .bytes
        .first_chunk::<HEADER>()
        .ok_or(NotMetered::LinkHeader)?;
    let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
    if header[0] != 0 || length < HEADER {
        return Err(NotMetered::LinkHeader);
    }
    let inner = frame.skip(length).ok_or(NotMetered::LinkHeader)?;
    let flags = flags(&frame.bytes[..length]).ok_or(NotMetered::LinkHeader)?;
    let trailer = if flags & CHECK_SEQUENCE != 0 { 4 } else { 0 };
    let inner = inner.limit(inner.wire.saturating_sub(trailer));
    wireless::parse(inner, if flags & PADDED != 0 { 4 } else { 0 })
}

/// The flags among the fields, 0 where there are none; `None` when the header ends before them. Fields stand in
/// the order of their bits, each aligned to its size, and only the time (8 bytes) can stand before the flags.
fn flags(header: &[u8]) -> Option<u8> {
    let mut place = 4;
    let word = |place: usize| Some(u32::from_le_bytes(*header.get(place..)?.first_chunk()?));
    let present = word(place)?;
    while word(place)? & MORE_WORDS != 0 {
        place += 4;
    }
    place += 4;
    if present & HAS_TIME != 0 {
        place = place.next_multiple_of(8) + 8;
    }
    if present & HAS_FLAGS == 0 {
        return Some(0);
    }
    header.get(place).copied()
}
