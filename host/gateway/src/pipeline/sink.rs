//! The third stage: puts blocks back in their order, has detectors with a state score them, and hands them to the recorder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use netsage_forward::message::Writer;
use netsage_lifecycle::{Roster, Scorer};

use super::block::{Block, FromWorker};
use super::explainer::Explainer;
use super::waiting::{RecorderEnded, ToRecorder};
use super::{Counters, PipelineError};

pub(super) struct Sink {
    /// For detectors that must see the blocks in their order.
    scorer: Scorer,
    explainer: Explainer,
    /// Blocks that overtook an earlier one; never more than exist.
    early: BTreeMap<u64, Block>,
    /// The block to come.
    next: u64,
    next_stage: NextStage,
    /// Encodes what is forwarded of flows that detectors saw in their order.
    forward: Option<Writer>,
    counters: Arc<Counters>,
    give_back: Sender<Block>,
    /// Set when the sink ends before the blocks do, so that the other stages end too.
    stop: Arc<AtomicBool>,
    is_through: bool,
}

/// Where blocks go.
pub(super) enum NextStage {
    Recorder(ToRecorder),
    /// By way of the spool.
    Spooler(Sender<Block>),
}

impl Sink {
    pub(super) fn new(
        roster: &Arc<Roster>,
        explainer: Explainer,
        next_stage: NextStage,
        forward: Option<Writer>,
        counters: Arc<Counters>,
        give_back: Sender<Block>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            scorer: Scorer::new(Arc::clone(roster)),
            explainer,
            early: BTreeMap::new(),
            next: 0,
            next_stage,
            forward,
            counters,
            give_back,
            stop,
            is_through: false,
        }
    }

    /// Works until no more blocks come.
    pub(super) fn run(mut self, from_workers: &Receiver<FromWorker>) -> Result<(), PipelineError> {
        for scored in from_workers {
            if let Err(RecorderEnded) = self.take(scored?)? {
                // It says why.
                return Ok(());
            }
        }
        self.is_through = true;
        Ok(())
    }

    /// Takes a block from a worker, and hands on that one and those that waited for it.
    fn take(&mut self, scored: Block) -> Result<Result<(), RecorderEnded>, PipelineError> {
        self.early.insert(scored.sequence, scored);
        while let Some(mut block) = self.early.remove(&self.next) {
            self.next += 1;
            if block.is_again {
                self.show_again(block);
                continue;
            }
            if block.verdicts.lineup().is_some_and(|lineup| lineup.is_in_order()) {
                let (flows, verdicts) = block.scoring_parts();
                self.scorer.score_in_order(flows, verdicts)?;
                block.record_scores(true, &mut self.explainer);
                block.record_fused(&mut self.explainer);
                if let Some(writer) = &mut self.forward {
                    block.encode(writer);
                }
            }
            if let Err(ended) = self.hand_on(block) {
                return Ok(Err(ended));
            }
        }
        let out_of_order = self.early.len() as u64;
        self.counters
            .blocks_out_of_order
            .store(out_of_order, Ordering::Relaxed);
        Ok(Ok(()))
    }

    /// Shows a block that is read again to detectors whose state goes by source. Nothing of it is recorded.
    fn show_again(&mut self, mut block: Block) {
        let (flows, verdicts) = block.scoring_parts();
        if let Some(lineup) = verdicts.lineup().cloned() {
            self.scorer.show_again(&lineup, flows);
        }
        self.counters.blocks_under_way.fetch_sub(1, Ordering::Relaxed);
        // The reader may have ended and need no more blocks.
        let _ = self.give_back.send(block);
    }

    fn hand_on(&self, block: Block) -> Result<(), RecorderEnded> {
        match &self.next_stage {
            NextStage::Recorder(recorder) => recorder.hand_on(block),
            NextStage::Spooler(spooler) => spooler.send(block).map_err(|_| RecorderEnded),
        }
    }
}

/// Also after a panic: the other stages must see it. Those behind see it by the end of the way to them.
impl Drop for Sink {
    fn drop(&mut self) {
        if !self.is_through {
            self.stop.store(true, Ordering::Release);
        }
    }
}
