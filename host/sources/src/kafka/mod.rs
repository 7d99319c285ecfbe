//! A topic of Kafka whose messages are records.
//!
//! Many programs in one consumer group share a topic: each partition is read by one of them at a time, and a program that
//! joins or leaves moves no more partitions than it must (cooperative-sticky assignment). All that depends on the order of
//! records, [`netsage_records::Partition`], is kept for each partition by itself and thrown away when the partition leaves.
//! A commit says beside its offset how far back the trailing window began ([`past`]); whoever has the partition next reads
//! from there, and counts what is done with in the window without handing it over. So rows depend neither on the number of
//! programs nor on their ends.
//!
//! An offset is committed when every flow of the messages before it is in the store and every dead letter on them is
//! delivered ([`Ledger`]); a message behind is read again after a kill, and the ids of its flows make that harmless.
//!
//! ```text
//! librdkafka ─► thread of the consumer ─ events ─► Kafka::read ─► batches
//!                    ▲                                  │
//!                    └────────── shared ◄── Kafka::stored
//! ```
//!
//! The thread ([`consumer`]) owns the client, since a client that nobody polls is put out of its group and the host reads
//! only when there is room. Beside it [`watch`] asks for the ends of the partitions, and by a [`probe`] whether one is held up by
//! a batch that cannot be unpacked. The client is made with the first read, because its threads would keep the privileges that the
//! program had when they were started.

mod consumer;
mod dead_letters;
mod options;
mod past;
mod probe;
mod producer;
mod reporting;
mod shard;
mod shared;
mod watch;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use netsage_records::formats::{Counts, Format, Items};
use netsage_records::{OrderCounters, Ordered, Origin, Partition};
use netsage_schema::flow_v1::WINDOW_NS;
use netsage_schema::record_v1::RECORD_V1;
use netsage_schema::{FlowBatch, Schema};
use rdkafka::config::ClientConfig;

use crate::SourceError;
use crate::records::handover::{Entry, Ledger, Ready};
use crate::source::{
    MOST_FLOWS, Pace, PartitionControl, PartitionStatus, Position, Reading, Source, SourceCounters,
};
use consumer::{Chunk, Event, Lines};
use dead_letters::{About, DeadLetters, Delivery};
pub use options::{KafkaOptions, Listener};
use past::Past;
pub use producer::{Delivered, Producer, ProducerOptions};
pub use reporting::{Outcome, Report, ReportingProducer};
use shard::{Handed, Left, Shard, Value, add, read_value};
use shared::{Change, Control, Passing, Shared};

/// How long one read waits for messages.
const WAIT: Duration = Duration::from_millis(20);
/// How long before the end of a record others count in its window.
const WINDOW_US: u64 = WINDOW_NS.unsigned_abs() / 1_000;
/// What the dead letter on messages says that were passed over.
const PASSED_OVER: &str = "a batch that cannot be unpacked was passed over by command";
/// Events under way to the reader.
const EVENTS: usize = 4;
/// How long the end of the source waits for dead letters, and then for the consumer to leave its group: a client whose topic
/// is gone may never do so.
const LEAVE: Duration = Duration::from_secs(10);

/// What was counted beside [`SourceCounters`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaCounts {
    /// What was read, passed over and refused in messages of a known format.
    pub items: Counts,
    /// In which order records came.
    pub order: OrderCounters,
    /// Messages without a value, as a compacted topic has them for what was deleted.
    pub without_value: u64,
    /// Messages of no known format.
    pub unrecognised: u64,
    /// Messages that cannot be unpacked and were passed over by command.
    pub passed_over: u64,
    /// Dead letters that the broker has.
    pub dead_letters: u64,
    /// Dead letters that it did not take.
    pub dead_letters_lost: u64,
}

/// The thread of the consumer, as the source sees it.
struct Client {
    events: Receiver<Event>,
    empty: Sender<Chunk>,
    /// Dropped to let the consumer leave its group.
    closing: Sender<()>,
    /// The other end is dropped when it has.
    closed: Receiver<()>,
}

