//! Logs that are followed while they grow, and are renamed, compressed and cut.
//!
//! A log is a row of *parts*: the file that is written now, and those that it was before. A part is known by its
//! [`Print`], a digest of its first bytes beyond the header, unpacked, so that a compressed copy is known too; as long as
//! there are none, by inode and birth time. An inode alone says nothing, since the next file may get a freed one.
//!
//! While the program runs, a part is read through its open handle to the end, whatever becomes of its name. After a restart
//! the parts that were not stored whole are looked for among the named files and beside them, by the files whose names
//! begin alike (`conn.log`, `conn.log.1`, `conn.2026-01-05.log.gz`). Such a neighbour that nobody knows, and that was
//! written after all that is known, came and went while nobody looked: it is read too.
//!
//! Where a file is cut, its copy is read on if there is one; otherwise it is told that lines may be missing.

mod file;
mod part;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use netsage_records::formats::{Format, Items};
use serde_json::{Value, json};

use file::{Found, PRINTED, Print, head_of, inode, nanoseconds, neighbours, printed, same_file};
use part::{Bytes, Part};

use super::intake::Intake;
use super::opening::expand;
use super::{Place, Taken, Told, Transport};
use crate::{RecordOptions, SourceError};

/// Bytes read at once.
const CHUNK: usize = 1 << 16;
/// Time between two looks at names.
const LOOK: Duration = Duration::from_millis(100);
/// How long the handle of a part without its name is kept: whoever writes may not have noticed yet.
const GRACE: Duration = Duration::from_secs(5);
/// Parts that were read whole and are remembered.
const MOST_DONE: usize = 256;

/// A part as positions have it.
#[derive(Clone, Default)]
struct Kept {
    print: Print,
    path: PathBuf,
    format: Option<Format>,
    place: Place,
}

/// Logs that are followed.
pub struct Follow {
    name: String,
    patterns: Vec<String>,
    options: RecordOptions,
    ends: bool,
    /// The oldest first.
    parts: VecDeque<Part>,
    next: u64,
    /// How far the parts are stored, by their numbers.
    kept: BTreeMap<u64, Kept>,
    /// Parts that are read whole and not stored whole, with the bytes that they had.
    closed: BTreeMap<u64, u64>,
    /// Parts that are stored whole.
    done: VecDeque<Print>,
    /// When the youngest part was written that is known.
    newest: Option<SystemTime>,
    last_look: Option<Instant>,
    has_news: bool,
    told: Told,
    chunk: Vec<u8>,
}

impl Follow {
    /// Follows the files that these names lead to, also with wildcards. `ends` says that the input ends where the files end
    /// now.
    pub fn new(patterns: &[String], options: &RecordOptions, ends: bool) -> Self {
        Self {
            name: patterns.join(", "),
            patterns: patterns.to_vec(),
            options: options.clone(),
            ends,
            parts: VecDeque::new(),
            next: 0,
            kept: BTreeMap::new(),
            closed: BTreeMap::new(),
            done: VecDeque::new(),
            newest: None,
            last_look: None,
            has_news: false,
            told: Told::default(),
            chunk: Vec::new(),
        }
    }

    /// Looks which files there are, and what has become of the parts.
    fn look(&mut self) {
        let mut named = Vec::new();
        let found = if self.last_look.is_none() {
            let mut found = self.found();
            self.resume(&mut found);
            found
        } else {
            self.changed(&mut named)
        };
        self.last_look = Some(Instant::now());
        let newest = self.newest;
        let mut new = Vec::new();
        for found in found {
            let is_open = |part: &&mut Part| part.is(&found);
            if let Some(part) = self.parts.iter_mut().find(is_open) {
                if found.is_named && same_file(&part.print, &found.metadata) {
                    named.push(part.number);
                    part.path = found.path;
                }
                continue;
            }
            let mut known = self.kept.values().map(|kept| &kept.print).chain(&self.done);
            if known.any(|print| print.is(&found.metadata, &found.head)) {
                continue;
            }
            // A neighbour is read when it was written after all that is known.
            let written = found.metadata.modified().ok();
            if found.is_named || (newest.is_some() && written >= newest) {
                new.push((written, found));
            }
        }
        new.sort_by_key(|(written, found)| (*written, found.is_named));
        for (_, found) in new {
            // Two names may lead to one part.
            let is_open = |part: &Part| part.is(&found);
            if !self.parts.iter().any(is_open) {
                let is_named = found.is_named;
                let number = self.begin(found, Kept::default());
                if is_named {
                    named.push(number);
                }
            }
        }
        for part in &mut self.parts {
            if named.contains(&part.number) {
                part.unnamed = None;
            } else {
                part.unnamed.get_or_insert_with(Instant::now);
            }
            if let Ok(metadata) = part.file().metadata() {
                self.newest = self.newest.max(metadata.modified().ok());
            }
        }
    }

