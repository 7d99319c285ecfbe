//! Which connections are open, and which of them must go when there are too many.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::Refusal;
use super::peer::group;

/// The open connections.
pub(super) struct Connections {
    most: usize,
    most_per_peer: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Connection>,
    /// How many connections each peer has.
    peers: HashMap<IpAddr, usize>,
}

struct Connection {
    peer: IpAddr,
    group: IpAddr,
    /// Since when it waits for its client; `None` while the client waits for an answer.
    waiting: Option<Instant>,
    push_out: Arc<Notify>,
}

impl Connections {
    pub(super) fn new(most: usize, most_per_peer: usize) -> Self {
        Self {
            most,
            most_per_peer,
            open: Mutex::default(),
        }
    }

    /// Takes a connection in. Where there are too many, the one that has waited for its client the longest is pushed
    /// out: of the same peer if that has too many, else of the peer with the most. Gives the place of the new
    /// connection and the peer of the one pushed out.
    ///
    /// # Errors
    /// When every connection that could go is being answered.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: IpAddr,
        is_limited: bool,
    ) -> Result<(Slot, Option<IpAddr>), Refusal> {
        let group = group(peer);
        let mut open = self.lock();
        let of_peer = open.peers.get(&group).copied().unwrap_or(0);
        let victim = if is_limited && of_peer >= self.most_per_peer {
            let victim = open.longest_waiting(|connection| connection.group == group);
            Some(victim.ok_or(Refusal::PeerConnections)?)
        } else if open.connections.len() >= self.most {
            Some(open.of_the_greediest().ok_or(Refusal::Connections)?)
        } else {
            None
        };
        let pushed_out = victim.and_then(|victim| {
            let connection = open.remove(victim)?;
            connection.push_out.notify_one();
            Some(connection.peer)
        });
        let id = open.next;
        open.next += 1;
        let push_out = Arc::new(Notify::new());
        let connection = Connection {
            peer,
            group,
            waiting: Some(Instant::now()),
            push_out: Arc::clone(&push_out),
        };
        open.connections.insert(id, connection);
        *open.peers.entry(group).or_default() += 1;
        drop(open);
        let slot = Slot {
            connections: Arc::clone(self),
            id,
            push_out,
            calls: AtomicU64::new(0),
        };
        Ok((slot, pushed_out))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing under this lock panics halfway.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn longest_waiting(&self, wanted: impl Fn(&Connection) -> bool) -> Option<u64> {
        let waiting = self.connections.iter().filter(|(_, found)| wanted(found));
        let since = waiting.filter_map(|(id, found)| Some((found.waiting?, *id)));
        since.min().map(|(_, id)| id)
    }

    /// The longest waiting connection of the peer that has the most, among those with one that waits.
    fn of_the_greediest(&self) -> Option<u64> {
        let waiting = self.connections.values().filter(|found| found.waiting.is_some());
        let greediest = waiting
            .map(|found| found.group)
            .max_by_key(|group| self.peers.get(group))?;
        self.longest_waiting(|found| found.group == greediest)
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        if let Some(count) = self.peers.get_mut(&connection.group) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&connection.group);
            }
        }
        Some(connection)
    }
}

/// The place of one connection, given back when dropped.
pub(super) struct Slot {
    connections: Arc<Connections>,
    id: u64,
    push_out: Arc<Notify>,
    calls: AtomicU64,
}

impl Slot {
    /// Ends when another connection takes the place of this one.
    pub(super) async fn pushed_out(&self) {
        self.push_out.notified().await;
    }

    /// How many calls have come.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn begin_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// The client has sent its call and waits.
    pub(super) fn call_is_complete(&self) {
        self.set_waiting(None);
    }

    /// The client is sent an answer, also to a call that it has not sent to its end.
    pub(super) fn answer_begins(&self) {
        self.set_waiting(None);
    }

    /// The next call is the client's matter.
    pub(super) fn answer_is_complete(&self) {
        self.set_waiting(Some(Instant::now()));
    }

    fn set_waiting(&self, waiting: Option<Instant>) {
        if let Some(connection) = self.connections.lock().connections.get_mut(&self.id) {
            connection.waiting = waiting;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn who_waits_longest_goes_first_and_who_is_answered_stays() {
        let connections = Arc::new(Connections::new(3, 2));
        let admit = |last| connections.admit(address(last), true);
        let (first, _) = admit(1).unwrap();
        let (second, none) = admit(1).unwrap();
        assert_eq!(none, None);
        // The peer has as many as it may: the older of its two goes.
        let (third, pushed_out) = admit(1).unwrap();
        assert_eq!(pushed_out, Some(address(1)));
        drop(first);
        second.call_is_complete();
        third.call_is_complete();
        assert_eq!(admit(1).err(), Some(Refusal::PeerConnections));
        let (_other, pushed_out) = admit(2).unwrap();
        assert_eq!(pushed_out, None);
        // All places are taken, and of the peer with the most none waits: that of the other goes.
        let (newest, pushed_out) = admit(3).unwrap();
        assert_eq!(pushed_out, Some(address(2)));
        newest.call_is_complete();
        assert_eq!(admit(4).err(), Some(Refusal::Connections));
        second.answer_is_complete();
        assert_eq!(admit(4).unwrap().1, Some(address(1)));
        drop((second, third, newest));
        assert!(connections.lock().peers.is_empty());
    }

    #[test]
    fn a_proxy_has_no_limit_of_its_own() {
        let connections = Arc::new(Connections::new(10, 1));
        let slots: Vec<_> = (0..10)
            .map(|_| connections.admit(address(1), false).unwrap())
            .collect();
        assert!(slots.iter().all(|(_, pushed_out)| pushed_out.is_none()));
    }

    #[tokio::test]
    async fn a_pushed_out_connection_is_told() {
        let connections = Arc::new(Connections::new(1, 1));
        let (old, _) = connections.admit(address(1), true).unwrap();
        let (_new, pushed_out) = connections.admit(address(2), true).unwrap();
        assert_eq!(pushed_out, Some(address(1)));
        old.pushed_out().await;
        // The place is the other's by now.
        drop(old);
        assert_eq!(connections.lock().connections.len(), 1);
    }
}
