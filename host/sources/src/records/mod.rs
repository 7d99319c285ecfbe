//! Flow records that another meter wrote: whole files here, and what goes on coming in [`stream`].
//!
//! Files are read whole before their first flow is handed over: records lie in them in any order, and a row counts those
//! that ended before it.

#[cfg(not(target_family = "wasm"))]
pub(crate) mod handover;
mod items;
mod sorter;
#[cfg(not(target_family = "wasm"))]
pub mod stream;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};

use netsage_records::formats::{self, Counts, Format, Items, LONGEST_ITEM, Label, Reader, Refused};
use netsage_records::{FlowId, Origin, Record, Windows, row_of};
use netsage_schema::{CommunityId, FlowBatch, RECORD_V1, Schema};

use crate::SourceError;
use crate::site::{Provenances, Site};
use crate::source::{MOST_FLOWS, Pace, Reading, Source, SourceCounters};
pub use items::RecordItems;
use sorter::{Sorted, Sorter};

/// Bytes given to the reader at once: what is left of them is never more than the longest item.
const BUFFER_BYTES: usize = 2 * LONGEST_ITEM;
/// Bytes taken in between two looks at who waits.
const BYTES_PER_READ: usize = 1 << 18;
/// Bytes for the trailing window.
const WINDOW_MEMORY: usize = 64 << 20;

/// How records are read.
#[derive(Debug, Clone, Default)]
pub struct RecordOptions {
    /// Their format; `None`: what their first bytes say.
    pub format: Option<Format>,
    /// What the bytes do not say.
    pub reading: formats::Options,
    /// Where records come from unless they say so themselves.
    pub site: Site,
}

/// Records of one format, from any bytes.
pub struct Records<R> {
    name: String,
    bytes: R,
    reader: Reader,
    site: Site,
}

impl<R: Read + Send> Records<R> {
    /// Unpacked bytes in that format.
    pub fn new(name: &str, bytes: R, format: Format, options: &RecordOptions) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
            reader: Reader::new(format, &options.reading),
            site: options.site.clone(),
        }
    }

    /// Reads the labels of the flows too, which [`RecordSource::label`] then gives.
    #[must_use]
    pub fn with_labels(self) -> Self {
        Self {
            reader: self.reader.with_labels(),
            ..self
        }
    }

    /// The records as they stand.
    pub fn into_items(self) -> RecordItems<R> {
        RecordItems {
            incoming: Incoming::new(self),
        }
    }

    /// The records as a source of flows of that schema.
    ///
    /// # Errors
    /// When the schema is not `record-v1`.
    pub fn into_source(self, schema: &'static Schema) -> Result<RecordSource<R>, SourceError> {
        RecordSource::of(self.name.clone(), vec![self], schema)
    }
}

/// The flows of files of records, as if all records stood in one file.
pub struct RecordSource<R> {
    name: String,
    /// The files that are not read yet, the last one first.
    rest: Vec<Records<R>>,
    /// What became of the items of files that are read.
    read: Counts,
    items: Items,
    /// By flow; empty unless labels are read.
    labels: HashMap<FlowId, Label>,
    /// The first item that was refused, and its file.
    first_refused: Option<(String, Refused)>,
    origin: Origin,
    provenances: Provenances,
    windows: Windows,
    bytes: u64,
    flows: u64,
    /// Records that are one more copy of another.
    repeated: u64,
    /// The flow that was handed over last.
    last: Option<FlowId>,
    stage: Stage<R>,
}

#[allow(clippy::large_enum_variant, reason = "there is one for each file")]
enum Stage<R> {
    /// Files are read; the reason is why the first one that was damaged could not be read on.
    Reading(Incoming<R>, Sorter, Option<SourceError>),
    /// Flows are handed over; then the source ends, for this reason if there is one.
    Flows(Sorted, Option<SourceError>),
    Ended,
}

struct Incoming<R> {
    records: Records<R>,
    /// The start of an item whose end is not there yet.
    buffer: Vec<u8>,
}

impl<R: Read> Incoming<R> {
    fn new(records: Records<R>) -> Self {
        Self {
            records,
            buffer: Vec::new(),
        }
    }

    /// Reads the items of some more bytes; gives the number of bytes, 0 at the end.
    fn take_in(&mut self, into: &mut Items) -> io::Result<usize> {
        let taken = self.fill();
        // An item that damage cut off could be read as another one.
        let used = self
            .records
            .reader
            .read(&self.buffer, matches!(taken, Ok(0)), into);
        self.buffer.drain(..used);
        taken
    }

    /// Appends some bytes to the buffer, none at the end.
    fn fill(&mut self) -> io::Result<usize> {
        let room = BUFFER_BYTES.saturating_sub(self.buffer.len()).min(BYTES_PER_READ);
        let before = self.buffer.len();
        self.buffer.resize(before + room, 0);
        let read = loop {
            match self.records.bytes.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        read
    }
}

impl<R: Read + Send> RecordSource<R> {
    /// Files whose records are read together. `name` stands in counters and logs.
    ///
    /// # Errors
    /// When the schema is not `record-v1`.
    pub fn of(
        name: String,
        mut files: Vec<Records<R>>,
        schema: &'static Schema,
    ) -> Result<Self, SourceError> {
        if schema != &RECORD_V1 {
            return Err(SourceError::Schema {
                name,
                found: RECORD_V1.id,
                wanted: schema.id,
            });
        }
        files.reverse();
        let first = files.pop();
        let site = first.as_ref().map(|first| first.site.clone()).unwrap_or_default();
        let origin = site.origin();
        Ok(Self {
            name,
            rest: files,
            read: Counts::default(),
            items: Items::default(),
            labels: HashMap::new(),
            first_refused: None,
            origin,
            provenances: Provenances::new(&site),
            windows: Windows::new(WINDOW_MEMORY),
            bytes: 0,
            flows: 0,
            repeated: 0,
            last: None,
            stage: first.map_or(Stage::Ended, |records| {
                Stage::Reading(Incoming::new(records), Sorter::new(origin), None)
            }),
        })
    }

