//! A file that is damaged: noticed, set aside whole, and begun anew.
//!
//! A small file is checked before it is opened, a large one beside the work. What is found then, or by a read or a write
//! of the running program, is treated alike: database and log get another name, under which they still belong together,
//! and the writer goes on with a new file. Writing on into a damaged file would spoil more of it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

use super::schema::{self, Marks};
use super::{recover, write};
use crate::StoreError;

/// Largest file that is checked before it is opened, bytes. A check reads all of it, some 500 MB a second.
const CHECKED_FIRST: u64 = 64 << 20;

/// What SQLite puts behind the name of a database for its log and the index of that.
const SIDE_FILES: [&str; 2] = ["-wal", "-shm"];

/// First bytes of a database, and where [`schema::APPLICATION_ID`] stands in it.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const APPLICATION_ID_AT: usize = 68;
/// Bytes of these two that may be damaged in a file that is still taken for ours by them.
const MOST_WRONG: usize = 1;

/// The file of a store, and what was found wrong with it.
#[derive(Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
    /// How many files have had this name since the start. A connection is of one of them.
    number: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// What is wrong with the file in use.
    damage: Option<String>,
    /// That file has another name already, and no new one was begun yet.
    is_set_aside: bool,
    /// The last revision that the file which was set aside last has given.
    last_revision: i64,
    /// What was set aside, a sentence each.
    told: Vec<String>,
}

impl Found {
    fn note_set_aside(&mut self, path: &Path, kept: &Path, last_revision: i64) {
        self.is_set_aside = true;
        self.last_revision = self.last_revision.max(last_revision);
        let detail = self.damage.as_deref().unwrap_or_default();
        tracing::error!(path = %path.display(), kept = %kept.display(), detail, "damaged store set aside, a new one is begun");
        let name = kept.file_name().unwrap_or_default().to_string_lossy();
        self.told.push(format!(
            "the store was damaged ({detail}) and is now `{name}` in its folder; a new one was begun, and `netsage store recover` salvages what the damaged one still gives"
        ));
    }
}

impl StoreFile {
    /// Opens the file for writing. A damaged one is set aside and a new one begun. A whole file that is not ours, or of
    /// another version, is left untouched, which is an error.
    pub(super) fn open(path: PathBuf) -> Result<(Arc<Self>, Connection), StoreError> {
        Self::open_checking(path, CHECKED_FIRST)
    }

    /// Opens it likewise; a file of more bytes is checked in the background.
    fn open_checking(path: PathBuf, checked_first: u64) -> Result<(Arc<Self>, Connection), StoreError> {
        let file = Arc::new(Self {
            path,
            number: AtomicU64::new(0),
            found: Mutex::default(),
        });
        let length = fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        if length == 0 && file.has_log() {
            // SQLite would delete the log, which may be all that is left.
            file.damaged("its log is there and the database is not");
            return file.begin_anew().map(|connection| (file, connection));
        }
        file.keep_damaged_log();
        let is_checked_first = length <= checked_first;
        let check = |connection: &Connection| {
            if is_checked_first {
                quick_check(connection)?;
            }
            if let Marks::Mended = schema::check_marks(connection, &file.path)? {
                file.note_mended();
            }
            Ok(())
        };
        match schema::open_writer(&file.path, check) {
            Ok(connection) => {
                if !is_checked_first {
                    Arc::clone(&file).check_in_background();
                }
                Ok((file, connection))
            }
            Err(
                error @ (StoreError::NotADatabase { .. }
                | StoreError::Damaged { .. }
                | StoreError::Foreign { .. }),
            ) if file.is_ours() => {
                let detail = match &error {
                    StoreError::Damaged { detail } => detail,
                    _ => "its header is damaged",
                };
                file.damaged(detail);
                file.begin_anew().map(|connection| (file, connection))
            }
            Err(error) => Err(error),
        }
    }

