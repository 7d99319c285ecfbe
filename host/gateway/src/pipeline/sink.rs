//! The last stage: blocks in their order into the store, and word of them to outputs and clients.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use netsage_api_types::{Alert, StreamEvent};
use netsage_lifecycle::{Roster, Scorer};
use netsage_store::{FlowBatchRecord, Store, StoreError};

use super::block::{Block, FromWorker};
use super::explainer::Explainer;
use super::{Counters, PipelineError};
use crate::Announcer;

/// Waits between attempts to deliver a block.
const RETRY_WAITS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Blocks delivered at once when there are so many: one transaction costs less than eight, and writes an alert that goes
/// on in all of them once.
const MOST_AT_ONCE: usize = 8;

/// How long a block may wait for those behind it.
const GATHERING: Duration = Duration::from_millis(100);

pub(super) struct Sink {
    /// For detectors that must see the blocks in their order.
    scorer: Scorer,
    explainer: Explainer,
    /// Blocks that overtook an earlier one; never more than exist.
    early: BTreeMap<u64, Block>,
    /// The block to come.
    next: u64,
    /// Blocks in their order, to be delivered.
    ready: Vec<Block>,
    /// Their records, for the time of a delivery.
    records: Vec<Arc<FlowBatchRecord>>,
    store: Arc<dyn Store>,
    events: Announcer,
    counters: Arc<Counters>,
    give_back: Sender<Block>,
    runtime: tokio::runtime::Handle,
}

impl Sink {
    pub(super) fn new(
        roster: &Arc<Roster>,
        store: Arc<dyn Store>,
        events: Announcer,
        counters: Arc<Counters>,
        give_back: Sender<Block>,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            scorer: Scorer::new(Arc::clone(roster)),
            explainer: Explainer::new(store.alert_window()),
            early: BTreeMap::new(),
            next: 0,
            ready: Vec::with_capacity(MOST_AT_ONCE),
            records: Vec::with_capacity(MOST_AT_ONCE),
            store,
            events,
            counters,
            give_back,
            runtime,
        }
    }

    pub(super) fn run(mut self, from_workers: &Receiver<FromWorker>) -> Result<(), PipelineError> {
        for scored in from_workers {
            self.take(scored?)?;
            let stopped = self.gather(from_workers);
            self.deliver()?;
            if let Some(error) = stopped {
                return Err(error);
            }
        }
        self.counters.set_finished();
        self.events.say(StreamEvent::Counters(self.counters.snapshot()));
        Ok(())
    }

    /// Takes the blocks that are there, and waits for more while some stand in line for a worker: at a low rate none do,
    /// and nothing waits. Gives the error that ends the pipeline, if one came.
    fn gather(&mut self, from_workers: &Receiver<FromWorker>) -> Option<PipelineError> {
        let deadline = Instant::now() + GATHERING;
        while self.ready.len() < MOST_AT_ONCE {
            let is_busy = self.counters.blocks_to_score.load(Ordering::Relaxed) > 0;
            let until = if is_busy { deadline } else { Instant::now() };
            // Late, or no worker is left.
            let Ok(scored) = from_workers.recv_deadline(until) else {
                return None;
            };
            let taken = scored.map_err(PipelineError::from);
            if let Err(error) = taken.and_then(|block| self.take(block)) {
                return Some(error);
            }
        }
        None
    }

    /// Takes a block from a worker; it and those that waited for it become ready.
    fn take(&mut self, scored: Block) -> Result<(), PipelineError> {
        self.early.insert(scored.sequence, scored);
        while let Some(mut block) = self.early.remove(&self.next) {
            self.next += 1;
            if block.verdicts.lineup().is_some_and(|lineup| lineup.is_in_order()) {
                let (flows, verdicts) = block.scoring_parts();
                self.scorer.score_in_order(flows, verdicts)?;
                block.record_scores(true, &mut self.explainer);
                block.record_fused(&mut self.explainer);
            }
            self.ready.push(block);
        }
        let out_of_order = self.early.len() as u64;
        self.counters
            .blocks_out_of_order
            .store(out_of_order, Ordering::Relaxed);
        Ok(())
    }

    /// Delivers the blocks that are ready, tells the news, and gives the blocks back.
    fn deliver(&mut self) -> Result<(), PipelineError> {
        if self.ready.is_empty() {
            return Ok(());
        }
        self.records
            .extend(self.ready.iter().map(|block| Arc::clone(&block.record)));
        let alerts = self.record().map_err(|source| PipelineError::Store {
            flows: self.ready.iter().map(|block| block.flows.len()).sum(),
            source,
        })?;
        // The blocks must be alone with their records to fill them again in place.
        self.records.clear();
        if !alerts.is_empty() {
            self.events.alerts_changed();
        }
        for mut block in self.ready.drain(..) {
            count(&self.counters, &block);
            // An idle block must not keep a former line-up, and with it its detectors, alive.
            block.verdicts.clear();
            if let Some((source, flows)) = block.source.take() {
                source.set_stored(flows);
            }
            self.counters.blocks_under_way.fetch_sub(1, Ordering::Relaxed);
            // The reader may have ended and need no more blocks.
            let _ = self.give_back.send(block);
        }
        Ok(())
    }

    /// Delivers until the store takes it. Repeating is safe: the store knows a flow by its id.
    fn record(&self) -> Result<Vec<Alert>, StoreError> {
        for wait in RETRY_WAITS {
            match self.runtime.block_on(self.store.record(&self.records)) {
                Ok(alerts) => return Ok(alerts),
                Err(error) => {
                    tracing::warn!(%error, retry_in_ms = wait.as_millis() as u64, "store did not take a block");
                    self.counters.store_retries.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(wait);
                }
            }
        }
        self.runtime.block_on(self.store.record(&self.records))
    }
}

/// Counts the flows of a block that is recorded.
fn count(counters: &Counters, block: &Block) {
    let flows = block.flows.len();
    let failed = (0..flows)
        .filter(|row| block.verdicts.is_incomplete(*row))
        .count();
    let alerted = block.above.iter().filter(|&&above| above).count();
    for (counter, flows) in [
        (&counters.flows_scored, flows - failed),
        (&counters.flows_failed, failed),
        (&counters.flows_alerted, alerted),
    ] {
        counter.fetch_add(flows as u64, Ordering::Relaxed);
    }
}
