//! What was refused: counted by reason, and logged with the peer.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two log lines about one peer.
const BETWEEN_LINES: Duration = Duration::from_secs(60);
/// Peers that are remembered for that; beyond it a refusal is counted and not logged.
const MOST_PEERS: usize = 1_024;

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a connection or a call was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Refusal {$(
            $(#[doc = $doc])+
            $variant,
        )+}

        impl Refusal {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The reason as metrics and log name it.
            pub fn name(self) -> &'static str {
                match self {$(
                    Self::$variant => $name,
                )+}
            }
        }
    };
}

refusals! {
    /// All connections are in use.
    Connections = "connections",
    /// All connections of this peer are in use.
    PeerConnections = "peer-connections",
    /// A newer connection took the place of one that waited for its client.
    PushedOut = "pushed-out",
    /// The head of a call is not HTTP, or too large.
    BadHead = "bad-head",
    /// The head of a first call did not come in time.
    SlowHead = "slow-head",
    /// The body of a call did not come in time.
    SlowBody = "slow-body",
    /// There is no memory left for another body.
    Bodies = "bodies",
    /// There is not exactly one valid `Host` header.
    BadHost = "bad-host",
    /// The `Host` header names another server.
    ForeignHost = "foreign-host",
    /// A page of another origin wants to change something.
    ForeignOrigin = "foreign-origin",
    /// The call bears no token.
    NoToken = "no-token",
    /// The call bears a wrong token.
    WrongToken = "wrong-token",
    /// The peer has given wrong tokens and must wait.
    MustWait = "must-wait",
}

/// What was refused.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: [AtomicU64; Refusal::ALL.len()],
    /// When a line about a peer was written last, and what happened since then.
    lines: Mutex<HashMap<IpAddr, Line>>,
}

#[derive(Debug)]
struct Line {
    written: Instant,
    since: u64,
}

impl Refusals {
    /// Every reason with its count.
    pub fn counts(&self) -> impl Iterator<Item = (Refusal, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Refusal::ALL.iter().copied().zip(counts)
    }

    /// Counts a refusal, and logs it unless there was a line about the peer within a minute.
    pub fn count(&self, refusal: Refusal, peer: IpAddr) {
        self.counts[refusal as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(not_logged) = self.is_due(peer, Instant::now()) {
            tracing::warn!(%peer, reason = refusal.name(), not_logged, "refused");
        }
    }

    /// The system does not let connections in.
    pub(super) fn cannot_accept(&self, error: &io::Error) {
        // Not the fault of any peer.
        let nobody = IpAddr::from([0, 0, 0, 0]);
        if let Some(not_logged) = self.is_due(nobody, Instant::now()) {
            tracing::error!(%error, not_logged, "connections cannot be accepted");
        }
    }

    /// How many refusals of a peer were not logged since its last line, where another line is due.
    fn is_due(&self, peer: IpAddr, now: Instant) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |line: &Line| now.duration_since(line.written) >= BETWEEN_LINES;
        if let Some(line) = lines.get_mut(&peer) {
            if is_old(line) {
                line.written = now;
                return Some(std::mem::take(&mut line.since));
            }
            line.since += 1;
            return None;
        }
        if lines.len() >= MOST_PEERS {
            lines.retain(|_, line| !is_old(line));
        }
        if lines.len() >= MOST_PEERS {
            return None;
        }
        let line = Line {
            written: now,
            since: 0,
        };
        lines.insert(peer, line);
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_line_a_minute() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let peer = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(refusals.is_due(peer, at(0)), Some(0));
        assert_eq!(refusals.is_due(peer, at(1)), None);
        assert_eq!(refusals.is_due(peer, at(59)), None);
        assert_eq!(refusals.is_due(IpAddr::from([192, 0, 2, 2]), at(59)), Some(0));
        assert_eq!(refusals.is_due(peer, at(60)), Some(2));
    }

    #[test]
    fn many_peers_take_bounded_memory() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        let lines = (0..5_000).filter(|number| refusals.is_due(peer(*number), start).is_some());
        assert_eq!(lines.count(), MOST_PEERS);
        assert_eq!(refusals.is_due(peer(9_999), start + BETWEEN_LINES), Some(0));
    }

    #[test]
    fn reasons_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> =
            Refusal::ALL.iter().map(|refusal| refusal.name()).collect();
        assert_eq!(names.len(), Refusal::ALL.len());
    }
}
