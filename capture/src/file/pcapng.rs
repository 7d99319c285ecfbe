//! pcapng: a chain of blocks; sections state the byte order, interfaces the link type and the clock.

use std::io::Read;
use std::ops::Range;

use super::source::{ByteOrder, Source};
use super::{FileError, MAX_RECORD_BYTES, PacketRecord};
use crate::packet::LinkType;

/// The type of a section header, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Bytes of a large interface description that are looked at; what is needed comes first.
const LOOKED_AT: u32 = 64 * 1024;

const ODD_LENGTH: &str = "a block has a length that is no multiple of 4 or below 12";
const LENGTHS_DIFFER: &str = "the two lengths of a block differ";

/// More interfaces in one section than any capture has; more are an attempt to fill memory.
const MAX_INTERFACES: usize = 4096;

struct Interface {
    link: LinkType,
    snap_length: u32,
    /// Ticks of the clock in a second.
    ticks_per_second: u64,
    offset_seconds: i64,
}

/// The section being read. Before the first section header it knows nothing and needs nothing.
pub(super) struct Section {
    order: ByteOrder,
    interfaces: Vec<Interface>,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            order: ByteOrder::Little,
            interfaces: Vec::new(),
        }
    }
}

impl Section {
    pub(super) fn next_record<R: Read>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<PacketRecord>, FileError> {
        loop {
            // Blocks are whole words.
            let begins = |offset: usize, _: &[u8]| offset.is_multiple_of(4);
            let Some(place) = source.take_head(8, begins)? else {
                return Ok(None);
            };
            let header = source.record(place);
            let kind = self.order.u32(header, 0);
            let raw_length = [header[4], header[5], header[6], header[7]];
            if kind == SECTION_HEADER {
                self.start(source, raw_length)?;
                continue;
            }
            let length = self.order.u32(&raw_length, 0);
            let holds_packet = [OBSOLETE_PACKET, SIMPLE_PACKET, ENHANCED_PACKET].contains(&kind);
            if !holds_packet && length > MAX_RECORD_BYTES {
                self.large_block(source, kind, length)?;
                continue;
            }
            let body = self.body(source, length)?;
            match kind {
                INTERFACE_DESCRIPTION => self.add_interface(source, body)?,
                ENHANCED_PACKET | OBSOLETE_PACKET => return self.packet(source, body, kind).map(Some),
                SIMPLE_PACKET => return self.simple_packet(source, body).map(Some),
                // Names, statistics, secrets and custom blocks hold no packet.
                _ => {}
            }
        }
    }

    /// Consumes a block that holds no packet, of any size: names, statistics, secrets, an interface with its comments.
    fn large_block<R: Read>(
        &mut self,
        source: &mut Source<R>,
        kind: u32,
        length: u32,
    ) -> Result<(), FileError> {
        let packet = source.packet();
        if !length.is_multiple_of(4) {
            return Err(FileError::Malformed {
                packet,
                what: ODD_LENGTH,
            });
        }
        let mut rest = u64::from(length) - 12;
        if kind == INTERFACE_DESCRIPTION {
            let place = source.take_rest(LOOKED_AT)?;
            self.add_interface(source, place)?;
            rest -= u64::from(LOOKED_AT);
        }
        source.skip(rest)?;
        let trailer = source.take_rest(4)?;
        if self.order.u32(source.record(trailer), 0) != length {
            return Err(FileError::Malformed {
                packet,
                what: LENGTHS_DIFFER,
            });
        }
        Ok(())
    }

    /// Consumes the body and the trailing length of a block.
    fn body<R: Read>(&self, source: &mut Source<R>, length: u32) -> Result<Range<usize>, FileError> {
        let packet = source.packet();
        if length < 12 || !length.is_multiple_of(4) {
            return Err(FileError::Malformed {
                packet,
                what: ODD_LENGTH,
            });
        }
        if length > MAX_RECORD_BYTES {
            return Err(FileError::RecordTooLarge { packet, length });
        }
        let with_trailer = source.take_rest(length - 8)?;
        let body = with_trailer.start..with_trailer.end - 4;
        if self.order.u32(source.record(with_trailer), body.len()) != length {
            return Err(FileError::Malformed {
                packet,
                what: LENGTHS_DIFFER,
            });
        }
        Ok(body)
    }

