//! ICMP (RFC 792) and ICMPv6 (RFC 4443, 4861).

use super::{u16_at, u32_at};
use crate::stats::NotMetered;

/// The beginning of an ICMP or ICMPv6 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpMessage {
    /// Whether the message is one of ICMPv6.
    pub version6: bool,
    /// Type of the message.
    pub kind: u8,
    /// Code of the message.
    pub code: u8,
    /// What distinguishes messages of the same type and code for Argus: identifier and sequence number of an echo; address,
    /// port or protocol that an error is about; 0 for all others.
    pub detail: u32,
}

/// Bytes of an ICMP header, behind which an error quotes the packet that it is about.
const HEADER: usize = 8;

impl IcmpMessage {
    pub(super) fn parse(bytes: &[u8], version6: bool) -> Result<Self, NotMetered> {
        let [kind, code, _, _, ..] = *bytes else {
            return Err(NotMetered::IcmpHeader);
        };
        let detail = match (version6, kind) {
            (true, _) => 0,
            (false, 0 | 8) if bytes.len() < HEADER => return Err(NotMetered::IcmpHeader),
            (false, 0 | 8) => u32_at(bytes, 4),
            (false, 3 | 5) => quoted(kind, code, &bytes[HEADER.min(bytes.len())..]),
            (false, _) => 0,
        };
        Ok(Self {
            version6,
            kind,
            code,
            detail,
        })
    }

    /// Returns the type of the request, for a request and for its reply; `None` for messages that have no reply.
    pub fn request_kind(&self) -> Option<u8> {
        match (self.version6, self.kind) {
            (false, 0 | 8) => Some(8),
            (false, 13 | 14) => Some(13),
            (false, 15 | 16) => Some(15),
            (false, 17 | 18) => Some(17),
            (true, 128 | 129) => Some(128),
            (true, 135 | 136) => Some(135),
            (true, 133 | 134) => Some(133),
            _ => None,
        }
    }

    /// Whether the message answers a request.
    pub fn is_reply(&self) -> bool {
        self.request_kind().is_some_and(|request| request != self.kind)
    }

    /// Whether the message is a request of ICMP; requests of ICMPv6 do not count.
    pub fn is_question(&self) -> bool {
        !self.version6 && self.request_kind() == Some(self.kind)
    }

    /// Whether the message reports an error about another packet.
    pub fn is_error(&self) -> bool {
        if self.version6 {
            self.kind < 128
        } else {
            !matches!(self.kind, 0 | 8..=10 | 13..=18)
        }
    }
}

/// What an IPv4 destination-unreachable or redirect message is about; 0 where too little was captured.
fn quoted(kind: u8, code: u8, packet: &[u8]) -> u32 {
    const IP_HEADER: usize = 20;
    if packet.len() < IP_HEADER {
        return 0;
    }
    let destination = u32_at(packet, 16);
    let protocol = u32::from(packet[9]);
    match (kind, code) {
        // Network and host, for either.
        (_, 0 | 1) => destination,
        (3, 2) => protocol,
        (3, 3) => {
            let ports = packet.get(usize::from(packet[0] & 15) * 4..).unwrap_or_default();
            let port = if ports.len() < 4 { 0 } else { u16_at(ports, 2) };
            protocol << 16 | u32::from(port)
        }
        // Type of service.
        (5, 2 | 3) => u32::from(packet[1]),
        _ => 0,
    }
}
