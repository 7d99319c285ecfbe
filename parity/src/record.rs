//! The records of both sides in one form, to be compared.

use std::fmt;
use std::net::IpAddr;

/// How the values of a column are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As text.
    Text,
    /// As a whole number, exactly.
    Count,
    /// Within 1e-3 of the larger one, or within the precision that `ra` prints.
    Float,
}

/// A column that both sides have.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in the schema `unsw-nb15` or in the identity of a record.
    pub name: &'static str,
    /// Its name for `ra -s`.
    pub argus: &'static str,
    /// How it is compared.
    pub kind: Kind,
}

const fn column(name: &'static str, argus: &'static str, kind: Kind) -> Column {
    Column { name, argus, kind }
}

/// Every column of the schema that Argus has, after the identity of the record.
pub const COLUMNS: [Column; 33] = [
    column("srcip", "saddr", Kind::Text),
    column("sport", "sport", Kind::Text),
    column("dstip", "daddr", Kind::Text),
    column("dsport", "dport", Kind::Text),
    column("proto", "proto", Kind::Text),
    column("stime", "stime", Kind::Text),
    column("ltime", "ltime", Kind::Text),
    column("state", "state", Kind::Text),
    column("dur", "dur", Kind::Float),
    column("spkts", "spkts", Kind::Count),
    column("dpkts", "dpkts", Kind::Count),
    column("sbytes", "sbytes", Kind::Count),
    column("dbytes", "dbytes", Kind::Count),
    column("rate", "rate", Kind::Float),
    column("sttl", "sttl", Kind::Count),
    column("dttl", "dttl", Kind::Count),
    column("sload", "sload", Kind::Float),
    column("dload", "dload", Kind::Float),
    column("sloss", "sloss", Kind::Count),
    column("dloss", "dloss", Kind::Count),
    column("sinpkt", "sintpkt", Kind::Float),
    column("dinpkt", "dintpkt", Kind::Float),
    column("sjit", "sjit", Kind::Float),
    column("djit", "djit", Kind::Float),
    column("swin", "swin", Kind::Count),
    column("dwin", "dwin", Kind::Count),
    column("stcpb", "stcpb", Kind::Count),
    column("dtcpb", "dtcpb", Kind::Count),
    column("tcprtt", "tcprtt", Kind::Float),
    column("synack", "synack", Kind::Float),
    column("ackdat", "ackdat", Kind::Float),
    column("smean", "smeansz", Kind::Count),
    column("dmean", "dmeansz", Kind::Count),
];

/// The value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Number(number) => write!(formatter, "{number}"),
        }
    }
}

const IGMP: &str = "2";

/// Digits that `ra -p 6` prints behind the point.
const PRINTED: f64 = 1e-6;

impl Cell {
    /// How far apart two values are, 0 when they count as equal; 1 and more is as far as it gets.
    pub fn distance(&self, other: &Self, kind: Kind) -> f64 {
        let (Self::Number(left), Self::Number(right)) = (self, other) else {
            return if self == other { 0.0 } else { 1.0 };
        };
        let difference = (left - right).abs();
        let relative = difference / left.abs().max(right.abs());
        match kind {
            _ if left == right => 0.0,
            // The last printed digit may be rounded either way.
            Kind::Float if relative <= 1e-3 || difference <= 1.001 * PRINTED => 0.0,
            _ if relative.is_nan() => 1.0,
            _ => relative,
        }
    }
}

/// The key of a record: the two ends, in either direction, and the start time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    start: String,
    protocol: String,
    ends: [(IpAddr, String); 2],
}

impl Key {
    /// The two addresses, the lower one first.
    pub(crate) fn addresses(&self) -> [IpAddr; 2] {
        [self.ends[0].0, self.ends[1].0]
    }
}

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    /// One value for each of [`COLUMNS`].
    pub cells: Vec<Cell>,
}

impl Record {
    /// The value of a column.
    pub fn cell(&self, name: &str) -> &Cell {
        let index = COLUMNS
            .iter()
            .position(|column| column.name == name)
            .expect("the name of a column");
        &self.cells[index]
    }

    /// The key of the record; `None` when the record has no IP address (a flow between stations).
    pub fn key(&self) -> Option<Key> {
        let text = |name: &str| match self.cell(name) {
            Cell::Text(text) => text.clone(),
            Cell::Number(number) => number.to_string(),
        };
        let end = |address: &str, port: &str| {
            let address = text(address).parse::<IpAddr>().ok()?;
            Some((address, text(port)))
        };
        let mut ends = [end("srcip", "sport")?, end("dstip", "dsport")?];
        if self.cell("proto") == &Cell::Text(IGMP.to_owned()) {
            // Argus takes the group for the destination.
            ends[1] = ends[0].clone();
        }
        ends.sort();
        Some(Key {
            start: text("stime"),
            protocol: text("proto"),
            ends,
        })
    }

    /// ICMP has no ports. `ra` prints parts of the message in their place (type, and identifier or code with
    /// their bytes swapped), which are no columns of the schema.
    pub(crate) fn forget_ports_of_icmp(&mut self) {
        let Cell::Text(protocol) = self.cell("proto") else {
            return;
        };
        if !["1", "58"].contains(&protocol.as_str()) {
            return;
        }
        for (column, cell) in COLUMNS.iter().zip(&mut self.cells) {
            if matches!(column.name, "sport" | "dsport") {
                *cell = Cell::Text(String::new());
            }
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {} {}:{} > {}:{} {} {}+{} packets",
            self.cell("stime"),
            self.cell("proto"),
            self.cell("srcip"),
            self.cell("sport"),
            self.cell("dstip"),
            self.cell("dsport"),
            self.cell("state"),
            self.cell("spkts"),
            self.cell("dpkts"),
        )
    }
}
