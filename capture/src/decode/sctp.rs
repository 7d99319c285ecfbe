//! SCTP (RFC 9260).

use super::u16_at;
use crate::stats::NotMetered;

/// Ports, verification tag, checksum.
const HEADER: usize = 12;

/// An SCTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SctpPacket {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
}

impl SctpPacket {
    /// `wire_length`: bytes of the packet as the IP header states them.
    pub(super) fn parse(bytes: &[u8], wire_length: usize) -> Result<Self, NotMetered> {
        // The ports are all that is needed: a snap length that leaves them leaves the flow.
        let ports = bytes.first_chunk::<4>().ok_or(NotMetered::SctpHeader)?;
        if wire_length < HEADER {
            return Err(NotMetered::SctpHeader);
        }
        Ok(Self {
            source_port: u16_at(ports, 0),
            destination_port: u16_at(ports, 2),
        })
    }
}
