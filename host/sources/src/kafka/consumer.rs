//! The thread that owns the consumer. It polls for as long as the source lives, since a consumer that does not poll is put
//! out of its group; while nobody takes its messages the partitions are paused.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError};
use netsage_kafka::{Trouble, log};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::options::Listener;
use super::past::Said;
use super::probe::unreadable;
use super::shared::{Change, Passing, Shared};
use super::watch::Watch;

/// Messages, and about as many bytes, that are handed to the reader at once.
const CHUNK_MESSAGES: usize = 2_048;
const CHUNK_BYTES: usize = 1 << 20;
/// How long a message waits for others of its chunk.
const GATHER: Duration = Duration::from_millis(10);
/// How long one poll waits where nothing hurries.
const POLL: Duration = Duration::from_millis(50);
/// How long the reader may be busy before the partitions are paused: a pause throws away what was fetched ahead.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long is waited before the broker is asked once more for a topic that it does not have ready.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one question to the broker waits for its answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// Messages in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    partition: i32,
    offset: i64,
    /// Where the value stands; `None` where there is none.
    value: Option<(usize, usize)>,
}

impl Chunk {
    /// The message at a place: its partition, offset and value.
    pub(super) fn message(&self, place: usize) -> Option<(i32, i64, Option<&[u8]>)> {
        let message = self.messages.get(place)?;
        let value = message.value.and_then(|(from, to)| self.bytes.get(from..to));
        Some((message.partition, message.offset, value))
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.messages.clear();
    }

    fn push(&mut self, partition: i32, offset: i64, value: Option<&[u8]>) {
        let value = value.map(|value| {
            let from = self.bytes.len();
            self.bytes.extend_from_slice(value);
            (from, self.bytes.len())
        });
        self.messages.push(Message {
            partition,
            offset,
            value,
        });
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= CHUNK_MESSAGES || self.bytes.len() >= CHUNK_BYTES
    }
}

/// What the reader is told, in the order in which it happened.
#[derive(Debug)]
pub(super) enum Event {
    Messages(Chunk),
    Changed(Change),
    /// Messages that cannot be unpacked are passed over, and those behind come next.
    PassedOver(Passing),
    /// The end of the partition was read.
    End(i32),
    /// The source cannot go on.
    Broken(String),
}

/// The ends of the channels that the thread has.
pub(super) struct Lines {
    pub(super) events: Sender<Event>,
    /// Chunks to be filled again.
    pub(super) empty: Receiver<Chunk>,
    /// Nothing is ever sent: the other end is dropped when the consumer is to leave its group.
    pub(super) closing: Receiver<()>,
    pub(super) listener: Option<Listener>,
}

impl Lines {
    fn is_closing(&self) -> bool {
        self.closing.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Tells the listener of a message that has its header.
    fn listen(&self, message: &BorrowedMessage<'_>) {
        let (Some(listener), Some(headers)) = (&self.listener, message.headers()) else {
            return;
        };
        for header in headers.iter().filter(|header| header.key == listener.header) {
            (listener.hear)(header.value.unwrap_or_default(), message.timestamp().to_millis());
        }
    }
}

pub(super) struct Context {
    topic: String,
    shared: Arc<Shared>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The reader is told of the end of each partition.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.shared
            .trouble(&self.topic, Trouble::of(&error, Some(reason)));
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        change: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        match change {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, partitions),
            error => {
                let error = RDKafkaErrorCode::from(error);
                tracing::warn!(topic = self.topic, %error, "rebalance failed");
                self.revoke(consumer, partitions);
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // The next commit has the same offsets or later ones, and of a partition that has left somebody else has them.
        if let Err(error) = result
            && error.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset)
        {
            tracing::debug!(topic = self.topic, %error, "commit failed");
        }
    }
}

