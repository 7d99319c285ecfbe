//! Certificates that `openssl` makes for a test.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::server::run;

/// A folder with an authority, another one of the same name that nobody has asked, and what the first has signed.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes both authorities.
    ///
    /// # Errors
    /// When `openssl` is missing or fails.
    pub fn new() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let certificates = Self { folder };
        for authority in ["authority", "stranger"] {
            certificates.openssl(&[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=authority",
                "-keyout",
                &format!("{authority}.key"),
                "-out",
                &format!("{authority}.pem"),
            ])?;
        }
        Ok(certificates)
    }

    /// Makes a certificate for the loopback address, signed by the authority: `NAME.pem` and `NAME.key`.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn issue(&self, name: &str) -> Result<(), String> {
        self.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            "authority.pem",
            "-CAkey",
            "authority.key",
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
    }

    /// A file of the folder.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) -> Result<(), String> {
        run(Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path()))
    }
}
