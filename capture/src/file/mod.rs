//! Capture files: pcap (micro- and nanoseconds, both byte orders) and pcapng, from any [`Read`].
//!
//! A file is read as a stream: one record lies in memory at a time, and a record that claims more than
//! [`MAX_RECORD_BYTES`] is an error and not an allocation. A block of pcapng without packets may be of any size and is
//! passed over, as are zeros in place of records. Every error names the packet at which reading ended; all packets
//! before that one have been returned.

mod pcap;
mod pcapng;
mod source;

use std::io::{self, Read};

use crate::packet::Packet;
use source::Source;

/// Largest record that a capture file may hold, in bytes; four times the largest snap length of tcpdump.
pub const MAX_RECORD_BYTES: u32 = 1 << 20;

/// Why a capture file cannot be read further. Packets are numbered from 1, as Wireshark does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is empty.
    #[error("the file is empty; expected a pcap or pcapng capture")]
    Empty,
    /// The first bytes are those of no capture format.
    #[error("not a capture: the file starts with {magic:02x?}, which is neither pcap nor pcapng")]
    NotACapture {
        /// The first bytes, up to 4.
        magic: Vec<u8>,
    },
    /// The file ends in its header, before there can be a packet.
    #[error("the capture is truncated inside its file header; copy it again or capture anew")]
    TruncatedHeader,
    /// The file ends inside a record.
    #[error(
        "the capture is truncated: the file ends inside packet {packet}; all packets before it are whole"
    )]
    Truncated {
        /// The packet that is not whole.
        packet: u64,
    },
    /// A record states a length above [`MAX_RECORD_BYTES`].
    #[error(
        "packet {packet}: the record claims {length} bytes, the most is {MAX_RECORD_BYTES}; the capture is damaged here"
    )]
    RecordTooLarge {
        /// The packet of the record.
        packet: u64,
        /// Length that the record states, in bytes.
        length: u32,
    },
    /// A record contradicts the format.
    #[error("packet {packet}: {what}; the capture is damaged here")]
    Malformed {
        /// The packet of the record.
        packet: u64,
        /// What is wrong with the record.
        what: &'static str,
    },
    /// Reading failed.
    #[error("cannot read the capture at packet {packet}")]
    Io {
        /// The packet that was being read.
        packet: u64,
        /// What the system says.
        source: io::Error,
    },
}

/// Whether bytes that start with `head` are a capture that [`CaptureReader`] reads.
pub fn is_capture(head: &[u8]) -> bool {
    let magic = head.first_chunk::<4>();
    magic.is_some_and(|&magic| magic == pcapng::MAGIC || pcap::variant(magic).is_some())
}

enum Format {
    Pcap(pcap::Header),
    PcapNg(pcapng::Section),
}

/// Reads the packets of a capture file one after the other.
pub struct CaptureReader<R> {
    source: Source<R>,
    format: Format,
    /// Set once an error or the end was met: what follows has no meaning.
    ended: bool,
}

impl<R: Read> CaptureReader<R> {
    /// Recognises the format by the first bytes and reads the file header. `reader` need not be buffered.
    ///
    /// # Errors
    /// When the file is empty, no capture, or ends inside its header.
    pub fn new(reader: R) -> Result<Self, FileError> {
        let mut source = Source::new(reader);
        let magic = source.peek_magic()?;
        let format = match magic {
            pcapng::MAGIC => Format::PcapNg(pcapng::Section::default()),
            _ => Format::Pcap(pcap::Header::read(&mut source, magic)?),
        };
        Ok(Self {
            source,
            format,
            ended: false,
        })
    }

    /// Returns the next packet, or `None` at the end of the file.
    ///
    /// # Errors
    /// When the record is damaged or cut off, or reading fails. An error ends the file: every later call returns `None`.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let header = match &mut self.format {
            Format::Pcap(header) => header.next_record(&mut self.source),
            Format::PcapNg(section) => section.next_record(&mut self.source),
        };
        match header {
            Ok(Some(record)) => {
                self.source.packets_read += 1;
                Ok(Some(Packet {
                    link: record.link,
                    time_ns: record.time_ns,
                    wire_length: record.wire_length,
                    bytes: self.source.record(record.bytes),
                }))
            }
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Err(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }

    /// Returns the number of packets returned so far.
    pub fn packets_read(&self) -> u64 {
        self.source.packets_read
    }

    /// Returns the number of zero bytes that stood in place of records so far and were passed over.
    pub fn padding(&self) -> u64 {
        self.source.padding
    }

    /// Returns the number of bytes of the file consumed so far, for a progress bar.
    pub fn bytes_read(&self) -> u64 {
        self.source.bytes_read
    }
}

/// A record whose bytes lie in the source's buffer.
struct PacketRecord {
    link: crate::packet::LinkType,
    time_ns: i64,
    wire_length: u32,
    bytes: std::ops::Range<usize>,
}
