//! The folder of packages and learned state. Every file in it is named by the digest of a package, appears by
//! renaming, complete or not at all, and is verified when it is read.

use netsage_package::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::set_aside::SetAside;

const LOCK: &str = "lock";
const PACKAGES: &str = "packages";
const STATES: &str = "state";
const CHECKSUM_BYTES: usize = 32;
/// What `tempfile` names a file that is being written.
const UNFINISHED: &str = ".tmp";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The system refuses.
    #[error("{} cannot be {what}: {source}; see to the disk, or name another data folder", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The action that failed: `made`, `read`, `written`, `locked`, `set aside`.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Another program uses the folder.
    #[error("another netsage keeps its detectors in {}; end it, or name another data folder with `--data-dir`", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// What is kept beside the code of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Package,
    Signature,
    State,
}

impl Kind {
    fn path(self, digest: &str) -> PathBuf {
        match self {
            Self::Package => PathBuf::from(PACKAGES).join(format!("{digest}.wasm")),
            Self::Signature => PathBuf::from(PACKAGES).join(format!("{digest}.wasm.minisig")),
            Self::State => PathBuf::from(STATES).join(digest),
        }
    }
}

/// The folder, or the same in memory.
#[derive(Debug)]
pub(crate) struct Directory {
    place: Place,
    set_aside: SetAside,
}

#[derive(Debug)]
enum Place {
    Disk {
        root: PathBuf,
        /// Held as long as the program lives; the system lets go of it when the program ends, however it ends.
        _lock: File,
    },
    Memory(Mutex<BTreeMap<PathBuf, Vec<u8>>>),
}

impl Directory {
    /// A folder in memory, which ends with the program.
    pub(crate) fn memory() -> Self {
        Self {
            place: Place::Memory(Mutex::default()),
            set_aside: SetAside::default(),
        }
    }

    /// Makes the folder where it is missing, makes it private, and locks it for this program.
    pub(crate) fn open(root: &Path) -> Result<Self, DirectoryError> {
        for folder in [root.to_path_buf(), root.join(PACKAGES), root.join(STATES)] {
            make_private(&folder).map_err(failed(&folder, "made"))?;
        }
        let path = root.join(LOCK);
        let lock = File::create(&path).map_err(failed(&path, "written"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(DirectoryError::InUse {
                    path: root.to_path_buf(),
                });
            }
            Err(fs::TryLockError::Error(source)) => return Err(failed(&path, "locked")(source)),
        }
        Ok(Self {
            place: Place::Disk {
                root: root.to_path_buf(),
                _lock: lock,
            },
            set_aside: SetAside::new(root),
        })
    }

    /// What was set aside, and where it goes.
    pub(crate) fn set_aside(&self) -> &SetAside {
        &self.set_aside
    }

    /// Keeps a package and its signature; when this returns, they are on the disk.
    pub(crate) fn keep(
        &self,
        digest: &str,
        bytes: &[u8],
        signature: Option<&str>,
    ) -> Result<(), DirectoryError> {
        if let Some(signature) = signature {
            self.write(Kind::Signature, digest, signature.as_bytes().to_vec())?;
        }
        // A file that is there already may be damaged.
        self.write(Kind::Package, digest, bytes.to_vec())
    }

    /// The file of a package; `None` when it is missing. A file with another digest is set aside.
    pub(crate) fn package(&self, digest: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        let bytes = self.read(Kind::Package, digest)?;
        if bytes
            .as_ref()
            .is_some_and(|bytes| Digest::of(bytes).to_string() != digest)
        {
            self.set_damaged_aside(Kind::Package, digest)?;
            return Ok(None);
        }
        Ok(bytes)
    }

