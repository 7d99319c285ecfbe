//! The project's own JSON of a flow: the format for who has flows that no other format says.
//!
//! [`FIELDS`] is its one definition: reading, [`json_schema`] and the table of `docs/sources/flow-json.md` come from it.
//! [`write`] writes a record so that it is read as the same.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

use netsage_schema::record_v1::{BYTES, STATE};
use netsage_schema::unsw_nb15::SERVICE;
use serde_json::value::RawValue;

use super::foreign::{self, LONGEST_NAME, MOST_SCORES, MOST_VALUES};
use super::names::{self, protocol};
use super::object::{self, Members};
use super::refusal::{Expected, Refusal, Skip};
use super::scalar::{self, LAST_US};
use crate::{BytesOf, OwnId, Record, Sides, State};

/// A member of the object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether every flow has it.
    pub is_required: bool,
    /// What it says, with its unit.
    pub about: &'static str,
}

/// What a member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole microseconds since the Unix epoch, to the end of the year 9999.
    Time,
    /// An IPv4 or IPv6 address, as text.
    Address,
    /// A number from 0 to 65535.
    Port,
    /// An IP protocol: its number from 0 to 254, or its name; or ARP, which has no number.
    Protocol,
    /// The name of an application protocol.
    Service,
    /// One of some words.
    Term(&'static [&'static str]),
    /// A whole number of 0 or more.
    Count,
    /// A whole number of 1 or more, of 32 bits.
    Sampling,
    /// Text of 1 to 128 characters.
    Label,
    /// 32 hexadecimal digits in small letters.
    Digest,
    /// A row of another schema.
    Row,
    /// Scores of detectors.
    Scores,
}

/// Longest text of a member, in characters.
const LONGEST_LABEL: usize = 128;
/// Sensors and networks that are remembered, so that each is allocated once.
const MOST_LABELS: usize = 4_096;

/// Without the term of a state that nobody told: the member is left out then.
const STATE_TERMS: &[&str] = STATE.terms.split_at(1).1;

const WIDTH: usize = 23;

const fn field(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        is_required: false,
        about,
    }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        is_required: true,
        about,
    }
}

/// Every member. Others may stand beside them and are not read.
#[rustfmt::skip]
pub const FIELDS: [Field; WIDTH] = [
    required("start_us", Kind::Time, "First packet, microseconds since the Unix epoch."),
    required("end_us", Kind::Time, "Last packet, microseconds since the Unix epoch; not before `start_us`."),
    required("source", Kind::Address, "Who began the flow."),
    required("destination", Kind::Address, "The other side; an address of the same version of IP."),
    field("source_port", Kind::Port, "Port of the source; 0 where the protocol has none. For ICMP the type."),
    field("destination_port", Kind::Port, "Port of the destination; 0 where the protocol has none. For ICMP the code."),
    required("protocol", Kind::Protocol, "IP protocol, by its number or its name, or `arp`."),
    field("service", Kind::Service, "Application protocol; `-` where the meter looked and found none. Left out where the meter does not look."),
    field("state", Kind::Term(STATE_TERMS), "What the flow has come to."),
    field("source_packets", Kind::Count, "Packets that the source sent."),
    field("destination_packets", Kind::Count, "Packets that the destination sent."),
    field("source_bytes", Kind::Count, "Bytes that the source sent, of what `bytes_of` says."),
    field("destination_bytes", Kind::Count, "Bytes that the destination sent, of what `bytes_of` says."),
    field("bytes_of", Kind::Term(BYTES.terms), "What bytes are counted of: IP packets (`network`, where it is left out), frames with their link headers (`link`), or what TCP and UDP carried alone (`payload`)."),
    field("source_payload", Kind::Count, "Bytes that TCP or UDP carried from the source, where they are known beside `source_bytes`."),
    field("destination_payload", Kind::Count, "Bytes that TCP or UDP carried from the destination."),
    field("sampling", Kind::Sampling, "One in so many packets was looked at, and packets and bytes are multiplied by it already; 1 where it is left out."),
    field("sensor", Kind::Label, "Where the flow was seen."),
    field("network", Kind::Label, "The network whose addresses these are."),
    field("uid", Kind::Label, "The meter's own identifier of the flow."),
    field("own_id", Kind::Digest, "In place of `uid` its digest, as this program writes it."),
    field("row", Kind::Row, "The row that another program made of the flow, where its schema is not `record-v1`: kept and shown, not scored."),
    field("scores", Kind::Scores, "What detectors of another program said of the flow: kept and shown."),
];

