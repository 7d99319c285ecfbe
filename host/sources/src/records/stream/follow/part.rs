//! A part of a log that is being read.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::super::intake::Intake;
use super::super::{Place, Taken};
use super::file::{Found, Print, beyond_header, head_of, is_young, same_file, stamp};

/// A part that is being read.
pub(super) struct Part {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) print: Print,
    /// The bytes of the print.
    pub(super) head: Vec<u8>,
    pub(super) bytes: Bytes,
    pub(super) intake: Intake,
    /// Unpacked bytes that were given to the intake.
    pub(super) read: u64,
    /// Since when its name leads to another file, or to none.
    pub(super) unnamed: Option<Instant>,
    /// Whether the last look found nothing to read.
    pub(super) is_at_end: bool,
    /// When a packed part that was not whole is tried again.
    pub(super) retry: Option<Instant>,
}

/// How a part is read.
pub(super) enum Bytes {
    Plain(File),
    /// Packed: what unpacks it, and bytes of it that were read before.
    Packed {
        file: File,
        unpacked: Box<dyn Read + Send>,
        skip: u64,
        /// What the file looked like when it was opened.
        stamp: (u64, Option<SystemTime>),
    },
}

impl Part {
    /// Whether a file is the part or a copy of it, also one that was made before the part was written to its end.
    pub(super) fn is(&self, found: &Found) -> bool {
        let begin = beyond_header(&found.head);
        let is_short = !begin.is_empty() && begin.len() < self.print.length;
        self.print.is(&found.metadata, &found.head)
            || (is_short && !same_file(&self.print, &found.metadata) && self.head.starts_with(begin))
    }

    pub(super) fn file(&self) -> &File {
        match &self.bytes {
            Bytes::Plain(file) | Bytes::Packed { file, .. } => file,
        }
    }

    /// The bytes that were read, as a piece.
    pub(super) fn piece(&self) -> Taken {
        let (items, header) = self.intake.standing();
        Taken::Piece {
            behind: Place {
                part: self.number,
                offset: self.intake.used(),
                items,
                header: Arc::from(header),
            },
            format: self.intake.format(),
        }
    }

    /// Whether the file is shorter than what was read, or begins otherwise.
    pub(super) fn is_cut(&self) -> bool {
        let Bytes::Plain(file) = &self.bytes else {
            return false;
        };
        let Ok(metadata) = file.metadata() else {
            return false;
        };
        metadata.len() < self.read
            || (metadata.len() > self.read
                && self.print.length > 0
                && head_of(file).is_ok_and(|head| !self.print.is(&metadata, &head)))
    }

    /// Begins a packed file again, and passes over what was read.
    pub(super) fn reopen(&mut self) {
        let opened = Found::open(self.path.clone(), false).and_then(|found| Bytes::open(found, self.read));
        self.retry = None;
        if let Ok(bytes) = opened {
            self.bytes = bytes;
        }
    }
}

impl Bytes {
    /// Opens a file behind bytes of its content that were read before.
    pub(super) fn open(found: Found, offset: u64) -> io::Result<Self> {
        let Some(packing) = found.packing else {
            let mut file = found.file;
            file.seek(SeekFrom::Start(offset))?;
            return Ok(Self::Plain(file));
        };
        Ok(Self::Packed {
            unpacked: packing.unpack(File::open(&found.path)?),
            file: found.file,
            skip: offset,
            stamp: stamp(&found.metadata),
        })
    }

    pub(super) fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(chunk),
            Self::Packed { unpacked, skip, .. } => {
                while *skip > 0 {
                    let most = usize::try_from(*skip).unwrap_or(usize::MAX).min(chunk.len());
                    let read = unpacked.read(chunk.get_mut(..most).unwrap_or_default())?;
                    if read == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                    }
                    *skip -= read as u64;
                }
                unpacked.read(chunk)
            }
        }
    }

    /// Whether a packed file has changed since it was opened, or a moment ago.
    pub(super) fn is_being_written(&self) -> bool {
        let Self::Packed {
            file, stamp: before, ..
        } = self
        else {
            return false;
        };
        let Ok(metadata) = file.metadata() else {
            return false;
        };
        stamp(&metadata) != *before || is_young(&metadata)
    }
}
