//! Rows to text.

use std::io::{self, Write};

use super::IDENTITY_COLUMNS;
use crate::{Identity, Schema};

/// Writes nanoseconds as seconds with six decimals, the precision of the dataset's times.
pub(crate) fn write_seconds(out: &mut impl Write, nanoseconds: i64) -> io::Result<()> {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let microseconds = nanoseconds.unsigned_abs() / 1_000;
    write!(
        out,
        "{sign}{}.{:06}",
        microseconds / 1_000_000,
        microseconds % 1_000_000
    )
}

/// Writes rows as CSV: the identity columns first, then the schema's, nominal values as terms.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    schema: &'static Schema,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn new(mut out: W, schema: &'static Schema) -> io::Result<Self> {
        out.write_all(header(schema).as_bytes())?;
        out.write_all(b"\n")?;
        Ok(Self { out, schema })
    }

    /// Writes one row; numbers are printed with as many digits as it takes to read them back exactly.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write(&mut self, identity: &Identity, row: &[f64]) -> io::Result<()> {
        write_fields(&mut self.out, self.schema, identity, row)?;
        self.out.write_all(b"\n")
    }

    /// Flushes and gives the output back.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The header of [`Writer`], without a line break: for callers that append columns of their own.
pub fn header(schema: &Schema) -> String {
    let columns = schema.columns.iter().map(|column| column.name);
    IDENTITY_COLUMNS
        .into_iter()
        .chain(columns)
        .collect::<Vec<_>>()
        .join(",")
}

/// The fields of one row of [`Writer`], without a line break.
///
/// # Errors
/// When `out` fails.
pub fn write_fields(
    out: &mut impl Write,
    schema: &Schema,
    identity: &Identity,
    row: &[f64],
) -> io::Result<()> {
    write_seconds(out, identity.start_ns)?;
    out.write_all(b",")?;
    write_seconds(out, identity.end_ns)?;
    write!(
        out,
        ",{},{},{},{}",
        identity.source, identity.source_port, identity.destination, identity.destination_port
    )?;
    for (column, &value) in schema.columns.iter().zip(row) {
        match column.term(value) {
            Some(term) => write!(out, ",{term}")?,
            None => write!(out, ",{value}")?,
        }
    }
    Ok(())
}
