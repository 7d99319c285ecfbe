//! Wrong tokens: who gives some must wait before the next is looked at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::server::group;

/// Wrong tokens before a peer must wait: people mistype.
const FREE: u32 = 5;
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// After this time without a wrong token everything is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// Peers that are remembered; beyond it the one that was wrong the longest ago is forgotten.
const MOST_PEERS: usize = 4_096;

/// Who gave wrong tokens. An IPv6 peer is its /64.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Wrong>>);

#[derive(Debug)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Wrong {
    /// A second after [`FREE`] wrong tokens, then twice as long each time.
    fn until(&self) -> Instant {
        let wait = match self.count.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1 << doublings.min(6)).min(LONGEST),
        };
        self.last + wait
    }
}

impl Attempts {
    /// How long the tokens of a peer are not looked at.
    pub(super) fn wait(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let until = self.lock().get(&group(peer))?.until();
        until.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// Notes a wrong token.
    pub(super) fn wrong(&self, peer: IpAddr, now: Instant) {
        let mut peers = self.lock();
        let peer = group(peer);
        if peers.len() >= MOST_PEERS && !peers.contains_key(&peer) {
            peers.retain(|_, wrong| now.duration_since(wrong.last) < FORGOTTEN);
            let oldest = peers.iter().min_by_key(|(_, wrong)| wrong.last);
            if let Some(oldest) = oldest
                .map(|(peer, _)| *peer)
                .filter(|_| peers.len() >= MOST_PEERS)
            {
                peers.remove(&oldest);
            }
        }
        let wrong = peers.entry(peer).or_insert(Wrong { count: 0, last: now });
        if now.duration_since(wrong.last) >= FORGOTTEN {
            wrong.count = 0;
        }
        wrong.count = wrong.count.saturating_add(1);
        wrong.last = now;
    }

    /// Forgives a peer that gave the right one.
    pub(super) fn right(&self, peer: IpAddr) {
        self.lock().remove(&group(peer));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Wrong>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_and_is_forgiven() {
        let attempts = Attempts::default();
        let peer = IpAddr::from([192, 0, 2, 1]);
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..13 {
            attempts.wrong(peer, now);
            let wait = attempts.wait(peer, now).unwrap_or_default();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(attempts.wait(peer, now), None);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(attempts.wait(IpAddr::from([192, 0, 2, 2]), now), None);
        attempts.wrong(peer, now + FORGOTTEN);
        assert_eq!(attempts.wait(peer, now + FORGOTTEN), None);
        (0..20).for_each(|_| attempts.wrong(peer, now));
        assert_eq!(attempts.wait(peer, now), Some(LONGEST));
        attempts.right(peer);
        assert_eq!(attempts.wait(peer, now), None);
    }

    #[test]
    fn many_peers_take_bounded_memory_and_push_out_the_oldest() {
        let attempts = Attempts::default();
        let start = Instant::now();
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..10_000 {
            attempts.wrong(peer(number), start + Duration::from_millis(u64::from(number)));
        }
        let peers = attempts.lock();
        assert_eq!(peers.len(), MOST_PEERS);
        assert!(peers.contains_key(&peer(9_999)) && !peers.contains_key(&peer(0)));
    }
}
