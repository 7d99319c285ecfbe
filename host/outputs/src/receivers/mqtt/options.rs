//! Which broker of MQTT takes messages, and how this sensor is known there.

use std::path::PathBuf;
use std::time::Duration;

use netsage_messages::{Format, Wording};
use serde::Deserialize;

use super::packet::{Login, Version};
use crate::receivers::address::{Address, AddressError};
use crate::receivers::tls::{Tls, TlsError, TlsFiles};
use crate::receivers::writing;

/// Fewest and most bytes of a document; the latter is what the protocol has room for, nearly.
pub const DOCUMENT_BYTES: std::ops::RangeInclusive<usize> = 512..=200 << 20;
/// Fewest and most seconds of `keep-alive`.
pub const KEEP_ALIVE: std::ops::RangeInclusive<u16> = 5..=3600;
/// Most bytes of a client's id and of a prefix.
const NAME_BYTES: usize = 256;

/// Settings of an output by MQTT.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MqttOptions {
    /// `mqtt://HOST:PORT`, or with TLS `mqtts://HOST:PORT`; without a port 1883 and 8883.
    pub address: String,
    /// The version of the protocol.
    #[serde(default)]
    pub version: MqttVersion,
    /// What topics begin with; `None`: `netsage/` and the name of the sensor.
    pub prefix: Option<String>,
    /// The id by which the broker knows this client at each start; `None`: `netsage-` and the name of the sensor.
    pub client_id: Option<String>,
    /// How messages are written.
    #[serde(default = "writing::usual", deserialize_with = "writing::by_name")]
    pub format: Format,
    /// Most bytes of a document; see [`DOCUMENT_BYTES`].
    #[serde(default = "usual_max_bytes")]
    pub max_bytes: usize,
    /// Seconds after which the broker takes this client for gone, and says so; see [`KEEP_ALIVE`].
    #[serde(default = "usual_keep_alive")]
    pub keep_alive: u16,
    /// The user.
    pub user: Option<String>,
    /// A file with the user's password.
    pub password_file: Option<PathBuf>,
    /// Certificates of the authorities that may have signed the broker's, as PEM; `None`: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown to the broker, as PEM.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate, as PEM.
    pub key_file: Option<PathBuf>,
}

fn usual_max_bytes() -> usize {
    128 << 10
}

fn usual_keep_alive() -> u16 {
    60
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum MqttVersion {
    /// 3.1.1, which every broker speaks.
    #[default]
    #[serde(rename = "3.1.1")]
    V311,
    /// 5, whose brokers say why they refuse.
    #[serde(rename = "5")]
    V5,
}

/// Why there is no output by MQTT with these settings.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// The address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file of TLS without TLS.
    #[error(
        "`ca-file`, `certificate-file` and `key-file` have a meaning with a `mqtts://` address only; leave them out"
    )]
    NoTls,
    /// The prefix of topics.
    #[error(
        "`prefix` has to be 1 to {NAME_BYTES} bytes without `+`, `#` and control characters, and neither begin with `$` or `/` nor end with `/`"
    )]
    Prefix,
    /// The id of the client.
    #[error("`client-id` has to be 1 to {NAME_BYTES} bytes without control characters")]
    ClientId,
    /// A size out of bounds.
    #[error("`max-bytes` may be {} to {}", DOCUMENT_BYTES.start(), DOCUMENT_BYTES.end())]
    MaxBytes,
    /// A time out of bounds.
    #[error("`keep-alive` may be {} to {}, in seconds", KEEP_ALIVE.start(), KEEP_ALIVE.end())]
    KeepAlive,
    /// A password without a user.
    #[error("`password-file` needs `user` beside it")]
    User,
    /// The file of the password.
    #[error("`password-file`: cannot read {}: {error}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Settings that were checked, from which a connection is made.
pub(super) struct Checked {
    pub(super) address: Address,
    pub(super) tls: Option<Tls>,
    pub(super) version: Version,
    pub(super) prefix: String,
    pub(super) client_id: String,
    pub(super) keep_alive: Duration,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

impl MqttOptions {
    pub(super) fn check(&self, wording: &Wording) -> Result<Checked, MqttError> {
        let (is_tls, address) =
            Address::read(&self.address, &[("mqtt", false, 1883), ("mqtts", true, 8883)])?;
        let files = TlsFiles {
            authorities: self.ca_file.clone(),
            certificate: self.certificate_file.clone(),
            key: self.key_file.clone(),
        };
        if !is_tls && files != TlsFiles::default() {
            return Err(MqttError::NoTls);
        }
        if !DOCUMENT_BYTES.contains(&self.max_bytes) {
            return Err(MqttError::MaxBytes);
        }
        if !KEEP_ALIVE.contains(&self.keep_alive) {
            return Err(MqttError::KeepAlive);
        }
        if self.password_file.is_some() && self.user.is_none() {
            return Err(MqttError::User);
        }
        let sensor = sensor(wording);
        let prefix = self.prefix.clone().unwrap_or_else(|| format!("netsage/{sensor}"));
        let client_id = self
            .client_id
            .clone()
            .unwrap_or_else(|| format!("netsage-{sensor}"));
        let is_name =
            |name: &str| (1..=NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
        if !is_name(&prefix)
            || prefix.contains(['+', '#'])
            || prefix.starts_with(['$', '/'])
            || prefix.ends_with('/')
        {
            return Err(MqttError::Prefix);
        }
        if !is_name(&client_id) {
            return Err(MqttError::ClientId);
        }
        let checked = Checked {
            address,
            tls: is_tls.then(|| Tls::open(files)).transpose()?,
            version: match self.version {
                MqttVersion::V311 => Version::V311,
                MqttVersion::V5 => Version::V5,
            },
            prefix,
            client_id,
            keep_alive: Duration::from_secs(u64::from(self.keep_alive)),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
        };
        checked.login()?;
        Ok(checked)
    }
}

impl Checked {
    /// User and password, with what the file holds now.
    pub(super) fn login(&self) -> Result<Option<Login>, MqttError> {
        let Some(user) = self.user.clone() else {
            return Ok(None);
        };
        let password = match &self.password_file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| MqttError::Password {
                path: path.clone(),
                error,
            })?,
        };
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        Ok(Some(Login { user, password }))
    }
}

/// What this sensor is called: by its settings, else as the system is. Characters with a meaning in topics become dashes.
fn sensor(wording: &Wording) -> String {
    let name = match wording.sensor.as_str() {
        "" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        sensor => sensor.to_owned(),
    };
    let plain = |letter: char| match letter {
        '+' | '#' | '/' | '$' => '-',
        letter if letter.is_control() => '-',
        letter => letter,
    };
    let name: String = name.chars().map(plain).take(60).collect();
    if name.is_empty() {
        "sensor".to_owned()
    } else {
        name
    }
}
