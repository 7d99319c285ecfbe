//! The watched folder: a new file goes through the same steps as any other package.
//!
//! A file is taken when size and time did not change between two looks, so that a file that is still being copied waits
//! (debounce). What was taken or refused is looked at again when it changes, or the signature beside it does.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use netsage_api_types::StepRequest;
use netsage_package::file::MAX_PACKAGE_BYTES;

use super::Lifecycle;
use super::requests::{NewPackage, Origin};

/// Files that are looked at; the rest, by name, waits until there are fewer.
const MOST_FILES: usize = 256;
/// Largest signature file, bytes; one of minisign has some 300.
const MOST_SIGNATURE: usize = 4096;

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
    let is_candidate = |entry: &fs::DirEntry| {
        let is_package = Path::new(&entry.file_name())
            .extension()
            .is_some_and(|extension| extension == "wasm");
        // Links are among them so that it can be said that they are not followed.
        is_package
            && entry
                .file_type()
                .is_ok_and(|kind| kind.is_file() || kind.is_symlink())
    };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .filter(is_candidate)
        .map(|entry| entry.path())
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
    let metadata: Metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

/// Reads a file that is no link, device or pipe, to at most so many bytes, however it grows meanwhile. Whoever may write
/// into the folder shall not have this program read what only this program can read.
fn read_plain(path: &Path, most: usize) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("it cannot be read: {error}");
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if metadata.is_symlink() {
        return Err("it is a link, and links are not followed here; put the file itself there".to_owned());
    }
    let mut options = fs::OpenOptions::new();
    options.read(true);
    // Between the look and the opening it may have become another.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > most {
        return Err(format!("it has more than {most} bytes, which is too much"));
    }
    Ok(bytes)
}

fn take(lifecycle: &Lifecycle, path: &Path) -> Result<(), String> {
    let signature = signature_of(path);
    let new = NewPackage {
        bytes: read_plain(path, MAX_PACKAGE_BYTES)?,
        signature: match fs::symlink_metadata(&signature) {
            Ok(_) => {
                let bytes = read_plain(&signature, MOST_SIGNATURE)
                    .map_err(|reason| format!("its signature: {reason}"))?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Err(_) => None,
        },
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

    #[test]
    #[cfg(unix)]
    fn links_pipes_and_what_is_too_long_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("plain.wasm"), b"12345678").unwrap();
        std::os::unix::fs::symlink(path("plain.wasm"), path("link.wasm")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("device.wasm")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(path("pipe.wasm"))
            .status();
        assert!(made.unwrap().success());
        assert_eq!(read_plain(&path("plain.wasm"), 8).unwrap(), b"12345678");
        let check = |name: &str, most: usize, expected: &str| {
            let reason = read_plain(&path(name), most).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        };
        check("plain.wasm", 7, "more than 7 bytes");
        check("link.wasm", 8, "is a link");
        check("device.wasm", 8, "is a link");
        check("pipe.wasm", 8, "is no file");
        check("none.wasm", 8, "cannot be read");
        let found = packages_in(folder.path()).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
