//! Reading what waits, one piece of a segment after the other.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use super::frames::{self, Found, HEADER};
use super::segment::{self, Tail};
use super::{Segment, Spool, SpoolError};

/// A place behind a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Number of the next record.
    pub(super) number: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Records that stand one behind the other.
#[derive(Debug, Default)]
pub struct Batch {
    segment: u64,
    /// Number of the first of `records`.
    first: u64,
    bytes: Vec<u8>,
    records: Vec<(Range<usize>, u64)>,
}

impl Batch {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The text of a record; empty where there is none.
    pub fn text(&self, place: usize) -> &[u8] {
        let range = self.records.get(place).map(|(range, _)| range.clone());
        range.and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }

    /// The texts of the records, in their order.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|place| self.text(place))
    }

    /// The place behind the record at `place`; of the last one where there is none there.
    pub fn mark(&self, place: usize) -> Option<Mark> {
        let place = place.min(self.len().checked_sub(1)?);
        let (_, offset) = self.records.get(place)?;
        Some(Mark {
            number: self.first + place as u64 + 1,
            segment: self.segment,
            offset: *offset,
        })
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}

/// Reads a spool from the first record that the receiver does not have. A spool has one at a time.
#[derive(Debug)]
pub struct Reader {
    spool: Arc<Spool>,
    file: Option<File>,
    segment: u64,
    offset: u64,
    number: u64,
}

impl Reader {
    /// A reader of that spool.
    pub fn new(spool: Arc<Spool>) -> Self {
        let (segment, offset, number) = {
            let mut state = spool.lock();
            let sent = state.cursor.sent;
            state.handed = sent.max(state.cursor.floor);
            (state.place.0, state.place.1, state.handed)
        };
        Self {
            spool,
            file: None,
            segment,
            offset,
            number,
        }
    }

    /// Reads the next records into a batch, in place of what it holds: at most so many, and bytes of them. There is none
    /// when nothing waits that was not read.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn next(&mut self, batch: &mut Batch, most: usize, most_bytes: usize) -> Result<(), SpoolError> {
        batch.clear();
        self.read(batch, most, most_bytes).map_err(|source| SpoolError {
            folder: self.spool.folder.clone(),
            source,
        })
    }

    fn read(&mut self, batch: &mut Batch, most: usize, most_bytes: usize) -> io::Result<()> {
        while batch.is_empty() {
            let Some(segment) = self.stand()? else {
                return Ok(());
            };
            let waiting = usize::try_from(segment.bytes - self.offset).unwrap_or(usize::MAX);
            let Some(file) = &mut self.file else {
                return Ok(());
            };
            file.seek(SeekFrom::Start(self.offset))?;
            // At least one, however long.
            let room = waiting.min(most_bytes.max(frames::FRAME + frames::LONGEST));
            file.take(room as u64).read_to_end(&mut batch.bytes)?;
            batch.segment = self.segment;
            batch.first = self.number;
            let mut place = 0;
            let end = self.segment + segment.whole;
            while self.number < end && batch.len() < most && (place < most_bytes || batch.is_empty()) {
                let Found::Record { text, .. } = frames::at(&batch.bytes, place) else {
                    break;
                };
                place = text.end;
                self.number += 1;
                batch.records.push((text, self.offset + place as u64));
            }
            self.offset += place as u64;
            if batch.is_empty() && self.number < end {
                self.miss(segment)?;
            }
            self.hand_over(batch);
        }
        Ok(())
    }

    /// Stands in a segment that has more; `None` when none has.
    fn stand(&mut self) -> io::Result<Option<Segment>> {
        let state = self.spool.lock();
        let found = state.segments.get(&self.segment).copied();
        let is_read = |segment: Segment| self.number >= self.segment + segment.whole;
        let (first, segment) = match found {
            Some(segment) if !is_read(segment) => (self.segment, segment),
            _ => {
                let after = self.number.max(self.segment + u64::from(found.is_some()));
                let next = state.segments.range(after..).next();
                match next.filter(|(_, segment)| segment.whole > 0) {
                    Some((&first, &segment)) => (first, segment),
                    None => return Ok(None),
                }
            }
        };
        drop(state);
        if first != self.segment {
            (self.segment, self.offset, self.number) = (first, HEADER as u64, first);
            self.file = None;
        }
        if self.file.is_none() {
            match File::open(segment::path(&self.spool.folder, first)) {
                Ok(file) => self.file = Some(file),
                // It has just left; its records are counted.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.number = self.number.max(first + segment.whole);
                    return self.stand();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(segment))
    }

    /// Leaves out what has left the disk meanwhile, which is counted already, and notes that the rest is under way.
    fn hand_over(&self, batch: &mut Batch) {
        let mut state = self.spool.lock();
        let gone = state.cursor.floor.max(state.handed).saturating_sub(batch.first);
        let gone = usize::try_from(gone).unwrap_or(usize::MAX).min(batch.len());
        batch.records.drain(..gone);
        batch.first += gone as u64;
        state.handed = state.handed.max(batch.first + batch.len() as u64);
    }

    /// Counts the rest of a segment that the disk does not give back as it was written.
    fn miss(&mut self, segment: Segment) -> io::Result<()> {
        let mut state = self.spool.lock();
        let end = self.segment + segment.whole;
        let Some(known) = state.segments.get(&self.segment).copied() else {
            self.number = end;
            return Ok(());
        };
        let lost = end - self.number;
        tracing::error!(
            records = lost,
            "segment of the spool is damaged, and what is behind is set aside"
        );
        state.unreadable += 1;
        state.cursor.given_up += lost;
        if state.last().is_some_and(|(first, _)| first == self.segment) {
            state.writer = None;
        }
        let rest = Segment {
            bytes: self.offset,
            whole: self.number - self.segment,
            has_gap: true,
        };
        state.segments.insert(self.segment, rest);
        let has_gap = !known.has_gap;
        segment::cut(
            &self.spool.folder,
            self.segment,
            self.offset,
            Tail::Damage,
            has_gap,
        )?;
        state.forget_sent(&self.spool.folder);
        state.keep_cursor();
        self.number = end;
        Ok(())
    }
}