/// Places in [`FIELDS`], in the same order.
const START: usize = 0;
const END: usize = 1;
const SOURCE: usize = 2;
const DESTINATION: usize = 3;
const SOURCE_PORT: usize = 4;
const DESTINATION_PORT: usize = 5;
const PROTOCOL: usize = 6;
/// The protocol that is none of IP, and of which this program's own meter has flows.
const ARP: &str = "arp";
const SERVICE_NAME: usize = 7;
const STATE_TERM: usize = 8;
const SOURCE_PACKETS: usize = 9;
const DESTINATION_PACKETS: usize = 10;
const SOURCE_BYTES: usize = 11;
const DESTINATION_BYTES: usize = 12;
const BYTES_OF: usize = 13;
const SOURCE_PAYLOAD: usize = 14;
const DESTINATION_PAYLOAD: usize = 15;
const SAMPLING: usize = 16;
const SENSOR: usize = 17;
const NETWORK: usize = 18;
const UID: usize = 19;
const OWN_ID: usize = 20;
const ROW: usize = 21;
const SCORES: usize = 22;

/// Counts of which both directions are there or none.
const PAIRS: [[usize; 2]; 3] = [
    [SOURCE_PACKETS, DESTINATION_PACKETS],
    [SOURCE_BYTES, DESTINATION_BYTES],
    [SOURCE_PAYLOAD, DESTINATION_PAYLOAD],
];

/// Reads objects; sensors and networks are remembered from one to the next.
#[derive(Debug, Default)]
pub(super) struct Parser {
    labels: HashSet<Arc<str>>,
}

impl Parser {
    pub(super) fn item(&mut self, json: &[u8]) -> Result<Record, Skip> {
        let members: Members<'_, WIDTH> =
            object::members(json, |name| FIELDS.iter().position(|field| field.name == name))?;
        let flow = Flow(members);
        let start_us = flow.needed(START, time, Expected::Time)?;
        let end_us = flow.needed(END, time, Expected::Time)?;
        if end_us < start_us {
            return Err(Refusal::EndsBeforeStart.into());
        }
        let address = |raw| scalar::address(object::string(raw)?.as_bytes());
        let source = flow.needed(SOURCE, address, Expected::Address)?;
        let destination = flow.needed(DESTINATION, address, Expected::Address)?;
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(Refusal::MixedAddresses.into());
        }
        let port = |place| Ok::<_, Refusal>(flow.optional(place, port, Expected::Port)?.unwrap_or(0));
        let own_id = match (
            flow.optional(UID, label, Expected::Text)?,
            flow.optional(OWN_ID, digest, Expected::Digest)?,
        ) {
            (Some(_), Some(_)) => return Err(Refusal::Both(FIELDS[UID].name, FIELDS[OWN_ID].name).into()),
            (Some(uid), None) => Some(OwnId::of(uid.as_bytes())),
            (None, own_id) => own_id,
        };
        let service = flow.optional(SERVICE_NAME, object::string, Expected::Text)?;
        let [packets, bytes, payload] = PAIRS;
        Ok(Record {
            start_us,
            end_us,
            source,
            destination,
            source_port: port(SOURCE_PORT)?,
            destination_port: port(DESTINATION_PORT)?,
            protocol: flow.needed(PROTOCOL, protocol, Expected::Protocol)?,
            service: service.map(|name| names::service_code(name.as_bytes())),
            state: flow.optional(
                STATE_TERM,
                |raw| term(raw, STATE_TERMS, &State::ALL),
                Expected::Term,
            )?,
            packets: flow.sides(packets)?,
            bytes: flow.sides(bytes)?,
            bytes_of: flow
                .optional(
                    BYTES_OF,
                    |raw| term(raw, BYTES.terms, &BytesOf::ALL),
                    Expected::Term,
                )?
                .unwrap_or(BytesOf::Network),
            payload: flow.sides(payload)?,
            sampling: flow.optional(SAMPLING, sampling, Expected::Count)?.unwrap_or(1),
            own_id,
            sensor: self.label(&flow, SENSOR)?,
            network: self.label(&flow, NETWORK)?,
            foreign: foreign::text(
                flow.optional(ROW, foreign::row, Expected::Row)?,
                flow.optional(SCORES, foreign::scores, Expected::Scores)?,
            ),
        })
    }

    fn label(&mut self, flow: &Flow<'_>, place: usize) -> Result<Option<Arc<str>>, Refusal> {
        let Some(text) = flow.optional(place, label, Expected::Text)? else {
            return Ok(None);
        };
        if let Some(known) = self.labels.get(&*text) {
            return Ok(Some(Arc::clone(known)));
        }
        // A sender that makes names up is not to take memory for each.
        if self.labels.len() >= MOST_LABELS {
            self.labels.clear();
        }
        let label: Arc<str> = Arc::from(&*text);
        self.labels.insert(Arc::clone(&label));
        Ok(Some(label))
    }
}

