//! Between scoring and storing: the records that wait for the store.
//!
//! Blocks of a source that can wait stay here until they are stored, so that the number of blocks bounds what waits.
//! Blocks of a source that cannot wait are given back at once and only their records stay, up to a number of flows: scoring
//! goes on while the store is away. Beyond that number flows are dropped and counted.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;
use netsage_sources::Pace;
use netsage_store::FlowBatchRecord;

use super::block::Block;
use super::counters::{DropReason, lock};
use super::{Counters, SourceState};

/// What a source may be told once everything before is stored.
type Acknowledgement = (Arc<SourceState>, u64);

/// What is to be stored.
pub(super) struct Delivery {
    pub(super) record: Arc<FlowBatchRecord>,
    pub(super) failed: u64,
    pub(super) alerted: u64,
    pub(super) acknowledgement: Option<Acknowledgement>,
    /// The block, if it waits too.
    block: Option<Block>,
}

impl Delivery {
    /// Flows in it.
    pub(super) fn flows(&self) -> u64 {
        self.record.flows.len() as u64
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "few are dropped, and a box for each of the others would be an allocation per block"
)]
pub(super) enum Item {
    Delivery(Delivery),
    /// In the place of flows that were dropped: their source is told in turn.
    Dropped(Acknowledgement),
}

/// The recorder has ended, and stores nothing any more.
pub(super) struct RecorderEnded;

/// The way to the recorder, for the one stage before it. Dropped, also after a panic, it says that nothing more comes.
pub(super) struct ToRecorder {
    room: Arc<WaitingRoom>,
    counters: Arc<Counters>,
    give_back: Sender<Block>,
}

impl ToRecorder {
    pub(super) fn new(room: Arc<WaitingRoom>, counters: Arc<Counters>, give_back: Sender<Block>) -> Self {
        Self {
            room,
            counters,
            give_back,
        }
    }

    /// Hands a scored block on.
    pub(super) fn hand_on(&self, block: Block) -> Result<(), RecorderEnded> {
        let (given_back, dropped) = self.room.put(block)?;
        if dropped > 0 {
            self.counters.ledger.dropped(dropped, DropReason::Store);
            self.counters.blocks_under_way.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(block) = given_back {
            // The reader may have ended and need no more blocks.
            let _ = self.give_back.send(block);
        }
        Ok(())
    }
}

impl Drop for ToRecorder {
    fn drop(&mut self) {
        self.room.close();
    }
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// Flows of sources that cannot wait.
    live_flows: usize,
    /// Memory for records.
    spare: Vec<Arc<FlowBatchRecord>>,
    no_more: bool,
    recorder_ended: bool,
}

pub(super) struct WaitingRoom {
    state: Mutex<State>,
    changed: Condvar,
    /// Most flows of sources that cannot wait.
    most_flows: usize,
    most_spare: usize,
}

impl WaitingRoom {
    pub(super) fn new(most_flows: usize, most_spare: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            most_flows,
            most_spare,
        }
    }

    /// Takes in a scored block. Gives it back when it need not wait, and says how many flows were dropped.
    pub(super) fn put(&self, mut block: Block) -> Result<(Option<Block>, u64), RecorderEnded> {
        let flows = block.flows.len();
        let failed = (0..flows)
            .filter(|row| block.verdicts.is_incomplete(*row))
            .count();
        let alerted = block.above.iter().filter(|&&above| above).count();
        // A block that waits must not keep a former line-up, and with it its detectors, alive.
        block.verdicts.clear();
        let acknowledgement = block.source.take();
        let waits = block.pace == Pace::Waits;

        let mut state = lock(&self.state);
        if state.recorder_ended {
            return Err(RecorderEnded);
        }
        if !waits && state.live_flows + flows > self.most_flows {
            state.drop_in_turn(acknowledgement);
            return Ok((Some(block), flows as u64));
        }
        let record = if waits {
            Arc::clone(&block.record)
        } else {
            state.live_flows += flows;
            let spare = state.spare.pop().unwrap_or_default();
            mem::replace(&mut block.record, spare)
        };
        let (kept, given_back) = if waits {
            (Some(block), None)
        } else {
            (None, Some(block))
        };
        state.items.push_back(Item::Delivery(Delivery {
            record,
            failed: failed as u64,
            alerted: alerted as u64,
            acknowledgement,
            block: kept,
        }));
        drop(state);
        self.changed.notify_one();
        Ok((given_back, 0))
    }

    /// Says that nothing more comes.
    pub(super) fn close(&self) {
        lock(&self.state).no_more = true;
        self.changed.notify_one();
    }

    /// Waits until something is there and moves up to `most` items into `items`. It waits for that many until the time
    /// that `until` names, asked again whenever something has come, with the time when the first was there. `false` when
    /// nothing is there and nothing more comes.
    pub(super) fn take(
        &self,
        most: usize,
        items: &mut Vec<Item>,
        until: impl Fn(Instant) -> Instant,
    ) -> bool {
        let unpoisoned = PoisonError::into_inner;
        let mut state = lock(&self.state);
        while state.items.is_empty() {
            if state.no_more {
                return false;
            }
            state = self.changed.wait(state).unwrap_or_else(unpoisoned);
        }
        let first = Instant::now();
        while state.items.len() < most && !state.no_more {
            let left = until(first).saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
        let count = state.items.len().min(most);
        items.extend(state.items.drain(..count));
        true
    }

    /// Gives back the memory of what was stored or dropped.
    pub(super) fn release(&self, delivery: Delivery, give_back: &Sender<Block>) {
        let Delivery { record, block, .. } = delivery;
        match block {
            Some(block) => {
                // The block must be alone with its record to fill it again in place.
                drop(record);
                // The reader may have ended and need no more blocks.
                let _ = give_back.send(block);
            }
            None => {
                let mut state = lock(&self.state);
                state.live_flows -= record.flows.len();
                if state.spare.len() < self.most_spare {
                    state.spare.push(record);
                }
            }
        }
    }

    /// Ends the way to the store. Blocks that wait are given back, so that their readers see it.
    pub(super) fn end(&self, give_back: &Sender<Block>) {
        let items = {
            let mut state = lock(&self.state);
            state.recorder_ended = true;
            mem::take(&mut state.items)
        };
        for item in items {
            if let Item::Delivery(Delivery {
                block: Some(block), ..
            }) = item
            {
                // As above.
                let _ = give_back.send(block);
            }
        }
    }
}

impl State {
    /// Notes that flows were dropped, to be acknowledged behind what waits.
    fn drop_in_turn(&mut self, acknowledgement: Option<Acknowledgement>) {
        let Some((source, flows)) = acknowledgement else {
            return;
        };
        match self.items.back_mut() {
            // One note for all that is dropped one after the other.
            Some(Item::Dropped((last, noted))) if Arc::ptr_eq(last, &source) => *noted = flows,
            _ => self.items.push_back(Item::Dropped((source, flows))),
        }
    }
}
