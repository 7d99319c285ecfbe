//! What commands share in writing data.

use std::io::{self, BufWriter, StdoutLock, Write};

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

/// Reports rows that cannot be read: the first ones each, the rest as a number.
#[derive(Debug, Default)]
pub struct BadRows {
    count: u64,
}

impl BadRows {
    const SHOWN: u64 = 10;

    /// Counts a row that cannot be read, and says why on standard error unless ten were shown before.
    pub fn report(&mut self, error: &SourceError) {
        self.count += 1;
        if self.count <= Self::SHOWN {
            eprintln!("netsage: {error}");
        }
    }

    /// Ends the count; `good` is the number of rows that were read.
    ///
    /// # Errors
    /// When there was a bad row: the good rows were used, and the exit status says that some were not.
    pub fn finish(&self, good: u64) -> anyhow::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let more = self.count.saturating_sub(Self::SHOWN);
        let hidden = if more > 0 {
            format!(" ({more} more than shown)")
        } else {
            String::new()
        };
        anyhow::bail!(
            "{} of {} rows could not be read{hidden}; the others were used",
            self.count,
            self.count + good
        )
    }
}
