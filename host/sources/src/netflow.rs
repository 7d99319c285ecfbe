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

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use netsage_records::netflow::{self, Collector, Counts, Datagram, StreamStatus};
use netsage_records::{
    Exporter, Network, OrderCounters, Ordered, Origin, Partition, Record, Standing, row_of,
};
use netsage_schema::{CommunityId, FlowBatch, RECORD_V1, Schema};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};

use crate::SourceError;
use crate::source::{MOST_FLOWS, Pace, Reading, Source, SourceCounters};

/// How long one read waits for datagrams, and the thread before it looks whether it shall stop.
const WAIT: Duration = Duration::from_millis(20);
/// Bytes after which a chunk is handed on.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks under way: with the one being read and the one being filled, about 8 MiB.
const CHUNKS: usize = 32;
/// No datagram is longer.
const LONGEST: usize = 1 << 16;
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
    /// The network that the addresses of records belong to.
    pub network: Network,
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
            network: Network::UNNAMED,
            lateness: Duration::from_secs(600),
            most_waiting: 1 << 18,
            window_memory: 64 << 20,
            receive_buffer: 32 << 20,
        }
    }
}

/// Datagrams as they came, one behind the other.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Sender, time of arrival, and where the datagram ends.
    datagrams: Vec<(SocketAddr, i64, usize)>,
}

impl Chunk {
    fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }

    fn datagram(&self, place: usize) -> Option<Datagram<'_>> {
        let &(exporter, arrival_us, end) = self.datagrams.get(place)?;
        let start = match place.checked_sub(1) {
            Some(before) => self.datagrams.get(before)?.2,
            None => 0,
        };
        Some(Datagram {
            exporter,
            arrival_us,
            bytes: self.bytes.get(start..end)?,
        })
    }
}

/// What the thread and the source tell each other beside chunks.
#[derive(Default)]
struct Shared {
    stops: AtomicBool,
    /// When the socket was seen empty last.
    empty_us: AtomicI64,
    /// Datagrams that the kernel dropped.
    dropped: AtomicU64,
    /// Datagrams from elsewhere than exporters are.
    foreign: AtomicU64,
}

/// Microseconds since the epoch that never fall, whatever happens to the clock of the machine.
#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    start_us: i64,
}

