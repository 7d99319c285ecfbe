//! Suricata's EVE: the events `flow`. Each is written when the flow has ended, and tells the times of its packets in an
//! object `flow`; `timestamp` is another time. All other events are passed over.

use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::names::{self, UNKNOWN_SERVICE, has_ports, is_icmp, protocol};
use super::object::{self, Members};
use super::refusal::{Expected, PassedOver, Refusal, Skip};
use super::scalar;
use super::state::{self, Flags};
use crate::{BytesOf, OwnId, Record, Sides, State};

/// The members that are read, of the event and of its objects.
const FIELDS: [&str; WIDTH] = [
    "event_type",
    "flow_id",
    "src_ip",
    "src_port",
    "dest_ip",
    "dest_port",
    "proto",
    "app_proto",
    "icmp_type",
    "icmp_code",
    "flow",
    "tcp",
];
const WIDTH: usize = 12;
const FLOW_FIELDS: [&str; FLOW_WIDTH] = [
    "flow.start",
    "flow.end",
    "flow.pkts_toserver",
    "flow.pkts_toclient",
    "flow.bytes_toserver",
    "flow.bytes_toclient",
    "flow.state",
];
const FLOW_WIDTH: usize = 7;
const TCP_FIELDS: [&str; 2] = ["tcp.tcp_flags_ts", "tcp.tcp_flags_tc"];

/// Other events, by which they are counted.
#[rustfmt::skip]
const EVENTS: [&str; 44] = [
    "alert", "anomaly", "arp", "bittorrent_dht", "dcerpc", "dhcp", "dnp3", "dns", "doh2", "drop", "email", "engine", "enip",
    "fileinfo", "frame", "ftp", "ftp_data", "http", "http2", "ike", "krb5", "ldap", "mdns", "metadata", "modbus", "mqtt",
    "netflow", "nfs", "pgsql", "pop3", "quic", "rdp", "rfb", "sip", "smb", "smtp", "snmp", "ssh", "stats", "telnet",
    "template", "tftp", "tls", "websocket",
];

pub(super) fn item(json: &[u8]) -> Result<Record, Skip> {
    let [
        kind,
        flow_id,
        src_ip,
        src_port,
        dest_ip,
        dest_port,
        proto,
        app_proto,
        icmp_type,
        icmp_code,
        flow,
        tcp,
    ] = object::members::<WIDTH>(json, |name| FIELDS.iter().position(|field| *field == name))?;
    let kind = needed(kind, "event_type", object::string, Expected::Text)?;
    if kind != "flow" {
        let known = EVENTS.iter().find(|event| **event == kind);
        return Err(Skip::Passed(PassedOver::Event(known.copied().unwrap_or("other"))));
    }
    let flow = flow.ok_or(Refusal::Missing("flow"))?;
    let [
        start,
        end,
        packets_to_server,
        packets_to_client,
        bytes_to_server,
        bytes_to_client,
        flow_state,
    ] = inner::<FLOW_WIDTH>(flow, "flow", &FLOW_FIELDS)?;
    let start_us = needed(start, "flow.start", time, Expected::Time)?;
    let end_us = needed(end, "flow.end", time, Expected::Time)?;
    if end_us < start_us {
        return Err(Refusal::EndsBeforeStart.into());
    }
    let source = needed(src_ip, "src_ip", of_text(scalar::address), Expected::Address)?;
    let destination = needed(dest_ip, "dest_ip", of_text(scalar::address), Expected::Address)?;
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(Refusal::MixedAddresses.into());
    }
    let protocol = needed(
        proto,
        "proto",
        of_text(names::protocol_number),
        Expected::Protocol,
    )?;
    let (source_port, destination_port) = if has_ports(protocol) {
        (port(src_port, "src_port")?, port(dest_port, "dest_port")?)
    } else if is_icmp(protocol) {
        // An event of an older version may lack them.
        (
            icmp_type.map_or(Ok(0), |_| port(icmp_type, "icmp_type"))?,
            icmp_code.map_or(Ok(0), |_| port(icmp_code, "icmp_code"))?,
        )
    } else {
        (0, 0)
    };
    let packets = sides(packets_to_server, packets_to_client, 2)?;
    let bytes = sides(bytes_to_server, bytes_to_client, 4)?;
    let state = if protocol == protocol::TCP {
        let flags = match tcp {
            Some(tcp) => flags(tcp)?,
            None => None,
        };
        let answered = packets.is_some_and(|packets| packets.destination > 0);
        flags
            .and_then(Flags::of_whole)
            .or_else(|| by_name(flow_state, answered))
    } else {
        state::of_others(packets, bytes)
    };
    Ok(Record {
        start_us,
        end_us,
        source,
        destination,
        source_port,
        destination_port,
        protocol,
        service: Some(
            app_proto
                .and_then(of_text(|name| Some(names::service_code(name))))
                .unwrap_or(UNKNOWN_SERVICE),
        ),
        state,
        packets,
        bytes,
        // It counts whole packets of the link: the smallest of any capture have 60 bytes.
        bytes_of: BytesOf::Link,
        payload: None,
        sampling: 1,
        own_id: flow_id.and_then(of_text(|text| Some(OwnId::of(text)))),
        sensor: None,
        network: None,
        foreign: None,
    })
}

