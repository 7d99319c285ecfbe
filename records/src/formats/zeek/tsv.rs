//! Zeek's tab-separated form, by its header.
//!
//! Each line of the header rules the lines behind it until another of its kind comes: the separator (one character, or
//! several), the texts of values that are unset or empty, the log, and the columns in their order. A column without a name
//! keeps its place.

use std::borrow::Cow;

use memchr::memmem;

use super::{COLUMNS, Values, WIDTH, column, column_of, other_log};
use crate::formats::refusal::{Lacking, PassedOver, Refusal, Skip};

/// Columns without which a line is no flow.
const NEEDED: [&str; 7] = [
    "ts",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "duration",
];
const ADVICE: &str = "a conn.log of Zeek has these columns unless its filter leaves them out";
const NO_HEADER: Refusal = Refusal::NoHeader {
    advice: "give the log from its line `#fields` on",
};

#[derive(Debug)]
pub(super) struct Parser {
    separator: Vec<u8>,
    unset: Vec<u8>,
    empty: Vec<u8>,
    /// The log that the lines belong to, where it is another one.
    other_log: Option<&'static str>,
    /// The column of each place.
    columns: Result<Vec<Option<usize>>, Refusal>,
    has_service: bool,
    /// A place that holds several columns, with spaces between them, and these columns.
    joined: Option<(usize, Vec<Option<usize>>)>,
    /// The lines of the header that rule, by kind.
    header: [Vec<u8>; DIRECTIVES.len()],
}

/// What lines of the header say, in the order in which they have to be read.
const DIRECTIVES: [&[u8]; 5] = [
    b"#separator",
    b"#empty_field",
    b"#unset_field",
    b"#path",
    b"#fields",
];

impl Default for Parser {
    fn default() -> Self {
        Self {
            separator: b"\t".to_vec(),
            unset: b"-".to_vec(),
            empty: b"(empty)".to_vec(),
            other_log: None,
            columns: Err(NO_HEADER),
            has_service: false,
            joined: None,
            header: Default::default(),
        }
    }
}

impl Parser {
    /// The header that rules, as lines.
    pub(super) fn header(&self) -> Vec<u8> {
        self.header
            .iter()
            .filter(|line| !line.is_empty())
            .fold(Vec::new(), |mut lines, line| {
                lines.extend_from_slice(line);
                lines.push(b'\n');
                lines
            })
    }

    pub(super) fn item<'a>(&mut self, line: &'a [u8]) -> Result<Values<'a>, Skip> {
        // One writer begins its file with a tab.
        let start = line.trim_ascii_start();
        if start.starts_with(b"#") {
            return Err(self.directive(start));
        }
        if let Some(log) = self.other_log {
            return Err(Skip::Passed(PassedOver::Log(log)));
        }
        Ok(self.values(line)?)
    }

    fn directive(&mut self, line: &[u8]) -> Skip {
        let header = Skip::Passed(PassedOver::Header);
        let Some((kind, name)) = (DIRECTIVES.iter().enumerate()).find(|(_, name)| line.starts_with(name))
        else {
            return header;
        };
        let rest = line.get(name.len()..).unwrap_or_default();
        if kind == 0 {
            // The first line of a file: what was said before is about another one.
            *self = Self {
                separator: unescaped(rest.trim_ascii()).into_owned(),
                ..Self::default()
            };
            if self.separator.is_empty() {
                self.separator = b"\t".to_vec();
            }
        }
        if let Some(kept) = self.header.get_mut(kind) {
            kept.clear();
            kept.extend_from_slice(line);
        }
        let value = rest.strip_prefix(self.separator.as_slice()).unwrap_or(rest);
        match kind {
            1 => self.empty = value.to_vec(),
            2 => self.unset = value.to_vec(),
            3 => self.other_log = other_log(value),
            4 => {
                self.fields(value);
                if let (Err(refusal), None) = (&self.columns, self.other_log) {
                    return Skip::Refused(*refusal);
                }
            }
            _ => {}
        }
        header
    }

    fn fields(&mut self, names: &[u8]) {
        let mut columns: Vec<Option<usize>> = Vec::new();
        let mut seen = [false; WIDTH];
        let mut rest = Some(names);
        self.joined = None;
        while let Some(text) = rest {
            let (name, behind) = self.cut(text);
            // IoT-23 puts spaces, not a separator, before each of its labels.
            let words: Vec<_> = words(name).map(column_of).collect();
            if words.contains(&Some(column::LABEL)) && words.len() > 1 {
                self.joined = Some((columns.len(), words));
            }
            // Of a name that stands twice the first place counts.
            let column = column_of(name).filter(|column| {
                seen.get_mut(*column)
                    .is_some_and(|seen| !std::mem::replace(seen, true))
            });
            columns.push(column);
            rest = behind;
        }
        let has = |name: &str| {
            let mut columns = COLUMNS.iter().zip(seen);
            columns.any(|(column, seen)| seen && *column == name)
        };
        let lacking = Lacking::of(&NEEDED, ADVICE, |place| {
            NEEDED.get(place).is_some_and(|name| has(name))
        });
        self.has_service = seen[column::SERVICE];
        self.columns = match lacking {
            Some(lacking) => Err(Refusal::HeaderLacks(lacking)),
            None => Ok(columns),
        };
    }

    /// The text up to the next separator, and what stands behind it.
    fn cut<'a>(&self, text: &'a [u8]) -> (&'a [u8], Option<&'a [u8]>) {
        let end = match *self.separator.as_slice() {
            [single] => memchr::memchr(single, text),
            _ => memmem::find(text, &self.separator),
        };
        match end {
            Some(end) => (
                text.get(..end).unwrap_or_default(),
                text.get(end + self.separator.len()..),
            ),
            None => (text, None),
        }
    }

    fn values<'a>(&self, line: &'a [u8]) -> Result<Values<'a>, Refusal> {
        let columns = self.columns.as_ref().map_err(|refusal| *refusal)?;
        let mut values = Values {
            has_service: self.has_service,
            ..Values::default()
        };
        let mut rest = Some(line);
        for (place, &column) in columns.iter().enumerate() {
            // What was cut off may be the end of a number.
            let text = rest.ok_or(Refusal::TooFewFields)?;
            let (value, behind) = self.cut(text);
            rest = behind;
            let mut keep = |column: Option<usize>, value: &'a [u8]| {
                let column = column.filter(|_| value != self.unset && value != self.empty);
                if let Some(kept) = column.and_then(|column| values.values.get_mut(column)) {
                    *kept = Some(unescaped(value));
                }
            };
            keep(column, value);
            if let Some((_, columns)) = self.joined.as_ref().filter(|(joined, _)| *joined == place) {
                for (column, value) in columns.iter().zip(words(value)) {
                    keep(*column, value);
                }
            }
        }
        Ok(values)
    }
}

/// What stands between spaces.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}

/// Text without the escapes `\xNN` that Zeek writes for what would break a line.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.strip_prefix(b"x").and_then(|digits| {
            let (digits, behind) = digits.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, behind))
        });
        match escaped {
            Some((byte, behind)) if first == b'\\' => {
                plain.push(byte);
                rest = behind;
            }
            _ => {
                plain.push(first);
                rest = behind;
            }
        }
    }
    Cow::Owned(plain)
}
