//! The gateways that forward flows to this one, by their names.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use netsage_api_types::SenderStatus;
use netsage_forward::SenderNote;

/// Senders that are known at once; beyond that the one that was silent for longest is forgotten.
const MOST: usize = 1_024;

/// Who sends, and what each says of itself.
#[derive(Debug, Default)]
pub struct Senders(Mutex<BTreeMap<(String, String), Seen>>);

#[derive(Debug)]
struct Seen {
    /// Ms since the epoch.
    at: i64,
    note: SenderNote,
}

impl Senders {
    /// Notes what a sender says in its header. What is no header is nothing.
    /// It says so at `at`, ms since the epoch; `None` for now.
    pub fn hear(&self, header: &[u8], at: Option<i64>) {
        let Some(note) = SenderNote::read(header) else {
            return;
        };
        let mut senders = self.lock();
        let name = (note.network.clone(), note.sensor.clone());
        if senders.len() >= MOST && !senders.contains_key(&name) {
            let silent = senders
                .iter()
                .min_by_key(|(_, seen)| seen.at)
                .map(|(name, _)| name.clone());
            if let Some(silent) = silent {
                senders.remove(&silent);
            }
        }
        let now = Timestamp::now().as_millisecond();
        let at = at.unwrap_or(now).min(now);
        // Of several ways a sender may take, the latest counts.
        if senders.get(&name).is_none_or(|seen| seen.at <= at) {
            senders.insert(name, Seen { at, note });
        }
    }

    /// Each of them, by network and sensor.
    pub fn list(&self) -> Vec<SenderStatus> {
        let senders = self.lock();
        let status = |seen: &Seen| SenderStatus {
            sensor: seen.note.sensor.clone(),
            network: seen.note.network.clone(),
            last_seen: seen.at,
            waiting: seen.note.waiting,
            lag_ms: seen.note.lag_ms,
            given_up: seen.note.given_up,
            set_aside: seen.note.set_aside,
        };
        senders.values().map(status).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_known_by_their_names_and_are_not_endless() {
        let senders = Senders::default();
        senders.hear(b"nonsense", None);
        assert_eq!(senders.list(), []);
        let note = |sensor: String, waiting| SenderNote {
            sensor,
            network: "hq".to_owned(),
            waiting,
            ..SenderNote::default()
        };
        for waiting in [7, 8] {
            senders.hear(note("tap".to_owned(), waiting).header().as_bytes(), None);
        }
        let list = senders.list();
        assert_eq!((list.len(), list[0].waiting, &*list[0].network), (1, 8, "hq"));
        for number in 0..2 * MOST {
            senders.hear(note(format!("tap-{number}"), 0).header().as_bytes(), None);
        }
        assert_eq!(senders.list().len(), MOST);
    }
}
