//! Bytes to records, and records to fields, by RFC 4180.
//!
//! A record is nearly always a line. A field in quotes may hold separators, quotes (doubled) and line breaks. A quote that
//! nothing closes costs its own line and not the rest of the file: lines are joined only when that gives a record with the
//! right number of fields.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

use super::{CsvError, LONGEST_LINE};

/// Most lines that one record may have.
const MOST_LINES: usize = 64;

/// The records of UTF-8 text with the numbers of their first lines; blank lines are skipped.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: BufReader<R>,
    /// Number of the last line that was read.
    line: u64,
    buffer: Vec<u8>,
    /// Lines that were read to see whether they belong to the record before them, and do not.
    pending: VecDeque<Result<(u64, Vec<u8>), CsvError>>,
    /// Whether the last record was UTF-8 as it stands.
    is_utf8: bool,
    failed: bool,
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: BufReader::new(input),
            line: 0,
            buffer: Vec::new(),
            pending: VecDeque::new(),
            is_utf8: true,
            failed: false,
        }
    }

    /// Number of the last line that was read.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whether the record that was read last is UTF-8 as it stands.
    pub(super) fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    /// The next line, whatever its fields.
    pub(super) fn next_line(&mut self) -> Option<Result<(u64, &str), CsvError>> {
        let line = match self.fill()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        Some(self.text(line))
    }

    /// The next record, of `expected` fields where its lines allow that. What is not UTF-8 of it is replaced, since it may
    /// stand in a field that nobody needs.
    pub(super) fn next_record(
        &mut self,
        separator: u8,
        expected: usize,
    ) -> Option<Result<(u64, &str), CsvError>> {
        let line = match self.fill()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        if self.buffer.contains(&b'"') {
            self.join(line, separator, expected);
        }
        self.is_utf8 = self.buffer.is_ascii() || str::from_utf8(&self.buffer).is_ok();
        if !self.is_utf8 {
            self.buffer = String::from_utf8_lossy(&self.buffer).into_owned().into_bytes();
        }
        Some(self.text(line))
    }

    /// The first of the next `most` lines that `is_wanted`, by its number. The lines are read again afterwards.
    pub(super) fn look_ahead(&mut self, most: usize, is_wanted: impl Fn(&str) -> bool) -> Option<u64> {
        let mut passed = VecDeque::new();
        let mut found = None;
        while passed.len() < most && found.is_none() {
            let Some(next) = self.fill() else { break };
            let next = next.map(|line| (line, std::mem::take(&mut self.buffer)));
            if let Ok((line, bytes)) = &next {
                found = str::from_utf8(bytes).is_ok_and(&is_wanted).then_some(*line);
            }
            passed.push_back(next);
        }
        passed.append(&mut self.pending);
        self.pending = passed;
        found
    }

    fn text(&self, line: u64) -> Result<(u64, &str), CsvError> {
        match str::from_utf8(&self.buffer) {
            Ok(text) => Ok((line, text)),
            Err(_) => Err(CsvError::NotUtf8 { line }),
        }
    }

    /// Appends the lines that follow to one that ends within quotes, where that gives a whole record.
    #[cold]
    fn join(&mut self, line: u64, separator: u8, expected: usize) {
        let fields = |bytes: &[u8]| str::from_utf8(bytes).map(|text| Fields::of(text, separator).measure());
        if !matches!(fields(&self.buffer), Ok((count, true)) if count <= expected) {
            return;
        }
        let first = std::mem::take(&mut self.buffer);
        let mut joined = first.clone();
        let mut followers = VecDeque::new();
        while followers.len() < MOST_LINES && joined.len() < LONGEST_LINE {
            let Some(next) = self.fill() else { break };
            let next = next.map(|line| (line, std::mem::take(&mut self.buffer)));
            let Ok((_, bytes)) = &next else {
                followers.push_back(next);
                break;
            };
            joined.push(b'\n');
            joined.extend_from_slice(bytes);
            followers.push_back(next);
            match fields(&joined) {
                Ok((count, false)) if count == expected => {
                    self.buffer = joined;
                    return;
                }
                Ok((count, _)) if count <= expected => {}
                _ => break,
            }
        }
        followers.append(&mut self.pending);
        self.pending = followers;
        self.buffer = first;
        self.line = line;
    }

    /// Reads a line that is not blank into the buffer, without its line break, and gives its number.
    fn fill(&mut self) -> Option<Result<u64, CsvError>> {
        if let Some(pending) = self.pending.pop_front() {
            return Some(pending.map(|(line, bytes)| {
                self.buffer = bytes;
                line
            }));
        }
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
                    if self.buffer.contains(&b'\r') {
                        return Some(Err(carriage_returns()));
                    }
                    return Some(match self.skip_line() {
                        Ok(()) => Err(CsvError::LongLine { line }),
                        Err(source) => Err(self.fail(source)),
                    });
                }
                Ok(_) if self.buffer.trim_ascii().is_empty() => {}
                Ok(_) => {
                    while let Some(b'\n' | b'\r') = self.buffer.last() {
                        self.buffer.pop();
                    }
                    // A mark that some editors put before the text, and so into the middle of joined files.
                    if self.buffer.starts_with(b"\xef\xbb\xbf") {
                        self.buffer.drain(..3);
                    }
                    return Some(Ok(line));
                }
                Err(source) => return Some(Err(self.fail(source))),
            }
        }
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

