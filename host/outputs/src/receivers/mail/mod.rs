//! E-mail: messages that are there together go out in one mail, the oddest alert first.
//!
//! `docs/outputs/mail.md` says what the options mean. Beneath [`MailOutput`], `letter.rs` writes the mail and `session.rs` speaks
//! to the server.

mod letter;
mod options;
mod session;

use std::path::{Path, PathBuf};

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use netsage_messages::{Message, Wording};
use netsage_store::BoxFuture;

use self::session::{Letter, Server};
use super::parts::{self, Portion, Post};
use super::secret::SecretFile;
use crate::{Failure, Output, Undelivered};
pub use options::{Encryption, MailError, MailOptions};

/// An output that sends mails.
pub struct MailOutput {
    sender: Sender,
    portion: Portion,
}

impl MailOutput {
    /// An e-mail output by its options. The server is looked for when there is a mail.
    ///
    /// # Errors
    /// When the options contradict each other, or a file is of no use.
    pub fn new(options: &MailOptions, wording: Wording) -> Result<Self, MailError> {
        Ok(Self {
            sender: Sender::new(options, wording)?,
            portion: Portion::of(usize::MAX),
        })
    }
}

impl Output for MailOutput {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            if let Some((_, password)) = &mut self.sender.login {
                password.read();
            }
            parts::deliver(&mut self.sender, messages, &mut self.portion).await
        })
    }
}

/// What sends one mail.
struct Sender {
    server: Server,
    ca_file: Option<PathBuf>,
    /// Made of the authorities as they were read last.
    tls: Option<TlsParameters>,
    authorities: Option<Vec<u8>>,
    login: Option<(String, SecretFile)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    addresses: Vec<Address>,
    /// Recipients that the server did not know the last time.
    unknown: Vec<String>,
    largest: usize,
    wording: Wording,
}

impl Sender {
    fn new(options: &MailOptions, wording: Wording) -> Result<Self, MailError> {
        let checked = options.check()?;
        let password = options.password_file.as_deref().map(SecretFile::open);
        let password = password.transpose().map_err(MailError::Password)?;
        let mut sender = Self {
            server: Server {
                host: checked.host,
                port: checked.port,
                encryption: options.tls,
                hello_name: ClientId::Domain(checked.hello_name),
                timeout: options.timeout.0,
            },
            ca_file: options.ca_file.clone(),
            tls: None,
            authorities: None,
            login: options.user.clone().zip(password),
            from: checked.from,
            addresses: checked.to.iter().map(|mailbox| mailbox.email.clone()).collect(),
            to: checked.to,
            unknown: Vec::new(),
            largest: options.max_size.0,
            wording,
        };
        sender.read_authorities()?;
        Ok(sender)
    }

    /// Makes TLS of the file of authorities where that has changed.
    fn read_authorities(&mut self) -> Result<(), MailError> {
        if self.server.encryption == Encryption::None {
            return Ok(());
        }
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| unusable(path, format!("cannot be read: {error}")))
        };
        let authorities = self.ca_file.as_ref().map(read).transpose()?;
        if self.tls.is_some() && authorities == self.authorities {
            return Ok(());
        }
        let parameters = TlsParameters::builder(self.server.host.clone());
        let parameters = match (&self.ca_file, &authorities) {
            (Some(path), Some(pem)) => {
                let mut parameters = parameters.certificate_store(CertificateStore::None);
                for authority in certificates(path, pem)? {
                    parameters = parameters.add_root_certificate(authority);
                }
                parameters
            }
            _ => parameters,
        };
        let tls = parameters
            .build_rustls()
            .map_err(|error| MailError::Tls(error.to_string()))?;
        self.tls = Some(tls);
        self.authorities = authorities;
        Ok(())
    }

    async fn send(&mut self, messages: &[Message]) -> Result<(), Failure> {
        if let Err(error) = self.read_authorities() {
            tracing::warn!(%error, "authorities not read again, those before are used");
        }
        let content = letter::write(messages, &self.wording, &self.from, &self.to, self.largest)?;
        let login = self
            .login
            .as_ref()
            .map(|(user, password)| Credentials::new(user.clone(), password.kept().to_owned()));
        let letter = Letter {
            from: &self.from.email,
            to: &self.addresses,
            content: &content,
        };
        let unknown = self
            .server
            .send(self.tls.clone(), login.as_ref(), &letter)
            .await?;
        if unknown != self.unknown && !unknown.is_empty() {
            let recipients = unknown.join(", ");
            tracing::error!(server = %self.server, recipients, "the server does not take mail for some recipients, the others have it");
        }
        self.unknown = unknown;
        Ok(())
    }
}

impl Post for Sender {
    fn post<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.send(messages))
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<Certificate>, MailError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.ok().filter(|certificates| !certificates.is_empty());
    let certificates =
        certificates.ok_or_else(|| unusable(path, "holds no certificate in PEM".to_owned()))?;
    let certificates = certificates
        .into_iter()
        .map(|certificate| Certificate::from_der(certificate.to_vec()));
    let certificates: Result<_, _> = certificates.collect();
    certificates.map_err(|error| unusable(path, format!("does not serve: {error}")))
}

fn unusable(path: &Path, reason: String) -> MailError {
    MailError::Authorities {
        path: path.to_owned(),
        reason,
    }
}
