//! An inbox on disk: records that senders were told are taken, until the store has their flows.
//!
//! Whoever answers senders gives bytes to [`Inbox::accept`], which reads them as any format, and returns when the records lie
//! synced in a segment: a file of the project's own JSON, one record a line. [`Inbox::transport`] reads the segments as an
//! input of records, and a segment is deleted when all its flows are stored. After a kill the segments that are left are
//! read again, and ids make that harmless. A line that was cut off by a kill or a full disk was never answered for: it is
//! cut away at the next opening.
//!
//! The inbox is bounded. What does not fit is refused, and the sender tries again later.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netsage_records::formats::{Counts, Format, Items, Refused, flow_json};

use super::intake::Intake;
use super::{Place, Taken, Told, Transport};
use crate::packing::Packing;
use crate::{RecordOptions, SourceError};

/// Ending of the names of segments.
const SEGMENT: &str = "ndjson";
/// Bytes read at once.
const CHUNK: usize = 1 << 16;
/// Shortest segment, unless the inbox is smaller.
const SMALLEST_SEGMENT: u64 = 1 << 16;
/// Longest segment: what a restart reads again at most of what is stored already.
const LARGEST_SEGMENT: u64 = 8 << 20;
/// Refused records that are named to a sender; the others are counted.
const MOST_NAMED: usize = 1_000;

/// What a sender says of all records of a body; what a record says itself comes first.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// How they are read.
    pub options: RecordOptions,
    /// The network of their addresses.
    pub network: Option<Arc<str>>,
    /// Where they were seen.
    pub sensor: Option<Arc<str>>,
}

/// What became of the records of a sender.
#[derive(Debug, Default)]
pub struct Accepted {
    /// Items by what became of them.
    pub counts: Counts,
    /// The first 1,000 that were refused.
    pub refused: Vec<Refused>,
}

/// Why nothing of what a sender gave was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// There is no room now.
    #[error("the inbox is full: {waiting} bytes of {limit} wait for the store; send the same again later")]
    Full {
        /// Bytes that wait.
        waiting: u64,
        /// Bytes that may wait.
        limit: u64,
    },
    /// It would not fit into an empty inbox.
    #[error("these records take {bytes} bytes in an inbox of {limit}; send fewer at once")]
    TooLarge {
        /// What they take.
        bytes: u64,
        /// Bytes that may wait.
        limit: u64,
    },
    /// More than is read at once, unpacked.
    #[error("unpacked, the body is larger than {limit} bytes; send fewer records at once")]
    Unpacked {
        /// What may come at once.
        limit: usize,
    },
    /// It cannot be unpacked, or is of no format that is read.
    #[error("{0}")]
    Unreadable(String),
    /// The disk does not take it.
    #[error("{}: the inbox cannot be written: {source}", folder.display())]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A folder of records that wait.
pub struct Inbox {
    folder: PathBuf,
    limit: u64,
    segment_bytes: u64,
    /// The last segment of an earlier run: its records are counted when they are read.
    known: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes of each segment that are synced.
    segments: BTreeMap<u64, u64>,
    /// The last of them, if it may grow.
    writer: Option<File>,
    /// Number of the next segment. None is used twice in a run: the reader only goes ahead.
    next: u64,
    /// What was counted since the start. Records that an earlier run took in are counted when they are read again.
    told: Told,
}

impl State {
    fn waiting(&self) -> u64 {
        self.segments.values().sum()
    }
}

