//! Zeek's `conn.log`: what its columns say, however they are written.
//!
//! `tsv` and `json` give the values of a line, and [`Values::record`] makes the record of both, so that a log and its twin
//! in JSON are equal.

mod json;
mod tsv;

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::names::{self, UNKNOWN_SERVICE, has_ports, is_icmp, protocol};
use super::refusal::{Expected, PassedOver, Refusal, Skip};
use super::{Label, scalar, state};
use crate::{BytesOf, OwnId, Record, Sides, State};

/// The columns that are read, as Zeek names them.
const COLUMNS: [&str; WIDTH] = [
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "service",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
    "orig_pkts",
    "orig_ip_bytes",
    "resp_pkts",
    "resp_ip_bytes",
    "ip_proto",
    "label",
    "detailedlabel",
];
const WIDTH: usize = 19;

/// Places in [`COLUMNS`].
mod column {
    pub(super) const TS: usize = 0;
    pub(super) const UID: usize = 1;
    pub(super) const ORIG_H: usize = 2;
    pub(super) const ORIG_P: usize = 3;
    pub(super) const RESP_H: usize = 4;
    pub(super) const RESP_P: usize = 5;
    pub(super) const PROTO: usize = 6;
    pub(super) const SERVICE: usize = 7;
    pub(super) const DURATION: usize = 8;
    pub(super) const ORIG_BYTES: usize = 9;
    pub(super) const RESP_BYTES: usize = 10;
    pub(super) const CONN_STATE: usize = 11;
    pub(super) const ORIG_PKTS: usize = 12;
    pub(super) const ORIG_IP_BYTES: usize = 13;
    pub(super) const RESP_PKTS: usize = 14;
    pub(super) const RESP_IP_BYTES: usize = 15;
    pub(super) const IP_PROTO: usize = 16;
    pub(super) const LABEL: usize = 17;
    pub(super) const DETAILED_LABEL: usize = 18;
}

/// The column of that name; some writers put `_` between `id` and its fields, since `.` has a meaning elsewhere, and some `-`
/// into the name of the detailed label.
fn column_of(name: &[u8]) -> Option<usize> {
    if matches!(name, b"detailed-label" | b"detailed_label") {
        return Some(column::DETAILED_LABEL);
    }
    match name.strip_prefix(b"id_") {
        Some(field) => COLUMNS
            .iter()
            .position(|column| column.strip_prefix("id.").map(str::as_bytes) == Some(field)),
        None => COLUMNS.iter().position(|column| column.as_bytes() == name),
    }
}

/// Other logs of Zeek, by which lines of a mixed stream are counted.
#[rustfmt::skip]
const LOGS: [&str; 43] = [
    "analyzer", "broker", "capture_loss", "cluster", "config", "conn-summary", "conn_long", "dce_rpc", "dhcp", "dns", "dpd",
    "files", "ftp", "http", "intel", "irc", "kerberos", "known_certs", "known_hosts", "known_services", "ldap",
    "loaded_scripts", "modbus", "mysql", "notice", "ntlm", "ntp", "ocsp", "packet_filter", "quic", "radius", "rdp",
    "reporter", "rfb", "sip", "smb_files", "smb_mapping", "smtp", "snmp", "software", "ssh", "ssl", "weird",
];

/// The log of that name, where it is not the one that is read.
fn other_log(name: &[u8]) -> Option<&'static str> {
    (name != b"conn").then(|| {
        let known = LOGS.iter().find(|log| log.as_bytes() == name);
        known.copied().unwrap_or("other")
    })
}

/// Reads lines, each by its own form.
#[derive(Debug, Default)]
pub(super) struct Parser {
    tsv: tsv::Parser,
}

impl Parser {
    /// The record of a line; its label goes into `label`, where that is asked for.
    pub(super) fn item(&mut self, item: &[u8], label: Option<&mut Option<Label>>) -> Result<Record, Skip> {
        let values = if item.trim_ascii_start().starts_with(b"{") {
            json::values(item)
        } else {
            self.tsv.item(item)
        }?;
        if let Some(label) = label {
            *label = values.label();
        }
        values.record()
    }

    pub(super) fn header(&self) -> Vec<u8> {
        self.tsv.header()
    }
}

/// What a line says, by column; `None` where it says nothing.
#[derive(Debug, Default)]
struct Values<'a> {
    values: [Option<Cow<'a, [u8]>>; WIDTH],
    /// Whether the log has a column for the service, so that no value means that none was found.
    has_service: bool,
}