    fn start<R: Read>(&mut self, source: &mut Source<R>, raw_length: [u8; 4]) -> Result<(), FileError> {
        let truncated = |error| match error {
            FileError::Truncated { packet: 1 } => FileError::TruncatedHeader,
            other => other,
        };
        let place = source.take_rest(4).map_err(truncated)?;
        self.order = match source.record(place) {
            [0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
            _ => {
                return Err(FileError::Malformed {
                    packet: source.packet(),
                    what: "a section header has no known byte order",
                });
            }
        };
        self.interfaces.clear();
        let length = self.order.u32(&raw_length, 0);
        if length < 28 || !length.is_multiple_of(4) {
            return Err(FileError::Malformed {
                packet: source.packet(),
                what: "a section header has an impossible length",
            });
        }
        source.skip(u64::from(length) - 12).map_err(truncated)
    }

    fn add_interface<R: Read>(&mut self, source: &Source<R>, place: Range<usize>) -> Result<(), FileError> {
        let packet = source.packet();
        let body = source.record(place);
        if body.len() < 8 {
            return Err(FileError::Malformed {
                packet,
                what: "an interface description is too short",
            });
        }
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(FileError::Malformed {
                packet,
                what: "a section describes more than 4096 interfaces",
            });
        }
        let mut interface = Interface {
            link: LinkType::from_number(self.order.u16(body, 0)),
            snap_length: self.order.u32(body, 4),
            ticks_per_second: 1_000_000,
            offset_seconds: 0,
        };
        let mut options = &body[8..];
        while options.len() >= 4 {
            let code = self.order.u16(options, 0);
            let length = usize::from(self.order.u16(options, 2));
            let Some(value) = options.get(4..4 + length) else {
                break;
            };
            match (code, value) {
                (0, _) => break,
                // if_tsresol: a power of 10, or of 2 with the high bit set.
                (9, [exponent]) => {
                    let base: u64 = if exponent & 0x80 == 0 { 10 } else { 2 };
                    interface.ticks_per_second =
                        base.checked_pow(u32::from(exponent & 0x7f))
                            .ok_or(FileError::Malformed {
                                packet,
                                what: "an interface has a clock too fine to count",
                            })?;
                }
                // if_tsoffset: seconds to add.
                (14, &[..]) if length == 8 => {
                    let (low, high) = match self.order {
                        ByteOrder::Little => (self.order.u32(value, 0), self.order.u32(value, 4)),
                        ByteOrder::Big => (self.order.u32(value, 4), self.order.u32(value, 0)),
                    };
                    interface.offset_seconds = (i64::from(high.cast_signed()) << 32) | i64::from(low);
                }
                _ => {}
            }
            options = options.get(4 + length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn packet<R: Read>(
        &self,
        source: &Source<R>,
        place: Range<usize>,
        kind: u32,
    ) -> Result<PacketRecord, FileError> {
        let packet = source.packet();
        let body = source.record(place.clone());
        if body.len() < 20 {
            return Err(FileError::Malformed {
                packet,
                what: "a packet block is too short",
            });
        }
        let index = match kind {
            OBSOLETE_PACKET => usize::from(self.order.u16(body, 0)),
            _ => self.order.u32(body, 0) as usize,
        };
        let interface = self.interfaces.get(index).ok_or(FileError::Malformed {
            packet,
            what: "a packet names an interface that was not described",
        })?;
        let ticks = u64::from(self.order.u32(body, 4)) << 32 | u64::from(self.order.u32(body, 8));
        let captured = self.order.u32(body, 12) as usize;
        let wire_length = self.order.u32(body, 16);
        if captured > body.len() - 20 {
            return Err(FileError::Malformed {
                packet,
                what: "a packet is longer than its block",
            });
        }
        let start = place.start + 20;
        Ok(PacketRecord {
            link: interface.link,
            time_ns: interface.time_ns(ticks),
            wire_length,
            bytes: start..start + captured,
        })
    }

    fn simple_packet<R: Read>(
        &self,
        source: &Source<R>,
        place: Range<usize>,
    ) -> Result<PacketRecord, FileError> {
        let packet = source.packet();
        let body = source.record(place.clone());
        if body.len() < 4 {
            return Err(FileError::Malformed {
                packet,
                what: "a simple packet block is too short",
            });
        }
        let interface = self.interfaces.first().ok_or(FileError::Malformed {
            packet,
            what: "a packet names an interface that was not described",
        })?;
        let wire_length = self.order.u32(body, 0);
        let snap_length = if interface.snap_length == 0 {
            u32::MAX
        } else {
            interface.snap_length
        };
        let captured = (wire_length.min(snap_length) as usize).min(body.len() - 4);
        let start = place.start + 4;
        // A simple packet has no time; the meter then sees all of them at the epoch.
        Ok(PacketRecord {
            link: interface.link,
            time_ns: 0,
            wire_length,
            bytes: start..start + captured,
        })
    }
}

impl Interface {
    /// Nanoseconds since the epoch, held at the ends of the range of `i64`.
    fn time_ns(&self, ticks: u64) -> i64 {
        let seconds = i128::from(ticks / self.ticks_per_second) + i128::from(self.offset_seconds);
        let fraction =
            u128::from(ticks % self.ticks_per_second) * 1_000_000_000 / u128::from(self.ticks_per_second);
        // The fraction is below 10^9.
        let time = seconds * 1_000_000_000 + i128::try_from(fraction).unwrap_or(0);
        i64::try_from(time).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX })
    }
}