    /// The named files and their neighbours.
    fn found(&self) -> Vec<Found> {
        let paths = self.paths().into_iter();
        paths
            .filter_map(|(path, is_named)| Found::open(path, is_named).ok())
            .collect()
    }

    /// Of these the files that may be new, by what the system says of them alone; `named` gets the numbers of parts that
    /// have their names still.
    fn changed(&mut self, named: &mut Vec<u64>) -> Vec<Found> {
        let mut found = Vec::new();
        for (path, is_named) in self.paths() {
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            let inode = inode(&metadata);
            let is_it = |part: &&mut Part| {
                let is_whole = !matches!(part.bytes, Bytes::Plain(_)) || metadata.len() >= part.read;
                part.print.inode == inode && is_whole
            };
            if let Some(part) = self.parts.iter_mut().find(is_it) {
                if is_named {
                    named.push(part.number);
                    part.path = path;
                }
                continue;
            }
            let is_closed =
                |(number, kept): (&u64, &Kept)| kept.print.inode == inode && self.closed.contains_key(number);
            let has_birth = metadata.created().is_ok();
            let is_read =
                self.kept.iter().any(is_closed) || self.done.iter().any(|print| print.inode == inode);
            let is_old = !is_named && metadata.modified().ok() < self.newest;
            if !(is_old || is_read && has_birth) {
                found.extend(Found::open(path, is_named).ok());
            }
        }
        found
    }

    /// The paths that are looked at, and whether a pattern names each.
    fn paths(&self) -> Vec<(PathBuf, bool)> {
        let mut paths: Vec<(PathBuf, bool)> = Vec::new();
        for pattern in &self.patterns {
            // What is not there may come.
            for path in expand(pattern).unwrap_or_default() {
                let neighbours = neighbours(&path);
                paths.push((path, true));
                paths.extend(neighbours.into_iter().map(|path| (path, false)));
            }
        }
        // A named one first, of two equal paths.
        paths.sort_by(|(one, is_named), (other, other_named)| (one, !is_named).cmp(&(other, !other_named)));
        paths.dedup_by(|(one, _), (other, _)| one == other);
        paths
    }

    /// Opens the parts that an earlier run has not stored whole.
    fn resume(&mut self, found: &mut Vec<Found>) {
        for (_, kept) in std::mem::take(&mut self.kept) {
            let is_it = |found: &Found| kept.print.is(&found.metadata, &found.head);
            let same = found
                .iter()
                .position(|found| is_it(found) && same_file(&kept.print, &found.metadata));
            // A copy that is being made is shorter than what was read.
            let longest = || {
                let copies = found.iter().enumerate().filter(|(_, found)| is_it(found));
                copies
                    .max_by_key(|(_, found)| (found.packing.is_none(), found.metadata.len()))
                    .map(|(place, _)| place)
            };
            let Some(place) = same.or_else(longest) else {
                // Of a part without a byte beyond the header nothing was read.
                if kept.print.length == 0 {
                    continue;
                }
                tracing::error!(
                    log = %kept.path.display(), read = kept.place.offset,
                    "log is gone and has no copy, what was written behind what was read is lost"
                );
                continue;
            };
            let found = found.swap_remove(place);
            self.begin(found, kept);
        }
    }

