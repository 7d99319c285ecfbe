//! The files that a log is and was: what each is known by, and which stand beside it.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
#[cfg(not(unix))]
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use netsage_records::formats::{Format, Recognised, recognise};
use serde_json::{Value, json};

use super::GRACE;
use crate::packing::Packing;

/// Bytes beyond the header by which a part is known.
pub(super) const PRINTED: usize = 4_096;
/// Bytes in which a header and what a part is known by are looked for.
const HEAD: usize = 1 << 16;
/// What a part is known by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Print {
    /// Device and inode, as text, and birth time.
    pub(super) inode: String,
    /// How many bytes beyond the header are known, up to [`PRINTED`], and their digest.
    pub(super) length: usize,
    pub(super) digest: u64,
}

impl Print {
    pub(super) fn of(metadata: &Metadata, head: &[u8]) -> Self {
        let printed = printed(head);
        Self {
            inode: inode(metadata),
            length: printed.len(),
            digest: digest(printed),
        }
    }

    /// Whether a file with this inode that begins with `head` is the part, or a copy of it.
    pub(super) fn is(&self, metadata: &Metadata, head: &[u8]) -> bool {
        match beyond_header(head).get(..self.length) {
            _ if self.length == 0 => self.inode == inode(metadata),
            Some(printed) => digest(printed) == self.digest,
            None => false,
        }
    }

    pub(super) fn to_value(&self) -> Value {
        json!([self.inode, self.length, format!("{:016x}", self.digest)])
    }

    pub(super) fn of_value(value: &Value) -> Option<Self> {
        Some(Self {
            inode: value.get(0)?.as_str()?.to_owned(),
            length: usize::try_from(value.get(1)?.as_u64()?).ok()?,
            digest: u64::from_str_radix(value.get(2)?.as_str()?, 16).ok()?,
        })
    }
}

/// A file that may be a part.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) metadata: Metadata,
    /// Its first bytes, unpacked.
    pub(super) head: Vec<u8>,
    pub(super) packing: Option<Packing>,
    /// Whether a pattern names it.
    pub(super) is_named: bool,
}

impl Found {
    pub(super) fn open(path: PathBuf, is_named: bool) -> io::Result<Self> {
        // The opening of a FIFO would wait.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        let mut head = head_of(&file)?;
        let packing = Packing::of(&head);
        if let Some(packing) = packing {
            let mut unpacked = Vec::new();
            let mut bytes = packing.unpack(File::open(&path)?).take(HEAD as u64);
            let is_whole = bytes.read_to_end(&mut unpacked).is_ok();
            // While it is written it cannot be told from a part that begins like it.
            if !is_whole && printed(&unpacked).len() < PRINTED && is_young(&metadata) {
                return Err(io::Error::from(io::ErrorKind::WouldBlock));
            }
            head = unpacked;
        }
        Ok(Self {
            path,
            file,
            metadata,
            head,
            packing,
            is_named,
        })
    }
}

/// The first bytes of a file, wherever its handle stands.
pub(super) fn head_of(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let mut length = 0;
    while let Some(rest) = head.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match read_at(file, rest, length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(length);
    Ok(head)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let before = file.stream_position()?;
    file.seek(SeekFrom::Start(offset))?;
    let read = file.read(bytes);
    file.seek(SeekFrom::Start(before))?;
    read
}

/// The bytes behind the lines that say what the columns are: those of two logs are often the same.
pub(super) fn beyond_header(mut head: &[u8]) -> &[u8] {
    let first = head.get(..PRINTED).unwrap_or(head);
    let is_argus = !matches!(first, [b'#' | b'{' | b'[', ..])
        && matches!(recognise(first), Recognised::Format(Format::Argus));
    let mut is_first = true;
    loop {
        let is_header = (is_first && is_argus) || head.trim_ascii_start().starts_with(b"#");
        if !is_header {
            return head;
        }
        is_first = false;
        let Some(end) = memchr::memchr(b'\n', head) else {
            return &[];
        };
        head = head.get(end + 1..).unwrap_or_default();
    }
}

/// The bytes by which a file is known that begins so.
pub(super) fn printed(head: &[u8]) -> &[u8] {
    let printed = beyond_header(head);
    printed.get(..PRINTED).unwrap_or(printed)
}

/// Other files of a folder whose names begin as that of a log, up to its first dot.
pub(super) fn neighbours(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some((stem, _)) = name.split_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return Vec::new();
    };
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let alike = |other: &String| match other.strip_prefix(stem).map(str::as_bytes) {
        Some([b'.', ..] | [b'-' | b'_', b'0'..=b'9', ..]) => other != name,
        _ => false,
    };
    let path_of = |other: String| path.with_file_name(other);
    names.filter(alike).map(path_of).collect()
}

/// Device, inode and birth time, as far as the system has them.
pub(super) fn inode(metadata: &Metadata) -> String {
    let born = metadata.created().map(nanoseconds).unwrap_or_default();
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        format!("{}:{}:{born}", metadata.dev(), metadata.ino())
    }
    #[cfg(not(unix))]
    format!("{born}")
}

pub(super) fn same_file(print: &Print, metadata: &Metadata) -> bool {
    print.inode == inode(metadata)
}

pub(super) fn stamp(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), changed(metadata))
}

/// Whether the file has changed a moment ago. Its time of modification may be that of another file.
pub(super) fn is_young(metadata: &Metadata) -> bool {
    let age = changed(metadata).and_then(|time| SystemTime::now().duration_since(time).ok());
    age.is_none_or(|age| age < GRACE)
}

/// When the file was changed last, its name and mode included.
#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;
    let seconds = Duration::from_secs(u64::try_from(metadata.ctime()).ok()?);
    let rest = Duration::from_nanos(u64::try_from(metadata.ctime_nsec()).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds + rest)
}

#[cfg(not(unix))]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The same in every run, since positions keep it.
fn digest(bytes: &[u8]) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}
