//! Why a source cannot be used.

use std::io;

use netsage_capture::file::FileError;
use netsage_schema::csv::{CsvError, IDENTITY_COLUMNS};

/// Why a source cannot be opened or go on. Every message starts with its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The system does not give the bytes.
    #[error("{name}: cannot open the file: {source}")]
    Open {
        /// The source.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is not one byte.
    #[error(
        "{name}: the file is empty; expected a capture (pcap, pcapng), a CSV in the format of UNSW-NB15, or flow records"
    )]
    Empty {
        /// The source.
        name: String,
    },
    /// Neither a capture nor text.
    #[error(
        "{name}: neither a capture (pcap, pcapng), nor a CSV in the format of UNSW-NB15, nor flow records"
    )]
    Unknown {
        /// The source.
        name: String,
    },
    /// Something known that is neither a capture nor text.
    #[error("{name}: {what}; {advice}")]
    Other {
        /// The source.
        name: String,
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// JSON that is no flow records.
    #[error(
        "{name}: JSON, and no flow records that are read; give a log of Zeek or Suricata, flows as \
         docs/sources/flow-json.md has them, the capture that they were made from, or a CSV with the columns of a schema"
    )]
    Json {
        /// The source.
        name: String,
    },
    /// Text where a capture is needed.
    #[error(
        "{name}: text, where a capture (pcap, pcapng) is needed; `netsage score` and `netsage run --pcap` read tables"
    )]
    NotACapture {
        /// The source.
        name: String,
    },
    /// The capture is damaged.
    #[error("{name}: {source}{}", cause(.source))]
    Capture {
        /// The source.
        name: String,
        /// What is wrong and at which packet.
        source: FileError,
    },
    /// The CSV cannot be read.
    #[error("{name}: {source}")]
    Table {
        /// The source.
        name: String,
        /// What is wrong and at which line.
        source: CsvError,
    },
    /// Records cannot be read on.
    #[error("{name}: the records cannot be read on: {source}")]
    Read {
        /// The source.
        name: String,
        /// What the system or the compression says.
        source: io::Error,
    },
    /// No socket under that address.
    #[error(
        "{name}: cannot listen for datagrams: {source}; name another address, or end the program that has this one"
    )]
    Listen {
        /// The source.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Records that are too many for the memory cannot be sorted on the disk.
    #[error(
        "{name}: the records cannot be sorted in the folder for temporary files: {source}; make room there, or name another folder with TMPDIR"
    )]
    Sorting {
        /// The source.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The CSV does not say who its flows are.
    #[error(
        "{name}: the rows do not say who talked to whom and when; as a source of flows a CSV needs the columns {}",
        IDENTITY_COLUMNS.join(", ")
    )]
    NoIdentity {
        /// The source.
        name: String,
    },
    /// The rows are of another schema than the one that runs.
    #[error(
        "{name}: the rows are of schema {found}, and {wanted} runs; name the other one with --schema {found}"
    )]
    Schema {
        /// The source.
        name: String,
        /// The schema of the rows.
        found: &'static str,
        /// The schema that runs.
        wanted: &'static str,
    },
    /// A topic cannot be read.
    #[cfg(feature = "kafka")]
    #[error("{name}: {reason}")]
    Kafka {
        /// The source.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The interface failed; the message names it.
    #[cfg(feature = "live")]
    #[error(transparent)]
    Live(#[from] netsage_capture::live::LiveError),
}

/// The one reason that its message leaves to its source.
fn cause(error: &FileError) -> String {
    match error {
        FileError::Io { source, .. } => format!(": {source}"),
        _ => String::new(),
    }
}

impl SourceError {
    /// Whether nothing can be read of a table after this.
    pub fn ends_table(&self) -> bool {
        matches!(
            self,
            Self::Table {
                source: CsvError::Read { .. },
                ..
            }
        )
    }

    /// What equal faults of different rows of a table have in common.
    pub fn fault(&self) -> String {
        match self {
            Self::Table { source, .. } => source.fault(),
            other => format!("{:?}", std::mem::discriminant(other)),
        }
    }
}
