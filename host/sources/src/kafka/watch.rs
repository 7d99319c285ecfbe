//! What is asked of the broker beside the messages: the end of each partition, what was committed before, and whether a
//! partition that brings nothing is held up by a batch that cannot be unpacked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use netsage_kafka::Trouble;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::consumer::{ANSWER, Context};
use super::probe::{Found, Probe};
use super::shared::{Held, Passing, Shared};

/// How often the broker is asked for the ends of the partitions.
const ASK: Duration = Duration::from_secs(1);
/// Looks in which a partition stands still before it is looked into though the client has complained of nothing.
const PATIENCE: u32 = 10;
/// How long a partition that was found to be well is not looked into again.
const WELL: Duration = Duration::from_secs(30);

/// Watches the partitions of a consumer.
pub(super) struct Watch<'a> {
    pub(super) consumer: &'a BaseConsumer<Context>,
    /// The settings of the consumer.
    pub(super) config: &'a ClientConfig,
    pub(super) topic: &'a str,
    pub(super) shared: &'a Shared,
    /// The other end is dropped when the consumer is to leave its group.
    pub(super) closing: &'a Receiver<()>,
    /// What was seen of each partition and assignment.
    pub(super) seen: BTreeMap<(i32, u64), Seen>,
}

/// What was seen of a partition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// What the client takes next.
    position: Option<i64>,
    /// Looks since that moved.
    stood: u32,
    /// When the partition was found to be well.
    well: Option<Instant>,
    /// The end before which no message stands: what is there is the broker's own, as of a transaction.
    empty_to: Option<i64>,
}

