//! Files that change only when their contents do.
//!
//! Cargo and the program's build script go by the time of a file, so a file that is written again with the same
//! bytes would cost a new link of the program.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};

/// Copies a file unless its copy has the same bytes already. Returns whether it was copied.
pub(crate) fn copy_if_changed(from: &Path, to: &Path) -> Result<bool> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write_if_changed(to, &bytes)
}

/// Writes a file unless it has these bytes already. Returns whether it was written.
pub(crate) fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// The files of a folder, without those of its folders, by name.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry
            .with_context(|| format!("cannot list {}", folder.display()))?
            .path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What a result was made from: it is made again when one of these files has another length or time.
pub(crate) fn stamp(inputs: &[&Path]) -> Result<String> {
    let mut text = String::new();
    for path in inputs {
        let data = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        let time = data
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {} {}", path.display(), data.len(), time.as_nanos());
    }
    Ok(text)
}

/// A digest of every file below a folder, names and contents (64-bit FNV-1a; it tells versions apart, no more).
pub(crate) fn digest_of_tree(folder: &Path) -> Result<u64> {
    let mut digest = 0xcbf2_9ce4_8422_2325;
    digest_folder(folder, &mut digest)?;
    Ok(digest)
}

fn digest_folder(folder: &Path, digest: &mut u64) -> Result<()> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        paths.push(
            entry
                .with_context(|| format!("cannot list {}", folder.display()))?
                .path(),
        );
    }
    paths.sort();
    for path in paths {
        fnv(digest, path.file_name().unwrap_or_default().as_encoded_bytes());
        if path.is_dir() {
            digest_folder(&path, digest)?;
        } else {
            fnv(
                digest,
                &fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?,
            );
        }
    }
    Ok(())
}

fn fnv(digest: &mut u64, bytes: &[u8]) {
    for byte in bytes {
        *digest = (*digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_only_when_its_bytes_change() {
        let folder = std::env::temp_dir().join(format!("netsage-xtask-files-{}", std::process::id()));
        let path = folder.join("a/b");
        assert!(write_if_changed(&path, b"one").unwrap());
        assert!(!write_if_changed(&path, b"one").unwrap());
        let before = digest_of_tree(&folder).unwrap();
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_ne!(before, digest_of_tree(&folder).unwrap());
        assert_eq!(list(&folder.join("a")).unwrap(), std::slice::from_ref(&path));
        fs::remove_dir_all(folder).unwrap();
    }
}