impl Context {
    /// Begins to read partitions: where their commits say that the window begins.
    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) {
        let committed = self.committed(consumer, partitions);
        for (&partition, (_, said)) in &committed {
            // The list has the partition, since the broker was asked for those of the list.
            let _ = partitions.set_partition_offset(&self.topic, partition, Offset::Offset(said.begin));
        }
        let assigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
            _ => consumer.assign(partitions),
        };
        // A pause outlives the assignment in which it was made.
        if let Err(error) = assigned.and_then(|()| consumer.resume(partitions)) {
            self.shared.trouble(&self.topic, Trouble::of(&error, None));
        }
        let mut state = self.shared.lock();
        for partition in partitions.elements() {
            let partition = partition.partition();
            state.arrive(partition, committed.get(&partition).cloned());
        }
    }

    /// What the group has committed of these partitions, and where to begin for it. Of a partition that is missing here the
    /// client itself finds out where to go on.
    fn committed(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
    ) -> BTreeMap<i32, (i64, Said)> {
        let mut found = BTreeMap::new();
        let committed = self.answer(|| {
            let committed = consumer.committed_offsets(partitions.clone(), ANSWER)?;
            committed.elements().iter().try_for_each(|found| found.error())?;
            Ok(committed)
        });
        let committed = match committed {
            Ok(committed) => committed,
            Err(error) => {
                tracing::warn!(topic = self.topic, %error, "windows begin empty: it is not known what was committed");
                return found;
            }
        };
        for committed in committed.elements() {
            let (partition, Offset::Offset(offset)) = (committed.partition(), committed.offset()) else {
                continue;
            };
            let mut said = Said::of(committed.metadata(), offset);
            // What the broker has deleted meanwhile cannot be read again.
            match self.answer(|| consumer.fetch_watermarks(&self.topic, partition, ANSWER)) {
                Ok((first, _)) if first <= offset => {
                    said.begin = said.begin.max(first);
                    found.insert(partition, (offset, said));
                }
                _ => {}
            }
        }
        found
    }

    /// What the broker answers. While the broker is away it is asked again: a partition that began before its commit is
    /// known would begin with an empty window, and nothing can be read meanwhile anyway.
    fn answer<T>(&self, ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
        loop {
            match ask() {
                Err(error) if is_away(&error) && !self.shared.lock().is_stopped => {
                    self.shared.trouble(&self.topic, Trouble::of(&error, None));
                    thread::sleep(PAUSE);
                }
                answer => return answer,
            }
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        // What is stored is committed with the leave.
        store_offsets(consumer, &self.topic, &self.shared);
        let left = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            _ => consumer.unassign(),
        };
        if let Err(error) = left {
            tracing::warn!(topic = self.topic, %error, "partitions not given back");
        }
        let mut state = self.shared.lock();
        for partition in partitions.elements() {
            state.leave(partition.partition());
        }
    }
}

/// Whether the same question may have an answer later: the broker is away, or starts.
fn is_away(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerNotAvailable, BrokerTransportFailure, CoordinatorLoadInProgress,
        CoordinatorNotAvailable, LeaderNotAvailable, NetworkException, NotCoordinator, NotLeaderForPartition,
        OperationTimedOut, RequestTimedOut,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            AllBrokersDown
                | BrokerNotAvailable
                | BrokerTransportFailure
                | CoordinatorLoadInProgress
                | CoordinatorNotAvailable
                | LeaderNotAvailable
                | NetworkException
                | NotCoordinator
                | NotLeaderForPartition
                | OperationTimedOut
                | RequestTimedOut
        )
    )
}

/// Tells the client which offsets may be committed.
fn store_offsets(consumer: &BaseConsumer<Context>, topic: &str, shared: &Shared) {
    let mut offsets = TopicPartitionList::new();
    for (&partition, owned) in &mut shared.lock().owned {
        if let Some(stored) = owned.stored.filter(|_| std::mem::take(&mut owned.is_news)) {
            add_offset(&mut offsets, topic, partition, stored, &owned.said);
        }
    }
    if offsets.count() > 0
        && let Err(error) = consumer.store_offsets(&offsets)
    {
        // A partition that has just left is another consumer's to commit.
        tracing::debug!(topic, %error, "offsets not stored");
    }
}