impl Inbox {
    /// Opens the inbox in a folder, which is made if it is not there; at most `limit` bytes wait in it.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, InboxError> {
        let failed = |source| InboxError::Disk {
            folder: folder.to_path_buf(),
            source,
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let segments = found(folder).map_err(failed)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            limit,
            known: segments.last_key_value().map(|(&number, _)| number),
            segment_bytes: (limit / 16).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT),
            state: Mutex::new(State {
                next: segments.last_key_value().map_or(0, |(&number, _)| number + 1),
                segments,
                ..State::default()
            }),
        })
    }

    /// Takes records in, of any format that is read, as they are or packed; `most` bytes when they are unpacked. When this
    /// returns the records lie synced on the disk.
    ///
    /// # Errors
    /// When nothing was taken; see [`InboxError`].
    pub fn accept(&self, body: &[u8], most: usize, sender: &Sender) -> Result<Accepted, InboxError> {
        let (lines, accepted) = read(body, most, sender)?;
        let mut state = self.lock();
        if !lines.is_empty() {
            self.append(&mut state, &lines)?;
        }
        state.told.items.add(&accepted.counts);
        state.told.bytes += body.len() as u64;
        Ok(accepted)
    }

    /// Bytes that wait, and how many may.
    pub fn room(&self) -> (u64, u64) {
        (self.lock().waiting(), self.limit)
    }

    /// The inbox as an input of records. `ends` says that it ends when it is empty, as tests want it.
    pub fn transport(self: &Arc<Self>, ends: bool) -> InboxReader {
        InboxReader {
            inbox: Arc::clone(self),
            ends,
            reading: None,
            next: 0,
            again: Counts::default(),
        }
    }

    fn append(&self, state: &mut State, lines: &[u8]) -> Result<(), InboxError> {
        let bytes = lines.len() as u64;
        let (waiting, limit) = (state.waiting(), self.limit);
        if bytes > limit {
            return Err(InboxError::TooLarge { bytes, limit });
        }
        if waiting + bytes > limit {
            return Err(InboxError::Full { waiting, limit });
        }
        let failed = |source| InboxError::Disk {
            folder: self.folder.clone(),
            source,
        };
        let last = state
            .segments
            .last_key_value()
            .map(|(&number, &length)| (number, length));
        let (number, length, mut file) = match (last, state.writer.take()) {
            (Some((number, length)), Some(file)) if length < self.segment_bytes => (number, length, file),
            _ => {
                let number = state.next;
                state.next += 1;
                (number, 0, self.begin(number).map_err(failed)?)
            }
        };
        if let Err(source) = file.write_all(lines).and_then(|()| file.sync_data()) {
            // What was written of it must not be read: the sender will send it again.
            let is_clean = file
                .set_len(length)
                .and_then(|()| file.seek(SeekFrom::End(0)))
                .is_ok();
            if length == 0 {
                drop(file);
                let _ = fs::remove_file(self.path(number));
            } else if is_clean {
                state.writer = Some(file);
            }
            return Err(failed(source));
        }
        state.segments.insert(number, length + bytes);
        state.writer = Some(file);
        Ok(())
    }

    /// Makes a segment whose name survives a loss of power.
    fn begin(&self, number: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.path(number))?;
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        Ok(file)
    }

    /// Deletes segments of which everything before this place is stored. The last one is deleted when it has been read
    /// whole; what comes then begins another.
    fn free(&self, place: &Place) {
        let mut state = self.lock();
        while let Some((&number, &length)) = state.segments.first_key_value() {
            let is_stored = number < place.part || (number == place.part && place.offset >= length);
            if !is_stored {
                break;
            }
            if state.segments.len() == 1 {
                state.writer = None;
            }
            if let Err(error) = fs::remove_file(self.path(number)) {
                tracing::warn!(segment = %self.path(number).display(), %error, "stored records not deleted, they are read again");
            }
            state.segments.remove(&number);
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.{SEGMENT}"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The segments in a folder, each cut to its whole lines.
fn found(folder: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|ending| ending == SEGMENT);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let Some(number) = stem.and_then(|stem| stem.parse().ok()).filter(|_| is_segment) else {
            continue;
        };
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let whole = whole_lines(&file)?;
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        if whole == 0 {
            fs::remove_file(&path)?;
        } else {
            segments.insert(number, whole);
        }
    }
    Ok(segments)
}

/// Bytes of a file up to the end of its last line.
fn whole_lines(mut file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        block.clear();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut block)?;
        if let Some(place) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The records of a body as lines of the project's own JSON.
