//! The journal: the transactions of packages, a line each, on the disk before they take effect.
//!
//! A line is 16 hexadecimal digits (the first 8 bytes of the SHA-256 of what follows), a blank, a [`Transaction`] as
//! JSON, and a line feed. A program that dies while writing leaves an incomplete line; no caller was told that its step
//! succeeded, so the next start cuts that line off. The file is bounded: a journal that has grown enough is rewritten,
//! under another name that is then renamed, as one line with the state and the younger half of the history.

use netsage_package::Digest;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::directory::{sync_folder, write_whole};
use crate::state::{Book, FORMAT, MOST_ENTRIES, Transaction};

const NAME: &str = "journal";
/// Name of the copy of a journal that was damaged before its last line, kept for inspection.
const DAMAGED: &str = "journal.damaged";
/// Digits of the checksum.
const DIGITS: usize = 16;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system does not let us read or write it.
    #[error("the journal of detectors {} cannot be {what}: {source}; see to the disk, or name another data folder", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// It is whole, and this program does not understand it.
    #[error("line {line} of the journal of detectors {} is of a newer version of this program ({reason}); run that version, or name another data folder", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is not understood.
        reason: String,
    },
    /// An earlier failure left it in a state that is not known.
    #[error("the journal of detectors {} could not be mended after a failed write, so nothing can be changed until the program is started again", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
    },
}

/// The transactions that bytes hold, and how many of the bytes they are.
struct Parsed {
    transactions: Vec<Transaction>,
    length: usize,
}

/// Reads lines up to the first that is not whole.
///
/// # Errors
/// The line and the reason, when a line is whole and not understood.
fn parse(bytes: &[u8]) -> Result<Parsed, (usize, String)> {
    let mut parsed = Parsed {
        transactions: Vec::new(),
        length: 0,
    };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(json) = verified(line) else { break };
        let number = parsed.transactions.len() + 1;
        let transaction: Transaction =
            serde_json::from_slice(json).map_err(|error| (number, error.to_string()))?;
        if let Some(snapshot) = transaction
            .snapshot
            .as_ref()
            .filter(|snapshot| snapshot.format != FORMAT)
        {
            return Err((number, format!("format {}", snapshot.format)));
        }
        parsed.transactions.push(transaction);
        parsed.length += line.len();
    }
    Ok(parsed)
}

/// What a whole line holds.
fn verified(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, rest) = line.split_at_checked(DIGITS)?;
    let json = rest.strip_prefix(b" ")?;
    (checksum(json).as_bytes() == sum).then_some(json)
}

fn checksum(json: &[u8]) -> String {
    let mut sum = Digest::of(json).to_string();
    sum.truncate(DIGITS);
    sum
}

fn line(transaction: &Transaction) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(transaction).map_err(io::Error::other)?;
    Ok(format!("{} {json}\n", checksum(json.as_bytes())).into_bytes())
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    /// `None` keeps nothing.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    folder: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// Entries of the history in the file.
    entries: usize,
    broken: bool,
}

impl Journal {
    /// One that keeps nothing.
    pub(crate) fn none() -> Self {
        Self { open: None }
    }

    /// Opens the journal in a folder, or begins it, and reads what it says.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Book), JournalError> {
        let path = folder.join(NAME);
        let failed = |what| {
            let path = path.clone();
            move |source| JournalError::Io { path, what, source }
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(failed("read")(source)),
        };
        let parsed = parse(&bytes).map_err(|(line, reason)| JournalError::Newer {
            path: path.clone(),
            line,
            reason,
        })?;
        let mut book = Book::default();
        parsed
            .transactions
            .iter()
            .for_each(|transaction| book.apply(transaction));
        if parsed.length < bytes.len() {
            let cut = &bytes[parsed.length..];
            tracing::warn!(path = %path.display(), bytes = cut.len(), "the end of the journal is not whole and is cut off");
            // A torn line has no end. What has one was damaged later, and somebody may want to see it.
            if cut.contains(&b'\n') {
                write_whole(folder, DAMAGED, cut).map_err(failed("written"))?;
            }
        }
        let open = || -> io::Result<File> {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&path)?;
            file.set_len(parsed.length as u64)?;
            file.sync_all()?;
            sync_folder(folder)?;
            Ok(file)
        };
        let open = Open {
            folder: folder.to_path_buf(),
            file: open().map_err(failed("written"))?,
            length: parsed.length as u64,
            entries: book.history.len(),
            broken: false,
        };
        let mut journal = Self { open: Some(open) };
        if parsed.length == 0 {
            // The first line says which format this is.
            journal.append(&Book::default().snapshot())?;
        }
        Ok((journal, book))
    }

    /// Writes a transaction; when this returns, it is on the disk.
    pub(crate) fn append(&mut self, transaction: &Transaction) -> Result<(), JournalError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.broken {
            return Err(JournalError::Broken { path: open.path() });
        }
        match open.append(transaction) {
            Ok(()) => Ok(()),
            Err(source) => {
                // What was written of it must not be there when the next line follows.
                open.broken = open.file.set_len(open.length).is_err() || open.file.sync_all().is_err();
                Err(open.failed(source))
            }
        }
    }

    /// Whether it has grown enough to be written anew.
    pub(crate) fn is_full(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| open.entries >= MOST_ENTRIES)
    }

    /// Writes it anew, in short.
    pub(crate) fn compact(&mut self, book: &Book) -> Result<(), JournalError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let transaction = book.snapshot();
        open.compact(&transaction).map_err(|source| open.failed(source))
    }
}

impl Open {
    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io {
            path: self.path(),
            what: "written",
            source,
        }
    }

    fn append(&mut self, transaction: &Transaction) -> io::Result<()> {
        use std::io::Seek as _;
        let line = line(transaction)?;
        self.file.seek(io::SeekFrom::Start(self.length))?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.length += line.len() as u64;
        self.entries += transaction.moves.len() + transaction.thresholds.len();
        Ok(())
    }

    fn compact(&mut self, transaction: &Transaction) -> io::Result<()> {
        let line = line(transaction)?;
        // Until the new file has its name, the old one is the journal.
        write_whole(&self.folder, NAME, &line)?;
        self.file = OpenOptions::new().write(true).open(self.path())?;
        self.length = line.len() as u64;
        self.entries = transaction
            .snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.history.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
