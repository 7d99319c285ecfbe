//! Files of the gateway are for their owner alone, since flows say who talks to whom.

use std::io;
use std::path::Path;

/// Makes the data folder with mode 0700. An existing folder gets that mode too, and the log says so.
///
/// A folder for everybody's files (one with the sticky bit, as /tmp) or of another owner is left as it is: there, the
/// modes of the files themselves protect.
///
/// # Errors
/// When it cannot be made or changed.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return correct(folder, 0o700);
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes the file of a store, empty, with mode 0600. An existing store and the files that SQLite keeps beside the store
/// get that mode too, and the log says so. SQLite gives each file of its own the mode of the store.
///
/// # Errors
/// When it cannot be made or changed.
pub(crate) fn make_store(file: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => drop(made?),
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        match correct(Path::new(&path), 0o600) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            corrected => corrected?,
        }
    }
    Ok(())
}

#[cfg(unix)]
fn correct(path: &Path, right: u32) -> io::Result<()> {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    const OTHERS: u32 = 0o077;
    const STICKY: u32 = 0o1000;
    let found = metadata(path)?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let (path_shown, was) = (path.display(), format!("{mode:o}"));
    if found.uid() != nix::unistd::geteuid().as_raw() || mode & STICKY != 0 {
        tracing::warn!(path = %path_shown, mode = was, "other users can read what is kept here, which is not this program's alone");
        return Ok(());
    }
    set_permissions(path, Permissions::from_mode(right))?;
    tracing::warn!(path = %path_shown, was, now = format!("{right:o}"), "other users could read what is kept here; it is its owner's alone now");
    Ok(())
}

#[cfg(not(unix))]
fn correct(_path: &Path, _right: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_data_folder_is_its_owners_alone_and_a_shared_one_stays() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/b");
        make_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        for (before, after) in [(0o755, 0o700), (0o770, 0o700), (0o700, 0o700), (0o1777, 0o1777)] {
            set_mode(&folder, before);
            make_folder(&folder).unwrap();
            assert_eq!(mode(&folder), after, "{before:o}");
        }
    }

    #[test]
    fn a_store_is_its_owners_alone_with_the_files_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let store = home.path().join("store");
        make_store(&store).unwrap();
        assert_eq!(mode(&store), 0o600);
        let log = home.path().join("store-wal");
        fs::write(&log, b"kept").unwrap();
        for path in [&store, &log] {
            set_mode(path, 0o644);
        }
        make_store(&store).unwrap();
        assert_eq!((mode(&store), mode(&log)), (0o600, 0o600));
        assert_eq!(fs::read(&log).unwrap(), b"kept");
        assert!(make_store(&home.path().join("nowhere/store")).is_err());
    }
}
