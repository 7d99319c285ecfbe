//! The rest of a packet, seen from the front of one of its headers.

use crate::packet::Packet;

/// What is left of a packet behind the headers that were read. Whatever is done with it, it stays within the
/// packet: [`Self::skip`] refuses to leave it and [`Self::limit`] only takes away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// The bytes captured from here on.
    pub(super) bytes: &'a [u8],
    /// Bytes of the packet before here.
    pub(super) before: usize,
    /// Bytes on the wire from here on, never fewer than were captured.
    pub(super) wire: usize,
}

impl<'a> Frame<'a> {
    #[inline]
    pub(super) fn of(packet: &Packet<'a>) -> Self {
        Self {
            bytes: packet.bytes,
            before: 0,
            wire: (packet.wire_length as usize).max(packet.bytes.len()),
        }
    }

    /// Behind `length` bytes; `None` when fewer were captured.
    #[inline]
    pub(super) fn skip(self, length: usize) -> Option<Self> {
        Some(Self {
            bytes: self.bytes.get(length..)?,
            before: self.before + length,
            // Not below 0: `wire` is at least what was captured, and that much was.
            wire: self.wire.saturating_sub(length),
        })
    }

    /// Without what lies behind the first `length` bytes: padding, check sequences, neighbours.
    pub(super) fn limit(self, length: usize) -> Self {
        Self {
            bytes: &self.bytes[..self.bytes.len().min(length)],
            before: self.before,
            wire: self.wire.min(length),
        }
    }

    /// The first `LENGTH` bytes and what follows them; `None` when fewer were captured.
    #[inline]
    pub(super) fn header<const LENGTH: usize>(self) -> Option<(&'a [u8; LENGTH], Self)> {
        let header = self.bytes.first_chunk()?;
        Some((header, self.skip(LENGTH)?))
    }
}