fn read(body: &[u8], most: usize, sender: &Sender) -> Result<(Vec<u8>, Accepted), InboxError> {
    let mut bytes: Box<dyn Read + Send + '_> = match Packing::of(body) {
        Some(packing) => packing.unpack(Cursor::new(body)),
        None => Box::new(body),
    };
    let unreadable = |error: SourceError| InboxError::Unreadable(error.to_string());
    let mut intake = Intake::new("the body", &sender.options);
    let (mut chunk, mut items) = (vec![0; CHUNK], Items::default());
    let (mut lines, mut accepted, mut taken) = (Vec::new(), Accepted::default(), 0);
    loop {
        let length = match bytes.read(&mut chunk) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(InboxError::Unreadable(format!("the body: {error}"))),
        };
        taken += length;
        if taken > most {
            return Err(InboxError::Unpacked { limit: most });
        }
        let read = chunk.get(..length).unwrap_or_default();
        intake.take(read, length == 0, &mut items).map_err(unreadable)?;
        for mut record in items.records.drain(..) {
            record.network = record.network.or_else(|| sender.network.clone());
            record.sensor = record.sensor.or_else(|| sender.sensor.clone());
            // Memory takes all that is written.
            let _ = flow_json::write(&record, &mut lines);
            lines.push(b'\n');
        }
        let room = MOST_NAMED.saturating_sub(accepted.refused.len());
        accepted.refused.extend(items.refused.drain(..).take(room));
        if length == 0 {
            break;
        }
    }
    let Some(counts) = intake.counts() else {
        return Err(InboxError::Unreadable(
            "the body is empty; send flows as docs/sources/http.md has them".to_owned(),
        ));
    };
    accepted.counts = counts.clone();
    Ok((lines, accepted))
}

/// The segments of an inbox, read one after the other.
pub struct InboxReader {
    inbox: Arc<Inbox>,
    ends: bool,
    reading: Option<Segment>,
    /// The segment to be read next, or a later one.
    next: u64,
    /// What was read again of an earlier run.
    again: Counts,
}

struct Segment {
    number: u64,
    file: File,
    read: u64,
    intake: Intake,
}

impl InboxReader {
    fn damaged(&self, source: io::Error) -> SourceError {
        SourceError::Read {
            name: self.inbox.folder.display().to_string(),
            source,
        }
    }

    /// Opens the next segment, if there is one.
    fn advance(&mut self) -> io::Result<bool> {
        if let Some(read) = self.reading.take()
            && self.inbox.known.is_some_and(|known| read.number <= known)
            && let Some(counts) = read.intake.counts()
        {
            self.again.add(counts);
        }
        let number = self
            .inbox
            .lock()
            .segments
            .range(self.next..)
            .next()
            .map(|(&number, _)| number);
        let Some(number) = number else { return Ok(false) };
        self.next = number + 1;
        let options = RecordOptions {
            format: Some(Format::FlowJson),
            ..RecordOptions::default()
        };
        self.reading = Some(Segment {
            number,
            file: File::open(self.inbox.path(number))?,
            read: 0,
            intake: Intake::new("the inbox", &options),
        });
        Ok(true)
    }
}

impl Transport for InboxReader {
    fn name(&self) -> &str {
        "inbox"
    }

    fn take(&mut self, items: &mut Items) -> Result<Taken, SourceError> {
        loop {
            let Some(segment) = &mut self.reading else {
                if self.advance().map_err(|source| self.damaged(source))? {
                    continue;
                }
                return Ok(if self.ends { Taken::End } else { Taken::Nothing });
            };
            let (synced, has_next) = {
                let state = self.inbox.lock();
                let synced = state
                    .segments
                    .get(&segment.number)
                    .copied()
                    .unwrap_or(segment.read);
                (
                    synced,
                    state.segments.range(segment.number + 1..).next().is_some(),
                )
            };
            let room = synced.saturating_sub(segment.read).min(CHUNK as u64);
            if room == 0 {
                if !has_next && !self.ends {
                    return Ok(Taken::Nothing);
                }
                self.advance().map_err(|source| self.damaged(source))?;
                continue;
            }
            let mut chunk = Vec::new();
            if let Err(source) = (&mut segment.file).take(room).read_to_end(&mut chunk) {
                return Err(self.damaged(source));
            }
            if chunk.is_empty() {
                return Err(self.damaged(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            segment.read += chunk.len() as u64;
            segment.intake.take(&chunk, false, items)?;
            return Ok(Taken::Piece {
                behind: Place {
                    part: segment.number,
                    offset: segment.intake.used(),
                    ..Place::default()
                },
                format: Some(Format::FlowJson),
            });
        }
    }

    fn can_go_back(&self) -> bool {
        true
    }

    fn settled(&mut self, place: Place) {
        self.inbox.free(&place);
    }

    fn told(&self) -> Told {
        let mut told = self.inbox.lock().told.clone();
        told.items.add(&self.again);
        if let Some(read) = &self.reading
            && self.inbox.known.is_some_and(|known| read.number <= known)
            && let Some(counts) = read.intake.counts()
        {
            told.items.add(counts);
        }
        told
    }
}
