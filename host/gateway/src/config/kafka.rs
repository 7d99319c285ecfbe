//! The topic to read, from any layer of settings.

use std::fs;
use std::path::Path;
use std::time::Duration;

use netsage_capture::MeterConfig;
use netsage_kafka::{pair, read_settings};
use netsage_schema::record_v1::RECORD_V1;
#[cfg(feature = "kafka")]
use netsage_sources::{
    RecordOptions,
    kafka::{KafkaOptions, Listener},
    stream::StreamOptions,
};

use super::{ConfigError, Settings};

/// The topic to read, and how the broker is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Where brokers are found.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// Further settings of librdkafka, by its names.
    pub settings: Vec<(String, String)>,
    /// How much of a partition is read again when it arrives.
    pub reread: Duration,
    /// The topic that is told of messages that cannot be read.
    pub dead_letters: Option<String>,
}

#[cfg(feature = "kafka")]
impl KafkaSettings {
    /// What the source is opened with.
    pub fn options(
        &self,
        records: &RecordOptions,
        streams: &StreamOptions,
        listener: Listener,
    ) -> KafkaOptions {
        let options = KafkaOptions::new(&self.brokers, &self.topic, &self.group);
        KafkaOptions {
            settings: self.settings.clone(),
            format: records.format,
            reading: records.reading.clone(),
            site: records.site.clone(),
            lateness: streams.lateness.unwrap_or(options.lateness),
            reread: self.reread,
            dead_letters: self.dead_letters.clone(),
            listener: Some(listener),
            ..options
        }
    }
}

impl Settings {
    /// The topic to read; `None` when no broker is named.
    ///
    /// # Errors
    /// When no topic is named, a setting of the client has no name, or the rows of another schema are asked for.
    pub(super) fn kafka(&self, meter: &MeterConfig) -> Result<Option<KafkaSettings>, ConfigError> {
        let Some(brokers) = &self.kafka else {
            return Ok(None);
        };
        let wrong = |reason: &str| ConfigError::value("kafka", reason);
        if cfg!(not(feature = "kafka")) {
            return Err(wrong(
                "this program was built without Kafka; build it with the feature `kafka`",
            ));
        }
        if meter.schema != &RECORD_V1 {
            return Err(wrong(
                "records of other meters have rows of record-v1; leave `schema` out, or name that one",
            ));
        }
        let topic = self.topic.clone();
        let topic = topic.ok_or_else(|| wrong("no topic is named; name one with --topic"))?;
        let settings = client_settings(
            self.kafka_settings_file.as_deref(),
            self.kafka_setting.as_deref().unwrap_or_default(),
        )?;
        Ok(Some(KafkaSettings {
            brokers: brokers.clone(),
            topic,
            group: self.group()?,
            settings,
            reread: self.kafka_reread()?.0,
            dead_letters: self.dead_letter_topic.clone(),
        }))
    }
}

/// Settings of librdkafka by their names: those of a file of properties, then these `NAME=VALUE`.
///
/// # Errors
/// When the file cannot be read, or a setting has no name.
pub fn client_settings(
    file: Option<&Path>,
    settings: &[String],
) -> Result<Vec<(String, String)>, ConfigError> {
    client_settings_of(["kafka-settings-file", "kafka-setting"], file, settings)
}

/// The same, of settings with these names.
pub(super) fn client_settings_of(
    [file_name, name]: [&'static str; 2],
    file: Option<&Path>,
    settings: &[String],
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut all = file.map_or_else(|| Ok(Vec::new()), |file| settings_of(file_name, file))?;
    for (place, setting) in (1..).zip(settings) {
        // The setting itself is not told: it may hold a password.
        let pair = pair(setting)
            .ok_or_else(|| ConfigError::value(name, format!("number {place} of them is no NAME=VALUE")))?;
        all.push(pair);
    }
    Ok(all)
}

/// The settings in a file of properties: one `name=value` a line, comments behind `#`.
fn settings_of(name: &'static str, file: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let wrong = |reason: String| ConfigError::value(name, reason);
    let text = fs::read_to_string(file)
        .map_err(|error| wrong(format!("cannot read {}: {error}", file.display())))?;
    read_settings(&text).map_err(|line| wrong(format!("{}, line {line}: no NAME=VALUE", file.display())))
}

#[cfg(test)]
#[cfg(feature = "kafka")]
mod tests {
    use std::io::Write as _;

    use super::super::Resolved;
    use super::*;

    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        let text = format!("data-dir = \"/data\"\n{text}");
        let settings = Settings::from_toml(Path::new("netsage.toml"), &text).unwrap();
        match (Resolved::new(settings), expected) {
            (Ok(resolved), Ok(expected)) => {
                let super::super::Source::Kafka(kafka) = resolved.source else {
                    panic!("{:?}", resolved.source);
                };
                let found: Vec<(&str, &str)> = (kafka.settings.iter())
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                assert_eq!(found, expected);
                assert_eq!((&*kafka.topic, &*kafka.group), ("flows", "netsage"));
            }
            (Err(error), Err(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{error}");
            }
            (found, expected) => panic!("{found:?} in place of {expected:?}"),
        }
    }

    #[test]
    fn a_topic_is_named_with_its_broker() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# of the client\nsasl.password = a=b\n\nfetch.min.bytes=1").unwrap();
        let whole = "kafka = \"broker:9092\"\ntopic = \"flows\"\n";
        check(whole, Ok(&[]));
        let from_file = format!("{whole}kafka-settings-file = {:?}\n", file.path());
        let both = format!("{from_file}kafka-setting = [\"fetch.min.bytes=2\"]");
        let settings = [("sasl.password", "a=b"), ("fetch.min.bytes", "1")];
        check(&from_file, Ok(&settings));
        // The later wins: librdkafka takes one after the other.
        check(&both, Ok(&[settings[0], settings[1], ("fetch.min.bytes", "2")]));
        writeln!(file, "secret").unwrap();
        check(&from_file, Err("line 5: no NAME=VALUE"));
        check(
            &format!("{whole}kafka-setting = [\"none\"]"),
            Err("no NAME=VALUE"),
        );
        check("kafka = \"broker:9092\"", Err("--topic"));
        check(&format!("{whole}schema = \"flow-v1\""), Err("rows of record-v1"));
    }
}
