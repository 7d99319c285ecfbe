//! What `ra` of Argus prints: rows of fields between commas or tabs, by a header line, in any choice of columns that says
//! enough. A header may stand again in the middle, as `ra` repeats it.
//!
//! Times are printed without a zone, bytes are those of the link. A long connection is several records, each with flags of
//! its own time.

use jiff::tz::TimeZone;

use super::names::{self, has_ports, is_icmp, protocol};
use super::refusal::{Expected, Lacking, PassedOver, Refusal, Skip};
use super::scalar;
use super::state::{self, Flags, flag};
use crate::{BytesOf, Record, Sides, State};

/// The columns that are read: as `ra` titles them, and as its option `-s` calls them.
const COLUMNS: [(&str, &str); WIDTH] = [
    ("StartTime", "stime"),
    ("LastTime", "ltime"),
    ("Dur", "dur"),
    ("Proto", "proto"),
    ("SrcAddr", "saddr"),
    ("Sport", "sport"),
    ("DstAddr", "daddr"),
    ("Dport", "dport"),
    ("State", "state"),
    ("TotPkts", "pkts"),
    ("SrcPkts", "spkts"),
    ("DstPkts", "dpkts"),
    ("TotBytes", "bytes"),
    ("SrcBytes", "sbytes"),
    ("DstBytes", "dbytes"),
    ("TotAppByte", "appbytes"),
    ("SAppBytes", "sappbytes"),
    ("DAppBytes", "dappbytes"),
];
const WIDTH: usize = 18;

/// Places in [`COLUMNS`].
mod column {
    pub(super) const START: usize = 0;
    pub(super) const LAST: usize = 1;
    pub(super) const DURATION: usize = 2;
    pub(super) const PROTOCOL: usize = 3;
    pub(super) const SOURCE: usize = 4;
    pub(super) const SOURCE_PORT: usize = 5;
    pub(super) const DESTINATION: usize = 6;
    pub(super) const DESTINATION_PORT: usize = 7;
    pub(super) const STATE: usize = 8;
    /// Total, source, destination.
    pub(super) const PACKETS: [usize; 3] = [9, 10, 11];
    pub(super) const BYTES: [usize; 3] = [12, 13, 14];
    pub(super) const PAYLOAD: [usize; 3] = [15, 16, 17];
}

/// What a row has to say.
const NEEDED: [&str; 8] = [
    "StartTime",
    "LastTime or Dur",
    "Proto",
    "SrcAddr",
    "Sport",
    "DstAddr",
    "Dport",
    "SrcPkts and DstPkts (or SrcBytes and DstBytes)",
];

/// The command whose output says all that can be read.
macro_rules! command {
    () => {
        "`ra -n -u -Z b -c , -s stime ltime proto saddr sport daddr dport state spkts dpkts sbytes dbytes`"
    };
}
pub(super) const ADVICE: &str = concat!("print the records with ", command!());
const NO_HEADER: Refusal = Refusal::NoHeader {
    advice: concat!(
        "print the records with ",
        command!(),
        ", which begins with the names of the columns"
    ),
};

/// Protocols of rows that are about no IP packets.
const LINK: [&str; 12] = [
    "man", "llc", "arp", "rarp", "loop", "lldp", "ipx", "aarp", "isis", "wlan", "eapol", "mpls",
];

/// What may stand between fields; the first of them that a header has does.
const SEPARATORS: [u8; 4] = *b",\t;|";

#[derive(Debug)]
pub(super) struct Parser {
    zone: TimeZone,
    separator: u8,
    /// The column of each place.
    columns: Result<Vec<Option<usize>>, Refusal>,
    header: Vec<u8>,
}

impl Parser {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            separator: b',',
            columns: Err(NO_HEADER),
            header: Vec::new(),
        }
    }

    pub(super) fn header(&self) -> Vec<u8> {
        self.header.clone()
    }

    pub(super) fn item(&mut self, line: &[u8]) -> Result<Record, Skip> {
        if let Some((separator, columns)) = header_of(line) {
            self.separator = separator;
            self.header = line.to_vec();
            self.columns = match lacking(&columns) {
                Some(lacking) => Err(Refusal::HeaderLacks(lacking)),
                None => Ok(columns),
            };
            return Err(match &self.columns {
                Ok(_) => Skip::Passed(PassedOver::Header),
                Err(refusal) => Skip::Refused(*refusal),
            });
        }
        self.row(line)?.record(&self.zone)
    }

    fn row<'a>(&self, line: &'a [u8]) -> Result<Row<'a>, Refusal> {
        let columns = self.columns.as_ref().map_err(|refusal| *refusal)?;
        let mut row = Row {
            values: [None; WIDTH],
        };
        let mut fields = line.split(|&byte| byte == self.separator);
        for column in columns {
            let Some(field) = fields.next() else {
                return Err(Refusal::TooFewFields);
            };
            if let Some(value) = column.and_then(|column| row.values.get_mut(column)) {
                *value = Some(field.trim_ascii());
            }
        }
        Ok(row)
    }
}