fn add_offset(offsets: &mut TopicPartitionList, topic: &str, partition: i32, stored: i64, said: &Said) {
    let mut added = offsets.add_partition(topic, partition);
    // An offset that was read can be written.
    let _ = added.set_offset(Offset::Offset(stored));
    added.set_metadata(said.text());
}

/// Consumes until the source is closed.
pub(super) fn consume(config: &ClientConfig, topic: &str, shared: &Arc<Shared>, lines: &Lines) {
    let context = Context {
        topic: topic.to_owned(),
        shared: Arc::clone(shared),
    };
    let broken = |reason: String| {
        // A reader that is gone does not ask.
        let _ = lines.events.send(Event::Broken(reason));
    };
    let consumer: BaseConsumer<Context> = match config.create_with_context(context) {
        Ok(consumer) => consumer,
        Err(error) => return broken(netsage_kafka::without_value(&error)),
    };
    match find_topic(&consumer, topic, shared, lines) {
        Ok(true) => {}
        Ok(false) => return,
        Err(reason) => return broken(reason),
    }
    if let Err(error) = consumer.subscribe(&[topic]) {
        return broken(error.to_string());
    }
    thread::scope(|scope| {
        let watch = Watch {
            consumer: &consumer,
            config,
            topic,
            shared,
            closing: &lines.closing,
            seen: BTreeMap::new(),
        };
        scope.spawn(|| watch.run());
        Loop {
            consumer: &consumer,
            topic,
            shared,
            lines,
            chunk: Chunk::default(),
            events: VecDeque::new(),
            is_paused: false,
        }
        .run();
    });
    store_offsets(&consumer, topic, shared);
    // Dropped, the consumer commits and leaves its group.
}

/// Waits for a broker that knows the topic; `false` when the source was closed meanwhile.
fn find_topic(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    shared: &Shared,
    lines: &Lines,
) -> Result<bool, String> {
    while lines.closing.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        let metadata = match consumer.fetch_metadata(Some(topic), ANSWER) {
            Ok(metadata) => metadata,
            Err(error) => {
                shared.trouble(topic, Trouble::of(&error, None));
                // What librdkafka itself says of its brokers is told by a poll.
                let _ = consumer.poll(Duration::ZERO);
                continue;
            }
        };
        let found = metadata.topics().first();
        return match found.and_then(|found| found.error()).map(RDKafkaErrorCode::from) {
            None => {
                shared.well(topic);
                Ok(true)
            }
            Some(RDKafkaErrorCode::LeaderNotAvailable) => continue,
            Some(error) => Err(format!(
                "{error}; create the topic, or name one that the broker has"
            )),
        };
    }
    Ok(false)
}

struct Loop<'a> {
    consumer: &'a BaseConsumer<Context>,
    topic: &'a str,
    shared: &'a Shared,
    lines: &'a Lines,
    /// Being filled.
    chunk: Chunk,
    /// Not yet taken by the reader.
    events: VecDeque<Event>,
    is_paused: bool,
}

