//! One conversation with a mail server.
//!
//! The conversation is led here, command by command, since what a refusal concerns depends on the command that it answers:
//! the sender, one recipient, or the mail. A transport that sends a whole mail tells the code alone, and one wrong recipient
//! would have every message set aside.

use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;

use super::options::Encryption;
use crate::Failure;

/// How long a server is waited for that says good-bye.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// Where mail goes, and how the server is spoken to.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    pub(super) hello_name: ClientId,
    pub(super) timeout: Duration,
}

/// What goes into one conversation.
pub(super) struct Letter<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a [Address],
    pub(super) content: &'a [u8],
}

/// What an answer to a command concerns when it is a refusal for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Sender,
    Mail,
}

impl Server {
    /// Sends a letter. Recipients that the server does not know are returned; the others have it.
    ///
    /// # Errors
    /// When no recipient has it.
    pub(super) async fn send(
        &self,
        tls: Option<TlsParameters>,
        login: Option<&Credentials>,
        letter: &Letter<'_>,
    ) -> Result<Vec<String>, Failure> {
        let sent = tokio::time::timeout(self.timeout, self.try_send(tls, login, letter)).await;
        sent.unwrap_or_else(|_| {
            Err(self.failure(&format!("it did not take the mail within {:?}", self.timeout)))
        })
    }

    async fn try_send(
        &self,
        tls: Option<TlsParameters>,
        login: Option<&Credentials>,
        letter: &Letter<'_>,
    ) -> Result<Vec<String>, Failure> {
        let mut connection = self.connect(tls).await?;
        if let Some(login) = login {
            self.log_in(&mut connection, login).await?;
        }
        let unknown = self.hand_over(&mut connection, letter).await?;
        // The mail is taken, whatever is said now.
        let _ = tokio::time::timeout(GOOD_BYE, connection.quit()).await;
        Ok(unknown)
    }

    async fn connect(&self, tls: Option<TlsParameters>) -> Result<AsyncSmtpConnection, Failure> {
        let (at_once, later) = match self.encryption {
            Encryption::Implicit => (tls, None),
            Encryption::Starttls => (None, tls),
            Encryption::None => (None, None),
        };
        let place = (self.host.as_str(), self.port);
        let connection =
            AsyncSmtpConnection::connect_tokio1(place, Some(self.timeout), &self.hello_name, at_once, None);
        let mut connection = connection
            .await
            .map_err(|error| self.refusal("the greeting", About::Sender, &error))?;
        if let Some(tls) = later {
            if !connection.can_starttls() {
                let reason =
                    format!("{self}: it offers no TLS (STARTTLS), and nothing is sent without; set `tls`");
                return Err(Failure::SenderRefused(reason));
            }
            let encrypted = connection.starttls(tls, &self.hello_name).await;
            encrypted.map_err(|error| self.refusal("STARTTLS", About::Sender, &error))?;
        }
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection, login: &Credentials) -> Result<(), Failure> {
        let known = [Mechanism::Plain, Mechanism::Login];
        if connection.server_info().get_auth_mechanism(&known).is_none() {
            let reason =
                format!("{self}: it offers no login by PLAIN or LOGIN; leave `user` out, or set `tls`");
            return Err(Failure::SenderRefused(reason));
        }
        let answer = connection.auth(&known, login).await;
        answer
            .map(|_| ())
            .map_err(|error| self.refusal("the login", About::Sender, &error))
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        letter: &Letter<'_>,
    ) -> Result<Vec<String>, Failure> {
        let from = Mail::new(Some(letter.from.clone()), Vec::new());
        let answer = connection.command(from).await;
        answer.map_err(|error| self.refusal("the sender", About::Sender, &error))?;
        let mut unknown = Vec::new();
        let mut last = None;
        for recipient in letter.to {
            let answer = connection.command(Rcpt::new(recipient.clone(), Vec::new())).await;
            let Err(error) = answer else { continue };
            if !error.is_permanent() || concerns_login(&error) {
                return Err(self.refusal("a recipient", About::Sender, &error));
            }
            unknown.push(recipient.to_string());
            last = Some(error);
        }
        if let Some(error) = last.filter(|_| unknown.len() == letter.to.len()) {
            return Err(self.refusal("every recipient", About::Sender, &error));
        }
        let answer = connection.command(Data).await;
        answer.map_err(|error| self.refusal("the mail", About::Mail, &error))?;
        let answer = connection.message(letter.content).await;
        answer.map_err(|error| self.refusal("the mail", About::Mail, &error))?;
        Ok(unknown)
    }

    /// What a failed command means.
    fn refusal(&self, what: &str, about: About, error: &Error) -> Failure {
        let reason = format!("{self}: {what} was not taken: {}", causes(error));
        match (error.is_permanent(), about) {
            (true, About::Mail) if !concerns_login(error) => Failure::Refused(reason),
            (true, _) => Failure::SenderRefused(reason),
            (false, _) => Failure::unavailable(reason),
        }
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::unavailable(format!("{self}: {what}"))
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => write!(formatter, "smtp://[{host}]:{port}"),
            false => write!(formatter, "smtp://{host}:{port}"),
        }
    }
}

/// Whether a refusal asks for a login or another one, whatever it answers.
fn concerns_login(error: &Error) -> bool {
    error
        .status()
        .is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538))
}

/// An error with what is beneath, on one line.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(beneath) = cause {
        let beneath_text = beneath.to_string();
        if !text.contains(&beneath_text) {
            text = format!("{text}: {beneath_text}");
        }
        cause = beneath.source();
    }
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(400)
        .collect()
}
