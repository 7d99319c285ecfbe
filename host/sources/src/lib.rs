//! Where flows come from: captures and tables, told apart by their first bytes and never by their name.
//!
//! This crate opens a file, unpacks it, and hands over packets or rows. It must never decide what a flow is (that is
//! `netsage-capture`), know a detector or a store, or read a whole file into memory. Start with [`open`].

mod capture;
mod table;

use std::fs::File;
use std::io::{self, Chain, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use netsage_capture::file::FileError;
use netsage_schema::csv::CsvError;

pub use capture::{CaptureFile, meter_file};
pub use table::TableFile;

/// Bytes looked at to tell what a file is.
const SNIFFED_BYTES: usize = 512;

/// Why a file cannot be used. Every message starts with its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The system does not give the file.
    #[error("{}: cannot open the file: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is not one byte.
    #[error("{}: the file is empty; expected a capture (pcap, pcapng) or a CSV in the format of UNSW-NB15", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither a capture nor text.
    #[error("{}: neither a capture (pcap, pcapng) nor a CSV in the format of UNSW-NB15", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The capture is damaged.
    #[error("{}: {source}{}", path.display(), cause(source))]
    Capture {
        /// The file.
        path: PathBuf,
        /// What is wrong and at which packet.
        source: FileError,
    },
    /// The CSV cannot be read.
    #[error("{}: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong and at which line.
        source: CsvError,
    },
}

/// The one reason that its message leaves to its source.
fn cause(error: &FileError) -> String {
    match error {
        FileError::Io { source, .. } => format!(": {source}"),
        _ => String::new(),
    }
}

/// An open file of either kind.
pub enum Input {
    /// A capture.
    Capture(CaptureFile),
    /// A CSV.
    Table(TableFile),
}

/// How far a file has been read, for a progress bar.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Bytes of the file as it lies on the disk.
    pub total: u64,
    read: Arc<AtomicU64>,
}

impl Progress {
    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

type Content = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// A file, unpacked, with its first bytes known.
struct Opened {
    path: PathBuf,
    head: Vec<u8>,
    content: Content,
    progress: Progress,
}

/// Opens a capture or a CSV.
///
/// # Errors
/// When the file cannot be opened, is empty, is neither, or its header does not fit.
pub fn open(path: &Path) -> Result<Input, InputError> {
    let opened = unpack(path)?;
    if opened.head.is_empty() {
        return Err(InputError::Empty { path: opened.path });
    }
    if is_capture(&opened.head) {
        return CaptureFile::new(opened).map(Input::Capture);
    }
    if !is_text(&opened.head) {
        return Err(InputError::Unknown { path: opened.path });
    }
    TableFile::new(opened).map(Input::Table)
}

/// Opens a capture.
///
/// # Errors
/// When the file cannot be opened or is no capture.
pub fn open_capture(path: &Path) -> Result<CaptureFile, InputError> {
    CaptureFile::new(unpack(path)?)
}

fn unpack(path: &Path) -> Result<Opened, InputError> {
    let failed = |source| InputError::Open {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let read = Arc::new(AtomicU64::new(0));
    let progress = Progress {
        total: metadata.len(),
        read: Arc::clone(&read),
    };
    let mut raw: Box<dyn Read + Send> = Box::new(Counted { inner: file, read });
    let packed_head = read_head(&mut raw).map_err(failed)?;
    let gzipped = packed_head.starts_with(&[0x1f, 0x8b]);
    let whole = Cursor::new(packed_head.clone()).chain(raw);
    if !gzipped {
        return Ok(Opened {
            path: path.to_path_buf(),
            head: packed_head,
            content: whole,
            progress,
        });
    }
    let mut unpacked: Box<dyn Read + Send> = Box::new(MultiGzDecoder::new(whole));
    let head = read_head(&mut unpacked).map_err(failed)?;
    let content = Cursor::new(head.clone()).chain(unpacked);
    Ok(Opened {
        path: path.to_path_buf(),
        head,
        content,
        progress,
    })
}

fn read_head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(SNIFFED_BYTES);
    input.take(SNIFFED_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn is_capture(head: &[u8]) -> bool {
    const MAGICS: [[u8; 4]; 5] = [
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x0a, 0x0d, 0x0d, 0x0a],
    ];
    MAGICS.iter().any(|magic| head.starts_with(magic))
}

/// Text has no control characters but blanks and line breaks. Bytes of 128 and more are left to the reader
/// of the CSV, which can say in which line the text stops being UTF-8.
fn is_text(head: &[u8]) -> bool {
    head.iter()
        .all(|&byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r'))
}

struct Counted {
    inner: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
