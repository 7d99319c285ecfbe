//! The thread of one interface: from the kernel's buffer into the ring, and back on its feet after a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::interface::{Interface, KERNEL_HOLD};
use super::link::{self, Link, Silence};
use super::ring::Batch;
use super::stats::{Counted, Shared};
use super::{Change, Control, LiveConfig, LiveError, Notice};

/// Longest time without a look at whether to stop.
const LOOK: Duration = Duration::from_millis(50);
/// Longest time that reading goes on once the thread is asked to end: a wire need not fall silent.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Time between two readings of the kernel's counters, which is a system call.
const STATS_INTERVAL: Duration = Duration::from_millis(250);
/// Time between two looks at what the system says of the interface.
const LINK_INTERVAL: Duration = Duration::from_secs(1);
/// Waits before an interface is opened again: the first, doubled each time, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Worker {
    pub(super) name: String,
    pub(super) config: Arc<LiveConfig>,
    pub(super) shared: Arc<Shared>,
    pub(super) empty: Receiver<Batch>,
    pub(super) full: Sender<Batch>,
    pub(super) control: Arc<Control>,
    pub(super) notice: Arc<Notice>,
    /// An empty batch that was taken and not needed.
    pub(super) spare: Option<Batch>,
}

/// Why reading ended.
enum End {
    Asked,
    Failed(pcap::Error),
}

impl Worker {
    pub(super) fn run(mut self, mut interface: Interface) {
        let mut counted = match self.discard_until_wanted(&mut interface) {
            Ok(()) => interface.stats().map(Counted::from).unwrap_or_default(),
            // The first reading fails in the same way, and the failure is told there.
            Err(_) => Counted::default(),
        };
        let mut again = false;
        loop {
            if self.stops() {
                return;
            }
            self.shared.runs.store(true, Ordering::Relaxed);
            (self.notice)(Change::Up {
                interface: self.name.clone(),
                again,
            });
            again = true;
            let end = self.read(&mut interface, &mut counted);
            if let Some(stats) = interface.stats() {
                counted.add_to(&self.shared, stats);
            }
            self.shared.runs.store(false, Ordering::Relaxed);
            let End::Failed(source) = end else { return };
            drop(interface);
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            (self.notice)(Change::Down {
                interface: self.name.clone(),
                reason: LiveError::Read {
                    interface: self.name.clone(),
                    source,
                },
            });
            let Some(reopened) = self.reopen() else { return };
            interface = reopened;
            counted = Counted::default();
        }
    }

    fn stops(&self) -> bool {
        self.control.stop.load(Ordering::Acquire)
    }

    /// Keeps the kernel's buffer empty until the meter takes packets: earlier packets are not to be metered, and
    /// earlier kernel drops are no loss.
    fn discard_until_wanted(&self, interface: &mut Interface) -> Result<(), pcap::Error> {
        let mut discarded = Batch::new(0);
        while !self.control.wanted.load(Ordering::Acquire) && !self.stops() {
            if !interface.read(&mut discarded)? {
                interface.wait(LOOK);
            }
            discarded.clear();
        }
        Ok(())
    }

    fn read(&mut self, interface: &mut Interface, counted: &mut Counted) -> End {
        let mut last_stats = Instant::now();
        let (mut last_link, mut silence) = (None, Silence::default());
        while !self.stops() {
            if last_link.is_none_or(|last: Instant| last.elapsed() >= LINK_INTERVAL) {
                let now = Instant::now();
                last_link = Some(now);
                self.look_at_link();
                let (kernel, arrived) = (link::received(&self.name), self.shared.received());
                let unseen = silence.look(now, kernel, arrived);
                self.shared.unseen.store(unseen, Ordering::Relaxed);
            }
            if last_stats.elapsed() >= STATS_INTERVAL {
                last_stats = Instant::now();
                if let Some(stats) = interface.stats() {
                    counted.add_to(&self.shared, stats);
                }
            }
            let mut batch = match self.spare.take() {
                Some(batch) => batch,
                // With the ring full nothing is read; the kernel's buffer takes what comes.
                None => match self.empty.recv_timeout(LOOK) {
                    Ok(batch) => batch,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return End::Asked,
                },
            };
            let outcome = interface.read(&mut batch);
            if batch.is_empty() {
                self.spare = Some(batch);
            } else if self.full.send(batch).is_err() {
                return End::Asked;
            }
            match outcome {
                Ok(true) => {}
                Ok(false) => interface.wait(LOOK),
                Err(error) => return End::Failed(error),
            }
        }
        self.read_rest(interface);
        End::Asked
    }

    fn look_at_link(&self) {
        let link = Link::of(&self.name);
        self.shared.link.store(link as u8, Ordering::Relaxed);
    }

    /// Reads what the kernel has when the thread is asked to end.
    fn read_rest(&mut self, interface: &mut Interface) {
        let deadline = Instant::now() + LONGEST_REST;
        // The kernel hands packets over a little late, to do so in one go.
        thread::sleep(2 * KERNEL_HOLD);
        while Instant::now() < deadline {
            let mut batch = match self
                .spare
                .take()
                .ok_or(())
                .or_else(|()| self.empty.recv_timeout(LOOK))
            {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let outcome = interface.read(&mut batch);
            if !batch.is_empty() && self.full.send(batch).is_err() {
                return;
            }
            if !matches!(outcome, Ok(true)) {
                return;
            }
        }
    }

    /// Opens the interface again; `None` when the thread is to end instead.
    fn reopen(&self) -> Option<Interface> {
        let mut wait = FIRST_WAIT;
        loop {
            self.look_at_link();
            let until = Instant::now() + wait;
            while Instant::now() < until {
                if self.stops() {
                    return None;
                }
                thread::sleep(LOOK);
            }
            // Why it cannot be opened yet was said when it went away.
            if let Ok(interface) = Interface::open(&self.name, &self.config) {
                return Some(interface);
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}
