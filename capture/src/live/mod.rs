//! Live interfaces through libpcap.
//!
//! Every interface has a capture thread, which moves packets in batches from the kernel's buffer to a ring with a fixed
//! number of batches; the caller of [`LiveCapture::receive`] empties the ring. A capture thread whose ring is full waits
//! (back-pressure), so that packets can be lost in one place only: in the kernel, which counts them. No packet costs an
//! allocation or a log line: [`InterfaceStats`] counts, and each [`Change`] is reported once.
//!
//! An interface that goes away is opened again, at first after a quarter of a second, later every 5 seconds. Opening
//! again needs `CAP_NET_RAW` in the capture thread, which inherits the capabilities of the thread that called
//! [`OpenInterfaces::start`]; no other thread needs any.
//!
//! Capture begins in three steps, so that privileges can be dropped between two of them: [`open`], then
//! [`OpenInterfaces::start`], then [`LiveCapture::receive`] again and again. Packets count from the first call of
//! [`LiveCapture::receive`] on.

mod interface;
mod link;
mod ring;
mod stats;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::packet::Packet;
use interface::Interface;
pub use link::Link;
use ring::Batch;
pub use stats::InterfaceStats;
use stats::Shared;
use worker::Worker;

/// Batches in the ring of one interface; see [`ring`] for how large one is.
const RING_BATCHES: usize = 64;
/// How far the clock stays behind: longer than a packet takes from the wire to [`LiveCapture::receive`].
const CLOCK_LAG_NS: i64 = 200_000_000;

/// Which packets to capture, and how much memory to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveConfig {
    /// Names of the interfaces, at least one, e.g. `eth0` or `any`.
    pub interfaces: Vec<String>,
    /// Filter expression of tcpdump (BPF); `None` takes every packet.
    pub bpf: Option<String>,
    /// Whether to take packets for other machines too. The interface `any` ignores this.
    pub promiscuous: bool,
    /// Most bytes kept of each packet; the default of 262,144 keeps whole packets.
    pub snap_length: u32,
    /// Size of the kernel's buffer for each interface, in bytes; 16 MiB by default, which is 0.6 s at 200 Mbit/s.
    pub kernel_buffer: u32,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            interfaces: vec!["any".to_owned()],
            bpf: None,
            promiscuous: true,
            snap_length: 262_144,
            kernel_buffer: 16 << 20,
        }
    }
}

/// Why a live capture does not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// No interface was named.
    #[error("no interface to capture on; name one, e.g. eth0")]
    NoInterface,
    /// The interface cannot be opened.
    #[error(
        "cannot capture on interface `{interface}`: {source}; check the name and that the program may capture (CAP_NET_RAW)"
    )]
    Open {
        /// The interface.
        interface: String,
        /// What libpcap says.
        source: pcap::Error,
    },
    /// The filter is no valid expression, or asks for what the link type of the interface does not have.
    #[error("the filter `{filter}` does not fit interface `{interface}`: {source}")]
    Filter {
        /// The filter.
        filter: String,
        /// The interface.
        interface: String,
        /// What libpcap says.
        source: pcap::Error,
    },
    /// The interface went away or reading failed; the capture thread opens the interface again.
    #[error("capture on interface `{interface}` stopped: {source}")]
    Read {
        /// The interface.
        interface: String,
        /// What libpcap says.
        source: pcap::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread to capture on interface `{interface}`: {source}")]
    Thread {
        /// The interface.
        interface: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Every capture thread has ended, as [`LiveCapture::stop`] asked.
    #[error("the capture threads have ended")]
    Ended,
    /// A capture thread has ended though nobody asked for that.
    #[error(
        "the capture thread of interface `{interface}` ended unexpectedly; this is a defect of netsage, its log has the message"
    )]
    Died {
        /// The interface.
        interface: String,
    },
}

/// A change of the state of an interface.
#[derive(Debug)]
pub enum Change {
    /// Capture runs, for the first time or again.
    Up {
        /// The interface.
        interface: String,
        /// Whether the interface was down before.
        again: bool,
    },
    /// Capture stopped; the interface will be opened again.
    Down {
        /// The interface.
        interface: String,
        /// Why capture stopped.
        reason: LiveError,
    },
}

/// Who is told of changes, from the threads of the interfaces.
type Notice = dyn Fn(Change) + Send + Sync;

/// Interfaces that are open and whose packets nobody takes yet.
pub struct OpenInterfaces {
    config: Arc<LiveConfig>,
    opened: Vec<(String, Interface)>,
}

/// Opens the interfaces; the calling thread needs `CAP_NET_RAW`.
///
/// # Errors
/// When one of them cannot be opened, or the filter is not valid.
pub fn open(config: LiveConfig) -> Result<OpenInterfaces, LiveError> {
    if config.interfaces.is_empty() {
        return Err(LiveError::NoInterface);
    }
    let opened = config
        .interfaces
        .iter()
        .map(|name| Ok((name.clone(), Interface::open(name, &config)?)))
        .collect::<Result<_, LiveError>>()?;
    Ok(OpenInterfaces {
        config: Arc::new(config),
        opened,
    })
}

