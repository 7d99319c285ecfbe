//! What an e-mail output is made of.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use serde::Deserialize;

use crate::quantity::{ByteSize, Time};
use crate::receivers::SecretError;

/// Most recipients.
const MOST_RECIPIENTS: usize = 100;

/// The options of an e-mail output, as its table in the settings file has them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MailOptions {
    /// The server that takes mail, as `HOST` or `HOST:PORT`; without a port 587, 465 or 25, by `tls`.
    pub server: String,
    /// How the connection is kept from others.
    #[serde(default)]
    pub tls: Encryption,
    /// The user to log in as; without one there is no login.
    pub user: Option<String>,
    /// A file with the password of that user.
    pub password_file: Option<PathBuf>,
    /// The sender, as `netsage@example.com` or `NetSage <netsage@example.com>`.
    pub from: String,
    /// The recipients, in the same form; 1 to 100.
    pub to: Vec<String>,
    /// The name by which the program introduces itself to the server (EHLO); without it the domain of the sender, since many
    /// servers refuse `localhost`.
    pub hello_name: Option<String>,
    /// A file with the authorities that are trusted, in PEM; without it those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How long a mail may take, from the look-up of the name to the server's last word: 1s to 10min.
    #[serde(default = "minute")]
    pub timeout: Time,
    /// Most bytes of a mail's text, from 4KiB: a longer one becomes several mails.
    #[serde(default = "mebibyte")]
    pub max_size: ByteSize,
}

/// How a connection is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// The connection begins without TLS, and nothing is sent before the server has agreed to TLS.
    #[default]
    Starttls,
    /// The connection begins with TLS.
    Implicit,
    /// Never, towards a server on the same machine only.
    None,
}

fn minute() -> Time {
    Time(Duration::from_secs(60))
}

fn mebibyte() -> ByteSize {
    ByteSize(1 << 20)
}

/// Why options make no e-mail output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The server is no host.
    #[error("`server`: `{0}` is no server; write HOST or HOST:PORT")]
    Server(String),
    /// An address is no mailbox.
    #[error("`{option}`: `{text}` is no address; write name@example.com or Name <name@example.com>")]
    Mailbox {
        /// The option.
        option: &'static str,
        /// What it holds.
        text: String,
    },
    /// Without TLS to another machine.
    #[error(
        "`tls`: without TLS others can read every mail and the password; `none` is for a server at a loopback address only"
    )]
    Readable,
    /// A user without a password, or a password without a user.
    #[error("`user` and `password-file` go together; name both or none")]
    HalfLogin,
    /// The file with the password is of no use.
    #[error("`password-file`: {0}")]
    Password(SecretError),
    /// The name to introduce the program by is none.
    #[error("`hello-name`: `{0}` is no name of a host")]
    HelloName(String),
    /// The authorities cannot be used.
    #[error("`ca-file`: {} {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// TLS itself refuses.
    #[error("no TLS: {0}")]
    Tls(String),
    /// A number is outside of its range.
    #[error("`{option}` is to be {range}")]
    Range {
        /// The option.
        option: &'static str,
        /// What it may be.
        range: &'static str,
    },
}

/// Options that were looked at.
pub(super) struct Checked {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
    pub(super) hello_name: String,
}

