//! Feature rows as CSV: the format of UNSW-NB15's partitions and of `netsage flows`.
//!
//! Columns are matched by name, in any order. Besides the columns of the schema a file may have those of
//! [`OPTIONAL_COLUMNS`]; any other is left out and said. A header that lacks a column ends reading at once; a row that
//! does not fit is an error of that row only, so callers can count it and go on. What no score needs (identity, labels,
//! row numbers) never costs a row.
//!
//! The raw files of UNSW-NB15 have no header and other names; they are read too. Tables of other datasets are named.

mod foreign;
mod header;
mod labels;
mod read;
mod records;
mod write;

use std::io;

use crate::ValueError;
use crate::value::hint;

pub use read::{CsvRow, Reader, UNKNOWN_PROTOCOL};
pub(crate) use write::write_seconds;
pub use write::{Writer, header, write_fields};

/// Longest line that is read, in bytes; a row of 42 numbers takes a few hundred.
pub const LONGEST_LINE: usize = 64 * 1024;

/// The columns of a flow's identity: addresses, ports, protocol and times; [`CsvRow::identity`] needs all of them.
pub const IDENTITY_COLUMNS: [&str; 6] = ["stime", "ltime", "srcip", "sport", "dstip", "dsport"];

/// Columns that a file may have although they are no features.
pub const OPTIONAL_COLUMNS: [&str; 10] = [
    "id",
    "row",
    "attack_cat",
    "label",
    "stime",
    "ltime",
    "srcip",
    "sport",
    "dstip",
    "dsport",
];

/// Why a CSV, or one row of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// There is not even a header.
    #[error("the file is empty; its first line must name the columns")]
    Empty,
    /// Columns of the schema are not in the header.
    #[error("line 1: {} of schema {schema} missing from the header: {}", columns(.names.len()), list(.names))]
    MissingColumns {
        /// Name of the schema.
        schema: &'static str,
        /// The missing columns, in the order of the schema.
        names: Vec<&'static str>,
    },
    /// The header names a column that neither the schema nor the optional columns have.
    #[error("line 1: column `{column}` is not in schema {schema}{}", hint(.nearest))]
    UnexpectedColumn {
        /// The name in the header.
        column: String,
        /// Name of the schema.
        schema: &'static str,
        /// The missing column that it probably is.
        nearest: Option<&'static str>,
    },
    /// The header names a column twice.
    #[error("line 1: column `{column}` stands twice in the header")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// A row has more or fewer fields than the header.
    #[error("line {line}: {found} fields where the header names {expected} columns")]
    FieldCount {
        /// Line, from 1.
        line: u64,
        /// Columns in the header.
        expected: usize,
        /// Fields in the row.
        found: usize,
    },
    /// A value does not fit its column.
    #[error("line {line}, column `{column}`: {error}")]
    Value {
        /// Line, from 1.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// What is wrong with it.
        error: ValueError,
    },
    /// The header is not the first line.
    #[error(
        "line 1 looks like data, and line {line} is the header; put that line first: `(sed -n {line}p FILE; sed {line}d FILE) > NEW`"
    )]
    HeaderElsewhere {
        /// Line of the header, from 1.
        line: u64,
    },
    /// A table whose columns are not those of a schema here.
    #[error("this is {what}; {advice}")]
    Foreign {
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The text is not UTF-8.
    #[error("line {line}: the text is not UTF-8; this is not a CSV, or one in another encoding")]
    NotUtf8 {
        /// Line, from 1.
        line: u64,
    },
    /// A line is longer than [`LONGEST_LINE`].
    #[error("line {line}: longer than {LONGEST_LINE} bytes; this is not a CSV of feature rows")]
    LongLine {
        /// Line, from 1.
        line: u64,
    },
    /// The input failed; nothing can be read after it.
    #[error("line {line}: reading failed: {source}")]
    Read {
        /// The line that was being read, from 1.
        line: u64,
        /// The failure.
        source: io::Error,
    },
}

impl CsvError {
    /// What equal faults of different rows have in common: the words without the line and the value.
    pub fn fault(&self) -> String {
        match self {
            Self::FieldCount { expected, found, .. } => format!("{found} fields in place of {expected}"),
            Self::Value { column, error, .. } => format!("{column}: {:?}", std::mem::discriminant(error)),
            other => format!("{:?}", std::mem::discriminant(other)),
        }
    }
}

fn columns(count: usize) -> String {
    if count == 1 {
        "1 column".to_owned()
    } else {
        format!("{count} columns")
    }
}

/// The first names of a list, and how many more there are.
fn list(names: &[&'static str]) -> String {
    const SHOWN: usize = 5;
    let shown = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
