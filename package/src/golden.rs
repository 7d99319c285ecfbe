//! Golden vectors: rows with the scores that a package must give to them.
//!
//! Whoever packs a detector runs it once on rows made here and writes its scores beside them. A host that is about to
//! use the package scores the rows again and expects the same bits: a package whose parts do not belong together, a
//! host that computes otherwise, and a detector that is not the pure function it must be are found before the first
//! flow meets them.

use netsage_schema::{ContextColumn, Kind, Schema};

use crate::file::PackageError;
use crate::{MAX_BLOCK_ROWS, MAX_COLUMNS};

/// Rows that golden vectors are made of when a package is packed.
pub const GOLDEN_ROWS: usize = 48;
/// First bytes of the section: name and version of its format.
const MAGIC: [u8; 8] = *b"NSGOLD\0\x01";
/// Longest name of a column, bytes (a promise of the contract).
const MAX_NAME_BYTES: usize = 64;

/// How golden vectors differ from what a detector reads and gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoldenMismatch {
    /// They are of other columns.
    #[error("the golden vectors are of other columns: {0}; pack the package again")]
    Columns(String),
    /// A score differs.
    #[error(
        "the detector gives row {row} of {rows} golden rows the score {found}, and {expected} is expected; its parts \
         do not belong together or it is no pure function: pack it again"
    )]
    Score {
        /// The first row that differs, from 0.
        row: usize,
        /// How many there are.
        rows: usize,
        /// What stands in the package.
        expected: String,
        /// What the detector gave.
        found: String,
    },
}

/// Rows and the scores expected of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// Names of the input columns, in the order of the detector.
    pub columns: Vec<String>,
    /// The rows, row-major, as the detector gets them.
    pub rows: Vec<f32>,
    /// One score for each row, exact to the bit.
    pub scores: Vec<f32>,
}

impl Golden {
    /// The section's bytes. All numbers are little-endian: after name and version of the format the number of columns
    /// and of rows (`u32`), for each column the length of its name (`u8`) and the name, the rows, the scores (`f32`).
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for count in [self.columns.len(), self.scores.len()] {
            bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        for name in &self.columns {
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name.as_bytes());
        }
        for value in self.rows.iter().chain(&self.scores) {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// Reads the section's bytes, which may come from anywhere.
    ///
    /// # Errors
    /// [`PackageError::Golden`] when they are damaged or exceed a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, PackageError> {
        let bad = |reason: &str| PackageError::Golden(reason.to_owned());
        let mut rest = bytes
            .strip_prefix(&MAGIC)
            .ok_or_else(|| bad("they are not of format 1"))?;
        let cut_off = || bad("they are cut off");
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at_checked(count).ok_or_else(cut_off)?;
            rest = after;
            Ok::<_, PackageError>(taken)
        };
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let width = number(take(4)?);
        let count = number(take(4)?);
        if !(1..=MAX_COLUMNS).contains(&width) || !(1..=MAX_BLOCK_ROWS).contains(&count) {
            return Err(bad("they have no row, no column, or too many of them"));
        }
        let mut columns = Vec::with_capacity(width);
        for _ in 0..width {
            let length = number(take(1)?);
            let name = std::str::from_utf8(take(length)?).map_err(|_| bad("a column's name is not text"))?;
            if length > MAX_NAME_BYTES {
                return Err(bad("a column's name is longer than 64 bytes"));
            }
            columns.push(name.to_owned());
        }
        let mut floats = |count: usize| {
            let values: Vec<f32> = take(count * size_of::<f32>())?
                .chunks_exact(size_of::<f32>())
                .map(|bytes| f32::from_bits(number(bytes) as u32))
                .collect();
            if values.iter().all(|value| value.is_finite()) {
                Ok(values)
            } else {
                Err(bad("a value is not finite"))
            }
        };
        let (rows, scores) = (floats(width * count)?, floats(count)?);
        if !rest.is_empty() {
            return Err(bad("bytes follow their end"));
        }
        Ok(Self {
            columns,
            rows,
            scores,
        })
    }

    /// Compares the scores that a detector gave to the rows with those expected, to the bit.
    ///
    /// # Errors
    /// [`GoldenMismatch::Score`] for the first row whose score differs.
    pub fn compare(&self, found: &[f32]) -> Result<(), GoldenMismatch> {
        let differs = |(expected, found): (&f32, &f32)| expected.to_bits() != found.to_bits();
        match self.scores.iter().zip(found).position(differs) {
            None => Ok(()),
            Some(row) => Err(GoldenMismatch::Score {
                row,
                rows: self.scores.len(),
                expected: self.scores[row].to_string(),
                found: found[row].to_string(),
            }),
        }
    }

    /// Compares the columns of the rows with those that a detector reads, in its order.
    ///
    /// # Errors
    /// [`GoldenMismatch::Columns`] when they differ.
    pub fn check_columns(&self, wanted: &[&str]) -> Result<(), GoldenMismatch> {
        if self.columns == wanted {
            return Ok(());
        }
        let differs = wanted
            .iter()
            .zip(&self.columns)
            .find(|(wanted, name)| wanted != name);
        Err(GoldenMismatch::Columns(match differs {
            Some((wanted, name)) => format!("`{name}` where the detector reads `{wanted}`"),
            None => format!(
                "{} columns where the detector reads {}",
                self.columns.len(),
                wanted.len()
            ),
        }))
    }
}

