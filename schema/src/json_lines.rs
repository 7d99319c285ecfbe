//! Feature rows as JSON, one object per line, with the keys of the CSV.

use std::io::{self, Write};

use crate::csv::write_seconds;
use crate::{Identity, Schema};

/// Writes one row as an object with a line break after it. Nominal values are terms; a number that JSON
/// cannot express is `null`.
///
/// # Errors
/// When `out` fails.
pub fn write_line(out: &mut impl Write, schema: &Schema, identity: &Identity, row: &[f64]) -> io::Result<()> {
    out.write_all(b"{")?;
    write_members(out, schema, identity, row)?;
    out.write_all(b"}\n")
}

/// The members of the object without its braces: for callers that append members of their own.
///
/// # Errors
/// When `out` fails.
pub fn write_members(
    out: &mut impl Write,
    schema: &Schema,
    identity: &Identity,
    row: &[f64],
) -> io::Result<()> {
    out.write_all(b"\"stime\":")?;
    write_seconds(out, identity.start_ns)?;
    out.write_all(b",\"ltime\":")?;
    write_seconds(out, identity.end_ns)?;
    write!(
        out,
        ",\"srcip\":\"{}\",\"sport\":{},\"dstip\":\"{}\",\"dsport\":{}",
        identity.source, identity.source_port, identity.destination, identity.destination_port
    )?;
    for (column, &value) in schema.columns.iter().zip(row) {
        // Names and terms are plain ASCII without quotes or backslashes, which a test holds them to.
        write!(out, ",\"{}\":", column.name)?;
        match column.term(value) {
            Some(term) => write!(out, "\"{term}\"")?,
            None if value.is_finite() => write!(out, "{value}")?,
            None => out.write_all(b"null")?,
        }
    }
    Ok(())
}