    fn note_mended(&self) {
        tracing::warn!(path = %self.path.display(), "damaged numbers in the header of the store are written again");
        let sentence = "a number in the header of the store (its version or application) was damaged and is written again; nothing is lost by that";
        self.lock().told.push(sentence.to_owned());
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes when a new file is begun.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// What is wrong now, and what was set aside since the start, a sentence each.
    pub(super) fn told(&self) -> Vec<String> {
        let found = self.lock();
        let damage = found.damage.as_ref().filter(|_| !found.is_set_aside);
        let now = damage.map(|detail| format!("the store is damaged ({detail}) and is being set aside"));
        found.told.iter().cloned().chain(now).collect()
    }

    /// Notes that the file in use is damaged. The writer then sets it aside.
    pub(super) fn damaged(&self, detail: &str) {
        let mut found = self.lock();
        if found.damage.is_none() {
            tracing::error!(path = %self.path.display(), detail, "store is damaged");
            found.damage = Some(detail.to_owned());
        }
    }

    /// Notes it where an error says so. `number` is that of the file which the error comes from.
    pub(super) fn heed(&self, error: &StoreError, number: u64) {
        if let StoreError::Damaged { detail } = error
            && number == self.number()
        {
            self.damaged(detail);
        }
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.lock().damage.is_some()
    }

    /// Sets database and log aside, and begins a new file. When that fails, a later call goes on where this one ended.
    pub(super) fn begin_anew(&self) -> Result<Connection, StoreError> {
        let failed = |error: io::Error| StoreError::CannotOpen {
            path: self.path.clone(),
            reason: format!("it is damaged and cannot be set aside: {error}"),
        };
        let is_in_place = !self.lock().is_set_aside;
        if is_in_place {
            let revision = recover::last_revision(&self.path);
            let kept = self.set_aside().map_err(failed)?;
            self.number.fetch_add(1, Ordering::AcqRel);
            self.lock().note_set_aside(&self.path, &kept, revision);
        }
        make_private(&self.path).map_err(failed)?;
        let connection = schema::open_writer(&self.path, |_| Ok(()))?;
        let mut found = self.lock();
        // Whoever follows the changes has a revision of the former file, beyond which the new ones must be.
        let now = Timestamp::now().as_millisecond();
        write::write_last_revision(&connection, now.max(found.last_revision.saturating_add(1)))
            .map_err(StoreError::sqlite("begin a new store"))?;
        found.damage = None;
        found.is_set_aside = false;
        Ok(connection)
    }

    /// Keeps a copy of a log with damaged frames. SQLite reads a log as far as to the first of them, and then writes over it.
    fn keep_damaged_log(&self) {
        /// Longer than another process takes to write what it has begun.
        const MOMENT: Duration = Duration::from_millis(50);
        if !recover::has_damaged_log(&self.path) {
            return;
        }
        std::thread::sleep(MOMENT);
        if !recover::has_damaged_log(&self.path) {
            return;
        }
        let [log, _] = SIDE_FILES;
        let copied = self.free_name().and_then(|kept| {
            fs::copy(beside(&self.path, log), beside(&kept, log))?;
            Ok(kept)
        });
        let sentence = match copied {
            Ok(kept) => {
                tracing::error!(path = %self.path.display(), kept = %kept.display(), "log of the store is damaged");
                let name = kept
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                format!(
                    "the log of the store was damaged, so that the last that was recorded may be missing; a copy of it is `{name}{log}` in the folder of the store, and `netsage store recover {name}` salvages what the copy gives"
                )
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "log of the store is damaged, and cannot be copied");
                "the log of the store was damaged, so that the last that was recorded may be missing"
                    .to_owned()
            }
        };
        self.lock().told.push(sentence);
    }

    /// Reads the whole file beside the work. The writer sees what is found.
    fn check_in_background(self: Arc<Self>) {
        let number = self.number();
        let check = move || {
            let outcome = schema::open_reader(&self.path).and_then(|connection| quick_check(&connection));
            match outcome {
                Ok(()) => tracing::debug!(path = %self.path.display(), "store is whole"),
                Err(error) => self.heed(&error, number),
            }
        };
        let thread = std::thread::Builder::new().name("netsage-check".to_owned());
        if let Err(error) = thread.spawn(check) {
            tracing::warn!(%error, "store is not checked");
        }
    }

