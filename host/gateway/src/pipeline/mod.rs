//! The way of flows: reader -> workers -> sink -> recorder, with a spooler before the recorder where flows are forwarded.
//!
//! One thread for each source reads the source (and meters packets), and packs flows into blocks of at most 1,024
//! flows, or the flows of 20 ms, for the workers. Each worker scores whole blocks, each with the line-up of detectors
//! of the moment. One thread, the sink, puts the blocks back in order and has detectors with a state score them. Another
//! thread, the recorder, records the flows in the store and announces them.
//!
//! Memory is bounded by the number of blocks that exist: `queue_blocks` of them circulate. A reader takes an empty one,
//! the recorder gives it back. The reader of a source that can wait waits for one, which is the back-pressure. Live it
//! does not wait: flows for which there is no block are dropped and counted, and of a scored block only the record waits
//! for the store, for as many flows as [`StoringConfig`] allows. Once the store has a block the recorder notes it, and
//! the reader tells its source. The queues to the workers and to the sink, including blocks that overtook others, hold no
//! more than these blocks, so that the queues drop nothing; how full they are is told by the counters.
//!
//! A store that fails is tried again for as long as the program runs. A thread that panics ends the pipeline, and the
//! pipeline ends the program: what is dead must not look alive.
//!
//! Start with [`Pipeline::start`], then `reader`, `scoring`, `sink`, `spooler`, `waiting`, `recorder`.

mod block;
mod context;
mod counters;
mod explainer;
mod positions;
mod reader;
mod record;
mod recorder;
mod scoring;
mod sink;
mod spooler;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded, unbounded};
use netsage_api_types::StreamEvent;
use netsage_forward::message::Writer;
use netsage_forward::spool::{Spool, SpoolError};
use netsage_lifecycle::Roster;
use netsage_lifecycle::lineup::Stopped;
use netsage_records::BytesOf;
use netsage_schema::{AddressKey, Schema};
use netsage_sources::{Site, Source, SourceError};
use netsage_store::{Store, StoreError};

use crate::Announcer;
use block::{Block, FromWorker};
use counters::DropReason;
#[cfg(feature = "live")]
pub use counters::interface_health;
pub use counters::{Counters, Details, HitCounts, SourceState, Storing, gap_summary, interface_summary};
use explainer::Explainer;
use positions::Positions;
pub use record::{alert_key, flow_id};
pub use recorder::StoringConfig;
pub use scoring::{explained, score_rows};
use waiting::{ToRecorder, WaitingRoom};

/// Largest block of flows.
pub const BLOCK_ROWS: usize = netsage_package::MAX_BLOCK_ROWS;

/// How a pipeline works.
#[derive(Clone)]
pub struct PipelineConfig {
    /// Threads that score, at least 1.
    pub workers: usize,
    /// Blocks that may be under way, at least 2.
    pub queue_blocks: usize,
    /// The schema of the rows, that of every source.
    pub schema: &'static Schema,
    /// The key by which detectors are shown addresses.
    pub address_key: AddressKey,
    /// Where flows come from that do not say so themselves.
    pub site: Site,
    /// How it deals with its store.
    pub storing: StoringConfig,
    /// Where flows are put to be forwarded, if they are.
    pub forward: Option<Forwarding>,
}

/// Where flows are put to be forwarded.
#[derive(Debug, Clone)]
pub struct Forwarding {
    /// The spool.
    pub spool: Arc<Spool>,
    /// Which bytes the rows of flows count, where their schema does not say so.
    pub bytes_of: BytesOf,
}

/// Why a pipeline ended before its source did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// A source is damaged or failed; what came before is stored.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Capture has ended for good, and nobody asked it to.
    #[error("{0}; what came before is stored")]
    LiveEnded(SourceError),
    /// The store took nothing for as long as it was waited for.
    #[error(
        "the store did not take {flows} flows: {source}; what was stored before is whole, run again to fill the gap"
    )]
    Store {
        /// Flows that waited for it.
        flows: u64,
        /// Why not.
        source: StoreError,
    },
    /// The spool took nothing for as long as it was waited for.
    #[error("{0}; what was stored before is whole, run again to fill the gap")]
    Spool(SpoolError),
    /// A detector fails, and its policy lets no flow pass without its score.
    #[error("{0}; what was stored before is whole, run again to fill the gap")]
    Stopped(#[from] Stopped),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A defect of this program.
    #[error("the {thread} thread ended unexpectedly; this is a defect of netsage, its log has the message")]
    Panicked {
        /// Which one.
        thread: &'static str,
    },
}

