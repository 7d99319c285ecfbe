//! The bytes of a segment: a header, and a frame for each record.
//!
//! A header is the format's name, the number of the first record, how many records had been given up when the segment
//! began, and a checksum. A frame is the length of its text, a checksum, its kind, when it was put here, and the text.
//! Numbers are little-endian.

use std::ops::Range;

/// Name and version of the format.
const FORMAT: [u8; 8] = *b"NSPOOL-1";
/// Bytes of a header.
pub(super) const HEADER: usize = 28;
/// Bytes of a frame before its text.
pub(super) const FRAME: usize = 17;
/// Longest text of a frame: whatever claims more is damage.
pub(super) const LONGEST: usize = 1 << 20;

/// A record.
const RECORD: u8 = 0;
/// The records between the one before and the next segment are missing, and were counted.
const GAP: u8 = 1;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of its first record.
    pub(super) first: u64,
    /// Records that had been given up when it began.
    pub(super) given_up: u64,
}

impl Header {
    pub(super) fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&FORMAT);
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.given_up.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (said, sum) = bytes.get(..HEADER)?.split_last_chunk::<4>()?;
        if crc32fast::hash(said) != u32::from_le_bytes(*sum) || !said.starts_with(&FORMAT) {
            return None;
        }
        Some(Self {
            first: number(said, 8)?,
            given_up: number(said, 16)?,
        })
    }
}

/// The number at a place.
pub(super) fn number(bytes: &[u8], place: usize) -> Option<u64> {
    let bytes = bytes.get(place..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// Appends the frame of a record.
pub(super) fn push_record(frames: &mut Vec<u8>, time_ms: u64, text: &[u8]) {
    push(frames, RECORD, time_ms, text);
}

/// Appends what says that the rest of a segment is missing, and counted.
pub(super) fn push_gap(frames: &mut Vec<u8>) {
    push(frames, GAP, 0, &[]);
}

fn push(frames: &mut Vec<u8>, kind: u8, time_ms: u64, text: &[u8]) {
    let start = frames.len();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    frames.extend_from_slice(&length.to_le_bytes());
    frames.extend_from_slice(&[0; 4]);
    frames.push(kind);
    frames.extend_from_slice(&time_ms.to_le_bytes());
    frames.extend_from_slice(text);
    let sum = crc32fast::hash(&frames[start + 8..]) ^ length;
    frames[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
}

/// What begins at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A record.
    Record {
        /// When it was put here, ms since the epoch.
        time_ms: u64,
        /// Where its text is.
        text: Range<usize>,
    },
    /// The records from here to the next segment are missing, and were counted.
    Gap,
    /// Nothing whole: more bytes may make it so.
    Cut,
    /// No frame.
    Damage,
}

/// What begins at a place of some bytes.
pub(super) fn at(bytes: &[u8], place: usize) -> Found {
    let Some(rest) = bytes.get(place..) else {
        return Found::Cut;
    };
    let Some(length) = rest.first_chunk().map(|length| u32::from_le_bytes(*length)) else {
        return Found::Cut;
    };
    let text = length as usize;
    if text > LONGEST {
        return Found::Damage;
    }
    let Some(frame) = rest.get(..FRAME + text) else {
        return Found::Cut;
    };
    let sum = frame.get(4..).and_then(|sum| sum.first_chunk());
    if sum.map(|sum| u32::from_le_bytes(*sum)) != Some(crc32fast::hash(&frame[8..]) ^ length) {
        return Found::Damage;
    }
    match (frame[8], number(frame, 9)) {
        (RECORD, Some(time_ms)) => Found::Record {
            time_ms,
            text: place + FRAME..place + FRAME + text,
        },
        (GAP, _) if text == 0 => Found::Gap,
        _ => Found::Damage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        push_record(&mut bytes, 7, b"one");
        push_record(&mut bytes, 8, b"");
        let behind = bytes.len();
        push_gap(&mut bytes);
        let record = |time_ms, text| Found::Record { time_ms, text };
        let check = |bytes: &[u8], place, expected| assert_eq!(at(bytes, place), expected);
        check(&bytes, 0, record(7, 17..20));
        check(&bytes, 20, record(8, 37..37));
        check(&bytes, behind, Found::Gap);
        check(&bytes, bytes.len(), Found::Cut);
        for cut in 1..20 {
            check(&bytes[..cut], 0, Found::Cut);
        }
        for place in 4..20 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            check(&damaged, 0, Found::Damage);
        }
        check(&[0xFF; 32], 0, Found::Damage);
    }

    #[test]
    fn a_header_is_whole_or_none() {
        let header = Header {
            first: 3,
            given_up: 9,
        };
        let bytes = header.bytes();
        assert_eq!(Header::read(&bytes), Some(header));
        for place in 0..HEADER {
            let mut damaged = bytes;
            damaged[place] ^= 1;
            assert_eq!(Header::read(&damaged), None);
            assert_eq!(Header::read(&bytes[..place]), None);
        }
    }
}
