//! UDP (RFC 768).

use super::u16_at;
use crate::stats::NotMetered;

const HEADER: usize = 8;

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// The data captured.
    pub payload: &'a [u8],
}

impl<'a> UdpDatagram<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, NotMetered> {
        if bytes.len() < HEADER {
            return Err(NotMetered::UdpHeader);
        }
        // A wrong length harms only the reading of the payload: the flow is known by then.
        let length = match usize::from(u16_at(bytes, 4)) {
            stated if stated >= HEADER => stated.min(bytes.len()),
            _ => bytes.len(),
        };
        Ok(Self {
            source_port: u16_at(bytes, 0),
            destination_port: u16_at(bytes, 2),
            payload: &bytes[HEADER..length],
        })
    }
}