    /// The signature that was kept with a package.
    pub(crate) fn signature(&self, digest: &str) -> Result<Option<String>, DirectoryError> {
        let bytes = self.read(Kind::Signature, digest)?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Keeps what a detector learned.
    pub(crate) fn keep_state(&self, digest: &str, state: &[u8]) -> Result<(), DirectoryError> {
        let mut bytes = Digest::of(state).as_bytes().to_vec();
        bytes.extend_from_slice(state);
        self.write(Kind::State, digest, bytes)
    }

    /// The learned state of a package; `None` when it is missing. A file that is not whole is set aside.
    pub(crate) fn state(&self, digest: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        let Some(bytes) = self.read(Kind::State, digest)? else {
            return Ok(None);
        };
        let state = bytes
            .split_first_chunk::<CHECKSUM_BYTES>()
            .filter(|(sum, state)| Digest::of(state).as_bytes() == *sum)
            .map(|(_, state)| state.to_vec());
        if state.is_none() {
            self.set_damaged_aside(Kind::State, digest)?;
        }
        Ok(state)
    }

    fn set_damaged_aside(&self, kind: Kind, digest: &str) -> Result<(), DirectoryError> {
        let Place::Disk { root, .. } = &self.place else {
            return Ok(());
        };
        let path = root.join(kind.path(digest));
        if let Some(kept) = self.set_aside.take(&path).map_err(failed(&path, "set aside"))? {
            self.set_aside.tell(format!(
                "{} was damaged and is now {}; see to the disk",
                path.display(),
                kept.display()
            ));
        }
        Ok(())
    }

    /// Deletes a package and its files. Files that cannot be deleted now are deleted at the next start.
    pub(crate) fn forget(&self, digest: &str) {
        for kind in [Kind::Package, Kind::Signature, Kind::State] {
            match &self.place {
                Place::Disk { root, .. } => {
                    let _ = fs::remove_file(root.join(kind.path(digest)));
                }
                Place::Memory(files) => {
                    lock(files).remove(&kind.path(digest));
                }
            }
        }
    }

    /// Forgets what learned state there is.
    pub(crate) fn forget_state(&self, digest: &str) {
        match &self.place {
            Place::Disk { root, .. } => {
                let _ = fs::remove_file(root.join(Kind::State.path(digest)));
            }
            Place::Memory(files) => {
                lock(files).remove(&Kind::State.path(digest));
            }
        }
    }

    /// Sets every file aside that belongs to none of these packages: a package whose line in the journal was lost, or was
    /// not written yet when the program ended. Deletes leftovers of writes that the end of the program cut short.
    pub(crate) fn sweep(&self, digests: &BTreeSet<&str>) {
        let Place::Disk { root, .. } = &self.place else {
            return;
        };
        for folder in [PACKAGES, STATES] {
            let Ok(entries) = fs::read_dir(root.join(folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let digest = name.split('.').next().unwrap_or_default();
                let path = entry.path();
                if name.starts_with(UNFINISHED) {
                    // What cannot be deleted now goes at the next start.
                    let _ = fs::remove_file(&path);
                } else if !digests.contains(digest) {
                    match self.set_aside.take(&path) {
                        Ok(kept) => {
                            tracing::warn!(file = %path.display(), ?kept, "a file that belongs to no known package is set aside");
                        }
                        Err(error) => {
                            tracing::warn!(file = %path.display(), %error, "a file that belongs to no known package stays");
                        }
                    }
                }
            }
        }
    }

    fn read(&self, kind: Kind, digest: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        match &self.place {
            Place::Disk { root, .. } => {
                let path = root.join(kind.path(digest));
                match fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(failed(&path, "read")(source)),
                }
            }
            Place::Memory(files) => Ok(lock(files).get(&kind.path(digest)).cloned()),
        }
    }

    fn write(&self, kind: Kind, digest: &str, bytes: Vec<u8>) -> Result<(), DirectoryError> {
        let relative = kind.path(digest);
        match &self.place {
            Place::Disk { root, .. } => {
                let path = root.join(&relative);
                let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                    unreachable!("the path of a file of a package has a folder and a name");
                };
                write_whole(folder, name, &bytes).map_err(failed(&path, "written"))
            }
            Place::Memory(files) => {
                lock(files).insert(relative, bytes);
                Ok(())
            }
        }
    }
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_path_buf();
    move |source| DirectoryError::Io { path, what, source }
}

/// Writes a file under another name, syncs the file to the disk, and renames it: a reader finds the old content or the
/// new, never a part.
pub(crate) fn write_whole(folder: &Path, name: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name))?;
    sync_folder(folder)
}

/// Brings the names in a folder to the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Whole values only are put in under this lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