impl OpenInterfaces {
    /// Starts a capture thread for each interface. These threads call `notice` with every [`Change`].
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(self, notice: impl Fn(Change) + Send + Sync + 'static) -> Result<LiveCapture, LiveError> {
        let notice: Arc<Notice> = Arc::new(notice);
        let (to_reader, full) = bounded(RING_BATCHES * self.opened.len());
        let mut capture = LiveCapture {
            full,
            give_back: Vec::new(),
            interfaces: Vec::new(),
            control: Arc::new(Control::default()),
            threads: Vec::new(),
            last_packet_ns: None,
        };
        for (index, (name, interface)) in self.opened.into_iter().enumerate() {
            let (give_back, empty) = bounded(RING_BATCHES);
            for _ in 0..RING_BATCHES {
                give_back
                    .send(Batch::new(index))
                    .expect("the channel holds as many batches as are put in");
            }
            let shared = Arc::new(Shared::default());
            let worker = Worker {
                name: name.clone(),
                config: Arc::clone(&self.config),
                shared: Arc::clone(&shared),
                empty,
                full: to_reader.clone(),
                control: Arc::clone(&capture.control),
                notice: Arc::clone(&notice),
                spare: None,
            };
            capture.give_back.push(give_back);
            capture.interfaces.push((name.clone(), shared));
            let thread = thread::Builder::new()
                .name(format!("capture-{name}"))
                .spawn(move || worker.run(interface))
                .map_err(|source| LiveError::Thread {
                    interface: name,
                    source,
                })?;
            capture.threads.push(thread);
        }
        Ok(capture)
    }
}

/// What the threads are told.
#[derive(Debug, Default)]
struct Control {
    /// Set once somebody takes packets.
    wanted: AtomicBool,
    stop: AtomicBool,
}

/// Interfaces whose packets are being captured. Dropping this value ends the capture threads.
pub struct LiveCapture {
    full: Receiver<Batch>,
    /// By interface.
    give_back: Vec<Sender<Batch>>,
    interfaces: Vec<(String, Arc<Shared>)>,
    control: Arc<Control>,
    threads: Vec<JoinHandle<()>>,
    last_packet_ns: Option<i64>,
}

impl LiveCapture {
    /// Waits up to `patience` for packets and hands the packets of one batch to `each`; returns `false` when none came.
    ///
    /// Packets of one interface come in the order of the kernel.
    ///
    /// # Errors
    /// [`LiveError::Ended`] when no packet can come any more, [`LiveError::Died`] when a capture thread ended by a defect. An
    /// interface that goes away is no error: the capture thread opens the interface again.
    pub fn receive(
        &mut self,
        patience: Duration,
        mut each: impl FnMut(&Packet<'_>),
    ) -> Result<bool, LiveError> {
        self.control.wanted.store(true, Ordering::Release);
        self.check_threads()?;
        let mut batch = match self.full.recv_timeout(patience) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Err(LiveError::Ended),
        };
        for packet in batch.packets() {
            each(&packet);
            self.last_packet_ns = Some(packet.time_ns);
        }
        batch.clear();
        // A thread that has ended needs its batches no more.
        let _ = self.give_back[batch.interface].send(batch);
        Ok(true)
    }

    /// Fails when a thread has ended and should not have.
    fn check_threads(&self) -> Result<(), LiveError> {
        if self.control.stop.load(Ordering::Acquire) {
            return Ok(());
        }
        let died = self.threads.iter().position(JoinHandle::is_finished);
        died.map_or(Ok(()), |place| {
            Err(LiveError::Died {
                interface: self.interfaces[place].0.clone(),
            })
        })
    }

    /// Asks the capture threads to end. Packets that the kernel holds at this moment can still be received, for a second at
    /// most; then [`Self::receive`] returns [`LiveError::Ended`], and the counters are complete.
    pub fn stop(&self) {
        self.control.stop.store(true, Ordering::Release);
    }

    /// Returns a time up to which every packet has been received, in nanoseconds since the Unix epoch, for
    /// [`crate::Meter::advance`]. While packets wait in a ring this is the time of the last packet received (`None` before the
    /// first), otherwise the system's clock less 0.2 s.
    pub fn time_ns(&self) -> Option<i64> {
        if !self.full.is_empty() {
            return self.last_packet_ns;
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ns = i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX);
        Some(now_ns - CLOCK_LAG_NS)
    }

    /// Returns the counters of each interface since the first call of [`Self::receive`], at most a quarter of a second old.
    pub fn stats(&self) -> Vec<InterfaceStats> {
        self.interfaces
            .iter()
            .map(|(name, shared)| shared.read(name))
            .collect()
    }
}

impl Drop for LiveCapture {
    fn drop(&mut self) {
        self.stop();
        // A thread that waits for room in the ring must see that there will be none.
        self.give_back.clear();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}
