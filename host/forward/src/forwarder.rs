//! The thread that empties a spool.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netsage_sources::Site;

use crate::backoff::Backoff;
use crate::https::{self, HttpsOptions};
use crate::sender::SenderNote;
use crate::spool::{Spool, SpoolError, SpoolStatus};

/// How long an end that was asked for waits for the receiver, counted from what it took last.
const LAST_WAIT: Duration = Duration::from_secs(3);
/// Longest time without a look at whether to end.
const LOOK: Duration = Duration::from_millis(50);
/// Time between two log lines about a receiver that goes on failing.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// Where flows go.
#[derive(Debug, Clone)]
pub enum Target {
    /// The inbox of a central.
    Https(HttpsOptions),
    /// A topic.
    #[cfg(feature = "kafka")]
    Topic(netsage_sources::kafka::ProducerOptions),
}

/// Scheme and host, without what may be a secret.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(options) => formatter.write_str(&options.shown()),
            #[cfg(feature = "kafka")]
            Self::Topic(options) => write!(formatter, "kafka://{}/{}", options.brokers, options.topic),
        }
    }
}

/// What keeps records from their receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong and what to do, a sentence without a full stop.
    pub reason: String,
    /// Whether trying again alone will not help.
    pub is_refusal: bool,
    /// Since when.
    pub since: Instant,
}

/// How forwarding goes. Counts are of this run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardStatus {
    /// Records that the receiver has taken, repeats included.
    pub sent: u64,
    /// Attempts after which it had not taken everything.
    pub failures: u64,
    /// What keeps records from it now.
    pub trouble: Option<Trouble>,
}

/// What a sender works with.
pub(crate) struct Desk {
    pub(crate) spool: Arc<Spool>,
    site: Site,
    state: Mutex<State>,
    is_stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    status: ForwardStatus,
    backoff: Backoff,
    last_line: Option<Instant>,
    /// When the receiver took something last, or the end was asked for.
    progressed: Option<Instant>,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the sender is to end now: it was asked to, and nothing waits or the receiver takes nothing.
    pub(crate) fn is_over(&self) -> bool {
        if !self.is_stopped.load(Ordering::Acquire) {
            return false;
        }
        let progressed = *self.state().progressed.get_or_insert_with(Instant::now);
        progressed.elapsed() >= LAST_WAIT || self.spool.status().waiting == 0
    }

    /// What the receiver is told of this sender.
    pub(crate) fn note(&self) -> SenderNote {
        SenderNote::of(&self.site.sensor, &self.site.network, &self.spool.status())
    }

    /// Counts records that the receiver has taken.
    pub(crate) fn taken(&self, records: u64) {
        let mut state = self.state();
        state.status.sent += records;
        state.progressed = self.is_stopped.load(Ordering::Acquire).then(Instant::now);
        if state.status.trouble.take().is_some() && state.last_line.take().is_some() {
            tracing::info!("the receiver of forwarded flows takes them again");
        }
        state.backoff.reset();
    }

    /// Notes that the receiver did not take what it was given, and waits before the next attempt, for as long as it asks for.
    pub(crate) fn failed(&self, reason: &str, is_refusal: bool, asked: Option<Duration>) {
        self.trouble(reason, is_refusal);
        let pause = {
            let mut state = self.state();
            state.status.failures += 1;
            state.backoff.take(asked)
        };
        let until = Instant::now() + pause;
        while !self.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(LOOK));
        }
    }

    /// Notes what keeps records from the receiver.
    pub(crate) fn trouble(&self, reason: &str, is_refusal: bool) {
        let mut state = self.state();
        let since = state
            .status
            .trouble
            .as_ref()
            .map_or_else(Instant::now, |trouble| trouble.since);
        state.status.trouble = Some(Trouble {
            reason: reason.to_owned(),
            is_refusal,
            since,
        });
        if state.last_line.is_none_or(|last| last.elapsed() >= BETWEEN_LINES) {
            state.last_line = Some(Instant::now());
            tracing::warn!(reason, "flows are not forwarded now, they wait in the spool");
        }
    }

    /// Notes that the receiver will never take a record.
    pub(crate) fn set_aside(&self, json: &[u8], reason: &str) {
        tracing::error!(reason, "record refused by the receiver is set aside");
        self.spool.set_aside(json);
    }

    /// Waits after the spool itself could not be read.
    pub(crate) fn unread(&self, error: &SpoolError) {
        self.failed(&error.to_string(), true, None);
    }
}

/// Empties a spool, on a thread of its own.
pub struct Forwarder {
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
    target: String,
}

impl Forwarder {
    /// Starts the thread. `site` names the sender.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(spool: Arc<Spool>, target: Target, site: Site) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            spool,
            site,
            state: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        });
        let shown = target.to_string();
        let thread = {
            let desk = Arc::clone(&desk);
            thread::Builder::new()
                .name("netsage-forward".to_owned())
                .spawn(move || match target {
                    Target::Https(options) => https::send(&desk, &options),
                    #[cfg(feature = "kafka")]
                    Target::Topic(options) => crate::topic::send(&desk, &options),
                })?
        };
        Ok(Self {
            desk,
            thread: Mutex::new(Some(thread)),
            target: shown,
        })
    }

    /// How it goes.
    pub fn status(&self) -> ForwardStatus {
        self.desk.state().status.clone()
    }

    /// What waits.
    pub fn spool(&self) -> SpoolStatus {
        self.desk.spool.status()
    }

    /// Where flows go, without what may be a secret.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether the thread has ended though nobody asked it to.
    pub fn has_failed(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        !self.desk.is_stopped.load(Ordering::Acquire) && thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Ends the thread when the spool is empty, or the receiver takes nothing for some seconds. What is left is sent by the
    /// next run. Blocks the thread.
    pub fn end(&self) {
        self.desk.is_stopped.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic is in the log, and what it had in hand is in the spool.
            let _ = thread.join();
        }
    }
}