/// Ends a pipeline from elsewhere.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// Asks the sources to end; what they have read still goes all the way.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A source that has ended, its counters, and how it ended.
type HasRead = (Box<dyn Source>, Arc<SourceState>, Result<(), PipelineError>);

/// Tells the sink when its thread panics. Otherwise the sink would wait for ever for the block that the thread had.
struct PanicNotice {
    thread: &'static str,
    to_sink: Sender<FromWorker>,
}

impl Drop for PanicNotice {
    fn drop(&mut self) {
        if thread::panicking() {
            let thread = self.thread;
            // A sink that has ended needs no word.
            let _ = self.to_sink.send(Err(PipelineError::Panicked { thread }));
        }
    }
}

/// A running pipeline.
pub struct Pipeline {
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<HasRead>>,
    positions: Positions,
    workers: Vec<JoinHandle<()>>,
    sink: JoinHandle<Result<(), PipelineError>>,
    spooler: Option<JoinHandle<Result<(), PipelineError>>>,
    recorder: JoinHandle<Result<(), PipelineError>>,
    counters: Arc<Counters>,
    events: Announcer,
}

impl Pipeline {
    /// Starts reading the sources. `runtime` carries the calls to the store.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        config: &PipelineConfig,
        sources: Vec<Box<dyn Source>>,
        roster: &Arc<Roster>,
        store: Arc<dyn Store>,
        counters: &Arc<Counters>,
        events: Announcer,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, PipelineError> {
        let stop = Arc::new(AtomicBool::new(false));
        let positions = Positions {
            store: Arc::clone(&store),
            runtime: runtime.clone(),
        };
        let (give_back, empty) = bounded(config.queue_blocks);
        for _ in 0..config.queue_blocks {
            give_back
                .send(Block::new(config.schema))
                .expect("the channel holds as many blocks as are put in");
        }
        // These two never hold more than the blocks that exist, whatever their own bound.
        let (to_workers, from_reader) = unbounded();
        let (to_sink, from_workers) = unbounded();
        let room = Arc::new(WaitingRoom::new(config.storing.queue_flows, config.queue_blocks));

        let (alert_window, alert_limits) = (store.alert_window(), store.alert_limits());
        let explainer = || Explainer::new(alert_window, alert_limits);
        let recorder = recorder::Recorder::new(recorder::Parts {
            config: config.storing,
            room: Arc::clone(&room),
            store,
            events: events.clone(),
            counters: Arc::clone(counters),
            give_back: give_back.clone(),
            runtime,
            stop: Arc::clone(&stop),
        });
        let recorder = thread::Builder::new()
            .name("netsage-record".to_owned())
            .spawn(move || recorder.run())?;
        let writer = config
            .forward
            .as_ref()
            .map(|forward| Writer::new(config.schema, forward.bytes_of));
        let to_recorder = ToRecorder::new(room, Arc::clone(counters), give_back.clone());
        let (next_stage, spooler) = match &config.forward {
            None => (sink::NextStage::Recorder(to_recorder), None),
            Some(forward) => {
                // Holds no more than the blocks that exist.
                let (to_spooler, from_sink) = unbounded();
                let spooler = spooler::Spooler {
                    spool: Arc::clone(&forward.spool),
                    next: to_recorder,
                    counters: Arc::clone(counters),
                    pauses: config.storing.pauses,
                    end_patience: config.storing.end_patience,
                    stop: Arc::clone(&stop),
                };
                let spooler = thread::Builder::new()
                    .name("netsage-spool".to_owned())
                    .spawn(move || spooler.run(&from_sink))?;
                (sink::NextStage::Spooler(to_spooler), Some(spooler))
            }
        };
        let sink = sink::Sink::new(
            roster,
            explainer(),
            next_stage,
            writer.clone(),
            Arc::clone(counters),
            give_back,
            Arc::clone(&stop),
        );
        let sink = thread::Builder::new()
            .name("netsage-sink".to_owned())
            .spawn(move || sink.run(&from_workers))?;
        let mut workers = Vec::with_capacity(config.workers);
        for number in 0..config.workers {
            let (from_reader, to_sink) = (from_reader.clone(), to_sink.clone());
            let (roster, counters, explainer) = (Arc::clone(roster), Arc::clone(counters), explainer());
            let writer = writer.clone();
            let worker = thread::Builder::new()
                .name(format!("netsage-score-{number}"))
                .spawn(move || {
                    let _notice = PanicNotice {
                        thread: "scoring",
                        to_sink: to_sink.clone(),
                    };
                    scoring::work(&roster, &from_reader, &to_sink, &counters, explainer, writer);
                })?;
            workers.push(worker);
        }
        let shared = reader::Shared {
            counters: Arc::clone(counters),
            stop: Arc::clone(&stop),
            empty,
            full: to_workers,
            sequence: Arc::default(),
            address_key: config.address_key.clone(),
            site: config.site.clone(),
            positions: positions.clone(),
        };
        let mut readers = Vec::with_capacity(sources.len());
        for mut source in sources {
            let state = counters.add_source(&*source);
            let reader = reader::Reader::new(config.schema, shared.clone(), Arc::clone(&state));
            let notice = PanicNotice {
                thread: "reader",
                to_sink: to_sink.clone(),
            };
            let reader = thread::Builder::new()
                .name("netsage-read".to_owned())
                .spawn(move || {
                    let _notice = notice;
                    let ended = reader.run(&mut *source);
                    (source, state, ended)
                })?;
            readers.push(reader);
        }
        Ok(Self {
            stop,
            readers,
            positions,
            workers,
            sink,
            spooler,
            recorder,
            counters: Arc::clone(counters),
            events,
        })
    }