    /// What has become of the items of the files, by reason.
    pub fn items(&self) -> Counts {
        let mut counts = self.read.clone();
        if let Stage::Reading(incoming, ..) = &self.stage {
            counts.add(incoming.records.reader.counts());
        }
        counts
    }

    /// Records that are one more copy of another, and no flow of their own.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Whether a flow of the file is labelled. All labels are known before the first flow is handed over.
    pub fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// The label of a flow; `None` where it has none, or labels are not read.
    pub fn label(&self, flow: &FlowId) -> Option<&Label> {
        self.labels.get(flow)
    }

    /// Takes some bytes in. At the end of the last file the records are ready in their order; a file that cannot be read on
    /// has ended.
    fn take_in(&mut self) -> Result<(), SourceError> {
        let Stage::Reading(incoming, sorter, first_damage) = &mut self.stage else {
            return Ok(());
        };
        let (is_last, damage) = match incoming.take_in(&mut self.items) {
            Ok(read) => {
                self.bytes += read as u64;
                (read == 0, None)
            }
            Err(error) => (false, Some(error)),
        };
        if let Some(first) = self.items.refused.first() {
            (self.first_refused).get_or_insert_with(|| (incoming.records.name.clone(), *first));
        }
        // Of copies the first one counts.
        for (record, label) in self.items.records.iter().zip(self.items.labels.drain(..)) {
            if let Some(label) = label {
                let id = record.id(&self.origin.of(record));
                self.labels.entry(id).or_insert(label);
            }
        }
        let mut records = self.items.records.drain(..);
        let sorted = records.try_for_each(|record| sorter.push(record));
        drop(records);
        self.items.clear();
        let failed = |source| SourceError::Sorting {
            name: self.name.clone(),
            source,
        };
        if let Err(source) = sorted {
            return Err(failed(source));
        }
        let has_ended = is_last || damage.is_some();
        if let Some(source) = damage {
            let name = incoming.records.name.clone();
            first_damage.get_or_insert(SourceError::Read { name, source });
        }
        if !has_ended {
            return Ok(());
        }
        self.read.add(incoming.records.reader.counts());
        if let Some(next) = self.rest.pop() {
            *incoming = Incoming::new(next);
            return Ok(());
        }
        let sorter = std::mem::replace(sorter, Sorter::new(self.origin));
        let damage = first_damage.take();
        match sorter.sorted() {
            Ok(sorted) => self.stage = Stage::Flows(sorted, damage),
            Err(source) => return Err(failed(source)),
        }
        Ok(())
    }

    fn hand_over(&mut self, id: FlowId, record: &Record, batch: &mut FlowBatch) {
        // Copies are equal in all that the order goes by, so they come one after the other.
        if self.last.replace(id) == Some(id) {
            self.repeated += 1;
            return;
        }
        let network = self.origin.of(record).network;
        let counts = self.windows.count(network, record);
        let identity = record.identity();
        batch.push_with(
            &row_of(record, &counts),
            identity,
            CommunityId::of(&identity),
            Some(id),
            // A file is sorted before its first flow.
            self.provenances.of(record, false),
            record.beside(),
        );
        self.flows += 1;
    }
}

impl<R: Read + Send> Source for RecordSource<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &'static Schema {
        &RECORD_V1
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        if matches!(self.stage, Stage::Reading(..)) {
            let taken = self.take_in();
            if taken.is_err() {
                self.stage = Stage::Ended;
            }
            return taken.map(|()| Reading::GoesOn);
        }
        let Stage::Flows(mut sorted, damage) = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return Ok(Reading::End);
        };
        let before = batch.len();
        let mut failure = None;
        while batch.len() - before < MOST_FLOWS {
            match sorted.next() {
                Ok(Some((id, record))) => self.hand_over(id, &record, batch),
                Ok(None) => break,
                Err(source) => {
                    let name = self.name.clone();
                    failure = Some(SourceError::Sorting { name, source });
                    sorted = Sorted::default();
                    break;
                }
            }
        }
        let damage = failure.or(damage);
        if batch.len() > before {
            self.stage = Stage::Flows(sorted, damage);
            return Ok(Reading::GoesOn);
        }
        damage.map_or(Ok(Reading::End), Err)
    }

    /// Records that wait for their turn are not handed over: others of the file, which was not read to its end, would
    /// precede them. They are read again at the next start.
    fn stop(&mut self) {
        self.stage = Stage::Ended;
    }

    fn counters(&self) -> SourceCounters {
        let counts = self.items();
        let rejected = counts.unused();
        SourceCounters {
            records: counts.records + rejected,
            bytes: self.bytes,
            rejected,
            flows: self.flows,
            lost: 0,
            // A file is sorted before its first flow.
            late: 0,
        }
    }

    fn unused(&self) -> Option<String> {
        if self.counters().rejected == 0 && self.repeated == 0 {
            return None;
        }
        let mut said = format!("{}: {}", self.name, self.items());
        if let Some((name, first)) = &self.first_refused {
            let of = if *name == self.name {
                String::new()
            } else {
                format!(" of {name}")
            };
            said.push_str(&format!("; the first refused is {}{of}", first.place));
        }
        if self.repeated > 0 {
            said.push_str(&format!("; repeated: {}", self.repeated));
        }
        Some(said)
    }
}
