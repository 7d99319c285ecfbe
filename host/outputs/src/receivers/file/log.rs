//! The file that is written to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::options::{FileError, FileOptions};
use super::rotation::{Rotation, bring_folder_to_disk, folder, with_end};

/// A file of lines that is rotated. Lines are acknowledged when the disk has them.
pub(super) struct Log {
    path: PathBuf,
    largest: u64,
    every: Option<Duration>,
    rotation: Rotation,
    open: Option<Open>,
}

struct Open {
    file: File,
    size: u64,
    /// When it was written to last.
    written: SystemTime,
}

impl Log {
    /// Opens the file, and tries what rotation will need.
    ///
    /// # Errors
    /// When the file cannot be written to, or its folder not.
    pub(super) fn new(options: &FileOptions) -> Result<Self, FileError> {
        options.check()?;
        if options.path.file_name().is_none() {
            return Err(FileError::NoName {
                path: options.path.clone(),
            });
        }
        let mut log = Self {
            path: options.path.clone(),
            largest: options.rotate_size.0 as u64,
            every: options.rotate_every.map(|every| every.0),
            rotation: Rotation {
                names: options.names,
                keep: options.keep,
                gzip: options.gzip,
            },
            open: None,
        };
        log.reopen()?;
        if let Err(error) = log.rotation.tidy(&log.path) {
            tracing::warn!(path = %log.path.display(), %error, "rotated files not tidied up");
        }
        Ok(log)
    }

    /// Opens the file anew, which may have been moved away, and tries whether another can be made beside it.
    ///
    /// # Errors
    /// When the file cannot be written to, or its folder not.
    pub(super) fn reopen(&mut self) -> Result<(), FileError> {
        self.open = None;
        self.ready()?;
        let trial = with_end(&self.path, "trial");
        let tried = create(&trial, true).and_then(|_| fs::remove_file(&trial));
        tried.map_err(failed(
            folder(&self.path),
            "no file can be made in the folder, which rotation needs",
        ))
    }

    /// Writes lines, which end with line ends, and brings them to the disk. How many were written for good is counted in
    /// `taken`, also when the rest fails.
    ///
    /// # Errors
    /// When not all of them are on the disk.
    pub(super) fn append(
        &mut self,
        lines: &[Vec<u8>],
        now: SystemTime,
        taken: &mut usize,
    ) -> Result<(), FileError> {
        let appended = self.try_append(lines, now, taken);
        if appended.is_err() {
            // Whatever half of a line is there now: the next attempt looks at the file anew, and ends it.
            self.open = None;
        }
        appended
    }

    fn try_append(&mut self, lines: &[Vec<u8>], now: SystemTime, taken: &mut usize) -> Result<(), FileError> {
        if self.was_moved() {
            self.open = None;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            if self.is_due(rest, now)? {
                self.rotate(now)?;
            }
            let room = self.largest.saturating_sub(self.ready()?.size);
            let count = fitting(rest, room).max(1);
            let (part, later) = rest.split_at(count);
            let bytes = part.concat();
            let path = self.path.clone();
            let open = self.ready()?;
            open.file
                .write_all(&bytes)
                .map_err(failed(&path, "cannot be written to"))?;
            open.file
                .sync_data()
                .map_err(failed(&path, "is not on the disk"))?;
            open.size += bytes.len() as u64;
            open.written = now;
            *taken += count;
            rest = later;
        }
        Ok(())
    }

    /// Whether another file has to be begun before these lines.
    fn is_due(&mut self, lines: &[Vec<u8>], now: SystemTime) -> Result<bool, FileError> {
        let (largest, every) = (self.largest, self.every);
        let open = self.ready()?;
        let next = lines.first().map_or(0, |line| line.len() as u64);
        let is_full = open.size + next > largest;
        let is_old = every.is_some_and(|every| period(open.written, every) < period(now, every));
        Ok(open.size > 0 && (is_full || is_old))
    }

    fn rotate(&mut self, now: SystemTime) -> Result<(), FileError> {
        self.open = None;
        let at_s = i64::try_from(since_epoch(now).as_secs()).unwrap_or(i64::MAX);
        let rotated = self.rotation.rotate(&self.path, at_s);
        rotated.map_err(failed(
            &self.path,
            "cannot be moved out of the way of the next file",
        ))
    }

    /// Whether another program has moved the file away or deleted it.
    fn was_moved(&self) -> bool {
        let Some(open) = &self.open else { return false };
        match (open.file.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(there)) => !is_same(&ours, &there),
            _ => true,
        }
    }

    /// The open file; opens it first where it is not, and ends a line that was cut off.
    fn ready(&mut self) -> Result<&mut Open, FileError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        Ok(self.open.insert(open))
    }
}

fn open(path: &Path) -> Result<Open, FileError> {
    let mut file = create(path, false).map_err(failed(path, "cannot be opened"))?;
    let found = file.metadata().map_err(failed(path, "cannot be looked at"))?;
    if !found.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a file");
        return Err(failed(path, "cannot be opened")(error));
    }
    let mut size = found.len();
    if size > 0 && !ends_a_line(&mut file).map_err(failed(path, "cannot be read"))? {
        file.write_all(b"\n")
            .map_err(failed(path, "cannot be written to"))?;
        size += 1;
        tracing::warn!(path = %path.display(), "half a line was left by a kill and is ended; its message comes again");
    }
    bring_folder_to_disk(path).map_err(failed(folder(path), "is not on the disk"))?;
    Ok(Open {
        file,
        size,
        written: found.modified().unwrap_or_else(|_| SystemTime::now()),
    })
}

/// Opens a file for its owner to write and its group to read, since alerts say who talks to whom.
pub(super) fn create(path: &Path, is_empty: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    match is_empty {
        true => options.write(true).truncate(true),
        false => options.read(true).append(true),
    };
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// How many lines from the first on fit together.
fn fitting(lines: &[Vec<u8>], room: u64) -> usize {
    let ends = lines.iter().scan(0, |size, line| {
        *size += line.len() as u64;
        Some(*size)
    });
    ends.take_while(|end| *end <= room).count()
}

/// The number of the stretch of time in which a time lies, counted from the epoch.
fn period(at: SystemTime, every: Duration) -> u128 {
    since_epoch(at).as_millis() / every.as_millis().max(1)
}

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> FileError {
    move |error| FileError::Disk {
        path: path.to_owned(),
        doing,
        error,
    }
}

#[cfg(unix)]
fn is_same(ours: &fs::Metadata, there: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_same(_ours: &fs::Metadata, _there: &fs::Metadata) -> bool {
    true
}
