//! Where lines of syslog go and how they are written.

use std::path::PathBuf;

use netsage_messages::Format;
use netsage_messages::syslog::{Clock, Facility, Framing, Sender};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::receivers::address::{Address, AddressError};
use crate::receivers::tls::{Tls, TlsError, TlsFiles};
use crate::receivers::writing;

/// Most messages that may be kept to be sent again.
pub const MOST_RESENT: usize = 10_000;
/// Fewest and most bytes of a message that a receiver may be said to take; RFC 5424 asks every receiver for the former.
pub const MESSAGE_BYTES: std::ops::RangeInclusive<usize> = 480..=1 << 20;

/// Settings of an output of syslog.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SyslogOptions {
    /// `udp://HOST:PORT`, `tcp://HOST:PORT` or `tls://HOST:PORT`; without a port 514, 514 and 6514.
    pub address: String,
    /// How messages are told apart on TCP and TLS: `octet-counting` or `lf`.
    #[serde(default = "usual_framing", deserialize_with = "framing")]
    pub framing: Framing,
    /// How messages are written behind the header: `json`, `cef`, `ecs` or `ocsf`.
    #[serde(default = "writing::usual", deserialize_with = "writing::by_name")]
    pub format: Format,
    /// The facility, by its name.
    #[serde(default, deserialize_with = "facility")]
    pub facility: Facility,
    /// The name of the sending host; `None`: what the system is called.
    pub host_name: Option<String>,
    /// The number that IANA has given the sender's enterprise. With it each message has id and revision as structured data.
    pub enterprise: Option<u32>,
    /// Whether the clock of this machine is set by a reference; otherwise each message says that it may be wrong.
    #[serde(default = "usual_clock")]
    pub clock_is_set: bool,
    /// How many messages are sent again after a broken connection; at most [`MOST_RESENT`].
    #[serde(default = "usual_resend")]
    pub resend: usize,
    /// Most bytes of a message; `None`: 2,048 by UDP, 8,192 otherwise. See [`MESSAGE_BYTES`].
    pub max_bytes: Option<usize>,
    /// Certificates of the authorities that may have signed the receiver's, as PEM; `None`: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown to the receiver, as PEM.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate, as PEM.
    pub key_file: Option<PathBuf>,
}

fn usual_framing() -> Framing {
    Framing::OctetCounting
}

fn usual_clock() -> bool {
    true
}

fn usual_resend() -> usize {
    100
}

fn framing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Framing, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "octet-counting" => Ok(Framing::OctetCounting),
        "lf" => Ok(Framing::LineFeed),
        name => Err(D::Error::custom(format!(
            "{name:?} is no framing: give `octet-counting` or `lf`"
        ))),
    }
}

fn facility<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Facility, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(D::Error::custom)
}

/// Why there is no output of syslog with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SyslogError {
    /// The address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file of TLS without TLS.
    #[error(
        "`ca-file`, `certificate-file` and `key-file` have a meaning with a `tls://` address only; leave them out"
    )]
    NoTls,
    /// The host's name.
    #[error("`host-name` has to be 1 to 255 printable ASCII characters without spaces")]
    HostName,
    /// A format for other receivers.
    #[error("`format` = \"{0}\" is for webhooks; give one of json, cef, ecs, ocsf")]
    Format(Format),
    /// More messages than are kept.
    #[error("`resend` may be 0 to {MOST_RESENT}")]
    Resend,
    /// A size out of bounds.
    #[error("`max-bytes` may be {} to {}", MESSAGE_BYTES.start(), MESSAGE_BYTES.end())]
    MaxBytes,
}

/// How messages travel.
pub(super) enum Way {
    Udp,
    Tcp,
    Tls(Box<Tls>),
}

/// Settings that were checked.
pub(super) struct Checked {
    pub(super) way: Way,
    pub(super) address: Address,
    pub(super) sender: Sender,
    pub(super) max_bytes: usize,
}

impl SyslogOptions {
    pub(super) fn check(&self) -> Result<Checked, SyslogError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Scheme {
            Udp,
            Tcp,
            Tls,
        }
        let schemes = [
            ("udp", Scheme::Udp, 514),
            ("tcp", Scheme::Tcp, 514),
            ("tls", Scheme::Tls, 6514),
        ];
        let (scheme, address) = Address::read(&self.address, &schemes)?;
        let files = TlsFiles {
            authorities: self.ca_file.clone(),
            certificate: self.certificate_file.clone(),
            key: self.key_file.clone(),
        };
        if scheme != Scheme::Tls && files != TlsFiles::default() {
            return Err(SyslogError::NoTls);
        }
        if matches!(self.format, Format::Slack | Format::Teams) {
            return Err(SyslogError::Format(self.format));
        }
        if self.resend > MOST_RESENT {
            return Err(SyslogError::Resend);
        }
        let usual_bytes = if scheme == Scheme::Udp { 2_048 } else { 8_192 };
        let max_bytes = self.max_bytes.unwrap_or(usual_bytes);
        if !MESSAGE_BYTES.contains(&max_bytes) {
            return Err(SyslogError::MaxBytes);
        }
        Ok(Checked {
            way: match scheme {
                Scheme::Udp => Way::Udp,
                Scheme::Tcp => Way::Tcp,
                Scheme::Tls => Way::Tls(Box::new(Tls::open(files)?)),
            },
            address,
            sender: Sender {
                hostname: self.host_name()?,
                app_name: "netsage".to_owned(),
                process_id: Some(std::process::id()),
                facility: self.facility,
                clock: match self.clock_is_set {
                    true => Clock::Trusted,
                    false => Clock::Untrusted,
                },
                enterprise: self.enterprise,
            },
            max_bytes,
        })
    }

    fn host_name(&self) -> Result<String, SyslogError> {
        let is_name =
            |name: &str| (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        match &self.host_name {
            Some(name) if is_name(name) => Ok(name.clone()),
            Some(_) => Err(SyslogError::HostName),
            None => {
                let uname = rustix::system::uname();
                let name = uname.nodename().to_str().ok().filter(|name| is_name(name));
                // How RFC 5424 writes that a name is not known.
                Ok(name.unwrap_or("-").to_owned())
            }
        }
    }
}
