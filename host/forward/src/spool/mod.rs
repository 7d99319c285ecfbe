//! The spool: a bounded log on disk of records that a receiver does not have yet.
//!
//! [`Spool::append`] returns when its records lie synced in a segment, a large file that is appended to and deleted as a
//! whole. One [`Reader`] goes through them, and [`Spool::sent`] is told how far the receiver has them. Records have numbers
//! that rise over all runs, and a segment is named by its first one, so that everything is found again from the segments
//! alone, and what is missing between two of them is known by its number. The place of the receiver stands in a small file,
//! without which more is sent again.
//!
//! When the spool is full its oldest segment leaves, and the records of it that were not sent are counted, each once, over
//! kills too. Memory does not depend on how much waits: a few numbers for each segment.

mod cursor;
mod frames;
mod reading;
mod segment;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cursor::{Cursor, CursorFile};
use frames::{FRAME, HEADER, Header, LONGEST};
pub use reading::{Batch, Mark, Reader};
use segment::Tail;

/// Shortest segment, unless the spool is smaller.
const SMALLEST_SEGMENT: u64 = 1 << 16;
/// Longest segment.
const LARGEST_SEGMENT: u64 = 64 << 20;
/// Segments that a full spool has, unless these bounds say otherwise.
const SEGMENTS: u64 = 16;
/// The file of the place that the receiver has come to.
const CURSOR: &str = "cursor";
/// The file of records that the receiver will never take, as far as there is room.
const REFUSED: &str = "refused.ndjson";
/// Most bytes of it.
const MOST_REFUSED: u64 = 1 << 20;

/// A spool cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: the spool cannot be used: {source}; make room there, or name another data folder", folder.display())]
pub struct SpoolError {
    /// The folder of the spool.
    pub folder: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// What a spool holds, and what became of the rest. Counts are over all runs, but for the last two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Records that the receiver does not have yet.
    pub waiting: u64,
    /// Bytes that these take.
    pub waiting_bytes: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Most bytes on the disk.
    pub limit: u64,
    /// When the oldest of those that wait was put here, ms since the epoch.
    pub oldest_ms: Option<u64>,
    /// Records that were taken in, since the spool was made.
    pub taken: u64,
    /// Records that left before they were sent: there was no room, or the disk has lost them.
    pub given_up: u64,
    /// Records that the receiver will never take.
    pub set_aside: u64,
    /// Records whose writing was cut off by a kill; their source has them still.
    pub cut_off: u64,
    /// Segments of which not all could be read.
    pub unreadable: u64,
}

impl SpoolStatus {
    /// How long the oldest record has waited.
    pub fn age(&self) -> Duration {
        let since = self.oldest_ms.map(|oldest| now_ms().saturating_sub(oldest));
        Duration::from_millis(since.unwrap_or(0))
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A bounded log on disk.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limit: u64,
    segment_bytes: u64,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug)]
struct State {
    /// By the number of the first record.
    segments: BTreeMap<u64, Segment>,
    /// The last of them, if it may grow.
    writer: Option<File>,
    cursor: Cursor,
    cursor_file: CursorFile,
    /// Where the first record stands that the receiver does not have: segment and offset.
    place: (u64, u64),
    /// Records before this one were handed to the reader.
    handed: u64,
    /// When the record at `place` was put there, once somebody asked.
    oldest_ms: Option<u64>,
    cut_off: u64,
    unreadable: u64,
    /// Frames on their way to the disk, and how many they are.
    frames: Vec<u8>,
    gathered: u64,
}

/// A segment as far as it is synced.
#[derive(Debug, Clone, Copy)]
struct Segment {
    bytes: u64,
    /// Its records, all whole.
    whole: u64,
    /// Whether records between these and the next segment are missing, and were counted.
    has_gap: bool,
}