    /// Begins to read a part.
    fn begin(&mut self, found: Found, kept: Kept) -> u64 {
        let number = self.next;
        self.next += 1;
        let place = kept.place;
        let mut intake = Intake::new(&found.path.display().to_string(), &self.options);
        if let Some(format) = kept.format {
            intake.resume(format, &place.header, place.items, place.offset);
        }
        let print = Print::of(&found.metadata, &found.head);
        let head = printed(&found.head).to_vec();
        self.newest = self.newest.max(found.metadata.modified().ok());
        let path = found.path.clone();
        match Bytes::open(found, place.offset) {
            Ok(bytes) => {
                let place = Place {
                    part: number,
                    ..place
                };
                let kept = Kept {
                    print: print.clone(),
                    path: path.clone(),
                    format: kept.format,
                    place: place.clone(),
                };
                self.kept.insert(number, kept);
                self.has_news = true;
                self.parts.push_back(Part {
                    number,
                    path,
                    print,
                    head,
                    bytes,
                    intake,
                    read: place.offset,
                    unnamed: None,
                    is_at_end: false,
                    retry: None,
                });
            }
            Err(error) => tracing::warn!(log = %path.display(), %error, "log not read"),
        }
        number
    }

    /// Reads some bytes of a part; `None` when there are none now.
    fn read(&mut self, place: usize, items: &mut Items) -> Option<Taken> {
        let part = self.parts.get_mut(place)?;
        if part.is_at_end && part.is_cut() {
            return Some(self.follow_cut(place));
        }
        if let Some(retry) = part.retry {
            if Instant::now() < retry {
                return None;
            }
            part.reopen();
        }
        self.chunk.resize(CHUNK, 0);
        let is_last = match part.bytes.read(&mut self.chunk) {
            Ok(0) => {
                part.is_at_end = true;
                let waits = part
                    .unnamed
                    .is_none_or(|since| since.elapsed() < GRACE && !self.ends);
                if matches!(part.bytes, Bytes::Plain(_)) && waits {
                    return None;
                }
                true
            }
            Ok(length) => {
                self.chunk.truncate(length);
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return None,
            Err(error) if part.bytes.is_being_written() => {
                // Whoever packs it is not through.
                tracing::debug!(log = %part.path.display(), %error, "packed log is not whole yet");
                part.retry = Some(Instant::now() + LOOK);
                return None;
            }
            Err(error) => {
                tracing::error!(log = %part.path.display(), %error, "log is damaged, its rest is passed over");
                self.told.unrecognised += 1;
                // What damage cut off is no item.
                return Some(self.close(place));
            }
        };
        if is_last {
            self.chunk.clear();
        }
        part.is_at_end = is_last;
        part.read += self.chunk.len() as u64;
        self.told.bytes += self.chunk.len() as u64;
        if part.print.length < PRINTED
            && let Bytes::Plain(file) = &part.bytes
            && let Ok((metadata, head)) = file
                .metadata()
                .and_then(|metadata| Ok((metadata, head_of(file)?)))
        {
            part.print = Print {
                inode: std::mem::take(&mut part.print.inode),
                ..Print::of(&metadata, &head)
            };
            part.head = printed(&head).to_vec();
        }
        let taken = part.intake.take(&self.chunk, is_last, items);
        if let Some(kept) = self.kept.get_mut(&part.number) {
            kept.print.clone_from(&part.print);
            kept.format = part.intake.format();
        }
        if let Err(refused) = taken {
            tracing::error!(reason = %refused, "log is passed over");
            self.told.unrecognised += 1;
            return Some(self.close(place));
        }
        if is_last {
            return Some(self.close(place));
        }
        Some(part.piece())
    }

    /// Ends the reading of a part.
    fn close(&mut self, place: usize) -> Taken {
        let Some(part) = self.parts.remove(place) else {
            return Taken::Nothing;
        };
        if let Some(counts) = part.intake.counts() {
            self.told.items.add(counts);
        }
        self.closed.insert(part.number, part.intake.used());
        part.piece()
    }

    /// Goes on where a file is shorter than what was read of it, or begins otherwise.
    fn follow_cut(&mut self, place: usize) -> Taken {
        let Some(part) = self.parts.get(place) else {
            return Taken::Nothing;
        };
        let is_copy = |found: &Found| {
            !same_file(&part.print, &found.metadata) && part.print.is(&found.metadata, &found.head)
        };
        let copy = self.found().into_iter().find(is_copy);
        let Some(part) = self.parts.get_mut(place) else {
            return Taken::Nothing;
        };
        let bytes = copy.and_then(|found| {
            let path = found.path.clone();
            Some((Bytes::open(found, part.read).ok()?, path))
        });
        if let Some((bytes, path)) = bytes {
            tracing::info!(log = %part.path.display(), copy = %path.display(), "log was cut, its copy is read on");
            part.bytes = bytes;
            part.path = path;
            part.is_at_end = false;
            // The file that was cut is a part of its own from now on.
            part.print.inode.clear();
            return Taken::Nothing;
        }
        tracing::error!(
            log = %part.path.display(), read = part.read,
            "log was cut and has no copy, what was written behind what was read is lost"
        );
        self.told.lost += u64::from(part.read > part.intake.used());
        // The same file is a part of its own from now on.
        if let Some(kept) = self.kept.get_mut(&part.number) {
            kept.print.inode.clear();
        }
        self.close(place)
    }
}

impl Transport for Follow {
    fn name(&self) -> &str {
        &self.name
    }

