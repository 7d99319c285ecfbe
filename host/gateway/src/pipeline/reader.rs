//! The first stage: the flows of a source, in blocks. Each source has a reader with a thread of its own.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use netsage_schema::{AddressKey, FlowBatch, Schema};
use netsage_sources::{Pace, Reading, Site, Source};

use super::block::Block;
use super::context::fill_keys;
use super::counters::DropReason;
use super::positions::Positions;
use super::{BLOCK_ROWS, Counters, PipelineError, SourceState};

/// Longest time that a finished flow waits for others to fill its block.
const BLOCK_TIME: Duration = Duration::from_millis(20);
/// Time between two readings of what a source counts, its meter's counters apart.
const STATS_INTERVAL: Duration = Duration::from_millis(250);

/// What the readers of a pipeline share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) counters: Arc<Counters>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) empty: Receiver<Block>,
    pub(super) full: Sender<Block>,
    /// Number of the next block.
    pub(super) sequence: Arc<AtomicU64>,
    /// The key by which detectors are shown addresses, whichever source tells of them.
    pub(super) address_key: AddressKey,
    /// Where flows come from that do not say so themselves.
    pub(super) site: Site,
    pub(super) positions: Positions,
}

pub(super) struct Reader {
    shared: Shared,
    state: Arc<SourceState>,
    /// Flows that are in no block yet.
    pending: FlowBatch,
    /// Memory for those that are dropped.
    dropped: FlowBatch,
    /// Flows that are read again, while they are sent off.
    again: FlowBatch,
    oldest: Instant,
    /// Flows that are in a block or dropped.
    passed: u64,
}

/// The stage after this one has ended.
struct Disconnected;

impl Reader {
    pub(super) fn new(schema: &'static Schema, shared: Shared, state: Arc<SourceState>) -> Self {
        Self {
            shared,
            state,
            pending: FlowBatch::new(schema),
            dropped: FlowBatch::new(schema),
            again: FlowBatch::new(schema),
            oldest: Instant::now(),
            passed: 0,
        }
    }

    /// Reads the source to its end, or until it is asked to stop.
    pub(super) fn run(mut self, source: &mut dyn Source) -> Result<(), PipelineError> {
        self.shared.positions.restore(source)?;
        let ended = self.read(source);
        self.state.take_meter(source);
        self.state.take_counters(source);
        self.state.take_unused(source);
        match ended {
            Ok(ended) => {
                // When the next stage is gone its own error says why.
                let _ = self.send_off(true, Pace::Waits);
                ended
            }
            Err(Disconnected) => Ok(()),
        }
    }

    /// Why the source has ended, when it is not the next stage that has.
    fn read(&mut self, source: &mut dyn Source) -> Result<Result<(), PipelineError>, Disconnected> {
        let mut last_stats = Instant::now();
        // Once capture has ended, what is left can wait.
        let is_live = source.pace() == Pace::GoesOn;
        loop {
            if self.shared.stop.load(Ordering::Acquire) {
                source.stop();
            }
            self.shared.positions.acknowledge(&self.state, source);
            let before = self.pending.len();
            let pace = source.pace();
            let reading = match source.read(&mut self.pending) {
                Ok(Reading::End) => return Ok(Ok(())),
                Ok(reading) => reading,
                // A capture that ends though nobody asked it to has ended for good.
                Err(error) if is_live => return Ok(Err(PipelineError::LiveEnded(error))),
                Err(error) => return Ok(Err(error.into())),
            };
            self.shared.site.mark(&mut self.pending, before);
            if reading == Reading::Again {
                self.send_again(before, pace)?;
            }
            if before == 0 {
                self.oldest = Instant::now();
            }
            self.state.take_meter(source);
            if last_stats.elapsed() >= STATS_INTERVAL {
                last_stats = Instant::now();
                self.state.take_counters(source);
            }
            let due = self.oldest.elapsed() >= BLOCK_TIME;
            if self.pending.len() >= BLOCK_ROWS || (due && !self.pending.is_empty()) {
                self.send_off(due, pace)?;
            }
        }
    }

    /// Sends off what is pending, and behind it the flows from `start` on, which are read again and not counted.
    fn send_again(&mut self, start: usize, pace: Pace) -> Result<(), Disconnected> {
        self.pending.move_first_into(start, &mut self.again);
        mem::swap(&mut self.pending, &mut self.again);
        self.send_off(true, pace)?;
        mem::swap(&mut self.pending, &mut self.again);
        while !self.pending.is_empty() {
            let Some(mut block) = self.empty_block(Pace::Waits)? else {
                break;
            };
            block.is_again = true;
            self.pending.move_first_into(BLOCK_ROWS, &mut block.flows);
            let flows = block.flows.len() as u64;
            self.send(block, pace)?;
            self.shared
                .counters
                .flows_reread
                .fetch_add(flows, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends off pending flows in blocks, the last, partly filled one only when `partial`.
    fn send_off(&mut self, partial: bool, pace: Pace) -> Result<(), Disconnected> {
        while self.pending.len() >= BLOCK_ROWS || (partial && !self.pending.is_empty()) {
            self.passed += self.pending.len().min(BLOCK_ROWS) as u64;
            match self.empty_block(pace)? {
                Some(mut block) => {
                    block.is_again = false;
                    self.pending.move_first_into(BLOCK_ROWS, &mut block.flows);
                    self.send(block, pace)?;
                }
                None => {
                    self.pending.move_first_into(BLOCK_ROWS, &mut self.dropped);
                    let flows = self.dropped.len() as u64;
                    self.shared.counters.ledger.dropped(flows, DropReason::Scoring);
                }
            }
        }
        Ok(())
    }

    fn empty_block(&self, pace: Pace) -> Result<Option<Block>, Disconnected> {
        match (self.shared.empty.try_recv(), pace) {
            (Ok(block), _) => Ok(Some(block)),
            (Err(TryRecvError::Empty), Pace::Waits) => {
                let since = Instant::now();
                let block = self.shared.empty.recv().map(Some).map_err(|_| Disconnected);
                let waited = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.shared
                    .counters
                    .reader_waited_ns
                    .fetch_add(waited, Ordering::Relaxed);
                block
            }
            (Err(TryRecvError::Empty), Pace::GoesOn) => Ok(None),
            (Err(TryRecvError::Disconnected), _) => Err(Disconnected),
        }
    }

    fn send(&mut self, mut block: Block, pace: Pace) -> Result<(), Disconnected> {
        block.sequence = self.shared.sequence.fetch_add(1, Ordering::Relaxed);
        block.source = Some((Arc::clone(&self.state), self.passed));
        block.pace = pace;
        block.contexts.clear();
        block.contexts.extend_of(&block.flows, &self.shared.address_key);
        fill_keys(&block.flows.identities, &mut block.keys);
        let counters = &self.shared.counters;
        counters.blocks_under_way.fetch_add(1, Ordering::Relaxed);
        counters.blocks_to_score.fetch_add(1, Ordering::Relaxed);
        self.shared.full.send(block).map_err(|_| Disconnected)
    }
}
