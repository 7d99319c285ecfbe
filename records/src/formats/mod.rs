//! Formats: from bytes, however a transport brings them, to [`Record`]s.
//!
//! A transport knows where bytes come from and the place to go back to; a format knows what the bytes say. The two meet in
//! [`Reader::read`] and [`Reader::message`] alone, so that each transport reads each format without code of its own:
//!
//! - Bytes that go on (a file, a file that is followed, a socket) are given to [`Reader::read`], which says how many of
//!   them it has used up. A transport keeps the rest and gives it again with more behind it, so the place of a transport
//!   is the number of bytes used up, and no line is ever copied.
//! - Bytes that are whole (a message of a topic, the body of a request) are given to [`Reader::message`].
//!
//! In between stand *items*: lines, or the elements of a JSON list. Each item is a record, is passed over, or is refused;
//! it is counted once, by its reason, in [`Counts`]. Nothing that an item holds ends the reading.
//!
//! A header rules the lines behind it, so a transport that goes on in the middle of a file needs the one that rules there:
//! [`Reader::header`] gives it, [`Reader::resume`] takes it.
//!
//! Records are said in the terms of one meter. What the formats share of that is in `state` (what a flow has come to),
//! `names` (protocols, services, ports) and `scalar` (numbers, times, addresses).

mod argus;
mod counts;
pub mod flow_json;
mod foreign;
mod framing;
mod label;
mod names;
mod object;
mod recognise;
mod refusal;
mod scalar;
pub(crate) mod state;
mod suricata;
mod zeek;

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::Record;
use framing::{Cut, Framing};
use refusal::Skip;

pub use counts::{Counts, Tally};
pub use framing::LONGEST_ITEM;
pub use label::Label;
pub use recognise::{Recognised, recognise};
pub use refusal::{Expected, Lacking, PassedOver, Place, Refusal, Refused};

/// A format of flow records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The project's own JSON, one object for each flow.
    FlowJson,
    /// Zeek's `conn.log`, tab-separated by its header or JSON.
    Zeek,
    /// The flow events of Suricata's EVE.
    Suricata,
    /// What `ra` of Argus prints, with a header line.
    Argus,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::FlowJson, Self::Zeek, Self::Suricata, Self::Argus];

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlowJson => "flow-json",
            Self::Zeek => "zeek",
            Self::Suricata => "suricata",
            Self::Argus => "argus",
        }
    }

    /// How long records of a stream are waited for unless a setting says so: longer than a meter with its usual timeouts
    /// holds the record of a flow back after the last packet, so that few are late. Zeek reports TCP that is idle after
    /// 300 s, and Suricata, like most that write JSON, after up to 600 s; Argus reports each minute.
    pub const fn lateness(self) -> Duration {
        Duration::from_secs(match self {
            Self::Zeek => 330,
            Self::FlowJson | Self::Suricata => 630,
            Self::Argus => 90,
        })
    }

    /// The format of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a reader cannot know from the bytes.
#[derive(Debug, Clone)]
pub struct Options {
    /// The zone of times that are printed without one, as Argus does.
    pub input_zone: TimeZone,
}

impl Options {
    /// The zone that a text names: an offset (`+02:00`), a rule of POSIX (`CET-1CEST,M3.5.0,M10.5.0/3`), or a name
    /// (`Europe/Prague`) where the program was built with the database of zones. `None` for any other text.
    pub fn zone(text: &str) -> Option<TimeZone> {
        if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
            return Some(TimeZone::UTC);
        }
        scalar::TIMES
            .parse_time_zone(text)
            .or_else(|_| TimeZone::posix(text))
            .ok()
    }
}

impl Default for Options {
    /// Times without a zone are UTC.
    fn default() -> Self {
        Self {
            input_zone: TimeZone::UTC,
        }
    }
}

/// What came of bytes.
#[derive(Debug, Default)]
pub struct Items {
    /// The records, in the order of the bytes.
    pub records: Vec<Record>,
    /// The items that were refused, in the order of the bytes.
    pub refused: Vec<Refused>,
    /// The label of each record, from a reader that was asked for labels; otherwise empty.
    pub labels: Vec<Option<Label>>,
}

impl Items {
    /// Forgets the items and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.refused.clear();
        self.labels.clear();
    }
}

/// Reads one format. What a header has said is kept from one call to the next.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    parser: Parser,
    framing: Framing,
    /// Items since the start, or since the start of the message.
    items: u64,
    counts: Counts,
    reads_labels: bool,
}