/// The error of text whose line breaks are not those of any system of this century.
pub(super) fn carriage_returns() -> CsvError {
    CsvError::Foreign {
        what: "text whose lines end in CR alone, as old Macs wrote them",
        advice: "convert it: `tr '\\r' '\\n' < FILE > NEW`",
    }
}

/// The fields of a record, without the blanks and quotes around them.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: Option<&'a str>,
    separator: u8,
    /// Whether a quote was met that nothing closes.
    is_open: bool,
}

impl<'a> Fields<'a> {
    /// The fields of a record with a separator of [`SEPARATORS`](super::header::SEPARATORS).
    pub(super) fn of(record: &'a str, separator: u8) -> Self {
        Self {
            rest: Some(record),
            separator,
            is_open: false,
        }
    }

    /// The number of fields, and whether the record ends within quotes.
    fn measure(mut self) -> (usize, bool) {
        let count = self.by_ref().count();
        (count, self.is_open)
    }

    /// The field in quotes at the start of `text`, when a separator or the end follows.
    fn quoted(&mut self, text: &'a str) -> Option<Cow<'a, str>> {
        let inner = text.trim_start_matches(' ').strip_prefix('"')?;
        let mut from = 0;
        let end = loop {
            let Some(quote) = inner[from..].find('"') else {
                self.is_open = true;
                return None;
            };
            let quote = from + quote;
            if !inner[quote + 1..].starts_with('"') {
                break quote;
            }
            from = quote + 2;
        };
        let behind = inner[end + 1..].trim_start_matches(' ');
        let rest = if behind.is_empty() {
            None
        } else {
            Some(behind.strip_prefix(char::from(self.separator))?)
        };
        self.rest = rest;
        let field = inner[..end].trim();
        Some(if field.contains('"') {
            Cow::Owned(field.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(field)
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest?;
        let bytes = text.as_bytes();
        if matches!(bytes.first(), Some(b'"' | b' '))
            && text.trim_start_matches(' ').starts_with('"')
            && let Some(field) = self.quoted(text)
        {
            return Some(field);
        }
        // Fields are a few bytes long; a search for longer texts would cost more to start than it saves.
        let end = bytes.iter().position(|&byte| byte == self.separator);
        let (field, rest) = match end {
            Some(end) => (&text[..end], Some(&text[end + 1..])),
            None => (text, None),
        };
        self.rest = rest;
        let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| !byte.is_ascii_graphic());
        let bytes = field.as_bytes();
        let is_trimmed = !is_blank(bytes.first()) && !is_blank(bytes.last());
        Some(Cow::Borrowed(if is_trimmed { field } else { field.trim() }))
    }
}