/// Whether the source goes on.
enum Going {
    On,
    /// Nothing more is taken in.
    Ending,
    Broken(String),
    Over,
}

/// A topic as a source of flows.
pub struct Kafka {
    name: String,
    options: KafkaOptions,
    config: ClientConfig,
    /// Of records that say nothing of it.
    origin: Origin,
    client: Option<Client>,
    shared: Arc<Shared>,
    format: Option<Format>,
    shards: BTreeMap<i32, Shard>,
    /// Of partitions that have left, [`Shard::shown_us`].
    shown_us: BTreeMap<i32, i64>,
    /// What is being read, and its next message.
    chunk: Option<(Chunk, usize)>,
    /// When that came.
    came: Instant,
    items: Items,
    /// Flows whose turn has come, and those handed over that are not stored.
    ready: Ready<Handed>,
    letters: Option<DeadLetters>,
    deliveries: (Sender<Delivery>, Receiver<Delivery>),
    counters: SourceCounters,
    /// What was counted of partitions that have left.
    counts: KafkaCounts,
    going: Going,
}

impl Kafka {
    /// Checks the settings. The broker is asked with the first read, and for as long as it does not answer.
    ///
    /// # Errors
    /// When librdkafka refuses a setting, or the source cannot do without it.
    pub fn open(options: KafkaOptions) -> Result<Self, SourceError> {
        let name = format!("kafka:{}", options.topic);
        let refused = |reason| SourceError::Kafka {
            name: name.clone(),
            reason,
        };
        let config = options.consumer().map_err(refused)?;
        Ok(Self {
            format: options.format,
            name,
            config,
            origin: options.site.origin(),
            ready: Ready::new(&options.site),
            options,
            client: None,
            shared: Arc::default(),
            shards: BTreeMap::new(),
            shown_us: BTreeMap::new(),
            chunk: None,
            came: Instant::now(),
            items: Items::default(),
            letters: None,
            deliveries: unbounded(),
            counters: SourceCounters::default(),
            counts: KafkaCounts::default(),
            going: Going::On,
        })
    }

    /// What was counted in detail.
    pub fn counts(&self) -> KafkaCounts {
        let mut counts = self.counts.clone();
        for shard in self.shards.values() {
            add(&mut counts, shard);
        }
        counts
    }

    /// Starts the thread of the consumer.
    fn start(&mut self) -> Result<(), String> {
        if let Some(topic) = &self.options.dead_letters {
            let opened = DeadLetters::open(topic, &self.options.producer()?, self.deliveries.0.clone());
            self.letters = Some(opened.map_err(|error| error.to_string())?);
        }
        let (sender, events) = bounded(EVENTS);
        let (empty, emptied) = bounded(EVENTS + 2);
        let (closing, is_closing) = bounded(0);
        let (is_closed, closed) = bounded(0);
        let lines = Lines {
            events: sender,
            empty: emptied,
            closing: is_closing,
            listener: self.options.listener.clone(),
        };
        let (config, topic, shared) = (
            self.config.clone(),
            self.options.topic.clone(),
            Arc::clone(&self.shared),
        );
        let run = move || {
            consumer::consume(&config, &topic, &shared, &lines);
            drop(is_closed);
        };
        thread::Builder::new()
            .name("kafka".to_owned())
            .spawn(run)
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        self.client = Some(Client {
            events,
            empty,
            closing,
            closed,
        });
        Ok(())
    }