struct Flow<'a>(Members<'a, WIDTH>);

impl<'a> Flow<'a> {
    fn needed<T>(
        &self,
        place: usize,
        read: impl Fn(&'a RawValue) -> Option<T>,
        expected: Expected,
    ) -> Result<T, Refusal> {
        let value = self.optional(place, read, expected)?;
        value.ok_or(Refusal::Missing(name(place)))
    }

    fn optional<T>(
        &self,
        place: usize,
        read: impl Fn(&'a RawValue) -> Option<T>,
        expected: Expected,
    ) -> Result<Option<T>, Refusal> {
        let Some(raw) = self.0.get(place).copied().flatten() else {
            return Ok(None);
        };
        let field = name(place);
        read(raw).map(Some).ok_or(Refusal::Unreadable { field, expected })
    }

    fn sides(&self, [source, destination]: [usize; 2]) -> Result<Option<Sides>, Refusal> {
        let count = |place| self.optional(place, count, Expected::Count);
        match (count(source)?, count(destination)?) {
            (Some(source), Some(destination)) => Ok(Some(Sides { source, destination })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Refusal::OneDirection(name(source))),
            (None, Some(_)) => Err(Refusal::OneDirection(name(destination))),
        }
    }
}

fn name(place: usize) -> &'static str {
    FIELDS.get(place).map_or("", |field| field.name)
}

fn count(raw: &RawValue) -> Option<u64> {
    scalar::count(object::number(raw)?.as_bytes())
}

fn port(raw: &RawValue) -> Option<u16> {
    u16::try_from(count(raw)?).ok()
}

fn sampling(raw: &RawValue) -> Option<u32> {
    u32::try_from(count(raw)?).ok().filter(|rate| *rate > 0)
}

fn time(raw: &RawValue) -> Option<i64> {
    i64::try_from(count(raw)?).ok().filter(|us| *us <= LAST_US)
}

fn protocol(raw: &RawValue) -> Option<u8> {
    match object::number(raw) {
        Some(_) => u8::try_from(count(raw)?)
            .ok()
            .filter(|number| *number != protocol::ARP),
        None => match object::string(raw)? {
            name if name.eq_ignore_ascii_case(ARP) => Some(protocol::ARP),
            name => names::protocol_number(name.as_bytes()),
        },
    }
}

fn label(raw: &RawValue) -> Option<std::borrow::Cow<'_, str>> {
    object::string(raw)
        .filter(|text| !text.is_empty() && text.chars().take(LONGEST_LABEL + 1).count() <= LONGEST_LABEL)
}

/// What a term stands for; `meanings` are in the order of `terms`.
fn term<T: Copy>(raw: &RawValue, terms: &[&str], meanings: &[T]) -> Option<T> {
    let text = object::string(raw)?;
    let place = terms.iter().position(|term| *term == text)?;
    meanings.get(place).copied()
}

fn digest(raw: &RawValue) -> Option<OwnId> {
    let text = object::string(raw)?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 32 || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(&text, 16)
        .ok()
        .map(|digits| OwnId(digits.to_be_bytes()))
}

/// Writes a record as one object on one line, without a line break. It is read as an equal record.
///
/// # Errors
/// When `out` fails.
pub fn write(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let mut members = Written {
        out,
        has_member: false,
    };
    members.number(START, record.start_us)?;
    members.number(END, record.end_us)?;
    members.text(SOURCE, &record.source)?;
    members.text(DESTINATION, &record.destination)?;
    members.number(SOURCE_PORT, record.source_port)?;
    members.number(DESTINATION_PORT, record.destination_port)?;
    match record.protocol {
        protocol::TCP => members.text(PROTOCOL, &"tcp")?,
        protocol::UDP => members.text(PROTOCOL, &"udp")?,
        protocol::ICMP => members.text(PROTOCOL, &"icmp")?,
        protocol::ICMPV6 => members.text(PROTOCOL, &"ipv6-icmp")?,
        protocol::ARP => members.text(PROTOCOL, &ARP)?,
        number => members.number(PROTOCOL, number)?,
    }
    if let Some(service) = record.service.and_then(|code| SERVICE.term(code)) {
        members.text(SERVICE_NAME, &service)?;
    }
    if let Some(state) = record.state.and_then(|state| STATE.term(state.code())) {
        members.text(STATE_TERM, &state)?;
    }
    for ([source, destination], sides) in
        PAIRS
            .into_iter()
            .zip([record.packets, record.bytes, record.payload])
    {
        if let Some(sides) = sides {
            members.number(source, sides.source)?;
            members.number(destination, sides.destination)?;
        }
    }
    if let Some(bytes_of) = BYTES.term(record.bytes_of.code()) {
        members.text(BYTES_OF, &bytes_of)?;
    }
    if record.sampling != 1 {
        members.number(SAMPLING, record.sampling)?;
    }
    for (place, label) in [(SENSOR, &record.sensor), (NETWORK, &record.network)] {
        if let Some(label) = label {
            members.name(place)?;
            serde_json::to_writer(&mut *members.out, &**label)?;
        }
    }
    if let Some(OwnId(digest)) = record.own_id {
        members.text(OWN_ID, &format_args!("{:032x}", u128::from_be_bytes(digest)))?;
    }
    // An object: its members follow, and its end is that of the flow.
    if let Some(foreign) = record.foreign.as_deref().and_then(|text| text.strip_prefix('{')) {
        members.out.write_all(b",")?;
        return members.out.write_all(foreign.as_bytes());
    }
    members.out.write_all(b"}")
}