impl Values<'_> {
    fn get(&self, column: usize) -> Option<&[u8]> {
        self.values.get(column)?.as_deref()
    }

    fn field(column: usize) -> &'static str {
        COLUMNS.get(column).copied().unwrap_or_default()
    }

    /// The value of a column that every flow has.
    fn needed<T>(
        &self,
        column: usize,
        read: impl Fn(&[u8]) -> Option<T>,
        expected: Expected,
    ) -> Result<T, Refusal> {
        let value = self.optional(column, read, expected)?;
        value.ok_or(Refusal::Missing(Self::field(column)))
    }

    fn optional<T>(
        &self,
        column: usize,
        read: impl Fn(&[u8]) -> Option<T>,
        expected: Expected,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.get(column) else {
            return Ok(None);
        };
        let field = Self::field(column);
        read(value)
            .map(Some)
            .ok_or(Refusal::Unreadable { field, expected })
    }

    /// A count of each direction; both or none is there.
    fn sides(&self, source: usize, destination: usize) -> Result<Option<Sides>, Refusal> {
        let count = |column| self.optional(column, scalar::count, Expected::Count);
        match (count(source)?, count(destination)?) {
            (Some(source), Some(destination)) => Ok(Some(Sides { source, destination })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Refusal::OneDirection(Self::field(source))),
            (None, Some(_)) => Err(Refusal::OneDirection(Self::field(destination))),
        }
    }

    /// What the labels of the line say, which are no columns of Zeek's own.
    fn label(&self) -> Option<Label> {
        let kind = self.get(column::DETAILED_LABEL).unwrap_or_default();
        self.get(column::LABEL).map(|label| Label::of(label, kind))
    }

    fn record(&self) -> Result<Record, Skip> {
        let zone = &TimeZone::UTC;
        let start_us = self.needed(column::TS, |text| scalar::time_us(text, zone), Expected::Time)?;
        // No duration is that of one packet.
        let duration = self.optional(column::DURATION, scalar::duration_us, Expected::Duration)?;
        let source = self.needed(column::ORIG_H, scalar::address, Expected::Address)?;
        let destination = self.needed(column::RESP_H, scalar::address, Expected::Address)?;
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(Refusal::MixedAddresses.into());
        }
        let protocol = self.protocol(source.is_ipv6())?;
        let ports = (
            self.needed(column::ORIG_P, scalar::port, Expected::Port)?,
            self.needed(column::RESP_P, scalar::port, Expected::Port)?,
        );
        let (source_port, destination_port) = match ports {
            ports if has_ports(protocol) => ports,
            (kind, code) if is_icmp(protocol) => {
                (kind, if has_counterpart(protocol, kind) { 0 } else { code })
            }
            _ => (0, 0),
        };
        let packets = self.sides(column::ORIG_PKTS, column::RESP_PKTS)?;
        let ip_bytes = self.sides(column::ORIG_IP_BYTES, column::RESP_IP_BYTES)?;
        let payload = self.sides(column::ORIG_BYTES, column::RESP_BYTES)?;
        let state = self.state(protocol, packets, ip_bytes.or(payload));
        let (bytes, bytes_of, payload) = match ip_bytes {
            Some(bytes) => (
                Some(bytes),
                BytesOf::Network,
                payload.filter(|payload| fits(*payload, bytes)),
            ),
            None => (payload, BytesOf::Payload, None),
        };
        let service = match self.get(column::SERVICE) {
            Some(name) => Some(names::service_code(name)),
            None => self.has_service.then_some(UNKNOWN_SERVICE),
        };
        Ok(Record {
            start_us,
            end_us: start_us + duration.unwrap_or(0),
            source,
            destination,
            source_port,
            destination_port,
            protocol,
            service,
            state,
            packets,
            bytes,
            bytes_of,
            payload,
            sampling: 1,
            own_id: self.get(column::UID).map(OwnId::of),
            sensor: None,
            network: None,
            foreign: None,
        })
    }

    /// Zeek names TCP, UDP and ICMP (also that of IPv6); of the others newer versions give the number.
    fn protocol(&self, is_ipv6: bool) -> Result<u8, Skip> {
        if let Some(number) = self.optional(column::IP_PROTO, names::protocol_number, Expected::Protocol)? {
            return Ok(number);
        }
        if self.get(column::PROTO) == Some(b"unknown_transport") {
            return Err(Skip::Passed(PassedOver::UnknownTransport));
        }
        let number = self.needed(column::PROTO, names::protocol_number, Expected::Protocol)?;
        Ok(if number == protocol::ICMP && is_ipv6 {
            protocol::ICMPV6
        } else {
            number
        })
    }

    fn state(&self, number: u8, packets: Option<Sides>, bytes: Option<Sides>) -> Option<State> {
        let name = self.get(column::CONN_STATE);
        if number != protocol::TCP {
            return state::of_others(packets, bytes).or(match name {
                Some(b"SF") => Some(State::TwoWay),
                Some(b"S0" | b"SHR") => Some(State::OneWay),
                _ => None,
            });
        }
        Some(match name? {
            b"S0" | b"SH" | b"RSTOS0" => State::Attempt,
            b"REJ" => State::Refused,
            b"S1" | b"S2" | b"S3" => State::Established,
            b"SF" => State::Closed,
            b"RSTO" | b"RSTR" => State::Reset,
            b"OTH" | b"SHR" | b"RSTRH" => State::Midstream,
            _ => return None,
        })
    }
}

/// Whether packets of so many bytes can have carried so much. Zeek counts payload by sequence numbers, and one odd segment
/// makes gigabytes of it; so do packets that it missed.
fn fits(payload: Sides, bytes: Sides) -> bool {
    payload.source <= bytes.source && payload.destination <= bytes.destination
}

/// Whether Zeek gives the type of the answer in place of the code, which is 0 for all of these.
fn has_counterpart(number: u8, kind: u16) -> bool {
    if number == protocol::ICMP {
        matches!(kind, 0 | 8 | 9 | 10 | 13..=18)
    } else {
        matches!(kind, 128..=131 | 133..=136 | 139 | 140 | 144..=147)
    }
}
