//! The capture file.

use std::io::{self, Write};

use crate::generator::Generator;

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Packets.
    pub packets: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes every packet of the generator as a pcap file (microseconds, little-endian, Ethernet), and calls
/// `progress` now and then with the share of the capture's time that is done, 0 to 1. The labels are
/// complete afterwards.
///
/// # Errors
/// When `out` fails.
pub fn write(
    generator: &mut Generator,
    mut out: impl Write,
    mut progress: impl FnMut(f64),
) -> io::Result<Written> {
    const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
    const SNAP_LENGTH: u32 = 262_144;
    const LINK_TYPE_ETHERNET: u32 = 1;
    /// Packets between two calls of `progress`.
    const STRIDE: u64 = 4_096;

    let mut header = Vec::with_capacity(24);
    header.extend_from_slice(&MAGIC_MICROSECONDS.to_le_bytes());
    header.extend_from_slice(&2u16.to_le_bytes());
    header.extend_from_slice(&4u16.to_le_bytes());
    header.extend_from_slice(&[0; 8]);
    header.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
    header.extend_from_slice(&LINK_TYPE_ETHERNET.to_le_bytes());
    out.write_all(&header)?;

    let mut written = Written {
        packets: 0,
        bytes: header.len() as u64,
    };
    while let Some(packet) = generator.next() {
        // The format ends in 2106, and no packet of the generator is longer than a few kilobytes.
        let seconds = u32::try_from(packet.time_ns / 1_000_000_000).unwrap_or(u32::MAX);
        let microseconds = (packet.time_ns % 1_000_000_000 / 1_000) as u32;
        let length = (packet.bytes.len() as u32).to_le_bytes();
        out.write_all(&seconds.to_le_bytes())?;
        out.write_all(&microseconds.to_le_bytes())?;
        out.write_all(&length)?;
        out.write_all(&length)?;
        out.write_all(&packet.bytes)?;
        written.packets += 1;
        written.bytes += 16 + packet.bytes.len() as u64;
        if written.packets.is_multiple_of(STRIDE) {
            progress(generator.progress());
        }
    }
    progress(1.0);
    out.flush()?;
    Ok(written)
}