struct Written<'a, W> {
    out: &'a mut W,
    has_member: bool,
}

impl<W: Write> Written<'_, W> {
    fn name(&mut self, place: usize) -> io::Result<()> {
        let before = if self.has_member { ',' } else { '{' };
        self.has_member = true;
        write!(self.out, "{before}\"{}\":", name(place))
    }

    fn number(&mut self, place: usize, number: impl itoa::Integer) -> io::Result<()> {
        self.name(place)?;
        self.out.write_all(itoa::Buffer::new().format(number).as_bytes())
    }

    /// A text of which nothing has to be escaped.
    fn text(&mut self, place: usize, text: &dyn std::fmt::Display) -> io::Result<()> {
        self.name(place)?;
        write!(self.out, "\"{text}\"")
    }
}

/// The JSON Schema of a flow (draft 2020-12), as it lies in `docs/flow.schema.json`.
pub fn json_schema() -> serde_json::Value {
    use serde_json::{Map, Value, json};

    let properties: Map<String, Value> = FIELDS
        .iter()
        .map(|field| {
            let mut schema = of_kind(field.kind);
            if let Value::Object(members) = &mut schema {
                members.insert("description".to_owned(), field.about.into());
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<_> = (FIELDS.iter().filter(|field| field.is_required))
        .map(|field| field.name)
        .collect();
    let together: Map<String, Value> = PAIRS
        .into_iter()
        .flat_map(|[one, other]| [(one, other), (other, one)])
        .map(|(one, other)| (name(one).to_owned(), json!([name(other)])))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flow",
        "description": "One flow, as NetSage reads it by every transport. Members beside these are not read.",
        "type": "object",
        "properties": properties,
        "required": required,
        "dependentRequired": together,
        "not": { "required": [name(UID), name(OWN_ID)] },
    })
}

fn of_kind(kind: Kind) -> serde_json::Value {
    use serde_json::json;

    match kind {
        Kind::Time => json!({ "type": "integer", "minimum": 0, "maximum": LAST_US }),
        Kind::Address => json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] }),
        Kind::Port => json!({ "type": "integer", "minimum": 0, "maximum": u16::MAX }),
        Kind::Protocol => json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": protocol::ARP - 1 },
            { "type": "string", "examples": ["tcp", "udp", "icmp", "ipv6-icmp"] },
        ] }),
        Kind::Service => json!({ "type": "string", "examples": SERVICE.terms }),
        Kind::Term(terms) => json!({ "type": "string", "enum": terms }),
        Kind::Count => json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }),
        Kind::Sampling => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        Kind::Label => json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_LABEL }),
        Kind::Digest => json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }),
        Kind::Row => json!({
            "type": "object",
            "properties": {
                "schema": { "type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "examples": ["flow-v1@1"] },
                "values": { "type": "array", "items": { "type": "number" }, "maxItems": MOST_VALUES },
            },
            "required": ["schema", "values"],
        }),
        Kind::Scores => json!({
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "detector": { "type": "string", "minLength": 1, "maxLength": LONGEST_NAME },
                    "version": { "type": ["string", "null"], "maxLength": LONGEST_NAME },
                    "digest": { "type": ["string", "null"], "maxLength": LONGEST_NAME },
                    "score": { "type": "number" },
                    "threshold": { "type": ["number", "null"] },
                },
                "required": ["detector", "score"],
            },
            "maxItems": MOST_SCORES,
        }),
    }
}
