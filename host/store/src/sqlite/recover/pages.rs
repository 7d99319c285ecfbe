//! The pages of a SQLite file and its log, read without SQLite, which stops at the first damage. The format is that of
//! <https://www.sqlite.org/fileformat.html>.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use rusqlite::types::Value;

/// Bytes that a page of a store may have, without reserved ones: those of stores made today, and of older ones.
const SIZES: [usize; 2] = [8192, 4096];

/// Bytes before the first page of a database.
const FILE_HEADER: usize = 100;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// A log begins with this, or with the number behind it, where its checksums are of big-endian words.
const LOG_MAGIC: u32 = 0x377f_0682;

/// Pages by which the bytes of one are told where no header does.
const PAGES_COUNTED: u64 = 256;

/// Longest record that is read.
const MOST_BYTES: usize = 16 << 20;
/// Most fields of a record.
const MOST_FIELDS: usize = 1024;

/// Database and log.
pub(super) struct Pages {
    database: Option<File>,
    log: Option<File>,
    /// Where the log has the versions of a page: the newest first, as far as to the first one that is whole.
    versions: BTreeMap<u32, Vec<u64>>,
    /// Pages of which the log has a whole version, so that the database's own is outdated.
    is_outdated: BTreeSet<u32>,
    /// Bytes of a page.
    size: usize,
    count: u32,
    has_damaged_log: bool,
}

