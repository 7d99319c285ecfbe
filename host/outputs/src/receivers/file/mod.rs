//! A file: messages are lines of a file that is rotated.
//!
//! `docs/outputs/file.md` says what the options mean. Beneath [`FileOutput`], `log.rs` writes and `rotation.rs` moves files out
//! of the way.

mod log;
mod options;
mod rotation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use netsage_messages::{Message, TooLarge, Wording};
use netsage_store::BoxFuture;

use log::Log;
pub use options::{FileError, FileOptions, Names};

use super::writing::Writer;
use crate::{Failure, Output, Undelivered};

/// An output that appends lines to a file.
pub struct FileOutput {
    log: Arc<Mutex<Log>>,
    writer: Writer,
    longest: usize,
}

/// Has a file output open its file anew, from anywhere.
#[derive(Clone)]
pub struct Reopener(Arc<Mutex<Log>>);

impl FileOutput {
    /// A file output by its options. The file is opened and its folder tried at once, so this comes after privileges are given
    /// up: what works then works at a rotation too.
    ///
    /// # Errors
    /// When a number is outside of its range, or the file or its folder cannot be written to.
    pub fn new(options: &FileOptions, wording: Wording) -> Result<Self, FileError> {
        Ok(Self {
            log: Arc::new(Mutex::new(Log::new(options)?)),
            writer: Writer::format(options.format, wording),
            longest: options.max_line.0,
        })
    }

    /// What opens the file anew.
    pub fn reopener(&self) -> Reopener {
        Reopener(Arc::clone(&self.log))
    }
}

impl Reopener {
    /// Opens the file anew, after another program has moved it away. Waits until lines that are being written are on the disk.
    ///
    /// # Errors
    /// When the file or its folder cannot be written to any more. The output then tries again before each message.
    pub fn reopen(&self) -> Result<(), FileError> {
        locked(&self.0).reopen()
    }
}

impl Output for FileOutput {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            let mut lines = Vec::with_capacity(messages.len());
            let mut refused = None;
            for message in messages {
                match self.lines(message) {
                    Ok(text) => lines.push(text),
                    Err(error) => {
                        refused = Some(Failure::Refused(error.to_string()));
                        break;
                    }
                }
            }
            let log = Arc::clone(&self.log);
            // A disk may take its time, and threads of the runtime are for others too. A future that is dropped leaves the
            // lines to be written to their end; they come again.
            let written = tokio::task::spawn_blocking(move || {
                let mut taken = 0;
                let appended = locked(&log).append(&lines, SystemTime::now(), &mut taken);
                (taken, appended.map_err(Failure::unavailable).err())
            });
            let (taken, failure) = written
                .await
                .unwrap_or_else(|error| (0, Some(Failure::unavailable(error))));
            match failure.or(refused) {
                None => Ok(()),
                Some(failure) => Err(Undelivered { taken, failure }),
            }
        })
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.reopener().reopen().map_err(|error| error.to_string())
    }
}

impl FileOutput {
    /// The lines of a message, each with its end.
    fn lines(&self, message: &Message) -> Result<Vec<u8>, TooLarge> {
        let documents = self.writer.documents(message, self.longest)?;
        let mut lines = Vec::new();
        for document in documents {
            lines.extend(document.text.into_bytes());
            lines.push(b'\n');
        }
        Ok(lines)
    }
}

/// A thread that has panicked leaves a log that looks at its file anew.
fn locked(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