    /// Takes in what there is until enough flows are ready.
    fn take_in(&mut self) {
        let deadline = Instant::now() + WAIT;
        while self.ready.waiting() < MOST_FLOWS && matches!(self.going, Going::On) {
            if self.letters.as_ref().is_some_and(DeadLetters::is_full) {
                thread::sleep(WAIT / 4);
                return;
            }
            if self.chunk.is_some() {
                self.read_message();
                continue;
            }
            let Some(client) = &self.client else { return };
            // What is ready is not held up by what may come.
            let event = if self.ready.waiting() > 0 {
                client.events.try_recv().map_err(|_| RecvTimeoutError::Timeout)
            } else {
                client.events.recv_deadline(deadline)
            };
            match event {
                Ok(event) => self.follow(event),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.going = Going::Broken("the thread of the consumer has ended".to_owned());
                }
            }
        }
    }

    fn follow(&mut self, event: Event) {
        match event {
            Event::Messages(chunk) => {
                self.chunk = Some((chunk, 0));
                self.came = Instant::now();
            }
            Event::Changed(Change::Arrived {
                partition,
                epoch,
                committed,
            }) => {
                let options = &self.options;
                let lateness_us = u64::try_from(options.lateness.as_micros()).unwrap_or(u64::MAX);
                let reread_us = u64::try_from(options.reread.as_micros()).unwrap_or(u64::MAX);
                let shown_us = self.shown_us.get(&partition).copied().unwrap_or(i64::MIN);
                let span_us = lateness_us.saturating_add(WINDOW_US).saturating_add(reread_us);
                let now = Instant::now();
                let shard = Shard {
                    epoch,
                    committed: committed.unwrap_or(0),
                    past: Past::new(span_us),
                    again_after_us: (reread_us > 0).then_some(shown_us),
                    shown_us,
                    records: Partition::new(lateness_us, options.most_waiting, options.window_memory),
                    reader: None,
                    ledger: Ledger::default(),
                    position: None,
                    last: now,
                    quiet: now,
                    is_at_end: false,
                };
                self.shards.insert(partition, shard);
                tracing::info!(topic = self.options.topic, partition, "partition arrived");
            }
            Event::Changed(Change::Left { partition }) => {
                if let Some(shard) = self.shards.remove(&partition) {
                    self.shown_us.insert(partition, shard.shown_us);
                    add(&mut self.counts, &shard);
                    tracing::info!(topic = self.options.topic, partition, "partition left");
                }
            }
            Event::PassedOver(passing) => self.note_passed(passing),
            Event::End(partition) => {
                // It has left meanwhile.
                let Some(shard) = self.shards.get_mut(&partition) else {
                    return;
                };
                shard.is_at_end = true;
                if self.options.ends_with_topic && self.shards.values().all(|shard| shard.is_at_end) {
                    self.finish();
                }
            }
            Event::Broken(reason) => self.going = Going::Broken(reason),
        }
    }

    /// Counts messages that are passed over, and has those behind them committed in their turn.
    fn note_passed(&mut self, passing: Passing) {
        let Passing {
            partition,
            epoch,
            from,
            to,
        } = passing;
        let shard = self.shards.get_mut(&partition);
        let Some(shard) = shard.filter(|shard| shard.epoch == epoch) else {
            return;
        };
        shard.position = Some(to);
        // What is read again was counted by whoever had the partition before.
        let first = from.max(shard.committed);
        let Ok(count @ 1..) = u64::try_from(to - first) else {
            return;
        };
        self.counters.records += count;
        self.counters.rejected += count;
        self.counts.passed_over += count;
        if let Some(owned) = self.shared.lock().of_epoch(partition, epoch) {
            owned.passed_over += count;
        }
        let entry = shard.ledger.open(to);
        if let Some(letters) = &self.letters {
            let about = About {
                partition,
                epoch,
                entry,
            };
            shard.ledger.open_part(entry);
            let refused = usize::try_from(count).unwrap_or(usize::MAX);
            if !letters.send(&self.options.topic, first, refused, PASSED_OVER, about) {
                self.counts.dead_letters_lost += 1;
                shard.ledger.close(entry);
            }
        }
        shard.ledger.close(entry);
    }

    /// Makes records of the next message of the chunk.
    fn read_message(&mut self) {
        let Some((chunk, place)) = &mut self.chunk else {
            return;
        };
        let Some((partition, offset, value)) = chunk.message(*place) else {
            if let Some((mut chunk, _)) = self.chunk.take()
                && let Some(client) = &self.client
            {
                chunk.clear();
                // Where there are enough, this one is freed.
                let _ = client.empty.try_send(chunk);
            }
            return;
        };
        *place += 1;
        // Its partition has left, and whoever has it now reads it.
        let Some(shard) = self.shards.get_mut(&partition) else {
            return;
        };
        shard.last = self.came;
        shard.is_at_end = false;
        let is_again = offset < shard.committed;
        let entry = (!is_again).then(|| shard.ledger.open(offset + 1));
        let read = match value {
            Some(value) if !value.is_empty() => read_value(
                value,
                &mut self.format,
                shard,
                &self.options.reading,
                &mut self.items,
            ),
            _ => Value::default(),
        };
        // What is read again was counted by whoever had the partition before.
        if !is_again {
            self.counters.bytes += value.map_or(0, <[u8]>::len) as u64;
            self.counters.records += self.items.records.len() as u64 + read.unused;
            self.counters.rejected += read.unused;
            self.counts.without_value += u64::from(value.is_none_or(<[u8]>::is_empty));
            self.counts.unrecognised += u64::from(read.is_unrecognised);
        }
        if let Some((refused, reason)) = read.refusal
            && let Some(letters) = &self.letters
            && let Some(entry) = entry
        {
            let about = About {
                partition,
                epoch: shard.epoch,
                entry,
            };
            shard.ledger.open_part(entry);
            if !letters.send(&self.options.topic, offset, refused, &reason, about) {
                self.counts.dead_letters_lost += 1;
                shard.ledger.close(entry);
            }
        }
        for record in self.items.records.drain(..) {
            if let Some(entry) = entry {
                shard.ledger.open_part(entry);
            }
            shard.past.note(offset, record.end_us);
            let mut left = Left {
                partition,
                epoch: shard.epoch,
                again_after_us: shard.again_after_us,
                shown_us: &mut shard.shown_us,
                ledger: &mut shard.ledger,
                ready: &mut self.ready,
            };
            shard
                .records
                .push(record, &self.origin, entry, |ordered, standing, counts| {
                    left.take(&ordered, standing, counts);
                });
        }
        self.items.clear();
        if let Some(entry) = entry {
            shard.ledger.close(entry);
        }
        shard.position = Some(offset + 1);
    }

    /// Lets every record leave: the topic was read to its end.
    fn finish(&mut self) {
        for (&partition, shard) in &mut self.shards {
            let mut left = Left {
                partition,
                epoch: shard.epoch,
                again_after_us: shard.again_after_us,
                shown_us: &mut shard.shown_us,
                ledger: &mut shard.ledger,
                ready: &mut self.ready,
            };
            (shard.records).finish(|ordered, standing, counts| left.take(&ordered, standing, counts));
        }
        self.going = Going::Ending;
    }

    /// Moves partitions on of which the broker has confirmed that there was nothing to come.
    fn move_clock(&mut self) {
        for (&partition, shard) in &mut self.shards {
            let confirmed = match self.shared.lock().of_epoch(partition, shard.epoch) {
                Some(owned) if shard.position >= owned.end => owned.asked,
                _ => None,
            };
            let Some(asked) = confirmed.filter(|&asked| asked > shard.quiet.max(shard.last)) else {
                continue;
            };
            shard.quiet = asked;
            let quiet_us = (asked - shard.last).as_micros();
            let mut left = Left {
                partition,
                epoch: shard.epoch,
                again_after_us: shard.again_after_us,
                shown_us: &mut shard.shown_us,
                ledger: &mut shard.ledger,
                ready: &mut self.ready,
            };
            let each =
                |ordered: Ordered<Option<Entry>>, standing, counts: &_| left.take(&ordered, standing, counts);
            (shard.records).quiet(u64::try_from(quiet_us).unwrap_or(u64::MAX), each);
        }
    }

    /// Follows what has become of dead letters.
    fn take_deliveries(&mut self) {
        for Delivery { about, is_delivered } in self.deliveries.1.try_iter() {
            if is_delivered {
                self.counts.dead_letters += 1;
            } else {
                // One that cannot be delivered is not to hold the partition up.
                self.counts.dead_letters_lost += 1;
            }
            if let Some(shard) = self.shards.get_mut(&about.partition)
                && shard.epoch == about.epoch
            {
                shard.ledger.close(about.entry);
            }
        }
    }

    /// Tells the other threads how far each partition is read and stored.
    fn tell(&mut self) {
        let mut state = self.shared.lock();
        for (&partition, shard) in &mut self.shards {
            let settled = std::iter::from_fn(|| shard.ledger.settled()).last();
            if let Some(owned) = state.of_epoch(partition, shard.epoch) {
                owned.waiting = shard.records.waiting();
                owned.position = shard.position;
                if let Some(settled) = settled {
                    owned.stored = Some(settled);
                    owned.said.begin = shard.past.begin_for(settled);
                    owned.is_news = true;
                }
            }
        }
    }
}

