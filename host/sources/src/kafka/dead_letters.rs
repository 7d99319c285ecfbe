//! The topic that is told of messages that cannot be read: where each stands and why, never what it holds, since the copy of
//! a message can be too large for the topic.

use std::time::Duration;

use crossbeam_channel::Sender;
use netsage_kafka::log;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaResult;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use serde_json::json;

use crate::records::handover::Entry;

/// Letters under way, beyond which reading waits for the broker.
const MOST_UNDER_WAY: i32 = 10_000;

/// Whose message a letter is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) partition: i32,
    pub(super) epoch: u64,
    pub(super) entry: Entry,
}

/// What has become of a letter.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) about: About,
    pub(super) is_delivered: bool,
}

struct Context {
    deliveries: Sender<Delivery>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<About>;

    fn delivery(&self, result: &DeliveryResult<'_>, about: Box<About>) {
        // A source that is gone does not ask.
        let _ = self.deliveries.send(Delivery {
            about: *about,
            is_delivered: result.is_ok(),
        });
    }
}

/// Writes letters.
pub(super) struct DeadLetters {
    topic: String,
    producer: ThreadedProducer<Context>,
}

impl DeadLetters {
    /// `deliveries` is told what becomes of each letter.
    pub(super) fn open(
        topic: &str,
        config: &ClientConfig,
        deliveries: Sender<Delivery>,
    ) -> KafkaResult<Self> {
        Ok(Self {
            topic: topic.to_owned(),
            producer: config.create_with_context(Context { deliveries })?,
        })
    }

    /// Whether letters come faster than the broker takes them.
    pub(super) fn is_full(&self) -> bool {
        self.producer.in_flight_count() >= MOST_UNDER_WAY
    }

    /// Sends a letter on `refused` items of a message, the first of them for this reason. Says whether it is under way.
    pub(super) fn send(&self, topic: &str, offset: i64, refused: usize, reason: &str, about: About) -> bool {
        let letter = json!({
            "topic": topic,
            "partition": about.partition,
            "offset": offset,
            "refused": refused,
            "reason": reason,
        })
        .to_string();
        let record = BaseRecord::<(), str, Box<About>>::with_opaque_to(&self.topic, Box::new(about));
        match self.producer.send(record.payload(&letter)) {
            Ok(()) => true,
            Err((error, _)) => {
                tracing::debug!(topic = self.topic, %error, "dead letter not sent");
                false
            }
        }
    }

    /// Waits until every letter is delivered or given up.
    pub(super) fn flush(&self, limit: Duration) {
        if let Err(error) = self.producer.flush(limit) {
            tracing::warn!(topic = self.topic, %error, "dead letters not delivered, their messages will be read again");
        }
    }
}
