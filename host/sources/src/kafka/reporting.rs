//! Sends messages to a topic, and tells of each what has become of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use netsage_kafka::{Trouble, add_settings, log};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::producer::ProducerOptions;
use crate::SourceError;

/// Settings of the client on which the promises rest.
const OURS: [&str; 3] = ["bootstrap.servers", "partitioner", "enable.idempotence"];

/// What has become of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The topic has it.
    Delivered,
    /// The topic will never take this message.
    Refused(String),
    /// Nobody knows: the message is to be sent again.
    Failed(String),
}

/// What has become of the message of that number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The number.
    pub number: usize,
    /// What has become of it.
    pub outcome: Outcome,
}

struct Context {
    reports: Sender<Report>,
    trouble: Mutex<Option<Trouble>>,
}

impl Context {
    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        // Nothing that holds it can panic.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let (trouble, mut told) = (Trouble::of(&error, Some(reason)), self.trouble());
        if trouble.is_news_beside(told.as_ref()) {
            *told = Some(trouble);
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let outcome = match result {
            Ok(_) => {
                self.trouble().take();
                Outcome::Delivered
            }
            Err((error, _)) => outcome(error),
        };
        // Whoever is gone does not ask.
        let _ = self.reports.send(Report { number, outcome });
    }
}

/// What an error says of a message.
fn outcome(error: &KafkaError) -> Outcome {
    let is_of_message = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::InvalidRecord
        )
    );
    if is_of_message {
        Outcome::Refused(error.to_string())
    } else {
        Outcome::Failed(error.to_string())
    }
}

/// An idempotent producer whose messages have numbers. Nothing of it is tried for ever: a message that is given up is
/// reported, and after a fatal error a new producer is to be opened.
pub struct ReportingProducer {
    topic: String,
    client: ThreadedProducer<Context>,
    reports: Receiver<Report>,
}

impl ReportingProducer {
    /// Starts the client. Brokers are found while messages are sent.
    ///
    /// # Errors
    /// When librdkafka refuses a setting.
    pub fn open(options: &ProducerOptions) -> Result<Self, SourceError> {
        let refused = |reason| SourceError::Kafka {
            name: format!("kafka:{}", options.topic),
            reason,
        };
        let mut config = ClientConfig::new();
        config
            .set("partitioner", &options.partitioner)
            .set("enable.idempotence", "true")
            .set("compression.codec", "lz4")
            // What the client gives up is sent again by its number all the same, only later.
            .set("message.timeout.ms", "300000")
            .set("linger.ms", "20");
        let (brokers, settings) = (&options.brokers, &options.settings);
        add_settings(&mut config, brokers, settings, &OURS, "is set by this program").map_err(refused)?;
        let (sender, reports) = unbounded();
        let context = Context {
            reports: sender,
            trouble: Mutex::default(),
        };
        Ok(Self {
            topic: options.topic.clone(),
            client: (config.create_with_context(context))
                .map_err(|error| refused(netsage_kafka::without_value(&error)))?,
            reports,
        })
    }

    /// Sends a message, with a header where there is one. Says whether it is under way: the client may have no room now.
    /// What becomes of it is reported under its number, also when it cannot be sent at all.
    pub fn send(&self, number: usize, key: &[u8], value: &[u8], header: Option<(&str, &str)>) -> bool {
        let mut message = BaseRecord::with_opaque_to(&self.topic, number)
            .key(key)
            .payload(value);
        if let Some((key, value)) = header {
            let headers = OwnedHeaders::new_with_capacity(1);
            message = message.headers(headers.insert(Header {
                key,
                value: Some(value),
            }));
        }
        match self.client.send(message) {
            Ok(()) => true,
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => false,
            Err((error, _)) => {
                let outcome = outcome(&error);
                // The receiver is this producer's own.
                let _ = self.client.context().reports.send(Report { number, outcome });
                true
            }
        }
    }

    /// The next report, waited for that long at most.
    pub fn report(&self, most: Duration) -> Option<Report> {
        self.reports.recv_timeout(most).ok()
    }

    /// What the client last said of brokers that do not answer, and whether they refuse, so that trying again alone will not
    /// help.
    pub fn trouble(&self) -> Option<(String, bool)> {
        let told = self.client.context().trouble();
        (told.as_ref()).map(|trouble| (trouble.text().to_owned(), trouble.is_refusal()))
    }

    /// Why the client will never send again; another one may.
    pub fn fatal(&self) -> Option<String> {
        self.client.client().fatal_error().map(|(_, reason)| reason)
    }
}
