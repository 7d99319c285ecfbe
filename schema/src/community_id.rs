//! Community ID version 1: one name for a flow that Zeek, Suricata and others agree on.

use std::fmt;
use std::net::IpAddr;

use sha1::{Digest, Sha1};

use crate::Identity;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// The Community ID of a flow, version 1 with seed 0. Displays as `1:` and 28 characters of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommunityId([u8; 20]);

impl CommunityId {
    /// The ID of a flow, the same in both directions. For ICMP the ports are what
    /// [`icmp_ports`] says; `None` for a protocol without ports.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, ports: Option<Ports>) -> Self {
        let ordered = match ports {
            Some(ports) if ports.one_way => true,
            Some(ports) => (source, ports.source) < (destination, ports.destination),
            None => source < destination,
        };
        let (first, second) = if ordered {
            (source, destination)
        } else {
            (destination, source)
        };
        let mut hash = Sha1::new();
        // The seed, 0 in network order.
        hash.update([0, 0]);
        for address in [first, second] {
            match address {
                IpAddr::V4(address) => hash.update(address.octets()),
                IpAddr::V6(address) => hash.update(address.octets()),
            }
        }
        hash.update([protocol, 0]);
        if let Some(ports) = ports {
            let (low, high) = if ordered {
                (ports.source, ports.destination)
            } else {
                (ports.destination, ports.source)
            };
            hash.update(low.to_be_bytes());
            hash.update(high.to_be_bytes());
        }
        Self(hash.finalize().into())
    }

    /// The ID of a flow by its identity alone: the ports of ICMP stand for the type and code of the message, and only
    /// TCP, UDP and ICMP have ports.
    pub fn of(identity: &Identity) -> Self {
        let &Identity {
            source,
            source_port,
            destination,
            destination_port,
            protocol,
            ..
        } = identity;
        let ports = match protocol {
            ICMP | ICMPV6 => {
                let [kind, code] = [source_port, destination_port].map(|number| (number & 0xff) as u8);
                Some(icmp_ports(protocol == ICMPV6, kind, code))
            }
            TCP | UDP => Some(Ports {
                source: source_port,
                destination: destination_port,
                one_way: false,
            }),
            _ => None,
        };
        Self::new(source, destination, protocol, ports)
    }

    /// The hash behind the text.
    pub fn hash(&self) -> &[u8; 20] {
        &self.0
    }
}

/// The two port numbers of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Port of the source.
    pub source: u16,
    /// Port of the destination.
    pub destination: u16,
    /// An ICMP message that has no answer is not put in canonical order.
    pub one_way: bool,
}

/// What stands for the ports of an ICMP or ICMPv6 message: its type and the type of its answer, or type and
/// code for a message without answer.
pub fn icmp_ports(version6: bool, kind: u8, code: u8) -> Ports {
    let answer = if version6 {
        match kind {
            128 => Some(129),
            129 => Some(128),
            133 => Some(134),
            134 => Some(133),
            135 => Some(136),
            136 => Some(135),
            130 => Some(131),
            131 => Some(130),
            139 => Some(140),
            140 => Some(139),
            144 => Some(145),
            145 => Some(144),
            _ => None,
        }
    } else {
        match kind {
            8 => Some(0),
            0 => Some(8),
            13 => Some(14),
            14 => Some(13),
            15 => Some(16),
            16 => Some(15),
            10 => Some(9),
            9 => Some(10),
            17 => Some(18),
            18 => Some(17),
            _ => None,
        }
    };
    Ports {
        source: u16::from(kind),
        destination: u16::from(answer.unwrap_or(code)),
        one_way: answer.is_none(),
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = *b"1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for (group, bytes) in self.0.chunks(3).enumerate() {
            let byte = |index: usize| u32::from(bytes.get(index).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for (position, shift) in [18, 12, 6, 0].into_iter().enumerate().take(bytes.len() + 1) {
                text[2 + group * 4 + position] = ALPHABET[(bits >> shift) as usize & 63];
            }
        }
        for character in text {
            fmt::Write::write_char(formatter, char::from(character))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, destination: &str, protocol: u8, ports: Option<Ports>, expected: &str) {
        let id = CommunityId::new(
            source.parse().unwrap(),
            destination.parse().unwrap(),
            protocol,
            ports,
        );
        assert_eq!(id.to_string(), expected);
    }

    #[test]
    fn an_identity_tells_the_id() {
        let check = |source: &str, destination: &str, protocol: u8, ports: [u16; 2], expected: &str| {
            let identity = Identity {
                start_ns: 0,
                end_ns: 0,
                source: source.parse().unwrap(),
                source_port: ports[0],
                destination: destination.parse().unwrap(),
                destination_port: ports[1],
                protocol,
            };
            assert_eq!(CommunityId::of(&identity).to_string(), expected);
        };
        let web = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        check("128.232.110.120", "66.35.250.204", TCP, [34855, 80], web);
        let echo = "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=";
        check("192.168.0.89", "192.168.0.1", ICMP, [8, 0], echo);
    }

    #[test]
    fn ids_of_the_specification() {
        let ports = |source, destination| {
            Some(Ports {
                source,
                destination,
                one_way: false,
            })
        };
        let web = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        check("128.232.110.120", "66.35.250.204", 6, ports(34855, 80), web);
        check("66.35.250.204", "128.232.110.120", 6, ports(80, 34855), web);
        check(
            "192.168.1.52",
            "8.8.8.8",
            17,
            ports(54585, 53),
            "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
        );
        check(
            "192.168.0.89",
            "192.168.0.1",
            1,
            Some(icmp_ports(false, 8, 0)),
            "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
        );
    }
}
