//! Files, and what comes through a pipe or a socket.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(unix)]
use crate::socket;
use crate::{Capture, Content, Input, RecordOptions, SourceError};

/// The path that is standard input.
const STANDARD_INPUT: &str = "-";

/// How far a file has been read, for a progress bar.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Bytes of the file as it lies on the disk; 0 for a pipe.
    pub total: u64,
    /// Of each file that is read as one of them.
    read: Vec<Arc<AtomicU64>>,
}

impl Progress {
    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.iter().map(|read| read.load(Ordering::Relaxed)).sum()
    }

    /// That of two files together.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn with(mut self, other: Self) -> Self {
        self.total += other.total;
        self.read.extend(other.read);
        self
    }
}

/// Opens a capture, a CSV or records. The path `-` is standard input; `unix:PATH` is a socket made there, of which the first
/// connection is waited for and read.
///
/// # Errors
/// When the file cannot be opened, is empty, is none of them, or its header does not fit.
pub fn open(path: &Path) -> Result<(Input<'static>, Progress), SourceError> {
    open_with(path, &RecordOptions::default())
}

/// As [`open`], with what is known of records.
///
/// # Errors
/// See [`open`].
pub fn open_with(path: &Path, options: &RecordOptions) -> Result<(Input<'static>, Progress), SourceError> {
    let (name, bytes, progress) = bytes_of(path)?;
    Ok((Input::open_with(&name, bytes, options)?, progress))
}

/// Opens a capture, by a path as [`open`] has it.
///
/// # Errors
/// When the file cannot be opened or is no capture.
pub fn open_capture(path: &Path) -> Result<(Capture<Content<'static>>, Progress), SourceError> {
    let (name, bytes, progress) = bytes_of(path)?;
    Ok((Capture::open(&name, bytes)?, progress))
}

/// Bytes from a file or a pipe, counted as they are read.
type Bytes = Counted<Box<dyn Read + Send>>;

/// The name of a file in messages, its bytes, and how far they are read.
fn bytes_of(path: &Path) -> Result<(String, Bytes, Progress), SourceError> {
    let name = if path == Path::new(STANDARD_INPUT) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let (inner, total) = match reader(path) {
        Ok(found) => found,
        Err(source) => return Err(SourceError::Open { name, source }),
    };
    let read = Arc::new(AtomicU64::new(0));
    let progress = Progress {
        total,
        read: vec![Arc::clone(&read)],
    };
    Ok((name, Counted { inner, read }, progress))
}

/// What reads it, and its length; 0 of what has none.
fn reader(path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
    if path == Path::new(STANDARD_INPUT) {
        return Ok((standard_input(), 0));
    }
    #[cfg(unix)]
    if let Some(path) = path.to_str().and_then(|name| name.strip_prefix(socket::PREFIX)) {
        let (connection, _) = socket::listen(Path::new(path))?.accept()?;
        return Ok((Box::new(connection), 0));
    }
    let (file, length) = file(path)?;
    Ok((Box::new(file), length))
}

/// Standard input without the buffer of the process, from which nobody else reads.
pub(crate) fn standard_input() -> Box<dyn Read + Send> {
    #[cfg(unix)]
    if let Ok(input) = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned() {
        return Box::new(File::from(input));
    }
    Box::new(io::stdin())
}

fn file(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    Ok((file, metadata.len()))
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
