//! The watched folder: a new file goes through the same steps as any other package.
//!
//! A file is taken when size and time did not change between two looks, so that a file that is still being copied waits
//! (debounce). What was taken or refused is looked at again when it changes, or the signature beside it does.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use netsage_api_types::StepRequest;
use netsage_package::file::MAX_PACKAGE_BYTES;

use super::Lifecycle;
use super::requests::{NewPackage, Origin};

/// Files that are looked at; the rest, by name, waits until there are fewer.
const MOST_FILES: usize = 256;
/// Largest signature file, bytes; one of minisign has some 300.
const MOST_SIGNATURE: u64 = 4096;

/// Size and time of a file.
type Mark = (u64, Option<SystemTime>);

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    /// Of the file and of its signature.
    marks: [Option<Mark>; 2],
    taken: bool,
}

/// A folder, and what was seen there at the last look.
pub(super) struct WatchedFolder {
    folder: PathBuf,
    seen: BTreeMap<PathBuf, Seen>,
    /// The folder could not be read at the last look: said once.
    unreadable: bool,
}

impl WatchedFolder {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            seen: BTreeMap::new(),
            unreadable: false,
        }
    }

    /// Looks once, and takes what has come to rest.
    pub(super) fn look(&mut self, lifecycle: &Lifecycle) {
        for path in self.settled() {
            if let Err(reason) = take(lifecycle, &path) {
                tracing::warn!(file = %path.display(), %reason, "file of the watched folder not taken");
            }
        }
    }

    /// The files that are as they were at the last look and were not taken yet.
    fn settled(&mut self) -> Vec<PathBuf> {
        let paths = match packages_in(&self.folder) {
            Ok(paths) => paths,
            Err(error) => {
                if !self.unreadable {
                    tracing::warn!(folder = %self.folder.display(), %error, "the watched folder cannot be read; it is tried again");
                }
                self.unreadable = true;
                return Vec::new();
            }
        };
        self.unreadable = false;
        let before = std::mem::take(&mut self.seen);
        let mut settled = Vec::new();
        for path in paths {
            let marks = [mark(&path), mark(&signature_of(&path))];
            let last = before.get(&path).filter(|last| last.marks == marks);
            let taken = last.is_some();
            if last.is_some_and(|last| !last.taken) {
                settled.push(path.clone());
            }
            self.seen.insert(path, Seen { marks, taken });
        }
        settled
    }
}

/// The packages in a folder, by name.
fn packages_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .filter(|path| path.is_file())
        .collect();
    paths.sort_unstable();
    paths.truncate(MOST_FILES);
    Ok(paths)
}

fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

fn mark(path: &Path) -> Option<Mark> {
    let metadata: Metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

fn take(lifecycle: &Lifecycle, path: &Path) -> Result<(), String> {
    let read = |error: std::io::Error| format!("it cannot be read: {error}");
    let size = fs::metadata(path).map_err(read)?.len();
    if size > MAX_PACKAGE_BYTES as u64 {
        return Err(format!(
            "it has {size} bytes, and a package has at most {MAX_PACKAGE_BYTES}"
        ));
    }
    let signature = signature_of(path);
    let has_signature = fs::metadata(&signature).is_ok_and(|metadata| metadata.len() <= MOST_SIGNATURE);
    let new = NewPackage {
        bytes: fs::read(path).map_err(read)?,
        signature: has_signature
            .then(|| fs::read_to_string(&signature).ok())
            .flatten(),
        origin: Origin::Directory,
        built_in: false,
        label: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    };
    let until = lifecycle.config.rollout.until;
    let staged = lifecycle.stage(&new, &StepRequest::default(), until);
    staged.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_once_it_rests_and_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let mut watched = WatchedFolder::new(folder.path().to_path_buf());
        let path = folder.path().join("a.wasm");
        fs::write(folder.path().join("readme.txt"), b"no package").unwrap();
        assert!(watched.settled().is_empty());
        fs::write(&path, b"first").unwrap();
        assert!(watched.settled().is_empty(), "it may still be growing");
        fs::write(&path, b"first and second").unwrap();
        assert!(watched.settled().is_empty(), "it grew");
        assert_eq!(watched.settled(), std::slice::from_ref(&path));
        assert!(watched.settled().is_empty(), "what was taken is not tried again");
        fs::write(signature_of(&path), b"signature").unwrap();
        assert!(watched.settled().is_empty());
        assert_eq!(
            watched.settled(),
            std::slice::from_ref(&path),
            "it has a signature now"
        );
        fs::remove_file(&path).unwrap();
        assert!(watched.settled().is_empty());
        fs::write(&path, b"first and second").unwrap();
        assert!(watched.settled().is_empty());
        assert_eq!(watched.settled(), [path], "it came again");
    }
}
