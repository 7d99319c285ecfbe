//! Text to rows.

use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;

use super::{CsvError, IDENTITY_COLUMNS, LONGEST_LINE};
use crate::nearest::nearest;
use crate::{Identity, Schema};

/// One row of a CSV. Reuse it from row to row: its memory is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CsvRow {
    /// Line in the file, from 1.
    pub line: u64,
    /// The features in the order of the schema, nominal ones as codes.
    pub values: Vec<f64>,
    /// Whether the flow was an attack, where the file has a `label` (0 or 1).
    pub label: Option<bool>,
    /// Category of the attack, `Normal` for none; empty when the file does not say.
    pub attack_cat: String,
    /// Who talked to whom, where the file has all [`IDENTITY_COLUMNS`]. Its protocol number comes from the
    /// `proto` column and is [`UNKNOWN_PROTOCOL`] for terms without a common number.
    pub identity: Option<Identity>,
}

/// Protocol number of an identity whose `proto` names none of the common protocols (255 is reserved).
pub const UNKNOWN_PROTOCOL: u8 = 255;

/// What a position of the header holds.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Feature(usize),
    Label,
    AttackCategory,
    /// Position in [`IDENTITY_COLUMNS`].
    Identity(usize),
    Ignored,
}

/// Reads the rows of one CSV, one at a time.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    layout: Layout,
}

/// What the header says.
#[derive(Debug)]
struct Layout {
    schema: &'static Schema,
    slots: Vec<Slot>,
    has_label: bool,
    has_identity: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header of plain text; the caller decompresses the input.
    ///
    /// # Errors
    /// When there is no header, or it lacks, repeats or adds a column.
    pub fn new(input: R, schema: &'static Schema) -> Result<Self, CsvError> {
        Self::open(input, |_| schema)
    }

    /// As [`Reader::new`] with the schema that the header suggests: the schema with the most columns in the header,
    /// among equals the first of [`Schema::ALL`].
    ///
    /// # Errors
    /// As [`Reader::new`], for that schema.
    pub fn guess(input: R) -> Result<Self, CsvError> {
        Self::open(input, |names| {
            let known = |schema: &Schema| {
                names
                    .iter()
                    .filter(|name| schema.index_of(name).is_some())
                    .count()
            };
            let [first, others @ ..] = Schema::ALL;
            others.into_iter().fold(
                first,
                |best, schema| {
                    if known(schema) > known(best) { schema } else { best }
                },
            )
        })
    }

    fn open(input: R, choose: impl FnOnce(&[String]) -> &'static Schema) -> Result<Self, CsvError> {
        let mut lines = Lines {
            input: BufReader::new(input),
            line: 0,
            buffer: Vec::new(),
            failed: false,
        };
        let (_, header) = lines.next().ok_or(CsvError::Empty)??;
        let names: Vec<String> = header
            .trim_start_matches('\u{feff}')
            .split(',')
            .map(|name| unquote(name).to_ascii_lowercase())
            .collect();
        let schema = choose(&names);
        let slots = match_header(&names, schema)?;
        let has_label = slots.iter().any(|slot| matches!(slot, Slot::Label));
        let identity_columns = slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Identity(_)))
            .count();
        let has_identity = identity_columns == IDENTITY_COLUMNS.len();
        Ok(Self {
            lines,
            layout: Layout {
                schema,
                slots,
                has_label,
                has_identity,
            },
        })
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &'static Schema {
        self.layout.schema
    }

    /// Whether the rows have a label.
    pub fn has_label(&self) -> bool {
        self.layout.has_label
    }

    /// Whether the rows say who talked to whom.
    pub fn has_identity(&self) -> bool {
        self.layout.has_identity
    }

    /// Reads the next row into `row`; `None` at the end of the input.
    ///
    /// # Errors
    /// When the row does not fit; the next call continues with the next line. After [`CsvError::Read`] there are no
    /// more rows. After an error only the line of `row` is defined.
    pub fn read_row(&mut self, row: &mut CsvRow) -> Option<Result<(), CsvError>> {
        Some(match self.lines.next()? {
            Ok((line, text)) => {
                row.line = line;
                self.layout.parse(text, row)
            }
            Err(error) => {
                row.line = self.lines.line;
                Err(error)
            }
        })
    }
}

impl Layout {
    fn parse(&self, text: &str, row: &mut CsvRow) -> Result<(), CsvError> {
        let line = row.line;
        let found = text.split(',').count();
        if found != self.slots.len() {
            return Err(CsvError::FieldCount {
                line,
                expected: self.slots.len(),
                found,
            });
        }
        row.values.clear();
        row.values.resize(self.schema.width(), 0.0);
        row.label = None;
        row.attack_cat.clear();
        let mut identity = [""; IDENTITY_COLUMNS.len()];
        for (slot, field) in self.slots.iter().zip(text.split(',')) {
            let field = unquote(field);
            match *slot {
                Slot::Feature(index) => {
                    let column = &self.schema.columns[index];
                    row.values[index] = column.value_from_text(field).map_err(|error| CsvError::Value {
                        line,
                        column: column.name,
                        error,
                    })?;
                }
                Slot::Label => row.label = Some(parse_label(line, field)?),
                Slot::AttackCategory => row.attack_cat.push_str(field),
                Slot::Identity(position) => identity[position] = field,
                Slot::Ignored => {}
            }
        }
        row.identity = if self.has_identity {
            Some(parse_identity(line, &identity, self.protocol(&row.values))?)
        } else {
            None
        };
        Ok(())
    }

