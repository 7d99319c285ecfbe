//! The first stage: packets to blocks of flows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use netsage_capture::{Meter, MeterConfig, Mode};
use netsage_schema::FlowBatch;
use netsage_sources::CaptureFile;

use super::block::Block;
use super::context::fill_keys;
use super::{BLOCK_ROWS, Contexts, Counters, OpenSource, PipelineConfig, PipelineError};

/// Longest time that a finished flow waits for others to fill its block.
const BLOCK_TIME: Duration = Duration::from_millis(20);
/// Time between two readings of the interfaces' counters.
#[cfg(feature = "live")]
const STATS_INTERVAL: Duration = Duration::from_millis(250);
/// Packets between two looks at clock and meter in a replay.
const PACKETS_PER_LOOK: u32 = 256;

pub(super) struct Reader {
    config: PipelineConfig,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    empty: Receiver<Block>,
    full: Sender<Block>,
    sequence: u64,
    /// Finished flows that are in no block yet.
    pending: FlowBatch,
    /// Memory for those that are left when blocks are sent off.
    rest: FlowBatch,
    oldest: Instant,
    contexts: Contexts,
}

/// The stage after this one has ended.
struct Disconnected;

impl Reader {
    pub(super) fn new(
        config: PipelineConfig,
        counters: Arc<Counters>,
        stop: Arc<AtomicBool>,
        empty: Receiver<Block>,
        full: Sender<Block>,
    ) -> Self {
        Self {
            pending: FlowBatch::new(config.meter.schema),
            rest: FlowBatch::new(config.meter.schema),
            config,
            counters,
            stop,
            empty,
            full,
            sequence: 0,
            oldest: Instant::now(),
            contexts: Contexts::default(),
        }
    }

    pub(super) fn run(mut self, source: OpenSource) -> Result<(), PipelineError> {
        match source {
            OpenSource::Replay(capture) => self.replay(capture),
            #[cfg(feature = "live")]
            OpenSource::Live(capture) => {
                let meter = self.meter(Mode::Live);
                self.live(capture, meter)
            }
            #[cfg(feature = "live")]
            OpenSource::Metered(metered) => {
                let (capture, meter) = *metered;
                self.live(capture, meter)
            }
        }
    }

    fn meter(&self, mode: Mode) -> Meter {
        Meter::new(MeterConfig {
            mode,
            ..self.config.meter.clone()
        })
    }

    fn replay(&mut self, mut capture: CaptureFile) -> Result<(), PipelineError> {
        let mut meter = self.meter(Mode::Replay);
        let evidence = self.config.evidence.clone();
        let mut until_look = PACKETS_PER_LOOK;
        let damage = loop {
            match capture.next_packet() {
                Ok(Some(packet)) => {
                    if let Some(evidence) = &evidence {
                        evidence.keep(&packet);
                    }
                    meter.packet(&packet);
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            until_look -= 1;
            if until_look == 0 {
                until_look = PACKETS_PER_LOOK;
                if self.stop.load(Ordering::Acquire) {
                    break None;
                }
                if self.look(&mut meter, true).is_err() {
                    return Ok(());
                }
            }
        };
        meter.finish();
        self.end(&mut meter, true);
        damage.map_or(Ok(()), |error| Err(error.into()))
    }

    #[cfg(feature = "live")]
    fn live(
        &mut self,
        mut capture: netsage_capture::live::LiveCapture,
        mut meter: Meter,
    ) -> Result<(), PipelineError> {
        let evidence = self.config.evidence.clone();
        let mut last_look = Instant::now();
        let mut last_stats = Instant::now();
        let ended = loop {
            let received = capture.receive(BLOCK_TIME, |packet| {
                if let Some(evidence) = &evidence {
                    evidence.keep(packet);
                }
                meter.packet(packet);
            });
            let stops = self.stop.load(Ordering::Acquire);
            match received {
                // What was on the wire before is still metered; then the interfaces end.
                Ok(_) if stops => capture.stop(),
                Ok(_) => {}
                Err(_) if stops => break Ok(()),
                Err(error) => break Err(error.into()),
            }
            if last_look.elapsed() < BLOCK_TIME {
                continue;
            }
            last_look = Instant::now();
            if let Some(time_ns) = capture.time_ns() {
                meter.advance(time_ns);
            }
            if self.look(&mut meter, false).is_err() {
                return Ok(());
            }
            if last_stats.elapsed() >= STATS_INTERVAL {
                last_stats = Instant::now();
                self.counters.take_interfaces(capture.stats());
            }
        };
        self.counters.take_interfaces(capture.stats());
        meter.finish();
        self.end(&mut meter, true);
        ended
    }

    /// Takes what the meter has ready and sends off full blocks and old flows.
    fn look(&mut self, meter: &mut Meter, wait: bool) -> Result<(), Disconnected> {
        if self.pending.is_empty() {
            self.oldest = Instant::now();
        }
        meter.drain(&mut self.pending);
        self.counters.take_meter(meter.stats());
        let due = self.oldest.elapsed() >= BLOCK_TIME;
        if self.pending.len() >= BLOCK_ROWS || (due && !self.pending.is_empty()) {
            self.send_off(due, wait)?;
        }
        Ok(())
    }

    /// Sends off everything that is left.
    fn end(&mut self, meter: &mut Meter, wait: bool) {
        meter.drain(&mut self.pending);
        self.counters.take_meter(meter.stats());
        // When the next stage is gone its own error says why.
        let _ = self.send_off(true, wait);
    }

    /// Sends off pending flows in blocks, the last, partly filled one only when `partial`.
    fn send_off(&mut self, partial: bool, wait: bool) -> Result<(), Disconnected> {
        let mut next = 0;
        while next < self.pending.len() {
            let end = self.pending.len().min(next + BLOCK_ROWS);
            if end - next < BLOCK_ROWS && !partial {
                break;
            }
            match self.empty_block(wait)? {
                Some(block) => self.send(block, next, end)?,
                None => {
                    self.counters
                        .flows_dropped
                        .fetch_add((end - next) as u64, Ordering::Relaxed);
                }
            }
            next = end;
        }
        self.keep_from(next);
        Ok(())
    }

    fn empty_block(&self, wait: bool) -> Result<Option<Block>, Disconnected> {
        match self.empty.try_recv() {
            Ok(block) => Ok(Some(block)),
            Err(TryRecvError::Empty) if wait => {
                let since = Instant::now();
                let block = self.empty.recv().map(Some).map_err(|_| Disconnected);
                let waited = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.counters
                    .reader_waited_ns
                    .fetch_add(waited, Ordering::Relaxed);
                block
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Disconnected),
        }
    }

    fn send(&mut self, mut block: Block, start: usize, end: usize) -> Result<(), Disconnected> {
        block.sequence = self.sequence;
        self.sequence += 1;
        block.flows.clear();
        block.flows.extend_from(&self.pending, start..end);
        self.contexts.fill(&block.flows.identities, &mut block.contexts);
        fill_keys(&block.flows.identities, &mut block.keys);
        self.counters.blocks_under_way.fetch_add(1, Ordering::Relaxed);
        self.counters.blocks_to_score.fetch_add(1, Ordering::Relaxed);
        self.full.send(block).map_err(|_| Disconnected)
    }

    /// Forgets the pending flows before `start`.
    fn keep_from(&mut self, start: usize) {
        if start < self.pending.len() {
            self.rest.clear();
            self.rest.extend_from(&self.pending, start..self.pending.len());
            std::mem::swap(&mut self.pending, &mut self.rest);
        } else {
            self.pending.clear();
        }
    }
}
