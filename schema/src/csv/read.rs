//! Text to rows.

use std::borrow::Cow;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};

use super::header::{Header, Names, Slot, is_missing, widest, without_header};
use super::labels::Labels;
use super::records::{Fields, Records, carriage_returns};
use super::{CsvError, IDENTITY_COLUMNS, foreign};
use crate::{Identity, Schema, UNSW_NB15};

/// Lines that are looked through for a header that is not where it should be.
const LINES_SEARCHED: usize = 4_096;

/// One row of a CSV. Reuse it from row to row: its memory is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CsvRow {
    /// Line in the file, from 1.
    pub line: u64,
    /// The features in the order of the schema, nominal ones as codes.
    pub values: Vec<f64>,
    /// Whether the flow was an attack, where the file has a `label` and the row's can be read.
    pub label: Option<bool>,
    /// Category of the attack, `Normal` for none, each in one spelling; empty when the file does not say.
    pub attack_cat: String,
    /// Who talked to whom, where the file has all [`IDENTITY_COLUMNS`]. What cannot be read of it is not specified: the
    /// address 0.0.0.0, the port 0, the time 0. Its protocol number comes from the `proto` column and is
    /// [`UNKNOWN_PROTOCOL`] for terms without a common number.
    pub identity: Option<Identity>,
    /// Whether addresses and times of `identity` could be read. A flow without them can be scored and not be stored.
    pub has_whole_identity: bool,
}

/// Protocol number of an identity whose `proto` names none of the common protocols (255 is reserved).
pub const UNKNOWN_PROTOCOL: u8 = 255;

/// Reads the rows of one CSV, one at a time.
#[derive(Debug)]
pub struct Reader<R> {
    records: Records<R>,
    layout: Layout,
    /// The first row of a file without header.
    first: Option<(u64, String)>,
    /// Whether no row was met yet.
    is_at_start: bool,
    /// The header, which may stand again where files were put together.
    header: String,
}

/// What the header says, and what the rows did.
#[derive(Debug)]
struct Layout {
    header: Header,
    has_label: bool,
    has_identity: bool,
    labels: Labels,
    /// Rows with text that is not UTF-8.
    not_utf8: u64,
    /// Rows whose identity could not be read, and why the first could not.
    without_identity: u64,
    identity_fault: Option<String>,
}

impl<R: Read> Reader<R> {
    /// Reads the header of plain text; the caller decompresses the input. The raw files of UNSW-NB15 have no header.
    ///
    /// # Errors
    /// When there is no header, or it lacks or repeats a column.
    pub fn new(input: R, schema: &'static Schema) -> Result<Self, CsvError> {
        Self::open(input, Some(schema))
    }

    /// As [`Reader::new`] with the schema that the header suggests: the schema with the most columns in the header,
    /// among equals the first of [`Schema::ALL`].
    ///
    /// # Errors
    /// As [`Reader::new`], for that schema.
    pub fn guess(input: R) -> Result<Self, CsvError> {
        Self::open(input, None)
    }

