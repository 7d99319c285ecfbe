//! NetFlow and IPFIX: datagrams that exporters send to a UDP socket.
//!
//! ```text
//! socket ─► thread ─ chunks of datagrams ─► Netflow::read: Collector ─► Partition ─► batches
//! ```
//!
//! UDP does not wait: what nobody takes out of the socket in time, the kernel drops. So a thread does nothing but take
//! datagrams out, into a bounded queue, and the socket has a large buffer for the moments in which the queue is full. What
//! datagrams mean is the matter of [`netsage_records::netflow`]; records of all exporters are one partition.
//!
//! The socket is bound when the source is opened, since that may need privileges; the thread is started with the first read,
//! and so without them.

mod receiving;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netsage_records::netflow::{self, Collector, Counts, StreamStatus};
use netsage_records::{Exporter, OrderCounters, Origin, Partition, Record};
use netsage_schema::{FlowBatch, RECORD_V1, Schema};

use crate::SourceError;
use crate::records::handover::Ready;
use crate::site::Site;
use crate::source::{MOST_FLOWS, Pace, Reading, Source, SourceCounters};
use receiving::{Chunk, Clock, Receiving, Shared};

/// How long one read waits for datagrams, and the thread before it looks whether it shall stop.
const WAIT: Duration = Duration::from_millis(20);
/// Chunks under way: with the one being read and the one being filled, about 8 MiB.
const CHUNKS: usize = 32;
/// Datagrams that are taken in between two looks at who waits.
const DATAGRAMS_PER_LOOK: usize = 256;

/// Where exporters send to, and how their records are read.
#[derive(Debug, Clone)]
pub struct NetflowOptions {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The networks that exporters are in; empty: any.
    pub from: Vec<IpNet>,
    /// How datagrams are read, and how much is kept.
    pub reading: netflow::Options,
    /// Where the records come from.
    pub site: Site,
    /// How long records are waited for, by the time of the stream.
    pub lateness: Duration,
    /// Records that wait for their turn at once.
    pub most_waiting: usize,
    /// Bytes for the trailing window.
    pub window_memory: usize,
    /// Bytes that the kernel keeps while nobody takes them; a program without privileges gets no more than
    /// `net.core.rmem_max`.
    pub receive_buffer: usize,
}

impl NetflowOptions {
    /// Everything but the address by default.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            from: Vec::new(),
            reading: netflow::Options::default(),
            site: Site::default(),
            lateness: Duration::from_secs(600),
            most_waiting: 1 << 18,
            window_memory: 64 << 20,
            receive_buffer: 32 << 20,
        }
    }
}

/// The thread, as the source sees it.
struct Listening {
    full: Receiver<Chunk>,
    empty: SyncSender<Chunk>,
    /// What ended the thread, once it has ended.
    thread: thread::JoinHandle<io::Result<()>>,
}

/// Whether the source goes on.
enum Going {
    /// Bound and not started.
    Bound(UdpSocket),
    On(Listening),
    /// Nothing more comes, for this reason if there is one.
    Ending(Option<io::Error>),
    Over,
}

/// Exporters as a source of flows.
pub struct Netflow {
    name: String,
    address: SocketAddr,
    options: NetflowOptions,
    clock: Clock,
    shared: Arc<Shared>,
    going: Going,
    collector: Collector,
    partition: Partition<()>,
    /// Of all records, their exporters apart.
    origin: Origin,
    /// What is being read, and its next datagram.
    chunk: Option<(Chunk, usize)>,
    /// When the last datagram came.
    last_us: i64,
    /// Until when it is known that nothing came since.
    quiet_us: i64,
    /// Flows whose turn has come.
    ready: Ready<()>,
}

