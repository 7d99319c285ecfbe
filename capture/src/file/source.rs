//! The bytes of a capture file, one record at a time.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use super::{FileError, MAX_RECORD_BYTES};

/// Bytes of the word that a record begins with.
const WORD: usize = 4;

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
    #[inline]
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
    /// longer before it was written, or a copy that went wrong leave some. No record starts with that many. `begins` says
    /// whether a record can begin at an offset behind them, by its head there; up to three zeros may belong to the record.
    #[inline]
    pub(super) fn take_head(
        &mut self,
        length: u32,
        begins: impl Fn(usize, &[u8]) -> bool,
    ) -> Result<Option<Range<usize>>, FileError> {
        // The short way of nearly every record: its first byte is not zero.
        if self.fill(length as usize)? && self.buffer[self.unread.start] != 0 {
            return self.take(length);
        }
        self.take_head_behind_zeros(length, begins)
    }

    #[cold]
    fn take_head_behind_zeros(
        &mut self,
        length: u32,
        begins: impl Fn(usize, &[u8]) -> bool,
    ) -> Result<Option<Range<usize>>, FileError> {
        let mut is_in_padding = false;
        loop {
            let zeros = self.zeros(length as usize)?;
            let is_padding = zeros > 0 && zeros == self.unread.len().min(length as usize);
            if !is_padding {
                if is_in_padding && zeros > 0 {
                    let offset = self.beginning(zeros, length as usize, begins)?;
                    self.pass_padding(offset);
                }
                return self.take(length);
            }
            is_in_padding = true;
            // The last word may belong to a record; at the end of the file there is none.
            let is_last = self.unread.len() < length as usize;
            self.pass_padding(if is_last { zeros } else { zeros - WORD });
        }
    }

    /// The zeros that the next `length` bytes start with.
    fn zeros(&mut self, length: usize) -> Result<usize, FileError> {
        self.fill(length)?;
        let head = self.buffer[self.unread.clone()].iter().take(length);
        Ok(head.take_while(|&&byte| byte == 0).count())
    }

    /// Where behind `zeros` bytes of padding a record begins.
    fn beginning(
        &mut self,
        zeros: usize,
        length: usize,
        begins: impl Fn(usize, &[u8]) -> bool,
    ) -> Result<usize, FileError> {
        self.fill(zeros + length)?;
        let bytes = &self.buffer[self.unread.clone()];
        let mut offsets = (zeros.saturating_sub(3)..=zeros).rev();
        let found = offsets.find(|&offset| {
            let head = bytes.get(offset..offset + length);
            head.is_some_and(|head| begins(offset, head))
        });
        Ok(found.unwrap_or(zeros))
    }

    fn pass_padding(&mut self, bytes: usize) {
        self.unread.start += bytes;
        self.padding += bytes as u64;
        self.bytes_read += bytes as u64;
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
    #[inline]
    fn fill(&mut self, length: usize) -> Result<bool, FileError> {
        if self.unread.len() >= length {
            return Ok(true);
        }
        self.refill(length)
    }

    #[cold]
    fn refill(&mut self, length: usize) -> Result<bool, FileError> {
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