    fn has_log(&self) -> bool {
        fs::metadata(beside(&self.path, "-wal")).is_ok_and(|metadata| metadata.len() > 0)
    }

    /// Whether it is a file of this program: by its marks, of which some bytes may be damaged, or by what it holds.
    fn is_ours(&self) -> bool {
        let mut header = Vec::new();
        let length = APPLICATION_ID_AT + 4;
        let read = File::open(&self.path).and_then(|file| file.take(length as u64).read_to_end(&mut header));
        if read.is_ok() && header.len() < length {
            // It was cut within its header.
            return header
                .iter()
                .zip(MAGIC)
                .all(|(found, expected)| found == expected);
        }
        let id = schema::APPLICATION_ID.to_be_bytes();
        let expected = MAGIC.iter().chain(&id[4..]);
        let found = header
            .iter()
            .take(MAGIC.len())
            .chain(header.iter().skip(APPLICATION_ID_AT));
        let wrong = found.zip(expected).filter(|(found, expected)| found != expected);
        (read.is_ok() && wrong.count() <= MOST_WRONG) || recover::holds_rows(&self.path)
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let kept = self.free_name()?;
        // The database first: while it has its old name, the log belongs to it.
        for end in ["", SIDE_FILES[0], SIDE_FILES[1]] {
            match fs::rename(beside(&self.path, end), beside(&kept, end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(kept)
    }

    /// A name for a damaged database that nothing has.
    fn free_name(&self) -> io::Result<PathBuf> {
        let numbered = |number: u32| match number {
            1 => beside(&self.path, ".damaged"),
            _ => beside(&self.path, &format!(".damaged.{number}")),
        };
        let is_free = |kept: &PathBuf| {
            let mut names = SIDE_FILES.iter().chain(&[""]);
            !names.any(|end| beside(kept, end).exists())
        };
        let free = (1..).map(numbered).find(is_free);
        free.ok_or_else(|| io::Error::other("every name for it is taken"))
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads every page, and says what is wrong first. What only hinders reading is no damage.
fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    let detail = match found {
        Ok(found) if found == "ok" => return Ok(()),
        // The first line may be a heading.
        Ok(found) => found
            .lines()
            .rfind(|line| !line.is_empty())
            .unwrap_or("")
            .to_owned(),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
                error.to_string()
            }
            _ => {
                tracing::warn!(%error, "store is not checked");
                return Ok(());
            }
        },
    };
    Err(StoreError::Damaged { detail })
}

/// Whether the file system of a file has room for more than a moment. Where that is not known it has.
pub(super) fn has_room(path: &Path) -> bool {
    /// A transaction with one flow takes a few pages.
    const LEAST: u64 = 64 << 10;
    #[cfg(unix)]
    let free = rustix::fs::statvfs(path).map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    #[cfg(not(unix))]
    let free = fs::metadata(path).map(|_| u64::MAX);
    free.is_ok_and(|free| free >= LEAST) || free.is_err()
}

/// Makes the file, empty and its owner's alone.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A path with something behind its name.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_large_file_is_checked_while_it_is_used() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("a.db");
        let (_, connection) = StoreFile::open(path.clone()).expect("made");
        drop(connection);
        let check = |expected: bool| {
            let (file, _connection) = StoreFile::open_checking(path.clone(), 0).expect("opens");
            let begun = Instant::now();
            // The check ends with its part in the file.
            while Arc::strong_count(&file) > 1 {
                assert!(begun.elapsed() < Duration::from_secs(60));
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(file.is_damaged(), expected);
            assert_eq!(file.told().len(), usize::from(expected));
        };
        check(false);
        // The last page is the root of an index, which no start reads.
        let mut bytes = fs::read(&path).expect("a file");
        let last = bytes.len() - 8192;
        bytes[last..].fill(0x5a);
        fs::write(&path, bytes).expect("written");
        check(true);
    }
}