    fn open(input: R, schema: Option<&'static Schema>) -> Result<Self, CsvError> {
        let mut records = Records::new(input);
        let (mut line, mut first) = owned(records.next_line().ok_or(CsvError::Empty)??);
        // What a spreadsheet writes in front for itself.
        if first.len() == 5 && first.to_ascii_lowercase().starts_with("sep=") {
            (line, first) = owned(records.next_line().ok_or(CsvError::Empty)??);
        }
        if first.contains('\r') {
            return Err(carriage_returns());
        }
        let names = Names::of(&first, schema);
        if names.is_header() {
            return Ok(Self::behind(records, names.header()?, first));
        }
        let mut row = CsvRow::default();
        for header in without_header(&first, schema) {
            let mut layout = Layout::of(header);
            row.line = line;
            if layout.parse(&first, &mut row).is_ok() {
                let is_header = |line: &str| line.contains("proto") && Names::of(line, schema).is_header();
                if let Some(line) = records.look_ahead(LINES_SEARCHED, is_header) {
                    return Err(CsvError::HeaderElsewhere { line });
                }
                return Ok(Self {
                    records,
                    layout: Layout::of(layout.header),
                    first: Some((line, first)),
                    is_at_start: true,
                    header: String::new(),
                });
            }
        }
        if let Some((what, advice)) = foreign::recognise(&first, names.separator()) {
            return Err(CsvError::Foreign { what, advice });
        }
        let fields = |line: &str| if is_comment(line) { 0 } else { widest(line) };
        let mut most_fields = fields(&first);
        for _ in 0..LINES_SEARCHED {
            let Some(Ok(next)) = records.next_line() else {
                break;
            };
            let (line, text) = owned(next);
            let found = Names::of(&text, schema);
            if !found.is_header() {
                most_fields = most_fields.max(fields(&text));
                continue;
            }
            let mut header = found.header()?;
            // Comments and titles are narrower than rows.
            if most_fields >= header.slots.len() {
                return Err(CsvError::HeaderElsewhere { line });
            }
            header.notes.push(format!(
                "the header is line {line}; the lines before it are left out"
            ));
            return Ok(Self::behind(records, header, text));
        }
        // What the line lacks says what it is not.
        match names.header() {
            Err(error) => Err(error),
            Ok(header) => Err(CsvError::MissingColumns {
                schema: header.schema.id,
                names: Vec::new(),
            }),
        }
    }

    /// Reads the rows behind a header.
    fn behind(records: Records<R>, header: Header, text: String) -> Self {
        Self {
            records,
            layout: Layout::of(header),
            first: None,
            is_at_start: true,
            header: text,
        }
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &'static Schema {
        self.layout.header.schema
    }

    /// Whether the rows have a label.
    pub fn has_label(&self) -> bool {
        self.layout.has_label
    }

    /// Whether the rows say who talked to whom.
    pub fn has_identity(&self) -> bool {
        self.layout.has_identity
    }

    /// Whether no row was met yet.
    pub fn is_empty(&self) -> bool {
        self.is_at_start
    }

    /// What the table has that was not taken as it stands, one sentence each: columns that were left out, a header that is
    /// not there, rows whose addresses cannot be read. Complete once all rows were read.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.layout.header.notes.clone();
        if let Some(fault) = &self.layout.identity_fault {
            let rows = match self.layout.without_identity {
                1 => "1 row does".to_owned(),
                count => format!("{count} rows do"),
            };
            notes.push(format!("{rows} not say whose flow it is, first in {fault}"));
        }
        match self.layout.not_utf8 {
            0 => {}
            1 => notes.push("1 row holds text that is not UTF-8".to_owned()),
            count => notes.push(format!("{count} rows hold text that is not UTF-8")),
        }
        notes
    }

    /// What is doubtful about the labels of the rows read so far, one sentence each.
    pub fn doubts(&self) -> Vec<String> {
        self.layout.labels.doubts()
    }

    /// Reads the next row into `row`; `None` at the end of the input.
    ///
    /// # Errors
    /// When the row does not fit; the next call continues with the next line. After [`CsvError::Read`] there are no
    /// more rows. After an error only the line of `row` is defined.
    pub fn read_row(&mut self, row: &mut CsvRow) -> Option<Result<(), CsvError>> {
        if let Some((line, text)) = self.first.take() {
            self.is_at_start = false;
            row.line = line;
            return Some(self.layout.parse(&text, row));
        }
        let expected = self.layout.header.slots.len();
        loop {
            let read = self.records.next_record(self.layout.header.separator, expected)?;
            return Some(match read {
                Ok((_, text)) if text == self.header => continue,
                Ok((line, text)) => {
                    row.line = line;
                    let is_first = std::mem::take(&mut self.is_at_start);
                    let parsed = match self.layout.parse(text, row) {
                        Err(error) if is_first => self.layout.widen(text, row).ok_or(error),
                        parsed => parsed,
                    };
                    match parsed {
                        Err(_) if !self.records.is_utf8() => Err(CsvError::NotUtf8 { line }),
                        parsed => {
                            self.layout.not_utf8 += u64::from(!self.records.is_utf8());
                            parsed
                        }
                    }
                }
                Err(error) => {
                    self.is_at_start = false;
                    row.line = self.records.line();
                    Err(error)
                }
            });
        }
    }
}

