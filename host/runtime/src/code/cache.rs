//! Compiled code on disk, so that a known detector starts in milliseconds.
//!
//! Loading compiled code means running it: whoever can put a file here and have it accepted runs code in this
//! process. So nothing is accepted that this installation did not write itself. The directory is private
//! (0700), every file carries a keyed hash (BLAKE3) over its name and content, the key is random, made
//! once per directory and readable by its owner only, and files appear by renaming, complete or not at all.
//! A file that does not verify is deleted and the code is compiled again.

use std::borrow::Cow;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use netsage_package::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::OwnCode;
use crate::error::RuntimeError;

const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = blake3::OUT_LEN;
const EXTENSION: &str = "code";
/// Files kept; the oldest go first.
const MAX_FILES: usize = 64;

/// A private directory of compiled code.
pub(crate) struct Cache {
    directory: PathBuf,
    key: [u8; KEY_BYTES],
    /// What the engine says compiled code depends on: version, settings, features of the processor.
    compatibility: Digest,
}

impl Cache {
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Result<Self, RuntimeError> {
        let failed = |source| RuntimeError::Cache {
            path: directory.to_owned(),
            source,
        };
        make_private(directory).map_err(failed)?;
        let key = installation_key(directory).map_err(failed)?;
        Ok(Self {
            directory: directory.to_owned(),
            key,
            compatibility: compatibility(engine),
        })
    }

    /// The compiled code of that digest, if this installation has stored it for this engine.
    pub(crate) fn load(&self, engine: &Engine, code: Digest) -> Option<Component> {
        let path = self.path(code);
        let bytes = fs::read(&path).ok()?;
        let verified = bytes
            .split_first_chunk::<TAG_BYTES>()
            .filter(|(tag, compiled)| self.tag(code, compiled) == **tag)
            .map(|(_, compiled)| compiled);
        let Some(compiled) = verified else {
            tracing::warn!(path = %path.display(), "compiled detector does not verify, compiling it again");
            let _ = fs::remove_file(&path);
            return None;
        };
        match super::deserialize(engine, &OwnCode(Cow::Borrowed(compiled))) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled detector is of no use, compiling it again");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Stores compiled code. A failure only costs time at the next start, so it is logged and not returned.
    pub(crate) fn store(&self, code: Digest, compiled: &OwnCode<'_>) {
        let path = self.path(code);
        let store = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
            file.write_all(self.tag(code, compiled.bytes()).as_bytes())?;
            file.write_all(compiled.bytes())?;
            file.persist(&path)?;
            Ok(())
        };
        match store() {
            Ok(()) => self.forget_oldest(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled detector not cached");
            }
        }
    }

    fn path(&self, code: Digest) -> PathBuf {
        self.directory.join(self.name(code))
    }

    fn name(&self, code: Digest) -> String {
        format!("{code}-{}.{EXTENSION}", &self.compatibility.to_string()[..16])
    }

    /// The keyed hash over what a file is for and what it holds, so that files cannot be exchanged either. It is compared
    /// in a time that does not depend on where the first difference is.
    fn tag(&self, code: Digest, compiled: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [&code.as_bytes()[..], &self.compatibility.as_bytes()[..], compiled] {
            hasher.update(part);
        }
        hasher.finalize()
    }

    fn forget_oldest(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        let mut files: Vec<_> = entries
            .flatten()
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == EXTENSION)
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort_unstable();
        let surplus = files.len().saturating_sub(MAX_FILES);
        for (_, path) in files.into_iter().take(surplus) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes the directory if need be, and private in any case. Fails where another user owns the directory, because only
/// the owner can change the mode, or where the path is a symbolic link, because a link could be redirected.
fn make_private(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    if !fs::symlink_metadata(directory)?.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            "it is not a directory (links are not followed)",
        ));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The random key of this directory, made at its first use.
fn installation_key(directory: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = directory.join(KEY_FILE);
    if let Some(key) = read_key(&path)? {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    // `tempfile` makes files that only their owner can read.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&key)?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(key),
        // Another process was first: its key is the key.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            read_key(&path)?.ok_or_else(|| io::Error::other("the key file vanished"))
        }
        Err(error) => Err(error.error),
    }
}

/// A key file of another length is foreign and deleted; files that were signed with it no longer verify.
fn read_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    match fs::read(path) {
        Ok(bytes) => match bytes.try_into() {
            Ok(key) => Ok(Some(key)),
            Err(_) => fs::remove_file(path).map(|()| None),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A collision-resistant form of wasmtime's compatibility hash.
pub(crate) fn compatibility(engine: &Engine) -> Digest {
    struct Collect(Vec<u8>);
    impl Hasher for Collect {
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut collected = Collect(Vec::new());
    engine.precompile_compatibility_hash().hash(&mut collected);
    Digest::of(&collected.0)
}
