//! Protocols over UDP: a port says where to look, the first bytes decide.

use super::Service;
use crate::decode::UdpDatagram;

pub(super) fn recognise(datagram: &UdpDatagram<'_>) -> Service {
    let data = datagram.payload;
    let uses =
        |ports: &[u16]| ports.contains(&datagram.source_port) || ports.contains(&datagram.destination_port);
    if uses(&[53, 137, 5353, 5355]) && is_dns(data) {
        Service::Dns
    } else if uses(&[67, 68]) && is_dhcp(data) {
        Service::Dhcp
    } else if uses(&[161, 162]) && is_snmp(data) {
        Service::Snmp
    } else if uses(&[1645, 1646, 1812, 1813]) && is_radius(data) {
        Service::Radius
    } else {
        Service::Unknown
    }
}

/// A header with a known operation, no reserved bit, and a sensible number of questions.
pub(super) fn is_dns(data: &[u8]) -> bool {
    let [_, _, high, low, questions_high, questions_low, ..] = *data else {
        return false;
    };
    data.len() >= 12 && (high >> 3) & 15 <= 6 && low & 0x40 == 0 && questions_high == 0 && questions_low <= 16
}

/// A BOOTP message with the magic cookie of DHCP.
fn is_dhcp(data: &[u8]) -> bool {
    matches!(data.first(), Some(1 | 2)) && data.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63])
}

/// A BER sequence that starts with a version of 0, 1 or 3.
fn is_snmp(data: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = data else {
        return false;
    };
    let skip = if length & 0x80 == 0 {
        0
    } else {
        usize::from(length & 0x7f)
    };
    matches!(rest.get(skip..), Some([2, 1, 0 | 1 | 3, ..]))
}

/// A known code and a length that fits the datagram.
fn is_radius(data: &[u8]) -> bool {
    let [code, _, high, low, ..] = *data else {
        return false;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    matches!(code, 1..=5 | 11..=13 | 40..=45) && (20..=data.len()).contains(&length)
}