/// A line of its own.
fn owned((line, text): (u64, &str)) -> (u64, String) {
    (line, text.to_owned())
}

fn is_comment(line: &str) -> bool {
    line.trim_start().trim_start_matches('"').starts_with('#')
}

impl Layout {
    fn of(header: Header) -> Self {
        let has_label = header.slots.contains(&Slot::Label);
        let is_identity = |slot: &&Slot| matches!(slot, Slot::Identity(_));
        let has_identity = header.slots.iter().filter(is_identity).count() == IDENTITY_COLUMNS.len();
        Self {
            header,
            has_label,
            has_identity,
            labels: Labels::default(),
            not_utf8: 0,
            without_identity: 0,
            identity_fault: None,
        }
    }

    /// Reads the first row of a file whose rows have one field more than the header names, and the rows behind it likewise:
    /// a row number in front, as R writes it, or a separator at the end of every row. `None` when it is neither.
    fn widen(&mut self, text: &str, row: &mut CsvRow) -> Option<()> {
        let last = self.header.slots.len();
        let fields = Fields::of(text, self.header.separator);
        if fields.clone().count() != last + 1 {
            return None;
        }
        let (place, which) = match fields.last() {
            Some(field) if field.is_empty() => (last, "the last, which is empty,"),
            _ => (0, "the first"),
        };
        self.header.slots.insert(place, Slot::Ignored);
        if self.parse(text, row).is_err() {
            self.header.slots.remove(place);
            return None;
        }
        self.header.notes.push(format!(
            "rows have one field more than the header names columns, and {which} is left out"
        ));
        Some(())
    }

    fn parse(&mut self, text: &str, row: &mut CsvRow) -> Result<(), CsvError> {
        let line = row.line;
        let Header {
            schema,
            separator,
            slots,
            computes_rate,
            ..
        } = &self.header;
        let mut fields = Fields::of(text, *separator);
        // A row with too many or too few fields has that fault, whatever it holds.
        let or_count = |error: Option<CsvError>| {
            let (expected, found) = (slots.len(), Fields::of(text, *separator).count());
            match error {
                Some(error) if found == expected => error,
                _ => CsvError::FieldCount {
                    line,
                    expected,
                    found,
                },
            }
        };
        row.values.clear();
        row.values.resize(schema.width(), 0.0);
        row.label = None;
        row.attack_cat.clear();
        let mut identity = [const { Cow::Borrowed("") }; IDENTITY_COLUMNS.len()];
        let (mut label, mut category) = (None, None);
        for slot in slots {
            let Some(field) = fields.next() else {
                return Err(or_count(None));
            };
            match *slot {
                Slot::OptionalFeature(_) if is_missing(&field) => {}
                Slot::Feature(index) | Slot::OptionalFeature(index) => {
                    let column = &schema.columns[index];
                    row.values[index] = column.value_from_text(&field).map_err(|error| {
                        or_count(Some(CsvError::Value {
                            line,
                            column: column.name,
                            error,
                        }))
                    })?;
                }
                Slot::Label => label = Some(field),
                Slot::AttackCategory => category = Some(field),
                Slot::Identity(position) => identity[position] = field,
                Slot::Ignored => {}
            }
        }
        if fields.next().is_some() {
            return Err(or_count(None));
        }
        if *computes_rate {
            compute_rate(&mut row.values);
        }
        if let Some(category) = &category {
            self.labels.category(category, &mut row.attack_cat);
        }
        if let Some(label) = &label {
            row.label = self.labels.label(line, label);
            if category.is_some() {
                self.labels.compare(line, row.label, &row.attack_cat);
            }
        }
        row.identity = None;
        row.has_whole_identity = false;
        if self.has_identity {
            let (identity, fault) = parse_identity(&identity, self.protocol(&row.values));
            row.identity = Some(identity);
            row.has_whole_identity = fault.is_none();
            if let Some((column, expected)) = fault {
                self.without_identity += 1;
                let fault = || format!("line {line}: `{column}` is not {expected}");
                self.identity_fault.get_or_insert_with(fault);
            }
        }
        Ok(())
    }

