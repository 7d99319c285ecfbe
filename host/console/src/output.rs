//! What commands share in writing data.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use crate::say;
use clap::ValueEnum;
use netsage_schema::Identity;
use netsage_sources::SourceError;
use serde::Serialize;

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated, with a header.
    #[default]
    Csv,
    /// One JSON object per line.
    Jsonl,
}

/// A text as a terminal may be sent it: each control character is written as `\u001b` is, and so is each that changes the
/// direction of writing or shows nothing. What people send to the API, call their files or write into a package must not
/// move a cursor, forge a line or hide a part of itself. JSON stays JSON.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_hidden = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_hidden(character) {
            shown.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Standard output for texts that others wrote: each line is made [`printable`].
#[derive(Debug)]
pub struct ForPeople<W: Write> {
    out: W,
    line: Vec<u8>,
}

/// Standard output for what a running program or a package says of itself.
pub fn for_people() -> ForPeople<BufWriter<StdoutLock<'static>>> {
    ForPeople {
        out: stdout(),
        line: Vec::new(),
    }
}

impl<W: Write> ForPeople<W> {
    fn write_line(&mut self) -> io::Result<()> {
        let text = String::from_utf8_lossy(&self.line);
        self.out.write_all(printable(&text).as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

impl<W: Write> Write for ForPeople<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.line.extend_from_slice(end);
                    self.write_line()?;
                    self.out.write_all(b"\n")?;
                }
                None => self.line.extend_from_slice(piece),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_line()?;
        self.out.flush()
    }
}

/// Standard output, buffered.
pub fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(64 * 1024, io::stdout().lock())
}

/// Prints something as indented JSON.
///
/// # Errors
/// When it cannot be written.
pub fn print_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Prints rows below a header, in columns that are as wide as they must be; those of `right` are aligned to the right.
///
/// # Errors
/// When they cannot be written.
pub fn table<const COLUMNS: usize>(
    out: &mut impl Write,
    header: [&str; COLUMNS],
    right: &[usize],
    rows: &[[String; COLUMNS]],
) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let header = header.map(str::to_owned);
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if right.contains(&column) {
                line.push_str(&format!("{cell:>width$}  "));
            } else {
                line.push_str(&format!("{cell:<width$}  "));
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Writes nanoseconds as seconds with six decimals.
fn seconds(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let microseconds = nanoseconds.unsigned_abs() / 1_000;
    format!(
        "{sign}{}.{:06}",
        microseconds / 1_000_000,
        microseconds % 1_000_000
    )
}

/// The identity of a row as CSV fields.
///
/// # Errors
/// When it cannot be written.
pub fn identity_csv(out: &mut impl Write, identity: &Identity) -> io::Result<()> {
    write!(
        out,
        "{},{},{},{},{},{}",
        seconds(identity.start_ns),
        seconds(identity.end_ns),
        identity.source,
        identity.source_port,
        identity.destination,
        identity.destination_port
    )
}

/// The identity of a row as members of a JSON object.
///
/// # Errors
/// When it cannot be written.
pub fn identity_json(out: &mut impl Write, identity: &Identity) -> io::Result<()> {
    write!(
        out,
        "\"stime\":{},\"ltime\":{},\"srcip\":\"{}\",\"sport\":{},\"dstip\":\"{}\",\"dsport\":{}",
        seconds(identity.start_ns),
        seconds(identity.end_ns),
        identity.source,
        identity.source_port,
        identity.destination,
        identity.destination_port
    )
}

/// Says on standard error, in one line, what of an input was not used or not taken as it stands.
pub fn note(text: impl fmt::Display) {
    say!("netsage: {text}");
}

/// Reports rows that cannot be read: the first one of each fault, the rest as a number.
#[derive(Debug, Default)]
pub struct BadRows {
    count: u64,
    shown: BTreeSet<String>,
    /// Whether a table could not be read to its end.
    is_cut: bool,
}

impl BadRows {
    const MOST_SHOWN: usize = 10;

    /// Says why a table ends early. Counts a row that cannot be read, and says why on standard error unless another row had the same fault, or ten
    /// faults were shown before.
    pub fn report(&mut self, error: &SourceError) {
        if error.ends_table() {
            self.is_cut = true;
            note(format_args!("{error}; the rows behind that line were not read"));
            return;
        }
        self.count += 1;
        if self.shown.len() < Self::MOST_SHOWN && self.shown.insert(error.fault()) {
            say!("netsage: {error}");
        }
    }

    /// Ends the count and says how many rows were not used; `good` is the number of rows that were read.
    ///
    /// # Errors
    /// When there were rows and none could be used.
    pub fn finish(&self, good: u64) -> anyhow::Result<()> {
        if self.is_cut && good == 0 && self.count == 0 {
            anyhow::bail!("no row could be read");
        }
        if self.count == 0 {
            return Ok(());
        }
        let hidden = match self.count - self.shown.len() as u64 {
            0 => String::new(),
            more => format!(" ({more} more than shown, with the same faults or others)"),
        };
        let all = self.count + good;
        if good == 0 {
            anyhow::bail!("none of {all} rows could be read{hidden}");
        }
        note(format_args!(
            "{} of {all} rows could not be read{hidden}; the others were used",
            self.count
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_sent_no_control_characters() {
        let check = |text: &str, expected: &str| {
            assert_eq!(printable(text), expected);
            let mut out = ForPeople {
                out: Vec::new(),
                line: Vec::new(),
            };
            // In pieces that part characters.
            text.as_bytes()
                .chunks(1)
                .for_each(|byte| out.write_all(byte).unwrap());
            out.flush().unwrap();
            assert_eq!(String::from_utf8(out.out).unwrap(), expected);
        };
        check("zu früh, 早すぎる", "zu früh, 早すぎる");
        check("\u{1b}[2Jgone", "\\u001b[2Jgone");
        check("\u{9b}2J\u{7f}\u{7}\r\t", "\\u009b2J\\u007f\\u0007\\u000d\\u0009");
        check("good\u{202e}dab\u{200b}", "good\\u202edab\\u200b");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({"why": "\u{1b}[2J\u{9b}\u{7f}\u{202e}"});
        let mut out = ForPeople {
            out: Vec::new(),
            line: Vec::new(),
        };
        print_json(&mut out, &value).unwrap();
        out.flush().unwrap();
        assert!(
            out.out
                .iter()
                .all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\n')
        );
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&out.out).unwrap(),
            value
        );
    }
}