    fn protocol(&self, values: &[f64]) -> u8 {
        let proto = self.schema.index_of("proto");
        let term = proto.and_then(|index| self.schema.columns[index].term(values[index]));
        term.map_or(UNKNOWN_PROTOCOL, protocol_number)
    }
}

/// Lines of UTF-8 text with their numbers; blank lines are skipped.
#[derive(Debug)]
struct Lines<R> {
    input: BufReader<R>,
    /// Number of the last line that was read.
    line: u64,
    buffer: Vec<u8>,
    failed: bool,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> Option<Result<(u64, &str), CsvError>> {
        loop {
            if self.failed {
                return None;
            }
            self.buffer.clear();
            let mut limited = (&mut self.input).take(LONGEST_LINE as u64 + 1);
            let read = limited.read_until(b'\n', &mut self.buffer);
            self.line += 1;
            let line = self.line;
            match read {
                Ok(0) => return None,
                Ok(read) if read > LONGEST_LINE => {
                    return Some(match self.skip_line() {
                        Ok(()) => Err(CsvError::LongLine { line }),
                        Err(source) => Err(self.fail(source)),
                    });
                }
                Ok(_) if self.buffer.trim_ascii().is_empty() => {}
                Ok(_) => break,
                Err(source) => return Some(Err(self.fail(source))),
            }
        }
        let line = self.line;
        let text = str::from_utf8(self.buffer.trim_ascii_end());
        Some(
            text.map(|text| (line, text))
                .map_err(|_| CsvError::NotUtf8 { line }),
        )
    }

    /// Passes over the rest of a line that is too long to keep.
    fn skip_line(&mut self) -> io::Result<()> {
        while self.buffer.last() != Some(&b'\n') {
            self.buffer.clear();
            let mut limited = (&mut self.input).take(LONGEST_LINE as u64);
            if limited.read_until(b'\n', &mut self.buffer)? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn fail(&mut self, source: io::Error) -> CsvError {
        self.failed = true;
        CsvError::Read {
            line: self.line,
            source,
        }
    }
}

/// A field without the blanks and quotes around it.
fn unquote(field: &str) -> &str {
    let field = field.trim();
    field
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .map_or(field, str::trim)
}

fn match_header(names: &[String], schema: &'static Schema) -> Result<Vec<Slot>, CsvError> {
    let missing: Vec<&'static str> = (schema.columns.iter().map(|column| column.name))
        .filter(|&column| !names.iter().any(|name| name == column))
        .collect();
    // A file of another kind altogether: what it lacks says more than its first strange column.
    if missing.len() * 2 > schema.width() {
        return Err(CsvError::MissingColumns {
            schema: schema.id,
            names: missing,
        });
    }
    let mut slots = Vec::with_capacity(names.len());
    for (position, name) in names.iter().enumerate() {
        if names[..position].contains(name) {
            return Err(CsvError::DuplicateColumn { column: name.clone() });
        }
        slots.push(match schema.index_of(name) {
            Some(index) => Slot::Feature(index),
            None => optional_slot(name).ok_or_else(|| CsvError::UnexpectedColumn {
                column: name.clone(),
                schema: schema.id,
                nearest: nearest(name, missing.iter().copied()),
            })?,
        });
    }
    if missing.is_empty() {
        Ok(slots)
    } else {
        Err(CsvError::MissingColumns {
            schema: schema.id,
            names: missing,
        })
    }
}

fn optional_slot(name: &str) -> Option<Slot> {
    match name {
        "label" => Some(Slot::Label),
        "attack_cat" => Some(Slot::AttackCategory),
        "id" | "row" => Some(Slot::Ignored),
        _ => IDENTITY_COLUMNS
            .iter()
            .position(|&known| known == name)
            .map(Slot::Identity),
    }
}

fn parse_label(line: u64, field: &str) -> Result<bool, CsvError> {
    match field {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(field_error(line, "label", field, "0 or 1")),
    }
}

fn parse_identity(line: u64, fields: &[&str; 6], protocol: u8) -> Result<Identity, CsvError> {
    let [stime, ltime, srcip, sport, dstip, dsport] = *fields;
    let time = |column, field| {
        parse_seconds(field).ok_or_else(|| field_error(line, column, field, "a time in seconds since 1970"))
    };
    let address = |column, field: &str| {
        field
            .parse::<IpAddr>()
            .map_err(|_| field_error(line, column, field, "an IP address"))
    };
    let port = |column, field: &str| {
        // Argus writes the type and code of ICMP in place of ports, and those in hexadecimal.
        let number = match field.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16),
            None => field.parse(),
        };
        number.map_err(|_| field_error(line, column, field, "a port (0 to 65535)"))
    };
    Ok(Identity {
        start_ns: time("stime", stime)?,
        end_ns: time("ltime", ltime)?,
        source: address("srcip", srcip)?,
        source_port: port("sport", sport)?,
        destination: address("dstip", dstip)?,
        destination_port: port("dsport", dsport)?,
        protocol,
    })
}

fn field_error(line: u64, column: &'static str, value: &str, expected: &'static str) -> CsvError {
    let value = value.chars().take(40).collect();
    CsvError::Field {
        line,
        column,
        value,
        expected,
    }
}

/// Decimal seconds to nanoseconds, exactly; what is finer than a nanosecond is cut off.
fn parse_seconds(text: &str) -> Option<i64> {
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
