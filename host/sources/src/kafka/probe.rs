//! Whether what stands at an offset can be read, asked by a client of its own: the consumer of a group says neither of which
//! partition a batch cannot be unpacked nor where such a batch ends.

use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long an offset is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What is wrong with a batch of which the client gives this error, to be read after "a batch"; `None` for other errors.
pub(super) fn unreadable(error: &KafkaError) -> Option<&'static str> {
    match error.rdkafka_error_code()? {
        RDKafkaErrorCode::BadCompression => Some("cannot be unpacked, since its compression is damaged"),
        RDKafkaErrorCode::NotImplemented => Some("is in a form that librdkafka does not know"),
        RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage => {
            Some("is damaged by its checksum or its form")
        }
        RDKafkaErrorCode::MessageSizeTooLarge => {
            Some("is larger than the client takes (`receive.message.max.bytes`)")
        }
        _ => None,
    }
}

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A message, there or behind.
    Message,
    /// Nothing but the end.
    End,
    /// A batch that cannot be read, and what is wrong with it.
    Unreadable(&'static str),
    /// The broker gives nothing that is a message, an error or the end.
    Nothing,
}

/// The client says nothing that the consumer has not said.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka, looking at an offset");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka, looking at an offset");
    }
}

impl ConsumerContext for Silent {}

/// Reads partitions at offsets, and is in no group.
pub(super) struct Probe<'a> {
    consumer: BaseConsumer<Silent>,
    topic: &'a str,
}

impl<'a> Probe<'a> {
    /// With the settings of the consumer.
    pub(super) fn open(config: &ClientConfig, topic: &'a str) -> KafkaResult<Self> {
        let mut config = config.clone();
        config
            .remove("group.instance.id")
            .set("enable.auto.commit", "false")
            // Each look fetches once more, and needs little of what there is.
            .set("fetch.error.backoff.ms", "10")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.message.max.bytes", "1")
            .set("queued.min.messages", "1");
        Ok(Self {
            consumer: config.create_with_context(Silent)?,
            topic,
        })
    }

    /// Looks at an offset.
    pub(super) fn look(&self, partition: i32, offset: i64) -> KafkaResult<Found> {
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(self.topic, partition, Offset::Offset(offset))?;
        self.consumer.assign(&assigned)?;
        let until = Instant::now() + LOOK;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                Some(Ok(_)) => return Ok(Found::Message),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Found::End),
                Some(Err(error)) => {
                    if let Some(reason) = unreadable(&error) {
                        return Ok(Found::Unreadable(reason));
                    }
                }
                None => {}
            }
            if left.is_zero() {
                return Ok(Found::Nothing);
            }
        }
    }

    /// The first offset behind `from` that can be read, or the end. Each offset is looked at in turn, since a client does not
    /// say how many messages a batch has that it cannot unpack. `None` when the broker stops answering, or `is_over` says so.
    pub(super) fn behind(&self, partition: i32, from: i64, is_over: impl Fn() -> bool) -> Option<i64> {
        let mut offset = from;
        while !is_over() {
            offset += 1;
            match self.look(partition, offset) {
                Ok(Found::Message | Found::End) => return Some(offset),
                Ok(Found::Unreadable(_)) => {}
                Ok(Found::Nothing) | Err(_) => return None,
            }
        }
        None
    }
}