impl Watch<'_> {
    /// Asks again and again until the source is closed. The broker's answers tell the lag, and that a partition which brings
    /// nothing has nothing: a broker that is gone is quiet too.
    pub(super) fn run(mut self) {
        while self.closing.recv_timeout(ASK) == Err(RecvTimeoutError::Timeout) {
            let owned: Vec<(i32, u64)> = (self.shared.lock().owned.iter())
                .map(|(&partition, owned)| (partition, owned.epoch))
                .collect();
            self.seen.retain(|one, _| owned.contains(one));
            let is_suspect = std::mem::take(&mut self.shared.lock().is_suspect);
            let positions = self.consumer.position();
            for (partition, epoch) in owned {
                if self.is_closing() {
                    return;
                }
                let asked = Instant::now();
                let (first, end) = match self.consumer.fetch_watermarks(self.topic, partition, ANSWER) {
                    Ok(watermarks) => watermarks,
                    Err(error) => {
                        let trouble = Trouble::of_partition(partition, &error);
                        self.shared.trouble(self.topic, trouble);
                        break;
                    }
                };
                self.shared.well(self.topic);
                let (from, is_unknown) = match self.shared.lock().of_epoch(partition, epoch) {
                    Some(owned) => {
                        owned.end = Some(end);
                        owned.asked = Some(asked);
                        (owned.from.unwrap_or(first).max(first), owned.stored.is_none())
                    }
                    None => continue,
                };
                if is_unknown {
                    self.ask_committed(partition, epoch);
                }
                let position = positions.as_ref().ok().and_then(|positions| {
                    match positions.find_partition(self.topic, partition)?.offset() {
                        Offset::Offset(offset) => Some(offset),
                        _ => None,
                    }
                });
                // Behind what was passed over the client has no position until a message comes.
                let position = position.map_or(from, |position| position.max(from));
                self.look(partition, epoch, position, end, is_suspect);
            }
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Asks where an earlier consumer of the group got to.
    fn ask_committed(&self, partition: i32, epoch: u64) {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(self.topic, partition);
        let Ok(committed) = self.consumer.committed_offsets(asked, ANSWER) else {
            return;
        };
        if let Some(Offset::Offset(offset)) = committed.elements().first().map(|found| found.offset())
            && let Some(owned) = self.shared.lock().of_epoch(partition, epoch)
        {
            owned.stored.get_or_insert(offset);
        }
    }

    /// Finds out whether a partition is held up, and lets one go on that somebody has asked to.
    fn look(&mut self, partition: i32, epoch: u64, position: i64, end: i64, is_suspect: bool) {
        let seen = self.seen.entry((partition, epoch)).or_default();
        let has_moved = seen.position != Some(position);
        let is_paused = self.shared.lock().is_paused;
        if has_moved || position >= end || is_paused {
            *seen = Seen {
                position: Some(position),
                ..Seen::default()
            };
            if (has_moved || position >= end)
                && let Some(owned) = self.shared.lock().of_epoch(partition, epoch)
            {
                owned.held = None;
            }
            return;
        }
        seen.stood += 1;
        let stood = seen.stood;
        let is_well = seen.empty_to == Some(end) || seen.well.is_some_and(|well| well.elapsed() < WELL);
        let held = match self.shared.lock().of_epoch(partition, epoch) {
            Some(owned) => owned.held,
            None => return,
        };
        match held {
            Some(held) if held.is_to_pass => self.pass(partition, epoch, held.offset),
            Some(_) => {}
            None if !is_well && (is_suspect || stood >= PATIENCE) => {
                self.look_into(partition, epoch, position, end);
            }
            None => {}
        }
    }

    /// Looks at the offset where a partition stands.
    fn look_into(&mut self, partition: i32, epoch: u64, offset: i64, end: i64) {
        let found = Probe::open(self.config, self.topic).and_then(|probe| probe.look(partition, offset));
        let reason = match found {
            Ok(Found::Unreadable(reason)) => reason,
            Ok(Found::Nothing) => "gives nothing that the client can read",
            Ok(found @ (Found::Message | Found::End)) => {
                let seen = self.seen.entry((partition, epoch)).or_default();
                seen.well = Some(Instant::now());
                seen.empty_to = (found == Found::End).then_some(end);
                return;
            }
            Err(error) => {
                tracing::debug!(topic = self.topic, partition, offset, %error, "offset not looked at");
                return;
            }
        };
        let held = Held {
            offset,
            reason,
            is_to_pass: false,
        };
        let mut state = self.shared.lock();
        let Some(owned) = state.of_epoch(partition, epoch) else {
            return;
        };
        let passed = owned
            .said
            .passed
            .iter()
            .find(|(from, to)| (*from..*to).contains(&offset));
        match passed {
            // It was passed over before, and is only read again.
            Some(&(_, to)) => {
                let passing = Passing {
                    partition,
                    epoch,
                    from: offset,
                    to,
                };
                state.passing.push(passing);
            }
            None => {
                owned.held = Some(held);
                tracing::error!(
                    topic = self.topic,
                    partition,
                    offset,
                    reason,
                    "partition held up by a batch"
                );
            }
        }
    }

    /// Finds where a partition can go on, and has it go on there.
    fn pass(&self, partition: i32, epoch: u64, from: i64) {
        let probe = match Probe::open(self.config, self.topic) {
            Ok(probe) => probe,
            Err(error) => {
                tracing::warn!(topic = self.topic, partition, %error, "batch not passed over, trying again");
                return;
            }
        };
        let has_left = || self.shared.lock().of_epoch(partition, epoch).is_none();
        match probe.behind(partition, from, || self.is_closing() || has_left()) {
            Some(to) => {
                let mut state = self.shared.lock();
                if let Some(owned) = state.of_epoch(partition, epoch) {
                    owned.said.passed.push((from, to));
                    owned.held = None;
                    let passing = Passing {
                        partition,
                        epoch,
                        from,
                        to,
                    };
                    state.passing.push(passing);
                }
            }
            None => {
                tracing::warn!(
                    topic = self.topic,
                    partition,
                    from,
                    "no end of a batch found, trying again"
                );
            }
        }
    }
}
