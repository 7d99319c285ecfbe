//! UDP (RFC 768).

use super::u16_at;
use crate::stats::NotMetered;

/// Ports, length, checksum.
pub(super) const HEADER: usize = 8;

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// Bytes of data on the wire; for a first fragment, the bytes in that fragment alone.
    pub length: u32,
    /// The captured data.
    pub payload: &'a [u8],
}

impl<'a> UdpDatagram<'a> {
    /// `wire_length`: bytes of the datagram as the IP header states them; `is_cut`: whether the capture lacks some.
    #[inline]
    pub(super) fn parse(bytes: &'a [u8], wire_length: usize, is_cut: bool) -> Result<Self, NotMetered> {
        let Some((header, data)) = bytes.split_first_chunk::<HEADER>() else {
            return if is_cut {
                Self::cut(bytes, wire_length)
            } else {
                Err(NotMetered::UdpHeader)
            };
        };
        let carried = wire_length.saturating_sub(HEADER);
        // A wrong length harms only the reading of the payload: the flow is known by then.
        let length = match usize::from(u16_at(header, 4)).checked_sub(HEADER) {
            Some(stated) => stated.min(carried),
            None => carried,
        };
        Ok(Self {
            source_port: u16_at(header, 0),
            destination_port: u16_at(header, 2),
            length: u32::try_from(length).unwrap_or(u32::MAX),
            payload: &data[..data.len().min(length)],
        })
    }
}

impl UdpDatagram<'_> {
    /// A datagram of which the capture kept the ports and not the whole header.
    #[cold]
    fn cut(bytes: &[u8], wire_length: usize) -> Result<Self, NotMetered> {
        let (Some(ports), true) = (bytes.first_chunk::<4>(), wire_length >= HEADER) else {
            return Err(NotMetered::UdpHeader);
        };
        Ok(Self {
            source_port: u16_at(ports, 0),
            destination_port: u16_at(ports, 2),
            length: u32::try_from(wire_length - HEADER).unwrap_or(u32::MAX),
            payload: &[],
        })
    }
}
