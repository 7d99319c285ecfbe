//! The last stage: what is scored into the store, and the news of it to who watches. It never gives up by itself: a store
//! that fails is tried again for ever, with growing pauses.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use netsage_api_types::Alert;
use netsage_outputs::Pauses;
use netsage_store::{FlowBatchRecord, Store, StoreError};

use super::block::Block;
use super::counters::{DropReason, Storing, lock};
use super::waiting::{Delivery, Item, WaitingRoom};
use super::{Counters, PipelineError};
use crate::Announcer;

/// Blocks delivered at once when there are so many: one transaction costs less than sixteen, and writes the pages and the
/// alerts that change in all of them once.
const MOST_AT_ONCE: usize = 16;

/// How long a block may wait for those behind it, and the shortest time between two deliveries of fewer than
/// [`MOST_AT_ONCE`]: ten transactions a second write a page of an index that many of them change ten times.
const GATHERING: Duration = Duration::from_millis(100);

/// Longest time without a look at whether to give up.
const LOOK: Duration = Duration::from_millis(50);

/// How much longer than its patience the end waits for the answer to a delivery under way: nobody would know whether those
/// flows are stored. A store that is locked or slow answers by then; one whose disk hangs does not.
const LAST_ANSWER: Duration = Duration::from_secs(3);

/// Time between two log lines about a store that goes on failing.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// How a pipeline deals with its store.
#[derive(Debug, Clone, Copy)]
pub struct StoringConfig {
    /// Flows of a source that cannot wait which may wait for the store; beyond that they are dropped. A flow takes about
    /// 250 bytes.
    pub queue_flows: usize,
    /// How long the store may refuse before the pipeline ends; `None` for ever.
    pub patience: Option<Duration>,
    /// How long a store that takes nothing keeps a pipeline that was asked to end.
    pub end_patience: Duration,
    /// Pauses between attempts. The longest is also how late the recorder sees that the store is well again.
    pub pauses: Pauses,
}

impl Default for StoringConfig {
    fn default() -> Self {
        Self {
            queue_flows: 100_000,
            patience: None,
            end_patience: Duration::from_secs(3),
            pauses: Pauses::new(Duration::from_millis(100), Duration::from_secs(2)),
        }
    }
}

/// What a recorder works with.
pub(super) struct Parts {
    pub(super) config: StoringConfig,
    pub(super) room: Arc<WaitingRoom>,
    pub(super) store: Arc<dyn Store>,
    pub(super) events: Announcer,
    pub(super) counters: Arc<Counters>,
    pub(super) give_back: Sender<Block>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) stop: Arc<AtomicBool>,
}

pub(super) struct Recorder {
    parts: Parts,
    /// When the recorder saw that the pipeline is to end.
    stopped: Option<Instant>,
    /// When the store took something last, or was asked first.
    progressed: Instant,
    last_line: Option<Instant>,
    /// Why the store takes nothing, since it took something last.
    refusal: Option<StoreError>,
    /// Whether a part of what is being delivered may be stored already, with alerts that nobody has been told of.
    is_repeated: bool,
    /// What is being delivered. It is given back when the recorder ends, however it ends.
    under_way: Vec<Delivery>,
    /// The records of these, for the time of an attempt.
    records: Vec<Arc<FlowBatchRecord>>,
}

