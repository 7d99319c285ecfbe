//! Live interfaces through libpcap.
//!
//! Every interface has a thread that takes packets out of the kernel's buffer and puts them, in batches, into a
//! ring of its own with a fixed number of places; whoever meters takes them from there. When the ring is full the
//! thread waits, so that a packet can be lost at one place only: in the kernel, which counts it. Nothing is
//! allocated per packet, and nothing is said per packet: [`InterfaceStats`] counts, and a [`Change`] is told once.
//!
//! An interface that goes away is opened again, at first after a quarter of a second, later every 5 seconds. That
//! needs `CAP_NET_RAW` in the interface's thread, which has the capabilities of the thread that called
//! [`OpenInterfaces::start`]; no other thread needs any.
//!
//! The steps are apart so that privileges can be dropped between them: [`open`], then [`OpenInterfaces::start`],
//! then [`LiveCapture::receive`] again and again. Packets count from its first call on.

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

/// Which packets to capture, and with how much memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveConfig {
    /// Names of the interfaces, at least one, e.g. `eth0` or `any`.
    pub interfaces: Vec<String>,
    /// Filter in the language of tcpdump; `None` takes every packet.
    pub bpf: Option<String>,
    /// Whether to take packets for other machines too. The interface `any` cannot.
    pub promiscuous: bool,
    /// Bytes kept of each packet; the default of 262,144 keeps all.
    pub snap_length: u32,
    /// Bytes of the kernel's buffer for each interface; 16 MiB by default, 0.6 s at 200 Mbit/s.
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
    /// The filter is not in the language of tcpdump, or asks for what the interface does not have.
    #[error("the filter `{filter}` does not fit interface `{interface}`: {source}")]
    Filter {
        /// The filter.
        filter: String,
        /// The interface.
        interface: String,
        /// What libpcap says.
        source: pcap::Error,
    },
    /// The interface went away or reading failed; its thread tries again.
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
    /// Every capture thread has ended, as they were asked to.
    #[error("the capture threads have ended")]
    Ended,
    /// A capture thread has ended though nobody asked it to.
    #[error(
        "the capture thread of interface `{interface}` ended unexpectedly; this is a defect of netsage, its log has the message"
    )]
    Died {
        /// The interface.
        interface: String,
    },
}

/// A change of an interface, told once.
#[derive(Debug)]
pub enum Change {
    /// Capture runs, for the first time or again.
    Up {
        /// The interface.
        interface: String,
        /// Whether it was down before.
        again: bool,
    },
    /// Capture stopped; the interface will be tried again.
    Down {
        /// The interface.
        interface: String,
        /// Why.
        reason: LiveError,
    },
}

/// Who is told of changes, from the threads of the interfaces.
type Notice = dyn Fn(Change) + Send + Sync;

/// Interfaces that are open and not read yet.
pub struct OpenInterfaces {
    config: Arc<LiveConfig>,
    opened: Vec<(String, Interface)>,
}

/// Opens the interfaces, which is what needs `CAP_NET_RAW`.
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
    /// Starts a thread for each interface. `notice` is told of every change, from those threads.
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

/// Interfaces that are being read. Dropping it ends the threads.
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
    /// Waits up to `patience` for packets and gives those of one batch to `each`; `false` when none came.
    ///
    /// Packets of one interface come in the order in which the kernel saw them.
    ///
    /// # Errors
    /// [`LiveError::Ended`] when no packet can come any more, [`LiveError::Died`] when a thread ended by a defect. An
    /// interface that goes away is no error: it is opened again.
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

    /// Asks the threads to end. What the kernel holds at this moment is still to be received, for a second at
    /// most; then [`Self::receive`] gives [`LiveError::Ended`], and the counters are complete.
    pub fn stop(&self) {
        self.control.stop.store(true, Ordering::Release);
    }

    /// The time up to which every packet has been received, in nanoseconds since the Unix epoch: what a live
    /// meter may be told. The clock a little while ago, or, with packets waiting, the last one's time.
    /// `None` before the first packet when others wait.
    pub fn time_ns(&self) -> Option<i64> {
        if !self.full.is_empty() {
            return self.last_packet_ns;
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ns = i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX);
        Some(now_ns - CLOCK_LAG_NS)
    }

    /// What was counted on each interface since the first call of [`Self::receive`]; at most a quarter of a
    /// second old.
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
