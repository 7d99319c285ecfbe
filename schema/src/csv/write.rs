//! Rows to text.

use std::io::{self, Write};
use std::net::IpAddr;

use super::IDENTITY_COLUMNS;
use crate::{Identity, Schema};

/// Bytes that are made room for; a row of 68 columns has fewer in most cases.
const USUAL_LENGTH: usize = 1024;

/// Writes nanoseconds as seconds with six decimals, the precision of the dataset's times.
pub(crate) fn write_seconds(out: &mut impl Write, nanoseconds: i64) -> io::Result<()> {
    let sign: &[u8] = if nanoseconds < 0 { b"-" } else { b"" };
    let microseconds = nanoseconds.unsigned_abs() / 1_000;
    let mut fraction = *b".000000";
    let mut rest = microseconds % 1_000_000;
    for digit in fraction[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.write_all(sign)?;
    out.write_all(itoa::Buffer::new().format(microseconds / 1_000_000).as_bytes())?;
    out.write_all(&fraction)
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
    // One piece of text for the output: it need not look for room before each of a hundred small ones.
    let mut text = Vec::with_capacity(USUAL_LENGTH);
    write_seconds(&mut text, identity.start_ns)?;
    text.push(b',');
    write_seconds(&mut text, identity.end_ns)?;
    text.push(b',');
    address(&mut text, identity.source)?;
    text.push(b',');
    integer(&mut text, identity.source_port.into());
    text.push(b',');
    address(&mut text, identity.destination)?;
    text.push(b',');
    integer(&mut text, identity.destination_port.into());
    for (column, &value) in schema.columns.iter().zip(row) {
        text.push(b',');
        match column.term(value) {
            Some(term) => text.extend_from_slice(term.as_bytes()),
            None => number(&mut text, value)?,
        }
    }
    out.write_all(&text)
}

/// Appends a number with as many digits as it takes to read it back exactly, and never with an exponent. The
/// formatting of the standard library does the same at several times the cost; it is left what is rare.
fn number(text: &mut Vec<u8>, value: f64) -> io::Result<()> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    // A cast of what is no such number saturates, and is then not equal.
    let whole = value as i64;
    if (whole as f64).to_bits() == value.to_bits() && value.abs() < EXACT {
        integer(text, whole);
        return Ok(());
    }
    let mut buffer = zmij::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    let digits = digits.strip_suffix(b".0").unwrap_or(digits);
    if value.is_finite() && !digits.contains(&b'e') {
        text.extend_from_slice(digits);
        return Ok(());
    }
    write!(text, "{value}")
}

fn integer(text: &mut Vec<u8>, value: i64) {
    text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn address(text: &mut Vec<u8>, address: IpAddr) -> io::Result<()> {
    let IpAddr::V4(address) = address else {
        return write!(text, "{address}");
    };
    let [first, rest @ ..] = address.octets();
    integer(text, first.into());
    for octet in rest {
        text.push(b'.');
        integer(text, octet.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(value: f64) -> String {
        let mut text = Vec::new();
        number(&mut text, value).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_have_no_exponent() {
        for (value, expected) in [
            (0.0, "0"),
            (42.0, "42"),
            (-3.0, "-3"),
            (0.1, "0.1"),
            (0.000_001, "0.000001"),
            (1e-9, "0.000000001"),
            (1e16, "10000000000000000"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (1.5e300, &format!("15{}", "0".repeat(299))),
            (123_456.789, "123456.789"),
        ] {
            assert_eq!(text_of(value), expected);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_printed_exactly_and_as_short_as_by_the_standard_library(value in any::<f64>()) {
            let text = text_of(value);
            // Halfway between two shortest texts either is right, and the two libraries choose differently.
            prop_assert_eq!(text.len(), value.to_string().len(), "{} of {:?}", text, value);
            prop_assert!(text.parse::<f64>().is_ok_and(|read| read == value || read.is_nan() && value.is_nan()));
        }

        #[test]
        fn addresses_are_printed_as_the_standard_library_does(value in any::<IpAddr>()) {
            let mut text = Vec::new();
            address(&mut text, value).unwrap();
            prop_assert_eq!(String::from_utf8(text).unwrap(), value.to_string());
        }
    }
}
