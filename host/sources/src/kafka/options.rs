//! Which topic is read and how, and the settings of the clients that follow.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use netsage_records::formats::{Format, Options};
use rdkafka::config::ClientConfig;

use crate::site::Site;

/// Settings of the client on which the promises of this source rest.
const OURS: [&str; 4] = [
    "bootstrap.servers",
    "group.id",
    "enable.auto.offset.store",
    "enable.partition.eof",
];

/// Takes the value of a header, and the time of its message, ms since the epoch.
pub(super) type Hear = Arc<dyn Fn(&[u8], Option<i64>) + Send + Sync>;

/// Is told the header of that name of messages that have it, as they come, with the time of the message, ms since the epoch.
#[derive(Clone)]
pub struct Listener {
    /// Name of the header.
    pub header: &'static str,
    /// Is told its value.
    pub hear: Hear,
}

impl fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.header)
    }
}

/// Which topic is read and how.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Where brokers are found: `host:port`, several with commas between.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// Further settings of librdkafka, by its names.
    pub settings: Vec<(String, String)>,
    /// The format of the messages; `None`: what the first message that is recognised has.
    pub format: Option<Format>,
    /// What messages do not say of themselves.
    pub reading: Options,
    /// Where the records come from unless they say so themselves.
    pub site: Site,
    /// How long records of a partition are waited for, by the time of the stream.
    pub lateness: Duration,
    /// How much of a partition is read again when it arrives, by the time of the stream, for detectors that remember hosts.
    pub reread: Duration,
    /// Records of a partition that wait at once.
    pub most_waiting: usize,
    /// Bytes for the trailing window of a partition.
    pub window_memory: usize,
    /// The topic that is told of messages that cannot be read; `None`: they are only counted.
    pub dead_letters: Option<String>,
    /// Who is told of a header of messages.
    pub listener: Option<Listener>,
    /// Whether the source ends where every partition that this program has was read to its end.
    pub ends_with_topic: bool,
}

impl KafkaOptions {
    /// A topic read by a group, everything else by default.
    pub fn new(brokers: &str, topic: &str, group: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            group: group.to_owned(),
            settings: Vec::new(),
            format: None,
            reading: Options::default(),
            site: Site::default(),
            lateness: Duration::from_secs(600),
            reread: Duration::ZERO,
            most_waiting: 1 << 17,
            window_memory: 16 << 20,
            dead_letters: None,
            listener: None,
            ends_with_topic: false,
        }
    }

    /// The settings of a consumer, checked by librdkafka.
    pub(super) fn consumer(&self) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::new();
        config
            .set("auto.offset.reset", "earliest")
            .set("auto.commit.interval.ms", "1000")
            // Of each partition; librdkafka's own limit of 64 MiB is more than many partitions have room for.
            .set("queued.max.messages.kbytes", "8192")
            // Of a partition that has come to that limit, which would otherwise rest for a second.
            .set("fetch.queue.backoff.ms", "10");
        let asks_the_broker =
            |(name, value): &(String, String)| name == "group.protocol" && value == "consumer";
        if !self.settings.iter().any(asks_the_broker) {
            config.set("partition.assignment.strategy", "cooperative-sticky");
        }
        self.add_settings(&mut config)?;
        config
            .set("group.id", &self.group)
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true");
        netsage_kafka::check(&config)?;
        Ok(config)
    }

    /// The settings of a producer of dead letters.
    pub(super) fn producer(&self) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::new();
        // A letter that is sent again after a lost answer stands once.
        config.set("enable.idempotence", "true");
        self.add_settings(&mut config)?;
        Ok(config)
    }

    fn add_settings(&self, config: &mut ClientConfig) -> Result<(), String> {
        let reason = "cannot be set, since what is committed when depends on it";
        netsage_kafka::add_settings(config, &self.brokers, &self.settings, &OURS, reason)
    }
}