impl Source for Kafka {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &'static Schema {
        &RECORD_V1
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        if self.client.is_none()
            && matches!(self.going, Going::On)
            && let Err(reason) = self.start()
        {
            self.going = Going::Broken(reason);
        }
        self.take_deliveries();
        self.take_in();
        if matches!(self.going, Going::On) {
            self.move_clock();
        }
        self.tell();
        if self.ready.waiting() > 0 {
            return Ok(self.ready.give(batch));
        }
        match std::mem::replace(&mut self.going, Going::Over) {
            Going::On => {
                self.going = Going::On;
                Ok(Reading::GoesOn)
            }
            Going::Ending | Going::Over => Ok(Reading::End),
            Going::Broken(reason) => Err(SourceError::Kafka {
                name: self.name.clone(),
                reason,
            }),
        }
    }

    /// Records that wait for their turn stay in the topic: they are read again at the next start.
    fn stop(&mut self) {
        self.shared.lock().is_stopped = true;
        if matches!(self.going, Going::On) {
            self.chunk = None;
            self.going = Going::Ending;
        }
    }

    fn counters(&self) -> SourceCounters {
        SourceCounters {
            flows: self.ready.handed_over(),
            late: self.counts().order.late,
            ..self.counters
        }
    }

    fn stored(&mut self, flows: u64) -> Option<Position> {
        self.take_deliveries();
        for handed in self.ready.stored(flows) {
            if let Some(shard) = self.shards.get_mut(&handed.partition)
                && shard.epoch == handed.epoch
            {
                shard.ledger.close(handed.entry);
            }
        }
        self.tell();
        None
    }

    fn unused(&self) -> Option<String> {
        let counts = self.counts();
        if self.counters.rejected == 0 && counts.order.repeated == 0 {
            return None;
        }
        let mut said = format!("{}: {}", self.name, counts.items);
        for (count, what) in [
            (counts.order.repeated, "records repeat another"),
            (counts.without_value, "messages have no value"),
            (counts.unrecognised, "messages are of no format that is read"),
            (counts.passed_over, "messages were passed over by command"),
        ] {
            if count > 0 {
                // Text takes all that is written.
                let _ = write!(said, "; {count} {what}");
            }
        }
        Some(said)
    }

    fn partitions(&self) -> Vec<PartitionStatus> {
        self.shared.partitions()
    }

    fn partition_control(&self) -> Option<Arc<dyn PartitionControl>> {
        Some(Arc::new(Control {
            topic: self.options.topic.clone(),
            shared: Arc::clone(&self.shared),
        }))
    }

    fn trouble(&self) -> Option<String> {
        let state = self.shared.lock();
        state.trouble.as_ref().map(|trouble| trouble.text().to_owned())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.shared.lock().is_stopped = true;
        if let Some(letters) = &self.letters {
            letters.flush(LEAVE);
        }
        self.take_deliveries();
        self.tell();
        let Some(client) = self.client.take() else { return };
        drop((client.closing, client.events));
        if client.closed.recv_timeout(LEAVE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                topic = self.options.topic,
                "the consumer has not left its group in time; the group notices when its session ends"
            );
        }
    }
}