/// The separator and the columns of a line that names at least four of them.
fn header_of(line: &[u8]) -> Option<(u8, Vec<Option<usize>>)> {
    // Rows begin with a number nearly always; this is asked of each.
    if line.trim_ascii_start().first().is_none_or(u8::is_ascii_digit) {
        return None;
    }
    let separator = SEPARATORS
        .into_iter()
        .find(|separator| line.contains(separator))
        .unwrap_or(b',');
    let columns = || {
        line.split(move |&byte| byte == separator)
            .map(|name| column_of(name.trim_ascii()))
    };
    let is_header = columns().flatten().nth(3).is_some();
    is_header.then(|| (separator, columns().collect()))
}

fn column_of(name: &[u8]) -> Option<usize> {
    COLUMNS.iter().position(|(title, option)| {
        name.eq_ignore_ascii_case(title.as_bytes()) || name.eq_ignore_ascii_case(option.as_bytes())
    })
}

fn lacking(columns: &[Option<usize>]) -> Option<Lacking> {
    let has = |column: usize| columns.contains(&Some(column));
    // Two of the three are enough.
    let sides = |columns: [usize; 3]| columns.into_iter().filter(|column| has(*column)).count() >= 2;
    Lacking::of(&NEEDED, ADVICE, |place| match place {
        0 => has(column::START),
        1 => has(column::LAST) || has(column::DURATION),
        2 => has(column::PROTOCOL),
        3 => has(column::SOURCE),
        4 => has(column::SOURCE_PORT),
        5 => has(column::DESTINATION),
        6 => has(column::DESTINATION_PORT),
        _ => sides(column::PACKETS) || sides(column::BYTES),
    })
}

/// The fields of a row; `None` for columns that the header lacks.
struct Row<'a> {
    values: [Option<&'a [u8]>; WIDTH],
}