impl MailOptions {
    /// Looks at what needs no file.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<Checked, MailError> {
        let range = |option, range| Err(MailError::Range { option, range });
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&self.timeout.0) {
            return range("timeout", "1s to 10min");
        }
        if self.max_size.0 < 4 << 10 {
            return range("max-size", "4KiB and more");
        }
        if !(1..=MOST_RECIPIENTS).contains(&self.to.len()) {
            return range("to", "1 to 100 recipients");
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err(MailError::HalfLogin);
        }
        let (host, port) = self.host_and_port()?;
        if self.tls == Encryption::None && !is_loopback(&host) {
            return Err(MailError::Readable);
        }
        let from = mailbox("from", &self.from)?;
        let hello_name = match &self.hello_name {
            Some(name) => name.clone(),
            None => from.email.domain().to_owned(),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if hello_name.is_empty() || hello_name.len() > 255 || !hello_name.bytes().all(fits) {
            return Err(MailError::HelloName(hello_name));
        }
        let to: Result<_, _> = self.to.iter().map(|text| mailbox("to", text)).collect();
        Ok(Checked {
            host,
            port,
            from,
            to: to?,
            hello_name,
        })
    }

    fn host_and_port(&self) -> Result<(String, u16), MailError> {
        let wrong = || MailError::Server(self.server.clone());
        let usual = match self.tls {
            Encryption::Starttls => 587,
            Encryption::Implicit => 465,
            Encryption::None => 25,
        };
        // An address of IPv6 stands in brackets where a port follows.
        if let Ok(address) = self.server.parse::<IpAddr>() {
            return Ok((address.to_string(), usual));
        }
        let (host, port) = match self.server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (self.server.as_str(), usual),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let is_address = host.parse::<IpAddr>().is_ok();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if port == 0 || !(is_address || !host.is_empty() && host.bytes().all(fits)) {
            return Err(wrong());
        }
        Ok((host.to_owned(), port))
    }
}

/// An address of ASCII letters: others need an extension (SMTPUTF8) that servers on the way may not have.
fn mailbox(option: &'static str, text: &str) -> Result<Mailbox, MailError> {
    let mailbox = text.parse::<Mailbox>().ok();
    let mailbox = mailbox.filter(|mailbox| mailbox.email.to_string().is_ascii());
    mailbox.ok_or_else(|| MailError::Mailbox {
        option,
        text: text
            .chars()
            .filter(|letter| !letter.is_control())
            .take(100)
            .collect(),
    })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<MailOptions, toml::de::Error> {
        let usual = [
            ("server", "\"mail.example.com\""),
            ("from", "\"netsage@example.com\""),
            ("to", "[\"soc@example.com\"]"),
        ];
        let missing = usual
            .iter()
            .filter(|(name, _)| !text.contains(&format!("{name} =")));
        let lines: String = missing
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        toml::from_str(&format!("{lines}{text}"))
    }

    #[test]
    fn options_are_checked() {
        let check = |text: &str, expected: Result<(&str, u16, &str), &str>| {
            let checked = options(text).unwrap().check();
            match (checked, expected) {
                (Ok(checked), Ok(expected)) => {
                    assert_eq!(
                        (&*checked.host, checked.port, &*checked.hello_name),
                        expected,
                        "{text}"
                    );
                }
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{text}: {error}");
                }
                (checked, _) => panic!("{text}: {:?}", checked.map(|checked| checked.host)),
            }
        };
        check("", Ok(("mail.example.com", 587, "example.com")));
        check("tls = \"implicit\"", Ok(("mail.example.com", 465, "example.com")));
        check(
            "server = \"mail.example.com:2525\"",
            Ok(("mail.example.com", 2525, "example.com")),
        );
        check(
            "server = \"[fd00::1]:2525\"",
            Ok(("fd00::1", 2525, "example.com")),
        );
        check("server = \"fd00::1\"", Ok(("fd00::1", 587, "example.com")));
        check(
            "hello-name = \"gate.example.com\"",
            Ok(("mail.example.com", 587, "gate.example.com")),
        );
        check(
            "server = \"127.0.0.1\"\ntls = \"none\"",
            Ok(("127.0.0.1", 25, "example.com")),
        );
        check("tls = \"none\"", Err("loopback"));
        check("server = \"mail.example.com:x\"", Err("HOST:PORT"));
        check("server = \"a b\"", Err("HOST:PORT"));
        check("server = \"\"", Err("HOST:PORT"));
        check("from = \"nobody\"", Err("`from`"));
        check("to = [\"a@b.example\\r\\nBcc: c@d.example\"]", Err("`to`"));
        check("from = \"caf\u{e9}@example.com\"", Err("`from`"));
        check("to = []", Err("1 to 100"));
        check("user = \"a\"", Err("password-file"));
        check("hello-name = \"a\\r\\nMAIL\"", Err("hello-name"));
        check("timeout = \"1ms\"", Err("1s to 10min"));
        assert!(options("password = \"secret\"").is_err());
    }
}
