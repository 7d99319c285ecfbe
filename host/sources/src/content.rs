//! Bytes from anywhere, unpacked, and told apart by the first of them, never by a name.

use std::io::{self, Chain, Cursor, Read};

use flate2::read::MultiGzDecoder;

use crate::{Capture, SourceError, Table};

/// Bytes looked at to tell what they are.
const SNIFFED_BYTES: usize = 512;

/// Unpacked bytes, with the first ones read already.
pub type Content<'a> = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send + 'a>>;

/// What bytes mean.
pub enum Input<'a> {
    /// A capture.
    Capture(Capture<Content<'a>>),
    /// A CSV.
    Table(Table<Content<'a>>),
}

impl<'a> Input<'a> {
    /// Unpacks bytes and opens what they are. `name` says in messages where they come from.
    ///
    /// # Errors
    /// When there is not one byte, the bytes are neither a capture nor a CSV, or its header does not fit.
    pub fn open(name: &str, bytes: impl Read + Send + 'a) -> Result<Self, SourceError> {
        let (head, content) = unpack(name, bytes)?;
        if head.is_empty() {
            return Err(SourceError::Empty {
                name: name.to_owned(),
            });
        }
        if is_capture(&head) {
            return Capture::new(name, content).map(Self::Capture);
        }
        if !is_text(&head) {
            return Err(SourceError::Unknown {
                name: name.to_owned(),
            });
        }
        Table::new(name, content).map(Self::Table)
    }
}

impl<'a> Capture<Content<'a>> {
    /// Unpacks bytes that are to be a capture. `name` says in messages where they come from.
    ///
    /// # Errors
    /// When they are no capture.
    pub fn open(name: &str, bytes: impl Read + Send + 'a) -> Result<Self, SourceError> {
        let (_, content) = unpack(name, bytes)?;
        Self::new(name, content)
    }
}

/// The first bytes, unpacked, and all of them.
fn unpack<'a>(name: &str, bytes: impl Read + Send + 'a) -> Result<(Vec<u8>, Content<'a>), SourceError> {
    let sniffed = sniff(Box::new(bytes)).and_then(|(head, whole)| {
        if head.starts_with(&[0x1f, 0x8b]) {
            sniff(Box::new(MultiGzDecoder::new(whole)))
        } else {
            Ok((head, whole))
        }
    });
    sniffed.map_err(|source| SourceError::Open {
        name: name.to_owned(),
        source,
    })
}

fn sniff<'a>(mut bytes: Box<dyn Read + Send + 'a>) -> io::Result<(Vec<u8>, Content<'a>)> {
    let mut head = Vec::with_capacity(SNIFFED_BYTES);
    (&mut bytes).take(SNIFFED_BYTES as u64).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(bytes);
    Ok((head, whole))
}

fn is_capture(head: &[u8]) -> bool {
    const MAGICS: [[u8; 4]; 5] = [
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x0a, 0x0d, 0x0d, 0x0a],
    ];
    MAGICS.iter().any(|magic| head.starts_with(magic))
}

/// Text has no control characters but blanks and line breaks. Bytes of 128 and more are left to the reader
/// of the CSV, which can say in which line the text stops being UTF-8.
fn is_text(head: &[u8]) -> bool {
    head.iter()
        .all(|&byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r'))
}
