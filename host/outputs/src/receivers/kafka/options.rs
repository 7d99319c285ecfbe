//! To which topic messages go, and how.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netsage_kafka::{add_settings, pair, read_settings};
use netsage_messages::Format;
use rdkafka::config::ClientConfig;
use serde::Deserialize;

use crate::receivers::writing;

/// Settings of the client on which the promises of this output rest, or which have a place of their own.
const OURS: [&str; 5] = [
    "acks",
    "bootstrap.servers",
    "enable.idempotence",
    "message.timeout.ms",
    "transactional.id",
];
/// Bytes of the batch, the key and the headers around the document of a message.
const AROUND: usize = 16 << 10;
/// Fewest and most bytes of a document.
pub const DOCUMENT_BYTES: std::ops::RangeInclusive<usize> = 1_024..=64 << 20;

/// Settings of an output to a topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KafkaOptions {
    /// Where brokers are found: `host:port`, several with commas between.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// How messages are written.
    #[serde(default = "writing::usual", deserialize_with = "writing::by_name")]
    pub format: Format,
    /// Most bytes of a document; see [`DOCUMENT_BYTES`].
    #[serde(default = "usual_max_bytes")]
    pub max_bytes: usize,
    /// Seconds after which a message that the brokers have not confirmed is handed over anew, at least 1.
    #[serde(default = "usual_timeout")]
    pub timeout: u32,
    /// A file with settings of librdkafka, one `NAME=VALUE` a line: passwords stand there.
    pub settings_file: Option<PathBuf>,
    /// Further settings of librdkafka, each `NAME=VALUE`; they come after those of the file.
    #[serde(default)]
    pub settings: Vec<String>,
}

fn usual_max_bytes() -> usize {
    900_000
}

fn usual_timeout() -> u32 {
    30
}

/// Why there is no output to a topic with these settings.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// Nothing where a name should be.
    #[error("`{0}` is empty; name at least one")]
    Empty(&'static str),
    /// A size out of bounds.
    #[error("`max-bytes` may be {} to {}", DOCUMENT_BYTES.start(), DOCUMENT_BYTES.end())]
    MaxBytes,
    /// A time out of bounds.
    #[error("`timeout` may be 1 to 3600, in seconds")]
    Timeout,
    /// The file of settings.
    #[error("`settings-file`: {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting that is none. The setting itself is not told: it may hold a password.
    #[error("`settings`: number {0} of them is no NAME=VALUE")]
    Setting(usize),
    /// librdkafka refuses a setting, or the output cannot do without it.
    #[error("a setting of librdkafka: {0}")]
    Client(String),
}

impl KafkaOptions {
    /// How long brokers have to confirm a message.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout))
    }

    /// The settings of a producer, with what the file holds now, checked by librdkafka.
    pub(super) fn config(&self) -> Result<ClientConfig, KafkaError> {
        for (name, value) in [("brokers", &self.brokers), ("topic", &self.topic)] {
            if value.trim().is_empty() {
                return Err(KafkaError::Empty(name));
            }
        }
        if !DOCUMENT_BYTES.contains(&self.max_bytes) {
            return Err(KafkaError::MaxBytes);
        }
        if !(1..=3600).contains(&self.timeout) {
            return Err(KafkaError::Timeout);
        }
        let mut settings = self
            .settings_file
            .as_deref()
            .map_or_else(|| Ok(Vec::new()), of_file)?;
        for (number, setting) in (1..).zip(&self.settings) {
            settings.push(pair(setting).ok_or(KafkaError::Setting(number))?);
        }
        let mut config = ClientConfig::new();
        let max_bytes = (self.max_bytes + AROUND).to_string();
        config
            .set("compression.codec", "lz4")
            .set("message.max.bytes", max_bytes)
            // The partition of a key as the Java client has it.
            .set("partitioner", "murmur2_random");
        let reason = "cannot be set, since what counts as delivered depends on it";
        add_settings(&mut config, &self.brokers, &settings, &OURS, reason).map_err(KafkaError::Client)?;
        config
            // What is sent again after a lost answer stands once, and in its order.
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", self.patience().as_millis().to_string());
        netsage_kafka::check(&config).map_err(KafkaError::Client)?;
        Ok(config)
    }
}

fn of_file(path: &Path) -> Result<Vec<(String, String)>, KafkaError> {
    let wrong = |reason: String| KafkaError::File {
        path: path.to_owned(),
        reason,
    };
    let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    read_settings(&text).map_err(|line| wrong(format!("line {line} is no NAME=VALUE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<KafkaOptions, toml::de::Error> {
        toml::from_str(&format!("brokers = \"broker:9092\"\ntopic = \"alerts\"\n{text}"))
    }

    #[test]
    fn settings_are_checked() {
        let check = |text: &str, expected: Result<&[(&str, &str)], &str>| {
            let config = options(text).unwrap().config();
            match (config, expected) {
                (Ok(config), Ok(expected)) => {
                    for (name, value) in expected {
                        assert_eq!(config.get(name), Some(*value), "{text}: {name}");
                    }
                }
                (Err(error), Err(expected)) => {
                    let error = error.to_string();
                    assert!(error.contains(expected), "{text}: {error}");
                    assert!(!error.contains("tulip"), "{error}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        };
        let idempotent = ("enable.idempotence", "true");
        check("", Ok(&[idempotent, ("message.timeout.ms", "30000")]));
        check("timeout = 400", Ok(&[("message.timeout.ms", "400000")]));
        check(
            "settings = [\"compression.codec=zstd\"]",
            Ok(&[("compression.codec", "zstd")]),
        );
        check("settings = [\"acks=1\"]", Err("`acks` cannot be set"));
        check("settings = [\"tulip\"]", Err("number 1"));
        check("settings = [\"no.such=tulip\"]", Err("no.such"));
        check("timeout = 0", Err("`timeout`"));
        check("max-bytes = 10", Err("`max-bytes`"));
        check("settings-file = \"/no/such/file\"", Err("cannot be read"));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "linger.ms=9\ntulip").unwrap();
        check(&format!("settings-file = {:?}", file.path()), Err("line 2"));
        fs::write(file.path(), "linger.ms=9\n").unwrap();
        check(
            &format!("settings-file = {:?}", file.path()),
            Ok(&[("linger.ms", "9")]),
        );
        assert!(options("topics = \"a\"").is_err());
        assert!(options("format = \"html\"").is_err());
    }
}