    fn protocol(&self, values: &[f64]) -> u8 {
        let schema = self.header.schema;
        let proto = schema.index_of("proto");
        let term = proto.and_then(|index| schema.columns[index].term(values[index]));
        term.map_or(UNKNOWN_PROTOCOL, protocol_number)
    }
}

/// The column that the partitions of UNSW-NB15 have and its raw files do not.
fn compute_rate(values: &mut [f64]) {
    const RATE: usize = UNSW_NB15.position("rate");
    const DUR: usize = UNSW_NB15.position("dur");
    const SPKTS: usize = UNSW_NB15.position("spkts");
    const DPKTS: usize = UNSW_NB15.position("dpkts");
    let gaps = values[SPKTS] + values[DPKTS] - 1.0;
    values[RATE] = if values[DUR] > 0.0 && gaps > 0.0 {
        gaps / values[DUR]
    } else {
        0.0
    };
}

/// The identity of a row as far as it can be read, and the first address or time that cannot, with what it should be.
fn parse_identity(
    fields: &[Cow<'_, str>; IDENTITY_COLUMNS.len()],
    protocol: u8,
) -> (Identity, Option<(&'static str, &'static str)>) {
    let [stime, ltime, srcip, sport, dstip, dsport] = fields;
    let mut fault = None;
    let mut time = |column, field: &str| {
        parse_seconds(field).unwrap_or_else(|| {
            fault.get_or_insert((column, "a time in seconds since 1970"));
            0
        })
    };
    let (start_ns, end_ns) = (time("stime", stime), time("ltime", ltime));
    let mut address = |column, field: &str| {
        field.parse::<IpAddr>().unwrap_or_else(|_| {
            fault.get_or_insert((column, "an IP address"));
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        })
    };
    let (source, destination) = (address("srcip", srcip), address("dstip", dstip));
    let identity = Identity {
        start_ns,
        end_ns,
        source,
        source_port: parse_port(sport),
        destination,
        destination_port: parse_port(dsport),
        protocol,
    };
    (identity, fault)
}

/// A port; 0, as for protocols without ports, when the cell holds none.
fn parse_port(field: &str) -> u16 {
    // Argus writes the type and code of ICMP in place of ports, and those in hexadecimal.
    if let Some(digits) = field.strip_prefix("0x") {
        return u16::from_str_radix(digits, 16).unwrap_or(0);
    }
    field.parse().unwrap_or_else(|_| match field.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && (0.0..=65_535.0).contains(&number) => number as u16,
        _ => 0,
    })
}

/// Decimal seconds to nanoseconds, exactly; what is finer than a nanosecond is cut off. Seconds with an exponent are as
/// exact as a double is.
fn parse_seconds(text: &str) -> Option<i64> {
    if text.contains(['e', 'E']) {
        let seconds: f64 = text.parse().ok()?;
        let nanoseconds = seconds * 1e9;
        return (nanoseconds.abs() < i64::MAX as f64).then_some(nanoseconds as i64);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (negative, whole) = whole
        .strip_prefix('-')
        .map_or((false, whole), |rest| (true, rest));
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut nanoseconds: i64 = 0;
    for position in 0..9 {
        let digit = fraction.as_bytes().get(position).map_or(0, |byte| byte - b'0');
        nanoseconds = nanoseconds * 10 + i64::from(digit);
    }
    let seconds: i64 = whole.parse().ok()?;
    let total = seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)?;
    Some(if negative { -total } else { total })
}

/// Number of a protocol by its term, for the protocols that captures commonly hold.
fn protocol_number(term: &str) -> u8 {
    match term {
        "icmp" => 1,
        "igmp" => 2,
        "ipip" => 4,
        "tcp" => 6,
        "egp" => 8,
        "udp" => 17,
        "ipv6" => 41,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" => 58,
        "eigrp" => 88,
        "ospf" => 89,
        "pim" => 103,
        "vrrp" => 112,
        "l2tp" => 115,
        "sctp" => 132,
        "udplite" => 136,
        _ => UNKNOWN_PROTOCOL,
    }
}
