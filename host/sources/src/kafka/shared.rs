//! What the thread of the consumer, the one that asks for watermarks and the reader of the source share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A partition of the topic as long as this consumer has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Owned {
    /// Which assignment it is: a partition that leaves and comes back is another one.
    pub(super) epoch: u64,
    /// The offset to go on at after a restart.
    pub(super) stored: Option<i64>,
    /// Where whoever goes on there is to begin, for the sake of the window.
    pub(super) begin: i64,
    /// Whether the client has to be told of `stored`.
    pub(super) is_news: bool,
    /// The end of the partition, by the broker's word.
    pub(super) end: Option<i64>,
    /// When the broker was asked for it.
    pub(super) asked: Option<Instant>,
    /// Records that wait for their turn.
    pub(super) waiting: usize,
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
    /// Assignments so far.
    epochs: u64,
    /// What keeps the source from reading, if anything does.
    pub(super) trouble: Option<String>,
    /// Whether messages are still taken in.
    pub(super) is_stopped: bool,
}

impl State {
    pub(super) fn arrive(&mut self, partition: i32, committed: Option<i64>) {
        self.epochs += 1;
        let epoch = self.epochs;
        let owned = Owned {
            epoch,
            stored: committed,
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

    /// Notes what keeps the source from reading, and logs it when it is something new.
    pub(super) fn trouble(&self, topic: &str, trouble: String) {
        let mut state = self.lock();
        if state.trouble.as_deref() != Some(&trouble) {
            tracing::warn!(topic, %trouble, "kafka does not answer as it should");
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