/// Values that spread over what the columns can hold, row-major: the same ones everywhere and always, since a package's
/// bytes are its identity. A name that is no column of the schema is taken for one of the context.
pub fn generate(columns: &[&str], schema: &Schema, rows: usize) -> Vec<f32> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        // Xorshift (Marsaglia, 2003). Whole numbers and divisions only: the logarithms of libraries differ.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 16) % below
    };
    let kinds: Vec<Result<Kind, &str>> = columns
        .iter()
        .map(|name| {
            schema
                .index_of(name)
                .map(|index| schema.columns[index].kind)
                .ok_or(*name)
        })
        .collect();
    let mut values = Vec::with_capacity(rows * columns.len());
    for row in 0..rows {
        for kind in &kinds {
            let digits = |random: &mut dyn FnMut(u64) -> u64, most: u32| {
                let magnitude = 10_u64.pow(random(u64::from(most)) as u32);
                random(magnitude * 9) as f32
            };
            values.push(match *kind {
                Ok(Kind::Nominal(vocabulary)) => random(vocabulary.terms.len().max(1) as u64) as f32,
                Ok(Kind::Flag) => random(2) as f32,
                Ok(Kind::Count) => digits(&mut random, 6),
                Ok(Kind::Continuous) => digits(&mut random, 9) / 1000.0,
                Err(name) if name == ContextColumn::StartTime.name() => row as f32,
                Err(_) => random(1 << 24) as f32,
            });
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::Golden;

    fn golden() -> Golden {
        Golden {
            columns: vec!["dur".to_owned(), "proto".to_owned()],
            rows: vec![1.5, 2.0, -0.0, 1e30],
            scores: vec![0.25, 0.5],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let golden = golden();
        assert_eq!(Golden::decode(&golden.encode()).as_ref(), Ok(&golden));
        let mut other = golden.scores.clone();
        assert_eq!(golden.compare(&other), Ok(()));
        other[1] = f32::from_bits(other[1].to_bits() + 1);
        let message = golden.compare(&other).unwrap_err().to_string();
        assert!(
            message.contains("row 1 of 2") && message.contains("0.50000006"),
            "{message}"
        );
    }

    #[test]
    fn damage_is_told() {
        let whole = golden().encode();
        let check = |bytes: &[u8], expected: &str| {
            let message = Golden::decode(bytes).unwrap_err().to_string();
            assert!(
                message.contains(expected),
                "{message:?} does not say {expected:?}"
            );
        };
        for end in 8..whole.len() {
            check(&whole[..end], "cut off");
        }
        check(b"", "format 1");
        check(&[&whole[..], b"x"].concat(), "bytes follow");
        let changed = |place: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            bytes
        };
        check(&changed(8, 0), "no column");
        check(&changed(15, 0xff), "too many");
        check(&changed(17, 0xff), "not text");
        let last = whole.len() - 1;
        check(
            &changed(last, 0x7f)
                .iter()
                .enumerate()
                .map(|(place, byte)| if place == last - 1 { 0xff } else { *byte })
                .collect::<Vec<_>>(),
            "not finite",
        );
    }
}
