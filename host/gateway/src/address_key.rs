//! The key by which detectors are shown addresses, kept beside the data.
//!
//! What a detector remembers is by hashes of addresses, so the key must outlive the process, and several scorers whose
//! detectors are to agree on a host need the same one: scorers on one MongoDB server find it in their store, others share
//! a file. The key is a secret: with it and a saved memory anybody could find out which addresses a detector has seen. It
//! is never logged and never served; who may read it in a store may read the addresses of flows there too.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use netsage_lifecycle::SetAside;
use netsage_schema::AddressKey;
use netsage_store::{Store, StoreError};

/// Name of the file in the data folder.
pub const FILE: &str = "address-key";

/// Name of the secret in a store that several programs share.
const SECRET: &str = "address-key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read or made, or holds something else.
    #[error("the address key in {} cannot be used: {reason}; mend the file, or name another with --address-key", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A store holds something else under its name.
    #[error("the address key in the store has not 16 bytes; name a file with --address-key")]
    Secret,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key of the scorers on a store: that of the store, where it is shared, and of the file in the data folder otherwise.
/// A store without a key takes over the one of the file, where there is one, so that memories of its detectors last.
///
/// # Errors
/// When the store does not answer or holds no key, or the file cannot be used.
pub async fn of_store(store: &dyn Store, path: &Path, set_aside: &SetAside) -> Result<AddressKey, KeyError> {
    let in_file = fs::read(path).ok().and_then(|text| parse(text.trim_ascii()));
    let fresh = match in_file {
        Some(key) => key,
        None => random().map_err(|error| KeyError::File {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?,
    };
    let Some(kept) = store.shared_secret(SECRET, &fresh).await? else {
        return open(path, Some(set_aside));
    };
    let kept: [u8; 16] = kept.try_into().map_err(|_| KeyError::Secret)?;
    if in_file.is_some_and(|key| key != kept) {
        tracing::warn!(
            "the store has another address key than the data folder: memories of addresses begin anew"
        );
    }
    Ok(AddressKey::new(kept))
}

/// Reads the key from a file of 32 hexadecimal digits; makes it, readable by its owner alone, where there is none. A
/// damaged file goes to `set_aside`, and a new key is made. Without that, since others may share the file, it is an error.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub fn open(path: &Path, set_aside: Option<&SetAside>) -> Result<AddressKey, KeyError> {
    let failed = |reason: String| KeyError::File {
        path: path.to_path_buf(),
        reason,
    };
    let made = || make(path).map_err(|error| failed(error.to_string()));
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => made()?.into_bytes(),
        read => read.map_err(|error| failed(error.to_string()))?,
    };
    if let Some(key) = parse(text.trim_ascii()) {
        return Ok(AddressKey::new(key));
    }
    let no_key = || failed("it does not hold 32 hexadecimal digits".to_owned());
    let set_aside = set_aside.ok_or_else(no_key)?;
    let kept = set_aside.take(path).map_err(|error| failed(error.to_string()))?;
    set_aside.tell(format!(
        "the address key was damaged and is now {}; a new one was made, so that what detectors remember of addresses begins anew",
        kept.unwrap_or_default().display()
    ));
    let key = parse(made()?.trim().as_bytes()).ok_or_else(no_key)?;
    Ok(AddressKey::new(key))
}

/// Makes a random key, in a file that is whole or not there. Where another process was first, its key is the key.
fn make(path: &Path) -> io::Result<String> {
    let text = random()?
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // `tempfile` makes files that only their owner can read.
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(text),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path),
        Err(error) => Err(error.error),
    }
}

fn random() -> io::Result<[u8; 16]> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

fn parse(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut key = [0; 16];
    for (byte, digits) in key.iter_mut().zip(text.as_chunks::<2>().0) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_of_one_machine_leaves_the_key_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let url = folder.path().join("a.db").display().to_string();
        let store = netsage_store::open(&url).await.unwrap();
        let set_aside = SetAside::new(folder.path());
        let made = of_store(&*store, &path, &set_aside).await.unwrap();
        assert_eq!(open(&path, None).unwrap(), made);
        assert_eq!(of_store(&*store, &path, &set_aside).await.unwrap(), made);
    }

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let made = open(&path, None).unwrap();
        assert_eq!(open(&path, None).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let other = open(&folder.path().join("other"), None).unwrap();
        assert_ne!(other, made, "keys are random");
        fs::write(&path, "000102030405060708090A0B0C0D0E0F\n").unwrap();
        let key = AddressKey::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(open(&path, None).unwrap(), key);
        let set_aside = SetAside::new(folder.path());
        let damaged: [&[u8]; 4] = [b"", b"0001", b"not the digits of a key at all!!", &[0xff; 32]];
        for (number, damaged) in (1..).zip(damaged) {
            fs::write(&path, damaged).unwrap();
            let error = open(&path, None).unwrap_err().to_string();
            assert!(error.contains("32 hexadecimal digits"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), damaged, "it may be that of others too");
            let made = open(&path, Some(&set_aside)).unwrap();
            assert_eq!(open(&path, None).unwrap(), made);
            let name = match number {
                1 => FILE.to_owned(),
                _ => format!("{FILE}.{number}"),
            };
            let kept = folder.path().join("set-aside").join(name);
            assert_eq!(fs::read(kept).unwrap(), damaged);
            assert_eq!(set_aside.told().len(), number);
        }
    }
}
