//! The bytes of a capture file, one record at a time.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use super::{FileError, MAX_RECORD_BYTES};

/// Read in pieces of this size, so that `Read` need not be buffered.
const CHUNK_BYTES: usize = 256 * 1024;

pub(super) struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The bytes of `buffer` that were read and not consumed.
    unread: Range<usize>,
    pub(super) packets_read: u64,
    pub(super) bytes_read: u64,
    /// Bytes of zeros that stood in place of records.
    pub(super) padding: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; CHUNK_BYTES],
            unread: 0..0,
            packets_read: 0,
            bytes_read: 0,
            padding: 0,
        }
    }

    /// The number of the packet that is being read.
    pub(super) fn packet(&self) -> u64 {
        self.packets_read + 1
    }

    /// The first 4 bytes, not consumed.
    pub(super) fn peek_magic(&mut self) -> Result<[u8; 4], FileError> {
        let available = self.fill(4)?;
        match self.buffer[self.unread.clone()] {
            [] => Err(FileError::Empty),
            [a, b, c, d, ..] if available => Ok([a, b, c, d]),
            ref short => Err(FileError::NotACapture {
                magic: short.to_vec(),
            }),
        }
    }

    /// Consumes `length` bytes and says where they lie; `None` when the file ended just before them.
    /// The place holds until the next call.
    pub(super) fn take(&mut self, length: u32) -> Result<Option<Range<usize>>, FileError> {
        if length > MAX_RECORD_BYTES {
            return Err(FileError::RecordTooLarge {
                packet: self.packet(),
                length,
            });
        }
        let length = length as usize;
        if !self.fill(length)? {
            if self.unread.is_empty() {
                return Ok(None);
            }
            return Err(FileError::Truncated {
                packet: self.packet(),
            });
        }
        let start = self.unread.start;
        self.unread.start += length;
        self.bytes_read += length as u64;
        Ok(Some(start..start + length))
    }

    /// Like [`Self::take`] in the middle of a record, where the file must not end.
    pub(super) fn take_rest(&mut self, length: u32) -> Result<Range<usize>, FileError> {
        self.take(length)?.ok_or(FileError::Truncated {
            packet: self.packet(),
        })
    }

    /// As [`Self::take`] for the head of a record, past any zeros in its place: a disk that was full, a file that was made
    /// longer before it was written, or a copy that went wrong leave some. No record starts with that many.
    pub(super) fn take_head(&mut self, length: u32) -> Result<Option<Range<usize>>, FileError> {
        loop {
            let whole = self.fill(length as usize)?;
            let head = &self.buffer[self.unread.clone()];
            let head = &head[..head.len().min(length as usize)];
            let is_padding = !head.is_empty() && head.iter().all(|&byte| byte == 0);
            if !is_padding || (!whole && self.padding == 0) {
                return self.take(length);
            }
            let zeros = head.len();
            self.unread.start += zeros;
            self.padding += zeros as u64;
            self.bytes_read += zeros as u64;
        }
    }

    /// Consumes `length` bytes of any number without keeping them.
    pub(super) fn skip(&mut self, mut length: u64) -> Result<(), FileError> {
        const STEP: u32 = 64 * 1024;
        while length > 0 {
            let step = length.min(u64::from(STEP)) as u32;
            self.take_rest(step)?;
            length -= u64::from(step);
        }
        Ok(())
    }

    /// The bytes at a place that [`Self::take`] gave.
    pub(super) fn record(&self, place: Range<usize>) -> &[u8] {
        &self.buffer[place]
    }

    /// Makes `length` bytes available; `false` when the file has fewer.
    fn fill(&mut self, length: usize) -> Result<bool, FileError> {
        if self.unread.len() >= length {
            return Ok(true);
        }
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        while self.unread.end < length {
            match self.reader.read(&mut self.buffer[self.unread.end..]) {
                Ok(0) => return Ok(false),
                // A reader that claims more than it was given room for breaks its contract; do not follow it.
                Ok(count) => self.unread.end = (self.unread.end + count).min(self.buffer.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(FileError::Io {
                        packet: self.packet(),
                        source,
                    });
                }
            }
        }
        Ok(true)
    }
}

/// Whole numbers of a file in its byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The number at `offset`; 0 beyond the end, which callers exclude by taking whole headers.
    pub(super) fn u16(self, bytes: &[u8], offset: usize) -> u16 {
        let raw = bytes
            .get(offset..offset + 2)
            .and_then(|raw| raw.try_into().ok())
            .unwrap_or([0; 2]);
        match self {
            Self::Little => u16::from_le_bytes(raw),
            Self::Big => u16::from_be_bytes(raw),
        }
    }

    /// As [`Self::u16`], for 4 bytes.
    pub(super) fn u32(self, bytes: &[u8], offset: usize) -> u32 {
        let raw = bytes
            .get(offset..offset + 4)
            .and_then(|raw| raw.try_into().ok())
            .unwrap_or([0; 4]);
        match self {
            Self::Little => u32::from_le_bytes(raw),
            Self::Big => u32::from_be_bytes(raw),
        }
    }
}
