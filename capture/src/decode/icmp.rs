//! ICMP (RFC 792) and ICMPv6 (RFC 4443, 4861).

use super::u16_at;
use crate::stats::NotMetered;

/// The head of an ICMP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpMessage {
    /// Whether it is ICMPv6.
    pub version6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// What request and reply share; 0 for messages that have no such field.
    pub identifier: u16,
}

impl IcmpMessage {
    pub(super) fn parse(bytes: &[u8], version6: bool) -> Result<Self, NotMetered> {
        let [kind, code, _, _, ..] = *bytes else {
            return Err(NotMetered::IcmpHeader);
        };
        let message = Self {
            version6,
            kind,
            code,
            identifier: 0,
        };
        let has_identifier = match message.request_kind() {
            Some(request) => !version6 || request == 128,
            None => false,
        };
        if has_identifier && bytes.len() < 6 {
            return Err(NotMetered::IcmpHeader);
        }
        Ok(Self {
            identifier: if has_identifier { u16_at(bytes, 4) } else { 0 },
            ..message
        })
    }

    /// The type of the request, for a request or a reply; `None` for messages without answer.
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

    /// Whether it answers a request.
    pub fn is_reply(&self) -> bool {
        self.request_kind().is_some_and(|request| request != self.kind)
    }
}