impl Pages {
    /// Opens a database, its log, or both.
    pub(super) fn open(database: &Path, log: &Path) -> io::Result<Self> {
        let mut log = File::open(log).ok();
        let mut database = match File::open(database) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && log.is_some() => None,
            opened => Some(opened?),
        };
        let length = match &database {
            Some(file) if file.metadata()?.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Some(file) => file.metadata()?.len(),
            None => 0,
        };
        let size = page_size(database.as_mut(), log.as_mut())?;
        let mut pages = Self {
            database,
            log: None,
            versions: BTreeMap::new(),
            is_outdated: BTreeSet::new(),
            has_damaged_log: false,
            size,
            count: u32::try_from(length / size as u64).unwrap_or(u32::MAX),
        };
        if let Some(mut log) = log {
            pages.read_log(&mut log)?;
            pages.log = Some(log);
        }
        Ok(pages)
    }

    /// Notes the frames of the last generation of the log, as far as to its last commit.
    fn read_log(&mut self, log: &mut File) -> io::Result<()> {
        let mut header = [0; LOG_HEADER];
        if !read_whole(log, &mut header)? {
            return Ok(());
        }
        let is_big_endian = word(&header, 0) == LOG_MAGIC + 1;
        let mut seed = (word(&header, 24), word(&header, 28));
        let is_header_whole = checksum(&header[..24], (0, 0), is_big_endian) == seed;
        let mut salts: [u8; 8] = header[16..24].try_into().unwrap_or_default();
        let mut frame = vec![0; FRAME_HEADER + self.size];
        let mut at = LOG_HEADER as u64;
        let mut uncommitted = Vec::new();
        let mut is_interrupted = false;
        while read_whole(log, &mut frame)? {
            if at == LOG_HEADER as u64 && !is_header_whole {
                // The first frame says which generation this is.
                salts = frame[8..16].try_into().unwrap_or_default();
            }
            let place = at + FRAME_HEADER as u64;
            at += frame.len() as u64;
            if frame[8..16] != salts {
                // A frame of a former generation, as all behind it are; or a damaged one.
                is_interrupted = true;
                continue;
            }
            let page = word(&frame, 0);
            let sum = checksum(&frame[..8], seed, is_big_endian);
            let sum = checksum(&frame[FRAME_HEADER..], sum, is_big_endian);
            // What the frame says is where the next one goes on, so that a damaged one does not spoil those behind it.
            seed = (word(&frame, 16), word(&frame, 20));
            uncommitted.push((page, place, sum == seed));
            if word(&frame, 4) != 0 {
                self.has_damaged_log |= is_interrupted || !is_header_whole;
                for (page, place, is_whole) in uncommitted.drain(..) {
                    self.take(page, place, is_whole);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, page: u32, place: u64, is_whole: bool) {
        let versions = self.versions.entry(page).or_default();
        self.has_damaged_log |= !is_whole;
        if is_whole {
            versions.clear();
            self.is_outdated.insert(page);
        }
        versions.insert(0, place);
        self.count = self.count.max(page);
    }

    /// Whether something that was committed is damaged in the log.
    pub(super) fn has_damaged_log(&self) -> bool {
        self.has_damaged_log
    }

    /// Number of the last page.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The versions of a page, the newest first: one, unless the newest is damaged.
    pub(super) fn versions(&self, page: u32) -> Vec<Vec<u8>> {
        let mut versions = Vec::new();
        for place in self.versions.get(&page).into_iter().flatten() {
            versions.extend(self.log.as_ref().and_then(|log| read_at(log, *place, self.size)));
        }
        if !self.is_outdated.contains(&page) && page > 0 {
            let place = u64::from(page - 1) * self.size as u64;
            versions.extend(
                self.database
                    .as_ref()
                    .and_then(|file| read_at(file, place, self.size)),
            );
        }
        versions
    }

    /// The newest version of a page.
    pub(super) fn newest(&self, page: u32) -> Option<Vec<u8>> {
        self.versions(page).into_iter().next()
    }

    /// Pages without content, by the list in the database; none where that list does not add up.
    pub(super) fn free(&self) -> BTreeSet<u32> {
        let Some(first) = self.newest(1) else {
            return BTreeSet::new();
        };
        let (mut trunk, count) = (word(&first, 32), word(&first, 36));
        let mut free = BTreeSet::new();
        while trunk != 0 && free.insert(trunk) {
            let Some(page) = self.newest(trunk) else { break };
            let leaves = (word(&page, 4) as usize).min(self.size / 4 - 2);
            free.extend((0..leaves).map(|leaf| word(&page, 8 + 4 * leaf)));
            trunk = word(&page, 0);
        }
        match u32::try_from(free.len()) == Ok(count) {
            true => free,
            false => BTreeSet::new(),
        }
    }

    /// The whole payload of a cell, of which `local` is on its page.
    fn payload(&self, local: &[u8], length: usize, mut overflow: u32) -> Option<Vec<u8>> {
        let mut payload = local.to_vec();
        while payload.len() < length {
            if overflow == 0 || overflow > self.count {
                return None;
            }
            let page = self.newest(overflow)?;
            let rest = (length - payload.len()).min(self.size - 4);
            payload.extend_from_slice(page.get(4..4 + rest)?);
            overflow = word(&page, 0);
        }
        Some(payload)
    }
}

/// Bytes of a page, as database or log tell them. Where both are damaged, pages of trees do: of larger pages, few begin in
/// the middle.
fn page_size(database: Option<&mut File>, log: Option<&mut File>) -> io::Result<usize> {
    let told = |number: u32| SIZES.into_iter().find(|size| *size == number as usize);
    if let Some(log) = log {
        let mut header = [0; LOG_HEADER];
        let is_whole = read_whole(log, &mut header)?;
        log.rewind()?;
        if let (true, Some(size)) = (is_whole, told(word(&header, 8))) {
            return Ok(size);
        }
    }
    let [large, small] = SIZES;
    let Some(file) = database else { return Ok(large) };
    let mut header = [0; FILE_HEADER];
    let is_whole = read_whole(file, &mut header)?;
    file.rewind()?;
    if let (true, Some(size)) = (is_whole, short(&header, 16).and_then(|size| told(size.into()))) {
        return Ok(size);
    }
    let begins = |place: u64| {
        let page = read_at(file, place, small);
        page.is_some_and(|page| TreePage::parse(&page, 0).is_some())
    };
    let places = (1..PAGES_COUNTED).map(|number| number * large as u64);
    let (at_large, between): (Vec<bool>, Vec<bool>) = places
        .map(|place| (begins(place), begins(place + small as u64)))
        .unzip();
    let count = |begun: Vec<bool>| begun.into_iter().filter(|begins| *begins).count();
    Ok(if 2 * count(between) > count(at_large) {
        small
    } else {
        large
    })
}

/// A page of a tree.
pub(super) struct TreePage {
    /// Rows by number, as opposed to rows by key.
    pub(super) is_by_number: bool,
    pub(super) children: Vec<u32>,
    /// Where the payload of each cell begins, and the number of its row.
    cells: Vec<(usize, usize, Option<i64>)>,
}

impl TreePage {
    /// `None` for a page of another kind, or one whose beginning is damaged.
    pub(super) fn parse(page: &[u8], number: u32) -> Option<Self> {
        let at = if number == 1 { FILE_HEADER } else { 0 };
        let kind = *page.get(at)?;
        let (is_by_number, is_leaf) = match kind {
            0x0d => (true, true),
            0x05 => (true, false),
            0x0a => (false, true),
            0x02 => (false, false),
            _ => return None,
        };
        let cell_count = usize::from(short(page, at + 3)?);
        let pointers = at + if is_leaf { 8 } else { 12 };
        let mut parsed = Self {
            is_by_number,
            children: Vec::new(),
            cells: Vec::new(),
        };
        if !is_leaf {
            parsed.children.push(word(page, at + 8));
        }
        for cell in 0..cell_count.min(page.len() / 2) {
            let Some(place) = short(page, pointers + 2 * cell) else {
                break;
            };
            let mut place = usize::from(place);
            if !is_leaf {
                if place + 4 > page.len() {
                    continue;
                }
                parsed.children.push(word(page, place));
                place += 4;
            }
            if is_by_number && !is_leaf {
                continue;
            }
            let Some((length, bytes)) = varint(page.get(place..).unwrap_or_default()) else {
                continue;
            };
            place += bytes;
            let mut row = None;
            if is_by_number {
                let Some((number, bytes)) = varint(page.get(place..).unwrap_or_default()) else {
                    continue;
                };
                place += bytes;
                row = Some(number.cast_signed());
            }
            if let Ok(length) = usize::try_from(length)
                && length <= MOST_BYTES
            {
                parsed.cells.push((place, length, row));
            }
        }
        Some(parsed)
    }

    /// The rows that are whole, each with its number if it has one.
    pub(super) fn rows(&self, page: &[u8], pages: &Pages) -> Vec<(Option<i64>, Vec<Value>)> {
        let row = |(place, length, number): &(usize, usize, Option<i64>)| {
            let local = local_length(*length, self.is_by_number, page.len());
            let overflow = match local < *length {
                true if place + local + 4 <= page.len() => word(page, place + local),
                true => return None,
                false => 0,
            };
            let payload = pages.payload(page.get(*place..place + local)?, *length, overflow)?;
            Some((*number, record(&payload)?))
        };
        self.cells.iter().filter_map(row).collect()
    }
}

/// How much of a payload is on the page of its cell, of so many bytes.
fn local_length(length: usize, is_by_number: bool, page: usize) -> usize {
    let most = match is_by_number {
        true => page - 35,
        false => (page - 12) * 64 / 255 - 23,
    };
    if length <= most {
        return length;
    }
    let least = (page - 12) * 32 / 255 - 23;
    let surplus = least + (length - least) % (page - 4);
    if surplus <= most { surplus } else { least }
}

/// The values of a record. `None` unless its lengths add up.
fn record(payload: &[u8]) -> Option<Vec<Value>> {
    let (header_length, mut at) = varint(payload)?;
    let header_length = usize::try_from(header_length).ok()?;
    let header = payload.get(..header_length)?;
    let mut body = payload.get(header_length..)?;
    let mut values = Vec::new();
    while at < header.len() {
        let (kind, bytes) = varint(&header[at..])?;
        at += bytes;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let (bytes, rest) = body.split_at_checked(length)?;
        body = rest;
        values.push(match kind {
            0 => Value::Null,
            1..=6 => Value::Integer(integer(bytes)),
            7 => Value::Real(f64::from_bits(integer(bytes).cast_unsigned())),
            8 | 9 => Value::Integer(i64::from(kind == 9)),
            _ if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        });
        if values.len() > MOST_FIELDS {
            return None;
        }
    }
    body.is_empty().then_some(values)
}

/// Big-endian, of up to 8 bytes.
fn integer(bytes: &[u8]) -> i64 {
    let sign = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let start = if sign { -1 } else { 0 };
    bytes
        .iter()
        .fold(start, |number: i64, byte| (number << 8) | i64::from(*byte))
}

/// A number of one to nine bytes, and how many there are.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (place, byte) in bytes.iter().take(8).enumerate() {
        number = (number << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, place + 1));
        }
    }
    Some(((number << 8) | u64::from(*bytes.get(8)?), 9))
}

/// The four bytes there, 0 where there are none.
fn word(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    found.map_or(0, u32::from_be_bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

/// The checksum of a log, which goes on from that of what stands before.
fn checksum(bytes: &[u8], (mut first, mut second): (u32, u32), is_big_endian: bool) -> (u32, u32) {
    let number = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or_default();
        match is_big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        }
    };
    for pair in bytes.chunks_exact(8) {
        first = first.wrapping_add(number(&pair[..4])).wrapping_add(second);
        second = second.wrapping_add(number(&pair[4..])).wrapping_add(first);
    }
    (first, second)
}

/// Fills the buffer; `false` when there is not enough left.
fn read_whole(file: &mut File, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A page that begins there; one that the disk does not give is as if it was not there.
fn read_at(mut file: &File, place: u64, size: usize) -> Option<Vec<u8>> {
    let mut page = vec![0; size];
    file.seek(SeekFrom::Start(place)).ok()?;
    file.read_exact(&mut page).ok()?;
    Some(page)
}
