//! A segment as a file: what is whole in it, and what becomes of one that is damaged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::frames::{self, Found, HEADER, Header};

/// Ending of the names of segments.
const ENDING: &str = "spool";
/// The folder of segments, and the ends of segments, that could not be read.
const UNREADABLE: &str = "unreadable";
/// Files that are kept there.
const MOST_KEPT: usize = 4;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Where the segment stands that begins with this record.
pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.{ENDING}"))
}

/// The segments of a folder by their first records, as their names have it.
pub(super) fn names(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|ending| ending == ENDING);
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u64>().ok())
            .filter(|_| is_segment);
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes a segment whose name survives a loss of power.
pub(super) fn create(folder: &Path, header: Header) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let path = path(folder, header.first);
    let mut file = options.open(&path)?;
    let made = file.write_all(&header.bytes()).and_then(|()| {
        file.sync_data()?;
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    });
    if let Err(error) = made {
        drop(file);
        // Its name would be in the way of the next try.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(file)
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    pub(super) header: Header,
    /// Whole records before the first that is not.
    pub(super) whole: u64,
    /// Bytes of the header and of these.
    pub(super) bytes: u64,
    /// Where the record begins that was asked for; the end where it is not there.
    pub(super) place: u64,
    /// Whether records behind these are missing, and were counted.
    pub(super) has_gap: bool,
    pub(super) tail: Tail,
}

/// What stands behind the last whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    Nothing,
    /// The beginning of a record.
    Cut,
    /// No record.
    Damage,
}

/// Reads a segment through; `None` when its header is not that of the segment that its name says.
pub(super) fn scan(folder: &Path, first: u64, wanted: u64) -> io::Result<Option<Scanned>> {
    let mut file = File::open(path(folder, first))?;
    let (mut bytes, mut place, mut dropped) = (Vec::new(), HEADER, 0_u64);
    let mut is_over = read_more(&mut file, &mut bytes)?;
    let Some(header) = Header::read(&bytes).filter(|header| header.first == first) else {
        return Ok(None);
    };
    let mut scanned = Scanned {
        header,
        whole: 0,
        bytes: HEADER as u64,
        place: HEADER as u64,
        has_gap: false,
        tail: Tail::Nothing,
    };
    loop {
        match frames::at(&bytes, place) {
            Found::Record { text, .. } => {
                scanned.whole += 1;
                place = text.end;
                scanned.bytes = dropped + place as u64;
                if first + scanned.whole <= wanted {
                    scanned.place = scanned.bytes;
                }
            }
            Found::Gap => {
                scanned.has_gap = true;
                scanned.bytes = dropped + (place + frames::FRAME) as u64;
                return Ok(Some(scanned));
            }
            Found::Cut if !is_over => {
                bytes.drain(..place);
                dropped += place as u64;
                place = 0;
                is_over = read_more(&mut file, &mut bytes)?;
            }
            Found::Cut => {
                if place < bytes.len() {
                    scanned.tail = Tail::Cut;
                }
                return Ok(Some(scanned));
            }
            Found::Damage => {
                scanned.tail = Tail::Damage;
                return Ok(Some(scanned));
            }
        }
    }
}

/// Appends some bytes of a file; says whether it is at its end.
fn read_more(file: &mut File, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let read = file.take(CHUNK as u64).read_to_end(bytes)?;
    Ok(read < CHUNK)
}

/// Cuts a segment to its first `bytes`, and notes that the records behind are missing where they are. A damaged rest is kept
/// beside the spool.
pub(super) fn cut(folder: &Path, first: u64, bytes: u64, tail: Tail, has_gap: bool) -> io::Result<()> {
    let path = path(folder, first);
    if tail == Tail::Damage {
        let mut whole = Vec::new();
        File::open(&path)?.take(bytes).read_to_end(&mut whole)?;
        let fresh = path.with_extension("new");
        fs::write(&fresh, &whole)?;
        set_aside(folder, first)?;
        fs::rename(&fresh, &path)?;
    }
    let mut file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(bytes)?;
    if has_gap {
        let mut gap = Vec::new();
        frames::push_gap(&mut gap);
        file.seek(SeekFrom::End(0))?;
        file.write_all(&gap)?;
    }
    file.sync_data()
}

/// Moves a segment out of the way. Only the latest few are kept.
pub(super) fn set_aside(folder: &Path, first: u64) -> io::Result<()> {
    let aside = folder.join(UNREADABLE);
    fs::create_dir_all(&aside)?;
    fs::rename(path(folder, first), path(&aside, first))?;
    let kept = names(&aside)?;
    for old in &kept[..kept.len().saturating_sub(MOST_KEPT)] {
        fs::remove_file(path(&aside, *old))?;
    }
    Ok(())
}
