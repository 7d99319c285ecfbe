//! TLS to receivers, by files that are read again for each connection.
//!
//! A renewal writes certificate and key one after the other: until the new two belong together, connections are made with
//! the old ones. Whoever connects to an address without a name sends no name (SNI), and the certificate must be of that
//! address.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, ClientConfig, RootCertStore};

/// The files by which a receiver is spoken to with TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Certificates of the authorities that may have signed the receiver's; `None`: those that the system trusts.
    pub(crate) authorities: Option<PathBuf>,
    /// The certificate that is shown to the receiver, and those that lead to its authority.
    pub(crate) certificate: Option<PathBuf>,
    /// The key of that certificate.
    pub(crate) key: Option<PathBuf>,
}

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}; check the path and who may read the file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file does not hold what it is named for.
    #[error("{} holds no {what} as PEM; check which file is named", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate without a key, or a key without a certificate.
    #[error("`certificate-file` and `key-file` belong together: name both or none")]
    Half,
    /// Certificate and key are not of a pair, or TLS cannot be made with them.
    #[error("the certificate of `certificate-file` and the key of `key-file` do not serve: {0}")]
    Pair(rustls::Error),
    /// No authority is trusted.
    #[error("the system trusts no authority; name the receiver's in `ca-file`")]
    NoAuthority,
    /// An authority cannot be used.
    #[error("a certificate of `ca-file` does not serve: {0}")]
    Authority(String),
}

/// What the files hold.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    authorities: Option<Vec<u8>>,
    pair: Option<(Vec<u8>, Vec<u8>)>,
}

/// Makes the configuration of connections.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    contents: Contents,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files and checks what they hold.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let config = Arc::new(files.config(&contents)?);
        Ok(Self {
            files,
            contents,
            config,
        })
    }

    /// The configuration of the next connection: by what the files hold now, or by what they held when they last served.
    pub(crate) fn config(&mut self) -> Arc<ClientConfig> {
        let renewed = self.files.read().and_then(|contents| {
            if contents != self.contents {
                self.config = Arc::new(self.files.config(&contents)?);
                self.contents = contents;
            }
            Ok(())
        });
        if let Err(error) = renewed {
            tracing::warn!(%error, "files of TLS not taken, going on with what they held");
        }
        Arc::clone(&self.config)
    }
}

impl TlsFiles {
    fn read(&self) -> Result<Contents, TlsError> {
        let pair = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            (None, None) => None,
            _ => return Err(TlsError::Half),
        };
        let authorities = self.authorities.as_deref().map(read).transpose()?;
        Ok(Contents { authorities, pair })
    }

    fn config(&self, contents: &Contents) -> Result<ClientConfig, TlsError> {
        let roots = match (&self.authorities, &contents.authorities) {
            (Some(path), Some(bytes)) => self.named_authorities(path, bytes)?,
            _ => system_authorities()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_root_certificates(roots);
        let Some((certificate, key)) = &contents.pair else {
            return Ok(builder.with_no_client_auth());
        };
        let empty = |path: &Option<PathBuf>, what| TlsError::Empty {
            path: path.clone().unwrap_or_default(),
            what,
        };
        let chain = certificates(certificate).ok_or_else(|| empty(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| empty(&self.key, "key"))?;
        (builder.with_client_auth_cert(chain, key)).map_err(TlsError::Pair)
    }

    fn named_authorities(&self, path: &Path, bytes: &[u8]) -> Result<RootCertStore, TlsError> {
        let certificates = certificates(bytes).ok_or_else(|| TlsError::Empty {
            path: path.to_owned(),
            what: "certificate",
        })?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            (roots.add(certificate)).map_err(|error| TlsError::Authority(error.to_string()))?;
        }
        Ok(roots)
    }
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err(TlsError::NoAuthority),
        false => Ok(roots),
    }
}

/// The certificates in a PEM file; `None` where there is none, or one is damaged.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|certificates| !certificates.is_empty())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read {
        path: path.to_owned(),
        error,
    })
}

/// Whether a connection failed because the other end does not take this client's certificate.
pub(crate) fn is_refusal(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        inner,
        Some(rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
        ))
    )
}
