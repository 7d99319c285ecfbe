//! What a start finds damaged, or finds and does not know: kept under another name, and told.
//!
//! A damaged file may be all that is left of something, and a file that nothing names may be a package whose line in the
//! journal was lost. So neither is deleted: both go to the folder `set-aside`, whose files this program never reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::directory::{make_private, sync_folder};

const FOLDER: &str = "set-aside";

/// The folder `set-aside` beside what a part of the program keeps, and what went there since the start.
#[derive(Debug, Default)]
pub struct SetAside {
    /// `None` where nothing is kept.
    folder: Option<PathBuf>,
    told: Mutex<Vec<String>>,
}

impl SetAside {
    /// The folder inside `root`; made when it is needed.
    pub fn new(root: &Path) -> Self {
        Self {
            folder: Some(root.join(FOLDER)),
            told: Mutex::default(),
        }
    }

    /// Moves a file; gives its new path, `None` where nothing is kept.
    ///
    /// # Errors
    /// When the folder cannot be made or the file cannot be moved.
    pub fn take(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let Some(free) = self.free_name(path)? else {
            return Ok(None);
        };
        fs::rename(path, &free)?;
        Ok(Some(free))
    }

    /// Gives a file a second name, until the first name is given to another file. Gives that name, `None` where nothing is
    /// kept.
    ///
    /// # Errors
    /// When the folder cannot be made or the file cannot be linked or copied.
    pub fn link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let Some(free) = self.free_name(path)? else {
            return Ok(None);
        };
        // A file system without links needs the room of a copy.
        fs::hard_link(path, &free).or_else(|_| fs::copy(path, &free).map(drop))?;
        if let Some(folder) = &self.folder {
            sync_folder(folder)?;
        }
        Ok(Some(free))
    }

    /// Says in the log, and for as long as the program runs in its health, what was wrong.
    pub fn tell(&self, sentence: String) {
        tracing::warn!("{sentence}");
        self.lock().push(sentence);
    }

    /// What was wrong, a sentence each.
    pub fn told(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn free_name(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let (Some(folder), Some(name)) = (&self.folder, path.file_name()) else {
            return Ok(None);
        };
        make_private(folder)?;
        let numbered = |number: u32| {
            let mut name = name.to_owned();
            if number > 1 {
                name.push(format!(".{number}"));
            }
            folder.join(name)
        };
        Ok((1..).map(numbered).find(|path| !path.exists()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
