//! TCP (RFC 9293).

use super::{u16_at, u32_at};
use crate::stats::NotMetered;

const MIN_HEADER: usize = 20;
/// The bytes of both ports.
const PORTS: usize = 4;

/// The control bits of a TCP segment: the byte of the header that holds FIN to CWR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN: the sender has no more data.
    pub const fn fin(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// SYN: the segment opens a connection.
    pub const fn syn(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// RST: the segment ends the connection at once.
    pub const fn rst(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// PSH: the receiver should hand the data on at once.
    pub const fn psh(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// URG: the urgent pointer is valid.
    pub const fn urg(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// ACK: the acknowledgement number is valid.
    pub const fn ack(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// A TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSegment<'a> {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// Sequence number of the first byte of data, or of the SYN.
    pub sequence: u32,
    /// Sequence number of the next byte that the sender expects; without ACK it means nothing.
    pub acknowledgement: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// Receive window as the header states it, before scaling.
    pub window: u16,
    /// Shift of the sender's later windows, where the segment has the option for window scaling.
    pub window_scale: Option<u8>,
    /// Bytes of data on the wire.
    pub length: u32,
    /// The captured data.
    pub payload: &'a [u8],
}

impl<'a> TcpSegment<'a> {
    /// `wire_length`: bytes of the segment as the IP header states them; `is_cut`: whether the capture lacks some.
    #[inline]
    pub(super) fn parse(bytes: &'a [u8], wire_length: usize, is_cut: bool) -> Result<Self, NotMetered> {
        let Some(fixed) = bytes.first_chunk::<MIN_HEADER>() else {
            return if is_cut {
                Self::cut(bytes, wire_length)
            } else {
                Err(NotMetered::TcpHeader)
            };
        };
        let header = usize::from(fixed[12] >> 4) * 4;
        if header < MIN_HEADER || header > wire_length {
            return Err(NotMetered::TcpHeader);
        }
        let options = &bytes[MIN_HEADER..header.min(bytes.len())];
        Ok(Self {
            source_port: u16_at(fixed, 0),
            destination_port: u16_at(fixed, 2),
            sequence: u32_at(fixed, 4),
            acknowledgement: u32_at(fixed, 8),
            flags: TcpFlags(fixed[13]),
            window: u16_at(fixed, 14),
            window_scale: window_scale(options),
            length: u32::try_from(wire_length - header).unwrap_or(u32::MAX),
            payload: bytes.get(header..).unwrap_or(&[]),
        })
    }
}

impl TcpSegment<'_> {
    /// A segment of which the capture kept the ports and not the whole header: what was cut off counts as 0, and the header
    /// as one without options.
    #[cold]
    fn cut(bytes: &[u8], wire_length: usize) -> Result<Self, NotMetered> {
        if bytes.len() < PORTS || wire_length < MIN_HEADER {
            return Err(NotMetered::TcpHeader);
        }
        let mut fixed = [0; MIN_HEADER];
        // Half a number is none.
        let whole = bytes.len() / 4 * 4;
        fixed[..whole].copy_from_slice(&bytes[..whole]);
        let header = match usize::from(fixed[12] >> 4) * 4 {
            0 => MIN_HEADER,
            header => header,
        };
        if header < MIN_HEADER || header > wire_length {
            return Err(NotMetered::TcpHeader);
        }
        Ok(Self {
            source_port: u16_at(&fixed, 0),
            destination_port: u16_at(&fixed, 2),
            sequence: u32_at(&fixed, 4),
            acknowledgement: u32_at(&fixed, 8),
            flags: TcpFlags(fixed[13]),
            window: u16_at(&fixed, 14),
            window_scale: None,
            length: u32::try_from(wire_length - header).unwrap_or(u32::MAX),
            payload: &[],
        })
    }
}

fn window_scale(mut options: &[u8]) -> Option<u8> {
    loop {
        options = match *options {
            [] | [0, ..] => return None,
            [1, ref rest @ ..] => rest,
            // RFC 7323: a shift above 14 is taken as 14.
            [3, 3, shift, ..] => return Some(shift.min(14)),
            [_, length, ..] if length >= 2 => options.get(usize::from(length)..)?,
            _ => return None,
        };
    }
}
