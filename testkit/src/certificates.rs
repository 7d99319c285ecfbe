//! Certificates that `openssl` makes for a test.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::server::run;

/// An authority, another one that has nothing to do with it, and what the two have signed.
pub struct Certificates(TempDir);

impl Certificates {
    /// Makes them: `authority` and `stranger`, and of the former `server`, `client` and `renewed`, for 127.0.0.1 and
    /// `localhost`.
    ///
    /// # Errors
    /// When `openssl` is not there: why a test is skipped.
    pub fn new() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let certificates = Self(folder);
        for authority in ["authority", "stranger"] {
            certificates.openssl(authority, &["-addext", "keyUsage=critical,keyCertSign"])?;
        }
        for name in ["server", "client", "renewed"] {
            certificates.sign("authority", name, "IP:127.0.0.1,DNS:localhost")?;
        }
        Ok(certificates)
    }

    /// Has an authority sign a certificate of this name, for what `alternatives` says, e.g. `IP:127.0.0.1`.
    ///
    /// # Errors
    /// Why it is not made.
    pub fn sign(&self, authority: &str, name: &str, alternatives: &str) -> Result<(), String> {
        self.openssl(
            name,
            &[
                "-addext",
                &format!("subjectAltName={alternatives}"),
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-addext",
                "extendedKeyUsage=serverAuth,clientAuth",
                "-CA",
                &format!("{authority}.pem"),
                "-CAkey",
                &format!("{authority}.key"),
            ],
        )
    }

    /// The certificate of this name: `authority`, `stranger` (another authority), `server`, `client`, `renewed`, or one that was
    /// [signed](Self::sign).
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.file(format!("{name}.pem"))
    }

    /// The key of the certificate of this name.
    pub fn key(&self, name: &str) -> PathBuf {
        self.file(format!("{name}.key"))
    }

    /// A file beside the certificates.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, name: &str, more: &[&str]) -> Result<(), String> {
        let mut command = Command::new("openssl");
        command
            .current_dir(self.0.path())
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", &format!("/CN={name}")])
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(more);
        run(&mut command)
    }
}
