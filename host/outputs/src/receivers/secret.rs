//! Secrets that lie in files.

use std::fs;
use std::path::{Path, PathBuf};

/// A secret in a file of one line. It is read again whenever it is asked for, so that a new secret needs no restart; while
/// the file cannot be used, the secret before goes on.
pub(crate) struct SecretFile {
    path: PathBuf,
    kept: String,
    /// What was last said about the file, so that it is said once.
    complaint: Option<SecretError>,
}

/// Why a file holds no secret. What is wrong is said without what the file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is nothing in it.
    #[error("{} is empty; write the secret into its first line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// There is more in it than a secret.
    #[error("{} has several lines; leave only the one with the secret", path.display())]
    SeveralLines {
        /// The file.
        path: PathBuf,
    },
}

impl SecretFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it holds no secret.
    pub(crate) fn open(path: &Path) -> Result<Self, SecretError> {
        Ok(Self {
            path: path.to_owned(),
            kept: line_of(path)?,
            complaint: None,
        })
    }

    /// The secret as it is now.
    pub(crate) fn read(&mut self) -> &str {
        match line_of(&self.path) {
            Ok(line) => {
                self.kept = line;
                self.complaint = None;
            }
            Err(error) => {
                if self.complaint.as_ref() != Some(&error) {
                    tracing::warn!(%error, "secret not read again, the one before is used");
                }
                self.complaint = Some(error);
            }
        }
        &self.kept
    }

    /// The secret as it was read last.
    pub(crate) fn kept(&self) -> &str {
        &self.kept
    }
}

fn line_of(path: &Path) -> Result<String, SecretError> {
    let text = fs::read_to_string(path).map_err(|error| SecretError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(SecretError::Empty {
            path: path.to_owned(),
        }),
        line if line.contains('\n') => Err(SecretError::SeveralLines {
            path: path.to_owned(),
        }),
        line => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_again_and_kept_while_its_file_is_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let opened = SecretFile::open(&path).map(|_| ());
        assert!(
            matches!(opened, Err(SecretError::Unreadable { .. })),
            "{opened:?}"
        );
        fs::write(&path, "first\n").unwrap();
        let mut secret = SecretFile::open(&path).unwrap();
        let mut check = |content: Option<&str>, expected: &str| {
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert_eq!(secret.read(), expected, "{content:?}");
        };
        check(Some("second\r\n"), "second");
        check(Some(""), "second");
        check(Some("one\ntwo\n"), "second");
        check(None, "second");
        check(Some("third"), "third");
    }
}
