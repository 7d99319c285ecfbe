//! Why an item is no record.

use std::fmt;

/// An item that is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    Passed(PassedOver),
    Refused(Refusal),
}

impl From<Refusal> for Skip {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why an item that is as it should be is no flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PassedOver {
    /// A line that says what the columns are.
    Header,
    /// A line without text.
    Blank,
    /// A message without text.
    EmptyMessage,
    /// A record of another log of Zeek; `other` for one whose name is not known here.
    Log(&'static str),
    /// An event of Suricata that is not `flow`; `other` for one whose name is not known here.
    Event(&'static str),
    /// A row of Argus that is about no IP packets, by its protocol; `other` for protocols that are not known here.
    Link(&'static str),
    /// A flow of a transport protocol that Zeek does not name.
    UnknownTransport,
}

/// In the plural, since a number stands before.
impl fmt::Display for PassedOver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => formatter.write_str("header lines"),
            Self::Blank => formatter.write_str("blank lines"),
            Self::EmptyMessage => formatter.write_str("empty messages"),
            Self::Log(name) => write!(formatter, "records of {name} logs"),
            Self::Event(name) => write!(formatter, "{name} events"),
            Self::Link(name) => write!(formatter, "{name} rows"),
            Self::UnknownTransport => formatter.write_str("flows of a protocol that Zeek does not name"),
        }
    }
}

/// Where a refused item stands; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A line of a file or a message.
    Line(u64),
    /// An element of a JSON list.
    Element(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(formatter, "line {number}"),
            Self::Element(number) => write!(formatter, "element {number}"),
        }
    }
}

/// A refused item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Where it stands.
    pub place: Place,
    /// Why it was refused.
    pub refusal: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.refusal)
    }
}

/// Why an item was refused. The reasons are few and of fixed size, so that each can be counted, also of hostile input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`LONGEST_ITEM`](super::LONGEST_ITEM).
    #[error("longer than 1 MiB, which no record is")]
    TooLong,
    /// A JSON object or list that does not end.
    #[error("the JSON is cut off")]
    CutOff,
    /// Not a JSON object.
    #[error("no JSON object")]
    NotJson,
    /// A row before any line that names the columns.
    #[error("no header names the columns; {advice}")]
    NoHeader {
        /// What to do.
        advice: &'static str,
    },
    /// The header lacks columns, so it and all rows behind it are refused.
    #[error("the header lacks {0}")]
    HeaderLacks(Lacking),
    /// Fewer fields than the header has columns, as a line that was cut off has.
    #[error("fewer fields than the header has columns")]
    TooFewFields,
    /// A value is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value is not what it should be.
    #[error("`{field}` is no {expected}")]
    Unreadable {
        /// The column or member.
        field: &'static str,
        /// What it should be.
        expected: Expected,
    },
    /// The flow ends before it starts.
    #[error("the flow ends before it starts")]
    EndsBeforeStart,
    /// The count of one direction without that of the other.
    #[error("`{0}` is there without the same of the other direction")]
    OneDirection(&'static str),
    /// More in one direction than in both.
    #[error("`{0}` is more than the total")]
    MoreThanTotal(&'static str),
    /// The two addresses are of different versions of IP.
    #[error("one address is of IPv4, the other of IPv6")]
    MixedAddresses,
    /// Two members that exclude each other.
    #[error("`{0}` and `{1}` are both there; give one of them")]
    Both(&'static str, &'static str),
}

/// What a value should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// An IPv4 or IPv6 address.
    Address,
    /// A port, 0 to 65535.
    Port,
    /// A port, or a name of one that is known here.
    PortOrName,
    /// A time since 1970.
    Time,
    /// A time with its date.
    TimeWithDate,
    /// A duration of 0 or more.
    Duration,
    /// A whole number of 0 or more.
    Count,
    /// A protocol's name or number.
    Protocol,
    /// One of the terms that the format has.
    Term,
    /// Text that is neither empty nor too long.
    Text,
    /// 32 hexadecimal digits.
    Digest,
    /// A row with its schema.
    Row,
    /// Scores with their detectors.
    Scores,
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Address => "address",
            Self::Port => "port (0 to 65535)",
            Self::PortOrName => "port, nor the name of one that is known; print numbers with `ra -n`",
            Self::Time => "time since 1970",
            Self::TimeWithDate => "time with a date; print times with `ra -u`",
            Self::Duration => "duration of 0 s or more",
            Self::Count => "whole number of 0 or more",
            Self::Protocol => "IP protocol",
            Self::Term => "term of this format",
            Self::Text => "text of fitting length",
            Self::Digest => "digest of 32 hexadecimal digits",
            Self::Row => "row: an object of a `schema` and a list of `values`",
            Self::Scores => "list of scores: objects of a `detector` and a `score`",
        })
    }
}

/// Columns that a header lacks: a choice of some, and what to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lacking {
    columns: &'static [&'static str],
    /// A bit for each of the columns.
    missing: u32,
    advice: &'static str,
}

impl Lacking {
    /// The columns for which `has` is false; `None` when there is none. At most 32 columns are looked at.
    pub(super) fn of(
        columns: &'static [&'static str],
        advice: &'static str,
        has: impl Fn(usize) -> bool,
    ) -> Option<Self> {
        let missing = (0..columns.len().min(32))
            .filter(|&place| !has(place))
            .fold(0, |bits, place| bits | 1 << place);
        (missing != 0).then_some(Self {
            columns,
            missing,
            advice,
        })
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let missing = self.missing;
        (self.columns.iter().enumerate())
            .filter(move |(place, _)| missing & 1 << place != 0)
            .map(|(_, name)| *name)
    }
}

impl fmt::Debug for Lacking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.names()).finish()
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.names().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(formatter, "{comma}{name}")?;
        }
        write!(formatter, "; {}", self.advice)
    }
}
