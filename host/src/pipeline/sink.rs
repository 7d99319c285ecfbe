//! The last stage: blocks in their order into the store, and the news of them to who watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use netsage_api_types::LiveEvent;
use netsage_lifecycle::{Roster, Scorer};
use netsage_store::{FlowBatchRecord, Store, StoreError};
use tokio::sync::broadcast;

use super::block::{Block, FromWorker};
use super::record::flow;
use super::{Counters, PipelineError};

/// Waits between attempts to deliver a block.
const RETRY_WAITS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

pub(super) struct Sink {
    /// For detectors that must see the blocks in their order.
    scorer: Scorer,
    store: Arc<dyn Store>,
    events: broadcast::Sender<LiveEvent>,
    counters: Arc<Counters>,
    give_back: Sender<Block>,
    runtime: tokio::runtime::Handle,
}

impl Sink {
    pub(super) fn new(
        roster: &Arc<Roster>,
        store: Arc<dyn Store>,
        events: broadcast::Sender<LiveEvent>,
        counters: Arc<Counters>,
        give_back: Sender<Block>,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            scorer: Scorer::new(Arc::clone(roster)),
            store,
            events,
            counters,
            give_back,
            runtime,
        }
    }

    pub(super) fn run(mut self, from_workers: &Receiver<FromWorker>) -> Result<(), PipelineError> {
        // Blocks that overtook an earlier one; never more than exist.
        let mut early: BTreeMap<u64, Block> = BTreeMap::new();
        let mut next = 0;
        for scored in from_workers {
            let scored = scored?;
            early.insert(scored.sequence, scored);
            while let Some(scored) = early.remove(&next) {
                self.deliver(scored)?;
                next += 1;
            }
            self.counters
                .blocks_out_of_order
                .store(early.len() as u64, Ordering::Relaxed);
        }
        self.counters.set_finished();
        let _ = self.events.send(LiveEvent::Counters(self.counters.snapshot()));
        Ok(())
    }

    fn deliver(&mut self, mut block: Block) -> Result<(), PipelineError> {
        let (flows, verdicts) = block.scoring_parts();
        self.scorer.score_in_order(flows, verdicts)?;
        block.find_hits(true);
        let count = block.flows.len();
        let flows = (0..count)
            .map(|index| flow(&block.flows, index, &block.verdicts))
            .collect();
        let hits = std::mem::take(&mut block.hits);
        let alerts = self
            .record(FlowBatchRecord { flows, hits })
            .map_err(|source| PipelineError::Store { flows: count, source })?;

        let failed = (0..count)
            .filter(|row| block.verdicts.is_incomplete(*row))
            .count();
        let alerted = block.above.iter().filter(|&&above| above).count();
        for (counter, flows) in [
            (&self.counters.flows_scored, count - failed),
            (&self.counters.flows_failed, failed),
            (&self.counters.flows_alerted, alerted),
        ] {
            counter.fetch_add(flows as u64, Ordering::Relaxed);
        }
        for alert in alerts {
            // No receiver is no error: nobody is watching.
            let _ = self.events.send(LiveEvent::Alert(Box::new(alert)));
        }
        // An idle block must not keep a former line-up, and with it its detectors, alive.
        block.verdicts.clear();
        self.counters.blocks_under_way.fetch_sub(1, Ordering::Relaxed);
        // The reader may have ended and need no more blocks.
        let _ = self.give_back.send(block);
        Ok(())
    }

    /// Delivers until the store takes it. Repeating is safe: the store knows a flow by its id.
    fn record(&self, record: FlowBatchRecord) -> Result<Vec<netsage_api_types::Alert>, StoreError> {
        for wait in RETRY_WAITS {
            match self.runtime.block_on(self.store.record(record.clone())) {
                Ok(alerts) => return Ok(alerts),
                Err(error) => {
                    tracing::warn!(%error, retry_in_ms = wait.as_millis() as u64, "store did not take a block");
                    self.counters.store_retries.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(wait);
                }
            }
        }
        self.runtime.block_on(self.store.record(record))
    }
}
