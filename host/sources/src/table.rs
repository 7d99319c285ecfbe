//! CSVs in the format of UNSW-NB15, or with the columns of another schema.

use std::path::{Path, PathBuf};

use netsage_schema::Schema;
use netsage_schema::csv::{Reader, Record};

use super::{Content, InputError, Opened, Progress};

/// An open CSV.
pub struct TableFile {
    path: PathBuf,
    reader: Reader<Content>,
    progress: Progress,
}

impl TableFile {
    pub(super) fn new(opened: Opened) -> Result<Self, InputError> {
        match Reader::guess(opened.content) {
            Ok(reader) => Ok(Self {
                path: opened.path,
                reader,
                progress: opened.progress,
            }),
            Err(source) => Err(InputError::Table {
                path: opened.path,
                source,
            }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The schema of its rows, by its header.
    pub fn schema(&self) -> &'static Schema {
        self.reader.schema()
    }

    /// How far it has been read.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Whether its rows are labelled.
    pub fn has_label(&self) -> bool {
        self.reader.has_label()
    }

    /// Whether its rows say who talked to whom.
    pub fn has_identity(&self) -> bool {
        self.reader.has_identity()
    }

    /// Reads the next row; `None` at the end. A row that does not fit is an error of that row only.
    pub fn read(&mut self, record: &mut Record) -> Option<Result<(), InputError>> {
        let path = &self.path;
        let read = self.reader.read_record(record)?;
        Some(read.map_err(|source| InputError::Table {
            path: path.clone(),
            source,
        }))
    }
}
