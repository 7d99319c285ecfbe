//! What the thread of the consumer, the one that asks for watermarks and the reader of the source share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use netsage_kafka::Trouble;

use super::past::Said;
use crate::source::{NotPassedOver, PartitionControl, PartitionState, PartitionStatus};

/// A partition of the topic as long as this consumer has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Owned {
    /// Which assignment it is: a partition that leaves and comes back is another one.
    pub(super) epoch: u64,
    /// Where reading began, or went on behind what was passed over; `None` where the client finds out by itself.
    pub(super) from: Option<i64>,
    /// Messages before this offset were done with by others.
    pub(super) committed: Option<i64>,
    /// The offset to go on at after a restart.
    pub(super) stored: Option<i64>,
    /// What is said with it to whoever goes on there.
    pub(super) said: Said,
    /// Whether the client has to be told of `stored`.
    pub(super) is_news: bool,
    /// The message that the reader takes next.
    pub(super) position: Option<i64>,
    /// The end of the partition, by the broker's word.
    pub(super) end: Option<i64>,
    /// When the broker was asked for it.
    pub(super) asked: Option<Instant>,
    /// Records that wait for their turn.
    pub(super) waiting: usize,
    /// The batch that holds it up.
    pub(super) held: Option<Held>,
    /// Messages passed over by command.
    pub(super) passed_over: u64,
}

/// A batch that cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// The offset that cannot be read.
    pub(super) offset: i64,
    /// What is wrong, to be read after "a batch".
    pub(super) reason: &'static str,
    /// Whether somebody has asked to pass over it.
    pub(super) is_to_pass: bool,
}

impl Owned {
    pub(super) fn state(&self) -> PartitionState {
        match (self.held, self.position, self.end) {
            (Some(held), ..) if held.is_to_pass => PartitionState::PassingOver { offset: held.offset },
            (Some(Held { offset, reason, .. }), ..) => PartitionState::Held { offset, reason },
            (None, Some(position), _) if self.committed.is_some_and(|committed| position < committed) => {
                PartitionState::Rereading
            }
            (None, position, Some(end)) if position.or(self.from).is_some_and(|position| position >= end) => {
                PartitionState::AtEnd
            }
            (None, None, _) => PartitionState::Starting,
            (None, Some(_), _) => PartitionState::Reading,
        }
    }
}

/// Messages of a partition to go on behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passing {
    pub(super) partition: i32,
    pub(super) epoch: u64,
    /// The first that cannot be read.
    pub(super) from: i64,
    /// The first that can.
    pub(super) to: i64,
}

/// A change of the assignment that the reader has to follow.
#[derive(Debug)]
pub(super) enum Change {
    Arrived {
        partition: i32,
        epoch: u64,
        /// Messages before this offset are done with, and read again for the window alone.
        committed: Option<i64>,
    },
    Left {
        partition: i32,
    },
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) owned: BTreeMap<i32, Owned>,
    /// Changes that the reader was not told of.
    pub(super) changes: Vec<Change>,
    /// What is to be passed over.
    pub(super) passing: Vec<Passing>,
    /// Whether the client said of some partition that a batch cannot be unpacked, since this was looked at last.
    pub(super) is_suspect: bool,
    /// Whether nothing is fetched, for want of room.
    pub(super) is_paused: bool,
    /// Assignments so far.
    epochs: u64,
    /// What keeps the source from reading, if anything does.
    pub(super) trouble: Option<Trouble>,
    /// Whether messages are still taken in.
    pub(super) is_stopped: bool,
}

impl State {
    /// `committed`: what the group has committed, with what was said.
    pub(super) fn arrive(&mut self, partition: i32, committed: Option<(i64, Said)>) {
        self.epochs += 1;
        let epoch = self.epochs;
        let (committed, said) = committed.unzip();
        let said: Said = said.unwrap_or_default();
        let owned = Owned {
            epoch,
            from: committed.map(|_| said.begin),
            committed,
            stored: committed,
            said,
            ..Owned::default()
        };
        self.owned.insert(partition, owned);
        self.changes.push(Change::Arrived {
            partition,
            epoch,
            committed,
        });
    }

    pub(super) fn leave(&mut self, partition: i32) {
        if self.owned.remove(&partition).is_some() {
            self.changes.push(Change::Left { partition });
        }
    }

    /// The partition, while the assignment is that one.
    pub(super) fn of_epoch(&mut self, partition: i32, epoch: u64) -> Option<&mut Owned> {
        self.owned
            .get_mut(&partition)
            .filter(|owned| owned.epoch == epoch)
    }
}

#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No step of a change can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions as others see them.
    pub(super) fn partitions(&self) -> Vec<PartitionStatus> {
        let status = |(&partition, owned): (&i32, &Owned)| PartitionStatus {
            partition,
            stored: owned.stored,
            position: owned.position,
            end: owned.end,
            waiting: owned.waiting,
            passed_over: owned.passed_over,
            state: owned.state(),
        };
        self.lock().owned.iter().map(status).collect()
    }

    /// Notes what keeps the source from reading, and logs it when it is something new.
    pub(super) fn trouble(&self, topic: &str, trouble: Trouble) {
        let mut state = self.lock();
        if trouble.is_news_beside(state.trouble.as_ref()) {
            tracing::warn!(
                topic,
                trouble = trouble.text(),
                "kafka does not answer as it should"
            );
            state.trouble = Some(trouble);
        }
    }

    /// The broker answers as it should.
    pub(super) fn well(&self, topic: &str) {
        if self.lock().trouble.take().is_some() {
            tracing::info!(topic, "kafka answers again");
        }
    }
}

/// What other threads may ask of the source.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) topic: String,
    pub(super) shared: Arc<Shared>,
}

impl PartitionControl for Control {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partitions(&self) -> Vec<PartitionStatus> {
        self.shared.partitions()
    }

    fn pass_over(&self, partition: i32, offset: i64) -> Result<(), NotPassedOver> {
        let mut state = self.shared.lock();
        let owned = state.owned.get_mut(&partition);
        let held = &mut owned.ok_or(NotPassedOver::NotHere(partition))?.held;
        let held = held.as_mut().ok_or(NotPassedOver::NotHeld(partition))?;
        if held.offset != offset {
            let offset = held.offset;
            return Err(NotPassedOver::Elsewhere { partition, offset });
        }
        held.is_to_pass = true;
        Ok(())
    }
}
