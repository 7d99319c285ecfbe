//! The last stage: blocks in their order into the store, and the news of them to who watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use netsage_api_types::LiveEvent;
use netsage_store::{FlowBatchRecord, Store, StoreError};
use tokio::sync::broadcast;

use super::block::{Block, ScoredBlock};
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
    store: Arc<dyn Store>,
    events: broadcast::Sender<LiveEvent>,
    counters: Arc<Counters>,
    give_back: Sender<Block>,
    runtime: tokio::runtime::Handle,
}

impl Sink {
    pub(super) fn new(
        store: Arc<dyn Store>,
        events: broadcast::Sender<LiveEvent>,
        counters: Arc<Counters>,
        give_back: Sender<Block>,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            store,
            events,
            counters,
            give_back,
            runtime,
        }
    }

    pub(super) fn run(self, from_workers: &Receiver<ScoredBlock>) -> Result<(), PipelineError> {
        // Blocks that overtook an earlier one; never more than exist.
        let mut early: BTreeMap<u64, ScoredBlock> = BTreeMap::new();
        let mut next = 0;
        for scored in from_workers {
            early.insert(scored.block.sequence, scored);
            while let Some(scored) = early.remove(&next) {
                self.deliver(scored)?;
                next += 1;
            }
        }
        self.counters.set_finished();
        let _ = self.events.send(LiveEvent::Counters(self.counters.snapshot()));
        Ok(())
    }

    fn deliver(&self, mut scored: ScoredBlock) -> Result<(), PipelineError> {
        scored.judge_in_order();
        let ScoredBlock {
            block,
            verdicts,
            hits,
            above,
            ..
        } = scored;
        let alerted = above.iter().filter(|&&above| above).count() as u64;
        let count = block.flows.len();
        let flows = (0..count)
            .map(|index| flow(&block.flows, index, &verdicts))
            .collect();
        let alerts = self
            .record(FlowBatchRecord { flows, hits })
            .map_err(|source| PipelineError::Store { flows: count, source })?;

        let failed = verdicts.iter().any(|verdict| verdict.scores.is_none());
        let outcome = if failed {
            &self.counters.flows_failed
        } else {
            &self.counters.flows_scored
        };
        outcome.fetch_add(count as u64, Ordering::Relaxed);
        self.counters.flows_alerted.fetch_add(alerted, Ordering::Relaxed);
        for alert in alerts {
            // No receiver is no error: nobody is watching.
            let _ = self.events.send(LiveEvent::Alert(Box::new(alert)));
        }
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
