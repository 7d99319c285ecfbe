//! The journal: the transactions of packages, a line each, on the disk before they take effect.
//!
//! A line is 16 hexadecimal digits (the first 8 bytes of the SHA-256 of what follows), a blank, a [`Transaction`] as
//! JSON, and a line feed. A program that dies while writing leaves an incomplete line; no caller was told that its step
//! succeeded, so the next start cuts that line off. What else is damaged costs the damaged lines and no other: the file is
//! set aside, and written anew as what its whole lines add up to. The file is bounded: a journal that has grown enough is
//! rewritten, under another name that is then renamed, as one line with the state and the younger half of the history.

use netsage_package::Digest;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::directory::{sync_folder, write_whole};
use crate::set_aside::SetAside;
use crate::state::{Book, FORMAT, MOST_ENTRIES, Transaction};

const NAME: &str = "journal";
/// Digits of the checksum.
const DIGITS: usize = 16;
/// Beginnings of lines that are looked for in a damaged line.
const MOST_PARTS: usize = 64;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system does not let us read or write it.
    #[error("the journal of detectors {} cannot be {what}: {source}; see to the disk, or name another data folder", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read`, `written` or `set aside`.
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

/// What bytes hold.
#[derive(Debug, Default)]
struct Parsed {
    /// All transactions that are whole, each once.
    transactions: Vec<Transaction>,
    /// Bytes of the whole lines at the beginning.
    length: usize,
    /// Number of the last entry.
    last_entry: u64,
    /// More is wrong than a last line that was not written to its end.
    is_damaged: bool,
}

impl Parsed {
    /// Takes a transaction over, unless it was taken over before: a disk may give out a block twice.
    fn take(&mut self, transaction: Transaction) {
        let moves = transaction.moves.iter().map(|a_move| a_move.entry.number);
        let thresholds = transaction.thresholds.iter().map(|set| set.entry.number);
        let entries: Vec<u64> = moves.chain(thresholds).collect();
        let (first, last) = (entries.iter().min().copied(), entries.iter().max().copied());
        let is_repeated = match &transaction.snapshot {
            // A snapshot is the beginning of a file.
            Some(_) => !self.transactions.is_empty(),
            None => last.is_some_and(|last| last <= self.last_entry),
        };
        // Numbers have no gaps, unless lines are missing.
        let is_behind_a_gap = first.is_some_and(|first| first > self.last_entry + 1);
        self.is_damaged |= is_repeated || is_behind_a_gap;
        if is_repeated {
            return;
        }
        let before = transaction
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.state.last_entry);
        self.last_entry = self.last_entry.max(last.max(before).unwrap_or(0));
        self.transactions.push(transaction);
    }
}

/// Reads all that is whole. A line that is not does not end the journal: the lines behind it name packages, quarantines
/// and numbers that were acknowledged, each with a checksum of its own.
///
/// # Errors
/// The line and the reason, when a line is whole and not understood.
fn parse(bytes: &[u8]) -> Result<Parsed, (usize, String)> {
    let mut parsed = Parsed::default();
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if let Some(json) = line.strip_suffix(b"\n").and_then(verified) {
            parsed.take(understood(json).map_err(|reason| (number + 1, reason))?);
            if !parsed.is_damaged {
                parsed.length += line.len();
            }
            continue;
        }
        let found: Vec<Transaction> = whole_parts(line)
            .into_iter()
            .filter_map(|json| understood(json).ok())
            .collect();
        let is_torn = line.last() != Some(&b'\n') && found.is_empty();
        parsed.is_damaged |= !is_torn;
        found.into_iter().for_each(|transaction| parsed.take(transaction));
    }
    Ok(parsed)
}

fn understood(json: &[u8]) -> Result<Transaction, String> {
    let transaction: Transaction = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    match &transaction.snapshot {
        Some(snapshot) if snapshot.format != FORMAT => Err(format!("format {}", snapshot.format)),
        _ => Ok(transaction),
    }
}

/// What a line without its line feed holds, if the line is whole.
fn verified(line: &[u8]) -> Option<&[u8]> {
    let (sum, rest) = line.split_at_checked(DIGITS)?;
    let json = rest.strip_prefix(b" ")?;
    (checksum(json).as_bytes() == sum).then_some(json)
}

/// The whole lines within a damaged one: behind a part of another line, or joined by a byte that was a line feed.
fn whole_parts(line: &[u8]) -> Vec<&[u8]> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let is_begin = |place: &usize| {
        let sum = &line[*place..*place + DIGITS];
        line[*place + DIGITS..].starts_with(b" {") && sum.iter().all(u8::is_ascii_hexdigit)
    };
    let begins: Vec<usize> = (0..line.len().saturating_sub(DIGITS))
        .filter(is_begin)
        .take(MOST_PARTS)
        .collect();
    let part = |(index, begin): (usize, &usize)| {
        let ends = begins[index + 1..].iter().map(|next| next - 1);
        // The last byte may be a line feed that was damaged.
        ends.chain([line.len(), line.len().saturating_sub(1)])
            .find_map(|end| verified(line.get(*begin..end)?))
    };
    begins.iter().enumerate().filter_map(part).collect()
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
    pub(crate) fn open(folder: &Path, set_aside: &SetAside) -> Result<(Self, Book), JournalError> {
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
        let open_file = || -> io::Result<File> {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&path)?;
            sync_folder(folder)?;
            Ok(file)
        };
        let mut open = Open {
            folder: folder.to_path_buf(),
            file: open_file().map_err(failed("written"))?,
            length: parsed.length as u64,
            entries: book.history.len(),
            broken: false,
        };
        if parsed.is_damaged {
            book.state.settle();
            let kept = set_aside.link(&path).map_err(failed("set aside"))?;
            open.compact(&book.snapshot()).map_err(failed("written"))?;
            set_aside.tell(format!(
                "the journal of detectors was damaged and is now {}; what its {} whole lines say is in effect: look whether the detectors are the right ones",
                kept.unwrap_or_default().display(),
                parsed.transactions.len()
            ));
        } else if parsed.length < bytes.len() {
            let bytes = bytes.len() - parsed.length;
            tracing::warn!(path = %path.display(), bytes, "the last line of the journal is not whole and is cut off");
            open.cut().map_err(failed("written"))?;
        }
        let is_new = open.length == 0;
        let mut journal = Self { open: Some(open) };
        if is_new {
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
                open.broken = open.cut().is_err();
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

    /// Cuts off what stands behind the whole lines.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_all()
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
