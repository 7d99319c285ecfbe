//! Between scoring and storing, where flows are forwarded: blocks go on once their messages lie synced in the spool, so that
//! no source is told that a flow is stored before.
//!
//! A disk that takes nothing is tried again for as long as the program runs: a source that can wait waits for blocks, and
//! of one that cannot the flows for which there is no block are dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use netsage_forward::message::Messages;
use netsage_forward::spool::Spool;
use netsage_outputs::Pauses;

use super::block::Block;
use super::counters::lock;
use super::waiting::ToRecorder;
use super::{Counters, PipelineError};

/// Blocks written at once: one syncing of the disk costs less than sixteen.
const MOST_AT_ONCE: usize = 16;
/// The shortest time between two writings of fewer blocks.
const GATHERING: Duration = Duration::from_millis(100);
/// Longest time without a look at whether to give up.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Spooler {
    pub(super) spool: Arc<Spool>,
    pub(super) next: ToRecorder,
    pub(super) counters: Arc<Counters>,
    pub(super) pauses: Pauses,
    /// How long a disk that takes nothing keeps a pipeline that was asked to end.
    pub(super) end_patience: Duration,
    pub(super) stop: Arc<AtomicBool>,
}

impl Spooler {
    /// Works until no more blocks come.
    pub(super) fn run(mut self, from_sink: &Receiver<Block>) -> Result<(), PipelineError> {
        let mut blocks = Vec::with_capacity(MOST_AT_ONCE);
        let mut before: Option<Instant> = None;
        while let Ok(first) = from_sink.recv() {
            blocks.push(first);
            let until = before.map_or_else(Instant::now, |before| before + GATHERING);
            while blocks.len() < MOST_AT_ONCE {
                match from_sink.recv_deadline(until) {
                    Ok(block) => blocks.push(block),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            self.append(&blocks)?;
            before = Some(Instant::now());
            for mut block in blocks.drain(..) {
                // Every block would keep the memory of its largest messages.
                block.messages = Messages::default();
                if self.next.hand_on(block).is_err() {
                    // The recorder says why it has ended.
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Writes the messages of these blocks until the disk takes them. Writing some twice is harmless: their ids are equal.
    fn append(&mut self, blocks: &[Block]) -> Result<(), PipelineError> {
        self.pauses.reset();
        let mut stopped: Option<Instant> = None;
        loop {
            let texts = blocks.iter().flat_map(|block| block.messages.texts());
            let error = match self.spool.append(texts) {
                Ok(()) => {
                    if lock(&self.counters.spool_refused).take().is_some() {
                        tracing::info!("the spool takes flows again");
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            let is_news = {
                let mut refused = lock(&self.counters.spool_refused);
                let is_news = refused.is_none();
                refused.get_or_insert_with(|| (Instant::now(), error.source.to_string()));
                is_news
            };
            if is_news {
                tracing::warn!(%error, "the spool takes no flows, trying again until it does");
            }
            let until = Instant::now() + self.pauses.take();
            while Instant::now() < until {
                if self.stop.load(Ordering::Acquire)
                    && stopped.get_or_insert_with(Instant::now).elapsed() >= self.end_patience
                {
                    return Err(PipelineError::Spool(error));
                }
                thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
            }
        }
    }
}