impl Recorder {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            stopped: None,
            progressed: Instant::now(),
            last_line: None,
            refusal: None,
            is_repeated: false,
            under_way: Vec::with_capacity(MOST_AT_ONCE),
            records: Vec::with_capacity(MOST_AT_ONCE),
        }
    }

    /// Records until nothing more comes.
    pub(super) fn run(mut self) -> Result<(), PipelineError> {
        let room = Arc::clone(&self.parts.room);
        let counters = Arc::clone(&self.parts.counters);
        let mut items = Vec::with_capacity(MOST_AT_ONCE);
        let mut before = None;
        // While blocks stand in line for a worker more come soon. Otherwise nothing waits but for the one before to be a
        // while ago: who comes seldom is stored at once.
        while room.take(MOST_AT_ONCE, &mut items, |first| {
            match counters.blocks_to_score.load(Ordering::Relaxed) {
                0 => before.map_or(first, |before: Instant| before + GATHERING),
                _ => first + GATHERING,
            }
        }) {
            before = Some(Instant::now());
            let mut acknowledgements = Vec::with_capacity(items.len());
            for item in items.drain(..) {
                match item {
                    Item::Delivery(mut delivery) => {
                        acknowledgements.extend(delivery.acknowledgement.take());
                        self.under_way.push(delivery);
                    }
                    Item::Dropped(acknowledgement) => acknowledgements.push(acknowledgement),
                }
            }
            self.deliver()?;
            for (source, flows) in acknowledgements {
                source.set_stored(flows);
            }
        }
        Ok(())
    }

    /// Delivers until the store takes it. Repeating is safe: the store knows a flow by its id.
    fn deliver(&mut self) -> Result<(), PipelineError> {
        self.progressed = Instant::now();
        self.parts.config.pauses.reset();
        self.refusal = None;
        self.is_repeated = false;
        self.persist()
    }

    fn persist(&mut self) -> Result<(), PipelineError> {
        if self.under_way.is_empty() {
            return Ok(());
        }
        loop {
            let error = match self.attempt() {
                Ok(alerts) => {
                    self.taken(&alerts);
                    return Ok(());
                }
                Err(error) if error.is_of_record() => return self.deliver_each(&error),
                Err(error) => error,
            };
            self.refused(&error);
            // Without its thread no store takes anything again.
            let is_gone = matches!(error, StoreError::ShutDown);
            // What it said before tells more than that it says nothing now.
            if self.refusal.is_none() || !matches!(error, StoreError::NoAnswer { .. }) {
                self.refusal = Some(error);
            }
            if (is_gone || !self.pause())
                && let Some(source) = self.refusal.take()
            {
                return Err(PipelineError::Store {
                    flows: self.parts.counters.snapshot().flows_waiting,
                    source,
                });
            }
            if self.under_way.len() > 1 {
                // A slow store may take in time one of what it does not take together, and one that is well again is seen to
                // be so after the first.
                return self.deliver_one_by_one();
            }
        }
    }

    /// Delivers each by itself, and drops the one that no store will ever take.
    fn deliver_each(&mut self, error: &StoreError) -> Result<(), PipelineError> {
        if self.under_way.len() > 1 {
            return self.deliver_one_by_one();
        }
        for delivery in mem::take(&mut self.under_way) {
            let flows = delivery.flows();
            tracing::error!(%error, flows, "flows dropped: no store takes them");
            self.parts.counters.ledger.dropped(flows, DropReason::Store);
            self.release(delivery);
        }
        Ok(())
    }

    fn deliver_one_by_one(&mut self) -> Result<(), PipelineError> {
        let mut rest = mem::take(&mut self.under_way).into_iter();
        while let Some(delivery) = rest.next() {
            self.under_way.push(delivery);
            if let Err(error) = self.persist() {
                self.under_way.extend(rest);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Asks the store once.
    fn attempt(&mut self) -> Result<Vec<Alert>, StoreError> {
        self.tell(|storing| storing.under_way = Some(Instant::now()));
        let mut records = mem::take(&mut self.records);
        records.extend(self.under_way.iter().map(|delivery| Arc::clone(&delivery.record)));
        let runtime = self.parts.runtime.clone();
        let outcome = runtime.block_on(async {
            let store = Arc::clone(&self.parts.store);
            let mut recording = store.record(&records);
            let mut given_up = None;
            loop {
                if let Ok(outcome) = tokio::time::timeout(LOOK, &mut recording).await {
                    return outcome;
                }
                if self.gives_up() && given_up.get_or_insert_with(Instant::now).elapsed() >= LAST_ANSWER {
                    let seconds = self.progressed.elapsed().as_secs();
                    return Err(StoreError::NoAnswer { seconds });
                }
            }
        });
        // The blocks must be alone with their records to fill them again in place.
        records.clear();
        self.records = records;
        self.tell(|storing| storing.under_way = None);
        outcome
    }

    fn tell(&self, change: impl FnOnce(&mut Storing)) {
        change(&mut lock(&self.parts.counters.storing));
    }

    fn taken(&mut self, alerts: &[Alert]) {
        if self.last_line.take().is_some() {
            tracing::info!("the store takes flows again");
        }
        self.tell(|storing| storing.refused = None);
        (self.progressed, self.refusal) = (Instant::now(), None);
        self.parts.config.pauses.reset();
        let sum = |count: fn(&Delivery) -> u64| self.under_way.iter().map(count).sum::<u64>();
        let (flows, failed) = (sum(Delivery::flows), sum(|delivery| delivery.failed));
        let alerted = sum(|delivery| delivery.alerted);
        self.parts.counters.ledger.stored(flows - failed, failed, alerted);
        let mut taken = mem::take(&mut self.under_way);
        for delivery in taken.drain(..) {
            self.parts.counters.count_hits(&delivery.record);
            self.release(delivery);
        }
        // Only for its memory.
        self.under_way = taken;
        if !alerts.is_empty() || self.is_repeated {
            self.parts.events.alerts_changed();
        }
    }

    fn release(&self, delivery: Delivery) {
        self.parts
            .counters
            .blocks_under_way
            .fetch_sub(1, Ordering::Relaxed);
        self.parts.room.release(delivery, &self.parts.give_back);
    }

    fn refused(&mut self, error: &StoreError) {
        self.is_repeated = true;
        let since = self.progressed;
        self.tell(|storing| {
            let since = storing.refused.map_or(since, |(since, _)| since);
            storing.refused = Some((since, error.state_of_store()));
        });
        self.parts.counters.store_retries.fetch_add(1, Ordering::Relaxed);
        if self.last_line.is_none_or(|last| last.elapsed() >= BETWEEN_LINES) {
            self.last_line = Some(Instant::now());
            let waiting = self.parts.counters.snapshot().flows_waiting;
            tracing::warn!(%error, waiting, "the store takes no flows, trying again until it does");
        }
    }

    /// Waits before the next attempt; `false` when there is to be none.
    fn pause(&mut self) -> bool {
        let until = Instant::now() + self.parts.config.pauses.take();
        loop {
            if self.gives_up() {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(LOOK));
        }
    }

    /// Whether a store that takes nothing is to be waited for no longer.
    fn gives_up(&mut self) -> bool {
        let refused = self.progressed.elapsed();
        if self
            .parts
            .config
            .patience
            .is_some_and(|patience| refused >= patience)
        {
            return true;
        }
        if self.parts.stop.load(Ordering::Acquire) {
            let stopped = *self.stopped.get_or_insert_with(Instant::now);
            return refused.min(stopped.elapsed()) >= self.parts.config.end_patience;
        }
        false
    }
}

/// Also after a panic: whoever hands on blocks must see that nobody takes them.
impl Drop for Recorder {
    fn drop(&mut self) {
        for delivery in mem::take(&mut self.under_way) {
            self.release(delivery);
        }
        self.parts.room.end(&self.parts.give_back);
    }
}