/// What each format knows of its own.
#[derive(Debug)]
enum Parser {
    FlowJson(flow_json::Parser),
    Zeek(Box<zeek::Parser>),
    Suricata,
    Argus(argus::Parser),
}

impl Reader {
    /// A reader at the start of a file, a stream or a message.
    pub fn new(format: Format, options: &Options) -> Self {
        let parser = match format {
            Format::FlowJson => Parser::FlowJson(flow_json::Parser::default()),
            Format::Zeek => Parser::Zeek(Box::default()),
            Format::Suricata => Parser::Suricata,
            Format::Argus => Parser::Argus(argus::Parser::new(options.input_zone.clone())),
        };
        Self {
            format,
            parser,
            framing: Framing::new(format != Format::Argus),
            items: 0,
            counts: Counts::default(),
            reads_labels: false,
        }
    }

    /// Reads labels beside the records: those of Zeek's logs, the only format that is known to be labelled.
    #[must_use]
    pub fn with_labels(self) -> Self {
        Self {
            reads_labels: true,
            ..self
        }
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Reads the items that `bytes` holds from its start, and says how many bytes they take. What is left is the start of
    /// an item: it is to be given again, with more bytes behind it. `is_last` says that no more bytes come; all of them
    /// are then used up.
    ///
    /// Never more than [`LONGEST_ITEM`] bytes are left, so a buffer of twice that length always suffices.
    pub fn read(&mut self, bytes: &[u8], is_last: bool, into: &mut Items) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let (taken, cut) = self.framing.cut(rest, is_last);
            used += taken;
            match cut {
                Cut::Item(item) => {
                    let mut label = None;
                    let read = self.parse(item, &mut label);
                    if self.reads_labels && read.is_ok() {
                        into.labels.push(label);
                    }
                    self.keep(read, into);
                }
                Cut::Refused(refusal) => self.keep(Err(Skip::Refused(refusal)), into),
                Cut::Between => {}
                Cut::Incomplete => break,
            }
        }
        used.min(bytes.len())
    }

    /// Reads bytes that are whole: a message of a topic, the body of a request. Places of refused items count from its
    /// start. A message without an item is passed over as an empty one.
    pub fn message(&mut self, message: &[u8], into: &mut Items) {
        self.framing.restart();
        self.items = 0;
        self.read(message, true, into);
        if self.items == 0 {
            self.counts.passed_over.add(PassedOver::EmptyMessage, 1);
        }
        self.framing.restart();
    }

    /// The header that rules the next line, to be given to [`Reader::resume`] by who goes on there; empty where the format
    /// has none or none was read. Of a list in JSON it is its brackets so far.
    pub fn header(&self) -> Vec<u8> {
        if let Some(brackets) = self.framing.brackets(self.items) {
            return brackets.to_vec();
        }
        match &self.parser {
            Parser::Zeek(parser) => parser.header(),
            Parser::Argus(parser) => parser.header(),
            Parser::FlowJson(_) | Parser::Suricata => Vec::new(),
        }
    }

    /// Goes on behind a header and a number of items that were read before, none of which is counted again.
    pub fn resume(&mut self, header: &[u8], items: u64) {
        self.items = items;
        if self.framing.resume(header, items) {
            for line in header.split(|&byte| byte == b'\n') {
                // A header was read before: what it says of itself was said then.
                let _ = self.parse(line, &mut None);
            }
        }
    }

    /// Items so far, or of the last message.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// What has been read, passed over and refused since the start.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn parse(&mut self, item: &[u8], label: &mut Option<Label>) -> Result<Record, Skip> {
        // Tabs at the end are fields without a value.
        let item = item.strip_suffix(b"\r").unwrap_or(item);
        if item.trim_ascii().is_empty() {
            return Err(Skip::Passed(PassedOver::Blank));
        }
        match &mut self.parser {
            Parser::FlowJson(parser) => parser.item(item),
            Parser::Zeek(parser) => parser.item(item, self.reads_labels.then_some(label)),
            Parser::Suricata => suricata::item(item),
            Parser::Argus(parser) => parser.item(item),
        }
    }

    fn keep(&mut self, read: Result<Record, Skip>, into: &mut Items) {
        self.items += 1;
        match read {
            Ok(record) => {
                self.counts.records += 1;
                into.records.push(record);
            }
            Err(Skip::Passed(reason)) => self.counts.passed_over.add(reason, 1),
            Err(Skip::Refused(refusal)) => {
                self.counts.refused.add(refusal, 1);
                let place = if self.framing.is_list() {
                    Place::Element(self.framing.elements())
                } else {
                    Place::Line(self.items)
                };
                into.refused.push(Refused { place, refusal });
            }
        }
    }
}
