//! From the table of an output in the settings file to the output.

use netsage_messages::Wording;
use serde::de::DeserializeOwned;

use crate::Output;
#[cfg(feature = "kafka")]
use crate::receivers::kafka::{Kafka, KafkaOptions};
use crate::receivers::{file, mail, mqtt, syslog, webhook};

/// What a table says of a receiver.
#[derive(Debug, Clone)]
pub enum ReceiverSettings {
    /// Posts to an address.
    Webhook(webhook::WebhookOptions),
    /// Lines of a file.
    File(file::FileOptions),
    /// Letters.
    Mail(mail::MailOptions),
    /// Lines of syslog.
    Syslog(syslog::SyslogOptions),
    /// A broker of MQTT.
    Mqtt(mqtt::MqttOptions),
    /// A topic of Kafka.
    #[cfg(feature = "kafka")]
    Kafka(KafkaOptions),
}

/// What receivers need to know of the program.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What messages say beside what happened.
    pub wording: Wording,
    /// Where a webhook may lead.
    pub reach: webhook::AddressPolicy,
}

/// Why an output cannot be made of a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such kind.
    #[error("`type` must be one of {}", KINDS.join(", "))]
    Kind,
    /// The kind is left out of this program.
    #[error("this program was built without Kafka; build it with the feature `kafka`")]
    WithoutKafka,
    /// The rest of the table is not that of such a receiver.
    #[error("{0}")]
    Table(String),
    /// The receiver cannot be set up.
    #[error("{0}")]
    Receiver(String),
}

/// The kinds of receivers.
pub const KINDS: [&str; 6] = ["webhook", "file", "mail", "syslog", "mqtt", "kafka"];

impl ReceiverSettings {
    /// Reads what is left of a table when [`Common`](crate::settings::Common) has been taken out.
    ///
    /// # Errors
    /// When there is no such kind, or a key or value is not one of its kind.
    pub fn from_table(mut table: toml::Table) -> Result<Self, OpenError> {
        let kind = table.remove("type");
        match kind.as_ref().and_then(toml::Value::as_str).unwrap_or_default() {
            "webhook" => read(table).map(Self::Webhook),
            "file" => read(table).map(Self::File),
            "mail" => read(table).map(Self::Mail),
            "syslog" => read(table).map(Self::Syslog),
            "mqtt" => read(table).map(Self::Mqtt),
            #[cfg(feature = "kafka")]
            "kafka" => read(table).map(Self::Kafka),
            #[cfg(not(feature = "kafka"))]
            "kafka" => Err(OpenError::WithoutKafka),
            _ => Err(OpenError::Kind),
        }
    }

    /// What it sends to: one of [`KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::File(_) => "file",
            Self::Mail(_) => "mail",
            Self::Syslog(_) => "syslog",
            Self::Mqtt(_) => "mqtt",
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => "kafka",
        }
    }

    /// The output. Whatever can be checked without the receiver is checked here. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When a file of it cannot be read, or it cannot be set up.
    pub fn open(&self, setting: &Setting) -> Result<Box<dyn Output>, OpenError> {
        let wording = setting.wording.clone();
        match self {
            Self::Webhook(options) => opened(webhook::Webhook::new(options, wording, setting.reach.clone())),
            Self::File(options) => opened(file::FileOutput::new(options, wording)),
            Self::Mail(options) => opened(mail::MailOutput::new(options, wording)),
            Self::Syslog(options) => opened(syslog::Syslog::new(options, wording)),
            Self::Mqtt(options) => opened(mqtt::Mqtt::new(options.clone(), wording)),
            #[cfg(feature = "kafka")]
            Self::Kafka(options) => opened(Kafka::new(options.clone(), wording)),
        }
    }
}

fn read<T: DeserializeOwned>(table: toml::Table) -> Result<T, OpenError> {
    let read = table.try_into();
    read.map_err(|error: toml::de::Error| OpenError::Table(error.message().to_owned()))
}

fn opened<O, E>(output: Result<O, E>) -> Result<Box<dyn Output>, OpenError>
where
    O: Output + 'static,
    E: std::error::Error,
{
    match output {
        Ok(output) => Ok(Box::new(output)),
        Err(error) => Err(OpenError::Receiver(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_receivers_or_say_what_is_wrong() {
        let check = |text: &str, expected: &str| {
            let table: toml::Table = text.parse().unwrap();
            let read = match ReceiverSettings::from_table(table) {
                Ok(settings) => settings.kind().to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(read.contains(expected), "{text}: {read}");
        };
        check("type = \"webhook\"\nurl = \"https://hooks.example/a\"", "webhook");
        check("type = \"file\"\npath = \"/tmp/alerts.jsonl\"", "file");
        check(
            "type = \"syslog\"\naddress = \"tls://log.example:6514\"",
            "syslog",
        );
        check(
            "type = \"smoke\"",
            "must be one of webhook, file, mail, syslog, mqtt, kafka",
        );
        check("", "must be one of");
        check("type = \"webhook\"\nuri = \"x\"", "unknown field `uri`");
    }
}
