//! Tables: rows from CSVs in the format of UNSW-NB15, or with the columns of another schema.

use std::io::Read;

use netsage_schema::csv::{CsvError, CsvRow, Reader};
use netsage_schema::{CommunityId, FlowBatch, Schema};

use crate::SourceError;
use crate::source::{Pace, Reading, Source, SourceCounters};

/// Rows between two looks at who waits.
const ROWS_PER_READ: usize = 1024;

/// An open CSV, from any bytes.
pub struct Table<R> {
    name: String,
    reader: Reader<R>,
}

impl<R: Read> Table<R> {
    /// Reads the header of unpacked bytes.
    ///
    /// # Errors
    /// When there is no header, or it fits no schema.
    pub fn new(name: &str, bytes: R) -> Result<Self, SourceError> {
        match Reader::guess(bytes) {
            Ok(reader) => Ok(Self {
                name: name.to_owned(),
                reader,
            }),
            Err(source) => Err(SourceError::Table {
                name: name.to_owned(),
                source,
            }),
        }
    }

    /// Where it comes from, as messages say it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema of its rows, by its header.
    pub fn schema(&self) -> &'static Schema {
        self.reader.schema()
    }

    /// Whether its rows are labelled.
    pub fn has_label(&self) -> bool {
        self.reader.has_label()
    }

    /// Whether its rows have addresses, ports and times.
    pub fn has_identity(&self) -> bool {
        self.reader.has_identity()
    }

    /// Whether no row was met, at its end or so far.
    pub fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// What was not taken as it stands; see [`Reader::notes`].
    pub fn notes(&self) -> Vec<String> {
        self.reader.notes()
    }

    /// What is doubtful about the labels; see [`Reader::doubts`].
    pub fn doubts(&self) -> Vec<String> {
        self.reader.doubts()
    }

    /// Reads the next row; `None` at the end. A row that does not fit is an error of that row only.
    pub fn read(&mut self, row: &mut CsvRow) -> Option<Result<(), SourceError>> {
        let read = self.reader.read_row(row)?;
        Some(read.map_err(|source| self.error(source)))
    }

    fn error(&self, source: CsvError) -> SourceError {
        SourceError::Table {
            name: self.name.clone(),
            source,
        }
    }

    /// The table as a source of flows of that schema.
    ///
    /// # Errors
    /// When the rows are of another schema, or do not say who talked to whom.
    pub fn into_source(self, schema: &'static Schema) -> Result<TableSource<R>, SourceError> {
        if self.schema() != schema {
            return Err(SourceError::Schema {
                name: self.name,
                found: self.reader.schema().id,
                wanted: schema.id,
            });
        }
        if !self.has_identity() {
            return Err(SourceError::NoIdentity { name: self.name });
        }
        Ok(TableSource {
            table: self,
            row: CsvRow::default(),
            counters: SourceCounters::default(),
            misfits: 0,
            first_misfit: None,
            failure: None,
            stops: false,
        })
    }
}

/// The flows of a table.
pub struct TableSource<R> {
    table: Table<R>,
    row: CsvRow,
    counters: SourceCounters,
    /// Rows that do not fit, and what is wrong with the first of them.
    misfits: u64,
    first_misfit: Option<CsvError>,
    /// Why reading failed.
    failure: Option<SourceError>,
    stops: bool,
}

impl<R: Read + Send> Source for TableSource<R> {
    fn name(&self) -> &str {
        &self.table.name
    }

    fn schema(&self) -> &'static Schema {
        self.table.schema()
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }

    /// A row that does not fit is counted and passed over; only when reading fails the source fails.
    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        if self.stops {
            return self.failure.take().map_or(Ok(Reading::End), Err);
        }
        for _ in 0..ROWS_PER_READ {
            let Some(read) = self.table.reader.read_row(&mut self.row) else {
                self.stops = true;
                break;
            };
            if let Err(source @ CsvError::Read { .. }) = read {
                // The rows before it are handed over first.
                self.failure = Some(self.table.error(source));
                self.stops = true;
                break;
            }
            self.counters.records += 1;
            // Without an address or a time there is no flow to store.
            let identity = self.row.identity.filter(|_| self.row.has_whole_identity);
            match (read, identity) {
                (Ok(()), Some(identity)) => {
                    batch.push(&self.row.values, identity, CommunityId::of(&identity));
                    self.counters.flows += 1;
                    continue;
                }
                (Ok(()), None) => {}
                (Err(error), _) => {
                    self.misfits += 1;
                    self.first_misfit.get_or_insert(error);
                }
            }
            self.counters.rejected += 1;
        }
        Ok(Reading::GoesOn)
    }

    fn stop(&mut self) {
        self.stops = true;
    }

    fn counters(&self) -> SourceCounters {
        self.counters
    }

    fn unused(&self) -> Option<String> {
        let misfits = self.first_misfit.as_ref().map(|first| {
            format!(
                "{} of {} rows could not be read, the first for this: {first}",
                self.misfits, self.counters.records
            )
        });
        let said: Vec<String> = misfits.into_iter().chain(self.table.notes()).collect();
        (!said.is_empty()).then(|| format!("{}: {}", self.table.name, said.join("; ")))
    }
}