impl Loop<'_> {
    fn run(mut self) {
        while !self.lines.is_closing() {
            store_offsets(self.consumer, self.topic, self.shared);
            self.pass_over();
            if !self.hand_over() {
                return;
            }
            self.set_paused(!self.events.is_empty() || self.shared.lock().is_stopped);
            self.gather();
        }
    }

    /// Polls until a chunk is full, or its first message has waited long enough.
    fn gather(&mut self) {
        let mut until: Option<Instant> = None;
        loop {
            let left = until.map_or(POLL, |until| until.saturating_duration_since(Instant::now()));
            let polled = self.consumer.poll(left);
            let is_over = match polled {
                Some(Ok(message)) => {
                    until.get_or_insert_with(|| Instant::now() + GATHER);
                    self.lines.listen(&message);
                    self.chunk
                        .push(message.partition(), message.offset(), message.payload());
                    self.chunk.is_full()
                }
                Some(Err(error)) => {
                    self.note(error);
                    true
                }
                // Also after a change of the assignment: the reader is told before any message of a new partition.
                None => true,
            };
            if is_over || until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
        }
        self.close_chunk();
        let changes = std::mem::take(&mut self.shared.lock().changes);
        self.events.extend(changes.into_iter().map(Event::Changed));
    }

    fn note(&mut self, error: KafkaError) {
        match error {
            KafkaError::PartitionEOF(partition) => {
                self.close_chunk();
                self.events.push_back(Event::End(partition));
            }
            KafkaError::MessageConsumptionFatal(code) => {
                self.close_chunk();
                self.events.push_back(Event::Broken(code.to_string()));
            }
            // Of which partition is found out apart: the client does not say.
            error if unreadable(&error).is_some() => {
                tracing::debug!(topic = self.topic, %error, "batch not read");
                self.shared.lock().is_suspect = true;
            }
            error => self.shared.trouble(self.topic, Trouble::of(&error, None)),
        }
    }

    /// Lets partitions go on behind what is passed over. The reader is told before it is given any message from there.
    fn pass_over(&mut self) {
        let passing = std::mem::take(&mut self.shared.lock().passing);
        for one in passing {
            let Passing {
                partition,
                epoch,
                from,
                to,
            } = one;
            let mut offsets = TopicPartitionList::new();
            match self.shared.lock().of_epoch(partition, epoch) {
                Some(owned) => {
                    owned.from = Some(to);
                    if let Some(stored) = owned.stored {
                        add_offset(&mut offsets, self.topic, partition, stored, &owned.said);
                    }
                }
                None => continue,
            }
            if let Err(error) = (self.consumer).seek(self.topic, partition, Offset::Offset(to), ANSWER) {
                tracing::warn!(topic = self.topic, partition, to, %error, "batch not passed over, trying again");
                self.shared.lock().passing.push(one);
                continue;
            }
            self.events.push_back(Event::PassedOver(one));
            tracing::warn!(topic = self.topic, partition, from, to, "messages passed over");
            // The same offset as before, with what is new: whoever reads these messages again is not held up.
            if offsets.count() > 0
                && let Err(error) = self.consumer.commit(&offsets, CommitMode::Async)
            {
                tracing::debug!(topic = self.topic, %error, "commit failed");
            }
        }
    }

    fn close_chunk(&mut self) {
        if !self.chunk.messages.is_empty() {
            let next = self.lines.empty.try_recv().unwrap_or_default();
            let full = std::mem::replace(&mut self.chunk, next);
            self.events.push_back(Event::Messages(full));
        }
    }

    /// Hands events to the reader as far as it takes them; says whether there is one.
    fn hand_over(&mut self) -> bool {
        while let Some(event) = self.events.pop_front() {
            let sent = if self.is_paused {
                self.lines.events.try_send(event)
            } else {
                (self.lines.events.send_timeout(event, PATIENCE)).map_err(|error| match error {
                    SendTimeoutError::Timeout(event) => TrySendError::Full(event),
                    SendTimeoutError::Disconnected(event) => TrySendError::Disconnected(event),
                })
            };
            match sent {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.events.push_front(event);
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        true
    }

    /// Pauses all partitions or lets all of them go on. While the reader is busy they are told again and again: one that has
    /// just arrived is not paused.
    fn set_paused(&mut self, is_paused: bool) {
        self.shared.lock().is_paused = is_paused;
        if !is_paused && !self.is_paused {
            return;
        }
        self.is_paused = is_paused;
        let done = self.consumer.assignment().and_then(|partitions| {
            if is_paused {
                self.consumer.pause(&partitions)
            } else {
                self.consumer.resume(&partitions)
            }
        });
        if let Err(error) = done {
            self.shared.trouble(self.topic, Trouble::of(&error, None));
        }
    }
}
