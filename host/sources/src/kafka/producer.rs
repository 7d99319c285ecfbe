//! Sends flows to a topic.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netsage_kafka::{Trouble, add_settings, log};
use netsage_records::Record;
use netsage_records::formats::flow_json;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use crate::SourceError;

/// Settings of the client that have a place of their own.
const OURS: [&str; 2] = ["bootstrap.servers", "partitioner"];
/// How long a full queue is left alone before the next try.
const PAUSE: Duration = Duration::from_millis(1);

/// Which topic flows are sent to and how.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// Where brokers are found: `host:port`, several with commas between.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// Which partition a key leads to, by librdkafka's names. Clients differ: `murmur2` is that of the Java client.
    pub partitioner: String,
    /// Further settings of librdkafka, by its names.
    pub settings: Vec<(String, String)>,
}

/// What has become of flows so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Flows that the broker has.
    pub taken: u64,
    /// Flows that it did not take.
    pub refused: u64,
}

#[derive(Default)]
struct Context {
    taken: AtomicU64,
    refused: AtomicU64,
    first_refusal: Mutex<Option<String>>,
    /// What the client last said of its brokers.
    trouble: Mutex<Option<Trouble>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds one of these can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let (trouble, mut told) = (Trouble::of(&error, Some(reason)), lock(&self.trouble));
        if trouble.is_news_beside(told.as_ref()) {
            *told = Some(trouble);
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                lock(&self.trouble).take();
            }
            Err((error, _)) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                lock(&self.first_refusal).get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Sends flows as the project's own JSON, one a message. The key is the source address, with the network and a slash before
/// it where the flow names one: all flows of a host go to one partition.
pub struct Producer {
    topic: String,
    client: ThreadedProducer<Context>,
    key: String,
    value: Vec<u8>,
}

impl Producer {
    /// Starts the client. Brokers are found while flows are sent.
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
            // What is sent again after a lost answer stands once, and in its order.
            .set("enable.idempotence", "true")
            .set("compression.codec", "lz4");
        let (brokers, settings) = (&options.brokers, &options.settings);
        add_settings(&mut config, brokers, settings, &OURS, "has a flag of its own").map_err(refused)?;
        Ok(Self {
            topic: options.topic.clone(),
            client: (config.create_with_context(Context::default()))
                .map_err(|error| refused(netsage_kafka::without_value(&error)))?,
            key: String::new(),
            value: Vec::new(),
        })
    }

    /// Sends a flow; `is_over` is asked while the client has no room. Says whether the flow is under way.
    ///
    /// # Errors
    /// When it can never be sent.
    pub fn send(&mut self, record: &Record, mut is_over: impl FnMut() -> bool) -> Result<bool, SourceError> {
        self.key.clear();
        if let Some(network) = &record.network {
            self.key.push_str(network);
            self.key.push('/');
        }
        // Text takes all that is written, and so do bytes.
        let _ = write!(self.key, "{}", record.source);
        self.value.clear();
        let _ = flow_json::write(record, &mut self.value);
        let mut message = BaseRecord::to(&self.topic).key(&self.key).payload(&self.value);
        loop {
            match self.client.send(message) {
                Ok(()) => return Ok(true),
                Err((error, same)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.check_refusal()?;
                    if is_over() {
                        return Ok(false);
                    }
                    std::thread::sleep(PAUSE);
                    message = same;
                }
                Err((error, _)) => return Err(self.failed(error.to_string())),
            }
        }
    }

    /// What has become of flows so far.
    pub fn delivered(&self) -> Delivered {
        let context = self.client.context();
        Delivered {
            taken: context.taken.load(Ordering::Relaxed),
            refused: context.refused.load(Ordering::Relaxed),
        }
    }

    /// Flows that the broker has neither taken nor refused.
    pub fn under_way(&self) -> u64 {
        u64::try_from(self.client.in_flight_count()).unwrap_or(0)
    }

    /// What the client last said of brokers that do not answer.
    pub fn trouble(&self) -> Option<String> {
        let trouble = lock(&self.client.context().trouble);
        trouble.as_ref().map(|trouble| trouble.text().to_owned())
    }

    /// Looks whether brokers have refused this client though they took no flow of it, as for a wrong password.
    ///
    /// # Errors
    /// When they have: trying again will not help.
    pub fn check_refusal(&self) -> Result<(), SourceError> {
        let trouble = lock(&self.client.context().trouble);
        match &*trouble {
            Some(trouble) if trouble.is_refusal() && self.delivered().taken == 0 => {
                Err(self.failed(trouble.text().to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Why the first flow that was refused was.
    pub fn first_refusal(&self) -> Option<String> {
        lock(&self.client.context().first_refusal).clone()
    }

    fn failed(&self, reason: String) -> SourceError {
        SourceError::Kafka {
            name: format!("kafka:{}", self.topic),
            reason,
        }
    }
}