impl Spool {
    /// Opens the spool of a folder, which is made if it is not there; at most `limit` bytes lie in it.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError {
            folder: folder.to_path_buf(),
            source,
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            limit,
            segment_bytes: (limit / SEGMENTS).clamp(SMALLEST_SEGMENT.min(limit), LARGEST_SEGMENT),
            state: Mutex::new(State::open(folder).map_err(failed)?),
            news: Condvar::new(),
        })
    }

    /// Takes records in. When this returns they lie synced on the disk; when it fails some of them may, and all may be given
    /// again.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn append<'a>(&self, texts: impl IntoIterator<Item = &'a [u8]>) -> Result<(), SpoolError> {
        let mut state = self.lock();
        state.frames.clear();
        state.gathered = 0;
        let time_ms = now_ms();
        let written = texts
            .into_iter()
            .try_for_each(|text| self.put(&mut state, time_ms, text))
            .and_then(|()| self.write(&mut state));
        drop(state);
        self.news.notify_all();
        written.map_err(|source| SpoolError {
            folder: self.folder.clone(),
            source,
        })
    }

    fn put(&self, state: &mut State, time_ms: u64, text: &[u8]) -> io::Result<()> {
        let bytes = (FRAME + text.len()) as u64;
        if text.len() > LONGEST || HEADER as u64 + bytes > self.segment_bytes {
            // Nothing of this program is as long.
            state.cursor.given_up += 1;
            return Ok(());
        }
        let filled = state.frames.len() as u64 + state.last().map_or(0, |(_, last)| last.bytes);
        if state.writer.is_none() || filled + bytes > self.segment_bytes {
            self.write(state)?;
            self.begin(state)?;
        }
        frames::push_record(&mut state.frames, time_ms, text);
        state.gathered += 1;
        Ok(())
    }

    /// Writes and syncs the frames that are gathered.
    fn write(&self, state: &mut State) -> io::Result<()> {
        let frames = std::mem::take(&mut state.frames);
        let written = state.write(&frames, &self.folder);
        state.frames = frames;
        state.frames.clear();
        state.gathered = 0;
        written
    }

    /// Begins a segment, after the oldest ones have left where it would not fit.
    fn begin(&self, state: &mut State) -> io::Result<()> {
        state.writer = None;
        while !state.segments.is_empty() && state.bytes() + self.segment_bytes > self.limit {
            state.evict(&self.folder)?;
        }
        let first = state.cursor.next;
        let given_up = state.cursor.given_up;
        if state.segments.contains_key(&first) {
            // A segment without a record.
            state.segments.remove(&first);
            fs::remove_file(segment::path(&self.folder, first))?;
        }
        state.writer = Some(segment::create(&self.folder, Header { first, given_up })?);
        let fresh = Segment {
            bytes: HEADER as u64,
            whole: 0,
            has_gap: false,
        };
        state.segments.insert(first, fresh);
        Ok(())
    }

    /// Says that the receiver has every record before this mark.
    pub fn sent(&self, mark: Mark) {
        let mut state = self.lock();
        if mark.number <= state.cursor.sent {
            return;
        }
        state.cursor.sent = mark.number;
        if mark.number >= state.cursor.floor {
            state.place = (mark.segment, mark.offset);
        }
        if mark.number >= state.cursor.pending {
            state.cursor.sent = mark.number.max(state.cursor.floor);
        }
        state.oldest_ms = None;
        state.forget_sent(&self.folder);
        state.keep_cursor();
    }

    /// Says that the receiver will never take this record. It is kept in a file, as far as there is room.
    pub fn set_aside(&self, text: &[u8]) {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let kept = options.open(self.folder.join(REFUSED)).and_then(|mut file| {
            let room = MOST_REFUSED.saturating_sub(file.metadata()?.len());
            if text.len() as u64 >= room {
                return Ok(());
            }
            file.write_all(&[text, b"\n"].concat())
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "record that was refused is not kept");
        }
        let mut state = self.lock();
        state.cursor.set_aside += 1;
        state.keep_cursor();
    }

    /// Waits until something is appended, for that long at most.
    pub fn wait(&self, most: Duration) {
        let state = self.lock();
        if state.handed < state.cursor.next {
            return;
        }
        let waited = self.news.wait_timeout(state, most);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// What it holds, and what became of the rest.
    pub fn status(&self) -> SpoolStatus {
        let mut state = self.lock();
        let sent = state.cursor.sent.max(state.cursor.floor);
        let mut status = SpoolStatus {
            bytes: state.bytes(),
            limit: self.limit,
            taken: state.cursor.next,
            given_up: state.cursor.given_up,
            set_aside: state.cursor.set_aside,
            cut_off: state.cut_off,
            unreadable: state.unreadable,
            ..SpoolStatus::default()
        };
        for (first, segment) in &state.segments {
            let from = sent.max(*first);
            let waiting = (first + segment.whole).saturating_sub(from);
            status.waiting += waiting;
            if waiting > 0 {
                let (placed, offset) = state.place;
                let begin = if placed == *first { offset } else { HEADER as u64 };
                status.waiting_bytes += segment.bytes.saturating_sub(begin);
            }
        }
        if status.waiting > 0 {
            status.oldest_ms = state.oldest(&self.folder);
        }
        status
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Finds out what a folder holds.
    fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let (cursor_file, known) = CursorFile::open(&folder.join(CURSOR))?;
        let mut state = Self {
            segments: BTreeMap::new(),
            writer: None,
            cursor: known.unwrap_or_default(),
            cursor_file,
            place: (0, HEADER as u64),
            handed: 0,
            oldest_ms: None,
            cut_off: 0,
            unreadable: 0,
            frames: Vec::new(),
            gathered: 0,
        };
        // Nobody knows of these any more whether they arrived.
        let cursor = &mut state.cursor;
        cursor.given_up += cursor.pending.min(cursor.floor).saturating_sub(cursor.sent);
        cursor.pending = 0;
        cursor.sent = cursor.sent.max(cursor.floor);
        for first in segment::names(folder)? {
            state.take_segment(folder, first, known.is_some())?;
        }
        let end = state.end();
        match (end, known.map(|cursor| cursor.next)) {
            (Some(end), Some(next)) => state.miss(folder, end, next)?,
            (None, Some(next)) => {
                state.cursor.given_up += next.saturating_sub(state.cursor.sent);
                state.cursor.sent = next;
            }
            (_, None) => {}
        }
        state.cursor.next = state.cursor.next.max(end.unwrap_or(0));
        state.cursor.sent = state.cursor.sent.min(state.cursor.next);
        state.forget_sent(folder);
        let sent = state.cursor.sent;
        if let Some((&first, _)) = state.segments.range(..=sent).next_back()
            && let Some(scanned) = segment::scan(folder, first, sent)?
        {
            state.place = (first, scanned.place);
        } else if let Some((&first, _)) = state.segments.first_key_value() {
            state.place = (first, HEADER as u64);
        }
        state.handed = state.cursor.sent;
        state.keep_cursor();
        if let Some((first, last)) = state.last().filter(|(_, last)| !last.has_gap) {
            let mut file = OpenOptions::new()
                .write(true)
                .open(segment::path(folder, first))?;
            file.seek(SeekFrom::Start(last.bytes))?;
            state.writer = Some(file);
        }
        Ok(state)
    }

    /// Number behind the last record.
    fn end(&self) -> Option<u64> {
        self.last().map(|(first, segment)| first + segment.whole)
    }

    fn last(&self) -> Option<(u64, Segment)> {
        let (first, segment) = self.segments.last_key_value()?;
        Some((*first, *segment))
    }

    /// Takes a segment in that an earlier run has left.
    fn take_segment(&mut self, folder: &Path, first: u64, has_cursor: bool) -> io::Result<()> {
        if first < self.cursor.floor {
            // It was to leave when the program was killed.
            return fs::remove_file(segment::path(folder, first));
        }
        let Some(scanned) = segment::scan(folder, first, 0)? else {
            self.unreadable += 1;
            tracing::error!(first, "segment of the spool cannot be read and is set aside");
            return segment::set_aside(folder, first);
        };
        self.cursor.given_up = self.cursor.given_up.max(scanned.header.given_up);
        match self.end() {
            Some(end) => self.miss(folder, end, first)?,
            None if has_cursor => {
                self.cursor.given_up += first.saturating_sub(self.cursor.sent);
                self.cursor.sent = self.cursor.sent.max(first);
                self.cursor.floor = self.cursor.floor.max(first);
            }
            None => self.cursor.sent = first,
        }
        match scanned.tail {
            Tail::Nothing => {}
            Tail::Cut => self.cut_off += 1,
            Tail::Damage => {
                self.unreadable += 1;
                tracing::error!(
                    first,
                    "segment of the spool is damaged, and what is behind is set aside"
                );
            }
        }
        if scanned.tail != Tail::Nothing {
            segment::cut(folder, first, scanned.bytes, scanned.tail, false)?;
        }
        let segment = Segment {
            bytes: scanned.bytes,
            whole: scanned.whole,
            has_gap: scanned.has_gap,
        };
        self.segments.insert(first, segment);
        Ok(())
    }

    /// Counts the records from `end`, behind the last segment so far, up to `next`, unless they were counted before.
    fn miss(&mut self, folder: &Path, end: u64, next: u64) -> io::Result<()> {
        let Some((first, segment)) = self.last() else {
            return Ok(());
        };
        if next <= end || segment.has_gap {
            return Ok(());
        }
        self.cursor.given_up += next.saturating_sub(end.max(self.cursor.sent));
        tracing::error!(
            records = next - end,
            "records of the spool are missing on the disk"
        );
        self.segments.insert(
            first,
            Segment {
                has_gap: true,
                ..segment
            },
        );
        segment::cut(folder, first, segment.bytes, Tail::Nothing, true)
    }

    fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    fn keep_cursor(&mut self) {
        self.cursor_file.write(&self.cursor);
    }

    /// Appends frames to the last segment.
    fn write(&mut self, frames: &[u8], folder: &Path) -> io::Result<()> {
        let (Some((first, segment)), Some(file)) = (self.last(), &mut self.writer) else {
            return Ok(());
        };
        if frames.is_empty() {
            return Ok(());
        }
        if let Err(error) = file.write_all(frames).and_then(|()| file.sync_data()) {
            // What was written of them must not be behind what comes next.
            let is_clean = file
                .set_len(segment.bytes)
                .and_then(|()| file.seek(SeekFrom::Start(segment.bytes)))
                .is_ok();
            if !is_clean {
                self.writer = None;
            }
            if segment.whole == 0 {
                self.writer = None;
                self.segments.remove(&first);
                // One that stays is empty, and makes room for the next of its name.
                let _ = fs::remove_file(segment::path(folder, first));
            }
            return Err(error);
        }
        let grown = Segment {
            bytes: segment.bytes + frames.len() as u64,
            whole: segment.whole + self.gathered,
            has_gap: false,
        };
        self.segments.insert(first, grown);
        self.cursor.next = first + grown.whole;
        self.keep_cursor();
        Ok(())
    }

    /// Lets the oldest segment go, sent or not.
    fn evict(&mut self, folder: &Path) -> io::Result<()> {
        let Some((&first, &segment)) = self.segments.first_key_value() else {
            return Ok(());
        };
        let end = first + segment.whole;
        let next = self.segments.keys().nth(1).copied().unwrap_or(self.cursor.next);
        let cursor = &mut self.cursor;
        let lost = end.saturating_sub(cursor.sent.max(self.handed).max(first));
        cursor.given_up += lost;
        cursor.floor = next;
        if self.handed > cursor.sent {
            cursor.pending = cursor.pending.max(self.handed.min(end));
        } else {
            cursor.sent = cursor.sent.max(next);
        }
        self.keep_cursor();
        if lost > 0 {
            tracing::error!(
                records = lost,
                "the spool is full, its oldest records are given up"
            );
        }
        fs::remove_file(segment::path(folder, first))?;
        self.segments.remove(&first);
        self.place = (next, HEADER as u64);
        self.oldest_ms = None;
        Ok(())
    }

    /// Deletes segments that the receiver has; the last one stays.
    fn forget_sent(&mut self, folder: &Path) {
        while let Some((&first, &segment)) = self.segments.first_key_value() {
            let Some(next) = self.segments.keys().nth(1).copied() else {
                return;
            };
            if first + segment.whole > self.cursor.sent {
                return;
            }
            // What is missing behind it was counted.
            self.cursor.sent = self.cursor.sent.max(next);
            self.cursor.floor = self.cursor.floor.max(next);
            if self.place.0 <= first {
                self.place = (next, HEADER as u64);
            }
            // First, so that a kill in between does not look like a loss.
            self.keep_cursor();
            if let Err(error) = fs::remove_file(segment::path(folder, first)) {
                tracing::warn!(%error, "sent records not deleted, they are deleted at the next start");
            }
            self.segments.remove(&first);
        }
    }

    /// When the first record that waits was put here.
    fn oldest(&mut self, folder: &Path) -> Option<u64> {
        if self.oldest_ms.is_none() {
            let (first, offset) = self.place;
            let mut file = File::open(segment::path(folder, first)).ok()?;
            file.seek(SeekFrom::Start(offset)).ok()?;
            let mut frame = [0; FRAME];
            file.read_exact(&mut frame).ok()?;
            self.oldest_ms = frames::number(&frame, 9);
        }
        self.oldest_ms
    }
}
