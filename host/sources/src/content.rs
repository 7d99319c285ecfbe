//! Bytes from anywhere, unpacked, and told apart by the first of them, never by a name.

use std::io::{self, Chain, Cursor, Read};

use crate::kind::{Kind, recognise};
use crate::packing::Packing;
use crate::{Capture, RecordOptions, Records, SourceError, Table};

/// Times that bytes may have been compressed.
const MOST_LAYERS: usize = 3;

/// Bytes looked at to tell what they are.
const SNIFFED_BYTES: usize = 4_096;

/// Unpacked bytes, with the first ones read already.
pub type Content<'a> = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send + 'a>>;

/// What bytes mean.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each file, and it is taken apart at once"
)]
pub enum Input<'a> {
    /// A capture.
    Capture(Capture<Content<'a>>),
    /// A CSV.
    Table(Table<Content<'a>>),
    /// Flow records of another meter.
    Records(Records<Content<'a>>),
}

impl<'a> Input<'a> {
    /// Unpacks bytes and opens what they are. `name` says in messages where they come from.
    ///
    /// # Errors
    /// When there is not one byte, the bytes are none of these, or the header of a CSV does not fit.
    pub fn open(name: &str, bytes: impl Read + Send + 'a) -> Result<Self, SourceError> {
        Self::open_with(name, bytes, &RecordOptions::default())
    }

    /// As [`Self::open`], with what is known of records; bytes whose format is given are records of that format.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub fn open_with(
        name: &str,
        bytes: impl Read + Send + 'a,
        options: &RecordOptions,
    ) -> Result<Self, SourceError> {
        let (head, content) = unpack(name, bytes)?;
        if head.is_empty() {
            return Err(SourceError::Empty {
                name: name.to_owned(),
            });
        }
        let named = || name.to_owned();
        let kind = options.format.map_or_else(|| recognise(&head), Kind::Records);
        match kind {
            Kind::Records(format) => Ok(Self::Records(Records::new(name, content, format, options))),
            Kind::Capture => Capture::new(name, content).map(Self::Capture),
            Kind::Text => Table::new(name, content).map(Self::Table),
            Kind::Json => Err(SourceError::Json { name: named() }),
            Kind::Other { what, advice } => Err(SourceError::Other {
                name: named(),
                what,
                advice,
            }),
            Kind::Unknown => Err(SourceError::Unknown { name: named() }),
        }
    }
}

impl<'a> Capture<Content<'a>> {
    /// Unpacks bytes that are to be a capture. `name` says in messages where they come from.
    ///
    /// # Errors
    /// When they are no capture.
    pub fn open(name: &str, bytes: impl Read + Send + 'a) -> Result<Self, SourceError> {
        let (head, content) = unpack(name, bytes)?;
        match recognise(&head) {
            Kind::Records(_) | Kind::Text if !head.is_empty() => Err(SourceError::NotACapture {
                name: name.to_owned(),
            }),
            Kind::Json => Err(SourceError::Json {
                name: name.to_owned(),
            }),
            Kind::Other { what, advice } => Err(SourceError::Other {
                name: name.to_owned(),
                what,
                advice,
            }),
            _ => Self::new(name, content),
        }
    }
}

/// The first bytes, unpacked, and all of them.
fn unpack<'a>(name: &str, bytes: impl Read + Send + 'a) -> Result<(Vec<u8>, Content<'a>), SourceError> {
    let sniffed = sniff(Box::new(bytes)).and_then(|mut found| {
        // Servers pack files again that are packed already.
        for _ in 0..MOST_LAYERS {
            let Some(packing) = Packing::of(&found.0) else {
                break;
            };
            found = sniff(packing.unpack(found.1))?;
        }
        Ok(found)
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
