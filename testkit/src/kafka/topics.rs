//! What a test does with topics, by the same library as the program.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::KafkaServer;

/// A message of a topic, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its partition.
    pub partition: i32,
    /// Its key.
    pub key: String,
    /// What it holds.
    pub value: String,
    /// Names and values of its headers.
    pub headers: Vec<(String, String)>,
}

/// After which a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

impl KafkaServer {
    /// Makes a topic, named after `name` like no other; gives its name.
    pub fn topic(&self, name: &str, partitions: i32) -> String {
        self.topic_with(name, partitions, &[])
    }

    /// The same, with these settings of the topic.
    pub fn topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
        let topic = fresh(name);
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let new = (settings.iter()).fold(new, |new, (name, value)| new.set(name, value));
        let made = block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        topic
    }

    /// Sends values to partitions, with these further settings of the client, and waits until the broker has them.
    pub fn produce(
        &self,
        topic: &str,
        settings: &[(&str, &str)],
        values: impl IntoIterator<Item = (i32, Option<Vec<u8>>)>,
    ) {
        let mut config = self.client();
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let producer: BaseProducer = config.create().unwrap();
        for (partition, value) in values {
            let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition);
            if let Some(value) = &value {
                record = record.payload(value);
            }
            // The queue of the client is bounded.
            while let Err((error, same)) = producer.send(record) {
                let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                assert!(is_full, "{error}");
                producer.poll(Duration::from_millis(1));
                record = same;
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// What a group has committed for each partition; `None` where it has committed nothing.
    pub fn committed(&self, topic: &str, group: &str, partitions: i32) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(topic, 0, partitions - 1);
        let begin = Instant::now();
        let found = loop {
            match consumer.committed_offsets(asked.clone(), PATIENCE) {
                Ok(found) => break found,
                // A broker that has just started does not coordinate groups yet.
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
        };
        let offset = |offset| match offset {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        (found.elements().iter())
            .map(|found| offset(found.offset()))
            .collect()
    }

    /// Every message of a topic: its partition, key and value, those of one partition in their order.
    pub fn messages(&self, topic: &str) -> Vec<(i32, Vec<u8>, Vec<u8>)> {
        let mut messages = Vec::new();
        self.each_message(topic, |partition, key, value| {
            messages.push((partition, key.to_vec(), value.to_vec()));
        });
        messages
    }

    /// Gives every message of a topic to `each`: its partition, key and value.
    pub fn each_message(&self, topic: &str, mut each: impl FnMut(i32, &[u8], &[u8])) {
        self.each_whole_message(topic, |message| {
            each(
                message.partition(),
                message.key().unwrap_or_default(),
                message.payload().unwrap_or_default(),
            );
        });
    }

    /// Every message of a topic that holds text, with its headers.
    pub fn delivered(&self, topic: &str) -> Vec<Delivered> {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let mut all = Vec::new();
        self.each_whole_message(topic, |message| {
            let headers = message.headers().into_iter().flat_map(Headers::iter);
            all.push(Delivered {
                partition: message.partition(),
                key: text(message.key()),
                value: text(message.payload()),
                headers: headers
                    .map(|header| (header.key.to_owned(), text(header.value)))
                    .collect(),
            });
        });
        all
    }

    fn each_whole_message(&self, topic: &str, mut each: impl FnMut(&BorrowedMessage<'_>)) {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", fresh("reader"))
            .set("enable.partition.eof", "true")
            // The answer to a commit would end a poll without a message.
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let partitions = metadata.topics()[0].partitions();
        let mut assigned = TopicPartitionList::new();
        for partition in partitions {
            assigned
                .add_partition_offset(topic, partition.id(), Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assigned).unwrap();
        let mut ends = 0;
        while ends < partitions.len() {
            match consumer.poll(PATIENCE).expect("the broker answers") {
                Ok(message) => each(&message),
                Err(KafkaError::PartitionEOF(_)) => ends += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        config
    }
}

/// A name that no other topic or group of this process has.
pub fn fresh(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits for what the administration of a broker answers.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Waking(Thread);
    impl Wake for Waking {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Waking(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