impl Netflow {
    /// Binds the socket.
    ///
    /// # Errors
    /// When the schema is not `record-v1`, or the address is not to be had.
    pub fn open(options: NetflowOptions, schema: &'static Schema) -> Result<Self, SourceError> {
        let name = format!("netflow:{}", options.address);
        if schema != &RECORD_V1 {
            return Err(SourceError::Schema {
                name,
                found: RECORD_V1.id,
                wanted: schema.id,
            });
        }
        let (socket, address) = match receiving::bind(options.address, options.receive_buffer) {
            Ok(bound) => bound,
            Err(source) => return Err(SourceError::Listen { name, source }),
        };
        let lateness_us = u64::try_from(options.lateness.as_micros()).unwrap_or(u64::MAX);
        let clock = Clock::new();
        Ok(Self {
            name,
            address,
            clock,
            shared: Arc::default(),
            going: Going::Bound(socket),
            collector: Collector::new(options.reading),
            partition: Partition::new(lateness_us, options.most_waiting, options.window_memory),
            chunk: None,
            last_us: clock.start_us,
            quiet_us: clock.start_us,
            ready: Ready::new(&options.site),
            origin: options.site.origin(),
            options,
        })
    }

    /// The address that exporters send to; its port is that of the system where the options left it open.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was counted of datagrams and records.
    pub fn counts(&self) -> &Counts {
        self.collector.counts()
    }

    /// In which order records came.
    pub fn order(&self) -> OrderCounters {
        self.partition.counters()
    }

    /// Starts the thread.
    fn start(&self, socket: UdpSocket) -> io::Result<Listening> {
        let (sender, full) = sync_channel(CHUNKS);
        let (empty, emptied) = sync_channel(CHUNKS + 2);
        let (shared, from, clock) = (Arc::clone(&self.shared), self.options.from.clone(), self.clock);
        let run = move || Receiving::new(socket, &shared, &from, clock).run(&sender, &emptied);
        let thread = thread::Builder::new().name("netflow".to_owned()).spawn(run)?;
        Ok(Listening { full, empty, thread })
    }

    /// Takes in what there is until enough flows are ready, waiting for some if there are none.
    fn take_in(&mut self) {
        let deadline = Instant::now() + WAIT;
        while self.ready.waiting() < MOST_FLOWS {
            if self.chunk.is_some() {
                self.read_chunk();
                continue;
            }
            let Going::On(listening) = &self.going else { return };
            // Asked before the queue is: what came before is in the queue then.
            let empty_us = self.shared.empty_us.load(Ordering::Acquire);
            let next = match listening.full.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.move_clock(empty_us);
                    if self.ready.waiting() > 0 {
                        return;
                    }
                    let Going::On(listening) = &self.going else { return };
                    let left = deadline.saturating_duration_since(Instant::now());
                    listening.full.recv_timeout(left)
                }
                next => next.map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(chunk) => self.chunk = Some((chunk, 0)),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    /// Reads some datagrams of the chunk.
    fn read_chunk(&mut self) {
        let Some((chunk, place)) = &mut self.chunk else {
            return;
        };
        let mut sink = Sink {
            partition: &mut self.partition,
            origin: self.origin,
            ready: &mut self.ready,
        };
        for _ in 0..DATAGRAMS_PER_LOOK {
            let Some(datagram) = chunk.datagram(*place) else {
                if let Some((mut chunk, _)) = self.chunk.take()
                    && let Going::On(listening) = &self.going
                {
                    chunk.clear();
                    // Where there are enough, this one is freed.
                    let _ = listening.empty.try_send(chunk);
                }
                return;
            };
            *place += 1;
            self.last_us = datagram.arrival_us;
            self.collector
                .take(&datagram, |record, exporter| sink.take(record, exporter));
        }
    }

    /// Moves time on to a moment until which nothing came.
    fn move_clock(&mut self, empty_us: i64) {
        if empty_us <= self.quiet_us.max(self.last_us) {
            return;
        }
        self.quiet_us = empty_us;
        let mut sink = Sink {
            partition: &mut self.partition,
            origin: self.origin,
            ready: &mut self.ready,
        };
        self.collector
            .advance(empty_us, |record, exporter| sink.take(record, exporter));
        let quiet_us = u64::try_from(empty_us - self.last_us).unwrap_or(0);
        let ready = &mut self.ready;
        self.partition.quiet(quiet_us, |ordered, standing, counts| {
            ready.take(&ordered, standing, counts, ());
        });
    }

    /// Lets everything leave: the thread has ended.
    fn end(&mut self) {
        let Going::On(listening) = std::mem::replace(&mut self.going, Going::Over) else {
            return;
        };
        let ended = (listening.thread.join())
            .unwrap_or_else(|_| Err(io::Error::other("the thread that listens broke")));
        let mut sink = Sink {
            partition: &mut self.partition,
            origin: self.origin,
            ready: &mut self.ready,
        };
        let now_us = self.clock.now_us();
        self.collector
            .finish(now_us, |record, exporter| sink.take(record, exporter));
        let ready = &mut self.ready;
        self.partition.finish(|ordered, standing, counts| {
            ready.take(&ordered, standing, counts, ());
        });
        self.going = Going::Ending(ended.err());
    }
}

impl Source for Netflow {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &'static Schema {
        &RECORD_V1
    }