    /// What ends the pipeline early.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.stop))
    }

    /// Waits until everything that was read is stored. Blocks the thread. Afterwards no flow waits: what can be stored no
    /// more is counted as dropped.
    ///
    /// # Errors
    /// When a source was damaged, the store failed for longer than it may, or a thread panicked.
    pub fn join(self) -> Result<(), PipelineError> {
        let panicked = |thread| move |_| PipelineError::Panicked { thread };
        let read: Vec<_> = self.readers.into_iter().map(JoinHandle::join).collect();
        let scored: Vec<_> = self.workers.into_iter().map(JoinHandle::join).collect();
        let in_order = self.sink.join().map_err(panicked("sink"));
        let spooled = (self.spooler).map_or(Ok(Ok(())), |spooler| spooler.join().map_err(panicked("spool")));
        let stored = self.recorder.join().map_err(panicked("recorder"));
        let mut outcome = Ok(());
        for reader in read {
            let Ok((mut source, state, ended)) = reader else {
                outcome = outcome.and(Err(PipelineError::Panicked { thread: "reader" }));
                continue;
            };
            // What was delivered since its last read, and all of it where nothing failed.
            self.positions.acknowledge(&state, &mut *source);
            outcome = outcome.and(ended);
        }
        if scored.iter().any(Result::is_err) {
            outcome = Err(PipelineError::Panicked { thread: "scoring" });
        }
        // A stage that gives up also ends those before it, so the last one's error tells the cause.
        let outcome = stored
            .flatten()
            .and(spooled.flatten())
            .and(in_order.flatten())
            .and(outcome);
        let reason = match outcome {
            Err(PipelineError::Store { .. }) => DropReason::Store,
            _ => DropReason::Ending,
        };
        self.counters.ledger.drop_waiting(reason);
        self.counters.set_finished();
        self.events.say(StreamEvent::Counters(self.counters.snapshot()));
        outcome
    }
}
