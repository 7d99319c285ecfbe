//! How far the receiver has what the spool took in: a small file beside the segments.
//!
//! The file is written in place and never awaited, so that it survives a kill. When it is missing, short or damaged, what
//! the segments hold is sent again from the first: their ids make that harmless.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::frames::number;

const NUMBERS: usize = 6;
const BYTES: usize = NUMBERS * 8 + 4;

/// Numbers of records, and counts of them, over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The receiver has every record before this one, but for those that were given up or set aside.
    pub(super) sent: u64,
    /// Records before this one have left the disk.
    pub(super) floor: u64,
    /// Those from `sent` to here have left the disk while they were on their way, and nobody knows yet whether they arrived.
    pub(super) pending: u64,
    /// Records that left before they were sent.
    pub(super) given_up: u64,
    /// Records that the receiver will never take.
    pub(super) set_aside: u64,
    /// Number of the next record.
    pub(super) next: u64,
}

impl Cursor {
    fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let numbers = [
            self.sent,
            self.floor,
            self.pending,
            self.given_up,
            self.set_aside,
            self.next,
        ];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes[..NUMBERS * 8]);
        bytes[NUMBERS * 8..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let (numbers, sum) = bytes.get(..BYTES)?.split_last_chunk::<4>()?;
        if crc32fast::hash(numbers) != u32::from_le_bytes(*sum) {
            return None;
        }
        let number = |place: usize| number(numbers, place * 8);
        Some(Self {
            sent: number(0)?,
            floor: number(1)?,
            pending: number(2)?,
            given_up: number(3)?,
            set_aside: number(4)?,
            next: number(5)?,
        })
    }
}

/// The file of a cursor.
#[derive(Debug)]
pub(super) struct CursorFile(File);

impl CursorFile {
    /// Opens the file, with what it says. While it is open no other program opens it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Cursor>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another program forwards from it"),
            TryLockError::Error(error) => error,
        })?;
        let mut bytes = Vec::new();
        (&mut file).take(BYTES as u64).read_to_end(&mut bytes)?;
        Ok((Self(file), Cursor::of(&bytes)))
    }

    /// Writes it anew. What cannot be written is written the next time.
    pub(super) fn write(&mut self, cursor: &Cursor) {
        let written = (self.0.seek(SeekFrom::Start(0))).and_then(|_| self.0.write_all(&cursor.bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "place of the spool not kept, more is sent again after a kill");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_cursor_is_whole_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        let cursor = Cursor {
            sent: 1,
            floor: 2,
            pending: 3,
            given_up: 4,
            set_aside: 5,
            next: 6,
        };
        let (mut file, none) = CursorFile::open(&path).unwrap();
        assert_eq!(none, None);
        for sent in [9, 1] {
            file.write(&Cursor { sent, ..cursor });
        }
        assert!(CursorFile::open(&path).is_err(), "it is open");
        drop(file);
        assert_eq!(CursorFile::open(&path).unwrap().1, Some(cursor));
        let bytes = cursor.bytes();
        for cut in 0..BYTES {
            assert_eq!(Cursor::of(&bytes[..cut]), None);
        }
        for place in 0..BYTES {
            let mut damaged = bytes;
            damaged[place] ^= 0x40;
            assert_eq!(Cursor::of(&damaged), None);
        }
    }
}