    fn pace(&self) -> Pace {
        Pace::GoesOn
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        if matches!(self.going, Going::Bound(_))
            && let Going::Bound(socket) = std::mem::replace(&mut self.going, Going::Over)
        {
            self.going = match self.start(socket) {
                Ok(listening) => Going::On(listening),
                Err(error) => Going::Ending(Some(error)),
            };
        }
        if self.ready.waiting() == 0 {
            self.take_in();
        }
        if self.ready.waiting() > 0 {
            return Ok(self.ready.give(batch));
        }
        match std::mem::replace(&mut self.going, Going::Over) {
            Going::Ending(Some(source)) => Err(SourceError::Read {
                name: self.name.clone(),
                source,
            }),
            Going::Ending(None) | Going::Over => Ok(Reading::End),
            going => {
                self.going = going;
                Ok(Reading::GoesOn)
            }
        }
    }

    /// What the kernel has taken before is still read; then the source ends, and what waits leaves.
    fn stop(&mut self) {
        self.shared.stops.store(true, Ordering::Release);
        if matches!(self.going, Going::Bound(_)) {
            self.going = Going::Over;
        }
    }

    /// A datagram that the kernel dropped is a gap of its stream too, in a unit of its own: the larger number is what is
    /// known to be missing.
    fn counters(&self) -> SourceCounters {
        let counts = self.collector.counts();
        let rejected = counts.unused() + self.shared.foreign.load(Ordering::Relaxed);
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        SourceCounters {
            records: counts.records + rejected,
            bytes: counts.bytes,
            rejected,
            flows: self.ready.handed_over(),
            lost: dropped.max(counts.lost_records + counts.lost_datagrams),
            late: self.partition.counters().late,
        }
    }

    fn unused(&self) -> Option<String> {
        let counters = self.counters();
        let order = self.partition.counters();
        if counters.rejected + counters.lost + order.repeated == 0 {
            return None;
        }
        let mut said = format!("{}: {}", self.name, self.collector.counts());
        for (count, what) in [
            (
                self.shared.dropped.load(Ordering::Relaxed),
                "datagrams dropped by the kernel",
            ),
            (
                self.shared.foreign.load(Ordering::Relaxed),
                "datagrams from elsewhere",
            ),
            (order.repeated, "records repeat another"),
        ] {
            if count > 0 {
                said.push_str(&format!("; {count} {what}"));
            }
        }
        Some(said)
    }

    fn exporters(&self) -> Vec<StreamStatus> {
        self.collector.streams().collect()
    }
}

/// The thread ends by itself once nobody takes its chunks.
impl Drop for Netflow {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::Release);
    }
}

/// Where a record of the collector goes.
struct Sink<'a> {
    partition: &'a mut Partition<()>,
    origin: Origin,
    ready: &'a mut Ready<()>,
}

impl Sink<'_> {
    fn take(&mut self, record: Record, exporter: Exporter) {
        let origin = Origin {
            exporter: Some(exporter),
            ..self.origin
        };
        let ready = &mut *self.ready;
        self.partition
            .push(record, &origin, (), |ordered, standing, counts| {
                ready.take(&ordered, standing, counts, ());
            });
    }
}
