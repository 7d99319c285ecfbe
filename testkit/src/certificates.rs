//! Certificates that `openssl` makes for a test.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// An authority, and a certificate of it for 127.0.0.1 and `localhost`, made by `openssl`.
pub struct Certificates(TempDir);

impl Certificates {
    /// Makes them.
    ///
    /// # Errors
    /// When `openssl` is not there: why a test is skipped.
    pub fn new() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let certificates = Self(folder);
        for authority in ["authority", "stranger"] {
            certificates.openssl(authority, &["-addext", "keyUsage=critical,keyCertSign"])?;
        }
        for (name, usage) in [
            ("server", "serverAuth"),
            ("client", "clientAuth"),
            ("renewed", "clientAuth"),
        ] {
            certificates.openssl(
                name,
                &[
                    "-addext",
                    "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-addext",
                    "basicConstraints=critical,CA:FALSE",
                    "-addext",
                    &format!("extendedKeyUsage={usage}"),
                    "-CA",
                    "authority.pem",
                    "-CAkey",
                    "authority.key",
                ],
            )?;
        }
        Ok(certificates)
    }

    /// The certificate of this name: `authority`, `stranger` (another authority), `server`, `client` or `renewed`.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.file(name, "pem")
    }

    /// The key of the certificate of this name.
    pub fn key(&self, name: &str) -> PathBuf {
        self.file(name, "key")
    }

    fn file(&self, name: &str, end: &str) -> PathBuf {
        self.0.path().join(format!("{name}.{end}"))
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
        crate::server::run(&mut command)
    }
}