impl<'a> Row<'a> {
    fn get(&self, column: usize) -> Option<&'a [u8]> {
        self.values.get(column).copied().flatten()
    }

    fn title(column: usize) -> &'static str {
        COLUMNS.get(column).map_or("", |(title, _)| title)
    }

    fn needed<T>(
        &self,
        column: usize,
        read: impl Fn(&[u8]) -> Option<T>,
        expected: Expected,
    ) -> Result<T, Refusal> {
        let field = Self::title(column);
        match self.get(column) {
            None | Some([]) => Err(Refusal::Missing(field)),
            Some(value) => read(value).ok_or(Refusal::Unreadable { field, expected }),
        }
    }

    fn record(&self, zone: &TimeZone) -> Result<Record, Skip> {
        let protocol = self.protocol()?;
        let time = |column| self.needed(column, |text| scalar::time_us(text, zone), Expected::TimeWithDate);
        let start_us = time(column::START)?;
        let end_us = if self.get(column::LAST).is_some() {
            time(column::LAST)?
        } else {
            start_us + self.needed(column::DURATION, scalar::duration_us, Expected::Duration)?
        };
        if end_us < start_us {
            return Err(Refusal::EndsBeforeStart.into());
        }
        let source = self.needed(column::SOURCE, scalar::address, Expected::Address)?;
        let destination = self.needed(column::DESTINATION, scalar::address, Expected::Address)?;
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(Refusal::MixedAddresses.into());
        }
        let (source_port, destination_port) = if has_ports(protocol) {
            let port = |column| match self.get(column) {
                // Of SCTP `ra` prints no ports.
                Some([]) if protocol == protocol::SCTP => Ok(0),
                _ => self.needed(column, port, Expected::PortOrName),
            };
            (port(column::SOURCE_PORT)?, port(column::DESTINATION_PORT)?)
        } else if is_icmp(protocol) {
            // Type and code share the first port, the second is an identifier.
            let [code, kind] = self
                .needed(column::SOURCE_PORT, port, Expected::PortOrName)?
                .to_be_bytes();
            (u16::from(kind), u16::from(code))
        } else {
            (0, 0)
        };
        let packets = self.sides(column::PACKETS)?;
        let bytes = self.sides(column::BYTES)?;
        let state = if protocol == protocol::TCP {
            self.tcp_state(packets)
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
            service: None,
            state,
            packets,
            bytes,
            bytes_of: BytesOf::Link,
            payload: self.sides(column::PAYLOAD)?,
            sampling: 1,
            own_id: None,
            sensor: None,
            network: None,
            foreign: None,
        })
    }

    fn protocol(&self) -> Result<u8, Skip> {
        let name = self.get(column::PROTOCOL).unwrap_or_default();
        // A number of the link is no address of IP, also where IP has a protocol of that name.
        let is_link_address =
            |text: &[u8]| text.split(|&byte| byte == b':').count() == 6 && scalar::address(text).is_none();
        let has_no_address = self
            .get(column::SOURCE)
            .is_none_or(|text| text.is_empty() || is_link_address(text));
        if let Some(link) = LINK.iter().find(|link| link.as_bytes() == name) {
            let is_ip = names::protocol_number(name).is_some() && !has_no_address;
            if !is_ip {
                return Err(Skip::Passed(PassedOver::Link(link)));
            }
        }
        match names::protocol_number(name) {
            Some(number) => Ok(number),
            None if has_no_address && !name.is_empty() => Err(Skip::Passed(PassedOver::Link("other"))),
            None => Ok(self.needed(column::PROTOCOL, names::protocol_number, Expected::Protocol)?),
        }
    }

    /// Counts of each direction, from two of total, source and destination.
    fn sides(&self, columns: [usize; 3]) -> Result<Option<Sides>, Refusal> {
        let [total, source, destination] = columns;
        let count = |column| self.needed(column, scalar::count, Expected::Count);
        let other = |one: usize| {
            let total = count(total)?;
            total
                .checked_sub(count(one)?)
                .ok_or(Refusal::MoreThanTotal(Self::title(one)))
        };
        let has = |column| self.get(column).is_some();
        Ok(Some(match (has(source), has(destination)) {
            (true, true) => Sides {
                source: count(source)?,
                destination: count(destination)?,
            },
            (true, false) if has(total) => Sides {
                source: count(source)?,
                destination: other(source)?,
            },
            (false, true) if has(total) => Sides {
                source: other(destination)?,
                destination: count(destination)?,
            },
            _ => return Ok(None),
        }))
    }

    /// The state of TCP: flags of both sides with `_` between (`ra -Z b`), or the name of a state.
    fn tcp_state(&self, packets: Option<Sides>) -> Option<State> {
        let text = self.get(column::STATE)?;
        if let Some(end) = text.iter().position(|&byte| byte == b'_') {
            let (source, destination) = text.split_at(end);
            return Flags {
                source: flags(source)?,
                destination: flags(destination.get(1..)?)?,
            }
            .of_part();
        }
        let is_answered = packets.is_none_or(|packets| packets.destination > 0);
        let is_single = packets.is_some_and(|packets| packets.source <= 1 && packets.destination <= 1);
        match text {
            b"REQ" => Some(State::Attempt),
            b"ACC" | b"EST" | b"CON" => Some(State::Established),
            b"FIN" | b"CLO" => Some(State::Closed),
            // One packet each way is no connection that was reset.
            b"RST" if is_single => Some(State::Refused),
            b"RST" => Some(State::Reset),
            b"TIM" if is_answered => Some(State::Established),
            b"TIM" => Some(State::Attempt),
            _ => None,
        }
    }
}

/// A port: decimal, hexadecimal, or a name.
fn port(text: &[u8]) -> Option<u16> {
    match text.strip_prefix(b"0x") {
        Some(digits) => u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok(),
        None => scalar::port(text).or_else(|| names::port_number(text)),
    }
}

/// Flags by their letters; of ECN's there is no need.
fn flags(letters: &[u8]) -> Option<u8> {
    letters.iter().try_fold(0, |flags, letter| {
        let flag = match letter {
            b'F' => flag::FIN,
            b'S' => flag::SYN,
            b'R' => flag::RST,
            b'P' => flag::PSH,
            b'A' => flag::ACK,
            b'U' => flag::URG,
            b'E' | b'C' | b'W' => 0,
            _ => return None,
        };
        Some(flags | flag)
    })
}

/// Whether a line names columns of `ra`, by which bytes are recognised. Tables in the format of UNSW-NB15 share most names
/// of columns with Argus, by which they were made, but not those of addresses.
pub(super) fn is_header(line: &[u8]) -> bool {
    let has_address = |columns: &[Option<usize>]| {
        columns.contains(&Some(column::SOURCE)) || columns.contains(&Some(column::DESTINATION))
    };
    header_of(line).is_some_and(|(_, columns)| has_address(&columns))
}