fn needed<'a, T>(
    raw: Option<&'a RawValue>,
    field: &'static str,
    read: impl Fn(&'a RawValue) -> Option<T>,
    expected: Expected,
) -> Result<T, Refusal> {
    let raw = raw.ok_or(Refusal::Missing(field))?;
    read(raw).ok_or(Refusal::Unreadable { field, expected })
}

/// What `read` makes of the text of a member.
fn of_text<T>(read: impl Fn(&[u8]) -> Option<T>) -> impl Fn(&RawValue) -> Option<T> {
    move |raw| read(object::text(raw)?.as_bytes())
}

fn port(raw: Option<&RawValue>, field: &'static str) -> Result<u16, Refusal> {
    needed(raw, field, of_text(scalar::port), Expected::Port)
}

fn time(raw: &RawValue) -> Option<i64> {
    scalar::time_us(object::text(raw)?.as_bytes(), &TimeZone::UTC)
}

/// The members of an object within the event, whose names stand in `fields` behind that of the object.
fn inner<'a, const N: usize>(
    raw: &'a RawValue,
    object: &'static str,
    fields: &[&'static str; N],
) -> Result<Members<'a, N>, Refusal> {
    let behind_object = object.len() + 1;
    let place_of = |name: &str| {
        fields
            .iter()
            .position(|field| field.get(behind_object..) == Some(name))
    };
    object::members(raw.get().as_bytes(), place_of).map_err(|_| Refusal::Unreadable {
        field: object,
        expected: Expected::Term,
    })
}

/// A count of each direction, of which the first is the field at `place`.
fn sides(
    source: Option<&RawValue>,
    destination: Option<&RawValue>,
    place: usize,
) -> Result<Option<Sides>, Refusal> {
    let field = |place: usize| FLOW_FIELDS.get(place).copied().unwrap_or_default();
    let count = |raw, place| needed(raw, field(place), of_text(scalar::count), Expected::Count);
    match (source, destination) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(Refusal::OneDirection(field(place))),
        (None, Some(_)) => Err(Refusal::OneDirection(field(place + 1))),
        (source, destination) => Ok(Some(Sides {
            source: count(source, place)?,
            destination: count(destination, place + 1)?,
        })),
    }
}

/// The flags of each side, hexadecimal. All are 0 where Suricata did not follow the connection.
fn flags(tcp: &RawValue) -> Result<Option<Flags>, Refusal> {
    let [source, destination] = inner::<2>(tcp, "tcp", &TCP_FIELDS)?;
    let flags = |raw: Option<&RawValue>, field| {
        let hexadecimal = |raw| u8::from_str_radix(&object::string(raw)?, 16).ok();
        raw.map(|raw| needed(Some(raw), field, hexadecimal, Expected::Term))
            .transpose()
    };
    let [source_field, destination_field] = TCP_FIELDS;
    Ok(flags(source, source_field)?
        .zip(flags(destination, destination_field)?)
        .map(|(source, destination)| Flags { source, destination }))
}

/// The state without flags, by the name that the flow has; none where packets came back and the name does not know of them.
fn by_name(raw: Option<&RawValue>, answered: bool) -> Option<State> {
    match &*object::string(raw?)? {
        "new" if !answered => Some(State::Attempt),
        "established" | "bypassed" | "local_bypassed" | "capture_bypassed" => Some(State::Established),
        "closed" => Some(State::Closed),
        _ => None,
    }
}
