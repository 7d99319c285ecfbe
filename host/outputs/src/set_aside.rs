//! Messages that a receiver refuses for good, in a file of the data folder: shown, and sent again when somebody asks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use netsage_messages::Message;
use serde::{Deserialize, Serialize};

use crate::event_log::write_whole;

/// Messages that are kept; beyond that the oldest goes.
const MOST: usize = 1_000;

/// A message that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// The message.
    pub message: Message,
    /// What the receiver said.
    pub reason: String,
    /// When, ms since the epoch.
    pub at_ms: i64,
}

/// The messages that one output has set aside.
#[derive(Debug)]
pub struct SetAside {
    path: PathBuf,
    refused: Mutex<Vec<Refused>>,
}

impl SetAside {
    /// Opens the file, which need not be there. A line that cannot be read is dropped.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let refused = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        Ok(Self {
            path: path.to_owned(),
            refused: Mutex::new(refused),
        })
    }

    /// Keeps a message, in the place of an earlier refusal of the same one.
    ///
    /// # Errors
    /// When the file cannot be written; the message is kept in memory.
    pub fn keep(&self, refused: Refused) -> io::Result<()> {
        let mut all = self.all();
        let id = refused.message.id();
        all.retain(|kept| kept.message.id() != id);
        all.push(refused);
        let surplus = all.len().saturating_sub(MOST);
        all.drain(..surplus);
        self.write(&all)
    }

    /// Forgets a message that was taken after all, or that nobody wants any more; returns whether it was there.
    ///
    /// # Errors
    /// When the file cannot be written; the message is forgotten until the program starts again.
    pub fn forget(&self, id: &str) -> io::Result<bool> {
        let mut all = self.all();
        let before = all.len();
        all.retain(|kept| kept.message.id() != id);
        let is_forgotten = all.len() < before;
        if is_forgotten {
            self.write(&all)?;
        }
        Ok(is_forgotten)
    }

    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<Refused> {
        self.all().clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, all: &[Refused]) -> io::Result<()> {
        let mut text = Vec::new();
        for refused in all {
            serde_json::to_writer(&mut text, refused)?;
            text.push(b'\n');
        }
        write_whole(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_kept_until_it_is_forgotten() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("refused.jsonl");
        let refused = |number| Refused {
            message: Message::Test(number),
            reason: "too large".to_owned(),
            at_ms: 1,
        };
        let numbers = || {
            let all = SetAside::open(&path).unwrap().list();
            all.into_iter()
                .map(|refused| refused.message.id())
                .collect::<Vec<_>>()
        };
        let set_aside = SetAside::open(&path).unwrap();
        for number in [1, 2, 1] {
            set_aside.keep(refused(number)).unwrap();
        }
        assert_eq!(numbers(), ["test-2", "test-1"]);
        assert!(set_aside.forget("test-2").unwrap());
        assert!(!set_aside.forget("test-2").unwrap());
        assert_eq!(numbers(), ["test-1"]);
        for number in 0..1_200 {
            set_aside.keep(refused(number)).unwrap();
        }
        assert_eq!((numbers().len(), set_aside.count()), (MOST, MOST));
    }
}
