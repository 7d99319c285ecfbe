//! The classic format: one header of 24 bytes, then records with a header of 16.

use std::io::Read;

use super::source::{ByteOrder, Source};
use super::{FileError, MAX_RECORD_BYTES, PacketRecord};
use crate::packet::LinkType;

const FILE_HEADER_BYTES: u32 = 24;
const RECORD_HEADER_BYTES: u32 = 16;
const NANOSECONDS: i64 = 1_000_000_000;

pub(super) struct Header {
    order: ByteOrder,
    /// Nanoseconds per unit of the fraction: 1,000 or 1.
    fraction_ns: i64,
    link: LinkType,
    /// Extra bytes that some writers put after the record header.
    record_extra: u32,
}

/// What a magic number says: the byte order, the nanoseconds per unit of the fraction, and the extra bytes of a record.
pub(super) const fn variant(magic: [u8; 4]) -> Option<(ByteOrder, i64, u32)> {
    Some(match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => (ByteOrder::Little, 1_000, 0),
        [0xa1, 0xb2, 0xc3, 0xd4] => (ByteOrder::Big, 1_000, 0),
        [0x4d, 0x3c, 0xb2, 0xa1] => (ByteOrder::Little, 1, 0),
        [0xa1, 0xb2, 0x3c, 0x4d] => (ByteOrder::Big, 1, 0),
        // Alexey Kuznetzov's variant, written by old Linux tools.
        [0x34, 0xcd, 0xb2, 0xa1] => (ByteOrder::Little, 1_000, 8),
        [0xa1, 0xb2, 0xcd, 0x34] => (ByteOrder::Big, 1_000, 8),
        _ => return None,
    })
}

impl Header {
    pub(super) fn read<R: Read>(source: &mut Source<R>, magic: [u8; 4]) -> Result<Self, FileError> {
        let (order, fraction_ns, record_extra) = variant(magic).ok_or_else(|| FileError::NotACapture {
            magic: magic.to_vec(),
        })?;
        let place = match source.take(FILE_HEADER_BYTES) {
            Ok(Some(place)) => place,
            Ok(None) | Err(FileError::Truncated { .. }) => return Err(FileError::TruncatedHeader),
            Err(other) => return Err(other),
        };
        // The upper half of the link type word holds flags about frame check sequences.
        let [_, _, high, low] = order.u32(source.record(place), 20).to_be_bytes();
        Ok(Self {
            order,
            fraction_ns,
            link: LinkType::from_number(u16::from_be_bytes([high, low])),
            record_extra,
        })
    }

    pub(super) fn next_record<R: Read>(
        &self,
        source: &mut Source<R>,
    ) -> Result<Option<PacketRecord>, FileError> {
        let begins = |_, head: &[u8]| {
            let [seconds, fraction, captured, wire_length] =
                [0, 4, 8, 12].map(|offset| self.order.u32(head, offset));
            seconds > 0
                && i64::from(fraction) * self.fraction_ns < NANOSECONDS
                && (1..=wire_length).contains(&captured)
                && wire_length <= MAX_RECORD_BYTES
        };
        let Some(place) = source.take_head(RECORD_HEADER_BYTES, begins)? else {
            return Ok(None);
        };
        let header = source.record(place);
        let seconds = i64::from(self.order.u32(header, 0));
        let fraction = i64::from(self.order.u32(header, 4));
        let captured = self.order.u32(header, 8);
        let wire_length = self.order.u32(header, 12);
        if self.record_extra > 0 {
            source.take_rest(self.record_extra)?;
        }
        let bytes = source.take_rest(captured)?;
        // u32 seconds in nanoseconds fit an i64 with room for any fraction.
        let time_ns = seconds * NANOSECONDS + fraction * self.fraction_ns;
        Ok(Some(PacketRecord {
            link: self.link,
            time_ns,
            wire_length,
            bytes,
        }))
    }
}
