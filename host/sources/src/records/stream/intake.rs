//! From bytes as they come to records, whose format their first line tells.

use netsage_records::formats::{Counts, Format, Items, LONGEST_ITEM, Reader};

use crate::kind::{Kind, recognise};
use crate::{RecordOptions, SourceError};

/// Bytes by which a format is known that its first line has not told.
const MOST_TOLD: usize = 4_096;

/// Reads one run of bytes: a file, a pipe, a connection.
pub(super) struct Intake {
    name: String,
    options: RecordOptions,
    reader: Option<Reader>,
    /// The start of an item whose end is not there yet, or a first line that has not told the format.
    buffer: Vec<u8>,
    /// Bytes that are read as items.
    used: u64,
}

impl Intake {
    /// `name` says in messages where the bytes come from.
    pub(super) fn new(name: &str, options: &RecordOptions) -> Self {
        Self {
            name: name.to_owned(),
            reader: options.format.map(|format| Reader::new(format, &options.reading)),
            options: options.clone(),
            buffer: Vec::new(),
            used: 0,
        }
    }

    /// Goes on in bytes of a known format.
    pub(super) fn resume(&mut self, format: Format, header: &[u8], items: u64, used: u64) {
        let mut reader = Reader::new(format, &self.options.reading);
        reader.resume(header, items);
        self.reader = Some(reader);
        self.used = used;
    }

    /// Takes bytes in; `is_last` says that no more come.
    ///
    /// # Errors
    /// When they are no records.
    pub(super) fn take(&mut self, bytes: &[u8], is_last: bool, items: &mut Items) -> Result<(), SourceError> {
        self.buffer.extend_from_slice(bytes);
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => match told(&self.name, &self.buffer, is_last)? {
                Some(format) => self.reader.insert(Reader::new(format, &self.options.reading)),
                None => return Ok(()),
            },
        };
        let used = reader.read(&self.buffer, is_last, items);
        self.buffer.drain(..used);
        self.used += used as u64;
        if self.buffer.capacity() > 2 * LONGEST_ITEM {
            self.buffer.shrink_to(LONGEST_ITEM);
        }
        Ok(())
    }

    /// Bytes that are read as items; what was taken in behind them is the start of one.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// The format, once it is known.
    pub(super) fn format(&self) -> Option<Format> {
        self.reader.as_ref().map(Reader::format)
    }

    /// Items so far, and the header that rules the next.
    pub(super) fn standing(&self) -> (u64, Vec<u8>) {
        let standing = |reader: &Reader| (reader.items(), reader.header());
        self.reader.as_ref().map(standing).unwrap_or_default()
    }

    /// What became of the items.
    pub(super) fn counts(&self) -> Option<&Counts> {
        self.reader.as_ref().map(Reader::counts)
    }
}

/// The format, when the bytes tell it yet.
fn told(name: &str, head: &[u8], is_last: bool) -> Result<Option<Format>, SourceError> {
    let is_whole = is_last || head.len() >= MOST_TOLD;
    if head.trim_ascii().is_empty() || !(is_whole || head.contains(&b'\n')) {
        return Ok(None);
    }
    let name = || name.to_owned();
    match recognise(head.get(..MOST_TOLD).unwrap_or(head)) {
        Kind::Records(format) => Ok(Some(format)),
        Kind::Other { what, advice } => Err(SourceError::Other {
            name: name(),
            what,
            advice,
        }),
        Kind::Capture => Err(SourceError::Other {
            name: name(),
            what: "a capture, where records are to come",
            advice: "give it with `--pcap`",
        }),
        _ if !is_whole => Ok(None),
        Kind::Json => Err(SourceError::Json { name: name() }),
        Kind::Text | Kind::Unknown => Err(SourceError::Other {
            name: name(),
            what: "no records of a format that is known here",
            advice: "give a log of Zeek, Suricata or Argus, or flows as docs/sources/flow-json.md has them",
        }),
    }
}