impl Clock {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start: Instant::now(),
            start_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn now_us(&self) -> i64 {
        let elapsed = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.start_us.saturating_add(elapsed)
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
    /// What is being read, and its next datagram.
    chunk: Option<(Chunk, usize)>,
    /// When the last datagram came.
    last_us: i64,
    /// Until when it is known that nothing came since.
    quiet_us: i64,
    /// Flows to be handed over, those before `given` handed over already.
    ready: FlowBatch,
    given: usize,
    flows: u64,
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
        let (socket, address) = match bind(&options) {
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
            ready: FlowBatch::new(&RECORD_V1),
            given: 0,
            flows: 0,
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
        let run = move || {
            Receiving {
                socket,
                shared: &shared,
                from: &from,
                clock,
                buffer: vec![0; LONGEST],
                control: nix::cmsg_space!(u32),
            }
            .run(&sender, &emptied)
        };
        let thread = thread::Builder::new().name("netflow".to_owned()).spawn(run)?;
        Ok(Listening { full, empty, thread })
    }

    /// Takes in what there is until enough flows are ready, waiting for some if there are none.
    fn take_in(&mut self) {
        let deadline = Instant::now() + WAIT;
        while self.waiting_flows() < MOST_FLOWS {
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
                    if self.waiting_flows() > 0 {
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
            network: self.options.network,
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
            network: self.options.network,
            ready: &mut self.ready,
        };
        self.collector
            .advance(empty_us, |record, exporter| sink.take(record, exporter));
        let quiet_us = u64::try_from(empty_us - self.last_us).unwrap_or(0);
        let ready = &mut self.ready;
        self.partition.quiet(quiet_us, |ordered, standing, counts| {
            put(ready, &ordered, standing, counts);
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
            network: self.options.network,
            ready: &mut self.ready,
        };
        let now_us = self.clock.now_us();
        self.collector
            .finish(now_us, |record, exporter| sink.take(record, exporter));
        let ready = &mut self.ready;
        self.partition
            .finish(|ordered, standing, counts| put(ready, &ordered, standing, counts));
        self.going = Going::Ending(ended.err());
    }

    /// Flows that are ready to be handed over.
    fn waiting_flows(&self) -> usize {
        self.ready.len() - self.given
    }

    /// Hands over what is ready, as far as one read may.
    fn give(&mut self, batch: &mut FlowBatch) {
        let count = self.waiting_flows().min(MOST_FLOWS);
        batch.extend_from(&self.ready, self.given..self.given + count);
        self.given += count;
        if self.given >= self.ready.len() {
            self.ready.clear();
            self.given = 0;
        }
        self.flows += count as u64;
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
        if self.waiting_flows() == 0 {
            self.take_in();
        }
        if self.waiting_flows() > 0 {
            self.give(batch);
            return Ok(Reading::GoesOn);
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
            flows: self.flows,
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
    network: Network,
    ready: &'a mut FlowBatch,
}

impl Sink<'_> {
    fn take(&mut self, record: Record, exporter: Exporter) {
        let origin = Origin {
            network: self.network,
            exporter: Some(exporter),
        };
        let ready = &mut *self.ready;
        self.partition
            .push(record, &origin, (), |ordered, standing, counts| {
                put(ready, &ordered, standing, counts);
            });
    }
}

/// Makes a flow ready whose turn has come.
fn put(ready: &mut FlowBatch, ordered: &Ordered<()>, standing: Standing, counts: &netsage_records::Counts) {
    if standing == Standing::Repeated {
        return;
    }
    let identity = ordered.record.identity();
    ready.push_as(
        &row_of(&ordered.record, counts),
        identity,
        CommunityId::of(&identity),
        Some(ordered.id),
    );
}

/// The socket and its address.
fn bind(options: &NetflowOptions) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(options.address)?;
    // Beyond the limit of the system only with privileges; up to it for everybody.
    if setsockopt(&socket, sockopt::RcvBufForce, &options.receive_buffer).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &options.receive_buffer)?;
    }
    // With each datagram comes how many were dropped before it.
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    socket.set_read_timeout(Some(WAIT))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// The thread that takes datagrams out of the socket.
struct Receiving<'a> {
    socket: UdpSocket,
    shared: &'a Shared,
    from: &'a [IpNet],
    clock: Clock,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

impl Receiving<'_> {
    fn run(mut self, full: &SyncSender<Chunk>, emptied: &Receiver<Chunk>) -> io::Result<()> {
        loop {
            // What comes after this is not on its way yet.
            let stops = self.shared.stops.load(Ordering::Acquire);
            let mut chunk = emptied.try_recv().unwrap_or_default();
            let mut flags = if stops {
                MsgFlags::MSG_DONTWAIT
            } else {
                MsgFlags::empty()
            };
            let is_empty = loop {
                if chunk.bytes.len() >= CHUNK_BYTES {
                    break false;
                }
                let now_us = self.clock.now_us();
                match self.receive(flags, &mut chunk) {
                    Ok(()) => flags = MsgFlags::MSG_DONTWAIT,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.tell_empty(&chunk, now_us);
                        break true;
                    }
                    // An answer to nothing that was sent here; the next datagram can be read.
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::Interrupted | ErrorKind::ConnectionRefused
                        ) => {}
                    Err(error) => return Err(error),
                }
            };
            // The queue being full, the kernel keeps what comes, or drops and counts it.
            if !chunk.datagrams.is_empty() && full.send(chunk).is_err() {
                return Ok(());
            }
            if stops && is_empty {
                return Ok(());
            }
        }
    }

    /// Says that the socket was empty at that time, if no datagram is on its way from here.
    fn tell_empty(&self, chunk: &Chunk, now_us: i64) {
        if chunk.datagrams.is_empty() {
            self.shared.empty_us.store(now_us, Ordering::Release);
        }
    }

    /// Takes one datagram.
    fn receive(&mut self, flags: MsgFlags, chunk: &mut Chunk) -> io::Result<()> {
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let received = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut self.control),
            flags,
        )
        .map_err(io::Error::from)?;
        for message in received.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::RxqOvfl(dropped) = message {
                // A number of 32 bits that wraps.
                let known = self.shared.dropped.load(Ordering::Relaxed);
                let more = dropped.wrapping_sub((known & 0xffff_ffff) as u32);
                self.shared
                    .dropped
                    .store(known + u64::from(more), Ordering::Relaxed);
            }
        }
        let (length, sender) = (received.bytes, received.address.as_ref().and_then(sender));
        let Some(sender) = sender else { return Ok(()) };
        if !self.from.is_empty() && !self.from.iter().any(|network| network.contains(&sender.ip())) {
            self.shared.foreign.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        chunk
            .bytes
            .extend_from_slice(self.buffer.get(..length).unwrap_or_default());
        chunk
            .datagrams
            .push((sender, self.clock.now_us(), chunk.bytes.len()));
        Ok(())
    }
}

/// The address of a sender; one of IPv4 as such, also where the socket is of IPv6.
fn sender(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddr::new(IpAddr::V6(v6.ip()).to_canonical(), v6.port()))
}