    fn take(&mut self, items: &mut Items) -> Result<Taken, SourceError> {
        let is_first = self.last_look.is_none();
        if self.last_look.is_none_or(|last| last.elapsed() >= LOOK) {
            self.look();
            // A log that is read before its place is kept would be an old one to the next run, if it was renamed meanwhile.
            if self.has_news {
                return Ok(Taken::Nothing);
            }
        }
        for place in 0..self.parts.len() {
            if let Some(taken) = self.read(place, items) {
                return Ok(taken);
            }
        }
        Ok(if self.ends && !is_first {
            Taken::End
        } else {
            Taken::Nothing
        })
    }

    fn can_go_back(&self) -> bool {
        true
    }

    fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    fn settled(&mut self, place: Place) {
        let number = place.part;
        let Some(kept) = self.kept.get_mut(&number) else {
            return;
        };
        let offset = place.offset;
        kept.place = place;
        if self.closed.get(&number).is_some_and(|&end| offset >= end) {
            self.closed.remove(&number);
            if let Some(kept) = self.kept.remove(&number) {
                self.done.push_back(kept.print);
            }
            if self.done.len() > MOST_DONE {
                self.done.pop_front();
            }
        }
    }

    fn position(&self) -> Option<Value> {
        let part = |kept: &Kept| {
            json!({
                "print": kept.print.to_value(),
                "path": kept.path.display().to_string(),
                "format": kept.format.map(Format::name),
                "offset": kept.place.offset,
                "items": kept.place.items,
                "header": hex(&kept.place.header),
            })
        };
        Some(json!({
            "parts": self.kept.values().map(part).collect::<Vec<_>>(),
            "done": self.done.iter().map(Print::to_value).collect::<Vec<_>>(),
            "newest": self.newest.map(nanoseconds),
        }))
    }

    fn begin_at(&mut self, position: &Value) {
        let list = |name: &str| position.get(name).and_then(Value::as_array).into_iter().flatten();
        for value in list("parts") {
            let text = |name: &str| value.get(name).and_then(Value::as_str);
            let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
            let Some(print) = value.get("print").and_then(Print::of_value) else {
                continue;
            };
            let kept = Kept {
                print,
                path: PathBuf::from(text("path").unwrap_or_default()),
                format: text("format").and_then(Format::by_name),
                place: Place {
                    part: 0,
                    offset: number("offset"),
                    items: number("items"),
                    header: Arc::from(unhex(text("header").unwrap_or_default())),
                },
            };
            self.kept.insert(self.kept.len() as u64, kept);
        }
        self.next = self.kept.len() as u64;
        self.done = list("done").filter_map(Print::of_value).collect();
        let newest = position.get("newest").and_then(Value::as_u64);
        self.newest = newest.map(|nanoseconds| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds));
    }

    fn told(&self) -> Told {
        let mut told = self.told.clone();
        for counts in self.parts.iter().filter_map(|part| part.intake.counts()) {
            told.items.add(counts);
        }
        told
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map_while(byte).collect()
}
